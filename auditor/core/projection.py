"""How a baseline's vectors are seen ever after: projections, folds of principal components, heads of pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.core.fast import cosine
from auditor.core.rows import Floats

_WAVES_AT_ONCE = 128
"""Rows whose cosines are taken together, so that what they are made of stays in cache."""


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
            np.multiply(cosine(part), height, out=part)
        return waves


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
