"""`auditor report` and `auditor dashboard` on a filled home: formats, defaults, and errors that say what to do."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest

from auditor.cli import main
from auditor.cli.dashboard import command, entry, environment
from auditor.reports import KINDS
from auditor.settings import Home, load_settings


@pytest.mark.parametrize("kind", KINDS)
def test_html_file(kind, filled_home, tmp_path, capsys):
    out = tmp_path / "deep" / f"{kind}.html"
    assert main(["report", kind, "--home", str(filled_home), "--model", "ward-triage", "-o", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert "ward-triage" in text
    assert not list(out.parent.glob("*.part"))
    assert str(out) in capsys.readouterr().err


def test_json_to_standard_output(filled_home, capsys):
    arguments = [
        "report",
        "compliance",
        "--home",
        str(filled_home),
        "--format",
        "json",
        "--since",
        "2026-10-19",
        "--until",
        "2026-10-26",
    ]
    assert main(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["model"]) == ("compliance", "ward-triage")
    assert (document["start"], document["end"]) == ("2026-10-19T00:00:00Z", "2026-10-26T00:00:00Z")
    assert document["windows"] == 7
    assert document["gaps"]


def test_format_follows_the_name_of_the_file(filled_home, tmp_path, capsys):
    out = tmp_path / "energy.csv"
    assert main(["report", "energy", "--home", str(filled_home), "-o", str(out), "--json"]) == 0
    rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
    assert {row["kind"] for row in rows} == {"statement", "gap", "version", "measurement", "earlier_windows"}
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == "auditor.report-file/1"
    assert said["file"] == str(out)


def test_reports_of_the_demo(filled_home):
    from auditor.cli.report import write_reports

    written = write_reports(Home(filled_home), model="ward-triage")
    assert [path.name for path in written] == [f"{kind}.html" for kind in KINDS]
    assert all(path.stat().st_size > 5000 for path in written)


def test_what_cannot_be_reported_says_what_to_do(filled_home, empty_home, capsys, tmp_path):
    assert main(["report", "drift", "--home", str(filled_home), "--model", "other", "--json"]) == 2
    told = capsys.readouterr()
    assert json.loads(told.out)["error"]["code"] == "unknown_model"
    assert "ward-triage" in told.err
    assert main(["report", "drift", "--home", str(empty_home)]) == 2
    assert "error[" in capsys.readouterr().err
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert main(["report", "drift", "--home", str(filled_home), "-o", str(blocked / "x.html")]) == 2
    assert "error[cannot_write]" in capsys.readouterr().err


def test_dashboard_listens_on_loopback_and_sends_nothing_home(filled_home):
    argv = command("127.0.0.1", 8501)
    flags = dict(zip(argv[5::2], argv[6::2], strict=True))
    assert flags["--server.address"] == "127.0.0.1"
    assert flags["--browser.gatherUsageStats"] == "false"
    assert entry().is_file()
    assert environment(load_settings(filled_home))["AUDITOR_HOME"] == str(filled_home)


def test_help_of_both_commands_loads_no_heavy_library():
    code = (
        "import sys, argparse; from auditor.cli import report, dashboard; c = argparse.ArgumentParser().add_subparsers();"
        "report.register(c); dashboard.register(c);"
        "print([m for m in ('streamlit', 'jinja2', 'pandas', 'sqlalchemy', 'altair') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
