"""D11: the clock of the machine may jump, and producers' clocks may be wrong: what came is there once, at its own time."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auditor.core.identity import canonical_json
from auditor.core.record import CaptureTally, Label, ModelRef
from auditor.core.window import DAY, HOUR, Span, floor_to
from auditor.intake.archive import ParquetArchive
from auditor.intake.drain import HomeIntake
from auditor.segments import SegmentWriter
from auditor.settings import Home, IntakeSettings
from auditor.store.sql import SqlStore
from auditor.testing.factories import MODEL, START, make_record

JUMPS_S = (0, 86_400, -86_400, -3_600, 3_600, 400 * 86_400, 12 * 365 * 86_400, -86_400, 0)


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """`jump["s"]` is what the machine's clock is off by."""
    off = {"s": 0.0}
    real, real_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: real() + off["s"])
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + int(off["s"] * 1e9))
    return off


def spool(home: Home, session: str, *frames: tuple[str, bytes]) -> None:
    writer = SegmentWriter(home.spool / session)
    writer.append(list(frames))
    writer.close()


def test_drains_under_a_clock_that_jumps(tmp_path: Path, jump: dict[str, float]) -> None:
    home = Home(tmp_path)
    store = SqlStore(f"sqlite:///{tmp_path}/store/auditor.db")
    archive = ParquetArchive(home.archive, home.quarantine, checksums=store)
    rng = random.Random(1)
    sent: dict[str, bytes] = {}
    for number, off in enumerate(JUMPS_S):
        jump["s"] = off
        new = {
            f"r-{number}-{place}": canonical_json(
                make_record(id=f"r-{number}-{place}", time=START + rng.random() * 2 * DAY).as_json()
            )
            for place in range(20)
        }
        again = dict(rng.sample(sorted(sent.items()), min(len(sent), 7)))
        spool(home, f"s{number}", *(("record", payload) for payload in (new | again).values()))
        report = HomeIntake(home, archive, store).drain()
        assert (report.accepted, report.duplicates, report.refused) == (20, len(again), 0)
        sent |= new
    assert sorted(archive.read(MODEL, Span(START, START + 2 * DAY)).ids.tolist()) == sorted(sent)
    assert sum(summary.records for summary in store.models()) == len(sent)
    assert all(START <= hour < START + 2 * DAY for hour in store.dirty(MODEL)), (
        "hours are the records', not the clock's"
    )
    assert archive.damage() == []
    store.close()


def test_a_correction_counts_by_when_it_was_given(tmp_path: Path, jump: dict[str, float]) -> None:
    """Whatever the clock says when they are drained."""
    home = Home(tmp_path)
    store = SqlStore(f"sqlite:///{tmp_path}/store/auditor.db")
    archive = ParquetArchive(home.archive, home.quarantine, checksums=store)
    spool(home, "s", ("record", canonical_json(make_record(id="r").as_json())))
    for number, (off, label) in enumerate(((86_400, "cat"), (0, "dog"), (-86_400, "cow"))):
        jump["s"] = off
        given = Label(id="r", label=label, time=START + (number + 1) * HOUR)
        spool(home, f"l{number}", ("label", canonical_json(given.as_json())))
        HomeIntake(home, archive, store).drain()
    assert archive.read(MODEL, Span(START, START + DAY)).truth.tolist() == ["cow"]
    store.close()


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2026-03-29T02:30:00+02:00", datetime(2026, 3, 29, 0, 30, tzinfo=UTC)),  # an hour that central Europe skips
        ("2026-10-25T02:30:00+02:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),  # and one that it has twice
        ("2026-10-25T02:30:00+01:00", datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
        ("2038-01-19T03:14:08Z", datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC)),  # 2**31 seconds
        ("2106-02-07T06:28:16Z", datetime(2106, 2, 7, 6, 28, 16, tzinfo=UTC)),  # 2**32
    ],
)
def test_awkward_moments(tmp_path: Path, said: str, meant: datetime) -> None:
    home = Home(tmp_path)
    store = SqlStore(f"sqlite:///{tmp_path}/store/auditor.db")
    archive = ParquetArchive(home.archive, home.quarantine, checksums=store)
    spool(home, "s", ("record", canonical_json({**make_record(id="r").as_json(), "time": said})))
    assert HomeIntake(home, archive, store, IntakeSettings(max_ahead="40000d")).drain().accepted == 1
    day = floor_to(meant, DAY)
    rows = archive.read(MODEL, Span(day, day + DAY))
    assert rows.time_us.tolist() == [int(meant.timestamp()) * 10**6]
    assert list(store.dirty(MODEL)) == [floor_to(meant, HOUR)]
    store.close()


