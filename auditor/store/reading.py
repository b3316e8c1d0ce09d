"""What the HTTP service reads beside the writer: pages by keyset, the newest figures, keys, and lines of the index."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, func, or_, select

from auditor.core.measurement import Measurement
from auditor.store import convert, tables
from auditor.store.database import Database
from auditor.store.keys import Key, read_keys
from auditor.store.queries import SqlQueries, _unsuperseded
from auditor.store.record_index import SqlRecordIndex
from auditor.store.schema import ensure

Place = tuple[str, datetime, str]
"""Where a page ended: model, time (start of the window; opening of the alert) and id of its last item."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How one table is paged: the time it is ordered by, what `name` filters, and how a row becomes an object."""

    table: Table
    time: str
    name: str
    make: Callable[[Mapping[str, Any]], Any]


KINDS = {
    "measurements": Kind(tables.measurements, "start", "metric", convert.measurement_from),
    "verdicts": Kind(tables.verdicts, "start", "control", convert.verdict_from),
    "alerts": Kind(tables.alerts, "opened", "state", convert.alert_from),
}


def open_reading(url: str) -> Reading:
    """The store at `url`, read only; StoreError as `open_queries`."""
    database = Database(url, read_only=True)
    try:
        ensure(database)
    except BaseException:
        database.close()
        raise
    return Reading(database)


class Reading(SqlRecordIndex, SqlQueries):
    """Queries, the index and keys over one read-only database; threads may share it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.dialect = database.dialect

    def all_keys(self) -> list[Key]:
        """Every key ever made, oldest first."""
        return read_keys(self._database)

    def page(
        self,
        kind: str,
        models: Sequence[str],
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        name: str | None = None,
        limit: int = 100,
        after: Place | None = None,
    ) -> list[Any]:
        """At most `limit` items of these models, by model, time and id, after a place; of a window its newest revision.

        Parameters
        ----------
        kind : str
            `measurements`, `verdicts` or `alerts`.
        since, until : datetime, optional
            Windows that lie inside; alerts by when they opened.
        name : str, optional
            The metric (a prefix when it ends in `.`), the control or the state.
        """
        which = KINDS[kind]
        table = which.table
        wanted: list[ColumnElement[bool]] = []
        if since is not None:
            wanted.append(table.c[which.time] >= since)
        if until is not None:
            wanted.append(table.c.opened < until if kind == "alerts" else table.c.end <= until)
        if name is not None and kind == "measurements" and name.endswith("."):
            wanted.append(func.substr(table.c.metric, 1, len(name)) == name)
        elif name is not None:
            wanted.append(table.c[which.name] == name)
        found: list[Any] = []
        with self._database.reading() as connection:
            for model in sorted(models):
                if after is not None and model < after[0]:
                    continue
                query = select(table).where(table.c.model == model, *wanted)
                if kind != "alerts":
                    runs = tables.audit_runs
                    query = query.where(table.c.run == runs.c.id, _unsuperseded(runs))
                if after is not None and model == after[0]:
                    time = table.c[which.time]
                    query = query.where(or_(time > after[1], and_(time == after[1], table.c.id > after[2])))
                query = query.order_by(table.c[which.time], table.c.id).limit(limit - len(found))
                found += [which.make(dict(row)) for row in connection.execute(query).mappings()]
                if len(found) >= limit:
                    break
        return found

    def newest_measurements(self, model: str) -> list[Measurement]:
        """The figures of the model's newest window, those of single versions included."""
        runs, table = tables.audit_runs, tables.measurements
        newest = (
            select(runs.c.id)
            .where(runs.c.model == model)
            .order_by(runs.c.end.desc(), runs.c.revision.desc())
            .limit(1)
            .scalar_subquery()
        )
        return self._all(select(table).where(table.c.run == newest), convert.measurement_from)
