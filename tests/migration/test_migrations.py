"""The migrations make exactly the tables that the code uses, go down and up again, and keep what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, Table, insert, inspect, select, text

from auditor.core.errors import StoreError
from auditor.store.database import Database
from auditor.store.schema import (
    HEAD,
    Upgrade,
    alembic_config,
    current,
    differences,
    downgrade,
    ensure,
    upgrade,
)
from auditor.store.tables import VERSION_TABLE, metadata

SCRIPTS = ScriptDirectory.from_config(alembic_config())
REVISIONS = [script.revision for script in reversed(list(SCRIPTS.walk_revisions()))]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty one."""
    if request.param == "sqlite":
        opened = Database(f"sqlite:///{tmp_path}/100% empty.db")
    else:
        opened = Database(request.getfixturevalue("postgres_url"))
    yield opened
    opened.close()


def version(database: Database) -> str | None:
    with database.reading() as connection:
        return current(connection)


def tables_of(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(inspect(connection).get_table_names())


def test_revisions_are_numbers_in_one_line() -> None:
    assert SCRIPTS.get_heads() == [HEAD]
    assert [f"{number:04}" for number, _ in enumerate(REVISIONS, 1)] == REVISIONS
    for revision in REVISIONS:
        assert Path(SCRIPTS.get_revision(revision).path).name.startswith(f"{revision}_")


def test_migrations_make_the_tables_that_the_code_uses(database: Database) -> None:
    assert version(database) is None
    assert upgrade(database) == Upgrade(None, HEAD)
    assert differences(database) == []
    assert tables_of(database) == {*metadata.tables, VERSION_TABLE}
    assert upgrade(database) == Upgrade(HEAD, HEAD)


def test_base_head_base_head(database: Database) -> None:
    upgrade(database)
    assert downgrade(database, "base").after == "base"
    assert tables_of(database) <= {VERSION_TABLE}
    upgrade(database)
    assert (version(database), differences(database)) == (HEAD, [])


def test_a_fresh_store_has_the_schema_that_the_migrations_make(tmp_path: Path) -> None:
    """SQLite makes its tables at once, without Alembic: word for word the same ones."""
    made, migrated = Database(f"sqlite:///{tmp_path}/made.db"), Database(f"sqlite:///{tmp_path}/migrated.db")
    ensure(made)
    upgrade(migrated)
    found = []
    for database in (made, migrated):
        with database.reading() as connection:
            rows = connection.execute(text("SELECT type, name, sql FROM sqlite_master")).all()
            found.append({(kind, name): _words(sql) for kind, name, sql in rows})
        assert version(database) == HEAD
        database.close()
    assert found[0] == found[1]


def test_data_survives_each_migration_down_and_up(database: Database) -> None:
    """Walks every revision after the first: rows that it knows come back from one step down and one up."""
    for older, newer in pairwise(REVISIONS):
        upgrade(database, older)
        before = _fill(database)
        upgrade(database, newer)
        downgrade(database, older)
        assert _rows(database) == before, f"{newer} loses data on the way down and up"
        upgrade(database, newer)
    upgrade(database)
    rows = _fill(database)
    upgrade(database)
    assert _rows(database) == rows


def test_other_tables_in_the_database_are_left_alone(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE runs (run_uuid VARCHAR(32) PRIMARY KEY)"))
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('mlflow')"))
    upgrade(database)
    assert differences(database) == []
    downgrade(database, "base")
    assert {"runs", "alembic_version"} <= tables_of(database)
    with database.reading() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "mlflow"


def test_no_table_is_called_like_one_of_mlflows() -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    from mlflow.store.tracking.dbmodels import models

    theirs = {*models.Base.metadata.tables, "alembic_version"}
    assert len(theirs) > 20
    assert not theirs & {*metadata.tables, VERSION_TABLE}


def test_differences_are_named(database: Database) -> None:
    upgrade(database)
    with database.writing() as connection:
        connection.execute(text("DROP TABLE keys"))
        connection.execute(text("ALTER TABLE alerts ADD COLUMN extra TEXT"))
    found = differences(database)
    assert any("add_table" in line and "keys" in line for line in found)
    assert any("remove_column" in line and "extra" in line for line in found)


def test_a_newer_schema_is_refused(database: Database) -> None:
    upgrade(database)
    with database.writing() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    for step in (ensure, upgrade):
        with pytest.raises(StoreError) as refused:
            step(database)
        assert refused.value.code == "schema_ahead"


def test_a_failed_migration_changes_nothing(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE verdicts (id INTEGER)"))  # the migration makes one, too
    with pytest.raises(StoreError):
        upgrade(database)
    assert tables_of(database) == {"verdicts"}


def _words(sql: str | None) -> list[str]:
    """A statement without its layout and quotes: Alembic orders constraints otherwise and quotes a table it made anew."""
    return sorted(part.replace('"', "").strip(" ,\n\t") for part in (sql or "").splitlines())


def _reflected(database: Database) -> list[Table]:
    there = MetaData()
    with database.reading() as connection:
        there.reflect(connection, only=lambda name, _: name in metadata.tables)
    return there.sorted_tables


def _fill(database: Database) -> dict[str, list[Any]]:
    """One row in every table of the schema as it stands, parents first."""
    for table in _reflected(database):
        row = {column.name: _value(column) for column in table.columns}
        with database.writing() as connection:
            if connection.execute(select(table)).first() is None:
                connection.execute(insert(table), [row])
    return _rows(database)


def _rows(database: Database) -> dict[str, list[Any]]:
    with database.reading() as connection:
        return {
            table.name: [sorted(row._mapping.items()) for row in connection.execute(select(table))]
            for table in _reflected(database)
        }


def _value(column: Any) -> Any:
    if column.foreign_keys:
        return _value(next(iter(column.foreign_keys)).column)
    kind = column.type.python_type if str(column.type) not in ("JSON", "JSONB") else dict
    return {
        str: f"a {column.table.name} {column.name}",
        int: 7,
        float: 0.1,
        bool: True,
        bytes: b"\x00\xff",
        datetime: datetime(2026, 3, 2, tzinfo=UTC),
        dict: {"k": [1, None, "ü"]},
    }[kind]
