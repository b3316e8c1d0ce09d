"""Arithmetic that is written out for speed, each with the benchmark that pays for it.

- `Cells`: `benchmarks/drift.py`, values counted on a grid: 8.5 to 23 times as fast as a search among its edges.
- `cosine`: `benchmarks/engines.py`, days with embeddings: random features in about half the time, and rounded alike everywhere.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from math import factorial

import numpy as np

from auditor.core.rows import Floats, Ints

_WHOLE = 2.0**52
"""Floats from here to its double are whole numbers, and their lowest 52 bits say by how much they exceed it."""
_CELL = 32
"""Bits of a place that say where in its cell it lies; those above say which cell."""
_INSIDE = (1 << _CELL) - 2
"""Those bits but for the lowest, so that only where a place is that of the cell's edge the sum's lower bits are all 0."""
_FIRST = int(np.float64(_WHOLE).view(np.int64)) >> _CELL
_LOW_HALF = int(sys.byteorder == "big")
_MARGINS = (0.0, 0.01, 0.012, 0.015, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.25)
"""Shares of the edges at either end that are tried as the tails, which the first and the last cell take in."""
_SHORT = 0.01


@dataclass(frozen=True, slots=True)
class Cells:
    """Equal cells over the bulk of a grid's edges, which say of most values at once between which edges they lie.

    The place of a value, which is a cell and 32 bits of where in that cell, never falls as the value rises: edges at lower
    places lie below the value and edges at higher places above. A value at the same place as its cell's edge is compared
    with it; one in a cell with several edges is `unsure` and has to be searched for. So the bins are exactly those that a
    search among all edges finds, over ten times as fast.

    Attributes
    ----------
    scale, offset : float
        Place of x is x * scale + offset, less 2**52, as a whole number.
    edges : ndarray of float64
        Those of the grid.
    table : ndarray of int64, shape (cells,)
        By cell, what added to the place in it has the bin in its upper bits: there, how many edges lie in lower cells, and in
        the lower 32 bits the two's complement of the place of its own edge, so that places from there on carry one. A cell
        without an edge has 1 there, which never carries; one with several has `unsure` in the upper bits.
    unsure : int
        One more than the last bin.
    """

    scale: float
    offset: float
    edges: Floats
    table: Ints
    unsure: int

    @staticmethod
    def of(edges: Floats) -> Cells:
        """Cells over the stretch that leaves the fewest edges, which stand for about the same mass each, in shared cells."""
        size, unsure = 1 << (8 * len(edges) - 1).bit_length(), len(edges) + 1
        none = np.zeros(size, np.int64)

        def over(below: float, above: float) -> tuple[int, Cells]:
            """Edges in shared cells, and the cells, when these shares of the edges are the tails."""
            low, high = (float(edges[round(q * (len(edges) - 1))]) for q in (below, 1 - above))
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                scale = float(np.divide((size - 1) * 2.0**_CELL, high - low))
                offset = _WHOLE - low * scale
            if not (np.isfinite(scale) and np.isfinite(offset)):
                return len(edges), Cells(0.0, _WHOLE, edges, none, unsure)
            cells = Cells(scale, offset, edges, none, unsure)
            return int((np.diff(cells.place(edges)[1].clip(0, size - 1)) == 0).sum()), cells

        found = {(q, q): over(q, q) for q in _MARGINS}
        tail = min(found, key=lambda tails: found[tails][0])[0]
        # One tail can be much shorter than the other.
        found |= {tails: over(*tails) for tails in ((_SHORT, tail), (tail, _SHORT))}
        cells = min(found.values(), key=lambda each: each[0])[1]
        inside, cell = cells.place(edges)
        counts = np.bincount(cell.clip(0, size - 1), minlength=size)
        below = np.cumsum(counts) - counts
        # The first and the last cell take in what lies beyond them, whose place in the cell means nothing.
        alone = counts == 1
        alone[[0, -1]] = False
        table = np.where((counts > 0) & ~alone, unsure, below) << _CELL
        table += np.where(alone, (1 << _CELL) - (inside[np.minimum(below, len(edges) - 1)] & _INSIDE), 1)
        return replace(cells, table=table)

    def place(self, x: Floats, room: Floats | None = None) -> tuple[Ints, Ints]:
        """Place of each value, of which only the lowest 32 bits are meant, and its cell, yet to be cut off to [0, cells)."""
        at, cell = np.empty((2, len(x))) if room is None else room
        with np.errstate(over="ignore"):
            np.multiply(x, self.scale, out=at)
        at += self.offset
        # The bits of positive floats rise with the floats; those of negative ones are negative.
        inside, cell = at.view(np.int64), cell.view(np.int64)
        np.right_shift(inside, _CELL, out=cell)
        cell -= _FIRST
        return inside, cell

    def index(self, x: Floats, room: Floats, found: Ints) -> Ints:
        """Number of edges at or below each value, or `unsure`, in `found`; `room` of shape (2, n) is written over."""
        inside, cell = self.place(x, room)
        self.table.take(cell, out=found, mode="clip")
        inside &= _INSIDE
        found += inside
        rest = found.view(np.uint32)[_LOW_HALF::2]
        tied = np.empty(0, np.int64) if rest.min() else np.flatnonzero(rest == 0)
        found >>= _CELL
        if len(tied):
            found[tied] -= x[tied] < self.edges[found[tied] - 1]
        return found


_SINE = [(-1) ** k * (2 * np.pi) ** (2 * k + 1) / factorial(2 * k + 1) for k in range(10)]


def cosine(turns: Floats) -> Floats:
    """Cosine of 2 pi times each, within 1e-15 for small numbers of turns; `turns` is written over.

    The sine's Taylor series over a quarter turn on either side: several times as fast as the library's cosine, and made of
    sums and products alone, which every machine rounds alike.
    """
    turns -= np.rint(turns)
    u = np.subtract(0.25, np.abs(turns, out=turns), out=turns)
    square = u * u
    found: Floats = square * _SINE[-1]
    for factor in _SINE[-2:0:-1]:
        found += factor
        found *= square
    found += _SINE[0]
    found *= u
    return found
