"""D11: the clock of the machine may jump, and producers' clocks may be wrong: what came is there once, at its own time."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auditor.core.identity import canonical_json
from auditor.core.record import Label
from auditor.core.window import DAY, HOUR, Span, floor_to
from auditor.intake.archive import ParquetArchive
from auditor.intake.drain import HomeIntake
from auditor.segments import SegmentWriter
from auditor.settings import Home
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
    archive = ParquetArchive(home.archive, home.quarantine, index=store, checksums=store)
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
    archive = ParquetArchive(home.archive, home.quarantine, index=store, checksums=store)
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
    archive = ParquetArchive(home.archive, home.quarantine, index=store, checksums=store)
    spool(home, "s", ("record", canonical_json({**make_record(id="r").as_json(), "time": said})))
    assert HomeIntake(home, archive, store).drain().accepted == 1
    day = floor_to(meant, DAY)
    rows = archive.read(MODEL, Span(day, day + DAY))
    assert rows.time_us.tolist() == [int(meant.timestamp()) * 10**6]
    assert list(store.dirty(MODEL)) == [floor_to(meant, HOUR)]
    store.close()
