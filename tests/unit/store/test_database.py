"""What SqlStore promises beyond the contract: durable, atomic, readable beside its writer, and clear when it cannot."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from auditor.core.codec import encode_state
from auditor.core.errors import StoreError
from auditor.core.state import empty_state
from auditor.core.window import DAY, HOUR, Span, parse_time
from auditor.ports import IndexEntry
from auditor.store import tables
from auditor.store.database import parse_url
from auditor.store.queries import open_queries
from auditor.store.sql import SqlStore
from auditor.store.states import StateCache
from auditor.testing import make_alert, make_audit, make_baseline, make_measurement, make_run, make_verdict

T0 = parse_time("2026-03-02")
DAY0 = Span(T0, T0 + DAY)


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder}/store/auditor.db"


def code_of(action: Any) -> str:
    with pytest.raises(StoreError) as raised:
        action()
    return raised.value.code


# -- opening ---------------------------------------------------------------------------------------------------------------


def test_sqlite_is_made_with_its_folder_and_commits_are_durable(tmp_path: Path) -> None:
    store = SqlStore(url_of(tmp_path))
    with store._database.writing() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}
    store.close()


def test_a_fresh_store_is_quick_to_make_and_to_open(tmp_path: Path) -> None:
    """Without Alembic, which costs more to import than all of this."""
    script = f"""
        import sys, time
        from auditor.store.sql import SqlStore
        for _ in range(2):
            began = time.process_time()
            SqlStore({url_of(tmp_path)!r}).close()
            print(time.process_time() - began)
        assert "alembic" not in sys.modules
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, timeout=60
    )
    made, opened = (float(line) for line in done.stdout.split())
    assert made < 0.3
    assert opened < 0.1


def test_paths_with_odd_characters_are_paths(tmp_path: Path) -> None:
    folder = tmp_path / "a b%20c#d?mode=ro&é"
    SqlStore(f"sqlite:///{folder}/x.db").close()
    assert list(tmp_path.rglob("*.db")) == [folder / "x.db"]


def test_reading_needs_a_store(tmp_path: Path) -> None:
    assert code_of(lambda: open_queries(url_of(tmp_path))) == "no_store"
    assert list(tmp_path.iterdir()) == []


def test_a_reader_writes_nothing(tmp_path: Path) -> None:
    SqlStore(url_of(tmp_path)).close()
    reader = SqlStore(url_of(tmp_path), read_only=True)
    assert code_of(lambda: reader.commit(make_audit())) == "read_only"
    assert code_of(lambda: reader.mark_dirty("m", [T0])) == "read_only"
    with pytest.raises(StoreError), reader._database.reading() as connection:
        connection.execute(tables.dirty_hours.insert(), [{"model": "m", "hour": T0}])
    reader.close()


def test_an_old_schema_is_refused_for_reading_and_upgraded_for_writing(tmp_path: Path) -> None:
    store = SqlStore(url_of(tmp_path))
    store.close()
    with sqlite3.connect(tmp_path / "store" / "auditor.db") as connection:
        connection.execute("UPDATE auditor_alembic_version SET version_num = '9999'")
    connection.close()
    assert code_of(lambda: open_queries(url_of(tmp_path))) == "schema_ahead"
    assert code_of(lambda: SqlStore(url_of(tmp_path))) == "schema_ahead"


def test_postgresql_without_our_tables_says_what_to_run(postgres_url: str) -> None:
    with pytest.raises(StoreError) as refused:
        SqlStore(postgres_url)
    assert refused.value.code == "schema_behind"
    assert "auditor db upgrade" in refused.value.fix


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://root:secret@host/db",
        "postgresql+asyncpg://h/d",
    ],
)
def test_addresses_that_cannot_be_used(url: str) -> None:
    with pytest.raises(StoreError) as refused:
        parse_url(url)
    assert refused.value.code == "bad_url"
    assert "secret" not in str(refused.value)


