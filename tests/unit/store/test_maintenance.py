"""Backups can be restored, and `auditor db` says what is wrong."""

from __future__ import annotations

import argparse
import hashlib
import json
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from auditor.cli import db
from auditor.core.errors import AuditorError, StoreError
from auditor.core.window import DAY, Span, parse_time
from auditor.store import tables
from auditor.store.maintenance import backup, check
from auditor.store.schema import HEAD
from auditor.store.sql import SqlStore
from auditor.testing import make_audit, make_run

T0 = parse_time("2026-03-02")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "auditor.toml").write_text("")
    return folder


def url_of(home: Path) -> str:
    return f"sqlite:///{home}/store/auditor.db"


def fill(url: str) -> SqlStore:
    store = SqlStore(url)
    store.commit(make_audit())
    return store


def auditor(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict[str, Any]]:
    """Run `auditor db ... --json`: exit code and document."""
    parser = argparse.ArgumentParser()
    db.register(parser.add_subparsers())
    args = parser.parse_args(["db", *map(str, words), "--json"])
    code = args.run(args)
    return code, json.loads(capsys.readouterr().out)


# -- backup ----------------------------------------------------------------------------------------------------------------


def test_a_backup_is_one_file_that_opens_as_a_store(home: Path, tmp_path: Path) -> None:
    store = fill(url_of(home))
    made = backup(url_of(home), tmp_path / "copies" / "monday.db")
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["monday.db"]
    assert made.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()
    assert (made.size, made.schema) == (made.path.stat().st_size, HEAD)
    restored = SqlStore(f"sqlite:///{made.path}")
    model = make_audit().run.model
    assert list(restored.measurements(model)) == list(store.measurements(model))
    assert list(restored.alerts()) == list(store.alerts())
    restored.close()
    store.close()


def test_a_backup_beside_a_busy_writer_is_one_moment(home: Path, tmp_path: Path) -> None:
    """Every run in the copy has all of its figures, and the writer was not held up."""
    store = SqlStore(url_of(home))
    stop = threading.Event()
    written = []

    def write() -> None:
        number = 0
        while not stop.is_set():
            run = make_run(id=f"r{number}", model="m", span=Span(T0 + number * DAY, T0 + (number + 1) * DAY))
            audit = make_audit()
            parts = tuple(m.__class__.from_json({**m.as_json(), "run": run.id}) for m in audit.measurements)
            store.commit(make_audit(run=run, measurements=parts, verdicts=(), alerts=audit.alerts.__class__()))
            written.append(run.id)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(written) < 5:
            pass
        copies = [backup(url_of(home), tmp_path / f"{i}.db").path for i in range(5)]
    finally:
        stop.set()
        writer.join(60)
    store.close()
    seen = []
    for copy in copies:
        restored = SqlStore(f"sqlite:///{copy}", read_only=True)
        with restored._database.reading() as connection:
            runs = connection.execute(text("SELECT count(*) FROM audit_runs")).scalar()
            figures = connection.execute(text("SELECT count(*) FROM measurements")).scalar()
        restored.close()
        assert figures == 3 * runs
        seen.append(runs)
    assert seen == sorted(seen)
    assert seen[0] >= 5


def test_a_backup_never_replaces_a_file(home: Path, tmp_path: Path) -> None:
    fill(url_of(home)).close()
    (tmp_path / "there").write_text("precious")
    with pytest.raises(StoreError) as refused:
        backup(url_of(home), tmp_path / "there")
    assert refused.value.code == "file_exists"
    assert (tmp_path / "there").read_text() == "precious"


