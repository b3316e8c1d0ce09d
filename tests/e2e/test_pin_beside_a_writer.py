"""What a person says while another process is the writer: kept in the journal, done with its next drain, or refused with a reason."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auditor.bootstrap import open_app
from auditor.cli import main
from auditor.intake.lock import writer_lock
from auditor.segments import SegmentWriter
from auditor.settings import Home, load_settings
from auditor.testing import make_record

START = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    assert main(["init", str(tmp_path / "home")]) == 0
    writer = SegmentWriter(tmp_path / "home" / "spool" / "session")
    records = [make_record(id=f"r{i}", time=START + timedelta(minutes=i)) for i in range(200)]
    writer.append([("record", json.dumps(record.as_json()).encode()) for record in records])
    writer.seal()
    writer.close()
    return tmp_path / "home"


def pin(home: Path, model: str) -> int:
    return main(
        [
            "baseline",
            "pin",
            "--home",
            str(home),
            "--model",
            model,
            "--since",
            "2026-01-05",
            "--until",
            "2026-01-06",
            "--by",
            "rossi",
        ]
    )


def test_a_pin_waits_for_the_writer(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = make_record().model.name
    with writer_lock(Home(home)):
        assert pin(home, model) == 0
    assert "said to the running writer" in capsys.readouterr().out
    with open_app(load_settings(home), figures_only=True) as app:
        report = app.pipeline.take_in()
        baseline, _, state = app.store.baseline(model)
        assert (baseline.by, baseline.n, state.n) == ("rossi", 200, 200)
        assert report.damaged == []
        assert app.pipeline.take_in().commands == []


def test_a_pin_that_cannot_be_done_is_told_and_stops_nothing(home: Path) -> None:
    with writer_lock(Home(home)):
        assert pin(home, "nobody") == 0
    with open_app(load_settings(home), figures_only=True) as app:
        report = app.pipeline.take_in()
        assert report.accepted == 200
        assert "baseline.pin by rossi was not done: no record of 'nobody'" in report.damaged[0].what
        assert app.pipeline.take_in().commands == []
