"""Reads for dashboard, reports, policies and HTTP, beside a running writer: always the newest revision of a window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Table,
    and_,
    case,
    exists,
    func,
    or_,
    select,
    union,
)

from auditor.core.artifact import Artifact
from auditor.core.command import Command
from auditor.core.delivery import Backlog
from auditor.core.measurement import Measurement
from auditor.core.run import AuditRun
from auditor.core.verdict import Alert, Verdict
from auditor.core.window import DAY, HOUR, Baseline, Span
from auditor.ports import ModelSummary
from auditor.store import convert, rules, tables
from auditor.store.database import Database
from auditor.store.deliveries import backlog
from auditor.store.keys import Key, read_keys
from auditor.store.losses import SqlLosses
from auditor.store.record_index import SqlRecordIndex
from auditor.store.rollups import DAY_UNIT
from auditor.store.schema import ensure

T = TypeVar("T")
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


def open_queries(url: str) -> SqlQueries:
    """The store at `url`, for reading beside a running writer.

    Raises
    ------
    StoreError
        `no_store`, `schema_behind`, `schema_ahead`, `bad_url`, `store_unavailable`.
    """
    database = Database(url, read_only=True)
    try:
        ensure(database)
    except BaseException:
        database.close()
        raise
    return SqlQueries(database)


class SqlQueries(SqlLosses, SqlRecordIndex):
    """ports.Queries, the index and the keys over a database of the newest schema; threads may share it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.dialect = database.dialect
        self.name = database.name

    def close(self) -> None:
        self._database.close()

    def models(self) -> Sequence[ModelSummary]:
        """Models that have records, or at least an audit, by name."""
        with self._database.reading() as connection:
            indexed = {
                model: (records, first, last) if _is_day(first) and _is_day(last) else _counted(connection, model)
                for model, records, first, last in connection.execute(select(tables.indexed_models))
            }
            others = _newest(tables.audit_runs).where(tables.audit_runs.c.model.not_in(indexed))
            runs = list(_readable(connection, others.with_only_columns(tables.audit_runs.c.id)))
            versions: set[tuple[str, str]] = set()
            for table in (tables.states, tables.measurements):
                query = select(table.c.model, table.c.version).where(table.c.version.is_not(None)).distinct()
                versions.update((model, version) for model, version in connection.execute(query))
        return rules.summaries(indexed, runs, versions)

    def model_names(self) -> Sequence[str]:
        """Models of which anything arrived, by name: records, counts or readings."""
        known = (tables.indexed_models, tables.dirty_hours, tables.audit_runs)
        with self._database.reading() as connection:
            return list(connection.scalars(union(*(select(table.c.model) for table in known)).order_by("model")))

    def versions(self, model: str, span: Span) -> Mapping[str, datetime]:
        """By version, when it was first seen; see ports.Queries."""
        hourly, rolled = tables.states, tables.rollups
        lone = rolled.c.alone.is_(True), rolled.c.unit == DAY_UNIT
        found: list[tuple[str, datetime, bool]] = []
        with self._database.reading() as connection:
            for table, at, length, where in ((hourly, hourly.c.hour, HOUR, ()), (rolled, rolled.c.start, DAY, lone)):
                inside = case((and_(at > span.start - length, at < span.end), 1), else_=0)
                query = select(table.c.version, func.min(at), func.max(inside)).group_by(table.c.version)
                seen = query.where(table.c.model == model, table.c.version != "", table.c.n > 0, *where)
                found += [(name, first, bool(there)) for name, first, there in connection.execute(seen)]
        return rules.first_seen(found)

    def runs(self, model: str, span: Span | None = None) -> Sequence[AuditRun]:
        """By window start."""
        query = _newest(tables.audit_runs).where(*_of(tables.audit_runs, model, span))
        return sorted(self._all(query, convert.run_from), key=rules.run_order)

    def measurements(
        self,
        model: str,
        *,
        metric: str | None = None,
        span: Span | None = None,
        version: str | None = None,
        all_versions: bool = False,
    ) -> Sequence[Measurement]:
        """By start, then series; see ports.Queries."""
        table = tables.measurements
        query = select(table).where(table.c.run.in_(_newest_runs(model)), *_of(table, model, span))
        if metric is not None and metric.endswith("."):
            query = query.where(func.substr(table.c.metric, 1, len(metric)) == metric)
        elif metric is not None:
            query = query.where(table.c.metric == metric)
        if version is not None:
            query = query.where(table.c.version == version)
        elif not all_versions:
            query = query.where(table.c.version.is_(None))
        return sorted(self._all(query, convert.measurement_from), key=rules.measurement_order)

    def verdicts(self, model: str, *, control: str | None = None, span: Span | None = None) -> Sequence[Verdict]:
        """By start, then policy, control, slice and input."""
        table = tables.verdicts
        query = select(table).where(table.c.run.in_(_newest_runs(model)), *_of(table, model, span))
        if control is not None:
            query = query.where(table.c.control == control)
        return sorted(self._all(query, convert.verdict_from), key=rules.verdict_order)

    def last_verdicts(self, model: str, before: datetime) -> Sequence[Verdict]:
        """The verdicts of each control in the newest window that judged it; see ports.Queries."""
        found = self._all(_last_of_each_series(model, before), convert.verdict_from)
        newest = {verdict.key: verdict for verdict in sorted(found, key=rules.verdict_age)}
        by_age = sorted(newest.values(), key=rules.verdict_age)
        window = {(verdict.policy, verdict.control): verdict.span for verdict in by_age}
        current = (v for v in newest.values() if v.span == window[v.policy, v.control])
        return sorted(current, key=rules.verdict_order)

    def alerts(
        self, model: str | None = None, *, state: str | None = None, span: Span | None = None
    ) -> Sequence[Alert]:
        """By time of opening; `span` selects by that time."""
        table = tables.alerts
        query = select(table)
        if model is not None:
            query = query.where(table.c.model == model)
        if state is not None:
            query = query.where(table.c.state == state)
        if span is not None:
            query = query.where(table.c.opened >= span.start, table.c.opened < span.end)
        return sorted(self._all(query, convert.alert_from), key=rules.alert_order)

    def artifacts(self, model: str, *, span: Span | None = None) -> Sequence[Artifact]:
        """By start, then title."""
        table = tables.artifacts
        query = select(table).where(table.c.run.in_(_newest_runs(model)), *_of(table, model, span))
        return sorted(self._all(query, convert.artifact_from), key=rules.artifact_order)

    def baselines(self, model: str) -> Sequence[Baseline]:
        """Newest first."""
        table = tables.baselines
        light = [column for column in table.c if column.name not in ("state", "state_digest")]
        query = select(*light).where(table.c.model == model)
        return sorted(self._all(query, convert.baseline_from), key=rules.baseline_order, reverse=True)

    def commands(self, kind: str | None = None) -> Sequence[Command]:
        """What persons said, oldest first."""
        table = tables.commands
        query = select(table) if kind is None else select(table).where(table.c.kind == kind)
        return sorted(self._all(query, convert.command_from), key=rules.command_order)

    def outbox(self, *, dead: bool = False) -> Sequence[Backlog]:
        """By sink, deliveries that wait (or, `dead`, were refused for good), whether the sink is in force or not."""
        with self._database.reading() as connection:
            return backlog(connection, dead=dead)

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

    def _all(self, query: Select[Any], make: Callable[[Mapping[str, Any]], T]) -> list[T]:
        with self._database.reading() as connection:
            return [make(row) for row in _rows(connection, query)]


