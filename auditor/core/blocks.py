"""Columns of a state packed together, so that merging and storing a state costs a few array operations, not one a column.

Each block is a read-only mapping from column name to that column's part; the parts are made when they are asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.core.rows import Floats, Ints, Strings

_BIN_BITS = 32
_BIN_ZERO = 1 << 31
"""Added to a bin so that bins of the log grid, which can be negative, sort in their own order inside a key."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean, sum of squared deviations, smallest and largest (Chan, Golub, LeVeque 1983)."""

    n: int
    mean: float
    m2: float
    low: float
    high: float

    @staticmethod
    def of(x: Floats) -> Moments:
        """Moments of the values, shape (n,), n >= 1."""
        mean = float(x.mean())
        deviation = x - mean
        deviation *= deviation
        return Moments(len(x), mean, float(deviation.sum()), float(x.min()), float(x.max()))

    def merge(self, other: Moments) -> Moments:
        n = self.n + other.n
        delta = other.mean - self.mean
        return Moments(
            n,
            self.mean + delta * other.n / n,
            self.m2 + other.m2 + delta * delta * self.n * other.n / n,
            min(self.low, other.low),
            max(self.high, other.high),
        )

    @property
    def total(self) -> float:
        return self.mean * self.n

    @property
    def variance(self) -> float:
        """Unbiased; 0 for a single value."""
        return self.m2 / (self.n - 1) if self.n > 1 else 0.0


@dataclass(frozen=True, slots=True)
class NumericState:
    """One numeric column counted on its grid, sparse: rising `bins` with their `counts`, and its moments."""

    bins: Ints
    counts: Ints
    moments: Moments

    @property
    def n(self) -> int:
        return self.moments.n

    def dense(self, size: int) -> Ints:
        """Counts by bin, shape (size,); for a fitted grid of that many bins."""
        full = np.zeros(size, np.int64)
        full[self.bins] = self.counts
        return full


def segment_moments(x: Floats, valid: NDArray[np.bool_], first: Ints, size: Ints) -> Floats:
    """Mean, sum of squared deviations, smallest, largest, by column and segment: shape (4, c, s); x has shape (c, n).

    The same to the last bit for a segment by itself and among others.
    """
    whole = bool(valid.all())
    n = size if whole else np.add.reduceat(valid.astype(np.int64), first, axis=1)
    filled = x if whole else np.where(valid, x, 0.0)
    mean = np.add.reduceat(filled, first, axis=1) / np.maximum(n, 1)
    deviation = filled - (mean if len(first) == 1 else np.repeat(mean, size, axis=1))
    if not whole:
        deviation[~valid] = 0.0
    deviation *= deviation
    return np.stack(
        [
            mean,
            np.add.reduceat(deviation, first, axis=1),
            np.minimum.reduceat(x if whole else np.where(valid, x, np.inf), first, axis=1),
            np.maximum.reduceat(x if whole else np.where(valid, x, -np.inf), first, axis=1),
        ]
    )


def pack_keys(column: NDArray, bins: Ints) -> Ints:
    """Column number and bin as one integer that sorts by column, then bin."""
    return (np.asarray(column, np.int64) << _BIN_BITS) | (bins + _BIN_ZERO)


