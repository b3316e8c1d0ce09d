"""Hourly states, the readings and tallies that go into them, and the hours that wait to be summarised (again)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, bindparam, delete, select

from auditor.core.gate import parse_energy_reading, parse_tally
from auditor.core.identity import digest
from auditor.core.monitor import MonitorState, decode_monitor, encode_monitor
from auditor.core.record import CaptureTally, EnergyReading
from auditor.core.state import WindowState
from auditor.core.window import DAY, Span, floor_to, utc
from auditor.store import rollups, tables
from auditor.store.convert import damaged, pack_state, sealed, unpack_state
from auditor.store.database import Database, add_new, put
from auditor.store.rules import by_hour, whole_hours

T = TypeVar("T", EnergyReading, CaptureTally)

CACHE_BYTES = 32 * 1024 * 1024
"""Encoded size of the states kept decoded: a control that reaches 28 days back asks for the same hours every day."""


class StateCache:
    """Decoded states by digest, the least recently used given up first. States are immutable, so sharing them is safe."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[str, tuple[WindowState, int]] = OrderedDict()

    def get(self, key: str) -> WindowState | None:
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: str, state: WindowState, size: int) -> None:
        if key in self._kept:
            return
        self._kept[key] = (state, size)
        self._size += size
        while self._size > self._limit:
            _, (_, freed) = self._kept.popitem(last=False)
            self._size -= freed


class SqlStates:
    """ports.StateStore."""

    _database: Database
    _cache: StateCache

    def put_readings(self, segment: str, readings: Sequence[EnergyReading], tallies: Sequence[CaptureTally]) -> None:
        """Keep them; one that is kept already, from this or another segment, is not counted twice."""
        rows = [_reading_row(segment, "reading", reading) for reading in readings]
        others = [_reading_row(segment, "tally", tally) for tally in tallies]
        with self._database.writing() as connection:
            add_new(connection, tables.energy_readings, rows)
            add_new(connection, tables.capture_tallies, others)

    def readings(self, model: str, span: Span) -> tuple[Sequence[EnergyReading], Sequence[CaptureTally]]:
        """Those whose stretch ends in `(start, end]`, by end: each belongs to the hour in which it was complete."""
        with self._database.reading() as connection:
            return (
                _ending(connection, tables.energy_readings, parse_energy_reading, model, span),
                _ending(connection, tables.capture_tallies, parse_tally, model, span),
            )

    def mark_dirty(self, model: str, hours: Iterable[datetime]) -> None:
        """These hours' records or labels changed."""
        rows = [{"model": model, "hour": hour} for hour in whole_hours(hours)]
        with self._database.writing() as connection:
            add_new(connection, tables.dirty_hours, rows)

    def dirty(self, model: str) -> Sequence[datetime]:
        """Hours that wait to be summarised (again), in order."""
        with self._database.reading() as connection:
            query = (
                select(tables.dirty_hours.c.hour)
                .where(tables.dirty_hours.c.model == model)
                .order_by(tables.dirty_hours.c.hour)
            )
            return list(connection.scalars(query))

    def dirty_models(self) -> Sequence[str]:
        """Models with hours that wait, by name."""
        with self._database.reading() as connection:
            query = select(tables.dirty_hours.c.model).distinct().order_by(tables.dirty_hours.c.model)
            return list(connection.scalars(query))

    def put_states(self, model: str, hours: Sequence[datetime], frame: str, states: Sequence[WindowState]) -> None:
        """Replace the hours' states, whatever their frame, and clean the hours, in one transaction."""
        grouped = by_hour(hours, frame, states)
        rows = [
            self._row(model, hour, position, state)
            for hour, together in grouped.items()
            for position, state in enumerate(together)
        ]
        with self._database.writing() as connection:
            rollups.forget(connection, model, grouped)
            _replace_hours(connection, model, list(grouped), frame, rows)
            rollups.roll(connection, model, frame, grouped, self._load, self._encoded)

    def states(self, model: str, span: Span, frame: str) -> Sequence[WindowState]:
        """Hourly states by hour, then version; a whole day of which only the roll-up is left stands for its hours."""
        return self._states(model, span, frame, lone=True)

    def window_states(self, model: str, span: Span, frame: str) -> Sequence[WindowState]:
        """As few states as make up the span, for `core.rollup.merge_window`: months, days, and hours beside them."""
        return self._states(model, span, frame, lone=False)

    def _states(self, model: str, span: Span, frame: str, *, lone: bool) -> list[WindowState]:
        rolled = tables.rollups
        known = (rolled.c.model == model) & (rolled.c.frame == frame)
        known &= (rolled.c.start >= span.start) & (rolled.c.start < span.end)
        if lone:
            known &= rolled.c.alone.is_(True) & (rolled.c.unit == rollups.DAY_UNIT)
        with self._database.reading() as connection:
            there = connection.execute(select(rolled.c.unit, rolled.c.start).where(known).distinct())
            found: list[WindowState] = []
            for hours, unit in rollups.pieces([(unit, start) for unit, start in there], span):
                if unit is None:
                    own = (tables.states.c.model == model) & (tables.states.c.frame == frame)
                    own &= (tables.states.c.hour >= hours.start) & (tables.states.c.hour < hours.end)
                    found += self._load(connection, tables.states, own)
                else:
                    own = known & (rolled.c.unit == unit[0]) & (rolled.c.start == unit[1])
                    found += self._load(connection, rolled, own)
        return found

    def _load(self, connection: Connection, table: Table, where: Any) -> list[WindowState]:
        """States of a table by time, then version; only those are fetched that the cache does not have."""
        begin = table.c.start if "start" in table.c else table.c.hour
        rows = connection.execute(
            select(begin, table.c.position, table.c.digest).where(where).order_by(begin, table.c.position)
        )
        wanted = rows.all()
        found = [self._cache.get(name) for _, _, name in wanted]
        missing = [row[0] for row, state in zip(wanted, found, strict=True) if state is None]
        if missing:
            query = select(begin, table.c.position, table.c.payload).where(
                where, begin.between(missing[0], missing[-1])
            )
            payloads = {(start, position): payload for start, position, payload in connection.execute(query)}
            for place, (start, position, name) in enumerate(wanted):
                if found[place] is None:
                    found[place] = self._decoded(payloads[start, position], name)
        return [state for state in found if state is not None]

    def hours(self, model: str, span: Span, frame: str) -> Sequence[datetime]:
        """Hours of the span that are summarised on that frame, with or without records."""
        with self._database.reading() as connection:
            query = (
                select(tables.hours.c.hour)
                .where(tables.hours.c.model == model, tables.hours.c.frame == frame)
                .where(tables.hours.c.hour >= span.start, tables.hours.c.hour < span.end)
                .order_by(tables.hours.c.hour)
            )
            return rollups.without_lone_days(connection, model, span, frame, connection.scalars(query).all())

    def days(self, model: str) -> set[datetime]:
        """Beginnings of the days of which the store has an hour, summarised or waiting."""
        known: set[datetime] = set()
        with self._database.reading() as connection:
            for table in (tables.hours, tables.dirty_hours):
                hours = connection.scalars(select(table.c.hour).where(table.c.model == model))
                known.update(floor_to(hour, DAY) for hour in hours)
        return known

    def all_readings(self) -> tuple[list[EnergyReading], list[CaptureTally]]:
        """Every reading and tally of every model."""
        with self._database.reading() as connection:
            return (
                [parse_energy_reading(row) for row in connection.scalars(select(tables.energy_readings.c.reading))],
                [parse_tally(row) for row in connection.scalars(select(tables.capture_tallies.c.tally))],
            )

    def put_monitor(self, name: str, state: MonitorState) -> None:
        """Keep what the named monitor knows of a model since a baseline, in place of what it knew before."""
        row = {
            "name": name,
            "model": state.model,
            "baseline": state.baseline,
            "until": state.until,
            "late": state.late,
            "payload": encode_monitor(state),
        }
        with self._database.writing() as connection:
            put(connection, tables.monitors, [sealed("monitors", row)])

    def monitor(self, name: str, model: str, baseline: str) -> MonitorState | None:
        """What the named monitor knows; None before it has bet on anything."""
        known = tables.monitors
        query = select(known.c.payload).where(
            known.c.name == name, known.c.model == model, known.c.baseline == baseline
        )
        with self._database.reading() as connection:
            payload = connection.scalars(query).first()
        return None if payload is None else decode_monitor(payload)

    def _row(self, model: str, hour: datetime, position: int, state: WindowState) -> dict[str, Any]:
        return {"model": model, "hour": hour, "position": position, **self._encoded(state)}

    def _encoded(self, state: WindowState) -> dict[str, Any]:
        payload, name = pack_state(state)
        self._cache.put(name, state, len(payload))
        return {
            "version": state.version,
            "frame": state.frame,
            "n": state.n,
            "digest": name,
            "payload": payload,
        }

    def _decoded(self, payload: bytes, name: str) -> WindowState:
        state = unpack_state(payload, name)
        self._cache.put(name, state, len(payload))
        return state