# -- SQL -------------------------------------------------------------------------------------------------------------------


def _newest(runs: Table) -> Select[Any]:
    """Runs that no later revision of the same window supersedes."""
    return select(runs).where(_unsuperseded(runs))


def _newest_runs(model: str) -> Select[Any]:
    runs = tables.audit_runs
    return select(runs.c.id).where(runs.c.model == model, _unsuperseded(runs))


def _unsuperseded(runs: Table) -> ColumnElement[bool]:
    later = runs.alias()
    return ~exists().where(
        later.c.model == runs.c.model,
        later.c.start == runs.c.start,
        later.c.end == runs.c.end,
        later.c.revision > runs.c.revision,
    )


def _last_of_each_series(model: str, before: datetime) -> Select[Any]:
    """The verdicts of the run that judged each series last: one seek a series, however long the history is."""
    table = tables.verdicts
    each = [table.c.policy, table.c.control, table.c.slice, table.c.input]
    series = select(*each).where(table.c.model == model).distinct().subquery()
    one = table.alias()
    last = (
        select(one.c.run)
        .where(one.c.model == model, one.c.end <= before, *_same_series(one, series))
        .where(one.c.run.in_(_newest_runs(model)))
        .order_by(one.c.end.desc(), one.c.start.desc(), one.c.judged.desc(), one.c.id.desc())
        .limit(1)
        .correlate(series)
        .scalar_subquery()
    )
    return select(table).select_from(series).join(table, and_(table.c.run == last, *_same_series(table, series)))


def _same_series(a: FromClause, b: FromClause) -> list[ColumnElement[bool]]:
    same = [a.c[name] == b.c[name] for name in ("policy", "control", "slice")]
    return [*same, a.c.input.is_not_distinct_from(b.c.input)]


def _of(table: Table, model: str, span: Span | None) -> list[ColumnElement[bool]]:
    """Of that model, and of windows inside `span`."""
    wanted: list[ColumnElement[bool]] = [table.c.model == model]
    if span is not None:
        wanted += [table.c.start >= span.start, table.c.end <= span.end]
    return wanted


def _is_day(text: str) -> bool:
    with suppress(ValueError):
        return len(text) == 10 and bool(date.fromisoformat(text))
    return False


def _counted(connection: Connection, model: str) -> tuple[int, str, str]:
    """Totals of a model from every line of the index: those that are kept beside it do not read."""
    lines = tables.record_index.c
    found = connection.execute(
        select(func.count(), func.min(lines.day), func.max(lines.day)).where(lines.model == model)
    )
    count, first, last = found.one()
    return count, first, last


def _readable(connection: Connection, ids: Select[Any]) -> Iterable[AuditRun]:
    """Runs by id, without those that do not read: the audit of their model names them."""
    runs = tables.audit_runs
    for name in connection.scalars(ids).all():
        with suppress(ValueError, TypeError, KeyError):
            yield from map(convert.run_from, _rows(connection, select(runs).where(runs.c.id == name)))


def _rows(connection: Connection, query: Select[Any]) -> Iterable[Mapping[str, Any]]:
    return connection.execute(query).mappings()  # type: ignore[return-value]
