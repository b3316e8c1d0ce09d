"""Distances and quantiles from the values themselves: what figures read off counts on a grid are checked against."""

from __future__ import annotations

import math

import numpy as np

from auditor.core.rows import Floats


def ks_of(x: Floats, y: Floats) -> float:
    """Kolmogorov-Smirnov distance of two samples: the largest gap between their distribution functions.

    >>> ks_of(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.5
    """
    both = np.concatenate([x, y])
    f = np.searchsorted(np.sort(x), both, side="right") / len(x)
    g = np.searchsorted(np.sort(y), both, side="right") / len(y)
    return float(np.abs(f - g).max())


def wasserstein_of(x: Floats, y: Floats) -> float:
    """Earth mover's distance of two samples, in their unit: the area between their distribution functions.

    >>> wasserstein_of(np.array([0.0, 0.0]), np.array([3.0, 3.0]))
    3.0
    """
    both = np.sort(np.concatenate([x, y]))
    f = np.searchsorted(np.sort(x), both[:-1], side="right") / len(x)
    g = np.searchsorted(np.sort(y), both[:-1], side="right") / len(y)
    return float((np.abs(f - g) * np.diff(both)).sum())


def quantile_of(x: Floats, q: float) -> float:
    """The smallest value with at least that share of the values at or below it.

    >>> quantile_of(np.array([3.0, 1.0, 2.0]), 0.5)
    2.0
    """
    return float(np.sort(x)[min(max(math.ceil(len(x) * q) - 1, 0), len(x) - 1)])