@dataclass(frozen=True, slots=True, eq=False)
class NumericBlock(Mapping[str, NumericState]):
    """All numeric columns of a state.

    Attributes
    ----------
    names : tuple of str
        Rising.
    places, counts : ndarray of int64, shape (k,)
        Rising `pack_keys(column, bin)` and how often each was seen.
    n : ndarray of int64, shape (c,)
        Finite values by column.
    moments : ndarray of float64, shape (4, c)
        Rows: mean, sum of squared deviations, smallest, largest.
    """

    names: tuple[str, ...]
    places: Ints
    counts: Ints
    n: Ints
    moments: Floats

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, name: str) -> NumericState:
        index = bisect_left(self.names, name)
        if index == len(self.names) or self.names[index] != name:
            raise KeyError(name)
        first, last = np.searchsorted(self.places, [index << _BIN_BITS, (index + 1) << _BIN_BITS])
        bins = (self.places[first:last] & ((1 << _BIN_BITS) - 1)) - _BIN_ZERO
        mean, m2, low, high = self.moments[:, index].tolist()
        return NumericState(bins, self.counts[first:last], Moments(int(self.n[index]), mean, m2, low, high))

    def __reduce__(self) -> tuple[Any, ...]:
        """As narrow as bins and counts allow, a fifth of the bytes: an engine sends blocks from process to process."""
        by_column = np.bincount(self.places >> _BIN_BITS, minlength=len(self.names))
        bins = self.places & ((1 << _BIN_BITS) - 1)
        lowest = bins.min(initial=1 << _BIN_BITS)
        return _block, (
            self.names,
            by_column,
            int(lowest),
            _narrow(bins - lowest),
            _narrow(self.counts),
            self.n,
            self.moments,
        )

    @staticmethod
    def of(columns: Mapping[str, NumericState]) -> NumericBlock:
        """A block of these columns; a block as it is."""
        if isinstance(columns, NumericBlock):
            return columns
        names = tuple(sorted(columns))
        states = [columns[name] for name in names]
        moments = [(s.moments.mean, s.moments.m2, s.moments.low, s.moments.high) for s in states]
        return NumericBlock(
            names,
            _joined([pack_keys(np.full(len(s.bins), i), s.bins) for i, s in enumerate(states)], np.int64),
            _joined([s.counts for s in states], np.int64),
            np.array([s.moments.n for s in states], np.int64),
            np.array(moments, np.float64).reshape(-1, 4).T.copy(),
        )

    def without_empty(self) -> NumericBlock:
        """The same block without the columns that have no value."""
        keep = self.n > 0
        if keep.all():
            return self
        place = np.cumsum(keep) - 1
        column = self.places >> _BIN_BITS
        return NumericBlock(
            tuple(name for name, kept in zip(self.names, keep.tolist(), strict=True) if kept),
            self.places + ((place[column] - column) << _BIN_BITS),
            self.counts,
            self.n[keep],
            self.moments[:, keep],
        )

    def on(self, names: tuple[str, ...]) -> NumericBlock:
        """The same figures under a longer list of names; columns it lacks have no value."""
        if names == self.names:
            return self
        place = np.searchsorted(np.array(names, object), np.array(self.names, object)).astype(np.int64)
        n = np.zeros(len(names), np.int64)
        n[place] = self.n
        moments = np.repeat(np.array([[0.0], [0.0], [np.inf], [-np.inf]]), len(names), axis=1)
        moments[:, place] = self.moments
        column = self.places >> _BIN_BITS
        places = self.places + ((place[column] - column) << _BIN_BITS)
        return NumericBlock(names, places, self.counts, n, moments)


def _block(
    names: tuple[str, ...],
    by_column: Ints,
    lowest: int,
    bins: NDArray[Any],
    counts: NDArray[Any],
    n: Ints,
    moments: Floats,
) -> NumericBlock:
    """The block that was sent."""
    places = np.repeat((np.arange(len(names)) << _BIN_BITS) + lowest, by_column)
    places += bins
    return NumericBlock(names, places, counts.astype(np.int64), n, moments)


def _narrow(x: Ints) -> NDArray[Any]:
    """The same numbers, none of them negative, in the narrowest type that holds them."""
    return x.astype(np.min_scalar_type(int(x.max(initial=0))))


def merge_numeric(blocks: Sequence[NumericBlock]) -> NumericBlock:
    """All blocks together: counts summed, moments merged pair by pair in a balanced tree over the given order."""
    names = union([block.names for block in blocks])
    blocks = [block.on(names) for block in blocks]
    places, counts = sum_by_key(np.concatenate([b.places for b in blocks]), np.concatenate([b.counts for b in blocks]))
    n, moments = np.stack([block.n for block in blocks]), np.stack([block.moments for block in blocks])
    while len(n) > 1:
        n, moments = _merge_layer(n, moments)
    return NumericBlock(names, places, counts, n[0], moments[0])


def _merge_layer(n: Ints, moments: Floats) -> tuple[Ints, Floats]:
    """Neighbours 0+1, 2+3, ... merged at once; an odd last one is carried over. Shapes (h, c) and (h, 4, c)."""
    even = len(n) - len(n) % 2
    na, nb = n[0:even:2], n[1:even:2]
    a, b = moments[0:even:2], moments[1:even:2]
    total = na + nb
    safe = np.maximum(total, 1)
    delta = b[:, 0] - a[:, 0]
    merged = np.stack(
        [
            a[:, 0] + delta * (nb / safe),
            a[:, 1] + b[:, 1] + delta * delta * (na * nb / safe),
            np.minimum(a[:, 2], b[:, 2]),
            np.maximum(a[:, 3], b[:, 3]),
        ],
        axis=1,
    )
    return np.concatenate([total, n[even:]]), np.concatenate([merged, moments[even:]])


