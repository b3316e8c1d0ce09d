"""A clock that moves when told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from auditor.core.window import parse_duration, utc


class FrozenClock:
    """A callable that returns the same aware moment until `advance` or `set` moves it.

    >>> clock = FrozenClock(datetime(2026, 1, 1, tzinfo=UTC))
    >>> clock.advance("36h").isoformat()
    '2026-01-02T12:00:00+00:00'
    >>> clock() == clock()
    True
    """

    def __init__(self, now: datetime = datetime(2026, 1, 5, tzinfo=UTC)) -> None:
        self._now = utc(now)

    def __call__(self) -> datetime:
        return self._now

    def advance(self, step: timedelta | str) -> datetime:
        """Move forward by a timedelta or a duration such as `15m`; the new moment."""
        self._now += parse_duration(step) if isinstance(step, str) else step
        return self._now

    def set(self, now: datetime) -> datetime:
        """Move to `now`, which must carry a time zone; the new moment."""
        self._now = utc(now)
        return self._now
