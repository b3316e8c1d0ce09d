"""The record index: idempotency for ever, at a few microseconds a record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from auditor.ports import IndexEntry, RecordKey
from auditor.store.database import Database, in_pieces, put
from auditor.store.rules import settle, totals
from auditor.store.tables import indexed_models
from auditor.store.unsettled import SqlUnsettledLabels, mark_found

_COLUMNS = "id, digest, model, day, segment"


class SqlRecordIndex(SqlUnsettledLabels):
    """ports.RecordIndex."""

    _database: Database

    def claim(self, entries: Sequence[IndexEntry]) -> Sequence[str]:
        """For each entry `new`, `duplicate` or `conflict`, in one transaction; see `settle`."""
        if not entries:
            return []
        with self._database.writing() as connection:
            words, fresh = ["new"] * len(entries), entries
            if not _all_new(connection, entries):
                words, fresh = settle(entries, _lines(connection, {entry.id for entry in entries}))
                _insert(connection, fresh)
            if fresh:
                _count(connection, fresh)
                mark_found(connection, [entry.id for entry in fresh])
        return words

    def locate(self, ids: Sequence[str]) -> Mapping[RecordKey, IndexEntry]:
        """Lines of every model that has a record of one of these ids; see ports.RecordIndex."""
        with self._database.reading() as connection:
            return _lines(connection, ids)


def _lines(connection: Connection, ids: Iterable[str]) -> dict[RecordKey, IndexEntry]:
    wanted = list(ids)
    found: list[IndexEntry] = []
    if connection.dialect.name == "sqlite":
        # Ids begin with the time, as a rule, and what is asked for is new: then one look at their stretch answers for all.
        stretch = "SELECT 1 FROM record_index WHERE id BETWEEN ? AND ? LIMIT 1"
        if wanted and connection.exec_driver_sql(stretch, (min(wanted), max(wanted))).first() is None:
            return {}
        for some in in_pieces(wanted):
            query = f"SELECT {_COLUMNS} FROM record_index WHERE id IN ({', '.join('?' * len(some))})"
            found += [IndexEntry(*row) for row in connection.exec_driver_sql(query, tuple(some))]
    else:
        query = f"SELECT {_COLUMNS} FROM record_index WHERE id = ANY(%s)"
        found += [IndexEntry(*row) for row in connection.exec_driver_sql(query, (wanted,))]
    return {entry.key: entry for entry in found}


def _all_new(connection: Connection, entries: Sequence[IndexEntry]) -> bool:
    """Take in entries none of which the index has, which is the usual case; otherwise False, and nothing is changed.

    The primary key finds out what a question for every id would have to be asked for.
    """
    try:
        with connection.begin_nested():
            _insert(connection, entries)
    except (connection.dialect.loaded_dbapi.IntegrityError, IntegrityError):
        return False
    return True


def _insert(connection: Connection, entries: Sequence[IndexEntry]) -> None:
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        # Beside SQLAlchemy, in its transaction: it would copy every row before it hands them on.
        driver.executemany(f"INSERT INTO record_index ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)", entries)
        return
    with driver.cursor() as cursor, cursor.copy(f"COPY record_index ({_COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["text"] * 5)
        for row in entries:
            copy.write_row(row)


def _count(connection: Connection, fresh: Sequence[IndexEntry]) -> None:
    added = totals(fresh)
    query = select(indexed_models).where(indexed_models.c.model.in_(added))
    for row in connection.execute(query).mappings():
        count, first, last = added[row["model"]]
        added[row["model"]] = (
            count + row["records"],
            min(first, row["first_day"]),
            max(last, row["last_day"]),
        )
    put(
        connection,
        indexed_models,
        [
            {"model": model, "records": count, "first_day": first, "last_day": last}
            for model, (count, first, last) in added.items()
        ],
    )
