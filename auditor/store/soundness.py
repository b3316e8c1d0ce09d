"""Every row that carries a digest, or that repeats what is inside it, held against itself: one line for each that differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, select, tuple_

from auditor.core.errors import AuditorError
from auditor.core.gate import parse_energy_reading, parse_tally
from auditor.core.identity import digest
from auditor.core.monitor import decode_monitor
from auditor.core.window import DAY, HOUR, floor_to
from auditor.store import convert, tables
from auditor.store.tables import metadata

Row = Mapping[str, Any]
_AT_ONCE = 200
_UNREADABLE = "a row does not read"


def rows_differ(connection: Connection) -> Iterator[str]:
    """Lines like `damaged: frames digest=1f2e...: ...`, table by table."""
    for table, holds in _CHECKS.items():
        yield from _damaged(connection, table, holds)
    runs = tables.audit_runs.c.id
    for run in connection.scalars(select(runs).order_by(runs)).all():
        yield from (line for line in _altered(connection, run) if not line.endswith(_UNREADABLE))  # named already


def model_differs(connection: Connection, model: str) -> Iterator[str]:
    """The same of the rows of one model that its next audit rests on: the newest figures and verdicts among them."""
    for table in (tables.audit_runs, tables.baselines, tables.monitors, tables.alerts):
        yield from _damaged(connection, table, lambda row: "", table.c.model == model)
    runs = tables.audit_runs.c
    newest = select(runs.id).where(runs.model == model).order_by(runs.end.desc(), runs.revision.desc())
    for run in connection.scalars(newest.limit(1)).all():
        yield from _altered(connection, run)


def _damaged(
    connection: Connection, table: Table, holds: Callable[[Row], str], *of: ColumnElement[bool]
) -> Iterator[str]:
    columns = list(table.primary_key.columns)
    keys = [column.name for column in columns]
    # Keys first, then their rows: a row that cannot be decoded must not hide the others.
    try:
        found = connection.execute(select(*columns).where(*of)).all()
    except ValueError as error:
        yield f"damaged: {table.name}: a key does not read: {error}"
        return
    rows: dict[tuple[Any, ...], RowMapping] = {}
    for number, key in enumerate(map(tuple, found)):
        if number % _AT_ONCE == 0:
            rows = _rows(connection, table, found[number : number + _AT_ONCE])
        where = [column == value for column, value in zip(columns, key, strict=True)]
        named = " ".join(f"{name}={value}"[:80] for name, value in zip(keys, key, strict=True))
        try:
            row = rows.get(key) or connection.execute(select(table).where(*where)).mappings().first()
            problem = "its key is not what the index of the table says" if row is None else holds(dict(row))
            if row is not None and not problem and row.get("checksum") is not None:
                same = row["checksum"] == convert.checksum(table.name, dict(row))
                problem = "" if same else "it is not what was written"
        except (ValueError, KeyError, TypeError, AttributeError, AuditorError) as error:
            problem = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        if problem:
            yield f"damaged: {table.name} {named}: {problem}"


def _rows(connection: Connection, table: Table, found: Sequence[Any]) -> dict[tuple[Any, ...], RowMapping]:
    """Rows by key; empty when one of them does not read, so that each is read alone."""
    keys = list(table.primary_key.columns)
    try:
        rows = connection.execute(select(table).where(tuple_(*keys).in_(list(map(tuple, found))))).mappings().all()
        return {tuple(row[key.name] for key in keys): row for row in rows}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _altered(connection: Connection, run: str) -> Iterator[str]:
    """Measurements and verdicts that are not what was committed with their run, or are gone."""
    kept = tables.row_checksums
    try:
        expected = connection.scalars(select(kept.c.contents).where(kept.c.run == run)).first()
    except ValueError as error:
        yield f"damaged: {kept.name} run={run}: {error}"
        return
    for name, make in (("measurements", convert.measurement_from), ("verdicts", convert.verdict_from)):
        table, known = metadata.tables[name], dict((expected or {}).get(name, {}))
        try:
            rows = connection.execute(select(table).where(table.c.run == run)).mappings().all()
            found = convert.checksums(name, [make(dict(row)) for row in rows])
        except (ValueError, KeyError, TypeError, AttributeError):
            yield f"damaged: {name} run={run}: {_UNREADABLE}"
            continue
        for row_id in sorted(known.keys() | found.keys()) if expected else ():
            if row_id not in found:
                yield f"lost: a row of {name} run={run} id={row_id} is gone"
            elif found[row_id] != known.get(row_id):
                yield f"damaged: {name} run={run} id={row_id}: it is not what was committed"


def _frame(row: Row) -> str:
    frame = convert.unpack_frame(row["body"], row["digest"])
    return _same({"model": frame.model}, row)


def _state(row: Row) -> str:
    state = convert.unpack_state(row["payload"], row["digest"])
    step = HOUR if "hour" in row else DAY
    begin = "hour" if "hour" in row else "start"
    start = floor_to(state.start, step) if row.get("unit") != "month" else row["start"]
    return _same({"version": state.version, "frame": state.frame, "n": state.n, begin: start}, row)


def _baseline(row: Row) -> str:
    state = convert.unpack_state(row["state"], row["state_digest"])
    convert.baseline_from(row)
    return _same({"frame": state.frame, "n": state.n, "model": state.model}, row)


def _monitor(row: Row) -> str:
    state = decode_monitor(row["payload"])
    inside = {"model": state.model, "baseline": state.baseline, "until": state.until, "late": state.late}
    return _same(inside, row)


def _reading(row: Row) -> str:
    name = "reading" if "reading" in row else "tally"
    plain = row[name]
    item = (parse_energy_reading if name == "reading" else parse_tally)(plain)
    inside = {"digest": digest(item.as_json()), "model": item.model.name, "version": item.model.version}
    return _same({**inside, "start": item.start, "end": item.end}, row)


def _same(inside: Row, row: Row) -> str:
    other = [name for name, value in inside.items() if row[name] != value]
    return f"{', '.join(other)} is not what is inside" if other else ""


def _reads(make: Callable[[Row], Any]) -> Callable[[Row], str]:
    def holds(row: Row) -> str:
        make(row)
        return ""

    return holds


_CHECKS: dict[Table, Callable[[Row], str]] = {
    tables.frames: _frame,
    tables.states: _state,
    tables.rollups: _state,
    tables.baselines: _baseline,
    tables.monitors: _monitor,
    tables.energy_readings: _reading,
    tables.capture_tallies: _reading,
    tables.audit_runs: _reads(convert.run_from),
    tables.measurements: _reads(convert.measurement_from),
    tables.verdicts: _reads(convert.verdict_from),
    tables.alerts: _reads(convert.alert_from),
    tables.artifacts: _reads(convert.artifact_from),
    tables.commands: _reads(convert.command_from),
}
