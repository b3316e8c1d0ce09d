"""The outbox: deliveries in the order of their commits; a key is kept for ever, so that it is sent once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from auditor.core.delivery import AUDITED, Backlog, Delivery, Pending
from auditor.core.run import Audit
from auditor.store import convert, tables
from auditor.store.database import Database, add_new
from auditor.wording.alerts import told_all

WAITING, SENT, DEAD = "waiting", "sent", "dead"
_FIELDS = tuple(item.name for item in fields(Delivery))


def enqueue(connection: Connection, deliveries: Sequence[Delivery], *, sent: Collection[str]) -> None:
    """Add deliveries behind those that are there, in the caller's transaction; a key that is known is left as it is."""
    if not deliveries:
        return
    table = tables.deliveries
    last = connection.scalar(select(func.max(table.c.number))) or 0
    rows = [
        {
            **{name: getattr(delivery, name) for name in _FIELDS},
            "number": last + place,
            "attempts": 0,
            "due": delivery.created,
            "state": SENT if delivery.sink in sent else WAITING,
            "alerts": None if delivery.sink in sent else dict(delivery.alerts),
            "error": "",
        }
        for place, delivery in enumerate(deliveries, 1)
    ]
    add_new(connection, table, rows)


def backlog(connection: Connection, *, dead: bool) -> list[Backlog]:
    """Waiting deliveries by sink, or with `dead` its dead letters; sinks with none are left out."""
    table = tables.deliveries
    there = table.c.state == (DEAD if dead else WAITING)
    counted = select(table.c.sink, func.count(), func.min(table.c.created)).where(there).group_by(table.c.sink)
    failed = select(table.c.sink, table.c.error).where(there, table.c.error != "").order_by(table.c.number.desc())
    reasons = {row.sink: row.error for row in connection.execute(failed)}
    return [
        Backlog(sink=sink, deliveries=count, since=since, reason=reasons.get(sink, ""))
        for sink, count, since in sorted(connection.execute(counted).all())
    ]


class SqlDeliveries:
    """ports.Outbox."""

    _database: Database

    def waiting(self, sink: str) -> Sequence[Pending]:
        """The deliveries that wait, in order."""
        table = tables.deliveries
        wanted = [table.c[name] for name in Pending._fields]
        query = select(*wanted).where(table.c.sink == sink, table.c.state == WAITING).order_by(table.c.number)
        with self._database.reading() as connection:
            return [Pending(*row) for row in connection.execute(query)]

    def delivered_audit(self, sink: str, key: str) -> Audit:
        """The audit that a delivery carries, with the alerts as they were at the event."""
        table = tables.deliveries
        with self._database.reading() as connection:
            query = select(table).where(table.c.sink == sink, table.c.key == key)
            row = connection.execute(query).mappings().one()
            delivery = Delivery(**{name: row[name] for name in _FIELDS})
            return _audit(connection, delivery)

    def settle_delivery(self, sink: str, key: str) -> None:
        """The sink took it: the key is kept, what it carried is not."""
        self._change(sink, key, state=SENT, alerts=None, error="")

    def postpone_delivery(self, sink: str, key: str, *, error: str, due: datetime) -> None:
        """The sink did not take it now."""
        self._change(sink, key, attempts=tables.deliveries.c.attempts + 1, error=error, due=due)

    def bury_delivery(self, sink: str, key: str, *, error: str) -> None:
        """The sink refused it for good: a dead letter, which no later delivery waits for."""
        self._change(sink, key, state=DEAD, error=error)

    def revive_deliveries(self, sink: str | None = None) -> int:
        """Dead letters wait again, behind no one but what waited longer; how many."""
        table = tables.deliveries
        dead = update(table).where(table.c.state == DEAD, *([] if sink is None else [table.c.sink == sink]))
        with self._database.writing() as connection:
            return int(connection.execute(dead.values(state=WAITING, attempts=0)).rowcount)

    def backlog(self, sinks: Collection[str], *, dead: bool = False) -> Sequence[Backlog]:
        """Waiting deliveries by sink, or with `dead` its dead letters; sinks with none are left out."""
        with self._database.reading() as connection:
            return [found for found in backlog(connection, dead=dead) if found.sink in sinks]

    def _change(self, sink: str, key: str, **values: Any) -> None:
        table = tables.deliveries
        with self._database.writing() as connection:
            connection.execute(update(table).where(table.c.sink == sink, table.c.key == key).values(**values))


def _audit(connection: Connection, delivery: Delivery) -> Audit:
    runs = tables.audit_runs
    run = convert.run_from(dict(connection.execute(select(runs).where(runs.c.id == delivery.run)).mappings().one()))

    def of_run(table: Any, make: Any) -> tuple[Any, ...]:
        query = select(table).where(table.c.run == delivery.run)
        return tuple(make(row) for row in connection.execute(query).mappings())

    whole = delivery.event == AUDITED
    return Audit(
        run=run,
        measurements=of_run(tables.measurements, convert.measurement_from) if whole else (),
        verdicts=of_run(tables.verdicts, convert.verdict_from) if whole else (),
        artifacts=of_run(tables.artifacts, convert.artifact_from) if whole else (),
        alerts=told_all(delivery.change()),
    )
