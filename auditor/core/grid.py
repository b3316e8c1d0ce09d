"""The grid on which a numeric column is counted: cut points of a baseline, or relative bins before there is one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from auditor.core.fast import Cells
from auditor.core.rows import Floats, Ints

GRID_BINS = 4096
"""Most bins of a fitted grid: a KS distance on it is off by at most the mass of one bin."""
_FEW_VALUES = 4096
_FEW_EDGES = 110
_BLOCK = 1 << 16
"""Values looked at together, so that what is made of them stays in cache."""


@dataclass(frozen=True)
class Grid:
    """Cut points of one numeric column, fitted on the baseline's values.

    Attributes
    ----------
    edges : ndarray of float64, shape (b - 1,)
        Inner edges, strictly rising: bin i holds edges[i - 1] <= x < edges[i].
    values : ndarray of float64, shape (b,)
        What a value in each bin counts as (mean of the baseline's values there), for distances in the column's unit.
    atoms : ndarray of int64
        Bins that hold one frequent value of the baseline and no other.
    """

    edges: Floats
    values: Floats
    atoms: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def index(self, x: Floats) -> Ints:
        """Bin of each value, shape (n,); x must be finite."""
        if self._small(x):
            return self._search(x)
        found = np.empty(len(x), np.int64)
        for start, block, bins in self._blocks(x):
            unsure = np.flatnonzero(bins == self._cells.unsure)
            bins[unsure] = self._search(block[unsure])
            found[start : start + len(bins)] = bins
        return found

    def count(self, x: Floats) -> Ints:
        """Values by bin, shape (b,); x must be finite. As `np.bincount` of `index`, without an array as long as x."""
        if self._small(x):
            return np.bincount(self._search(x), minlength=len(self.edges) + 1)
        counts = np.zeros(len(self.edges) + 2, np.int64)
        for _, block, bins in self._blocks(x):
            found = np.bincount(bins, minlength=len(counts))
            counts += found
            if found[-1]:
                unsure = block[np.flatnonzero(bins == self._cells.unsure)]
                counts += np.bincount(self._search(unsure), minlength=len(counts))
        return counts[:-1]

    def _small(self, x: Floats) -> bool:
        return len(x) < _FEW_VALUES or len(self.edges) < _FEW_EDGES

    def _search(self, x: Floats) -> Ints:
        return np.searchsorted(self.edges, x, side="right").astype(np.int64, copy=False)

    def _blocks(self, x: Floats) -> Iterator[tuple[int, Floats, Ints]]:
        """Places of blocks of values, the values, and their bins or `unsure`; the bins hold until the next block."""
        room, found = np.empty((2, min(_BLOCK, len(x)))), np.empty(min(_BLOCK, len(x)), np.int64)
        for start in range(0, len(x), _BLOCK):
            block = x[start : start + _BLOCK]
            yield start, block, self._cells.index(block, room[:, : len(block)], found[: len(block)])

    @cached_property
    def _cells(self) -> Cells:
        return Cells.of(self.edges)

    def __getstate__(self) -> dict[str, NDArray]:
        return {
            "edges": self.edges,
            "values": self.values,
            "atoms": self.atoms,
        }  # cells are eight times as large, and soon made again

    def value(self, bins: Ints) -> Floats:
        """What a value in each of these bins counts as."""
        return self.values[bins]


@dataclass(frozen=True, slots=True)
class LogGrid:
    """The grid before any baseline: relative bins (DDSketch, Masson et al. 2019) that need no fitting.

    Bin of x > 0 is ceil(log(x) / log(gamma)) with gamma = (1 + accuracy) / (1 - accuracy), mirrored for x < 0; any value
    is recovered within `accuracy` relative. |x| < 1e-9 counts as zero.
    """

    accuracy: float = 0.005

    @property
    def _log_gamma(self) -> float:
        return float(np.log((1 + self.accuracy) / (1 - self.accuracy)))

    def index(self, x: Floats) -> Ints:
        """Bin of each value, shape (n,); x must be finite."""
        magnitude = np.abs(x)
        near_zero = magnitude < 1e-9
        # The offset keeps every magnitude's bin positive, so that the sign of the value can be the sign of the bin.
        offset = np.ceil(-np.log(1e-9) / self._log_gamma) + 1
        bins = np.ceil(np.log(np.where(near_zero, 1.0, magnitude)) / self._log_gamma) + offset
        return np.where(near_zero, 0, np.sign(x) * bins).astype(np.int64)

    def value(self, bins: Ints) -> Floats:
        """What a value in each of these bins counts as."""
        offset = np.ceil(-np.log(1e-9) / self._log_gamma) + 1
        middle = 2 * np.exp((np.abs(bins) - offset) * self._log_gamma) / (1 + np.exp(self._log_gamma))
        return np.where(bins == 0, 0.0, np.sign(bins) * middle)


AnyGrid = Grid | LogGrid
