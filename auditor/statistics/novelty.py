"""Answers that were never given before: how many of them chance alone would bring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

_FOR_THE_SUM = 0.9
_STEEPEST = 700.0
"""Largest exponent that a float holds."""


@dataclass(frozen=True, slots=True)
class Novelty:
    """Of one question: `k` of `n` answers that its `n_baseline` earlier ones do not hold, and what exchangeability makes of them.

    Attributes
    ----------
    sizes : ndarray, shape (codes,)
        How often each distinct answer was given, before and now together.
    odds : ndarray, shape (codes,)
        Probability that all of them fall into the n.
    """

    k: int
    n: int
    n_baseline: int
    sizes: NDArray[np.float64]
    odds: NDArray[np.float64]

    @property
    def expected(self) -> float:
        """New answers that chance alone would bring, on average."""
        return float(self.sizes @ self.odds)


def novelty(now: Mapping[str, int], then: Mapping[str, int]) -> Novelty:
    """Answers by code, in the window and in the baseline.

    When nothing changed, every way to choose the window's n answers among all n + m is equally likely. An answer given s times in all
    is new when all s of them fall into the window, which has the probability C(n + m - s, m) / C(n + m, m). (With n = 1 the
    expectation is the leave-one-out novelty: the share of answers that were given once, as in Good 1953.)

    >>> found = novelty({"paris": 3, "lyon": 1}, {"paris": 8})
    >>> found.k, found.n, round(found.expected, 3)
    (1, 4, 0.333)
    """
    n, m = sum(now.values()), sum(then.values())
    total = n + m
    sizes = np.array([now.get(code, 0) + then.get(code, 0) for code in sorted({*now, *then})], np.float64)
    with np.errstate(invalid="ignore"):
        log = gammaln(total - sizes + 1) - gammaln(np.maximum(total - sizes - m, 0) + 1)
        log = log - gammaln(total + 1) + gammaln(n + 1)
    odds = np.where(sizes <= n, np.exp(log), 0.0)
    return Novelty(sum(count for code, count in now.items() if code not in then), n, m, sizes, odds)


def novelty_p(found: Iterable[Novelty]) -> float:
    """P-value that chance alone would bring so many new answers, to all questions together or to any of them alone.

    Bonferroni's bound, nine parts of ten for the sum and one for the questions alone: many small changes show in the sum, and one
    question that changed altogether is not drowned by others that always vary.

    >>> novelty_p([novelty({"a": 24}, {"b": 168})]) < 1e-29, novelty_p([novelty({"a": 24}, {"a": 168})])
    (True, 1.0)
    """
    parts = list(found)
    if len(parts) == 1:
        return sum_p(parts)
    alone = len(parts) * min(sum_p([part]) for part in parts)
    return min(1.0, sum_p(parts) / _FOR_THE_SUM, alone / (1.0 - _FOR_THE_SUM))


def sum_p(parts: Sequence[Novelty]) -> float:
    """P-value that chance alone would bring so many new answers in all; conservative at any size.

    Chernoff's bound, min over t of exp(-t k) prod (1 + odds (exp(t s) - 1)). The product bounds the moment generating function because
    choosing without replacement makes the answers negatively associated (Joag-Dev and Proschan 1983); questions are independent.
    """
    from scipy.optimize import minimize_scalar  # here: it takes longer to load than a short command runs

    k = sum(part.k for part in parts)
    if k <= sum(part.expected for part in parts):
        return 1.0
    sizes = np.concatenate([part.sizes[part.odds > 0] for part in parts])
    odds = np.concatenate([part.odds[part.odds > 0] for part in parts])
    steepest = _STEEPEST / float(sizes.max())

    def bound(t: float) -> float:
        return float(np.log1p(odds * np.expm1(t * sizes)).sum()) - t * k

    best = minimize_scalar(bound, bounds=(0.0, steepest), method="bounded", options={"xatol": 1e-6})
    return float(min(1.0, np.exp(min(float(best.fun), bound(steepest)))))
