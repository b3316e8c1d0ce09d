"""Groups: the few classes that a column's values are compared in, taken from the baseline.

Each frequent value of a numeric column has a group of its own, and so have the values between two of them; the others share
groups of about equal mass. The most frequent categories have a group each, other frequent ones share one, and so do those that the baseline had
rarely or never.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from auditor.core.frame import Frame
from auditor.core.rows import Floats, Ints
from auditor.core.state import OTHER, WindowState
from auditor.statistics.distances import collapse, grouped

COARSE = 10
"""Groups of equal mass that PSI, the Jensen-Shannon distance and bets on shares tell values apart by."""
FINE = 200
"""Groups of equal mass that ranks are taken in."""
CATEGORIES = 50
"""Categories with a group of their own."""
_RARE = 5
"""Occurrences up to which a category may count as rare."""


def group_bins(counts: Ints, atoms: Ints, most: int) -> Ints:
    """Group of each bin of a grid, shape (b,), rising from 0.

    Parameters
    ----------
    counts : ndarray of int, shape (b,)
        The baseline's values by bin.
    atoms : ndarray of int
        Bins of single frequent values. One with half the mass of an equal share of `most` groups gets a group of its own;
        the bins between two such atoms, and those beyond the outermost, belong to other groups even where they are empty.

    Examples
    --------
    >>> group_bins(np.array([0, 5, 0, 0, 5, 0]), np.array([1, 4]), 10).tolist()
    [0, 1, 2, 2, 3, 4]
    """
    starts = np.zeros(len(counts) + 1, bool)
    starts[1:-1] = np.diff(collapse(counts, most)) > 0
    own = atoms[counts[atoms] * 2 * most >= counts.sum()]
    starts[own] = starts[own + 1] = True
    starts[0] = False
    return np.cumsum(starts[:-1])


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups of one column, and how often the baseline had each.

    Attributes
    ----------
    counts : ndarray of int64, shape (g,)
    bins : ndarray of int64, shape (b,)
        Group of each bin of a numeric column's grid; empty for a categorical column.
    codes : mapping of str to int
        Group of each frequent category; the others belong to the last group.
    """

    counts: Ints
    bins: Ints
    codes: Mapping[str, int]

    def of(self, state: WindowState, name: str) -> Ints:
        """How often the state had each group, shape (g,)."""
        if len(self.bins):
            column = state.numeric.get(name)
            found = np.zeros(len(self.counts), np.int64)
            if column is not None:
                found += np.bincount(self.bins[column.bins], column.counts, len(found)).astype(np.int64)
            return found
        known = state.categorical.get(name)
        found = np.zeros(len(self.counts), np.int64)
        for code, count in (known.counts if known is not None else {}).items():
            found[self.of_code(code)] += count
        return found

    def of_code(self, code: str) -> int:
        """Group of a category."""
        return self.codes.get(code, len(self.counts) - 1)

    def mid_ranks(self) -> Floats:
        """Share of the baseline below each group, plus half of the group's own, shape (g,)."""
        share = self.counts / max(int(self.counts.sum()), 1)
        found: Floats = np.cumsum(share) - share / 2
        return found


def numeric_groups(counts: Ints, atoms: Ints, most: int) -> Groups:
    """Groups of a numeric column whose baseline has these counts by bin."""
    bins = group_bins(counts, atoms, most)
    return Groups(grouped(counts, bins), bins, {})


def category_groups(counts: Mapping[str, int]) -> Groups:
    """Groups of a categorical column whose baseline has these counts by category; the most frequent one first.

    The last group takes in what the baseline had rarely or never. A category seen j times in the baseline is, among new
    rows, as frequent as those seen j + 1 times are in the baseline (Good 1953), so its count has that correction.
    """
    of_count = Counter(counts.values())
    rare = next((j for j in range(1, _RARE) if not of_count[j]), _RARE)
    folded = OTHER in counts  # then nobody knows which categories the baseline never had
    frequent = sorted(
        (code for code, n in counts.items() if n >= rare and code != OTHER), key=lambda code: (-counts[code], code)
    )
    own, others = frequent[:CATEGORIES], [] if folded else frequent[CATEGORIES:]
    sizes = [counts[code] for code in own] + ([sum(counts[code] for code in others)] if others else [])
    expected = sum(j * of_count[j] for j in range(1, rare + 1))
    if folded:
        expected = sum(counts.values()) - sum(sizes)
    codes = {code: min(place, CATEGORIES) for place, code in enumerate([*own, *others])}
    return Groups(np.array([*sizes, expected], np.int64), np.empty(0, np.int64), codes)


def column_groups(name: str, kind: str, baseline: WindowState, frame: Frame, most: int = COARSE) -> Groups | None:
    """Groups of a column of the baseline; None where there is no figure or no grid for it."""
    if kind == "numeric":
        column, grid = baseline.numeric.get(name), frame.grids.get(name)
        if column is None or grid is None or not column.n:
            return None
        return numeric_groups(column.dense(len(grid.values)), grid.atoms, most)
    known = baseline.categorical.get(name)
    return category_groups(known.counts) if known is not None and known.n else None
