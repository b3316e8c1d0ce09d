"""Two samples of rows: can a classifier tell them apart, and does a kernel?

Everything that is drawn at random is drawn from a generator with a fixed seed, so that the same rows give the same figures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from auditor.core.rows import Floats
from auditor.statistics.nulls import permutation_p
from auditor.statistics.projections import median_distance

RIDGE = 1e-2
"""Penalty on the squared weights, relative to the mean loss: about one row in a hundred's worth."""
STEPS = 12
FAR = 8.0
"""Standardised values are cut off here, so that one wild row does not decide a fit."""


def standardised(then: Floats, now: Floats) -> tuple[Floats, Floats]:
    """Both samples in the baseline's deviations around its mean, absent values at the mean; shapes as they were."""
    with np.errstate(invalid="ignore"):
        count = np.isfinite(then).sum(axis=0)
        center = np.nansum(then, axis=0) / np.maximum(count, 1)
        spread = np.sqrt(np.nansum((then - center) ** 2, axis=0) / np.maximum(count - 1, 1))
        # A column that stood still in the baseline and moves now: its own movement is the unit.
        moved = np.nanmax(np.abs(now - center), axis=0, initial=0.0)
    unit = np.where(spread > 1e-9 * (np.abs(center) + moved), spread, np.where(moved > 0, moved, 1.0))

    def scaled(x: Floats) -> Floats:
        found: Floats = np.clip(np.nan_to_num((x - center) / unit, nan=0.0), -FAR, FAR)
        return found

    return scaled(then), scaled(now)


def logistic_weights(x: Floats, y: NDArray[np.bool_]) -> Floats:
    """Weights of a ridge logistic regression, shape (k + 1,), the intercept last; both classes weigh the same.

    Newton's method on mean loss + RIDGE / 2 |w|^2.
    """
    n, k = x.shape
    wide = np.concatenate([x, np.ones((n, 1))], axis=1)
    share = np.where(y, 0.5 / max(int(y.sum()), 1), 0.5 / max(int((~y).sum()), 1))
    penalty = np.append(np.full(k, RIDGE), 1e-9)
    weights = np.zeros(k + 1)
    for _ in range(STEPS):
        p = expit(wide @ weights)
        gradient = wide.T @ (share * (p - y)) + penalty * weights
        curvature = (wide * (share * p * (1 - p))[:, None]).T @ wide + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        size = float(np.abs(step).max())
        weights -= step * min(1.0, 4.0 / max(size, 1e-300))
        if size < 1e-6:
            break
    return weights


@dataclass(frozen=True, slots=True)
class DomainAuc:
    """Held-out area under the curve, its p-value, its spread by chance, and the column that adds most to it."""

    area: float
    p_value: float
    spread: float
    strongest: int


def domain_auc(then: Floats, now: Floats) -> DomainAuc:
    """Two-fold held-out area under the curve of a logistic regression, `now` against `then`, shapes (m, k) and (n, k).

    Rows alternate between the folds, so their order must not depend on their values. Each fold's p-value is one-sided and
    exact up to the normal approximation, whatever was learned on the other fold; the smaller one is doubled.
    """
    areas, tails, weights, spreads = [], [], [], []
    for learn in (0, 1):
        x = np.concatenate([then[learn::2], now[learn::2]])
        y = np.arange(len(x)) >= len(then[learn::2])
        found = logistic_weights(x, y)
        a, b = (part[1 - learn :: 2] @ found[:-1] for part in (then, now))
        area, spread = mann_whitney(a, b)
        areas.append(area)
        spreads.append(spread)
        tails.append(float(ndtr(-(area - 0.5) / spread)) if spread > 0 else 1.0)
        weights.append(found[:-1])
    # What each column adds to the distance of the two means along the classifier's direction.
    total = (weights[0] + weights[1]) * (now.mean(axis=0) - then.mean(axis=0))
    return DomainAuc(float(np.mean(areas)), min(1.0, 2 * min(tails)), float(np.mean(spreads)), int(np.argmax(total)))


