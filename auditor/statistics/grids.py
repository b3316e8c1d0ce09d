"""Fitting the grid of a numeric column: equal-mass bins on the baseline, wider and wider ones beyond its range."""

from __future__ import annotations

import numpy as np

from auditor.core.frame import GRID_BINS, Grid
from auditor.core.rows import Floats, Ints

OUTER = 2.0 ** (np.arange(-24, 24) / 3)
"""Distances of the outer edges from the baseline's range, in widths of that range: a 200-fold overshoot keeps its size."""


def fit_grid(x: Floats, bins: int = GRID_BINS) -> Grid:
    """The grid of a column whose baseline values are `x`.

    A column of few distinct values gets an edge between each pair of neighbours, so that the baseline is counted exactly;
    one of many gets edges at its quantiles.

    Parameters
    ----------
    x : ndarray of float64, shape (n,)
        Finite, n >= 1.
    bins : int
        Most bins, the outer ones included.

    Examples
    --------
    >>> grid = fit_grid(np.array([1.0, 1.0, 2.0, 4.0]))
    >>> grid.value(grid.index(np.array([1.0, 2.0, 4.0]))).tolist()
    [1.0, 2.0, 4.0]
    """
    if not len(x):
        raise ValueError("a grid needs at least one value")
    distinct, counts = np.unique(x, return_counts=True)
    edges = _between(distinct, _cuts(counts, bins - 2 * len(OUTER)))
    low, high = float(distinct[0]), float(distinct[-1])
    with np.errstate(over="ignore"):
        width = min(high - low, np.finfo(float).max / 1024) or abs(high) or 1.0
        outer = np.concatenate([low - width * OUTER, high + width * OUTER])
    edges = np.unique(np.concatenate([edges, outer[np.isfinite(outer)]]))
    place = np.searchsorted(edges, distinct, side="right")
    mass = np.bincount(place, counts, len(edges) + 1)
    total = np.bincount(place, distinct * (counts / len(x)), len(edges) + 1) * len(x)
    middle = np.concatenate([edges[:1], edges[:-1] / 2 + edges[1:] / 2, edges[-1:]])
    return Grid(edges, np.where(mass > 0, total / np.maximum(mass, 1), middle))


def _cuts(counts: Ints, bins: int) -> Ints:
    """After which of the rising distinct values to cut, for at most `bins` bins of about equal mass."""
    if len(counts) <= bins:
        return np.arange(len(counts) - 1)
    below = np.cumsum(counts)
    cuts = np.unique(np.searchsorted(below, below[-1] * np.arange(1, bins) / bins))
    return cuts[cuts < len(counts) - 1]


def _between(distinct: Floats, cuts: Ints) -> Floats:
    """Edges half-way to the next value; at that value itself where there is no number between."""
    left, right = distinct[cuts], distinct[cuts + 1]
    middle = left / 2 + right / 2
    edges: Floats = np.where(middle > left, middle, right)
    return edges
