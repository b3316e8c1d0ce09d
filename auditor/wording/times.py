"""Times, windows and periods as a reader writes them; all of them UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from auditor.core.window import DAY, Span, utc
from auditor.wording.numbers import plural


def how_often(count: float, period: timedelta) -> str:
    """So many expected events in a period, as a rate.

    >>> how_often(0.05, 90 * DAY), how_often(3, 90 * DAY), how_often(0, DAY)
    ('1 in 5 years', '1 in 30 days', 'none')
    """
    if count <= 0:
        return "none"
    days = period / DAY / count
    if days >= 700:
        return f"1 in {days / 365.25:,.0f} years"
    return f"1 in {days:,.0f} days" if days >= 1.5 else "1 a day"


def moment(at: datetime) -> str:
    """A time in UTC, said so.

    >>> from datetime import UTC
    >>> moment(datetime(2026, 11, 3, 4, 5, tzinfo=UTC))
    '3 Nov 2026, 04:05 UTC'
    """
    at = utc(at)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def day(at: datetime) -> str:
    """A date.

    >>> from datetime import UTC
    >>> day(datetime(2026, 11, 3, tzinfo=UTC))
    '3 Nov 2026'
    """
    return f"{utc(at).day} {utc(at):%b %Y}"


def window(span: Span) -> str:
    """One window: the day itself where it is one, else its two ends."""
    midnight = (span.start - span.start.replace(hour=0, minute=0, second=0, microsecond=0)) == timedelta(0)
    if midnight and span.duration == DAY:
        return day(span.start)
    if midnight and span.duration % DAY == timedelta(0):
        return f"{day(span.start)} to {day(span.end - DAY)}"
    return f"{moment(span.start)} to {moment(span.end)}"


def length(duration: timedelta) -> str:
    """How long a window is.

    >>> length(DAY), length(7 * DAY), length(timedelta(hours=6))
    ('1 day', '7 days', '6 hours')
    """
    if duration % DAY == timedelta(0):
        return plural(duration // DAY, "day")
    return plural(round(duration / timedelta(hours=1)), "hour")


def versions(first_seen: Mapping[str, datetime]) -> str:
    """`version 1.4.0, first seen 2 Mar 2026; version 2.0.0, first seen 27 Mar 2026`."""
    return "; ".join(f"version {name}, first seen {day(at)}" for name, at in first_seen.items())
