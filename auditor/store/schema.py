"""Which schema a database has, and how it gets the newest one. Alembic is loaded only when there is something to do."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, inspect, select, text

from auditor.core.errors import StoreError
from auditor.shipped import shipped
from auditor.store.database import Database
from auditor.store.tables import VERSION_TABLE, metadata

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0011"
"""The newest revision under `migrations/versions`; revisions are numbers, so that older and newer can be told apart."""

_VERSION = Table(
    VERSION_TABLE,
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """From which revision to which; `before` is None for a database that had none of our tables."""

    before: str | None
    after: str


def current(connection: Connection) -> str | None:
    """The revision of a database's schema; None when it has none of our tables."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(_VERSION.c.version_num)).scalar_one_or_none()


def ensure(database: Database) -> None:
    """See that the schema is the newest: SQLite is made or upgraded on the spot, PostgreSQL by `auditor db upgrade`.

    Raises
    ------
    StoreError
        `schema_behind` (PostgreSQL, or opened for reading) or `schema_ahead` (a newer auditor wrote it).
    """
    with database.reading() as connection:
        version = current(connection)
    if version == HEAD:
        return
    _not_ahead(database, version)
    if database.dialect != "sqlite" or database.read_only:
        had = "none of auditor's tables" if version is None else f"schema {version}"
        raise StoreError(
            "schema_behind",
            f"the database has {had}, this auditor needs {HEAD}",
            where=database.name,
            fix="run `auditor db upgrade`",
        )
    if version is None:
        _create(database)
    else:
        upgrade(database)


def upgrade(database: Database, revision: str = "head") -> Upgrade:
    """Run the migrations up to `revision` in one transaction; running none is fine.

    Raises
    ------
    StoreError
        `schema_ahead`, or whatever the database said; nothing is changed then.
    """
    return _migrate(database, "upgrade", revision)


def downgrade(database: Database, revision: str) -> Upgrade:
    """Undo migrations down to `revision` (`base`: all of them), in one transaction."""
    return _migrate(database, "downgrade", revision)


def differences(database: Database) -> list[str]:
    """What the database's tables lack or have beyond this auditor's, one plain line each; other tables are left alone."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with database.reading() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"include_name": ours, "version_table": VERSION_TABLE, "target_metadata": metadata},
        )
        return [_plain(entry) for entry in compare_metadata(context, metadata)]


def ours(name: str | None, kind: str, parents: Any) -> bool:
    """Whether a reflected object belongs to auditor: what else lives in the database is nobody's business here."""
    return name in metadata.tables if kind == "table" else True


def alembic_config() -> Config:
    """Alembic's configuration without a file: where the migrations are, and silence."""
    from alembic.config import Config

    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(shipped("migrations")).replace("%", "%%"))
    return config


def _create(database: Database) -> None:
    # The same tables that the migrations make (a test holds the two together), without the time Alembic takes to load.
    with database.writing() as connection:
        if current(connection) is None:  # another process may have been faster
            metadata.create_all(connection, checkfirst=False)
            _VERSION.create(connection)
            connection.execute(_VERSION.insert().values(version_num=HEAD))


def _migrate(database: Database, direction: str, revision: str) -> Upgrade:
    from alembic import command
    from alembic.util import CommandError

    # Rebuilding a table on SQLite drops the old one, which must not take the rows that refer to it along.
    own = Database(database.url, foreign_keys=False)
    try:
        with own.writing() as connection:
            if own.dialect == "postgresql":  # two upgrades at once queue
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('auditor.schema'))"))
            before = current(connection)
            _not_ahead(own, before)
            config = alembic_config()
            config.attributes["connection"] = connection
            try:
                getattr(command, direction)(config, revision)
            except CommandError as error:
                raise StoreError("migration_failed", str(error), where=own.name) from error
            if own.dialect == "sqlite" and (
                broken := connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            ):
                raise StoreError(
                    "migration_failed", f"{len(broken)} rows refer to rows that are gone", where=str(broken[0][0])
                )
            return Upgrade(before, current(connection) or "base")
    finally:
        own.close()


def _not_ahead(database: Database, version: str | None) -> None:
    if version is not None and version > HEAD:
        raise StoreError(
            "schema_ahead",
            f"the database has schema {version}, this auditor knows up to {HEAD}",
            where=database.name,
            fix="upgrade auditor",
        )


def _plain(entry: Any) -> str:
    if isinstance(entry, list):  # changes of one column come as a list
        return "; ".join(_plain(part) for part in entry)
    what, *rest = entry
    return f"{what}: " + " ".join(str(getattr(part, "name", part)) for part in rest if part is not None)
