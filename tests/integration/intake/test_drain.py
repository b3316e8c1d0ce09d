"""Spool and journal into the archive: nothing acknowledged is lost, nothing is counted twice, whatever interrupts."""

import json
import os
import pathlib
import shutil
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest
from intake_desk import Desk, frame, spool

from auditor.core.command import Command
from auditor.core.errors import StoreError
from auditor.core.identity import canonical_json
from auditor.core.record import CaptureTally, EnergyReading, ModelRef
from auditor.core.window import DAY, HOUR, Span, floor_to
from auditor.intake.commands import append_commands
from auditor.segments import SegmentWriter
from auditor.settings import Home
from auditor.store.sql import SqlStore
from auditor.testing.factories import MODEL, START, make_label, make_record
from auditor.testing.synthetic import make_records, make_rows

SPAN = Span(START, START + DAY)


def tally(minute=0):
    start = START + timedelta(minutes=minute)
    end = start + timedelta(minutes=1)
    model = ModelRef(name=MODEL)
    return CaptureTally(
        model=model, session="a", fork=0, start=start, end=end, seen=3, described=3, delivered=3, dropped={}
    )


def reading(minute=0):
    start = START + timedelta(minutes=minute)
    return EnergyReading(
        model=ModelRef(name=MODEL),
        start=start,
        end=start + timedelta(minutes=1),
        joules={"cpu": 2.0},
        active=1.0,
        idle=1.0,
        requests=3,
        cpu_s=0.1,
        cpu_total_s=0.2,
        method="modelled",
        meter="test",
    )


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def desk(home):
    return Desk(home)


def test_a_day_of_traffic_comes_out_as_it_went_in(desk):
    records, labels = make_records(300, seed=3, missing=0.1)
    expected = make_rows(300, seed=3, missing=0.1)
    spool(desk.home, "a", [frame("record", r) for r in records[::2]], [frame("label", x) for x in labels])
    spool(desk.home, "b", [frame("record", r) for r in records[1::2]])
    report = desk.intake.drain()
    assert (report.accepted, report.duplicates, report.refused, report.labels) == (300, 0, 0, len(labels))
    assert report.damaged == []
    rows = desk.rows()
    assert rows.ids.tolist() == expected.ids.tolist()
    np.testing.assert_array_equal(rows.time_us, expected.time_us)
    assert rows.truth.tolist() == expected.truth.tolist()
    np.testing.assert_array_equal(rows.labelled_us, expected.labelled_us)
    assert set(rows.numeric) == set(expected.numeric)
    for column, values in expected.numeric.items():
        np.testing.assert_array_equal(rows.numeric[column], values)
    for column, values in expected.vectors.items():
        np.testing.assert_array_equal(rows.vectors[column], values)
    for name, values in expected.presence.items():
        np.testing.assert_array_equal(rows.presence[name], values)
    for feature, values in expected.groups.items():
        assert rows.groups[feature].tolist() == values.tolist()
    assert rows.described.all()
    assert list(desk.store.dirty(MODEL)) == sorted({floor_to(record.time, HOUR) for record in records})
    assert len(list((desk.home.archive / "records" / f"model={MODEL}").rglob("*.parquet"))) == 1
    assert not any(desk.home.spool.iterdir()), "finished sessions leave nothing behind"
    assert not any(desk.home.journal.iterdir())
    assert desk.intake.drain().accepted == 0


def test_hours_of_records_labels_and_readings_wait_to_be_summarised(desk):
    spool(desk.home, "a", [frame("record", make_record(id="r", time=START + 5 * HOUR + timedelta(minutes=7)))])
    desk.intake.drain()
    assert list(desk.store.dirty(MODEL)) == [START + 5 * HOUR]
    desk.store.put_states(MODEL, [START + 5 * HOUR], "f", [])
    assert list(desk.store.dirty(MODEL)) == []
    spool(desk.home, "b", [frame("label", make_label(id="r", time=START + 90 * DAY))])
    desk.intake.drain()
    assert list(desk.store.dirty(MODEL)) == [START + 5 * HOUR]
    assert desk.rows().truth.tolist() == ["1"]
    spool(desk.home, "c", [frame("energy", reading(59)), frame("tally", tally(120))])
    desk.intake.drain()
    assert list(desk.store.dirty(MODEL)) == [START, START + 2 * HOUR, START + 5 * HOUR]
    readings, tallies = desk.store.readings(MODEL, SPAN)
    assert (list(readings), list(tallies)) == ([reading(59)], [tally(120)])


