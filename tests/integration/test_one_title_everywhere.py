"""What a control is called, which deliveries wait and how many rules were judged: the same on every way out."""

from __future__ import annotations

import contextlib
import csv
import http.server
import json
import random
import re
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from auditor.cli import main
from auditor.shipped import shipped

TITLE = "Art. 15: Image drift. Part 2"
DAY0 = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=15)
POLICY = f"""
apiVersion: auditor/v1
kind: Policy
metadata: {{name: own, version: "1"}}
spec:
  controls:
    - id: picture
      title: "{TITLE}"
      basis: internal
      evidence: {{kind: metric, metric: drift.ks, where: {{input: photo, column: brightness}}}}
      condition: {{op: lte, value: 0.2}}
      window: {{minSamples: {{total: 50}}}}
"""


def day(number: float) -> str:
    return (DAY0 + timedelta(days=number)).isoformat()


def rows(days: range, shift: float, *, clip: bool = True) -> str:
    rng = random.Random(days.start)
    made = []
    for number in days:
        for k in range(80):
            inputs = [{"name": "photo", "modality": "image", "descriptors": {"brightness": rng.gauss(shift, 1)}}]
            if clip:
                inputs.append({"name": "clip", "modality": "audio", "descriptors": {"level_dbfs": rng.gauss(-20, 1)}})
            made.append(
                {
                    "id": f"{number}-{k}",
                    "time": day(number + k / 80),
                    "model": {"name": "m", "version": "1"},
                    "inputs": inputs,
                    "output": {"label": rng.choice("ab")},
                    "groups": {"site": rng.choice(["north", "south"] if number < 8 else ["north", "west"])},
                }
            )
    return "\n".join(map(json.dumps, made))


@contextlib.contextmanager
def receiver() -> Iterator[tuple[int, list[Any]]]:
    got: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1], got
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUDITOR_AUDIT_EVIDENTLY", "false")
    home = tmp_path / "home"
    assert main(["init", str(home)]) == 0
    (home / "policies" / "own.yaml").write_text(POLICY)
    return home


def ingest(home: Path, text: str) -> None:
    (home.parent / "rows.jsonl").write_text(text)
    assert main(["ingest", str(home.parent / "rows.jsonl"), "--home", str(home)]) == 0


