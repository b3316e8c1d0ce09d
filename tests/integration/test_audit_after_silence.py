"""A model whose traffic stops is one finding, not a row of empty windows; a pause of the usual length is none."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from auditor.bootstrap import App, init_home, open_app
from auditor.cli import main
from auditor.core.identity import canonical_json
from auditor.core.window import DAY, EPOCH, HOUR
from auditor.segments import SegmentWriter
from auditor.settings import load_settings
from auditor.testing.factories import MODEL, START, make_record


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = init_home(tmp_path / "home")
    home.settings.write_text('[audit]\ndrift = ["missingness"]\n[policy]\npacks = ["starter"]\n')
    return tmp_path / "home"


def send(home: Path, times: Iterable[datetime]) -> None:
    times = list(times)
    writer = SegmentWriter(home / "spool" / f"{times[0]:%Y%m%d%H}")
    records = [make_record(id=f"{time:%Y%m%d%H}", time=time) for time in times]
    writer.append([("record", canonical_json(record.as_json())) for record in records])
    writer.close()


def audit(app: App, end: datetime, **options: Any) -> Any:
    return app.pipeline.audit(now=end + timedelta(hours=3), **options)


def starts(report: Any) -> list[datetime]:
    return [audit.run.span.start for audit in report.audits]


def traffic(change: Any) -> list[str]:
    return [alert.control for alert in change if alert.kind == "traffic"]


def test_traffic_that_stops_is_one_finding_and_its_return_resolves_it(home: Path) -> None:
    send(home, [START + number * DAY for number in range(4)])
    with open_app(load_settings(home), figures_only=True) as app:
        stopped = START + 4 * DAY
        report = audit(app, START + 30 * DAY)
        assert starts(report) == [START + number * DAY for number in range(5)], "the first empty window, and no other"
        assert report.silent == {MODEL: stopped}
        opened = [alert for audit in report.audits for alert in audit.alerts.opened]
        assert traffic(opened) == ["traffic-stopped"]
        assert [alert.opened for alert in opened if alert.kind == "traffic"] == [stopped + DAY]
        later = audit(app, START + 31 * DAY)
        assert (starts(later), later.silent) == ([], {MODEL: stopped})
        assert traffic(app.store.alerts(MODEL, state="open")) == ["traffic-stopped"]

        send(home, [START + 31 * DAY])
        back = audit(app, START + 32 * DAY)
        assert starts(back) == [START + 31 * DAY]
        assert back.silent == {}
        assert traffic(back.audits[-1].alerts.resolved) == ["traffic-stopped"]


def test_a_model_that_rests_every_weekend_is_not_silent_on_a_saturday(home: Path) -> None:
    """START is a Monday. The first weekend is news; from the second on it is the usual pause."""
    week = [START + day * DAY for day in range(5)]
    send(home, [day + number * 7 * DAY for number in range(4) for day in week])
    with open_app(load_settings(home), figures_only=True) as app:
        report = audit(app, START + 28 * DAY)
        opened = [alert for audit in report.audits for alert in audit.alerts.opened]
        assert [alert.opened for alert in opened if alert.kind == "traffic"] == [START + 6 * DAY]
        assert len(starts(report)) == 21
        monday = audit(app, START + 29 * DAY)
        assert starts(monday) == [START + 28 * DAY], "a Monday without traffic is none of its pauses"
        assert traffic(monday.audits[0].alerts.opened) == ["traffic-stopped"]


def test_records_that_fill_a_silence_late_withdraw_the_finding(home: Path) -> None:
    send(home, [START + number * DAY for number in range(3)])
    with open_app(load_settings(home), figures_only=True) as app:
        audit(app, START + 5 * DAY)
        assert traffic(app.store.alerts(MODEL, state="open")) == ["traffic-stopped"]
        send(home, [START + number * DAY for number in (3, 4)])
        report = audit(app, START + 5 * DAY)
        assert [(a.run.span.start, a.run.revision) for a in report.audits] == [
            (START + 3 * DAY, 2),
            (START + 4 * DAY, 1),
        ]
        assert report.silent == {}
        (gone,) = [alert for alert in app.store.alerts(MODEL) if alert.kind == "traffic"]
        assert (gone.state, gone.resolved) == ("resolved", gone.opened)
        assert audit(app, START + 5 * DAY).audits == []


def test_one_record_of_a_wrong_clock_makes_no_decades_of_windows(home: Path) -> None:
    with (home / "auditor.toml").open("a") as file:
        file.write('\n[intake]\nnot_before = "1970-01-01"\n')
    send(home, [EPOCH])
    send(home, [START])
    with open_app(load_settings(home), figures_only=True) as app:
        assert starts(audit(app, START + DAY)) == [EPOCH, EPOCH + DAY, START]


def test_windows_of_an_hour_learn_their_nights(home: Path) -> None:
    settings = (home / "auditor.toml").read_text().replace("[audit]\n", '[audit]\nwindow = "1h"\n')
    (home / "auditor.toml").write_text(settings)
    day = [START + hour * HOUR for hour in range(8, 18)]
    send(home, [time + number * DAY for number in range(3) for time in day])
    with open_app(load_settings(home), figures_only=True) as app:
        report = audit(app, START + 3 * DAY)
        opened = [alert for audit in report.audits for alert in audit.alerts.opened]
        assert [alert.opened for alert in opened if alert.kind == "traffic"] == [START + 19 * HOUR]
        assert report.silent == {MODEL: START + 2 * DAY + 18 * HOUR}


def test_the_command_names_the_silence_and_exits_1(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    send(home, [START, START + DAY])
    assert main(["audit", "--home", str(home), "--model", MODEL]) == 1
    assert f"{MODEL} is silent since" in capsys.readouterr().out