def test_no_store_no_backup(home: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as refused:
        backup(url_of(home), tmp_path / "copy.db")
    assert refused.value.code == "no_store"
    assert not (tmp_path / "copy.db").exists()


@pytest.fixture
def other_postgres(postgres_server: str) -> Iterator[str]:
    """A second, empty database on the same server, for restoring into."""
    import psycopg

    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS auditor_restored")
        connection.execute("CREATE DATABASE auditor_restored TEMPLATE template0")
        yield make_url(postgres_server).set(database="auditor_restored").render_as_string(hide_password=False)
        connection.execute("DROP DATABASE auditor_restored WITH (FORCE)")


def test_a_postgresql_backup_is_restored_by_pg_restore(
    postgres_store_url: str, other_postgres: str, tmp_path: Path
) -> None:
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_restore"))
    if not programs:
        pytest.skip("no PostgreSQL client programs here")
    store = fill(postgres_store_url)
    with store._database.writing() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS somebody_elses (id INTEGER)"))
    made = backup(postgres_store_url, tmp_path / "monday.dump")
    subprocess.run([programs[-1], "--no-owner", "-d", other_postgres, made.path], check=True, capture_output=True)
    restored = SqlStore(other_postgres)
    model = make_audit().run.model
    assert list(restored.measurements(model)) == list(store.measurements(model))
    with restored._database.reading() as connection:
        there = connection.execute(text("SELECT to_regclass('somebody_elses')")).scalar()
    assert there is None
    assert check(other_postgres).findings == ()
    with store._database.writing() as connection:
        connection.execute(text("DROP TABLE somebody_elses"))
    restored.close()
    store.close()


def test_what_pg_dump_says_is_passed_on(
    postgres_store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pg_dump"
    program.write_text("#!/bin/sh\necho 'server version mismatch' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr("auditor.store.maintenance._pg_dump", lambda: str(program))
    with pytest.raises(StoreError) as failed:
        backup(postgres_store_url, tmp_path / "x.dump")
    assert failed.value.code == "backup_failed"
    assert "server version mismatch" in failed.value.message
    assert not (tmp_path / "x.dump").exists()


# -- the commands ----------------------------------------------------------------------------------------------------------


def test_db_upgrade_then_check_then_backup(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = auditor(capsys, "upgrade", "--home", home)
    assert (code, said["before"], said["after"]) == (0, None, HEAD)
    assert auditor(capsys, "upgrade", "--home", home)[1]["before"] == HEAD
    code, said = auditor(capsys, "check", "--home", home)
    assert (code, said["findings"], said["revision"], said["schema"]) == (0, [], HEAD, "auditor.db-check/1")
    assert said["needed"] == HEAD
    code, said = auditor(capsys, "backup", tmp_path / "copy.db", "--home", home)
    assert (code, said["bytes"]) == (0, (tmp_path / "copy.db").stat().st_size)


def test_db_upgrade_makes_a_postgresql_store(
    home: Path, postgres_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDITOR_STORE_URL", postgres_url)
    code, said = auditor(capsys, "check", "--home", home)
    assert code == 1
    assert "no tables of auditor" in said["findings"][0]
    code, said = auditor(capsys, "upgrade", "--home", home)
    assert (code, said["before"], said["after"]) == (0, None, HEAD)
    assert auditor(capsys, "check", "--home", home)[0] == 0
    fill(postgres_url).close()


def test_db_check_finds_what_is_wrong(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(url_of(home)).close()
    with sqlite3.connect(home / "store" / "auditor.db") as connection:
        connection.execute("DROP TABLE keys")
        connection.execute("UPDATE measurements SET run = 'nobody' WHERE metric = 'drift.ks'")
    connection.close()
    code, said = auditor(capsys, "check", "--home", home)
    assert code == 1
    assert any("dangling" in line and "measurements" in line for line in said["findings"])
    assert any("keys" in line for line in said["findings"])


def test_db_check_finds_damaged_pages(home: Path) -> None:
    store = fill(url_of(home))
    with store._database.writing() as connection:
        rows = [{"model": f"model {i}", "hour": T0 + i * DAY} for i in range(3000)]
        connection.execute(tables.dirty_hours.insert(), rows)
    store.close()
    file = home / "store" / "auditor.db"
    data = bytearray(file.read_bytes())
    middle = data.index(b"model 1500")
    data[middle - 2000 : middle + 2000] = b"\xff" * 4000
    file.write_bytes(data)
    assert any("damaged" in line or "malformed" in line for line in _found(url_of(home)))


def _found(url: str) -> tuple[str, ...]:
    """What a check says, be it as findings or, when it cannot go on, as an error."""
    try:
        return check(url).findings
    except AuditorError as error:
        return (error.code,)


def test_nobody_upgrades_beside_a_writer(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from auditor.intake.lock import writer_lock
    from auditor.settings import Home

    with writer_lock(Home(home)), pytest.raises(AuditorError) as refused:
        auditor(capsys, "upgrade", "--home", home)
    assert refused.value.code == "writer_busy"
