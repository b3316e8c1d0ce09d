"""Damage of the archive is named by every audit until its records are back, or a person accepts the loss."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from datetime import timedelta

import pytest

from auditor.bootstrap import init_home, open_app
from auditor.cli import main
from auditor.core.identity import canonical_json
from auditor.core.record import Input, Label, ModelRef, Output
from auditor.core.window import DAY
from auditor.segments import SegmentWriter
from auditor.settings import load_settings
from auditor.testing import make_record
from auditor.testing.factories import START

NOW = START + 40 * DAY
PER_DAY = 30
A, B = "scans", "letters"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("AUDITOR_AUDIT_EVIDENTLY", "false")
    monkeypatch.setenv("AUDITOR_MLFLOW_ENABLED", "false")


@pytest.fixture
def home(tmp_path):
    made = init_home(tmp_path / "home")
    for name in (A, B):
        for day in range(3):
            spool(made, records(name, day))
    return made


@contextmanager
def app(home):
    with open_app(load_settings(home.root)) as opened:
        yield opened


def spool(home, frames, kind="record"):
    writer = SegmentWriter(home.spool / f"s{len(list(home.spool.iterdir()))}-{id(frames)}")
    writer.append([(kind, canonical_json(frame.as_json())) for frame in frames])
    writer.close()


def records(name, day, numbers=range(PER_DAY)):
    return [
        make_record(
            id=f"{name}-{day}-{n}",
            model=ModelRef(name=name, version="1"),
            time=START + day * DAY + timedelta(minutes=30 * n),
            inputs=(Input(name="form", modality="tabular", descriptors={"x": float(n)}),),
            output=Output(label=str(n % 2)),
        )
        for n in numbers
    ]


def audit(home):
    with app(home) as opened:
        return opened.pipeline.audit(now=NOW, until=START + 3 * DAY)


def files(home, name, day=None):
    days = "day=*" if day is None else f"day={START + day * DAY:%Y-%m-%d}"
    return sorted(home.archive.glob(f"records/model={name}/{days}/part-*.parquet"))


def flip(path, at=0.5):
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 4
    path.write_bytes(bytes(data))


def counted(home, name):
    with app(home) as opened:
        newest = {run.span: run.records for run in opened.store.runs(name)}
    return [newest[span] for span in sorted(newest)]


def lost(report):
    return {(loss.model, (loss.span.start - START) // DAY): loss.records for loss in report.losses}


def test_damage_lasts_until_its_records_come_again(home, capsys):
    with app(home) as opened:
        opened.pipeline.take_in()
    (path,) = files(home, A, 1)
    flip(path)
    for _ in range(3):
        report = audit(home)
        assert lost(report) == {(A, 1): PER_DAY}
        assert [item.lost for item in report.damaged] == [PER_DAY]
    assert counted(home, A) == [PER_DAY, 0, PER_DAY]
    assert main(["audit", "--home", str(home.root), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["lost"][0]["model"], said["lost"][0]["records"], said["lost"][0]["accepted"]) == (A, PER_DAY, None)
    spool(home, records(A, 1, range(10)))
    report = audit(home)
    assert (report.intake.accepted, lost(report)) == (10, {(A, 1): PER_DAY - 10})
    assert counted(home, A)[:3] == [PER_DAY, 10, PER_DAY]
    spool(home, records(A, 1))
    report = audit(home)
    assert (report.intake.accepted, report.intake.duplicates) == (PER_DAY - 10, 10)
    assert (report.damaged, lost(report)) == ([], {})
    assert counted(home, A)[:3] == [PER_DAY] * 3


def test_a_file_put_back_heals_the_figures_even_after_part_came_again(home):
    with app(home) as opened:
        opened.pipeline.take_in()
    paths = {files(home, A, 0)[0]: (A, 0), files(home, B, 2)[0]: (B, 2)}
    kept = {path: path.read_bytes() for path in paths}
    for path in paths:
        flip(path, 0.3)
    assert lost(audit(home)) == dict.fromkeys(paths.values(), PER_DAY)
    spool(home, records(A, 0, range(7)))
    assert lost(audit(home)) == {(A, 0): PER_DAY - 7, (B, 2): PER_DAY}
    for path, data in kept.items():
        path.write_bytes(data)
    report = audit(home)
    assert (lost(report), report.damaged) == ({}, [])
    assert counted(home, A) == counted(home, B) == [PER_DAY] * 3
    spool(home, records(A, 0) + records(B, 2))
    assert audit(home).intake.duplicates == 2 * PER_DAY


def test_a_file_that_was_removed_after_its_audit_is_missed(home):
    assert audit(home).damaged == []
    (path,) = files(home, B, 1)
    data = path.read_bytes()
    path.unlink()
    assert lost(audit(home)) == {(B, 1): PER_DAY}
    path.write_bytes(data)
    assert lost(audit(home)) == {}
    assert counted(home, B) == [PER_DAY] * 3


def test_a_day_that_was_merged_and_late_records_beside_it(home):
    with app(home) as opened:
        opened.pipeline.take_in()
    spool(home, records(A, 1, range(PER_DAY, PER_DAY + 5)))
    with app(home) as opened:
        opened.pipeline.take_in()
        opened.archive.compact(A, f"{START + DAY:%Y-%m-%d}")
    (path,) = files(home, A, 1)
    flip(path)
    spool(home, records(A, 1, range(PER_DAY + 5, PER_DAY + 9)))
    assert lost(audit(home)) == {(A, 1): PER_DAY + 5}
    assert lost(audit(home)) == {(A, 1): PER_DAY + 5}
    spool(home, records(A, 1, range(PER_DAY + 9)))
    report = audit(home)
    assert (report.intake.duplicates, lost(report)) == (4, {})
    assert counted(home, A) == [PER_DAY, PER_DAY + 9, PER_DAY]


def test_a_loss_that_is_accepted_ends_the_exit_code_and_stays_on_record(home, capsys):
    with app(home) as opened:
        opened.pipeline.take_in()
    flip(files(home, A, 1)[0])
    audit(home)
    day = [f"{START + n * DAY:%Y-%m-%d}" for n in range(4)]
    words = ["db", "accept-loss", "--home", str(home.root), "--model", A, "--by", "ada", "--reason", "the host burned"]
    capsys.readouterr()
    assert main([*words, "--since", day[2], "--until", day[3]]) == 2
    assert "error[no_loss]" in capsys.readouterr().err
    assert main([*words, "--since", day[1], "--until", day[2], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accepted"][0]["records"] == PER_DAY
    for _ in range(2):
        report = audit(home)
        assert report.damaged == []
        assert [loss.accepted.by for loss in report.losses] == ["ada"]
        shutil.rmtree(home.root / "store")
        assert main(["db", "rebuild", "--home", str(home.root)]) == 0
    assert main(["report", "drift", "--home", str(home.root), "--model", A, "-o", str(home.root / "r.json")]) == 0
    gaps = json.loads((home.root / "r.json").read_text())["gaps"]
    assert any("accepted by ada" in gap["text"] and "the host burned" in gap["text"] for gap in gaps)
    spool(home, records(A, 1))
    report = audit(home)
    assert (report.intake.accepted, lost(report)) == (PER_DAY, {})


def test_damage_is_remembered_by_a_store_that_is_made_again(home):
    with app(home) as opened:
        opened.pipeline.take_in()
    flip(files(home, A, 0)[0])
    assert lost(audit(home)) == {(A, 0): PER_DAY}
    (path,) = files(home, B, 0)
    path.write_bytes(path.read_bytes()[:-50])
    shutil.rmtree(home.root / "store")
    assert main(["db", "rebuild", "--home", str(home.root)]) == 1
    expected = {(A, 0): PER_DAY, (B, 0): None}
    assert lost(audit(home)) == expected, "of a file that nobody counted the number is not known"
    assert lost(audit(home)) == expected
    spool(home, records(A, 0))
    assert lost(audit(home)) == {(B, 0): None}


def test_labels_that_are_lost_are_counted_and_come_back_with_their_file(home):
    with app(home) as opened:
        opened.pipeline.take_in()
    labels = [Label(id=f"{A}-0-{n}", label="1", time=START + DAY) for n in range(12)]
    spool(home, labels, "label")
    with app(home) as opened:
        opened.pipeline.take_in()
    (path,) = home.archive.glob("labels/day=*/*.parquet")
    data = path.read_bytes()
    flip(path)
    for _ in range(2):
        report = audit(home)
        assert [(loss.kind, loss.records) for loss in report.losses] == [("labels", 12)]
        assert (report.failed, [item.lost for item in report.damaged]) == ([], [12])
    path.write_bytes(data)
    assert audit(home).damaged == []
    with app(home) as opened:
        assert [run.labelled for run in opened.store.runs(A)] == [12, 0, 0]
