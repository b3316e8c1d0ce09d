"""Distances between two distributions: counts on one grid or over one set of categories, and moments of vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from auditor.core.rows import Floats, Ints

# -- counts -------------------------------------------------------------------------------------------------------------


def ks(a: Ints, b: Ints) -> tuple[float, float]:
    """Kolmogorov-Smirnov distance of two samples counted on one grid, and how much larger it may really be.

    The value is the largest gap between the distribution functions at the edges; inside a bin the functions can differ by
    more, but never by more than the second figure beyond it.

    Parameters
    ----------
    a, b : ndarray of int, shape (k,)
        Counts by bin, each of at least one observation.

    Examples
    --------
    >>> ks(np.array([1, 1, 0]), np.array([0, 1, 1]))
    (0.5, 0.5)
    """
    f, g = np.cumsum(a) / a.sum(), np.cumsum(b) / b.sum()
    below_f, below_g = np.concatenate([[0.0], f[:-1]]), np.concatenate([[0.0], g[:-1]])
    distance = float(np.abs(f - g).max())
    most = float(np.maximum(f - below_g, g - below_f)[(a > 0) & (b > 0)].max(initial=0.0))
    return distance, max(0.0, most - distance)


def collapse(counts: Ints, bins: int) -> Ints:
    """To which of at most `bins` groups of about equal mass each bin of a grid belongs, shape (k,); rising from 0.

    >>> collapse(np.array([5, 1, 1, 1, 1, 1]), 2).tolist()
    [0, 1, 1, 1, 1, 1]
    """
    below = np.cumsum(counts)
    cuts = np.unique(np.searchsorted(below, below[-1] * np.arange(1, bins) / bins))
    # A last group without any mass would only catch the tail: it stays with its neighbour.
    cuts = cuts[below[np.minimum(cuts, len(below) - 1)] < below[-1]]
    return np.searchsorted(cuts, np.arange(len(counts)), side="left")


def grouped(counts: Ints, groups: Ints) -> Ints:
    """Counts by group, shape (groups,)."""
    return np.bincount(groups, counts, int(groups[-1]) + 1).astype(np.int64)


def psi(baseline: Ints, current: Ints) -> float:
    """Population stability index: sum (q - p) ln(q / p) over bins; a bin that is empty on one side counts as half an
    observation there, one that is empty on both is left out.

    >>> round(psi(np.array([50, 50]), np.array([60, 40])), 4)
    0.0405
    """
    some = baseline + current > 0
    p, q = np.maximum(baseline[some], 0.5) / baseline.sum(), np.maximum(current[some], 0.5) / current.sum()
    return float(((q - p) * np.log(q / p)).sum())


def jensen_shannon(a: Ints, b: Ints) -> float:
    """Jensen-Shannon distance (square root of the divergence), base 2, in [0, 1].

    >>> jensen_shannon(np.array([1, 0]), np.array([0, 1]))
    1.0
    """
    p, q = a / a.sum(), b / b.sum()
    middle = (p + q) / 2
    divergence = 0.0
    for part in (p, q):
        some = part > 0
        divergence += float((part[some] * np.log2(part[some] / middle[some])).sum()) / 2
    return float(np.sqrt(min(max(divergence, 0.0), 1.0)))


def total_variation(a: Ints, b: Ints) -> float:
    """Half the sum of absolute differences of shares, in [0, 1]."""
    return float(np.abs(a / a.sum() - b / b.sum()).sum() / 2)


def wasserstein(a: Ints, b: Ints, values: Floats) -> float:
    """Earth mover's distance in the column's unit, each bin standing at its rising `values`, shape (k,).

    >>> wasserstein(np.array([2, 0]), np.array([0, 2]), np.array([1.0, 4.0]))
    3.0
    """
    gap = np.abs(np.cumsum(a) / a.sum() - np.cumsum(b) / b.sum())
    return float((gap[:-1] * np.diff(values)).sum())


def displacement(counts: Ints, edges: Floats, values: Floats, low: float, high: float) -> float:
    """Most that a sample's values lie from where their bins stand, on average: bounds the error of `wasserstein`.

    Parameters
    ----------
    counts, values : ndarray, shape (k,)
    edges : ndarray, shape (k - 1,)
    low, high : float
        Smallest and largest of the sample.
    """
    left = np.maximum(np.concatenate([[low], edges]), low)
    right = np.minimum(np.concatenate([edges, [high]]), high)
    some = counts > 0
    reach = np.maximum(np.abs(values - left), np.abs(right - values))[some]
    return float((reach * counts[some]).sum() / counts.sum())


# -- vectors ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Frechet:
    """Fréchet distance between two normal distributions fitted to vectors.

    Attributes
    ----------
    value : float
        |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)).
    bias : float
        What two samples of these sizes from one distribution give on average.
    spread : float
        Standard deviation of that.
    """

    value: float
    bias: float
    spread: float


def frechet(mean1: Floats, cov1: Floats, n1: int, mean2: Floats, cov2: Floats, n2: int) -> Frechet:
    """Fréchet distance with its bias and spread under equality.

    To second order the distance of two samples of one normal distribution with eigenvalues l is a sum of scaled chi-squares
    of one degree of freedom, c = 1/n1 + 1/n2: c l_i from the means, c l_i l_j / (l_i + l_j) for i < j and c l_i / 2 from the
    covariances.

    Parameters
    ----------
    mean1, mean2 : ndarray, shape (k,)
    cov1, cov2 : ndarray, shape (k, k)
        Unbiased.
    """
    root = _root(cov1)
    cross = np.linalg.eigvalsh(root @ cov2 @ root)
    value = float(((mean1 - mean2) ** 2).sum() + np.trace(cov1) + np.trace(cov2))
    value -= 2 * float(np.sqrt(np.maximum(cross, 0)).sum())
    pooled = ((n1 - 1) * cov1 + (n2 - 1) * cov2) / max(n1 + n2 - 2, 1)
    eigen = np.maximum(np.linalg.eigvalsh(pooled), 0)
    eigen = eigen[eigen > eigen.max(initial=0.0) * 1e-12]
    i, j = np.triu_indices(len(eigen), 1)
    c = 1 / n1 + 1 / n2
    weights = c * np.concatenate([eigen, eigen / 2, eigen[i] * eigen[j] / (eigen[i] + eigen[j])])
    return Frechet(max(value, 0.0), float(weights.sum()), float(np.sqrt(2 * (weights**2).sum())))


def _root(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    root: Floats = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root


@dataclass(frozen=True, slots=True)
class KernelMean:
    """Sum of a sample's random Fourier features, shape (D,), the sum of their squared norms, and its size."""

    n: int
    features: Floats
    square: float


def mmd2(a: KernelMean, b: KernelMean) -> float:
    """Unbiased squared maximum mean discrepancy from kernel means; about 0, and often below, when nothing changed."""
    within = sum((float(x.features @ x.features) - x.square) / (x.n * (x.n - 1)) for x in (a, b))
    return within - 2 * float(a.features @ b.features) / (a.n * b.n)


def mmd_p(a: KernelMean, b: KernelMean, n: float | None = None, m: float | None = None, bound: float = 2.0) -> float:
    """Upper bound of the p-value of "no change", whatever the distribution.

    With c = 1/n + 1/m and features whose squared norm is at most `bound` K, the biased discrepancy has mean at most
    sqrt(c K) under equality and exceeds it by e with probability at most exp(-e^2 / (2 K c)) (McDiarmid's inequality, as in
    Gretton et al. 2012, theorem 7). It needs large changes to get small. `n` and `m` are effective sizes, where rows repeat.
    """
    c = 1 / (n or a.n) + 1 / (m or b.n)
    biased = float(np.linalg.norm(a.features / a.n - b.features / b.n))
    excess = max(0.0, biased - np.sqrt(c * bound))
    return float(np.exp(-(excess**2) / (2 * bound * c)))
