"""Rates by group and the gaps between them, computed by Fairlearn's MetricFrame.

MetricFrame gets the distinct (group, truth, prediction) cells with their counts as sample weights: the figures of the rows
themselves, at a cost that traffic does not change. Around it stands what it leaves out: a rate without a denominator is
undefined (Fairlearn's own rate functions say 0.0), every rate has its interval, and every gap the probability that equal
groups would show such counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from auditor.core.catalogue import MetricSpec
from auditor.core.frame import Frame
from auditor.core.measurement import Reading, Status, absent
from auditor.core.state import WindowState
from auditor.fairness.gaps import LEVEL, Share, against_rest, gap_interval, homogeneity, ratio_interval
from auditor.fairness.outcomes import (
    RATES,
    UNKNOWN,
    Outcomes,
    Rate,
    classes,
    merged,
    outcomes_by_feature,
    positive_class,
)
from auditor.statistics.intervals import wilson
from auditor.statistics.slices import other_name

MAX_GROUPS = 100
"""Groups of one feature that have figures of their own: those that stand out most, then the largest."""


@dataclass(frozen=True)
class MetricFrameMeasurer:
    """Measurer of kind `fairness`.

    Attributes
    ----------
    min_group : int
        Groups with fewer observations get `below_min_samples` and stay out of the gap.
    """

    requires = ("fairlearn",)
    audit_settings = ("min_group",)
    """Keys of `[audit]` that `configure` takes."""
    min_group: int = 10
    version: str = "2"
    needs_baseline: bool = False

    @property
    def metrics(self) -> tuple[MetricSpec, ...]:
        return _METRICS

    def configure(self, *, min_group: int) -> MetricFrameMeasurer:
        """The same measurer with another smallest group."""
        return MetricFrameMeasurer(min_group=min_group)

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterator[Reading]:
        """By feature, then rate: each group, the unknown group, the difference and the ratio."""
        known = classes(current.cells, *([baseline.cells] if baseline else []))
        positive = positive_class(known)
        for outcomes in outcomes_by_feature(current.cells):
            table = _Table(outcomes, known, positive, self.min_group)
            for rate in RATES:
                if rate.binary and positive is None:
                    yield from _not_binary(outcomes.feature, rate, len(known))
                else:
                    yield from table.readings(rate)


class _Table:
    """One feature: shares of every rate, and the MetricFrame over the groups that are large enough.

    Of more than `MAX_GROUPS` groups each is tested, and those without figures of their own are measured as one group more,
    `other`. The groups with the lowest and the highest rate and with the smallest p-value have figures of their own, so
    that gaps are those of all groups.
    """

    def __init__(self, outcomes: Outcomes, known: Sequence[str], positive: str | None, min_group: int) -> None:
        self.feature = outcomes.feature
        self.positive = positive
        self.min_group = min_group
        self.rates = [rate for rate in RATES if positive is not None or not rate.binary]
        self.shares = self._shares(outcomes)
        self.apart = {name: self._apart(shares) for name, shares in self.shares.items()}
        self.other, self.merged = "", 0
        if len(outcomes.groups) > MAX_GROUPS:
            kept = self._kept(outcomes)
            self.other = other_name([group for group in outcomes.groups if group is not None])
            self.merged = len(outcomes.groups) - len(kept)
            outcomes = merged(outcomes, kept, self.other)
            self.shares = self._shares(outcomes)
        self.result = _metric_frame(outcomes, known, positive, self.rates, min_group)

    def readings(self, rate: Rate) -> Iterator[Reading]:
        shares, apart = self.shares[rate.name], dict(self.apart[rate.name])
        large = self._large(shares)
        if self.other and len(large) > 1:
            apart[self.other] = self._apart(shares).get(self.other, 1.0)
        for share in shares:
            yield self._of_group(rate, share, apart.get(share.group))
        yield from self._gaps(rate, [share for share in shares if share.group != UNKNOWN], large, list(apart.values()))

    def _shares(self, outcomes: Outcomes) -> dict[str, list[Share]]:
        return {
            rate.name: [outcomes.share(group, rate, self.positive or "") for group in outcomes.groups]
            for rate in self.rates
        }

    def _large(self, shares: list[Share]) -> list[Share]:
        return [share for share in shares if share.n >= self.min_group and share.group != UNKNOWN]

    def _apart(self, shares: list[Share]) -> dict[str, float]:
        """By group that is large enough: the p-value of its rate against that of all others."""
        large = self._large(shares)
        return dict(zip((share.group for share in large), against_rest(large))) if len(large) > 1 else {}

    def _kept(self, outcomes: Outcomes) -> set[str | None]:
        """Groups with figures of their own: extremes of every rate, records without a group, then the largest."""
        first: dict[str | None, None] = {None: None} if None in outcomes.groups else {}
        for name, shares in self.shares.items():
            large, apart = self._large(shares), self.apart[name]
            if large:
                first[min(large, key=lambda share: (share.value, share.group)).group] = None
                first[max(large, key=lambda share: (share.value, share.group)).group] = None
            if apart:
                first[min(apart, key=lambda group: (apart[group], group))] = None
        size = {group: sum(pairs.values()) for group, pairs in outcomes.groups.items()}
        rest = sorted(size, key=lambda group: (-size[group], group or ""))
        return set(list(dict.fromkeys([*first, *rest]))[:MAX_GROUPS])

    def _of_group(self, rate: Rate, share: Share, p_value: float | None) -> Reading:
        metric = f"fairness.{rate.name}"
        if reason := self._why_absent(rate, share):
            return absent(metric, reason, n=share.n, feature=self.feature, group=share.group)
        value = share.value if share.group == UNKNOWN else float(self.result.by_group[rate.name][share.group])
        return Reading(
            metric=metric,
            value=value,
            n=share.n,
            attributes={"feature": self.feature, "group": share.group},
            interval=wilson(share.hits, share.n, LEVEL),
            p_value=p_value,
            facts={"count": share.hits, "of": share.n, **self._merged(share.group), **self._positive(rate)},
        )

    def _gaps(self, rate: Rate, shares: list[Share], large: list[Share], apart: list[float]) -> Iterator[Reading]:
        n = sum(share.n for share in large)
        metrics = f"fairness.{rate.name}.difference", f"fairness.{rate.name}.ratio"
        status, reason = self._why_no_gap(rate, shares, large)
        if reason:
            for metric in metrics:
                yield absent(metric, reason, status=status, n=n, feature=self.feature)
            return
        facts = {**_worst_and_best(large), **self._left_out(shares, large), **self._merged(), **self._positive(rate)}
        p_value = homogeneity(apart)
        values = float(self.result.difference()[rate.name]), float(self.result.ratio()[rate.name])
        intervals = gap_interval(large), ratio_interval(large)
        for metric, value, interval in zip(metrics, values, intervals):
            if math.isnan(value):  # a ratio of zeros
                yield absent(metric, "undefined", n=n, feature=self.feature)
            else:
                yield Reading(
                    metric=metric,
                    value=value,
                    n=n,
                    attributes={"feature": self.feature},
                    interval=interval,
                    p_value=p_value,
                    facts=facts,
                )

    def _why_absent(self, rate: Rate, share: Share) -> str:
        if share.n >= max(self.min_group, 1):
            return ""
        if share.n:
            return "below_min_samples"
        return "unlabelled" if rate.labelled and not self._labelled() else "undefined"

    def _why_no_gap(self, rate: Rate, shares: list[Share], large: list[Share]) -> tuple[Status, str]:
        if not shares:
            return Status.INSUFFICIENT_DATA, "no_data"
        if rate.labelled and not self._labelled():
            return Status.INSUFFICIENT_DATA, "unlabelled"
        if len(shares) == 1:
            return Status.NOT_APPLICABLE, "one_group"
        if len(large) < 2:
            few = any(0 < share.n < self.min_group for share in shares)
            return Status.INSUFFICIENT_DATA, "below_min_samples" if few else "undefined"
        return Status.OK, ""

    def _labelled(self) -> bool:
        return any(share.n for share in self.shares["accuracy"])

    def _left_out(self, shares: list[Share], large: list[Share]) -> dict[str, int]:
        small = len(shares) - len(large)
        return {"groups_left_out": small, "least_n": self.min_group} if small else {}

    def _merged(self, group: str | None = None) -> dict[str, int]:
        """How many groups are measured together, for their own figure and for gaps."""
        return {"groups_merged": self.merged} if self.other and group in (None, self.other) else {}

    def _positive(self, rate: Rate) -> dict[str, Any]:
        return {"positive": self.positive} if rate.binary else {}


def _metric_frame(
    outcomes: Outcomes, known: Sequence[str], positive: str | None, rates: Sequence[Rate], min_group: int
) -> Any:
    """Fairlearn's MetricFrame over the cells of the stated groups; None when there is no such cell."""
    from fairlearn.metrics import MetricFrame

    cells = [
        (group, truth, answer, count)
        for group, pairs in outcomes.groups.items()
        if group is not None
        for (truth, answer), count in pairs.items()
    ]
    if not cells:
        return None
    code = {label: place for place, label in enumerate(known)}
    weights = np.array([cell[3] for cell in cells], dtype=np.float64)
    metrics = {rate.name: _metric(rate, known, positive, min_group) for rate in rates}
    return MetricFrame(
        metrics=metrics,
        y_true=np.array([-1 if cell[1] is None else code[cell[1]] for cell in cells]),
        y_pred=np.array([-1 if cell[2] is None else code[cell[2]] for cell in cells]),
        sensitive_features=[cell[0] for cell in cells],  # a list: an array of one cell would lose its dimension
        sample_params={name: {"sample_weight": weights} for name in metrics},
    )


