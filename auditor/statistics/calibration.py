"""What a confidence is worth: the share of right answers at that confidence, rising."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from auditor.core.rows import Floats, Ints


@dataclass(frozen=True, slots=True)
class Calibration:
    """A rising step function from confidence to the share of right answers.

    Attributes
    ----------
    edges, rates : ndarray, shape (b,)
        From `edges[i]` on, up to the next edge, `rates[i]` of the answers were right.
    n : float
        Weight of the answers it was fitted on.
    """

    edges: Floats
    rates: Floats
    n: float

    def __call__(self, confidence: Floats | Ints) -> Floats:
        """Expected share of right answers at each confidence, shape (n,)."""
        return self.rates[np.maximum(np.searchsorted(self.edges, confidence, side="right") - 1, 0)]


def fit_calibration(confidence: Floats | Ints, right: Floats | Ints, weights: Floats | Ints) -> Calibration:
    """Isotonic regression by pooling adjacent violators (Ayer et al. 1955); its mean equals the share of right answers.

    Parameters
    ----------
    confidence : ndarray, shape (n,)
        Of an answer, or of a group of answers; anything that rises with the confidence serves, such as a bin.
    right, weights : ndarray, shape (n,)
        Weight of the right answers there, and of all.

    >>> fit_calibration(np.array([0.1, 0.2, 0.3]), np.array([0, 2, 0]), np.array([1, 2, 2])).rates.tolist()
    [0.0, 0.5]
    """
    if not len(confidence):
        raise ValueError("a calibration needs at least one answer")
    distinct, place = np.unique(confidence, return_inverse=True)
    weight = np.bincount(place, weights)
    total = np.bincount(place, right)
    blocks: list[tuple[float, float, float]] = []
    for edge, hits, size in zip(distinct.tolist(), total.tolist(), weight.tolist(), strict=True):
        blocks.append((edge, hits, size))
        while len(blocks) > 1 and blocks[-2][1] * blocks[-1][2] >= blocks[-1][1] * blocks[-2][2]:
            edge2, hits2, size2 = blocks.pop()
            edge1, hits1, size1 = blocks.pop()
            blocks.append((min(edge1, edge2), hits1 + hits2, size1 + size2))
    return Calibration(
        np.array([block[0] for block in blocks]),
        np.array([block[1] / block[2] for block in blocks]),
        float(weight.sum()),
    )
