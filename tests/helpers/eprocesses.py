"""E-processes that bet on one value at a time: the reference for those that bet on many series at once."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from auditor.core.rows import Floats
from auditor.statistics.evalues import FRACTIONS, JUMP_RATE, SLOPES

BINS = 10
LARGEST_LOG = 700.0
"""Wealth is reported up to exp of this, the last that is a finite number."""


@dataclass(slots=True)
class LowerMean:
    """Evidence that values in [0, 1] have a mean below `m0`: K_t = mean over l of prod (1 + l (m0 - s_t)).

    The bets l are fixed fractions of 1 / (1 - m0), the largest that keeps every factor positive. Whatever the
    distribution and the dependence, while the conditional mean stays at `m0` or above the process is a supermartingale.
    The guarantee is relative to `m0`: take it from a lower limit of the baseline's mean, and add that limit's error.

    Examples
    --------
    >>> process = LowerMean(0.7)
    >>> bool(process.update(np.full(50, 0.4))[-1] > 20)
    True
    """

    m0: float
    log_wealth: Floats = field(default_factory=lambda: np.zeros(len(FRACTIONS)))

    def __post_init__(self) -> None:
        if not 0.0 < self.m0 < 1.0:
            raise ValueError(f"{self.m0} is not a mean to fall below")

    @property
    def e_value(self) -> float:
        """The wealth now."""
        return math.exp(min(_log_mean(self.log_wealth), LARGEST_LOG))

    def update(self, values: Floats) -> Floats:
        """Bet on the values in turn; the wealth after each, shape (n,)."""
        s = np.asarray(values, np.float64)
        if not ((s >= 0) & (s <= 1)).all():
            raise ValueError("values lie in [0, 1]")
        if not len(s):
            return np.empty(0)
        bets = np.array(FRACTIONS) / (1 - self.m0)
        path = self.log_wealth + np.cumsum(np.log1p(bets * (self.m0 - s[:, None])), axis=0)
        self.log_wealth = path[-1]
        most = path.max(axis=1)
        found: Floats = np.exp(np.minimum(most + np.log(np.exp(path - most[:, None]).mean(axis=1)), LARGEST_LOG))
        return found


@dataclass(slots=True)
class ConformalMixture:
    """Evidence that values stopped being exchangeable with those before: bets on their conformal p-values.

    Each value's rank among the baseline *and all values since* gives a p-value, uniform and independent of the earlier ones
    while nothing changes; against a fixed baseline alone the promise would fail. Two bets share the wealth: Simple Jumper
    (Vovk et al. 2021) for shifts, a histogram of the past p-values for anything else.

    Attributes
    ----------
    bag : list of float
        Baseline values and those seen since, rising.
    """

    bag: list[float]
    _jumper: Floats = field(default_factory=lambda: np.full(len(SLOPES), 1 / len(SLOPES)))
    _log_jumper: float = 0.0
    _counts: NDArray[np.float64] = field(default_factory=lambda: np.ones(BINS))
    _log_histogram: float = 0.0

    def __post_init__(self) -> None:
        self.bag = sorted(float(value) for value in self.bag)

    @property
    def e_value(self) -> float:
        """The wealth now."""
        return math.exp(min(_log_mean(np.array([self._log_jumper, self._log_histogram])), LARGEST_LOG))

    def update(self, values: Iterable[float], uniforms: Iterable[float]) -> Floats:
        """Bet on the values in turn; the wealth after each, shape (n,).

        Parameters
        ----------
        uniforms : iterable of float
            One number in (0, 1) a value, independent of it: breaks ties. From a hash of the record's id, so that two
            machines agree.
        """
        found = []
        for value, uniform in zip(values, uniforms, strict=True):
            self._bet(self._p_value(float(value), float(uniform)))
            found.append(self.e_value)
        return np.array(found)

    def _p_value(self, value: float, uniform: float) -> float:
        left, right = bisect_left(self.bag, value), bisect_right(self.bag, value)
        self.bag.insert(right, value)
        above, ties = len(self.bag) - 1 - right, right - left + 1
        return (above + uniform * ties) / len(self.bag)

    def _bet(self, p: float) -> None:
        spread = (1 - JUMP_RATE) * self._jumper + JUMP_RATE * self._jumper.sum() / len(SLOPES)
        wealth = spread * (1 + SLOPES * (p - 0.5))
        total = float(wealth.sum())
        self._jumper = wealth / total
        self._log_jumper += math.log(total)
        place = min(int(p * BINS), BINS - 1)
        self._log_histogram += math.log(BINS * self._counts[place] / self._counts.sum())
        self._counts[place] += 1


def _log_mean(logs: Floats) -> float:
    most = float(logs.max())
    return most + math.log(float(np.exp(logs - most).mean()))
