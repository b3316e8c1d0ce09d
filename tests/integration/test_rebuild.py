"""The store made again from the archive and the commands beside it; a store that lags behind its archive is named."""

import json
import random
import shutil
import sqlite3
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest

from auditor.bootstrap import init_home, open_app, rebuild
from auditor.cli import main
from auditor.core.errors import StoreError
from auditor.core.identity import canonical_json
from auditor.core.record import CaptureTally, EnergyReading, Input, ModelRef, Output
from auditor.core.window import DAY, Span
from auditor.segments import SegmentWriter
from auditor.settings import load_settings
from auditor.testing import make_record
from auditor.testing.factories import MODEL, START

NOW = START + 60 * DAY
DAYS = 12


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("AUDITOR_AUDIT_EVIDENTLY", "false")
    monkeypatch.setenv("AUDITOR_MLFLOW_ENABLED", "false")


@pytest.fixture
def home(tmp_path):
    """Eight calm days, of which a week is pinned, then a shift; audited in two goes, with energy, tallies and a key."""
    made = init_home(tmp_path / "home")
    spool(made, records(range(8)), energy(range(8)))
    with app(made) as opened:
        opened.pipeline.audit(now=START + 3 * DAY)
        opened.pipeline.pin(MODEL, Span(START, START + 7 * DAY), by="ada", at=START + 8 * DAY)
        opened.pipeline.audit(now=START + 9 * DAY)
    assert main(["key", "create", "--role", "editor", "--home", str(made.root)]) == 0
    spool(made, records(range(8, DAYS), shift=6.0), energy(range(8, DAYS)))
    with app(made) as opened:
        opened.pipeline.audit(now=NOW, until=START + DAYS * DAY)
    return made


@contextmanager
def app(home):
    with open_app(load_settings(home.root)) as opened:
        yield opened


def spool(home, *groups):
    writer = SegmentWriter(home.spool / f"s{random.random()}")
    for group in groups:
        writer.append(group)
    writer.close()


def records(days, shift=0.0, per_day=150):
    draw = random.Random(f"{days}")
    return [
        (
            "record",
            canonical_json(
                make_record(
                    id=f"d{day}-{n}",
                    time=START + day * DAY + timedelta(minutes=9 * n),
                    inputs=(
                        Input(name="form", modality="tabular", descriptors={"x": draw.gauss(shift, 1)}),
                        *([Input(name="e", modality="embedding", embedding=(draw.random(), 1.0))] if n % 2 else []),
                    ),
                    output=Output(label="1"),
                ).as_json()
            ),
        )
        for day in days
        for n in range(per_day)
    ]


def energy(days):
    model = ModelRef(name=MODEL, version="1.0.0")
    found = []
    for day in days:
        begin = START + day * DAY + timedelta(hours=1)
        end = begin + timedelta(hours=1)
        reading = EnergyReading(
            model=model,
            start=begin,
            end=end,
            joules={"cpu": 3.5 + day},
            active=2.0,
            idle=1.5,
            requests=2,
            cpu_s=1.0,
            cpu_total_s=2.0,
            method="measured",
            meter="m",
        )
        tally = CaptureTally(
            model=model,
            session=f"s{day}",
            fork=0,
            start=begin,
            end=end,
            seen=50,
            described=40,
            delivered=40,
            dropped={"queue_full": 10},
        )
        found += [("energy", canonical_json(reading.as_json())), ("tally", canonical_json(tally.as_json()))]
    return found


def figures(home):
    with app(home) as opened:
        store = opened.store
        newest = {run.span: run.id for run in store.runs(MODEL)}
        assert set(newest) == set(Span(START, START + DAYS * DAY).tiles(DAY))
        found = store.measurements(MODEL, all_versions=True)
        alerts = [(a.id, a.kind, a.state, a.opened, a.resolved, a.count) for a in store.alerts()]
        entries = store.locate([f"d{day}-{n}" for day in range(DAYS) for n in range(150)])
        index = {name: (entry.digest, entry.model, entry.day) for name, entry in entries.items()}
        return {(m.start, m.end, m.series): (m.value, m.reason, m.n) for m in found}, alerts, index


def lose(home):
    shutil.rmtree(home.root / "store")


def lines(home):
    return home.outbox.read_text().splitlines()


