"""The verb `examples`: which records of a window lie nearest to the change that an alert is about.

They come from the window's sample, so that they cost nothing, and they are the same on every machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from auditor.core.frame import ColumnSpec, Frame
from auditor.core.measurement import Measurement
from auditor.core.rows import Floats
from auditor.core.state import Sample, WindowState
from auditor.core.verdict import Alert, AlertChange, Verdict

MOST = 5
"""Examples of one alert: enough to see what they share."""


def with_examples(
    change: AlertChange,
    verdicts: Sequence[Verdict],
    measurements: Sequence[Measurement],
    current: WindowState,
    baseline: WindowState | None,
    frame: Frame,
) -> AlertChange:
    """The alerts that open in a window, each with examples of the figure its verdict hangs on."""
    if not change.opened:
        return change
    figures = {m.id: m for m in measurements}
    deciding = {verdict.id: figures.get(verdict.evidence[0]) for verdict in verdicts if verdict.evidence}

    def shown(alert: Alert) -> Alert:
        figure = deciding.get(alert.verdict)
        return alert if figure is None else replace(alert, examples=examples(figure, current, baseline, frame))

    return replace(change, opened=tuple(shown(alert) for alert in change.opened))


def examples(
    deciding: Measurement, current: WindowState, baseline: WindowState | None, frame: Frame, most: int = MOST
) -> tuple[str, ...]:
    """Ids of at most `most` records that show what a figure is about, the most telling first; none, when no row can.

    - a numeric column or a pair: rows furthest in the direction its mean moved; away from it on both sides, when only the
      spread moved
    - a column of words: rows with the words that became most frequent
    - a missing input: rows without it
    - a rate or a gap between groups: rows that were answered wrongly, of the group with the lowest accuracy for a gap
    """
    sample = current.sample
    at = deciding.attributes
    if not sample.n:
        return ()
    if deciding.metric == "input.missing_rate" and "input" in at:
        return _ids(sample, _without(sample, at["input"]).astype(np.float64), most)
    if deciding.metric.startswith(("fairness.", "quality.")):
        return _ids(sample, _wrong(sample, at.get("feature")).astype(np.float64), most)
    spec = _column(at, frame)
    if spec is None or baseline is None:
        return ()
    if spec.kind == "categorical":
        return _ids(sample, _more_frequent(sample, spec.name, current, baseline), most)
    values = sample.numeric.get(spec.name)
    if values is None or spec.name not in baseline.numeric or spec.name not in current.numeric:
        return ()
    return _ids(sample, _towards(values, spec.name, current, baseline), most)


def _column(attributes: Mapping[str, str], frame: Frame) -> ColumnSpec | None:
    """The frame's column with these attributes; for a pair without a column, its agreement."""
    asked = {key: attributes[key] for key in ("column", "input", "modality", "pair") if key in attributes}
    if not asked:
        return None
    for spec in frame.columns.values():
        own = spec.attributes()
        if all(own.get(key) == value for key, value in asked.items()) and ("column" in asked or spec.pair is not None):
            return spec
    return None


def _towards(values: Floats, name: str, current: WindowState, baseline: WindowState) -> Floats:
    """How far each value lies in the direction of the change, in standard deviations of the baseline; 0 behind its mean."""
    then, now = baseline.numeric[name].moments, current.numeric[name].moments
    scale = float(np.sqrt(then.variance)) or float(np.sqrt(now.variance)) or 1.0
    moved = (now.mean - then.mean) / scale
    away = (values - then.mean) / scale
    error = float(np.sqrt(1 / max(then.n, 1) + 1 / max(now.n, 1)))
    ahead = np.abs(away) if abs(moved) < 2 * error else away * np.sign(moved)
    return np.where(np.isfinite(ahead), np.maximum(ahead, 0.0), 0.0)


def _more_frequent(sample: Sample, name: str, current: WindowState, baseline: WindowState) -> Floats:
    words = sample.categorical.get(name)
    if words is None or name not in current.categorical or name not in baseline.categorical:
        return np.zeros(sample.n)
    now, then = current.categorical[name], baseline.categorical[name]
    grown = {
        word: count / now.n - then.counts.get(word, 0) / then.n
        for word, count in now.counts.items()
        if word is not None
    }
    return np.array([max(grown.get(word, 0.0), 0.0) if word is not None else 0.0 for word in words.tolist()])


def _without(sample: Sample, name: str) -> NDArray[np.bool_]:
    """Rows that no column of the input has a value in."""
    prefix = f"inputs.{name}."
    found = np.ones(sample.n, bool)
    for column, values in sample.numeric.items():
        if column.startswith(prefix) and column != f"{prefix}payload":
            found &= ~np.isfinite(values)
    for column, words in sample.categorical.items():
        if column.startswith(prefix):
            found &= np.array([word is None for word in words.tolist()], bool)
    return found


def _wrong(sample: Sample, feature: str | None) -> NDArray[np.bool_]:
    """Rows whose truth is known and another than the answer; with a feature, those of its least accurate group."""
    answers, truths = sample.categorical.get("output.label"), sample.categorical.get("truth")
    if answers is None or truths is None:
        return np.zeros(sample.n, bool)
    pairs = list(zip(answers.tolist(), truths.tolist(), strict=True))
    wrong: NDArray[np.bool_] = np.array([a is not None and t is not None and a != t for a, t in pairs], bool)
    if feature is None or f"groups.{feature}" not in sample.categorical:
        return wrong
    groups = sample.categorical[f"groups.{feature}"].tolist()
    known = Counter(group for group, (a, t) in zip(groups, pairs, strict=True) if a is not None and t is not None)
    missed = Counter(group for group, bad in zip(groups, wrong.tolist(), strict=True) if bad)
    if not missed:
        return wrong
    worst = max(missed, key=lambda group: (missed[group] / known[group], missed[group], str(group)))
    of_worst: NDArray[np.bool_] = np.array([group == worst for group in groups], bool)
    return np.logical_and(wrong, of_worst)


def _ids(sample: Sample, telling: Floats, most: int) -> tuple[str, ...]:
    """Ids of the rows with the highest figures above 0; among equals in the sample's order."""
    order = np.argsort(-telling, kind="stable")[:most]
    return tuple(str(sample.ids[place]) for place in order if telling[place] > 0)
