"""The parts of vectors as columns: classes of a head, components of an embedding, and what the components leave out.

They exist on a fitted frame alone, which says which of them there are; they are tested together as views of an input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from auditor.core.frame import Frame
from auditor.core.identity import hash64_all
from auditor.core.projection import Fold, Head
from auditor.core.rows import Floats, Rows
from auditor.statistics.columns import pair_rank
from auditor.statistics.folds import agreement, components, fit_folds, fit_heads

MOST_CLASSES = 32
"""Heads of more classes are told apart by their components instead."""
SHARED_COSINE = 0.1
"""Mean cosine in the baseline below which two embeddings of the same length do not share a space."""


def id_hashes(rows: Rows) -> NDArray[np.uint64]:
    """`hash64` of each id, shape (n,)."""
    return hash64_all(rows.ids.tolist())


def is_odd(hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which half of the rows each belongs to: the last bit of its id's hash."""
    return (hashes & np.uint64(1)).astype(bool)


def class_columns(rows: Rows) -> dict[str, Floats]:
    """`<vector>.<class>` for every score vector of at most 32 classes."""
    return {
        f"{name}.{k}": x[:, k].astype(np.float64)
        for name, x in rows.vectors.items()
        if name.endswith(".scores") and x.shape[1] <= MOST_CLASSES
        for k in range(x.shape[1])
    }


def has_components(name: str, size: int) -> bool:
    """Whether a vector column is compared by components: embeddings, and scores of very many classes."""
    return name.endswith(".embedding") or (name.endswith(".scores") and size > MOST_CLASSES)


def fit_views(
    rows: Rows, odd: NDArray[np.bool_], cosines: Mapping[str, float]
) -> tuple[dict[str, tuple[Fold, Fold]], dict[tuple[str, str], tuple[Head, Head]]]:
    """Folds of the vectors, and heads of the pairs of embeddings without a shared space.

    Parameters
    ----------
    cosines : mapping of str to float
        By `a~b`: mean cosine of the pair's embeddings in the baseline.
    """
    folds = {}
    for name, x in sorted(rows.vectors.items()):
        finite = np.asarray(np.isfinite(x).all(axis=1))
        if has_components(name, x.shape[1]) and finite.any():
            both_halves = fit_folds(x[finite], odd[finite])
            if both_halves is not None:
                folds[name] = both_halves
    heads = {}
    for a, b in _apart(rows, folds, cosines):
        names = _embedding(a), _embedding(b)
        both = np.asarray(
            np.isfinite(rows.vectors[names[0]]).all(axis=1) & np.isfinite(rows.vectors[names[1]]).all(axis=1)
        )
        # Seen through their own half's fold, as the other half's rows will be.
        left, right = (components(rows.vectors[name][both], ~odd[both], folds[name])[0] for name in names)
        found = fit_heads(left, right, odd[both])
        if found is not None:
            heads[a, b] = found
    return folds, heads


def _embedding(name: str) -> str:
    return f"inputs.{name}.embedding"


def _apart(rows: Rows, folds: Mapping[str, object], cosines: Mapping[str, float]) -> Sequence[tuple[str, str]]:
    names = sorted((name for name in rows.modality if _embedding(name) in folds), key=partial(pair_rank, rows.modality))
    return [(a, b) for a, b in combinations(names, 2) if cosines.get(f"{a}~{b}", 0.0) < SHARED_COSINE]


def view_columns(rows: Rows, frame: Frame, odd: NDArray[np.bool_]) -> dict[str, Floats]:
    """The frame's class, component, residual and canonical columns of these rows, by name.

    `<vector>.<class>`, `<vector>.c<component>`, `<vector>.residual` and `pairs.<a>~<b>.cca`.
    """
    found = {name: x for name, x in class_columns(rows).items() if name in frame.columns}
    parts: dict[str, Floats] = {}
    for name, folds in frame.folds.items():
        x = rows.vectors.get(name)
        if x is None or x.shape[1] != len(folds[0].center):
            continue
        y, rest = components(x, odd, folds)
        parts[name] = y
        found.update({f"{name}.c{k:02d}": y[:, k] for k in range(y.shape[1])})
        if folds[0].residual:
            found[f"{name}.residual"] = rest
    for (a, b), heads in frame.heads.items():
        left, right = parts.get(_embedding(a)), parts.get(_embedding(b))
        if left is not None and right is not None:
            found[f"pairs.{a}~{b}.cca"] = agreement(left, right, odd, heads)
    return found


def gap_vectors(rows: Rows, pairs: Sequence[tuple[str, str]]) -> dict[str, NDArray[np.float32]]:
    """`pairs.<a>~<b>.gap`: difference of the two embeddings, each at length 1, shape (n, d); NaN rows where absent."""
    found = {}
    for a, b in pairs:
        x, y = rows.vectors.get(_embedding(a)), rows.vectors.get(_embedding(b))
        if x is not None and y is not None and x.shape[1] == y.shape[1]:
            found[f"pairs.{a}~{b}.gap"] = (_unit(x) - _unit(y)).astype(np.float32)
    return found


def _unit(x: NDArray[np.float32]) -> Floats:
    wide = x.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = wide / np.sqrt((wide**2).sum(axis=1))[:, None]
    return found