def _metric(rate: Rate, known: Sequence[str], positive: str | None, min_group: int) -> Callable[..., float]:
    """The rate as a metric function of Fairlearn: NaN for a group too small to tell, which MetricFrame's gaps skip."""
    labels: Mapping[int, str | None] = {-1: None, **dict(enumerate(known))}

    def metric(y_true: Any, y_pred: Any, sample_weight: Any) -> float:
        hits = trials = 0.0
        for truth, answer, weight in zip(np.asarray(y_true), np.asarray(y_pred), np.asarray(sample_weight)):
            pair = labels[int(truth)], labels[int(answer)]
            if rate.trial(*pair, positive or ""):
                trials += weight
                hits += weight if rate.hit(*pair, positive or "") else 0.0
        return hits / trials if trials >= max(min_group, 1) else math.nan

    metric.__name__ = rate.name
    return metric


def _not_binary(feature: str, rate: Rate, count: int) -> Iterator[Reading]:
    """Two classes are needed; fewer may be a quiet window, more is another kind of model."""
    status = Status.NOT_APPLICABLE if count > 2 else Status.INSUFFICIENT_DATA
    reason = "not_binary" if count > 2 else "undefined"
    for part in ("difference", "ratio"):
        yield absent(f"fairness.{rate.name}.{part}", reason, status=status, feature=feature)


