"""E-processes: evidence that may be looked at after every observation without losing its level.

Under "no change" the wealth of each bet is a nonnegative martingale (or supermartingale) that starts at 1, so that it ever
reaches 1 / alpha with probability at most alpha (Ville's inequality). The mean of several wealths is one again.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp

from auditor.core.rows import Floats, Ints

FRACTIONS = (0.1, 0.25, 0.5, 0.75, 0.95)
"""Bets of the lower-mean process, as fractions of the largest allowed."""
JUMP_RATE = 0.001
"""Rate at which capital moves between slopes; units that start later need no more."""
SLOPES = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])


def bernstein_lower(n: int, mean: float, variance: float, delta: float = 0.01) -> float:
    """Lower confidence limit of a mean of values in [0, 1] (Maurer and Pontil 2009, theorem 4), at least 0.

    mean - sqrt(2 variance ln(2 / delta) / n) - 7 ln(2 / delta) / (3 (n - 1)); `variance` unbiased, n > 1.
    """
    if n < 2:
        raise ValueError("a Bernstein limit needs at least two values")
    reach = math.log(2 / delta)
    return max(0.0, mean - math.sqrt(2 * variance * reach / n) - 7 * reach / (3 * (n - 1)))


# -- many series at once --------------------------------------------------------------------------------------------------

SHARE_PRIOR = 100.0
"""Weight, in values, of "shares as in the bag": what learning shares of nothing costs."""
SHARE_SEED = 0.1
"""Weight of all groups that the bag has next to no value of, together."""
SHARE_MEMORY = 500.0
"""Values that shares are remembered by from one block to the next."""
_BLOCK = 256


def conformal_ranks(
    bag: NDArray[np.int64], groups: NDArray[np.int64], uniforms: Floats
) -> tuple[Floats, NDArray[np.int64]]:
    """Conformal p-values of values known by their group, each ranked among the bag *and the values before it*.

    p_t = (#{above} + U_t #{same group, itself included}) / (all, itself included): uniform and independent while the values
    go on as in the bag, whatever the groups are.

    Parameters
    ----------
    bag : ndarray of int, shape (g,)
        Values seen before, by rising group.
    groups : ndarray of int, shape (n,)
    uniforms : ndarray of float, shape (n,)
        In (0, 1), independent of the values.

    Returns
    -------
    p : ndarray of float64, shape (n,)
    bag : ndarray of int, shape (g,)
        With the values added.

    Examples
    --------
    >>> p, bag = conformal_ranks(np.array([1, 1]), np.array([1, 0]), np.array([0.5, 0.5]))
    >>> p.round(3).tolist(), bag.tolist()
    ([0.333, 0.75], [2, 2])
    """
    found = np.empty(len(groups))
    for start in range(0, len(groups), _BLOCK):  # a row's earlier ones in its block are compared one by one
        own = groups[start : start + _BLOCK]
        earlier = np.tri(len(own), k=-1, dtype=bool)
        same = bag[own] + ((own == own[:, None]) & earlier).sum(axis=1)
        upto = np.cumsum(bag)[own] + ((own <= own[:, None]) & earlier).sum(axis=1)
        total = int(bag.sum()) + np.arange(len(own))
        found[start : start + _BLOCK] = (total - upto + uniforms[start : start + _BLOCK] * (same + 1)) / (total + 1)
        bag = bag + np.bincount(own, minlength=len(bag))
    return found, bag


def jumper_gains(weights: Floats, p: Floats) -> tuple[Floats, Floats]:
    """Simple Jumper on several series of p-values at once.

    Every bet is linear in the capital laid on the slopes, so that starting again with every block and adding up costs no
    more than going on.

    Parameters
    ----------
    weights : ndarray of float64, shape (k, 5)
        Share of each series' capital on each slope, summing to 1.
    p : ndarray of float64, shape (n, k)
        0.5 where a series has no value: half a bet wins nothing.

    Returns
    -------
    gain : ndarray of float64, shape (k,)
        Logarithm of what the capital grew by.
    weights : ndarray of float64, shape (k, 5)
    """
    factors = 1 + SLOPES * (p[:, :, None] - 0.5)
    totals = np.empty((len(p), len(weights), 1))
    found = weights
    for step, factor in enumerate(factors):
        found = ((1 - JUMP_RATE) * found + JUMP_RATE / len(SLOPES)) * factor
        total = found.sum(axis=1, keepdims=True)
        found /= total
        totals[step] = total
    return np.log(totals[:, :, 0]).sum(axis=0), found


def share_gains(bag: Ints, groups: Ints, known: Floats) -> tuple[Floats, Floats]:
    """Bets on the group of each value, by the shares of groups that the values before it had.

    With c_g of N values of the bag in group g, the value itself included, a stake of q_g pays q_g N / c_g. While values are
    exchangeable with the bag's, each of the N is as likely to be the last one, so that the mean payment is the sum of q
    over the groups there are: at most 1. A group that the bag hardly has pays most.

    Parameters
    ----------
    bag : ndarray of int, shape (g,)
        Values seen before, by group.
    groups : ndarray of int, shape (n,)
    known : ndarray of float64, shape (g,)
        Values of earlier blocks that shares may be learned from.

    Returns
    -------
    gains : ndarray of float64, shape (2,)
        Logarithm of what one unit grew by: without the values of earlier blocks, and with them.
    known : ndarray of float64, shape (g,)
        With the values added; at most `SHARE_MEMORY` of the earlier ones count.

    Examples
    --------
    >>> gains, _ = share_gains(np.array([500, 500, 0]), np.full(50, 2), np.zeros(3))
    >>> gains.round().tolist()
    [100.0, 100.0]
    """
    known = known * min(1.0, SHARE_MEMORY / max(float(known.sum()), 1.0))
    row, counts = np.arange(len(groups)), np.bincount(groups, minlength=len(bag))
    order = np.argsort(groups, kind="stable")
    before = np.empty(len(groups))  # how many of the earlier values had the same group
    before[order] = row - np.repeat(np.cumsum(counts) - counts, counts)
    total = float(bag.sum())
    rare = bag * SHARE_PRIOR < total
    anew = SHARE_PRIOR * bag / total + np.where(rare, SHARE_SEED / max(int(rare.sum()), 1), 0.0)
    stake = np.stack([anew, anew + known])
    share = (stake[:, groups] + before) / (stake.sum(axis=1)[:, None] + row)
    gains: Floats = np.log(share * (total + row + 1) / (bag[groups] + before + 1)).sum(axis=1)
    return gains, counts + known


def lower_mean_gains(limit: float, values: Floats) -> Floats:
    """Bets that the mean of values in [0, 1] is below `limit`: log of what each of them grew by, shape (5,)."""
    gains: Floats = np.log1p(np.array(FRACTIONS) / (1 - limit) * (limit - values[:, None])).sum(axis=0)
    return gains


# -- by window ------------------------------------------------------------------------------------------------------------

SCALES = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 64.0])
"""By how much the alternative widens the t distribution; 1 keeps the stake."""


def t_log_e(t: Floats, degrees: float) -> float:
    """Logarithm of an e-value: mean over scores and scales c of the likelihood ratio of c T to T, T Student's t.

    >>> t_log_e(np.array([0.3]), 27.0) < 0 < t_log_e(np.array([8.0]), 27.0)
    True
    """
    wide = _log_t(t[:, None] / SCALES, degrees) - np.log(SCALES)
    ratio = wide - _log_t(t[:, None], degrees)
    return float(logsumexp(ratio) - np.log(ratio.size))


def _log_t(t: Floats, degrees: float) -> Floats:
    half = (degrees + 1) / 2
    found: Floats = gammaln(half) - gammaln(degrees / 2) - np.log(degrees * np.pi) / 2 - half * np.log1p(t**2 / degrees)
    return found
