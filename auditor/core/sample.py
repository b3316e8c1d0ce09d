"""The rows that a state keeps whole: a sample that follows from the ids, so that any machine and any partition agree on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.core.blocks import CodedColumns, MatrixColumns, union
from auditor.core.rows import Floats, Strings

SAMPLE_SIZE = 2000
"""Rows that a state's sample keeps: those with the smallest hash of their id."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The rows with the smallest hashes of their ids, at most SAMPLE_SIZE, in the order of the hash.

    Attributes
    ----------
    hashes : ndarray of uint64, shape (k,)
    ids : ndarray of str, shape (k,)
    numeric : mapping of str to ndarray of float64, shape (k,)
        NaN where absent.
    categorical : mapping of str to ndarray of object, shape (k,)
        None where absent. Holds `truth`, `output.label` and `groups.<feature>` beside the descriptors.

    `numeric` also holds `inputs.<i>.payload`: 52 bits of the commitment's hash, by which repeated payloads are left out, and
    `subject`, 52 bits of the subject's hash.
    """

    hashes: NDArray[np.uint64]
    ids: Strings
    numeric: Mapping[str, Floats]
    categorical: Mapping[str, Strings]

    @property
    def n(self) -> int:
        return len(self.ids)

    def one_by_subject(self) -> NDArray[np.bool_]:
        """Which rows stand for their subject: the first one of each, and every row without a subject."""
        return first_of_each(self.numeric["subject"]) if "subject" in self.numeric else np.ones(self.n, bool)

    def merge(self, other: Sample) -> Sample:
        return merge_samples([self, other])


def empty_sample() -> Sample:
    """A sample of nothing."""
    return Sample(np.empty(0, np.uint64), np.empty(0, object), {}, {})


def first_of_each(keys: Floats) -> NDArray[np.bool_]:
    """Which places hold a key for the first time; places without one (NaN) all do.

    >>> first_of_each(np.array([3.0, np.nan, 3.0, np.nan, 1.0])).tolist()
    [True, True, False, True, True]
    """
    chosen = ~np.isfinite(keys)
    known = np.flatnonzero(~chosen)
    chosen[known[np.unique(keys[known], return_index=True)[1]]] = True
    return chosen


def sample_order(hashes: NDArray[np.uint64], ids: Strings) -> NDArray[np.int64]:
    """Places of the rows a sample keeps, in its order: by hash, then id."""
    places = np.arange(len(hashes))
    if len(hashes) > SAMPLE_SIZE:
        # Those up to the last hash that is kept, all rows that share it included.
        places = np.flatnonzero(hashes <= np.partition(hashes, SAMPLE_SIZE - 1)[SAMPLE_SIZE - 1])
        hashes, ids = hashes[places], ids[places]
    order = np.argsort(hashes, kind="stable")
    rising = hashes[order]
    if len(rising) > 1 and bool((rising[1:] == rising[:-1]).any()):
        order = np.lexsort((ids.astype(str), hashes))
    return places[order[:SAMPLE_SIZE]]


def merge_samples(samples: Sequence[Sample]) -> Sample:
    """The sample of all their rows together; any order of merging gives it."""
    filled = [sample for sample in samples if sample.n]
    if len(filled) < 2:
        return filled[0] if filled else empty_sample()
    hashes = np.concatenate([sample.hashes for sample in filled])
    ids = np.concatenate([sample.ids for sample in filled])
    order = sample_order(hashes, ids)
    numeric = [MatrixColumns.of(sample.numeric, sample.n) for sample in filled]
    coded = [CodedColumns.of(sample.categorical, sample.n) for sample in filled]
    numbers = union([part.names for part in numeric])
    words = union([part.names for part in coded])
    book = union([part.book for part in coded])
    codes = np.concatenate([part.on(words, book) for part in coded], axis=1)
    return Sample(
        hashes[order],
        ids[order],
        MatrixColumns(numbers, np.concatenate([part.on(numbers) for part in numeric], axis=1)[:, order]),
        CodedColumns(words, book, codes).take(order),
    )
