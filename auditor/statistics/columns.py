"""What columns records have: those they carry, those that follow from them row by row, and what each of them is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations

import numpy as np

from auditor.core.frame import ColumnSpec
from auditor.core.rows import Floats, Rows, Strings
from auditor.statistics.scores import concordance, confidence, cosine, entropy, probabilities


def derive(rows: Rows, pairs: Sequence[tuple[str, str]]) -> dict[str, Floats]:
    """All numeric columns by name, rising: those of the rows, and those that follow from them row by row.

    Derived are `inputs.<i>.confidence` and `.entropy`, `output.confidence` and `.entropy` (from scores),
    `pairs.<a>~<b>.concordance` and `.cosine`, `labels.delay_s`, and, where truth is a number, `output.error`
    (prediction minus truth) and `output.error_abs`.
    """
    found = dict(rows.numeric)
    odds: dict[str, Floats] = {}
    for name, vectors in rows.vectors.items():
        if name.endswith(".scores"):
            owner = name.removesuffix(".scores")
            odds[owner] = probabilities(vectors)
            found[f"{owner}.confidence"] = confidence(vectors)
            found[f"{owner}.entropy"] = entropy(odds[owner])
    for a, b in pairs:
        p, q = odds.get(f"inputs.{a}"), odds.get(f"inputs.{b}")
        if p is not None and q is not None and p.shape[1] == q.shape[1]:
            found[f"pairs.{a}~{b}.concordance"] = concordance(p, q)
        x, y = rows.vectors.get(f"inputs.{a}.embedding"), rows.vectors.get(f"inputs.{b}.embedding")
        if x is not None and y is not None and x.shape[1] == y.shape[1]:
            found[f"pairs.{a}~{b}.cosine"] = cosine(x, y)
    if (rows.labelled_us >= 0).any():
        found["labels.delay_s"] = np.where(rows.labelled_us >= 0, (rows.labelled_us - rows.time_us) / 1e6, np.nan)
    if "output.value" in found and np.isfinite(rows.truth_value).any():
        found["output.error"] = found["output.value"] - rows.truth_value
        found["output.error_abs"] = np.abs(found["output.error"])
    return dict(sorted(found.items()))


def word_columns(rows: Rows) -> dict[str, Strings]:
    """Categorical columns by name, rising, without failure codes."""
    return {name: rows.categorical[name] for name in sorted(rows.categorical) if not is_error(name)}


def is_error(name: str) -> bool:
    return name == "output.error" or (name.startswith("inputs.") and name.endswith(".error"))


_FIRST_IN_PAIRS = ("text", "image", "audio", "video", "tabular", "series", "point_cloud", "embedding")
"""Which input of a pair is named first, as pinned baselines have it; other modalities follow, by name of the input."""


def pair_rank(modality: Mapping[str, str], name: str) -> tuple[int, str]:
    """Where the input `name` stands in a pair: by modality, then by name."""
    kind = modality.get(name, "")
    return (_FIRST_IN_PAIRS.index(kind) if kind in _FIRST_IN_PAIRS else len(_FIRST_IN_PAIRS)), name


def comparable_pairs(rows: Rows) -> tuple[tuple[str, str], ...]:
    """Inputs that can be compared, each pair by modality, then by name."""
    rank = partial(pair_rank, rows.modality)
    found = set()
    for kind in ("scores", "embedding"):
        sizes = {name: rows.vectors.get(f"inputs.{name}.{kind}") for name in rows.modality}
        known = sorted((name for name, vectors in sizes.items() if vectors is not None), key=rank)
        for a, b in combinations(known, 2):
            if sizes[a].shape[1] == sizes[b].shape[1]:  # type: ignore[union-attr]
                found.add((a, b))
    return tuple(sorted(found, key=lambda pair: (rank(pair[0]), rank(pair[1]))))


def column_spec(name: str, kind: str, modality: Mapping[str, str]) -> ColumnSpec:
    """What a column is, read off its path; `modality` by input."""
    parts = name.split(".")
    if parts[0] == "pairs":
        return ColumnSpec(name=name, kind=kind, view="pair", pair=parts[1])
    if parts[0] == "inputs":
        # An input's own name may hold dots.
        given = max((i for i in modality if name.startswith(f"inputs.{i}.")), key=len, default=parts[1])
        rest = name[len(f"inputs.{given}.") :]
        return ColumnSpec(name=name, kind=kind, view=_view(rest), input=given, modality=modality.get(given))
    if name.startswith("output.text."):
        return ColumnSpec(
            name=name, kind=kind, view="uncertainty" if parts[-1] == "residual" else "output", modality="text"
        )
    if parts[0] == "output" and not name.startswith("output.error"):
        unsure = parts[-1] in ("entropy", "residual")
        return ColumnSpec(name=name, kind=kind, view="uncertainty" if unsure else "output")
    return ColumnSpec(name=name, kind=kind, view="service", unit="s" if name.endswith("_s") else "1")


def _view(rest: str) -> str:
    known = {"confidence": "output", "scores": "output", "entropy": "uncertainty", "embedding": "embedding"}
    if rest.endswith(".residual"):
        return "uncertainty"
    return known.get(rest.partition(".")[0], "signal")
