"""Deliveries that wait, and those that a sink refused for good."""

from __future__ import annotations

from auditor.core.delivery import Backlog
from auditor.wording.numbers import plural
from auditor.wording.times import moment


def waiting(backlog: Backlog) -> str:
    """How many deliveries wait, for which sink, since when and why.

    >>> from datetime import UTC, datetime
    >>> waiting(Backlog(sink="mlflow", deliveries=2, since=datetime(2026, 11, 3, tzinfo=UTC), reason="timed out"))
    '2 deliveries to mlflow wait since 3 Nov 2026, 00:00 UTC (timed out)'
    """
    verb = "waits" if backlog.deliveries == 1 else "wait"
    return f"{plural(backlog.deliveries, 'delivery', 'deliveries')} to {backlog.sink} {verb} since {moment(backlog.since)}{_why(backlog)}"


def refused(backlog: Backlog) -> str:
    """How many deliveries a sink refused for good, since when and why.

    >>> from datetime import UTC, datetime
    >>> refused(Backlog(sink="webhook", deliveries=1, since=datetime(2026, 11, 3, tzinfo=UTC), reason=""))
    '1 delivery was refused for good by webhook since 3 Nov 2026, 00:00 UTC'
    """
    verb = "was" if backlog.deliveries == 1 else "were"
    count = plural(backlog.deliveries, "delivery", "deliveries")
    return f"{count} {verb} refused for good by {backlog.sink} since {moment(backlog.since)}{_why(backlog)}"


def _why(backlog: Backlog) -> str:
    return f" ({backlog.reason})" if backlog.reason else ""
