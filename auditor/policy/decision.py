"""Is it true? One figure against one condition, in three ways: true, false, or not known and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from auditor.core.measurement import Interval, Measurement, Status
from auditor.policy.schema import Condition

WITHIN_CHANCE = 0.05
"""A figure beyond a limit whose bets won less than the inverse of this is what chance gives in a window of that size."""


class Truth(StrEnum):
    """What the evidence says about a rule."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One series against one condition: `report` decides the word, `alert` moves the state machine."""

    report: Truth
    alert: Truth
    reason: str
    measurement: Measurement
    excess: float = 0.0
    """How far beyond the limit, relative to it; negative inside."""
    e_value: Measurement | None = None
    """What bets on the same series have won, when that is what says how unlikely the figure is."""

    @property
    def chance(self) -> float | None:
        """See `chance`."""
        return chance(self.measurement, self.e_value)


def is_e_value(measurement: Measurement) -> bool:
    """Whether the figure is capital won by betting, which is its own measure of how unlikely it is."""
    return measurement.metric.endswith(".e_value")


def chance(measurement: Measurement, e_value: Measurement | None = None) -> float | None:
    """What is held against a level: the inverse of the e-value, at most 1; else the p-value. None when there is neither.

    An e-value reaches 1 / alpha by chance no more often than a p-value falls to alpha, so both spend a budget alike.
    `e_value` is that of the same series, when there is one.
    """
    bet = measurement if is_e_value(measurement) else e_value
    if bet is not None and bet.value is not None:
        return 1.0 / max(bet.value, 1.0)
    return measurement.p_value


def beyond(condition: Condition, value: float) -> bool:
    """Whether a figure breaks the condition."""
    low, high, strict = condition.low, condition.high, condition.strict
    return bool(
        (low is not None and (value <= low if strict else value < low))
        or (high is not None and (value >= high if strict else value > high))
    )


def limit_for(condition: Condition, value: float) -> float | None:
    """The end of the condition that a figure breaks, or is nearest to breaking; None when it has no limit."""
    ends = [end for end in (condition.low, condition.high) if end is not None]
    return min(ends, key=lambda end: abs(end - value), default=None)


def excess(condition: Condition, value: float) -> float:
    """How far beyond the nearest limit, as a share of it (of 1, when the limit is 0); negative inside."""
    limit = limit_for(condition, value)
    if limit is None:
        return 0.0
    distance = abs(value - limit) / (abs(limit) or 1.0)
    return distance if beyond(condition, value) else -distance


def three_way(condition: Condition, interval: Interval) -> Truth:
    """An interval [l, u]: true when all of it keeps the condition, false when all of it breaks it, else unknown.

    For `lte L`: u <= L is true, l > L is false, anything else straddles the limit.
    """
    low, high, strict = condition.low, condition.high, condition.strict
    below = low is not None and (interval.upper <= low if strict else interval.upper < low)
    above = high is not None and (interval.lower >= high if strict else interval.lower > high)
    if below or above:
        return Truth.FALSE
    return Truth.UNKNOWN if beyond(condition, interval.lower) or beyond(condition, interval.upper) else Truth.TRUE


def decide(
    measurement: Measurement,
    condition: Condition,
    least: int,
    *,
    alpha: float | None = None,
    e_value: Measurement | None = None,
    labels_due: datetime | None = None,
    now: datetime | None = None,
) -> Finding:
    """Judge one figure.

    Parameters
    ----------
    least : int
        Smallest n that counts as evidence.
    alpha : float, optional
        Judge under a false-alarm budget: a figure beyond the limit breaks the rule only if its p-value is at most this,
        or its e-value at least the inverse.
    e_value : Measurement, optional
        Of the same series: it takes the place of the figure's own p-value.
    labels_due, now : datetime, optional
        Until when ground truth may still arrive without its absence being a gap.

    Returns
    -------
    Finding
        Unknown for reasons of its own, `below_min_samples`, `labels_not_due`, `no_interval`, `interval_level`,
        `interval_method`, `interval_straddles_threshold`, `no_p_value` or `not_significant`.
    """
    value = measurement.value
    if measurement.status is Status.ERROR:
        return _same(Truth.ERROR, measurement.reason, measurement)
    if value is None or measurement.n < least:
        reason = measurement.reason if value is None else "below_min_samples"
        waiting = labels_due is not None and now is not None and now < labels_due
        if reason in ("unlabelled", "below_min_samples") and waiting:
            reason = "labels_not_due"
        return _same(Truth.UNKNOWN, reason, measurement)
    point = Truth.FALSE if beyond(condition, value) else Truth.TRUE
    over = excess(condition, value)
    if alpha is not None:
        level = chance(measurement, e_value)
        if level is None:
            return _same(Truth.UNKNOWN, "no_p_value", measurement, over)
        if not condition.has_limit:
            point = Truth.FALSE if level <= alpha else Truth.TRUE
        if point is Truth.FALSE and e_value is not None and level > WITHIN_CHANCE:
            return Finding(Truth.TRUE, Truth.TRUE, "", measurement, over, e_value)
        if point is Truth.FALSE and level > alpha:
            # Bets keep what they won while a change lasts: once they fall below the level, it has ended or never was.
            alert = Truth.UNKNOWN if e_value is None else Truth.TRUE
            return Finding(Truth.UNKNOWN, alert, "not_significant", measurement, over, e_value)
        return _same(point, "breach" if point is Truth.FALSE else "", measurement, over, e_value)
    if condition.ci_level is None:
        return _same(point, "breach" if point is Truth.FALSE else "", measurement, over)
    interval = measurement.interval
    reason = _unfit(condition, interval)
    sure = Truth.UNKNOWN if reason or interval is None else three_way(condition, interval)
    if not reason and sure is Truth.UNKNOWN:
        reason = "interval_straddles_threshold"
    report = point if condition.report == "point" else sure
    alert = point if condition.alert == "point" else sure
    if report is Truth.FALSE:
        reason = reason or "breach"
    return Finding(report, alert, "" if report is Truth.TRUE else reason, measurement, over)


def _unfit(condition: Condition, interval: Interval | None) -> str:
    if interval is None:
        return "no_interval"
    if interval.level + 1e-9 < (condition.ci_level or 0.0):
        return "interval_level"
    if condition.ci_method is not None and interval.method != condition.ci_method:
        return "interval_method"
    return ""


def _same(
    truth: Truth, reason: str, measurement: Measurement, over: float = 0.0, e_value: Measurement | None = None
) -> Finding:
    return Finding(truth, truth, reason, measurement, over, e_value)
