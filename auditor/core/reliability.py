"""Right and wrong answers by confidence: the counts behind a calibration, whatever the number of records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from auditor.core.blocks import sum_by_key
from auditor.core.rows import Ints


def _none() -> Ints:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Reliability:
    """Labelled answers by bin of the confidence's grid.

    Attributes
    ----------
    bins : ndarray of int64, shape (k,)
        Rising.
    right, wrong : ndarray of int64, shape (k,)
        Answers of that confidence that equal the ground truth, and those that do not.
    """

    bins: Ints = field(default_factory=_none)
    right: Ints = field(default_factory=_none)
    wrong: Ints = field(default_factory=_none)

    @property
    def n(self) -> int:
        return int(self.right.sum() + self.wrong.sum())

    @staticmethod
    def of(bins: Ints, right: NDArray[np.bool_]) -> Reliability:
        """Counts of answers, each given by its bin and whether it was right; shapes (n,)."""
        distinct, place = np.unique(bins, return_inverse=True)
        hits = np.bincount(place, right, len(distinct)).astype(np.int64)
        return Reliability(distinct, hits, np.bincount(place, minlength=len(distinct)) - hits)


def merge_reliability(parts: Sequence[Reliability]) -> Reliability:
    """The counts of all parts together, which must be on one grid."""
    filled = [part for part in parts if len(part.bins)]
    if len(filled) < 2:
        return filled[0] if filled else Reliability()
    places = np.concatenate([part.bins for part in filled])
    bins, right = sum_by_key(places, np.concatenate([part.right for part in filled]))
    return Reliability(bins, right, sum_by_key(places, np.concatenate([part.wrong for part in filled]))[1])
