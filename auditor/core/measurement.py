"""The one record that travels: a figure with its n, its interval and its method, or the reason why there is none.

A plugin returns `Reading`s, which know nothing of models, windows or runs; `measure` places each in its context and
calls it a `Measurement`. Store, sinks, policies, dashboard and reports read only that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from auditor.core.errors import RecordError
from auditor.core.facts import Facts, plain
from auditor.core.identity import digest
from auditor.core.window import Span, format_time, parse_time


class Status(StrEnum):
    """Whether there is a number, and if not, what kind of absence it is."""

    OK = "ok"
    INSUFFICIENT_DATA = "insufficient_data"
    NOT_APPLICABLE = "not_applicable"
    ERROR = "error"


class How(StrEnum):
    """How a figure was obtained."""

    MEASURED = "measured"
    CALIBRATED = "calibrated"
    MODELLED = "modelled"
    SOURCED = "sourced"


@dataclass(frozen=True, slots=True)
class Method:
    """What produced a number; a change that alters values for the same data raises the version."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Interval:
    """A range that covers the true value with probability `level`, by the named method."""

    lower: float
    upper: float
    level: float
    method: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lower) and math.isfinite(self.upper) and self.lower <= self.upper):
            raise RecordError("bad_interval", f"[{self.lower}, {self.upper}] is not an interval")


def _check(value: float | None, status: Status, reason: str, p_value: float | None, name: str) -> None:
    if (value is None) == (status is Status.OK):
        raise RecordError(
            "value_without_ok", f"{name} has value {value} with status {status}", fix="a value goes with ok alone"
        )
    if value is not None and not math.isfinite(value):
        raise RecordError("not_finite", f"{name} is {value}", fix="report a status and a reason instead")
    if status is not Status.OK and not reason:
        raise RecordError("no_reason", f"{name} is absent without a reason", fix="give a reason code")
    if p_value is not None and not 0.0 <= p_value <= 1.0:
        raise RecordError("bad_p_value", f"{name} has p-value {p_value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a plugin says: a figure, or why there is none, before anyone knows about which model and window.

    Attributes
    ----------
    metric : str
        A name in the catalogue.
    value : float or None
        Finite; present exactly when `status` is ok. In the unit of the metric's spec.
    n, n_baseline : int
        Observations behind the value, here and in the baseline.
    attributes : mapping of str to str
        Which series: input, modality, column, pair, feature, group, label, component, reason.
    p_value : float or None
        Of "nothing changed" (or "no difference between groups"); unadjusted.
    bound : float or None
        Largest error of the value when `exact` is false.
    facts : mapping
        What the value rests on (counts, means here and in the baseline, the meter, ...), as JSON data; see `core.facts`.
    """

    metric: str
    value: float | None = None
    status: Status = Status.OK
    reason: str = ""
    n: int = 0
    n_baseline: int | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    interval: Interval | None = None
    p_value: float | None = None
    how: How = How.MEASURED
    exact: bool = True
    bound: float | None = None
    facts: Facts = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self.value, self.status, self.reason, self.p_value, self.metric)


def absent(
    metric: str, reason: str, *, status: Status = Status.INSUFFICIENT_DATA, n: int = 0, **attributes: str
) -> Reading:
    """A reading that says why there is no number."""
    return Reading(metric=metric, status=status, reason=reason, n=n, attributes=attributes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One number about one model over one window, or the reason why there is none."""

    id: str
    metric: str
    value: float | None
    unit: str
    status: Status
    reason: str
    model: str
    version: str | None
    """None: all versions together; else the figure of that version alone."""
    start: datetime
    end: datetime
    revision: int
    n: int
    n_baseline: int | None
    baseline: str | None
    attributes: Mapping[str, str]
    interval: Interval | None
    p_value: float | None
    method: Method
    how: How
    exact: bool
    bound: float | None
    run: str
    recorded: datetime
    facts: Facts = field(default_factory=dict)
    """What the value rests on, as JSON data."""

    def __post_init__(self) -> None:
        _check(self.value, self.status, self.reason, self.p_value, self.metric)
        if self.start.tzinfo is None or self.end.tzinfo is None or self.recorded.tzinfo is None:
            raise RecordError("naive_time", f"{self.metric} carries a time without a zone")

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)

    @property
    def series(self) -> str:
        """What stays the same from window to window: metric, version and attributes, as one readable key."""
        parts = [f"{key}={value}" for key, value in sorted(self.attributes.items())]
        if self.version is not None:
            parts.append(f"version={self.version}")
        return f"{self.metric}{{{','.join(parts)}}}" if parts else self.metric

    def as_json(self) -> dict[str, Any]:
        """The contract's JSON: times with Z, absent numbers null."""
        interval = self.interval
        return {
            "id": self.id,
            "metric": self.metric,
            "value": self.value,
            "unit": self.unit,
            "status": str(self.status),
            "reason": self.reason,
            "model": self.model,
            "version": self.version,
            "start": format_time(self.start),
            "end": format_time(self.end),
            "revision": self.revision,
            "n": self.n,
            "n_baseline": self.n_baseline,
            "baseline": self.baseline,
            "attributes": dict(sorted(self.attributes.items())),
            "interval": interval
            and {"lower": interval.lower, "upper": interval.upper, "level": interval.level, "method": interval.method},
            "p_value": self.p_value,
            "method": {"name": self.method.name, "version": self.method.version},
            "how": str(self.how),
            "exact": self.exact,
            "bound": self.bound,
            "run": self.run,
            "recorded": format_time(self.recorded),
            "facts": dict(self.facts),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Measurement:
        """The measurement that `as_json` wrote."""
        interval = data.get("interval")
        return cls(
            **{
                key: data[key]
                for key in (
                    "id",
                    "metric",
                    "value",
                    "unit",
                    "reason",
                    "model",
                    "version",
                    "revision",
                    "n",
                    "n_baseline",
                    "baseline",
                    "attributes",
                    "p_value",
                    "exact",
                    "bound",
                    "run",
                )
            },
            facts=data.get("facts", {}),
            status=Status(data["status"]),
            how=How(data["how"]),
            method=Method(**data["method"]),
            interval=Interval(**interval) if interval else None,
            start=parse_time(data["start"]),
            end=parse_time(data["end"]),
            recorded=parse_time(data["recorded"]),
        )


def place(
    reading: Reading,
    *,
    unit: str,
    method: Method,
    model: str,
    version: str | None,
    span: Span,
    revision: int,
    run: str,
    baseline: str | None,
    recorded: datetime,
) -> Measurement:
    """The reading in its context; the id follows from series, window and revision, so writing twice is harmless."""
    attributes = dict(sorted(reading.attributes.items()))
    key = [
        reading.metric,
        attributes,
        model,
        version,
        format_time(span.start),
        format_time(span.end),
        revision,
        method.name,
    ]
    return Measurement(
        id=digest(key)[:32],
        metric=reading.metric,
        value=reading.value,
        unit=unit,
        status=reading.status,
        reason=reading.reason,
        model=model,
        version=version,
        start=span.start,
        end=span.end,
        revision=revision,
        n=reading.n,
        n_baseline=reading.n_baseline,
        baseline=baseline,
        attributes=attributes,
        interval=reading.interval,
        p_value=reading.p_value,
        method=method,
        how=reading.how,
        exact=reading.exact,
        bound=reading.bound,
        run=run,
        recorded=recorded,
        facts=plain(reading.facts),
    )