def sum_by_key(keys: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Distinct keys, rising, with the sum of their counts."""
    if not len(keys):
        return keys, counts
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[first], np.add.reduceat(counts[order], first)


@dataclass(frozen=True, slots=True, eq=False)
class MatrixColumns(Mapping[str, Floats]):
    """Numeric columns of a sample: rising `names`, and a matrix of shape (columns, rows) with NaN where absent."""

    names: tuple[str, ...]
    matrix: Floats

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, name: str) -> Floats:
        column: Floats = self.matrix[_place(self.names, name)]
        return column

    @staticmethod
    def of(columns: Mapping[str, Floats], rows: int) -> MatrixColumns:
        """These columns, each of `rows` values; packed ones as they are."""
        if isinstance(columns, MatrixColumns):
            return columns
        names = tuple(sorted(columns))
        matrix = np.array([columns[name] for name in names], np.float64).reshape(len(names), rows)
        return MatrixColumns(names, matrix)

    def on(self, names: tuple[str, ...]) -> Floats:
        """The matrix under a longer list of names."""
        if names == self.names:
            return self.matrix
        full = np.full((len(names), self.matrix.shape[1]), np.nan)
        full[[_place(names, name) for name in self.names]] = self.matrix
        return full


@dataclass(frozen=True, slots=True, eq=False)
class CodedColumns(Mapping[str, Strings]):
    """Categorical columns of a sample on one code book.

    Attributes
    ----------
    names, book : tuple of str
        Both rising.
    codes : ndarray of int32, shape (columns, rows)
        Places in the book; -1 where absent.
    """

    names: tuple[str, ...]
    book: tuple[str, ...]
    codes: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, name: str) -> Strings:
        words = np.empty(len(self.book) + 1, object)
        words[: len(self.book)] = self.book
        column: Strings = words[self.codes[_place(self.names, name)]]
        return column

    @staticmethod
    def of(columns: Mapping[str, Strings], rows: int) -> CodedColumns:
        """These columns, each of `rows` strings or None; coded ones as they are."""
        if isinstance(columns, CodedColumns):
            return columns
        names = tuple(sorted(columns))
        values = [np.asarray(columns[name], object).tolist() for name in names]
        book = tuple(sorted({word for column in values for word in set(column) if word is not None}))
        place: dict[str | None, int] = {word: index for index, word in enumerate(book)}
        place[None] = -1
        codes = np.fromiter(map(place.__getitem__, chain.from_iterable(values)), np.int32, len(names) * rows)
        return CodedColumns(names, book, codes.reshape(len(names), rows))

    def on(self, names: tuple[str, ...], book: tuple[str, ...]) -> NDArray[np.int32]:
        """The codes under a longer list of names and a longer book."""
        codes = self.codes
        if book != self.book:
            place = {word: index for index, word in enumerate(book)}
            moved = np.array([*(place[word] for word in self.book), -1], np.int32)
            codes = moved[codes]
        if names != self.names:
            full = np.full((len(names), codes.shape[1]), -1, np.int32)
            full[[_place(names, name) for name in self.names]] = codes
            codes = full
        return codes

    def take(self, index: Ints) -> CodedColumns:
        """The rows at `index`, with a book of the words that are left."""
        codes = self.codes[:, index]
        used = np.zeros(len(self.book) + 1, bool)
        used[codes] = True
        used[-1] = False
        if used[:-1].all():
            return CodedColumns(self.names, self.book, codes)
        moved = np.cumsum(used, dtype=np.int32) - 1
        moved[-1] = -1
        kept = used[:-1].tolist()
        book = tuple(word for word, keep in zip(self.book, kept, strict=True) if keep)
        return CodedColumns(self.names, book, moved.astype(np.int32)[codes])


def union(lists: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Rising union of rising tuples; most often they are all the same."""
    distinct = set(lists)
    if len(distinct) == 1:
        return lists[0]
    return tuple(sorted({name for names in distinct for name in names}))


def _place(names: tuple[str, ...], name: str) -> int:
    index = bisect_left(names, name)
    if index == len(names) or names[index] != name:
        raise KeyError(name)
    return index


def _joined(parts: Sequence[NDArray], kind: type) -> NDArray:
    return np.concatenate(parts) if parts else np.empty(0, kind)
