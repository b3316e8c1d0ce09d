"""Made-up traffic of a digit reader with three inputs (photo, clip, note), whose faults can be dialled in.

The same `n`, `seed` and options give the same rows on every machine. It is for tests: figures that a product page quotes
come from real data.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from auditor.core.frame import Frame
from auditor.core.record import EnergyFigure, Input, Label, ModelRef, Output, Record
from auditor.core.rows import MISSING, PRESENT, Floats, Ints, Rows, Strings
from auditor.core.window import DAY, Span, from_us, to_us
from auditor.testing.factories import MODEL, START

if TYPE_CHECKING:
    from auditor.core.state import WindowState

CLASSES = 10
SITES = ("north", "south", "west")
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
LANGUAGES = ("en", "de", "fr", "und")
_CONCEPTS = np.random.default_rng(20).normal(size=(CLASSES, 16))
DESCRIBERS = {"photo": "image/1|", "clip": "audio/1|", "note": "text/1|"}
MODALITY = {"photo": "image", "clip": "audio", "note": "text"}


def make_rows(
    n: int = 400,
    seed: int = 0,
    *,
    model: str = MODEL,
    version: str = "1.0.0",
    start: datetime = START,
    span: timedelta = DAY,
    darken: float = 1.0,
    noise_db: float = 0.0,
    repaired: float = 0.0,
    missing: float = 0.0,
    confuse: Mapping[str, float] | None = None,
    labelled: float = 0.97,
    joules: float = 0.02,
) -> Rows:
    """Rows of `n` calls, uniform over `[start, start + span)`, sorted by id (which is sorted by time).

    Parameters
    ----------
    darken : float
        Factor on the photo's brightness and contrast; 1 leaves them alone.
    noise_db : float
        Noise added to the clips: taken off their signal-to-noise ratio, dB.
    repaired : float
        Share of calls whose clip belongs to another call: each input alone looks as before.
    missing : float
        Share of calls without a clip.
    confuse : mapping of str to float
        `feature=value` (`speaker=theo`) to the share of that group's answers that are wrong beside the usual ones.
    labelled : float
        Share of calls whose ground truth is known, two hours after the call.
    joules : float
        Mean energy of one call, J.

    Examples
    --------
    >>> make_rows(3, seed=7).ids.tolist() == make_rows(3, seed=7).ids.tolist()
    True
    """
    rng = np.random.default_rng([seed, n])
    time_us = np.sort(to_us(start) + (rng.random(n) * (span / timedelta(microseconds=1))).astype(np.int64))
    truth = rng.integers(0, CLASSES, n)
    groups = {
        "site": _blank(rng.choice(SITES, n, p=(0.5, 0.3, 0.2)), rng.random(n) < 0.02),
        "speaker": _strings(rng.choice(SPEAKERS, n)),
    }
    heard = _repair(truth, repaired, rng)
    photo, clip = _scores(truth, 2.6, rng), _scores(heard, 3.0, rng)
    absent = rng.random(n) < missing
    fused = photo * np.where(absent[:, None], 1.0, clip)
    for key, share in (confuse or {}).items():
        feature, _, value = key.partition("=")
        wrong = (groups[feature] == value) & (rng.random(n) < share)
        fused[wrong] = np.roll(fused[wrong], 1, axis=1)
    fused /= fused.sum(axis=1, keepdims=True)
    concept = _CONCEPTS[truth]
    known = rng.random(n) < labelled
    brightness = rng.beta(20, 130, n) * darken
    vectors = {
        "inputs.photo.scores": photo,
        "inputs.clip.scores": np.where(absent[:, None], np.nan, clip),
        "output.scores": fused,
        "inputs.photo.embedding": concept + 0.5 * rng.normal(size=(n, 16)),
        "inputs.note.embedding": concept + 0.5 * rng.normal(size=(n, 16)),
    }
    clip_columns = {
        "level_dbfs": rng.normal(-22, 3, n),
        "snr_db": rng.normal(27, 5, n) - noise_db,
        "duration_s": rng.gamma(30, 0.43 / 30, n),
    }
    return Rows(
        model=model,
        ids=_ids(time_us, rng),
        time_us=time_us,
        version=np.full(n, version, object),
        sampling=np.ones(n),
        described=np.ones(n, bool),
        numeric={
            "inputs.photo.descriptors.brightness": brightness,
            "inputs.photo.descriptors.contrast": 0.26 * darken + 0.4 * brightness + rng.normal(0, 0.02, n),
            "inputs.photo.descriptors.sharpness": rng.gamma(25, 0.002, n),
            **{f"inputs.clip.descriptors.{key}": np.where(absent, np.nan, x) for key, x in clip_columns.items()},
            "inputs.note.descriptors.words": rng.poisson(12, n).astype(np.float64) + 1,
            "latency_s": rng.lognormal(np.log(0.004), 0.3, n),
            "energy.joules": rng.gamma(50, joules / 50, n),
        },
        categorical={
            "output.label": _strings(fused.argmax(axis=1).astype(str)),
            "inputs.note.descriptors.language": _strings(rng.choice(LANGUAGES, n, p=(0.7, 0.15, 0.1, 0.05))),
        },
        vectors={name: values.astype(np.float32) for name, values in vectors.items()},
        presence={
            "photo": np.full(n, PRESENT, np.int8),
            "clip": np.where(absent, MISSING, PRESENT).astype(np.int8),
            "note": np.full(n, PRESENT, np.int8),
        },
        modality=dict(MODALITY),
        describer={name: np.full(n, version, object) for name, version in DESCRIBERS.items()},
        commitment={name: _strings([f"sha256:{seed:08x}{i:08x}" for i in range(n)]) for name in MODALITY},
        groups=groups,
        truth=_blank(truth, ~known),
        truth_value=np.full(n, np.nan),
        labelled_us=np.where(known, time_us + 7_200_000_000, -1),
        energy_method=np.full(n, "modelled", object),
    )


def make_records(n: int = 400, seed: int = 0, **options: Any) -> tuple[list[Record], list[Label]]:
    """The rows of `make_rows(n, seed, **options)` as records, and the labels of those whose truth is known."""
    rows = make_rows(n, seed, **options)
    records = [_record(rows, index) for index in range(rows.n)]
    labels = [
        Label(id=rows.ids[index], model=rows.model, time=from_us(rows.labelled_us[index]), label=rows.truth[index])
        for index in range(rows.n)
        if rows.truth[index] is not None
    ]
    return records, labels


def make_state(rows: Rows | None = None, frame: Frame | None = None, **options: Any) -> WindowState:
    """The state of `rows` (or of `make_rows(**options)`) on `frame` (or on the default frame), all versions together."""
    from auditor.audit.summarise import summarise
    from auditor.core.state import merge_all

    rows = make_rows(**options) if rows is None else rows
    span = Span(from_us(rows.time_us.min()), from_us(rows.time_us.max() + 1)).widen(timedelta(hours=1))
    return merge_all(summarise(rows, frame or Frame(rows.model), span))


def make_window(n: int = 400, seed: int = 0, **options: Any) -> tuple[WindowState, WindowState, Frame]:
    """A day's state, the state of the clean baseline week before it, and the frame fitted on that week.

    `options` are the faults of `make_rows`; they go into the day alone.
    """
    from auditor.audit.summarise import fit_frame

    week = make_rows(7 * n, seed + 1_000_003, start=START, span=7 * DAY)
    frame = fit_frame(week)
    day = make_rows(n, seed, **{"start": START + 7 * DAY, **options})
    return make_state(day, frame), make_state(week, frame), frame


def _scores(truth: Ints, boost: float, rng: np.random.Generator) -> Floats:
    """Softmax scores of a head that is usually right, shape (n, classes)."""
    logits = rng.normal(size=(len(truth), CLASSES))
    logits[np.arange(len(truth)), truth] += boost + 1.5
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores: Floats = odds / odds.sum(axis=1, keepdims=True)
    return scores


def _repair(truth: Ints, share: float, rng: np.random.Generator) -> Ints:
    """`truth` with the entries of a random share of the rows rotated among themselves."""
    chosen = np.flatnonzero(rng.random(len(truth)) < share)
    moved = truth.copy()
    moved[chosen] = truth[np.roll(chosen, 1)]
    return moved


def _ids(time_us: Ints, rng: np.random.Generator) -> Strings:
    """Ids of the shape of a UUIDv7 with their noise from `rng`; counted within a millisecond, so that they are sorted."""
    noise = rng.integers(0, 1 << 48, len(time_us))
    return _strings(
        [
            f"{(us // 1000) >> 16:08x}-{(us // 1000) & 0xFFFF:04x}-7{us % 1000:03x}-8{i & 0xFFF:03x}-{tail:012x}"
            for i, (us, tail) in enumerate(zip(time_us.tolist(), noise.tolist()))
        ]
    )


def _strings(values: Any) -> Strings:
    """An array of plain `str` and None, whatever numpy made of them."""
    found = np.empty(len(values), object)
    found[:] = [None if value is None else str(value) for value in values]
    return found


def _blank(values: Any, gone: Any) -> Strings:
    """`values` as strings, None where `gone`."""
    found = _strings(values)
    found[gone] = None
    return found


def _record(rows: Rows, i: int) -> Record:
    inputs = []
    for name, modality in rows.modality.items():
        if rows.presence[name][i] == MISSING:
            inputs.append(Input(name=name, modality=modality, missing=True))
            continue
        prefix = f"inputs.{name}.descriptors."
        numbers = {key[len(prefix) :]: float(x[i]) for key, x in rows.numeric.items() if key.startswith(prefix)}
        words = {key[len(prefix) :]: x[i] for key, x in rows.categorical.items() if key.startswith(prefix)}
        inputs.append(
            Input(
                name=name,
                modality=modality,
                descriptors={**numbers, **words},
                scores=_vector(rows, f"inputs.{name}.scores", i),
                embedding=_vector(rows, f"inputs.{name}.embedding", i),
                commitment=rows.commitment[name][i],
                describer=rows.describer[name][i].partition("|")[0],
            )
        )
    return Record(
        id=rows.ids[i],
        time=from_us(rows.time_us[i]),
        model=ModelRef(name=rows.model, version=rows.version[i]),
        inputs=tuple(inputs),
        output=Output(label=rows.categorical["output.label"][i], scores=_vector(rows, "output.scores", i)),
        groups={feature: values[i] for feature, values in rows.groups.items()},
        latency_s=float(rows.numeric["latency_s"][i]),
        energy=EnergyFigure(joules=float(rows.numeric["energy.joules"][i]), method="modelled"),
    )


def _vector(rows: Rows, column: str, i: int) -> tuple[float, ...] | None:
    values = rows.vectors.get(column)
    return None if values is None or np.isnan(values[i]).any() else tuple(map(float, values[i]))
