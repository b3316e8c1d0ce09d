"""The frame: what is fitted once on a baseline and then frozen, so that rows need to be summarised only once.

A frame says which columns there are, on which grid each numeric column is counted, how vectors are projected, and which
inputs are compared with each other. Its digest names it; states of different frames never merge.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.core.identity import digest
from auditor.core.rows import Floats, Ints
from auditor.core.spread import Spread

EDITION = 2
"""Raised when frames are fitted otherwise; a baseline with an older frame is fitted again."""
GRID_BINS = 4096
"""Most bins of a fitted grid: a KS distance on it is off by at most the mass of one bin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSpec:
    """A column of a frame.

    Attributes
    ----------
    name : str
        Dotted path (`inputs.photo.descriptors.brightness`) or derived (`inputs.photo.confidence`,
        `pairs.photo~clip.concordance`).
    kind : str
        `numeric`, `categorical` or `vector`.
    view : str
        Which of the views of a modality it belongs to: `signal` (descriptors), `output` (a head's scores),
        `embedding`, `uncertainty` (entropy, reconstruction), `pair` (between two inputs) or `service` (latency, tokens).
    """

    name: str
    kind: str
    view: str
    input: str | None = None
    modality: str | None = None
    pair: str | None = None
    unit: str = "1"

    @property
    def detail(self) -> bool:
        """Whether it is one of many parts of a vector (a class, a component)."""
        parts = (".scores.", ".embedding.")
        return self.kind == "numeric" and ".descriptors." not in self.name and any(part in self.name for part in parts)

    @property
    def component(self) -> bool:
        """Whether it is a component of an embedding, or what those leave out: all that is known of what a payload means."""
        return self.detail and ".embedding." in self.name

    @property
    def short(self) -> str:
        """What a reader calls it beside its input or pair: `brightness`, `head.entropy`; without either, the whole path.

        A head's figures say so, because a descriptor may have the same name.
        """
        if self.detail and self.input is not None:
            return self.name.removeprefix(f"inputs.{self.input}.").replace("scores.", "head.scores.", 1)
        if ".descriptors." in self.name:
            return self.name.split(".descriptors.", 1)[1]
        if self.input is None and self.pair is None:
            return self.name
        last = self.name.rsplit(".", 1)[-1]
        return f"head.{last}" if self.input is not None and self.view in ("output", "uncertainty") else last

    def attributes(self) -> dict[str, str]:
        """The measurement attributes of a figure about this column."""
        found = {"column": self.short, "input": self.input, "modality": self.modality, "pair": self.pair}
        return {key: value for key, value in found.items() if value is not None}


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
    def _cells(self) -> _Cells:
        return _Cells.of(self.edges)

    def __getstate__(self) -> dict[str, NDArray]:
        return {
            "edges": self.edges,
            "values": self.values,
            "atoms": self.atoms,
        }  # cells are eight times as large, and soon made again

    def value(self, bins: Ints) -> Floats:
        """What a value in each of these bins counts as."""
        return self.values[bins]


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
class _Cells:
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
    def of(edges: Floats) -> _Cells:
        """Cells over the stretch that leaves the fewest edges, which stand for about the same mass each, in shared cells."""
        size, unsure = 1 << (8 * len(edges) - 1).bit_length(), len(edges) + 1
        none = np.zeros(size, np.int64)

        def over(below: float, above: float) -> tuple[int, _Cells]:
            """Edges in shared cells, and the cells, when these shares of the edges are the tails."""
            low, high = (float(edges[round(q * (len(edges) - 1))]) for q in (below, 1 - above))
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                scale = float(np.divide((size - 1) * 2.0**_CELL, high - low))
                offset = _WHOLE - low * scale
            if not (np.isfinite(scale) and np.isfinite(offset)):
                return len(edges), _Cells(0.0, _WHOLE, edges, none, unsure)
            cells = _Cells(scale, offset, edges, none, unsure)
            return int((np.diff(cells._place(edges)[1].clip(0, size - 1)) == 0).sum()), cells

        found = {(q, q): over(q, q) for q in _MARGINS}
        tail = min(found, key=lambda tails: found[tails][0])[0]
        # One tail can be much shorter than the other.
        found |= {tails: over(*tails) for tails in ((_SHORT, tail), (tail, _SHORT))}
        cells = min(found.values(), key=lambda each: each[0])[1]
        inside, cell = cells._place(edges)
        counts = np.bincount(cell.clip(0, size - 1), minlength=size)
        below = np.cumsum(counts) - counts
        # The first and the last cell take in what lies beyond them, whose place in the cell means nothing.
        alone = counts == 1
        alone[[0, -1]] = False
        table = np.where((counts > 0) & ~alone, unsure, below) << _CELL
        table += np.where(alone, (1 << _CELL) - (inside[np.minimum(below, len(edges) - 1)] & _INSIDE), 1)
        return replace(cells, table=table)

    def _place(self, x: Floats, room: Floats | None = None) -> tuple[Ints, Ints]:
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
        inside, cell = self._place(x, room)
        self.table.take(cell, out=found, mode="clip")
        inside &= _INSIDE
        found += inside
        rest = found.view(np.uint32)[_LOW_HALF::2]
        tied = np.empty(0, np.int64) if rest.min() else np.flatnonzero(rest == 0)
        found >>= _CELL
        if len(tied):
            found[tied] -= x[tied] < self.edges[found[tied] - 1]
        return found


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


