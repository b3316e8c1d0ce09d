"""Reads for dashboard, reports, policies and HTTP: always the newest revision of a window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, FromClause, Select, Table, and_, case, exists, func, select

from auditor.core.artifact import Artifact
from auditor.core.command import Command
from auditor.core.measurement import Measurement
from auditor.core.run import AuditRun
from auditor.core.verdict import Alert, Verdict
from auditor.core.window import DAY, HOUR, Baseline, Span
from auditor.ports import ModelSummary
from auditor.store import convert, rules, tables
from auditor.store.database import Database
from auditor.store.rollups import DAY_UNIT
from auditor.store.schema import ensure

T = TypeVar("T")


def open_queries(url: str) -> SqlQueries:
    """The store at `url`, for reading beside a running writer.

    Raises
    ------
    StoreError
        `no_store`, `schema_behind`, `schema_ahead`, `bad_url`, `store_unavailable`.
    """
    database = Database(url, read_only=True)
    ensure(database)
    return SqlQueries(database)


class SqlQueries:
    """ports.Queries over a database of the newest schema."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def close(self) -> None:
        self._database.close()

    def models(self) -> Sequence[ModelSummary]:
        """Models that have records, or at least an audit, by name."""
        with self._database.reading() as connection:
            indexed = {
                row["model"]: (row["records"], row["first_day"], row["last_day"])
                for row in connection.execute(select(tables.indexed_models)).mappings()
            }
            runs = [convert.run_from(row) for row in _rows(connection, _newest(tables.audit_runs))]
            versions: set[tuple[str, str]] = set()
            for table in (tables.states, tables.measurements):
                query = select(table.c.model, table.c.version).where(table.c.version.is_not(None)).distinct()
                versions.update((model, version) for model, version in connection.execute(query))
        return rules.summaries(indexed, runs, versions)

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
        """For each policy x control x slice x input, the newest verdict of a window that ends at or before `before`."""
        found = self._all(_last_of_each_series(model, before), convert.verdict_from)
        newest = {verdict.key: verdict for verdict in sorted(found, key=rules.verdict_age)}
        return sorted(newest.values(), key=rules.verdict_order)

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


def _rows(connection: Connection, query: Select[Any]) -> Iterable[Mapping[str, Any]]:
    return connection.execute(query).mappings()  # type: ignore[return-value]