@pytest.mark.parametrize(("off", "code"), [(2 * DAY, "time_out_of_range"), (-40 * 365 * DAY, "time_out_of_range")])
def test_a_wrong_clock_is_refused_and_its_calls_are_counted(tmp_path: Path, off: timedelta, code: str) -> None:
    """Records, labels and readings of such an agent are refused; the loss counts where it was taken in."""
    home = Home(tmp_path)
    store = SqlStore(f"sqlite:///{tmp_path}/store/auditor.db")
    archive = ParquetArchive(home.archive, home.quarantine, checksums=store)
    now = datetime.now(UTC)
    wrong = now + off
    source = {"session": "s", "fork": 0, "seq": 0}
    rows = [{**make_record(id=f"r{n}", time=wrong).as_json(), "source": {**source, "seq": n}} for n in range(3)]
    good = {**make_record(id="good", time=now).as_json(), "source": {**source, "seq": 3}}
    tally = CaptureTally(
        model=ModelRef(name=MODEL), session="s", fork=0, start=wrong, end=wrong, seen=4, described=4, delivered=4,
        dropped={}, last_seq=3,
    )  # fmt: skip
    spool(
        home,
        "s",
        ("record", canonical_json(rows[0])),
        ("records", canonical_json({"records": [*rows[1:], good]})),
        ("label", canonical_json(Label(id="good", label="x", time=wrong).as_json())),
        ("tally", canonical_json(tally.as_json())),
    )
    report = HomeIntake(home, archive, store).drain()
    assert (report.accepted, report.refused, report.labels) == (1, 4, 0)
    lines = [
        json.loads(line) for file in home.quarantine.glob("*.refused.jsonl") for line in file.read_text().splitlines()
    ]
    assert {line["code"] for line in lines} == {code}
    assert sorted(line["id"] for line in lines) == ["good", "r0", "r1", "r2"]
    tallies = store.readings(MODEL, Span(now - DAY, now + DAY))[1]
    assert sum(item.seen for item in tallies) == 4
    assert sum(item.dropped.get("refused", 0) for item in tallies) == 3
    assert all(now - HOUR <= hour <= now + HOUR for hour in store.dirty(MODEL))
    store.close()


SKEWED = """
import os, sys
from datetime import UTC, datetime, timedelta
import auditor
clock = lambda: datetime.now(UTC) + timedelta(days=30)
agent = auditor.Agent("triage", home=sys.argv[1], describe="all", clock=clock)
for age in range(20):
    with agent.inference() as record:
        record.input("form", {"age": age})
agent.flush(timeout=20)
os._exit(0) if sys.argv[2] == "killed" else agent.close()
"""


@pytest.mark.parametrize("ending", ["closed", "killed"])
def test_an_agent_with_a_skewed_clock_counts_as_loss(tmp_path: Path, ending: str) -> None:
    """Each call once, where the records were refused and not in a month's time, however its process ends."""
    subprocess.run([sys.executable, "-c", SKEWED, str(tmp_path), ending], check=True, timeout=120)
    home = Home(tmp_path)
    store = SqlStore(f"sqlite:///{tmp_path}/store/auditor.db")
    archive = ParquetArchive(home.archive, home.quarantine, checksums=store)
    report = HomeIntake(home, archive, store).drain()
    assert (report.accepted, report.refused) == (0, 20)
    now = datetime.now(UTC)
    tallies = store.readings("triage", Span(now - DAY, now + 90 * DAY))[1]
    assert sum(tally.seen for tally in tallies) == 20
    assert sum(tally.dropped.get("refused", 0) for tally in tallies) == 20
    assert all(tally.end <= now + HOUR for tally in tallies)
    store.close()