@dataclass(frozen=True, slots=True)
class Projection:
    """A frozen linear map of a vector column to at most 64 dimensions: y = (x - center) @ matrix.

    Attributes
    ----------
    center : ndarray of float64, shape (d,)
    matrix : ndarray of float64, shape (d, k)
    frequencies, phases : ndarray of float64, shape (k, D) and (D,)
        Random Fourier features of y: sqrt(2 / D) cos(y @ frequencies + phases); D = 0 when there are none.
    """

    center: Floats
    matrix: Floats
    frequencies: Floats
    phases: Floats

    def project(self, x: NDArray[np.float32]) -> Floats:
        """Projected rows, shape (n, k)."""
        return (x.astype(np.float64) - self.center) @ self.matrix

    def features(self, y: Floats) -> Floats:
        """Random Fourier features of projected rows, shape (n, D)."""
        waves: Floats = y @ self.frequencies
        height = np.sqrt(2.0 / max(len(self.phases), 1))
        for start in range(0, len(y), _WAVES_AT_ONCE):
            part = waves[start : start + _WAVES_AT_ONCE]
            part += self.phases
            part *= 1 / (2 * np.pi)
            np.multiply(_cosine(part), height, out=part)
        return waves


_WAVES_AT_ONCE = 128
"""Rows whose cosines are taken together, so that what they are made of stays in cache."""
_SINE = [(-1) ** k * (2 * np.pi) ** (2 * k + 1) / factorial(2 * k + 1) for k in range(10)]


def _cosine(turns: Floats) -> Floats:
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


@dataclass(frozen=True, slots=True)
class Fold:
    """Leading principal components that one half of the baseline's rows gave, for use on rows of the other half.

    Components fitted on the rows they are then compared on look better there than on any later row; a row of each half,
    in the baseline and ever after, is therefore seen through the other half's components.

    Attributes
    ----------
    center : ndarray of float64, shape (d,)
    matrix : ndarray of float64, shape (d, k)
        Multiples of 2**-20, at most 1 in size: products with them can be computed without rounding.
    residual : bool
        Whether enough is left beside these components for its size to mean anything.
    """

    center: Floats
    matrix: Floats
    residual: bool


@dataclass(frozen=True, slots=True)
class Head:
    """Canonical directions of a pair's components, scaled by their correlations: shapes (k1, r) and (k2, r)."""

    left: Floats
    right: Floats