def test_postgres_addresses_use_the_driver_we_have() -> None:
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        assert parse_url(f"{scheme}://u:p@h/d").drivername == "postgresql+psycopg"


# -- when it cannot --------------------------------------------------------------------------------------------------------


def test_a_server_that_is_away_is_named_without_its_password() -> None:
    with pytest.raises(StoreError) as failed:
        SqlStore("postgresql://ada:hunter2@127.0.0.1:1/auditor")
    assert failed.value.code == "store_unavailable"
    assert "hunter2" not in str(failed.value)
    assert "127.0.0.1" in failed.value.where


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "auditor.db").write_bytes(b"this is not a database" * 100)
    assert code_of(lambda: SqlStore(url_of(tmp_path))) == "store_damaged"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    assert code_of(lambda: SqlStore(url_of(tmp_path))) == "store_unavailable"


def test_another_writer_for_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.store.database.BUSY_TIMEOUT_S", 0.05)
    store = SqlStore(url_of(tmp_path))
    other = sqlite3.connect(tmp_path / "store" / "auditor.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert code_of(lambda: store.mark_dirty("m", [T0])) == "store_busy"
    assert store.dirty("m") == []  # reading goes on
    other.close()
    store.mark_dirty("m", [T0])
    store.close()


def test_errors_do_not_quote_what_was_stored(tmp_path: Path) -> None:
    store = SqlStore(url_of(tmp_path))
    twice = [{"model": "a secret model", "hour": T0}] * 2
    with pytest.raises(StoreError) as failed, store._database.writing() as connection:
        connection.execute(tables.dirty_hours.insert(), twice)
    assert failed.value.code == "store_failed"
    assert "a secret model" not in str(failed.value)
    store.close()


# -- writing ---------------------------------------------------------------------------------------------------------------


def test_an_audit_is_committed_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqlStore(url_of(tmp_path))
    audit = make_audit()

    def broken(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("auditor.store.sql.put", broken)
    with pytest.raises(OSError, match="disk full"):
        store.commit(audit)
    monkeypatch.undo()
    assert (store.runs(audit.run.model), store.measurements(audit.run.model)) == ([], [])
    store.commit(audit)
    assert len(store.measurements(audit.run.model)) == len(audit.measurements)
    store.close()


def test_a_writer_killed_midway_leaves_a_sound_store(tmp_path: Path) -> None:
    """What was claimed before the kill is there, what was not is not, and the next writer goes on."""
    script = f"""
        import os, signal
        from auditor.ports import IndexEntry
        from auditor.store import record_index
        from auditor.store.sql import SqlStore
        store = SqlStore({url_of(tmp_path)!r})
        store.claim([IndexEntry(f"a{{i}}", "d", "m", "2026-03-02", "s1") for i in range(1000)])
        def die(*_):
            os.kill(os.getpid(), signal.SIGKILL)
        record_index._count = die
        store.claim([IndexEntry(f"b{{i}}", "d", "m", "2026-03-02", "s2") for i in range(1000)])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, timeout=60)
    assert done.returncode == -9, done.stderr.decode()
    store = SqlStore(url_of(tmp_path))
    assert len(store.locate([f"a{i}" for i in range(1000)])) == 1000
    assert store.locate([f"b{i}" for i in range(1000)]) == {}
    assert store.claim([IndexEntry("b1", "d", "m", "2026-03-02", "s2")]) == ["new"]
    assert [model.records for model in store.models()] == [1001]
    with store._database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    store.close()


def test_threads_share_a_store(tmp_path: Path) -> None:
    store = SqlStore(url_of(tmp_path))
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(10):
                store.claim([IndexEntry(f"{number}-{turn}", "d", "m", "2026-03-02", f"s{number}")])
                store.models()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert [model.records for model in store.models()] == [60]
    store.close()


def test_a_reader_sees_each_commit_beside_the_writer(tmp_path: Path) -> None:
    writer = SqlStore(url_of(tmp_path))
    reader = open_queries(url_of(tmp_path))
    with writer._database.writing() as connection:  # an unfinished transaction holds no reader up
        connection.execute(tables.dirty_hours.insert(), [{"model": "m", "hour": T0}])
        assert reader.models() == []
    writer.commit(make_audit())
    assert len(reader.runs(make_audit().run.model)) == 1
    reader.close()
    writer.close()


def test_a_reader_that_nobody_closed_leaves_no_open_file(tmp_path: Path) -> None:
    SqlStore(url_of(tmp_path)).close()

    def descriptors() -> int:
        return sum(
            "auditor.db" in str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()
        )

    before = descriptors()
    reader = open_queries(url_of(tmp_path))
    assert reader.models() == []
    assert descriptors() > before
    del reader
    assert descriptors() == before


# -- states ----------------------------------------------------------------------------------------------------------------


def test_states_read_by_another_process_are_the_same_to_the_bit(tmp_path: Path) -> None:
    writer = SqlStore(url_of(tmp_path))
    states = [empty_state("m", Span(T0 + i * HOUR, T0 + (i + 1) * HOUR), "f") for i in range(5)]
    writer.put_states("m", [state.start for state in states], "f", states)
    reader = SqlStore(url_of(tmp_path), read_only=True)
    for _ in range(2):  # decoded, then remembered
        found = reader.states("m", DAY0, "f")
        assert [encode_state(state) for state in found] == [encode_state(state) for state in states]
    reader.close()
    writer.close()


def test_a_damaged_state_or_frame_is_never_taken_for_data(tmp_path: Path) -> None:
    from auditor.core.frame import Frame

    frame = Frame("m")
    state = empty_state("m", Span(T0, T0 + HOUR), frame.digest)
    with_store = SqlStore(url_of(tmp_path))
    with_store.put_states("m", [T0], frame.digest, [state])
    with_store.pin(make_baseline(id="b", model="m", frame=frame.digest), frame, state)
    for table, column, code in (
        (tables.baselines, "state", "state_damaged"),
        (tables.states, "payload", "state_damaged"),
        (tables.frames, "body", "frame_damaged"),
    ):
        with with_store._database.writing() as connection:
            connection.execute(table.update().values({column: b"AST1 but not what was written"}))
        reader = SqlStore(url_of(tmp_path), read_only=True)
        if table is tables.states:
            assert code_of(lambda reader=reader: reader.states("m", DAY0, frame.digest)) == code
        else:
            assert code_of(lambda reader=reader: reader.baseline("m")) == code
        reader.close()
    with_store.close()


def test_the_cache_gives_up_what_was_not_used_for_longest() -> None:
    cache = StateCache(limit=30)
    state = empty_state("m", DAY0, "f")
    for name in "abc":
        cache.put(name, state, 10)
    assert cache.get("a") is state
    cache.put("d", state, 10)
    assert [name for name in "abcd" if cache.get(name)] == ["a", "c", "d"]
    cache.put("large", state, 31)
    assert [name for name in ("a", "c", "d", "large") if cache.get(name)] == []


# -- what people query with SQL of their own -------------------------------------------------------------------------------


def test_measurements_is_a_table_with_one_column_a_field(tmp_path: Path) -> None:
    store = SqlStore(url_of(tmp_path))
    audit = make_audit()
    store.commit(audit)
    with sqlite3.connect(f"file:{tmp_path}/store/auditor.db?mode=ro", uri=True) as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute("SELECT * FROM measurements ORDER BY metric").fetchall()
        named = connection.execute(
            "SELECT value FROM measurements WHERE json_extract(attributes, '$.column') = 'brightness'"
        ).fetchall()
    connection.close()
    assert set(rows[0].keys()) == set(audit.measurements[0].as_json())
    assert [row["value"] for row in named] == [0.41]
    assert parse_time(f"{rows[0]['start']}Z") == audit.measurements[0].start
    store.close()


def test_every_table_and_column_says_what_it_is() -> None:
    for table in tables.metadata.sorted_tables:
        assert table.comment, table.name
        for column in table.columns:
            assert column.comment, f"{table.name}.{column.name}"


def test_sqlite_tells_ids_with_a_nul_apart(tmp_path: Path) -> None:
    store = SqlStore(url_of(tmp_path))
    lines = [IndexEntry(name, "d", "m", "2026-03-02", "s") for name in ("a", "a\x00", "a\x00b", "a\x00c")]
    for _ in range(2):
        assert store.claim(lines) == ["new"] * 4
    assert store.locate([line.id for line in lines]) == {line.key: line for line in lines}
    store.close()


# -- PostgreSQL ------------------------------------------------------------------------------------------------------------


def test_a_server_that_was_restarted_costs_no_error(postgres_store_url: str) -> None:
    store = SqlStore(postgres_store_url)
    other = SqlStore(postgres_store_url)
    store.mark_dirty("m", [T0])
    with other._database.writing() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    assert store.dirty("m") == [T0]
    store.mark_dirty("m", [T0 + HOUR])
    assert store.dirty("m") == [T0, T0 + HOUR]
    other.close()
    store.close()


def test_postgresql_readers_are_read_only_too(postgres_store_url: str) -> None:
    reader = open_queries(postgres_store_url)
    with pytest.raises(StoreError), reader._database.reading() as connection:
        connection.execute(tables.dirty_hours.insert(), [{"model": "m", "hour": T0}])
    reader.close()


def test_times_are_utc_whatever_the_servers_zone(postgres_store_url: str) -> None:
    store = SqlStore(postgres_store_url + "&options=-c%20timezone%3DAsia/Tokyo")
    with store._database.reading() as connection:
        assert connection.execute(text("SHOW timezone")).scalar() == "Asia/Tokyo"
    store.mark_dirty("m", [T0])
    (hour,) = store.dirty("m")
    assert (hour, hour.utcoffset()) == (T0, T0.utcoffset())
    store.close()


@pytest.mark.parametrize("name", ["nul \x00", "half a pair \ud800"])
def test_text_that_cannot_be_kept_is_refused_and_the_store_goes_on(postgres_store_url: str, name: str) -> None:
    store = SqlStore(postgres_store_url)
    entry = IndexEntry(name, "d", "m", "2026-03-02", "s")
    run = make_run(model="m")
    audit = make_audit(
        run=run,
        measurements=(replace(make_measurement(model="m"), attributes={"group": name}),),
        verdicts=(),
        artifacts=(),
    )
    for action in (lambda: store.claim([entry]), lambda: store.locate([name]), lambda: store.commit(audit)):
        assert code_of(action) == "bad_text"
    assert store.models() == []
    store.close()


# -- size ------------------------------------------------------------------------------------------------------------------


def test_an_ordinary_audit_is_committed_and_read_in_milliseconds(tmp_path: Path) -> None:
    """200 figures, 40 verdicts, an alert: bounds are ten times what one busy core needs."""
    store = SqlStore(url_of(tmp_path))
    began = time.process_time()
    for number in range(10):
        span = Span(T0 + number * DAY, T0 + (number + 1) * DAY)
        run = make_run(id=f"r{number}", model="m", span=span)
        common = {"model": "m", "start": span.start, "run": run.id}
        store.commit(
            make_audit(
                run=run,
                measurements=tuple(make_measurement(**common, attributes={"column": str(i)}) for i in range(200)),
                verdicts=tuple(make_verdict(**common, control=str(i)) for i in range(40)),
                alerts=make_audit().alerts.__class__(opened=(make_alert(model="m", opened=span.end),)),
            )
        )
    assert (time.process_time() - began) / 10 < 0.3
    began = time.process_time()
    assert len(store.measurements("m")) == 2000
    assert len(store.last_verdicts("m", T0 + 99 * DAY)) == 40
    assert time.process_time() - began < 1.0
    store.close()