def test_a_label_may_come_before_its_record_and_a_correction_long_after(desk):
    spool(desk.home, "a", [frame("label", make_label(id="r", time=START + HOUR, label="4"))])
    assert desk.intake.drain().labels == 1
    assert list(desk.store.dirty(MODEL)) == []
    spool(desk.home, "b", [frame("record", make_record(id="r"))])
    desk.intake.drain()
    assert desk.rows().truth.tolist() == ["4"]
    spool(desk.home, "c", [frame("label", make_label(id="r", time=START + 40 * DAY, label="9"))])
    desk.intake.drain()
    rows = desk.rows()
    assert rows.truth.tolist() == ["9"]
    assert rows.labelled_us.tolist() == [int((START + HOUR).timestamp()) * 10**6], "the first label's time"
    spool(desk.home, "d", [frame("label", make_label(id="r", time=START + 2 * HOUR, label="3"))])
    desk.intake.drain()
    assert desk.rows().truth.tolist() == ["9"], "an older opinion that arrives late does not win"
    spool(desk.home, "e", [frame("label", make_label(id="r", time=START + 40 * DAY, label="8"))])
    desk.intake.drain()
    assert desk.rows().truth.tolist() == ["8"], "of two of the same time the one received last wins"
    kept = list((desk.home.archive / "labels").rglob("*.parquet"))
    assert len(kept) == 4, "every label is kept"


def test_ids_are_settled_within_a_batch_and_for_ever(desk):
    one, other = make_record(id="r"), make_record(id="r", latency_s=9.0)
    spool(desk.home, "a", [frame("record", one), frame("record", one), frame("record", other)])
    report = desk.intake.drain()
    assert (report.accepted, report.duplicates, report.refused) == (1, 1, 1)
    spool(desk.home, "b", [frame("record", other), frame("record", one)])
    report = desk.intake.drain()
    # The first of the batch is the altered one: a conflict with the index; the second then has other content than it.
    assert (report.accepted, report.duplicates, report.refused) == (0, 0, 2)
    assert {item["code"] for item in desk.refused()} == {"id_conflict"}
    assert desk.rows().numeric["latency_s"].tolist() == [0.004]


def test_one_content_in_two_spellings_is_one_record(desk):
    record = make_record(id="r", time=datetime(2026, 1, 5, 9, tzinfo=UTC))
    data = record.as_json()
    other = dict(reversed(data.items()), time="2026-01-05T10:00:00+01:00", latency_s=4e-3)
    other["output"] = {**data["output"], "label": 1}
    spool(desk.home, "a", [frame("record", record)])
    spool(desk.home, "b", [("record", json.dumps(other).encode())])
    report = desk.intake.drain()
    assert (report.accepted, report.duplicates, report.refused) == (1, 1, 0)


def test_what_breaks_the_contract_is_set_aside_with_its_reason_and_without_sensitive_values(desk):
    good = make_record(id="good").as_json()
    bad = [
        ({**good, "id": "s", "sensitive": {"sex": "f"}}, "no_vault"),
        ({**good, "id": "k", "colour": 1}, "unknown_key"),
        ({**good, "id": "t", "time": "2026-01-05T09:00:00"}, "naive_time"),
        ({**good, "id": "o", "time": "2500-01-05T09:00:00Z"}, "over_limit"),
        ({**good, "id": ""}, "bad_id"),
    ]
    frames = [("record", json.dumps(data).encode()) for data, _ in bad]
    frames += [("record", b"{"), ("record", b"[" * 50_000), ("record", b"\xff\xfe"), ("label", b'{"id": "x"}')]
    frames += [("energy", b"{}"), ("tally", b'{"model": {"name": "m"}}'), ("command", b"[]")]
    spool(desk.home, "a", [*frames, ("record", json.dumps(good).encode())])
    report = desk.intake.drain()
    assert (report.accepted, report.refused) == (1, len(frames))
    refused = desk.refused()
    assert [item["code"] for item in refused] == [
        *(code for _, code in bad),
        *("not_json", "too_deep", "not_json", "bad_label"),
        *("missing_key", "missing_key", "command_in_spool"),
    ]
    assert [item["id"] for item in refused][:3] == ["s", "k", "t"]
    assert refused[0]["frame"]["sensitive"] == ["sex"]


