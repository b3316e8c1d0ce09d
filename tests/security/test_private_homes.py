"""A home is its owner's alone, whatever the umask of the processes that write to it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from auditor.core.private import make_folder, open_file
from auditor.core.window import format_time
from auditor.testing.factories import START

AGENT = """
import sys
from auditor import Agent
agent = Agent("m", version="1", home=sys.argv[1])
for k in range(5):
    with agent.record() as record:
        record.input("note", "some words")
        record.output(label="a")
agent.close()
"""


def modes(root: Path) -> dict[str, int]:
    found = {".": stat.S_IMODE(root.stat().st_mode)}
    for path in root.rglob("*"):
        found[str(path.relative_to(root))] = stat.S_IMODE(path.lstat().st_mode)
    return found


def run(umask: int, *words: str, codes: tuple[int, ...] = (0, 1)) -> Any:
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, preexec_fn=lambda: os.umask(umask)
    )
    assert done.returncode in codes, done.stderr[-2000:]
    return done


@pytest.mark.parametrize("umask", [0o000, pytest.param(0o277, marks=pytest.mark.soak)])
def test_a_home_through_its_whole_life(tmp_path: Path, umask: int) -> None:
    home = tmp_path / "home"
    rows = tmp_path / "rows.jsonl"
    with rows.open("w", encoding="utf-8") as file:
        for k in range(120):
            row = {
                "id": f"r{k}",
                "time": format_time(START + timedelta(hours=k % 48)),
                "model": {"name": "m", "version": "1"},
                "inputs": [{"name": "x", "modality": "tabular", "descriptors": {"n": k % 17}}],
                "output": {"label": "a"},
            }
            file.write(json.dumps(row) + "\n")
        file.write('{"id": "bad"}\n')
    run(umask, "-m", "auditor", "init", str(home))
    run(umask, "-c", AGENT, str(home))
    run(umask, "-m", "auditor", "ingest", str(rows), "--home", str(home))
    until = format_time(START + timedelta(days=3))
    run(umask, "-m", "auditor", "audit", "--until", until, "--home", str(home))
    run(umask, "-m", "auditor", "key", "create", "--role", "viewer", "--home", str(home))
    found = modes(home)
    assert {"spool", "journal", "archive", "store", "quarantine", "writer.lock", "auditor.toml"} <= set(found)
    assert any(name.startswith("mlflow/") for name in found)
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077} == {}
    assert found["."] == 0o700
    assert found["store/auditor.db"] == 0o600


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_a_report_outside_the_home_has_the_mode_that_its_writer_chose(tmp_path: Path, umask: int, mode: int) -> None:
    from auditor.cli.report import write

    write(tmp_path / "out" / "page.html", "x", umask)
    assert stat.S_IMODE((tmp_path / "out" / "page.html").stat().st_mode) == mode


def test_a_file_that_is_there_keeps_its_mode_and_a_shared_folder_shares(tmp_path: Path) -> None:
    shown = tmp_path / "alerts.jsonl"
    shown.touch()
    shown.chmod(0o644)
    with open_file(shown, "a") as file:
        file.write("x\n")
    assert stat.S_IMODE(shown.stat().st_mode) == 0o644
    spool = tmp_path / "spool"
    spool.mkdir()
    spool.chmod(0o2770)
    make_folder(spool / "session")
    assert stat.S_IMODE((spool / "session").stat().st_mode) == 0o2770
    open_file(spool / "session" / "x", "w").close()
    assert stat.S_IMODE((spool / "session" / "x").stat().st_mode) == 0o660


def test_doctor_names_a_home_that_others_can_read(tmp_path: Path) -> None:
    run(0o022, "-m", "auditor", "init", str(tmp_path / "home"))
    (tmp_path / "home").chmod(0o755)
    done = run(0o022, "-m", "auditor", "doctor", "--json", "--home", str(tmp_path / "home"), codes=(1,))
    (row,) = [row for row in json.loads(done.stdout)["checks"] if row["what"] == "private"]
    assert (row["state"], row["found"]) == ("broken", "mode 0755")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "example.com"])
def test_the_dashboard_stays_on_loopback(tmp_path: Path, host: str, capsys: pytest.CaptureFixture[str]) -> None:
    from auditor.bootstrap import init_home
    from auditor.cli import main

    init_home(tmp_path / "home")
    assert main(["dashboard", "--host", host, "--home", str(tmp_path / "home")]) == 2
    assert capsys.readouterr().err.startswith("error[no_keys]: ")