def mann_whitney(a: Floats, b: Floats) -> tuple[float, float]:
    """Chance that a value of b exceeds one of a (ties count half), and its standard deviation under equality.

    >>> mann_whitney(np.array([1.0, 2.0]), np.array([3.0, 4.0]))[0]
    1.0
    """
    n, m = len(a), len(b)
    both = np.concatenate([a, b])
    from scipy.stats import rankdata  # here: it takes longer to load than a short command runs

    ranks = rankdata(both)
    area = float((ranks[n:].sum() - m * (m + 1) / 2) / (n * m))
    _, ties = np.unique(both, return_counts=True)
    total = n + m
    lost = float((ties.astype(np.float64) ** 3 - ties).sum()) / (total * (total - 1))
    return area, float(np.sqrt(max(total + 1 - lost, 0.0) / (12 * n * m)))


def density_ratio(then: Floats, now: Floats) -> Floats:
    """How much likelier each row of `then` is in `now`, shape (m,), mean 1; each half judged by the other's classifier.

    The odds of a logistic regression with balanced classes are the ratio of the densities (Bickel et al. 2009).
    """
    found = np.empty(len(then))
    for learn in (0, 1):
        x = np.concatenate([then[learn::2], now[learn::2]])
        weights = logistic_weights(x, np.arange(len(x)) >= len(then[learn::2]))
        found[1 - learn :: 2] = np.exp(np.clip(then[1 - learn :: 2] @ weights[:-1] + weights[-1], -FAR, FAR))
    ratio: Floats = found / found.mean()
    return ratio


# -- kernels ------------------------------------------------------------------------------------------------------------


def cubic_kernel(x: Floats, y: Floats) -> Floats:
    """(x . y / d + 1)^3 for all pairs of rows, shape (n, m): the kernel of the kernel inception distance."""
    found: Floats = (x @ y.T / x.shape[1] + 1) ** 3
    return found


@dataclass(frozen=True, slots=True)
class KernelDistance:
    """Unbiased squared discrepancy of two samples, and its p-value under permutation."""

    value: float
    p_value: float


def kernel_distance(x: Floats, y: Floats, rounds: int = 199, seed: int = 0) -> KernelDistance:
    """Kernel inception distance of two samples, shapes (n, k) and (m, k), with permutation p-value (Binkowski et al. 2018).

    Costs (n + m)^2 memory and (n + m)^2 `rounds` operations.
    """
    pooled = np.concatenate([x, y])
    kernel = cubic_kernel(pooled, pooled)
    member = _memberships(len(x), len(y), rounds, seed)
    own = np.diag(kernel).copy()
    n, m = len(x), len(y)
    inside = ((member @ kernel) * member).sum(axis=1)
    across = member @ kernel.sum(axis=1) - inside
    outside = float(kernel.sum()) - 2 * across - inside
    mine = member @ own
    values = (inside - mine) / (m * (m - 1)) + (outside - (own.sum() - mine)) / (n * (n - 1)) - 2 * across / (n * m)
    return KernelDistance(float(values[0]), permutation_p(float(values[0]), values[1:]))


def gaussian_features(x: Floats, reference: Floats, size: int = 128, seed: int = 0) -> Floats:
    """Random Fourier features of rows, shape (n, size), for a Gaussian kernel as wide as the reference's median distance."""
    rng = np.random.default_rng(seed)
    scale = median_distance(reference[:500])
    frequencies = rng.normal(size=(reference.shape[1], size)) / scale
    found: Floats = np.sqrt(2 / size) * np.cos(x @ frequencies + rng.uniform(0, 2 * np.pi, size))
    return found


def feature_distance_p(x: Floats, y: Floats, rounds: int = 499, seed: int = 0) -> float:
    """Permutation p-value of the squared distance between the mean features of two samples, shapes (n, D) and (m, D)."""
    pooled = np.concatenate([x, y])
    member = _memberships(len(x), len(y), rounds, seed)
    sums = member @ pooled
    total = pooled.sum(axis=0)
    means = sums / len(y) - (total - sums) / len(x)
    values = (means**2).sum(axis=1)
    return permutation_p(float(values[0]), values[1:] * (1 + 1e-12))


def _memberships(n: int, m: int, rounds: int, seed: int) -> Floats:
    """Which rows of n + m are called the second sample, shape (rounds + 1, n + m): as it is first, then shuffled."""
    rng = np.random.default_rng(seed)
    member = np.zeros((rounds + 1, n + m))
    member[0, n:] = 1.0
    for row in member[1:]:
        row[rng.choice(n + m, m, replace=False)] = 1.0
    return member
