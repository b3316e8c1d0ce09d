"""States of whole days and months, made of the hours' as soon as these are complete, and kept when the hours are not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from auditor.core.rollup import by_version, month_of
from auditor.core.state import WindowState
from auditor.core.window import DAY, HOUR, Span, floor_to
from auditor.store import tables

KEEP_HOURS = timedelta(days=60)
"""How long hourly states are kept, counted back from the model's newest summarised hour."""
DAY_UNIT, MONTH_UNIT = "day", "month"

Unit = tuple[str, datetime]
Encode = Callable[[WindowState], Mapping[str, Any]]
Load = Callable[[Connection, Any, Any], list[WindowState]]


def forget(connection: Connection, model: str, changed: Iterable[datetime]) -> None:
    """Roll-ups over these hours are no longer true. Where the hours beside them are gone, these count as not summarised."""
    changed = list(changed)
    rolled, hours = tables.rollups, tables.hours
    for start in sorted({floor_to(hour, DAY) for hour in changed}):
        own = (rolled.c.model == model) & (rolled.c.unit == DAY_UNIT) & (rolled.c.start == start)
        if any(connection.scalars(select(rolled.c.alone).where(own))):
            beside = (hours.c.hour >= start) & (hours.c.hour < start + DAY) & hours.c.hour.not_in(changed)
            connection.execute(delete(hours).where(hours.c.model == model, beside))
        connection.execute(delete(rolled).where(own))
    for start in sorted({month_of(hour).start for hour in changed}):
        connection.execute(
            delete(rolled).where(rolled.c.model == model, rolled.c.unit == MONTH_UNIT, rolled.c.start == start)
        )


def roll(
    connection: Connection, model: str, frame: str, changed: Iterable[datetime], load: Load, encode: Encode
) -> None:
    """Make the roll-ups of the days and months of these hours that are complete now."""
    days = sorted({floor_to(hour, DAY) for hour in changed})
    complete = [day for day in days if _complete(connection, model, frame, Span(day, day + DAY))]
    for day in complete:
        hourly = tables.states
        inside = (hourly.c.hour >= day) & (hourly.c.hour < day + DAY)
        states = load(connection, hourly, (hourly.c.model == model) & (hourly.c.frame == frame) & inside)
        _keep(connection, model, frame, (DAY_UNIT, day), by_version(states), encode)
    rolled = tables.rollups
    for month in sorted({month_of(day) for day in complete}):
        if _complete(connection, model, frame, month):
            inside = (rolled.c.start >= month.start) & (rolled.c.start < month.end)
            own = (rolled.c.model == model) & (rolled.c.frame == frame) & (rolled.c.unit == DAY_UNIT)
            states = load(connection, rolled, own & inside)
            _keep(connection, model, frame, (MONTH_UNIT, month.start), by_version(states), encode)
    if complete:
        _drop_hours(connection, model)


def _complete(connection: Connection, model: str, frame: str, span: Span) -> bool:
    """Whether every hour of the span is summarised on the frame, and none waits to be summarised again."""
    hours, dirty = tables.hours, tables.dirty_hours
    done = select(func.count()).where(
        hours.c.model == model, hours.c.frame == frame, hours.c.hour >= span.start, hours.c.hour < span.end
    )
    waiting = select(func.count()).where(dirty.c.model == model, dirty.c.hour >= span.start, dirty.c.hour < span.end)
    if connection.scalar(done) != span.duration // HOUR:
        return False
    return connection.scalar(waiting) == 0


def _keep(
    connection: Connection, model: str, frame: str, unit: Unit, states: Sequence[WindowState], encode: Encode
) -> None:
    rows = [
        {"model": model, "unit": unit[0], "start": unit[1], "position": position, "alone": False, **encode(state)}
        for position, state in enumerate(states)
    ]
    if rows:
        connection.execute(tables.rollups.insert(), rows)


def _drop_hours(connection: Connection, model: str) -> None:
    """Let go of hourly states that are old and rolled up."""
    hourly, rolled = tables.states, tables.rollups
    newest = connection.scalar(select(func.max(tables.hours.c.hour)).where(tables.hours.c.model == model))
    limit = floor_to(newest + HOUR - KEEP_HOURS, DAY)
    old = (
        (rolled.c.model == model) & (rolled.c.unit == DAY_UNIT) & (rolled.c.start < limit) & (rolled.c.alone.is_(False))
    )
    for start, frame in connection.execute(select(rolled.c.start, rolled.c.frame).where(old).distinct()).all():
        inside = (hourly.c.hour >= start) & (hourly.c.hour < start + DAY)
        connection.execute(delete(hourly).where(hourly.c.model == model, hourly.c.frame == frame, inside))
    connection.execute(update(rolled).where(old).values(alone=True))


def chosen(units: Iterable[Unit], span: Span) -> list[tuple[Unit, Span]]:
    """Of the roll-ups there are, those that stand for a part of the span: whole months, then whole days beside them."""
    found: list[tuple[Unit, Span]] = []
    for unit in sorted(set(units), key=lambda unit: (unit[0] != MONTH_UNIT, unit[1])):
        covered = month_of(unit[1]) if unit[0] == MONTH_UNIT else Span(unit[1], unit[1] + DAY)
        if span.covers(covered) and not any(other.covers(covered) for _, other in found):
            found.append((unit, covered))
    return found


def pieces(units: Iterable[Unit], span: Span) -> list[tuple[Span, Unit | None]]:
    """The span cut into roll-ups and, between them, stretches of hours (None), in order."""
    found: list[tuple[Span, Unit | None]] = []
    at = span.start
    for unit, covered in sorted(chosen(units, span), key=lambda one: one[1].start):
        if at < covered.start:
            found.append((Span(at, covered.start), None))
        found.append((covered, unit))
        at = covered.end
    return [*found, (Span(at, span.end), None)] if at < span.end else found


def without_lone_days(
    connection: Connection, model: str, span: Span, frame: str, summarised: Sequence[datetime]
) -> list[datetime]:
    """The summarised hours, less those of days of which only a roll-up is left that cannot be used.

    It cannot when an hour of it is to be summarised again, or when the span cuts through the day: then all of its hours
    in the span must be read from the archive again.
    """
    rolled, dirty = tables.rollups, tables.dirty_hours
    days = connection.scalars(
        select(rolled.c.start)
        .where(rolled.c.model == model, rolled.c.frame == frame, rolled.c.unit == DAY_UNIT, rolled.c.alone.is_(True))
        .where(rolled.c.start > span.start - DAY, rolled.c.start < span.end)
        .distinct()
    ).all()
    if not days:
        return list(summarised)
    waiting = connection.scalars(select(dirty.c.hour).where(dirty.c.model == model)).all()
    touched = {floor_to(hour, DAY) for hour in waiting}
    unusable = {day for day in days if day in touched or not span.covers(Span(day, day + DAY))}
    return [hour for hour in summarised if floor_to(hour, DAY) not in unusable]
