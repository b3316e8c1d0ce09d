"""Fitting the frame of a baseline."""

from __future__ import annotations

from collections import Counter

import numpy as np

from auditor.core.frame import Frame
from auditor.core.identity import hash64
from auditor.core.rows import Rows
from auditor.statistics.columns import column_spec, comparable_pairs, derive, word_columns
from auditor.statistics.grids import fit_grid
from auditor.statistics.projections import fit_projection


def fit_frame(rows: Rows) -> Frame:
    """The frame of a baseline: a grid for every numeric column, derived ones included, a projection for every vector.

    Inputs whose heads score the same number of classes are paired (concordance), and so are those whose embeddings have
    the same dimension (cosine).
    """
    pairs = comparable_pairs(rows)
    numeric = derive(rows, pairs)
    specs = {name: column_spec(name, "categorical", rows.modality) for name in word_columns(rows)}
    grids = {}
    for name, values in numeric.items():
        finite = values[np.isfinite(values)]
        if len(finite):
            grids[name] = fit_grid(finite)
            specs[name] = column_spec(name, "numeric", rows.modality)
    projections = {}
    for name, vectors in rows.vectors.items():
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
    )


def _describers(rows: Rows) -> dict[str, str]:
    """By input, what described most of its rows."""
    found = {}
    for name, versions in sorted(rows.describer.items()):
        counts = Counter(version for version in versions.tolist() if version is not None)
        if counts:
            found[name] = min(counts, key=lambda version: (-counts[version], version))
    return found
