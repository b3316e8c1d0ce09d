"""The false-alarm budget: one number per deployment, split so that the sum of all levels cannot exceed it.

`false_pages: 0.05, per: P90D` means at most 0.05 expected false pages in 90 days. With B budgeted controls and
W = 90 d / window evaluations in the period, one control may spend 0.05 / (B W) in one window. The M modalities it looks at
there share that equally, so that a table of a hundred columns leaves an image its part; Bonferroni over the S series of a
modality leaves 0.05 / (B W M S) for each p-value. By the union bound the expected number of false pages is at most
the budget, whatever the dependence between series. Advisory controls page nobody and take no share.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from auditor.policy.schema import Policy


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one budgeted control may spend in one window.

    Attributes
    ----------
    alpha : float
        Level for each p-value.
    windows : float
        Evaluations in the budget's period.
    controls, series : int
        Between how many the budget was split.
    """

    alpha: float
    windows: float
    controls: int
    series: int
    false_pages: float
    per: timedelta

    def share(self, series: int) -> float:
        """Expected false pages per period that a verdict over so many of the series may cause."""
        return self.alpha * series * self.windows


def allowance(policy: Policy, window: timedelta, series: int, modalities: int = 1) -> Allowance | None:
    """The level of each of `series` p-values of one of `modalities` that a control looks at in one window.

    None for a policy without a budget.

    >>> from auditor.policy.schema import Budget
    >>> policy = Policy(name="p", version="1", title="p", controls=(), digest="", budget=Budget(false_pages=0.09, per=timedelta(days=90)))
    >>> round(allowance(policy, timedelta(days=1), 10).alpha, 6)
    0.0001
    """
    if policy.budget is None:
        return None
    controls = max(sum(control.budgeted and not control.advisory for control in policy.controls), 1)
    windows = max(policy.budget.per / window, 1.0)
    alpha = policy.budget.false_pages / (controls * windows * max(modalities, 1) * max(series, 1))
    return Allowance(min(alpha, 1.0), windows, controls, max(series, 1), policy.budget.false_pages, policy.budget.per)
