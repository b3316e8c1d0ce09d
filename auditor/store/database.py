"""A connection to SQLite or PostgreSQL, set up so that a commit is durable and readers never block the writer.

SQLite: write-ahead log, `synchronous=FULL` (a commit survives power loss), writers begin IMMEDIATE so that two of them queue
instead of deadlocking, readers open the file `mode=ro`. A connection must not be carried across a fork.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, Table, create_engine, event, exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import StaticPool

from auditor.core.errors import StoreError
from auditor.core.identity import canonical_json
from auditor.core.private import make_folder, open_file

T = TypeVar("T")

BUSY_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5
MEND = "restore a backup (see the backup-and-restore how-to), or run `auditor db rebuild`"
_DAMAGE = (
    "malformed",
    "not a database",
    "disk image",
    "corrupt",
    "no such table",
    "no such column",
    "Could not decode",
)
"""What SQLite and its driver report for a file that is not what was written."""
_MANY = 1000
_WRITES = "auditor_writes"
_FILE = "sqlite:///"
_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


class Database:
    """One SQLAlchemy engine with two ways in: `reading()` and `writing()`; every failure is a StoreError.

    Parameters
    ----------
    url : str or URL
        `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/NAME`. The URL object `sqlite` without a path is a database in
        memory, for tests: one connection, so one thread at a time.
    read_only : bool
        SQLite: the file must exist and is opened `mode=ro`; PostgreSQL: transactions are READ ONLY.
    foreign_keys : bool
        Whether SQLite checks them; a migration that rebuilds a table must not.

    Raises
    ------
    StoreError
        `bad_url`, `driver_missing`, `no_store`.
    """

    def __init__(self, url: str | URL, *, read_only: bool = False, foreign_keys: bool = True) -> None:
        self.url = parse_url(url) if isinstance(url, str) else url
        self.read_only = read_only
        self.dialect = self.url.get_backend_name()
        self.path = Path(self.url.database) if self.dialect == "sqlite" and self.url.database else None
        self.name = f"sqlite:///{self.path}" if self.path else self.url.render_as_string(hide_password=True)
        self.engine = self._sqlite(foreign_keys) if self.dialect == "sqlite" else self._postgres()
        weakref.finalize(self, self.engine.dispose)  # a reader that nobody closed leaves no open file behind

    def _sqlite(self, foreign_keys: bool) -> Engine:
        if self.path is None:
            shared = {"check_same_thread": False}
            engine = create_engine(self.url, connect_args=shared, poolclass=StaticPool, json_serializer=_dump)
        else:
            engine = self._sqlite_file(self.path)
        event.listen(engine, "connect", partial(_set_up, foreign_keys=foreign_keys, writes=not self.read_only))
        event.listen(engine, "begin", _begin)
        return engine

    def _sqlite_file(self, path: Path) -> Engine:
        if self.read_only and not path.is_file():
            raise StoreError(
                "no_store",
                "there is no store yet",
                where=str(path),
                fix="run `auditor db upgrade`, or any command that writes",
            )
        if not self.read_only:
            try:
                make_folder(path.parent)
                open_file(path, "ab").close()  # its log and shared memory take their mode from it
            except OSError as error:
                raise StoreError("store_unavailable", str(error), where=str(path)) from error
        mode = "ro" if self.read_only else "rwc"
        url = URL.create("sqlite", database=f"file:{quote(str(path.absolute()))}", query={"mode": mode, "uri": "true"})
        return create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S}, json_serializer=_dump)

    def _postgres(self) -> Engine:
        try:
            return create_engine(
                self.url,
                pool_pre_ping=True,  # a server that was restarted costs a reconnect, not an error
                connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "auditor"},
                execution_options={"postgresql_readonly": True} if self.read_only else {},
                json_serializer=_dump,
            )
        except ModuleNotFoundError as error:
            raise StoreError(
                "driver_missing",
                f"PostgreSQL needs {error.name}",
                where=self.name,
                fix="pip install 'auditor[postgres]'",
            ) from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection in a transaction that sees one state of the store throughout."""
        with self._failures(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection whose transaction commits at the end of the block, durably, or not at all."""
        if self.read_only:
            raise StoreError("read_only", "the store was opened for reading", where=self.name)
        with self._failures(), self.engine.execution_options(**{_WRITES: True}).begin() as connection:
            yield connection

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        driver = self.engine.dialect.loaded_dbapi
        try:
            yield
        except UnicodeEncodeError as error:  # half a surrogate pair
            raise StoreError(
                "bad_text", "a text that is not Unicode cannot be kept", where=self.name, fix="correct its source"
            ) from error
        except (exc.SQLAlchemyError, driver.Error) as error:  # COPY speaks to the driver itself
            raise self.failure(error) from error
        except ValueError as error:
            if not (isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)) or _of_a_column(error)):
                raise
            raise StoreError(
                "store_damaged", f"a stored value does not read: {error}", where=self.name, fix=MEND
            ) from error

    def failure(self, error: Exception) -> StoreError:
        """What the database said, as a StoreError; never with the values of the statement or the password."""
        said = " ".join(str(getattr(error, "orig", None) or error).split())
        if "locked" in said or "busy" in said:
            return StoreError(
                "store_busy", said, where=self.name, fix="end the other process that writes to it, then repeat"
            )
        if any(sign in said for sign in _DAMAGE):
            return StoreError("store_damaged", said, where=self.name, fix=MEND)
        if "NUL" in said or "\\u0000" in said or "0x00" in said:
            return StoreError("bad_text", said, where=self.name, fix="PostgreSQL keeps no NUL: correct its source")
        driver = self.engine.dialect.loaded_dbapi
        away = (exc.OperationalError, exc.InterfaceError, driver.OperationalError, driver.InterfaceError)
        if isinstance(error, away):
            return StoreError("store_unavailable", said, where=self.name, fix="see that it runs and may be reached")
        return StoreError("store_failed", said, where=self.name)


def _of_a_column(error: ValueError) -> bool:
    """Whether SQLAlchemy raised it on converting a stored value: a time that is none, say."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__")).startswith("sqlalchemy")