def test_a_client_that_makes_up_columns_is_refused_before_it_fills_the_archive(desk, monkeypatch):
    monkeypatch.setattr("auditor.intake.contents.MAX_COLUMNS", 10)
    records = [{**make_record(id=str(i)).as_json(), "groups": {f"g{i}": "x"}} for i in range(10)]
    spool(desk.home, "a", [("record", json.dumps(data).encode()) for data in records])
    report = desk.intake.drain()
    assert report.accepted + report.refused == 10
    assert {item["code"] for item in desk.refused()} == {"too_many_columns"}


def test_damage_costs_the_damaged_and_the_original_is_kept(desk):
    writer = spool(desk.home, "a", [frame("record", make_record(id=f"r{i}")) for i in range(5)])
    (path,) = writer.folder.glob("*.seg")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    report = desk.intake.drain()
    assert report.accepted == 4
    (damage,) = report.damaged
    assert damage.lost == 1
    (kept,) = desk.home.quarantine.iterdir()
    assert kept.read_bytes() == bytes(data)
    assert damage.where.startswith(kept.name)


def test_a_copied_segment_adds_nothing(desk):
    writer = spool(
        desk.home, "a", [frame("record", make_record(id="r")), frame("energy", reading()), frame("tally", tally())]
    )
    (path,) = writer.folder.glob("*.seg")
    copy = desk.home.spool / "copied" / path.name
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    report = desk.intake.drain()
    assert (report.accepted, report.duplicates) == (1, 1)
    assert [len(found) for found in desk.store.readings(MODEL, SPAN)] == [1, 1]


def test_the_open_segment_of_a_live_agent_waits_and_a_dead_ones_is_taken(desk):
    writer = SegmentWriter(desk.home.spool / "live")
    writer.append([frame("record", make_record(id="r"))])
    assert desk.intake.drain().accepted == 0
    os.close(writer._lock_fd)  # as the kernel does at the process's death
    writer._lock_fd = -1
    path = next(writer.folder.glob("*.open"))
    with path.open("ab") as file:
        file.write(b"\xff\xa7SG\x01half a frame")
    report = desk.intake.drain()
    assert (report.accepted, report.damaged) == (1, [])
    assert next(desk.home.quarantine.glob("*.torn")).read_bytes().endswith(b"half a frame")


def test_commands_are_handed_over_until_they_are_acknowledged(desk):
    said = [
        Command(id=f"c{i}", kind="baseline.pin", by="ada", at=START, payload={"model": MODEL, "n": i}) for i in range(2)
    ]
    append_commands(desk.home, said)
    assert desk.intake.drain().commands == said
    desk.reopen()  # the process died before it applied them
    assert desk.intake.drain().commands == said
    desk.intake.acknowledge()
    assert desk.intake.drain().commands == []


def test_backlogs_are_taken_in_bounded_batches(desk, monkeypatch):
    monkeypatch.setattr("auditor.intake.journal.BATCH_BYTES", 3000)
    for index in range(6):
        spool(desk.home, f"s{index}", [frame("record", make_record(id=f"{index}-{i}")) for i in range(3)])
    assert desk.intake.drain().accepted == 18
    assert desk.rows().n == 18
    assert len(list(desk.home.archive.rglob("*.parquet"))) > 1


STEPS = 60


def interrupted(monkeypatch, k):
    """The k-th durable step (fsync, rename, link, or call to the store) raises."""
    count = 0

    def guard(real):
        def step(*args, **options):
            nonlocal count
            count += 1
            if count == k:
                raise Killed
            return real(*args, **options)

        return step

    monkeypatch.setattr(os, "fsync", guard(os.fsync))
    monkeypatch.setattr(os, "link", guard(os.link))
    monkeypatch.setattr(pathlib.Path, "rename", guard(pathlib.Path.rename))
    monkeypatch.setattr(pathlib.Path, "replace", guard(pathlib.Path.replace))
    for name in ("claim", "locate", "put_readings", "mark_dirty"):
        monkeypatch.setattr(SqlStore, name, guard(getattr(SqlStore, name)))
    monkeypatch.setattr("shutil.rmtree", guard(shutil.rmtree))


class Killed(BaseException):
    """The process ends here."""


