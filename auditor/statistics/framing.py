"""Fitting the frame of a baseline."""

from __future__ import annotations

from collections import Counter

import numpy as np

from auditor.core.frame import GRID_BINS, Frame
from auditor.core.identity import hash64
from auditor.core.rows import Floats, Rows
from auditor.statistics.columns import column_spec, comparable_pairs, derive, word_columns
from auditor.statistics.grids import fit_grid
from auditor.statistics.projections import fit_projection
from auditor.statistics.views import class_columns, fit_views, gap_vectors, id_hashes, is_odd, view_columns

DETAIL_BINS = 512
"""Most bins of a class's or a component's grid: there are many of them, and a KS distance is off by 1 / 416 at most."""


def fit_frame(rows: Rows) -> Frame:
    """The frame of a baseline: a grid for every numeric column, derived ones included, a projection for every vector.

    Inputs whose heads score the same number of classes are paired (concordance), and so are those whose embeddings have
    the same dimension (cosine); embeddings that share no space get canonical directions instead.
    """
    pairs = comparable_pairs(rows)
    odd = is_odd(id_hashes(rows))
    numeric = derive(rows, pairs)
    cosines = {f"{a}~{b}": _mean(numeric.get(f"pairs.{a}~{b}.cosine")) for a, b in pairs}
    folds, heads = fit_views(rows, odd, cosines)
    numeric |= class_columns(rows)
    specs = {name: column_spec(name, "categorical", rows.modality) for name in word_columns(rows)}
    specs |= {name: column_spec(name, "numeric", rows.modality) for name in numeric}
    bare = Frame(rows.model, columns=specs, folds=folds, heads=heads)
    numeric |= view_columns(rows, bare, odd)
    grids = {}
    for name, values in numeric.items():
        finite = values[np.isfinite(values)]
        spec = column_spec(name, "numeric", rows.modality)
        if len(finite):
            grids[name] = fit_grid(finite, DETAIL_BINS if spec.detail else GRID_BINS)
            specs[name] = spec
        elif specs.get(name) == spec:
            del specs[name]
    projections = {}
    shared = [pair for pair in pairs if pair not in heads]
    for name, vectors in {**rows.vectors, **gap_vectors(rows, shared)}.items():
        known = vectors[np.isfinite(vectors).all(axis=1)]
        if len(known):
            projections[name] = fit_projection(known, seed=hash64(name) % 2**32)
            specs[name] = column_spec(name, "vector", rows.modality)
    return Frame(
        rows.model,
        columns=dict(sorted(specs.items())),
        grids=dict(sorted(grids.items())),
        projections=dict(sorted(projections.items())),
        pairs=pairs,
        describers=_describers(rows),
        folds=folds,
        heads=heads,
    )


def _mean(values: Floats | None) -> float:
    """Mean of what is there; 0 of nothing."""
    known = values[np.isfinite(values)] if values is not None else np.empty(0)
    return float(known.mean()) if len(known) else 0.0


def _describers(rows: Rows) -> dict[str, str]:
    """By input, what described most of its rows."""
    found = {}
    for name, versions in sorted(rows.describer.items()):
        counts = Counter(version for version in versions.tolist() if version is not None)
        if counts:
            found[name] = min(counts, key=lambda version: (-counts[version], version))
    return found
