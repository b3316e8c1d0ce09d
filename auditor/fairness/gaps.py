"""Whether groups differ: an exact test and a simultaneous interval, both for counts of any size.

The largest gap between groups is never zero, even when nothing differs: six groups of 50 with one true rate of .3 show .16
on average. So a gap is read beside the probability of such counts under equal rates, and beside an interval that covers
all groups at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from auditor.core.measurement import Interval
from auditor.statistics.intervals import simultaneous_level, wilson
from auditor.statistics.nulls import fisher_exact

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Share:
    """A group's rate as counts: `hits` of `n`; `value` is the rate itself."""

    group: str
    hits: int
    n: int

    @property
    def value(self) -> float:
        return self.hits / self.n


def against_rest(shares: Sequence[Share]) -> list[float]:
    """For each group, the two-sided p-value of "its rate is that of all other groups together" (Fisher's exact test)."""
    hits, n = sum(share.hits for share in shares), sum(share.n for share in shares)
    return [fisher_exact(share.hits, share.n, hits - share.hits, n - share.n, "two-sided") for share in shares]


def homogeneity(apart: Sequence[float]) -> float:
    """P-value of "all groups have one rate": the smallest of `against_rest`, times the number of groups (Bonferroni).

    Exact in every table, so that it holds where the chi-square approximation does not: rates near 1, small groups, and
    p-values of 1e-9, at which alarm budgets are spent. It is conservative, by the discreteness of counts and by
    Bonferroni's bound, and strongest against the case that matters most: one group that fares worse than the rest. With
    two groups both tests are the same one, and nothing is multiplied.
    """
    return min(1.0, min(apart) * (1 if len(apart) == 2 else len(apart)))


def gap_interval(shares: Sequence[Share]) -> Interval:
    """Interval of max - min over the groups' true rates, valid although the data chose both ends.

    Every group gets a Wilson interval at the level at which all of them hold together (Sidak). Then the largest true rate
    is at least the largest lower limit and at most the largest upper limit, and likewise for the smallest.
    """
    lows, highs = _limits(shares)
    return Interval(max(0.0, max(lows) - min(highs)), max(highs) - min(lows), LEVEL, "wilson_sidak")


def ratio_interval(shares: Sequence[Share]) -> Interval:
    """Interval of min / max over the groups' true rates, from the same simultaneous limits."""
    lows, highs = _limits(shares)
    best_low = max(lows)
    upper = min(1.0, min(highs) / best_low) if best_low > 0.0 else 1.0
    return Interval(min(lows) / max(highs), upper, LEVEL, "wilson_sidak")


def _limits(shares: Sequence[Share]) -> tuple[list[float], list[float]]:
    each = simultaneous_level(LEVEL, len(shares))
    intervals = [wilson(share.hits, share.n, each) for share in shares]
    return [interval.lower for interval in intervals], [interval.upper for interval in intervals]
