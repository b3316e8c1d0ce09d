"""One record whose clock was wrong must not make decades of empty windows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from auditor.bootstrap import App, init_home, open_app
from auditor.cli import main
from auditor.core import window
from auditor.core.identity import canonical_json
from auditor.core.window import DAY, EPOCH, Span, silences
from auditor.segments import SegmentWriter
from auditor.settings import load_settings
from auditor.testing.factories import MODEL, START, make_record


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(window, "SILENCE", 2 * DAY)
    home = init_home(tmp_path / "home")
    home.settings.write_text('[audit]\ndrift = ["missingness"]\n[policy]\npacks = ["starter"]\n')
    send(tmp_path / "home", "wrong", EPOCH)
    send(tmp_path / "home", "first", START)
    return tmp_path / "home"


def send(home: Path, name: str, time: Any) -> None:
    writer = SegmentWriter(home / "spool" / name)
    writer.append([("record", canonical_json(make_record(id=name, time=time).as_json()))])
    writer.close()


def audited(app: App, end: Any, **options: Any) -> tuple[list[Any], list[tuple[str, Span]]]:
    report = app.pipeline.audit(now=end + timedelta(hours=3), **options)
    return [audit.run.span.start for audit in report.audits], report.passed_over


def test_the_middle_of_a_long_silence_is_left_out_and_said(home: Path) -> None:
    end = START + 2 * DAY
    with open_app(load_settings(home), figures_only=True) as app:
        starts, passed_over = audited(app, end)
        after = [EPOCH + place * DAY for place in range(3)]
        before = [START - 2 * DAY, START - DAY, START, START + DAY]
        assert starts == after + before
        assert passed_over == [(MODEL, Span(EPOCH + 3 * DAY, START - 2 * DAY))]
        assert audited(app, end) == ([], [])
        assert audited(app, end + DAY) == ([end], []), "a model that is silent is audited day by day"

        far = end + 400 * DAY
        starts, passed_over = audited(app, far)
        assert len(starts) == 4
        assert starts[-1] == far - DAY
        assert passed_over == [(MODEL, Span(end + 3 * DAY, far - 2 * DAY))]
        asked = Span(EPOCH + 10 * DAY, EPOCH + 12 * DAY)
        assert len(audited(app, far, since=asked.start, until=asked.end)[0]) == 2, "who asks for a window gets it"


def test_the_command_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--home", str(home), "--model", MODEL]) in (0, 1)
    assert "left out unless --since and --until ask for them" in capsys.readouterr().err


def test_silences() -> None:
    days = [START + place * DAY for place in (0, 1, 70, 71, 200)]
    span = Span(START - 90 * DAY, START + 220 * DAY)
    assert silences(days, span) == [
        Span(span.start + 31 * DAY, START - 31 * DAY),
        Span(START + 33 * DAY, START + 39 * DAY),
        Span(START + 103 * DAY, START + 169 * DAY),
    ]
    assert silences(days, Span(START, START + 60 * DAY)) == []
    assert silences([], Span(START, START + 62 * DAY)) == []
    assert len(span.without(silences(days, span))) == 4