def _replace_hours(
    connection: Connection, model: str, changed: Sequence[datetime], frame: str, rows: Sequence[Mapping[str, Any]]
) -> None:
    keys = [{"m": model, "h": hour} for hour in changed]
    if not keys:
        return
    for table in (tables.states, tables.hours, tables.dirty_hours):
        connection.execute(_delete_hour(table), keys)
    connection.execute(tables.hours.insert(), [{"model": model, "hour": hour, "frame": frame} for hour in changed])
    if rows:
        connection.execute(tables.states.insert(), rows)


def _delete_hour(table: Table) -> Any:
    return delete(table).where(table.c.model == bindparam("m"), table.c.hour == bindparam("h"))


def _reading_row(segment: str, name: str, reading: EnergyReading | CaptureTally) -> dict[str, Any]:
    plain = reading.as_json()
    return {
        "digest": digest(plain),
        "segment": segment,
        "model": reading.model.name,
        "version": reading.model.version,
        "start": utc(reading.start),
        "end": utc(reading.end),
        name: plain,
    }


def _ending(
    connection: Connection, table: Table, make: Callable[[Mapping[str, Any]], T], model: str, span: Span
) -> list[T]:
    plain = table.c["reading" if "reading" in table.c else "tally"]
    query = select(table.c.digest, plain).where(
        table.c.model == model, table.c.end > span.start, table.c.end <= span.end
    )
    found = []
    for name, row in connection.execute(query.order_by(table.c.end, table.c.digest)):
        found.append(make(row))
        if digest(found[-1].as_json()) != name:
            raise damaged("reading", name)
    return found
