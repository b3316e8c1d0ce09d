"""Time: half-open UTC spans, the windows that tile them, and baselines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from auditor.core.errors import ConfigurationError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
_SHORT = re.compile(r"^(\d+)\s*([smhdw])$")
_ISO = re.compile(r"^P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$")
_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def utc(moment: datetime) -> datetime:
    """`moment` in UTC; a naive time is refused, because nobody can know what it meant."""
    if moment.tzinfo is None:
        raise ConfigurationError(
            "naive_time", f"{moment.isoformat()} has no time zone", fix="give an offset, or Z for UTC"
        )
    return moment.astimezone(UTC)


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with `Z`; microseconds only when there are any.

    >>> format_time(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02T03:04:05Z'
    """
    return utc(moment).isoformat().replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """RFC 3339 with an offset, or a bare date (its first moment in UTC)."""
    try:
        if len(text) == 10:
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        return utc(datetime.fromisoformat(text))
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            "bad_time", f"{text!r} is not a time", fix="write 2026-01-31 or 2026-01-31T12:00:00Z"
        ) from error


def to_us(moment: datetime) -> int:
    """Microseconds since 1970, exact."""
    return (utc(moment) - EPOCH) // timedelta(microseconds=1)


def from_us(microseconds: int) -> datetime:
    """The moment that many microseconds after 1970."""
    return EPOCH + timedelta(microseconds=int(microseconds))


def parse_duration(text: str) -> timedelta:
    """`90d`, `36h`, `15m`, `30s`, `2w`, or ISO 8601 (`P90D`, `PT36H`).

    >>> parse_duration("P90D") == parse_duration("90d")
    True
    """
    if short := _SHORT.match(text):
        return timedelta(seconds=int(short[1]) * _UNIT[short[2]])
    iso = _ISO.match(text)
    if iso and any(iso.groups()):
        weeks, days, hours, minutes, seconds = (int(part or 0) for part in iso.groups())
        return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    raise ConfigurationError("bad_duration", f"{text!r} is not a duration", fix="write 1d, 36h, 15m or P90D")


def format_duration(duration: timedelta) -> str:
    """The shortest of `d`, `h`, `m`, `s` that is whole.

    >>> format_duration(timedelta(hours=36))
    '36h'
    """
    seconds = int(duration.total_seconds())
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNIT[unit] == 0:
            return f"{seconds // _UNIT[unit]}{unit}"
    return f"{seconds}s"


def floor_to(moment: datetime, step: timedelta) -> datetime:
    """The latest multiple of `step` since 1970 that is not after `moment`."""
    return utc(moment) - (utc(moment) - EPOCH) % step


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open stretch of time, `[start, end)`, in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", utc(self.start))
        object.__setattr__(self, "end", utc(self.end))
        if self.end <= self.start:
            raise ConfigurationError("empty_span", f"{self} ends before it begins", fix="give --since before --until")

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    def __str__(self) -> str:
        return f"[{format_time(self.start)}, {format_time(self.end)})"

    @property
    def duration(self) -> timedelta:
        return self.end - self.start

    def covers(self, other: Span) -> bool:
        """Whether all of `other` lies inside."""
        return self.start <= other.start and other.end <= self.end

    def widen(self, step: timedelta) -> Span:
        """The smallest span of whole `step`s (counted from 1970) that holds this one."""
        start = floor_to(self.start, step)
        end = floor_to(self.end, step)
        return Span(start, end if end == self.end else end + step)

    def tiles(self, step: timedelta) -> Iterator[Span]:
        """The whole steps inside the widened span, in order."""
        wide = self.widen(step)
        start = wide.start
        while start < wide.end:
            yield Span(start, start + step)
            start += step


BASELINE_KINDS = ("fixed", "trailing", "seasonal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A reference window that a person pinned: what "normal" meant, since when, and on whose word.

    Its `kind` says what a window is compared with: `fixed`, all of the reference window; `seasonal`, the same hours of the
    week in it; `trailing`, as long a time right before the window.
    """

    id: str
    model: str
    span: Span
    frame: str
    """Digest of the frame that was fitted on it."""
    n: int
    versions: tuple[str, ...]
    by: str
    at: datetime
    kind: str = "fixed"
    describers: tuple[tuple[str, str], ...] = ()
    """(input, describer or encoder version) pairs: another version is never compared silently."""


def check_kind(kind: str, span: Span) -> None:
    """ConfigurationError `bad_kind` or `short_season`, for a kind of baseline that there is not, or not over this span."""
    if kind not in BASELINE_KINDS:
        raise ConfigurationError(
            "bad_kind", f"{kind!r} is no kind of baseline", where="--kind", fix=f"one of {', '.join(BASELINE_KINDS)}"
        )
    if kind == "seasonal" and span.duration < 7 * DAY:
        raise ConfigurationError(
            "short_season", f"{span} does not hold every hour of a week", where="--since", fix="give at least 7 days"
        )


def trailing(baseline: Baseline, span: Span) -> Span:
    """As long a time as the baseline's, right before `span`."""
    return Span(span.start - baseline.span.duration, span.start)


def hour_of_week(moment: datetime) -> int:
    """0 for Monday 00:00 UTC, to 167.

    >>> hour_of_week(datetime(2026, 3, 3, 5, 30, tzinfo=UTC))
    29
    """
    return utc(moment).weekday() * 24 + utc(moment).hour