def test_a_store_that_was_removed_comes_back_with_the_same_figures_and_sends_nothing_twice(home, capsys):
    measurements, alerts, index = figures(home)
    assert alerts
    assert any(series.startswith("energy.active") for _, _, series in measurements)
    assert any(series.startswith("capture.loss") for _, _, series in measurements)
    sent = lines(home)
    lose(home)
    capsys.readouterr()
    assert main(["db", "rebuild", "--home", str(home.root), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["records"], made["repeated"], made["windows"], made["commands"]) == (DAYS * 150, 0, DAYS, 2)
    assert len(made["keys"]) == 1
    assert "editor" in made["keys"][0]
    again = figures(home)
    assert again[0] == measurements
    assert again[1] == alerts
    assert again[2] == {
        name: ("" if int(name[1].partition("-")[2]) % 2 else content, model, day)
        for name, (content, model, day) in index.items()
    }, "of records with vectors, which the archive rounds, the digest is unknown"
    with app(home) as opened:
        report = opened.pipeline.audit(now=NOW, until=START + DAYS * DAY)
        assert (report.audits, report.waiting) == ([], [])
        assert opened.store.all_keys() == [], "the former key opens nothing"
    assert lines(home) == sent


def test_records_that_come_again_are_known(home):
    lose(home)
    rebuild(load_settings(home.root))
    spool(home, records(range(8)))
    with app(home) as opened:
        report = opened.pipeline.take_in()
    assert (report.accepted, report.refused) == (0, 0)
    assert report.duplicates == 8 * 150


def test_windows_after_the_last_audit_are_left_to_the_next_and_delivered(home):
    sent = lines(home)
    spool(home, records([DAYS], shift=20.0))
    with app(home) as opened:
        opened.pipeline.take_in()
    lose(home)
    rebuild(load_settings(home.root))
    assert lines(home) == sent
    with app(home) as opened:
        report = opened.pipeline.audit(now=NOW, until=START + (DAYS + 1) * DAY)
    assert len(report.audits) == 1
    assert len(lines(home)) > len(sent)


def test_a_store_that_stands_is_kept_beside_the_new_one(home):
    made = rebuild(load_settings(home.root))
    assert made.former is not None
    with closing(sqlite3.connect(made.former)) as connection:
        assert connection.execute("select count(*) from audit_runs").fetchone()[0] >= DAYS


def emptied(home):
    lose(home)
    (home.root / "store").mkdir()
    sqlite3.connect(home.store).close()


def older_backup(home):
    with closing(sqlite3.connect(home.store)) as connection:
        connection.execute("delete from hours where hour >= ?", (str(START + 8 * DAY),))
        connection.commit()


@pytest.mark.parametrize("harm", [lose, lambda home: home.store.unlink(), emptied, older_backup])
def test_a_store_that_lags_behind_the_archive_stops_what_writes(home, capsys, harm):
    for tail in ("-wal", "-shm"):
        home.store.with_name(home.store.name + tail).unlink(missing_ok=True)
    harm(home)
    capsys.readouterr()
    assert main(["audit", "--home", str(home.root)]) == 2
    line = capsys.readouterr().err
    assert line.startswith("error[store_behind]: ")
    assert "auditor db rebuild" in line
    with pytest.raises(StoreError, match="does not know"), app(home):
        pass


def test_an_empty_postgresql_database_in_place_of_the_store_is_named_and_filled(home, postgres_store_url, monkeypatch):
    measurements, alerts, _ = figures(home)
    monkeypatch.setenv("AUDITOR_STORE_URL", postgres_store_url)
    with pytest.raises(StoreError, match="does not know"), app(home):
        pass
    rebuild(load_settings(home.root))
    again = figures(home)
    assert (again[0], again[1]) == (measurements, alerts)
    with pytest.raises(StoreError, match="holds a store already"):
        rebuild(load_settings(home.root))


def test_a_home_older_than_its_ledger_gets_one(home):
    for name in ("commands", "readings", "audited"):
        shutil.rmtree(home.archive / name)
    (home.archive / "ledger.json").unlink()
    with app(home):
        pass
    lose(home)
    made = rebuild(load_settings(home.root))
    assert made.commands == 2
    with app(home) as opened:
        opened.pipeline.audit(now=NOW, until=START + DAYS * DAY)
        assert len(opened.store.runs(MODEL)) == DAYS
