"""How likely a distance this large is when nothing changed: null distributions and exact tests."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, fdtrc, gammaln, kolmogorov

from auditor.core.rows import Floats, Ints

MIN_EXPECTED = 5.0
"""Expected count in the smaller sample below which a category is pooled with other rare ones (Cochran's rule)."""
TOLERANCE = 0.05
"""Rise of a share over the baseline's that `rise_p` allows for: days differ by more than independent rows would."""
SIDES = ("greater", "less", "two-sided")


def ks_p(distance: float, n: float, m: float) -> float:
    """Two-sided p-value of a two-sample Kolmogorov-Smirnov distance, asymptotic.

    Q(sqrt(n m / (n + m)) D) with Q Kolmogorov's survival function. Ties, and distances read off a grid (which can only be
    too small), make it conservative.

    Parameters
    ----------
    distance : float
        In [0, 1].
    n, m : float
        Effective sizes of the samples.
    """
    return float(kolmogorov(math.sqrt(n * m / (n + m)) * distance))


def chi_square_p(a: Ints, b: Ints, effective: tuple[float, float] = (1.0, 1.0)) -> float:
    """P-value of Pearson's test that two rows of counts, shapes (k,), come from the same distribution.

    Categories that both samples together expect fewer than five times in the smaller one are pooled first, rarest first.
    What is pooled follows from the sums of both rows alone, so that pooling does not favour either outcome.

    `effective` is the share of independent observations in each row: counts are taken times that (Rao and Scott 1981,
    with one design effect for all categories).
    """
    if a.sum() == 0 or b.sum() == 0:
        raise ValueError("both samples need at least one observation")
    first, second = a.astype(np.float64) * effective[0], b.astype(np.float64) * effective[1]
    n, m = float(first.sum()), float(second.sum())
    x, y = _pool_rare(first, second, min(n, m) / (n + m))
    total = x + y
    if len(total) < 2:
        return 1.0
    expected = total * (n / (n + m))
    other = total * (m / (n + m))
    statistic = float(((x - expected) ** 2 / expected).sum() + ((y - other) ** 2 / other).sum())
    return float(chdtrc(len(total) - 1, statistic))


def _pool_rare(a: Floats, b: Floats, share: float) -> tuple[Floats, Floats]:
    total = a + b
    keep = total > 0
    a, b, total = a[keep], b[keep], total[keep]
    order = np.argsort(total, kind="stable")
    a, b, total = a[order], b[order], total[order]
    rare = int((total * share < MIN_EXPECTED).sum())
    if rare == 0:
        return a, b
    # The pool takes the next category as well when all the rare ones together are still rare.
    while rare < len(total) and total[:rare].sum() * share < MIN_EXPECTED:
        rare += 1
    pooled = [np.concatenate([[part[:rare].sum()], part[rare:]]) for part in (a, b)]
    return pooled[0], pooled[1]


def fisher_exact(k1: int, n1: int, k2: int, n2: int, side: str = "two-sided") -> float:
    """P-value of Fisher's exact test that k1 of n1 and k2 of n2 come from one rate.

    Parameters
    ----------
    side : str
        `greater`: the first rate is higher; `less`: lower; `two-sided`: sum of all tables no likelier than this one.

    Examples
    --------
    >>> round(fisher_exact(3, 4, 1, 4, "greater"), 6)   # Fisher's lady tasting tea, one cup of each kind wrong
    0.242857
    """
    if side not in SIDES:
        raise ValueError(f"{side!r} is not one of {', '.join(SIDES)}")
    if not (0 <= k1 <= n1 and 0 <= k2 <= n2):
        raise ValueError(f"{k1} of {n1} and {k2} of {n2} are not counts")
    k = k1 + k2
    x = np.arange(max(0, k - n2), min(n1, k) + 1)
    log_p = _log_choose(n1, x) + _log_choose(n2, k - x) - _log_choose(n1 + n2, np.array(k))
    observed = log_p[k1 - x[0]]
    chosen = {"greater": x >= k1, "less": x <= k1, "two-sided": log_p <= observed + 1e-7}[side]
    return min(1.0, float(np.exp(log_p[chosen]).sum()))


def rise_p(
    k: int, n: int, k_baseline: int, n_baseline: int, share: tuple[float, float] = (1.0, 1.0), rise: float = TOLERANCE
) -> float:
    """P-value of "the share is at most `rise` above the baseline's": Fisher's exact test with the baseline raised by it.

    `share` is the share of independent observations, here and in the baseline (Rao and Scott 1981).

    >>> rise_p(7, 100, 20, 1000) > 0.4, rise_p(30, 100, 20, 1000) < 1e-9
    (True, True)
    """
    size, size_baseline = max(1, round(n * share[0])), max(1, round(n_baseline * share[1]))
    hits = min(size, round(k * size / n))
    raised = math.ceil(k_baseline * size_baseline / n_baseline + rise * size_baseline)
    return fisher_exact(hits, size, min(size_baseline, raised), size_baseline, "greater")


def _log_choose(n: int, k: NDArray) -> Floats:
    found: Floats = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return found


def hotelling_p(difference: Floats, covariance: Floats, n: float, m: float) -> float:
    """P-value of Hotelling's T-square that two means of dimension k are equal.

    Parameters
    ----------
    difference : ndarray, shape (k,)
    covariance : ndarray, shape (k, k)
        Pooled, unbiased.
    n, m : float
        Effective sizes; their sum has to exceed k + 1. Exact for normal data, asymptotic for others.
    """
    values, vectors = np.linalg.eigh(covariance)
    keep = values > max(float(values.max(initial=0.0)), 0.0) * 1e-10
    k = int(keep.sum())
    freedom = n + m - k - 1
    if k == 0 or freedom < 1:
        return 1.0
    score = (difference @ vectors[:, keep]) / np.sqrt(values[keep])
    t_square = float((score**2).sum()) / (1 / n + 1 / m)
    return float(fdtrc(k, freedom, t_square * freedom / (k * (n + m - 2))))


def permutation_p(observed: float, permuted: Sequence[float] | Floats) -> float:
    """P-value of a statistic against its values under permutation: (1 + #{permuted >= observed}) / (1 + count).

    >>> permutation_p(2.0, [1.0, 3.0, 0.5])
    0.5
    """
    values = np.asarray(permuted, np.float64)
    return float((1 + (values >= observed).sum()) / (1 + len(values)))
