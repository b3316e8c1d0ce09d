"""Which windows of a model are due: new ones, those whose data changed with every later one, and the first of a silence."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from auditor.core.run import AuditRun, Replay
from auditor.core.window import DAY, HOUR, Baseline, Span, floor_to
from auditor.ports import Archive, Store

HABIT = 28
"""Windows of traffic from which the usual length of a pause is learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What one audit of a model has to look at.

    Attributes
    ----------
    spans : tuple of Span
        In order. Windows that were never audited and turn out to be empty are passed over; see `Traffic`.
    asked : frozenset of Span
        Windows that a person named: reported even when nothing about them changed.
    alerts_from : datetime
        Start of the first window whose verdicts alerts have not followed yet.
    until : datetime
        End of the last window that may be looked at.
    """

    spans: tuple[Span, ...]
    asked: frozenset[Span]
    alerts_from: datetime
    until: datetime


def windows_due(
    store: Store,
    archive: Archive,
    model: str,
    runs: Sequence[AuditRun],
    step: timedelta,
    *,
    since: datetime | None,
    until: datetime,
) -> Due:
    """The windows of `model` to judge, and the mark in the store that makes the work resumable.

    Late data leaves a mark before anything is summarised, so that a process that ends in between loses nothing: hours are
    clean as soon as they are summarised, windows only once they and every later one were judged again.

    Parameters
    ----------
    runs : sequence of AuditRun
        The newest of each audited window.
    since : datetime or None
        Where a person wants to begin; None: at the first window whose data changed, or after the last audited one.
    until : datetime
        End of the last closed window, or what a person named.
    """
    audited = {run.span for run in runs}
    last = max((span.end for span in audited), default=None)
    late = _late(store, model, step, last)
    waiting = store.replay(model)
    if late:
        waiting = _earlier(waiting, late[0].start)
        store.put_replay(model, waiting)
    days = archive.days(model)
    if since is not None:
        wide = Span(since, until).widen(step) if since < until else None
        asked = frozenset(wide.tiles(step)) if wide else frozenset()
        begin = min((span.start for span in asked), default=until)
        named = asked | {span for span in audited if span.start >= begin}
        behind = waiting is not None and waiting.judge_from >= begin
        return Due(
            spans=_in_order(named),
            asked=asked,
            alerts_from=min(begin, waiting.alerts_from) if behind and waiting else begin,
            until=wide.end if wide else until,
        )
    begin = last or _first(store, model) or until
    spans = set(_near(_marks(store, model, days, begin, until), step, begin, until))
    if waiting is not None and last is not None:
        inside = store.baselines(model)
        spans |= {span for span in audited if span.start >= waiting.judge_from} | set(late)
        if waiting.judge_from < last:
            missed = _near(days, step, waiting.judge_from, last, after=0)
            spans |= {span for span in missed if not _in_baseline(span, inside)}
    start = min((span.start for span in spans), default=until)
    return Due(
        spans=_in_order(spans),
        asked=frozenset(),
        alerts_from=min(start, waiting.alerts_from) if waiting else start,
        until=until,
    )


def first_baseline(store: Store, model: str) -> None:
    """Windows that were audited before there was any baseline wait to be judged again."""
    runs = store.runs(model)
    if runs and not store.baselines(model):
        store.put_replay(model, _earlier(store.replay(model), min(run.span.start for run in runs)))


class Traffic:
    """Windows with records, as far as they are known: tells a silence from a pause of the usual length.

    A model that rests every weekend is not silent on a Saturday: the longest pause among its last 28 windows with traffic
    is usual. The first window beyond it is audited, empty as it is; those after it have nothing to add.
    """

    def __init__(self, runs: Iterable[AuditRun], days: Iterable[datetime], step: timedelta) -> None:
        runs = list(runs)
        self._step = step
        known = {run.span.end for run in runs if run.records}
        if step >= DAY:
            known |= {floor_to(day, step) + step for day in days}
        self._ends = sorted(known)
        self._empty = sorted(run.span.end for run in runs if not run.records)

    def add(self, span: Span, records: int) -> None:
        """A window was looked at."""
        ends = self._ends if records else self._empty
        if span.end not in ends[-1:]:
            insort(ends, span.end)

    def begins_silence(self, span: Span) -> bool:
        """Whether an empty window is the first that no usual pause explains."""
        before = self.last(span.start)
        if before is None or any(before < end <= span.start for end in self._empty):
            return False
        recent = [end for end in self._ends if before - HABIT * self._step < end <= before]
        usual = max((b - a for a, b in pairwise(recent)), default=self._step)
        return span.end - before > usual - self._step

    def last(self, moment: datetime) -> datetime | None:
        """End of the last window with traffic up to `moment`."""
        place = bisect_right(self._ends, moment)
        return self._ends[place - 1] if place else None


def _late(store: Store, model: str, step: timedelta, last: datetime | None) -> list[Span]:
    """Windows up to the last audited one with hours that changed, audited before or not."""
    if last is None:
        return []
    return sorted(
        {
            span
            for hour in store.dirty(model)
            if hour < last
            for span in Span(hour, hour + HOUR).tiles(step)
            if span.end <= last
        }
    )


def _earlier(waiting: Replay | None, start: datetime) -> Replay:
    if waiting is None:
        return Replay(judge_from=start, alerts_from=start)
    return Replay(judge_from=min(waiting.judge_from, start), alerts_from=min(waiting.alerts_from, start))


def _first(store: Store, model: str) -> datetime | None:
    """The first record's day; of a model without any, the first hour that something was counted in."""
    first = next((summary.first for summary in store.models() if summary.name == model), None)
    return first or min(store.dirty(model), default=None)


def _marks(store: Store, model: str, days: Sequence[datetime], begin: datetime, until: datetime) -> list[datetime]:
    """Moments of the stretch at which there is something: days with records, ends of readings and tallies."""
    if begin >= until:
        return []
    readings, tallies = store.readings(model, Span(begin, until))
    ends = [*(reading.end for reading in readings), *(tally.end for tally in tallies)]
    return sorted({*days, *(end - timedelta(microseconds=1) for end in ends)})


def _near(
    marks: Sequence[datetime], step: timedelta, begin: datetime, until: datetime, after: int = HABIT + 1
) -> Iterable[Span]:
    """Closed windows that hold a mark or the day it begins, and those in which a silence may show afterwards."""
    for mark in marks:
        first = max(floor_to(mark, step), floor_to(begin, step))
        end = min(mark + DAY + after * step, until)
        if first < end:
            yield from (span for span in Span(first, end).tiles(step) if span.end <= until)


def _in_order(spans: Iterable[Span]) -> tuple[Span, ...]:
    return tuple(sorted(spans, key=lambda span: (span.end, span.start)))


def _in_baseline(span: Span, baselines: Sequence[Baseline]) -> bool:
    return any(baseline.span.covers(span) for baseline in baselines)