@dataclass(frozen=True)
class Frame:
    """What a baseline froze; `Frame(model)` alone is the default frame of a model without one.

    Attributes
    ----------
    columns : mapping of str to ColumnSpec
        The baseline's columns; empty in the default frame, where columns are taken as they come.
    grids : mapping of str to Grid
        By numeric column; a column without one is counted on the LogGrid.
    projections : mapping of str to Projection
        By vector column.
    pairs : tuple of (str, str)
        Inputs compared with each other, each pair in the order of the contract's modalities, then by name.
    describers : mapping of str to str
        By input: `describer|encoder` of the baseline's figures.
    folds : mapping of str to (Fold, Fold)
        By embedding: components for rows whose hashed id is even, and odd.
    heads : mapping of (str, str) to (Head, Head)
        By pair of inputs without a shared space: canonical directions for rows whose hashed id is even, and odd.
    slices : mapping of str to tuple of str
        By group feature: the groups whose records have states of their own, the others share one.
    spreads : mapping of str to Spread
        By column: how it varies between windows of length `step`.
    untested : mapping of str to str
        Columns that are not compared, and why: `identifier` or `counter`.
    seasonal : bool
        Whether windows are compared with those of the same hour of the week.
    edition : int
        Of the way in which the frame was fitted.
    """

    model: str
    columns: Mapping[str, ColumnSpec] = field(default_factory=dict)
    grids: Mapping[str, Grid] = field(default_factory=dict)
    projections: Mapping[str, Projection] = field(default_factory=dict)
    pairs: tuple[tuple[str, str], ...] = ()
    describers: Mapping[str, str] = field(default_factory=dict)
    folds: Mapping[str, tuple[Fold, Fold]] = field(default_factory=dict)
    heads: Mapping[tuple[str, str], tuple[Head, Head]] = field(default_factory=dict)
    slices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    spreads: Mapping[str, Spread] = field(default_factory=dict)
    untested: Mapping[str, str] = field(default_factory=dict)
    step: timedelta = timedelta(days=1)
    seasonal: bool = False
    edition: int = EDITION

    @property
    def fitted(self) -> bool:
        return bool(self.columns)

    def grid(self, column: str) -> AnyGrid:
        """The column's own grid, or the log grid."""
        return self.grids.get(column, _LOG_GRID)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that decides how rows are counted."""
        return digest(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; floats survive exactly (shortest round-trip form)."""
        return {
            "model": self.model,
            "columns": {
                name: [spec.kind, spec.view, spec.input, spec.modality, spec.pair, spec.unit]
                for name, spec in self.columns.items()
            },
            "grids": {
                name: [grid.edges.tolist(), grid.values.tolist(), *([grid.atoms.tolist()] if len(grid.atoms) else [])]
                for name, grid in self.grids.items()
            },
            "projections": {
                name: [p.center.tolist(), p.matrix.tolist(), p.frequencies.tolist(), p.phases.tolist()]
                for name, p in self.projections.items()
            },
            "pairs": [list(pair) for pair in self.pairs],
            "describers": dict(self.describers),
            # Left out where there are none, so that the digests of older frames stay what they were.
            **({"folds": _folds_json(self.folds)} if self.folds else {}),
            **({"heads": _heads_json(self.heads)} if self.heads else {}),
            **({"slices": {name: list(groups) for name, groups in self.slices.items()}} if self.slices else {}),
            **(
                {
                    "edition": self.edition,
                    "step_s": self.step.total_seconds(),
                    "spreads": {name: spread.as_json() for name, spread in self.spreads.items()},
                    "untested": dict(self.untested),
                    "seasonal": self.seasonal,
                }
                if self.fitted and self.edition > 1
                else {}
            ),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Frame:
        """The frame that `as_json` wrote."""
        return cls(
            model=data["model"],
            columns={
                name: ColumnSpec(name=name, kind=kind, view=view, input=input_, modality=modality, pair=pair, unit=unit)
                for name, (kind, view, input_, modality, pair, unit) in data["columns"].items()
            },
            grids={
                name: Grid(_array(edges), _array(values), np.array(atoms[0] if atoms else [], np.int64))
                for name, (edges, values, *atoms) in data["grids"].items()
            },
            projections={
                name: Projection(_array(c), _array(m).reshape(len(c), -1), _array(f).reshape(-1, len(p)), _array(p))
                for name, (c, m, f, p) in data["projections"].items()
            },
            pairs=tuple((a, b) for a, b in data["pairs"]),
            describers=data["describers"],
            folds={name: (_fold(*even), _fold(*odd)) for name, (even, odd) in data.get("folds", {}).items()},
            heads={
                (a, b): (Head(_matrix(even[0]), _matrix(even[1])), Head(_matrix(odd[0]), _matrix(odd[1])))
                for a, b, even, odd in data.get("heads", ())
            },
            slices={name: tuple(groups) for name, groups in data.get("slices", {}).items()},
            spreads={name: Spread.from_json(spread) for name, spread in data.get("spreads", {}).items()},
            untested=data.get("untested", {}),
            seasonal=data.get("seasonal", False),
            step=timedelta(seconds=data.get("step_s", 86400.0)),
            edition=data.get("edition", 1 if data["columns"] else EDITION),
        )


def _folds_json(folds: Mapping[str, tuple[Fold, Fold]]) -> dict[str, Any]:
    return {
        name: [[fold.center.tolist(), fold.matrix.tolist(), fold.residual] for fold in both]
        for name, both in folds.items()
    }


def _fold(center: Any, matrix: Any, residual: bool) -> Fold:
    return Fold(_array(center), _array(matrix).reshape(len(center), -1), residual)


def _heads_json(heads: Mapping[tuple[str, str], tuple[Head, Head]]) -> list[Any]:
    return [[*pair, *([head.left.tolist(), head.right.tolist()] for head in both)] for pair, both in heads.items()]


def _matrix(values: Any) -> Floats:
    return _array(values).reshape(len(values), -1)


def _array(values: Any) -> Floats:
    return np.asarray(values, dtype=np.float64)


_LOG_GRID = LogGrid()