def _worst_and_best(shares: Sequence[Share]) -> dict[str, Any]:
    low = min(shares, key=lambda share: (share.value, share.group))
    high = min(shares, key=lambda share: (-share.value, share.group))
    return {
        name: {"group": share.group, "value": share.value, "n": share.n}
        for name, share in (("lowest", low), ("highest", high))
    }


def _specs() -> Iterator[MetricSpec]:
    for rate in RATES:
        name, words = f"fairness.{rate.name}", rate.name.replace("_", " ")
        yield MetricSpec(
            name,
            "1",
            rate.meaning,
            rate.worse,
            ("feature", "group"),
            0.0,
            1.0,
            label=words,
            format="percent",
            alert="bias",
            clause=f"the {words} of {{feature}} = {{group}} is {{value}}",
        )
        yield MetricSpec(
            f"{name}.difference",
            "1",
            f"Largest minus smallest {words} over the groups.",
            "higher",
            ("feature",),
            0.0,
            1.0,
            label=f"largest difference in {words} between groups",
            format="points",
            alert="bias",
            clause=f"{words} differs by {{value}} between the groups of {{feature}}",
        )
        yield MetricSpec(
            f"{name}.ratio",
            "1",
            f"Smallest over largest {words} of the groups.",
            "lower",
            ("feature",),
            0.0,
            1.0,
            label=f"smallest over largest {words} of the groups",
            alert="bias",
            clause=f"the lowest {words} of a group of {{feature}} is {{value}} of the highest",
        )


_METRICS = tuple(_specs())
PLUGIN = MetricFrameMeasurer()
