"""Months, days, hours: in which order the states of a window are merged, so that a roll-up gives the bytes that its hours do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from auditor.core.state import WindowState, merge_all
from auditor.core.window import DAY, Span, floor_to


def month_of(moment: datetime) -> Span:
    """The UTC month that holds the moment.

    >>> from datetime import UTC
    >>> print(month_of(datetime(2024, 2, 10, tzinfo=UTC)).duration)
    29 days, 0:00:00
    """
    start = floor_to(moment, DAY).replace(day=1)
    return Span(start, (start + timedelta(days=31)).replace(day=1))


def merge_window(states: Sequence[WindowState], span: Span) -> WindowState:
    """The canonical merge of a window's states: within each day by version, then versions, then days.

    Days of a month that lies wholly in the span are merged by version first. So hours, the day's roll-up in their place,
    or the month's in theirs give the same bytes.

    Parameters
    ----------
    states : sequence of WindowState
        Hours, days and months, none overlapping another of its version; at least one.
    span : Span
        The window: it decides which months are whole.
    """
    units: dict[datetime, list[WindowState]] = defaultdict(list)
    for state in states:
        month = month_of(state.start)
        units[month.start if span.covers(month) else floor_to(state.start, DAY)].append(state)
    whole = [merge_all(by_version(units[start])) for start in sorted(units)]
    return merge_all(whole)


def by_version(states: Sequence[WindowState]) -> list[WindowState]:
    """One state a version, of states within one day or one month: hours merged in days, and these in order."""
    versions: dict[str | None, dict[datetime, list[WindowState]]] = defaultdict(lambda: defaultdict(list))
    for state in sorted(states, key=lambda state: state.start):
        versions[state.version][floor_to(state.start, DAY)].append(state)
    return [
        merge_all([merge_all(hours) for _, hours in sorted(versions[version].items())])
        for version in sorted(versions, key=lambda version: (version is not None, version or ""))
    ]
