"""What the archive lost: files on record as lost, and lines of the index that went with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from sqlalchemy import ColumnElement, Connection, Table, delete, func, select, update

from auditor.core.loss import ACCEPT, Loss, LostPart, losses_of
from auditor.ports import IndexEntry
from auditor.store import convert, rules, tables
from auditor.store.database import Database, add_new, in_pieces, put
from auditor.store.unsettled import mark_found


class SqlLosses:
    """The reading part of ports.LossStore, and `losses` of ports.Queries."""

    _database: Database

    def indexed(self, model: str, day: str) -> Sequence[IndexEntry]:
        """Lines of the index of one model and day; reads the whole index."""
        return self._entries(tables.record_index, model, day)

    def lost_records(self, model: str, day: str) -> Sequence[IndexEntry]:
        return self._entries(tables.lost_records, model, day)

    def lost_parts(self) -> Sequence[LostPart]:
        """By path."""
        table = tables.lost_parts
        with self._database.reading() as connection:
            rows = connection.execute(select(table).order_by(table.c.path)).mappings()
            return [LostPart(**row) for row in rows]

    def losses(self, model: str | None = None) -> Sequence[Loss]:
        """By model and day; of one model, lost labels of any model included."""
        parts = [part for part in self.lost_parts() if model is None or part.model in ("", model)]
        if not parts:
            return []
        lost, said = tables.lost_records.c, tables.commands
        with self._database.reading() as connection:
            counted = connection.execute(select(lost.model, lost.day, func.count()).group_by(lost.model, lost.day))
            counts = {(name, day): count for name, day, count in counted}
            rows = connection.execute(select(said).where(said.c.kind == ACCEPT)).mappings()
            accepted = sorted((convert.command_from(dict(row)) for row in rows), key=rules.command_order)
        return losses_of(parts, counts, accepted)

    def _entries(self, table: Table, model: str, day: str) -> list[IndexEntry]:
        columns = [table.c[name] for name in IndexEntry._fields]
        with self._database.reading() as connection:
            rows = connection.execute(select(*columns).where(table.c.model == model, table.c.day == day))
            return [IndexEntry(*row) for row in rows]


class SqlLossWriter(SqlLosses):
    """ports.LossStore."""

    def lose(self, parts: Sequence[LostPart], entries: Sequence[IndexEntry]) -> None:
        """Put files on record as lost, and move lines from the index to those that are lost, in one transaction."""
        with self._database.writing() as connection:
            put(connection, tables.lost_parts, [asdict(part) for part in parts])
            add_new(connection, tables.lost_records, [entry._asdict() for entry in entries])
            _count(connection, entries, -_drop(connection, tables.record_index, entries))

    def recover(self, paths: Sequence[str], entries: Sequence[IndexEntry]) -> None:
        """Files are restored; lines go back to the index, unless their ids were delivered again."""
        with self._database.writing() as connection:
            index = tables.record_index
            for some in in_pieces(paths):
                connection.execute(delete(tables.lost_parts).where(tables.lost_parts.c.path.in_(some)))
            before = _lines(connection, entries)
            add_new(connection, index, [entry._asdict() for entry in entries])
            _count(connection, entries, _lines(connection, entries) - before)
            mark_found(connection, [entry.id for entry in entries])
            _drop(connection, tables.lost_records, entries)


def _lines(connection: Connection, entries: Sequence[IndexEntry]) -> int:
    index = tables.record_index
    counted = select(func.count()).select_from(index)
    return sum(connection.scalar(counted.where(same)) or 0 for same in _named(index, entries))


def _drop(connection: Connection, table: Table, entries: Sequence[IndexEntry]) -> int:
    return sum(connection.execute(delete(table).where(same)).rowcount for same in _named(table, entries))


def _named(table: Table, entries: Sequence[IndexEntry]) -> Iterator[ColumnElement[bool]]:
    """Conditions for the lines of some entries, which are of one model."""
    for some in in_pieces(entries):
        yield (table.c.model == some[0].model) & table.c.id.in_([entry.id for entry in some])


def _count(connection: Connection, entries: Sequence[IndexEntry], change: int) -> None:
    """Keep the totals of the index: the entries are of one model."""
    if entries and change:
        known = tables.indexed_models
        more = update(known).where(known.c.model == entries[0].model)
        connection.execute(more.values(records=known.c.records + change))
