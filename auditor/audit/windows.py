"""Windows of one home: their hours brought up to date, and what makes up a window, or what it is compared with, merged.

A window's state comes from the store's months, days and hours in one canonical order, whichever of them are there. `anew`
takes the archive's rows instead: the same state, by the long way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np

from auditor.audit.summarise import summarise, summarise_hours
from auditor.core.frame import Frame
from auditor.core.identity import uuid7_ms
from auditor.core.rollup import merge_window
from auditor.core.rows import Rows
from auditor.core.state import WindowState, empty_state
from auditor.core.window import DAY, HOUR, Baseline, Span, floor_to, hour_of_week, trailing
from auditor.ports import Archive, Engine, Store

Pinned = tuple[Baseline, Frame, WindowState]
"""A baseline, the frame fitted on it, and its state."""


@dataclass(frozen=True, kw_only=True)
class Windows:
    """States of windows, over the ports that hold them."""

    store: Store
    archive: Archive
    engine: Engine

    def update(self, model: str, span: Span, frame: Frame, *, everything: bool = False) -> None:
        """Bring the hourly states of the span up to date on this frame: only hours that are new or dirty are read.

        `everything` reads the others as well.
        """
        wide = span.widen(HOUR)
        dirty = set(self.store.dirty(model))
        done = set() if everything else set(self.store.hours(model, wide, frame.digest)) - dirty
        due = [tile.start for tile in wide.tiles(HOUR) if tile.start not in done]
        days: dict[datetime, list[datetime]] = defaultdict(list)
        for hour in due:
            days[floor_to(hour, DAY)].append(hour)
        work = partial(_summarise_day, self.archive, model, frame)
        tasks = [(hours, *self.store.readings(model, Span(hours[0], hours[-1] + HOUR))) for hours in days.values()]
        for (hours, _, _), states in zip(tasks, self.engine.map(work, tasks), strict=True):
            self.store.put_states(model, hours, frame.digest, states)

    def state(self, model: str, span: Span, frame: Frame) -> WindowState:
        """The window's state over all versions."""
        return _merged(model, span, frame, self.store.window_states(model, span, frame.digest))

    def by_version(self, model: str, span: Span, frame: Frame) -> Iterator[tuple[str | None, WindowState]]:
        """The window's state over all versions (version None), then, when there are several, of each alone."""
        states = self.store.window_states(model, span, frame.digest)
        yield None, _merged(model, span, frame, states)
        versions = sorted({state.version or "" for state in states if state.n})
        if len(versions) > 1:
            for version in versions:
                own = [state for state in states if (state.version or "") == version]
                yield version, _merged(model, span, frame, own)

    def reference(self, pinned: Pinned, span: Span) -> Pinned | None:
        """What a window is compared with, by the baseline's kind; None when there is no record of it."""
        baseline, frame, _ = pinned
        if baseline.kind == "fixed":
            return pinned
        past = self.past(baseline, span)
        self.update(baseline.model, past, frame)
        if baseline.kind == "trailing":
            state = self.state(baseline.model, past, frame)
        else:
            season = {hour_of_week(tile.start) for tile in span.tiles(HOUR)}
            states = self.store.states(baseline.model, past, frame.digest)
            states = [state for state in states if hour_of_week(state.start) in season]
            state = _merged(baseline.model, past, frame, states)
        return (baseline, frame, state) if state.n else None

    def past(self, baseline: Baseline, span: Span) -> Span:
        """The time that a window is compared with."""
        return trailing(baseline, span) if baseline.kind == "trailing" else baseline.span

    def late(self, model: str, span: Span, frame: Frame, after: int) -> WindowState:
        """The state of the span's records that drains after number `after` took in."""
        rows = self.archive.read(model, span)
        found = self.store.locate(rows.ids.tolist())
        newer = {name for (of, name), entry in found.items() if of == model and uuid7_ms(entry.segment) > after}
        part = rows.take(np.array([identifier in newer for identifier in rows.ids.tolist()], bool))
        return _merged(model, span, frame, summarise(part, frame, span) if part.n else [])

    def anew(self, model: str, rows: Rows, span: Span, frame: Frame) -> WindowState:
        """The window's state from its rows, with nothing taken from the store but energy readings and tallies."""
        hours = [tile.start for tile in span.tiles(HOUR)]
        states = summarise_hours(rows, frame, hours, *self.store.readings(model, span))
        return _merged(model, span, frame, states)


def _summarise_day(
    archive: Archive, model: str, frame: Frame, task: tuple[list[datetime], Any, Any]
) -> list[WindowState]:
    hours, readings, tallies = task
    rows = archive.read(model, Span(hours[0], hours[-1] + HOUR))
    return summarise_hours(rows, frame, hours, readings, tallies)


def _merged(model: str, span: Span, frame: Frame, states: Sequence[WindowState]) -> WindowState:
    return merge_window(states, span) if states else empty_state(model, span, frame.digest)
