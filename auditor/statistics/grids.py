"""Fitting the grid of a numeric column: bins for frequent values, bins of equal mass, wide bins beyond the range."""

from __future__ import annotations

import numpy as np

from auditor.core.grid import GRID_BINS, Grid
from auditor.core.rows import Floats, Ints

OUTER = 2.0 ** (np.arange(-24, 24) / 3)
"""Distances of the outer edges from the baseline's range, in widths of that range: a 200-fold overshoot keeps its size."""

ATOM_SHARE = 1 / 400
ATOM_COUNT = 5
"""An atom is a value that makes up at least this share of the baseline's values, and occurs at least so often."""
_ROUNDING = 1e-7
"""Relative half-width of an atom's bin: a value that was rounded to 32 bits on its way stays in it."""


def fit_grid(x: Floats, bins: int = GRID_BINS, atoms: Floats | None = None) -> Grid:
    """The grid of a column whose baseline values are `x`.

    A column of few distinct values gets an edge between each pair of neighbours, so that the baseline is counted exactly;
    one of many gets edges at its quantiles. Each atom has a narrow bin of its own, so that a value which the baseline never
    had shares no bin with it.

    Parameters
    ----------
    x : ndarray of float64, shape (n,)
        Finite, n >= 1.
    bins : int
        Most bins, the outer ones included.
    atoms : ndarray of float64, optional
        Values of independent rows, among which atoms are looked for; x itself when absent.

    Examples
    --------
    >>> grid = fit_grid(np.array([1.0, 1.0, 2.0, 4.0]))
    >>> grid.value(grid.index(np.array([1.0, 2.0, 4.0]))).tolist()
    [1.0, 2.0, 4.0]
    """
    if not len(x):
        raise ValueError("a grid needs at least one value")
    distinct, counts = np.unique(x, return_counts=True)
    frequent = _atoms(x if atoms is None else atoms, (bins - 2 * len(OUTER)) // 8)
    below, above = _around(frequent, distinct)
    edges = _between(distinct, _cuts(counts, bins - 2 * len(OUTER) - 2 * len(frequent)))
    low, high = float(distinct[0]), float(distinct[-1])
    with np.errstate(over="ignore"):
        width = min(high - low, np.finfo(float).max / 1024) or abs(high) or 1.0
        outer = np.concatenate([low - width * OUTER, high + width * OUTER])
    # An edge inside an atom's bin would cut it in two.
    inside = np.searchsorted(below, edges, side="left") - np.searchsorted(above, edges, side="left")
    edges = edges[inside <= 0]
    edges = np.unique(np.concatenate([edges, below, above, outer[np.isfinite(outer)]]))
    place = np.searchsorted(edges, distinct, side="right")
    mass = np.bincount(place, counts, len(edges) + 1)
    total = np.bincount(place, distinct * (counts / len(x)), len(edges) + 1) * len(x)
    middle = np.concatenate([edges[:1], edges[:-1] / 2 + edges[1:] / 2, edges[-1:]])
    values = np.where(mass > 0, total / np.maximum(mass, 1), middle)
    return Grid(edges, values, np.searchsorted(edges, frequent, side="right").astype(np.int64))


def _atoms(x: Floats, most: int) -> Floats:
    """The values of `x` that are frequent enough, rising; the most frequent ones when there are too many."""
    distinct, counts = np.unique(x, return_counts=True)
    least = max(ATOM_COUNT, ATOM_SHARE * len(x))
    if len(distinct) == 1 and len(x):
        least = 1.0
    kept = np.flatnonzero(counts >= least)
    kept = kept[np.argsort(-counts[kept], kind="stable")[:most]]
    return np.sort(distinct[kept])


def _around(atoms: Floats, distinct: Floats) -> tuple[Floats, Floats]:
    """Edges right below and above each atom, nearer to it than to any other baseline value."""
    place = np.searchsorted(distinct, atoms)
    gap = np.full(len(distinct) + 1, np.inf)
    with np.errstate(over="ignore"):
        gap[1:-1] = np.diff(distinct)
    nearest = np.minimum(gap[place], gap[place + 1])
    reach = np.minimum(np.abs(atoms) * _ROUNDING, nearest / 4)
    if bool((distinct == np.rint(distinct)).all()):
        reach = np.minimum(reach, 0.25)
    below, above = atoms - reach, atoms + reach
    return below, np.where(above > atoms, above, np.nextafter(atoms, np.inf))


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