def page(home: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AUDITOR_HOME", str(home))
    at = AppTest.from_file(str(shipped("dashboards") / "app.py"), default_timeout=90)
    at.run()
    if name != "overview":
        at.switch_page(f"pages/{name}.py").run()
    assert not at.exception, at.exception
    kinds = ("title", "subheader", "markdown", "caption", "info", "expander")
    words = [str(getattr(e, part, "")) for kind in kinds for e in getattr(at, kind) for part in ("label", "value")]
    return " ".join(words).replace("\\", "")


def test_a_title_with_stops_and_colons_survives_every_path(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(home, rows(range(7), 0.0) + "\n" + rows(range(7, 9), 3.0))
    at = ("--home", str(home))
    assert main(["baseline", "pin", *at, "--model", "m", "--since", day(0), "--until", day(7)]) == 0
    with receiver() as (port, posted), (home / "auditor.toml").open("a") as settings:
        text = (home / "auditor.toml").read_text()
        settings.close()
        enabled = re.sub(r'(?m)^enabled = \["jsonl"\]', 'enabled = ["jsonl", "webhook"]', text)
        assert enabled != text
        (home / "auditor.toml").write_text(f'{enabled}\n[sinks.webhook]\nurl = "http://127.0.0.1:{port}/"\n')
        capsys.readouterr()
        assert main(["audit", *at, "--since", day(7), "--until", day(8), "--json"]) == 1
        opened = json.loads(capsys.readouterr().out)["alerts"]["opened"]
        assert main(["audit", *at, "--since", day(8), "--until", day(9)]) == 1
        assert main(["policy", "lint", str(home / "policies" / "own.yaml")]) == 0
    (own,) = [alert for alert in opened if alert["control"] == "picture"]
    assert own["explanation"].startswith(TITLE)
    assert any(body.get("control") == "picture" and TITLE in json.dumps(body) for body in posted), posted
    lines = [json.loads(line) for line in (home / "alerts.jsonl").read_text().splitlines()]
    assert any(TITLE in json.dumps(line) for line in lines)

    capsys.readouterr()
    main(["policy", "check", *at, "--model", "m"])
    assert TITLE in capsys.readouterr().out
    main(["policy", "check", *at, "--model", "m", "--json"])
    check = json.loads(capsys.readouterr().out)
    (verdict,) = [v for v in check["verdicts"] if v["control"] == "picture"]
    assert verdict["explanation"].startswith(TITLE)
    for kind in ("drift", "compliance"):
        for form in ("html", "json"):  # rows of CSV are figures, which have no title
            out = home.parent / f"{kind}.{form}"
            assert main(["report", kind, *at, "--model", "m", "--format", form, "-o", str(out)]) == 0
            assert TITLE in out.read_text(), (kind, form)
    for name in ("overview", "drift", "compliance"):
        assert TITLE in page(home, name, monkeypatch), name
    with contextlib.closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as tracked:
        tags = tracked.execute("select value from tags where key = 'auditor.verdict.own.picture'").fetchall()
    assert tags == [("fail",), ("fail",)], "MLflow has the control by its id"


def test_report_and_policy_check_count_the_same_rules(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also after an input and a group came and went, which ends their series."""
    ingest(home, rows(range(10), 0.0) + "\n" + rows(range(10, 13), 0.0, clip=False))
    at = ("--home", str(home))
    assert main(["baseline", "pin", *at, "--model", "m", "--since", day(0), "--until", day(7)]) == 0
    for first, last in ((7, 10), (10, 13)):
        main(["audit", *at, "--since", day(first), "--until", day(last)])
        capsys.readouterr()
        main(["policy", "check", *at, "--model", "m", "--json"])
        check = json.loads(capsys.readouterr().out)
        out = home.parent / "compliance.json"
        arguments = ["--since", day(0), "--until", day(last), "--format", "json", "-o", str(out)]
        assert main(["report", "compliance", *at, "--model", "m", *arguments]) == 0
        document = json.loads(out.read_text())
        total = sum(check["counts"].values())
        assert total == len(check["verdicts"])
        judged = re.search(r"(\d+) controls and slices had a verdict", " ".join(document["summary"]))
        assert judged is not None
        assert int(judged[1]) == total
        assert not any("No baseline is pinned" in gap["text"] for gap in document["gaps"])
        sheet = home.parent / "compliance.csv"
        assert (
            main(["report", "compliance", *at, "--model", "m", *arguments[:4], "--format", "csv", "-o", str(sheet)])
            == 0
        )
        rows_ = list(csv.DictReader(sheet.read_text().splitlines()))
        assert {row["model"] for row in rows_} == {"m"}


def test_pages_and_reports_name_the_deliveries_that_wait(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(home, rows(range(7), 0.0) + "\n" + rows(range(7, 9), 3.0))
    assert main(["baseline", "pin", "--home", str(home), "--model", "m", "--since", day(0), "--until", day(7)]) == 0
    text = (home / "auditor.toml").read_text()
    enabled = re.sub(r'(?m)^enabled = \["jsonl"\]', 'enabled = ["webhook"]', text)
    nobody = 'url = "http://127.0.0.1:9/"'
    (home / "auditor.toml").write_text(f"{enabled}\n[sinks.webhook]\n{nobody}\n")
    monkeypatch.setenv("AUDITOR_MLFLOW_ENABLED", "false")
    capsys.readouterr()
    assert main(["audit", "--home", str(home), "--since", day(7), "--until", day(9)]) == 1
    said = capsys.readouterr().err
    assert re.search(r"deliver(y|ies) to webhook waits? since", said)
    out = home.parent / "drift.html"
    assert main(["report", "drift", "--home", str(home), "--model", "m", "-o", str(out)]) == 0
    assert "to webhook wait" in out.read_text()
    for name in ("overview", "compliance"):
        assert "to webhook wait" in page(home, name, monkeypatch)


def test_a_sink_with_a_table_that_is_not_enabled_is_named(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (home / "auditor.toml").open("a") as settings:
        settings.write('\n[sinks.webhook]\nurl = "http://127.0.0.1:9/"\n')
    main(["audit", "--home", str(home)])
    assert "sink webhook has a table [sinks.webhook] and is not in `[sinks] enabled`" in caplog.text
