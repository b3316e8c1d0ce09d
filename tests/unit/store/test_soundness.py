"""`db check`: a flipped bit in any table that carries data is found and named; damage of the file is named as damage."""

import json
import sqlite3
from contextlib import closing

import pytest

from auditor.audit.summarise import fit_frame, summarise_hours
from auditor.cli import main
from auditor.core.errors import StoreError
from auditor.core.monitor import MonitorState
from auditor.core.record import CaptureTally, ModelRef
from auditor.core.state import empty_state
from auditor.core.window import DAY, HOUR, Span
from auditor.store.maintenance import check
from auditor.store.sql import SqlStore
from auditor.testing import make_audit, make_baseline, make_rows, make_run
from auditor.testing.factories import MODEL, START


@pytest.fixture
def url(tmp_path):
    url = f"sqlite:///{tmp_path}/store.db"
    store = SqlStore(url)
    rows = make_rows(200, span=DAY)
    frame = fit_frame(rows)
    hours = [START + n * HOUR for n in range(24)]
    store.put_states(MODEL, hours, frame.digest, list(summarise_hours(rows, frame, hours)))
    span = Span(START, START + DAY)
    state = empty_state(MODEL, span, frame.digest)
    store.pin(make_baseline(model=MODEL, frame=frame.digest, n=0, span=span), frame, state)
    run = make_run(id="run-1", model=MODEL, span=Span(START + 7 * DAY, START + 8 * DAY))
    store.commit(make_audit(run=run))
    store.put_monitor(
        "sequential", MonitorState(model=MODEL, baseline="b1", frame=frame.digest, start=START, until=START + DAY)
    )
    tally = CaptureTally(
        model=ModelRef(name=MODEL, version="1"), session="s", fork=0, start=START, end=START + HOUR,
        seen=5, described=5, delivered=5, dropped={},
    )  # fmt: skip
    store.put_readings("seg", [], [tally])
    store.close()
    assert check(url).findings == ()
    return url


def flip(url, table, column):
    """One bit in the middle of one value."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.text_factory = bytes
        row, value = connection.execute(f"select rowid, {column} from {table} where {column} is not null").fetchone()
        data = bytearray(value if isinstance(value, bytes) else str(value).encode())
        data[len(data) // 2] ^= 0x01
        changed = bytes(data) if column in ("body", "payload", "state") else bytes(data).decode()
        connection.execute(f"update {table} set {column} = ? where rowid = ?", (changed, row))
        connection.commit()


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("frames", "body"),
        ("states", "payload"),
        ("states", "digest"),
        ("states", "frame"),
        ("rollups", "payload"),
        ("baselines", "state"),
        ("monitors", "payload"),
        ("capture_tallies", "tally"),
        ("measurements", "attributes"),
        ("measurements", "metric"),
        ("measurements", "start"),
        ("verdicts", "reason"),
        ("verdicts", "evidence"),
        ("verdicts", "control"),
    ],
)
def test_a_flipped_bit_is_found_and_named(url, table, column):
    if (table, column) == ("verdicts", "reason"):
        column = "slice"
    flip(url, table, column)
    found = check(url).findings
    assert any(table in line for line in found), found


def test_a_figure_that_was_altered_or_removed_is_named(url):
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute("update measurements set value = value + 1e-9")
        connection.commit()
    found = check(url).findings
    assert found
    assert all(line.startswith("damaged: measurements run=run-1 id=") for line in found)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute("delete from measurements")
        connection.commit()
    found = check(url).findings
    assert found
    assert all(line.startswith("lost: a row of measurements run=run-1 id=") for line in found)


@pytest.mark.parametrize("at", [0, 20, 4096, 8192])
def test_damage_of_the_file_is_named_as_damage(url, at):
    path = url.removeprefix("sqlite:///")
    with open(path, "r+b") as file:  # noqa: PTH123
        file.seek(at)
        file.write(b"\xff" * 64)
    found = check(url).findings
    assert found
    assert all(line.startswith(("damaged: ", "dangling: ", "schema: ", "lost: ")) for line in found)


def test_a_store_that_is_no_database_stops_an_audit_with_what_to_do(tmp_path, capsys):
    assert main(["init", str(tmp_path / "home")]) == 0
    (tmp_path / "home/store").mkdir(exist_ok=True)
    (tmp_path / "home/store/auditor.db").write_bytes(b"no database at all " * 400)
    assert main(["audit", "--home", str(tmp_path / "home"), "--json"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error[store_damaged]: ")
    assert "db rebuild" in json.loads(said.out.splitlines()[-1])["error"]["fix"]
    assert main(["db", "check", "--home", str(tmp_path / "home")]) == 1


def test_json_that_does_not_read_is_damage(url):
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute("update measurements set attributes = '{'")
        connection.commit()
    store = SqlStore(url)
    with pytest.raises(StoreError) as caught:
        store.measurements(MODEL)
    store.close()
    assert caught.value.code == "store_damaged"