def _set_up(connection: Any, _record: Any, *, foreign_keys: bool, writes: bool) -> None:
    connection.isolation_level = None  # the driver starts no transaction of its own: `_begin` does
    connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
    if writes:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def parse_url(url: str) -> URL:
    """The URL with the driver that auditor uses, or StoreError `bad_url`."""
    if url.startswith(_FILE) and url[len(_FILE) :] not in ("", ":memory:"):
        return URL.create("sqlite", database=url[len(_FILE) :])  # a path as it is: `%` and `?` are letters like others
    try:
        parsed = make_url(url)
        return parsed.set(drivername=_DRIVERS[parsed.drivername])
    except (exc.ArgumentError, KeyError) as error:
        # Not echoed: whatever it is, it may hold a password.
        raise StoreError(
            "bad_url",
            "not a store's address",
            where="[store] url",
            fix="write sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME",
        ) from error


def in_pieces(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values, as many at a time as SQLite takes as parameters of one statement."""
    for start in range(0, len(values), _MANY):
        yield values[start : start + _MANY]


def add(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, none of which is there."""
    if rows:
        connection.execute(table.insert(), rows)


def add_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows; those whose key is there already are left as they are."""
    if rows:
        connection.execute(_insert(connection)(table).on_conflict_do_nothing(), rows)


def put(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, or replace those with the same key."""
    if rows:
        statement = _insert(connection)(table)
        changed = {name: statement.excluded[name] for name in rows[0] if not table.c[name].primary_key}
        connection.execute(
            statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changed), rows
        )


def _insert(connection: Connection) -> Any:
    return {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[connection.dialect.name]


def _dump(value: Any) -> str:
    return canonical_json(value).decode()