def test_cut_short_at_every_step_and_taken_again(tmp_path, monkeypatch):
    """D8, D12 in short: for every durable step, die there, start again, and find every record exactly once."""
    completed = False
    for k in range(1, STEPS):
        desk = Desk(Home(tmp_path / str(k)))
        records = [make_record(id=f"r{i}", time=START + timedelta(hours=6 * i)) for i in range(6)]
        first = spool(
            desk.home,
            "a",
            [frame("record", r) for r in records[:4]] + [frame("energy", reading()), ("record", b"nonsense")],
            [frame("record", records[0]), frame("label", make_label(id="r1")), frame("tally", tally())],
        )
        damaged = next(first.folder.glob("00000002*"))
        damaged.write_bytes(damaged.read_bytes()[:-3])
        spool(desk.home, "b", [frame("record", r) for r in records[4:]])
        append_commands(desk.home, [Command(id="c", kind="x", by="ada", at=START, payload={})])
        with monkeypatch.context() as patch:
            interrupted(patch, k)
            try:
                desk.intake.drain()
                completed = True
            except Killed:
                pass
        desk.reopen()
        report = desk.intake.drain()
        rows = desk.rows(Span(START, START + 3 * DAY))
        assert rows.ids.tolist() == [f"r{i}" for i in range(6)], k
        at_rest = [
            identifier
            for file in sorted((desk.home.archive / "records").rglob("part-*.parquet"))
            for identifier in pq.ParquetFile(file).read()["id"].to_pylist()
        ]
        assert sorted(at_rest) == rows.ids.tolist(), k
        assert rows.truth.tolist() == [None, "1", None, None, None, None]
        readings, tallies = desk.store.readings(MODEL, SPAN)
        assert (len(readings), len(tallies)) == (1, 1)
        assert [command.id for command in report.commands] == ["c"]
        assert {item["code"] for item in desk.refused()} == {"not_json"}
        assert any(path.suffix == ".seg" for path in desk.home.quarantine.iterdir()), "damaged originals are kept"
        assert set(desk.store.dirty(MODEL)) >= {r.time for r in records}
        assert [path.name for path in desk.home.journal.iterdir()] == [
            path.name for path in desk.home.journal.glob("pending-*")
        ]
        if completed:
            break
    assert completed, "raise STEPS"
    assert k > 20


def test_a_store_that_cannot_be_asked_loses_nothing(desk, monkeypatch):
    """D9 in short."""
    spool(desk.home, "a", [frame("record", make_record(id="r"))])

    def away(self, entries):
        raise StoreError("store_away", "the database does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(SqlStore, "claim", away)
        for _ in range(3):
            with pytest.raises(StoreError):
                desk.intake.drain()
    assert desk.intake.drain().accepted == 1


def test_a_disk_that_refuses_is_said_and_nothing_is_lost(desk, monkeypatch):
    """D6 in short."""
    spool(desk.home, "a", [frame("record", make_record(id="r"))])
    real = os.fsync

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError) as caught:
        desk.intake.drain()
    assert caught.value.code == "intake_failed"
    monkeypatch.setattr(os, "fsync", real)
    assert desk.intake.drain().accepted == 1
    assert desk.rows().n == 1


@pytest.mark.parametrize("together", [True, False], ids=["in one drain", "in two drains"])
def test_a_superseded_record_is_left_out_of_every_reading(desk, home, together) -> None:
    """A trace's later and better span: its record stands, and the one before it is withdrawn."""
    first, second, other = (make_record(id=f"{name}-span") for name in ("first", "second", "other"))
    withdrawal = ("withdrawal", canonical_json({"model": MODEL, "id": first.id}))
    batches = [[frame("record", first), frame("record", other)], [frame("record", second), withdrawal]]
    if together:
        spool(home, "one", *batches)
        desk.intake.drain()
    else:
        for number, batch in enumerate(batches):
            spool(home, f"s{number}", batch)
            desk.intake.drain()
    wide = Span(floor_to(first.time, DAY), floor_to(first.time, DAY) + DAY)
    assert sorted(desk.rows(wide).ids.tolist()) == sorted([other.id, second.id])
    assert sorted(desk.archive.scan(MODEL, wide, [])["id"].to_pylist()) == sorted([other.id, second.id])
    spool(home, "again", batches[0])
    report = desk.intake.drain()
    assert (report.accepted, report.duplicates) == (0, 2), "what was withdrawn does not come back"
