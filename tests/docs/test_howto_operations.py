"""The how-to pages for operators run as they stand: their commands, settings, queries and files, in an empty folder."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditor.cli import main
from auditor.core.window import Span, parse_time
from auditor.intake.archive import ParquetArchive
from auditor.settings import Home, load_settings

PAGES = Path(__file__).parents[2] / "docs" / "howto"
Run = Callable[[str], str]


def blocks(page: str, *kinds: str) -> list[str]:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    return [block for kind, block in re.findall(r"```(\w+)\n(.*?)```", text, flags=re.S) if kind in kinds]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the lines of a block in the test's folder, auditor's in this process; what they print."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUDITOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AUDITOR_MLFLOW_ENABLED", "false")
    monkeypatch.setenv("AUDITOR_AUDIT_EVIDENTLY", "false")

    def lines(block: str) -> str:
        said = io.StringIO()
        for line in filter(None, (line.split(" #")[0].strip() for line in block.splitlines())):
            if line.startswith("pip "):
                continue
            if line.startswith("auditor "):
                with contextlib.redirect_stdout(said):
                    assert main(shlex.split(line)[1:]) in (0, 1 if " audit" in line else 0), line
            else:
                done = subprocess.run(["sh", "-ec", line], capture_output=True, text=True)
                assert done.returncode == 0, f"{line}\n{done.stderr}"
                said.write(done.stdout)
        return said.getvalue()

    return lines


def record(number: int = 0) -> dict[str, Any]:
    return {
        "id": f"r-{number}",
        "time": f"2026-03-02T08:{number:02d}:00Z",
        "model.name": "triage",
        "inputs.form.modality": "tabular",
        "inputs.form.descriptors.age": 41 + number,
        "output.label": "urgent",
    }


def write(file: str, rows: list[dict[str, Any]]) -> None:
    with Path(file).open("w", newline="") as out:
        writer = csv.DictWriter(out, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def ids() -> list[str]:
    place = Home(Path("home"))
    day = Span(parse_time("2026-03-02"), parse_time("2026-03-03"))
    return sorted(ParquetArchive(place.archive, place.quarantine).read("triage", day).ids.tolist())


def test_ingest_files(run: Run) -> None:
    import pyarrow.csv
    import pyarrow.parquet
    from PIL import Image

    run("auditor init home")
    (python,) = blocks("ingest-files", "python")
    exec(compile(python, "ingest-files", "exec"), {})
    run("auditor ingest calls.csv")
    assert ids() == ["r-1"]
    write("parts.csv", [record(2)])
    pyarrow.parquet.write_table(pyarrow.csv.read_csv("parts.csv"), "calls.parquet")
    Image.new("RGB", (8, 8), (9, 90, 200)).save("photo.png")
    row = {
        "request": "r-3",
        "ts": 1772438400000,
        "ver": "3",
        "file": "photo.png",
        "age": 41,
        "income": 9,
        "pred": "urgent",
    }
    write("calls.csv", [{**row, "site": "north", "truth": "urgent"}])
    Path("triage.yaml").write_text(blocks("ingest-files", "yaml")[0])
    write("truth.csv", [{"id": "r-1", "label": "calm"}])
    run(blocks("ingest-files", "console")[0])
    assert ids() == ["r-1", "r-2", "r-3"]


def test_copies_and_reports(run: Run, tmp_path: Path) -> None:
    """Back up and restore, on SQLite; and the documents that the dashboard's page names."""
    run("auditor init home")
    write("calls.csv", [record(number) for number in range(12)])
    run("auditor ingest calls.csv\nauditor audit --until 2026-03-03")
    copy, restore, _ = (block.replace("/backups", "backups") for block in blocks("backup-and-restore", "sh"))
    run("mkdir -p backups/DAY\ncp -R home/archive backups/DAY/")
    run(copy)
    shutil.move("backups/auditor-2026-03-02.db", "backups/DAY/auditor.db")
    run(restore)
    assert (tmp_path / "RESTORED" / "store" / "auditor.db").is_file()
    _, documents = blocks("read-the-dashboard", "bash")
    said = run(documents.replace("--model M", "--model triage"))
    assert '"metric"' in said
    assert (tmp_path / "review.html").stat().st_size > 5000
    assert (tmp_path / "energy.csv").stat().st_size > 50


def test_postgresql(run: Run, postgres_of_its_own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the tables, take records in, ask with SQL, dump, and restore into an empty database."""
    if not all(map(shutil.which, ("createdb", "psql", "pg_restore", "dropdb"))):
        pytest.skip("PostgreSQL's client programs are not installed")
    folder = postgres_of_its_own.url.rsplit("=", 1)[1]
    monkeypatch.setenv("PGHOST", folder)
    monkeypatch.setenv("PGUSER", "postgres")
    run("auditor init home")
    (create,) = blocks("use-postgresql", "sh")
    run(create)
    (settings,) = blocks("use-postgresql", "toml")
    settings = settings.replace("auditor@db.example/auditor", f"postgres@/auditor?host={folder}")
    Path("home/auditor.toml").write_text(settings)
    (tables,) = blocks("use-postgresql", "console")
    run(tables)
    write("calls.csv", [record(number) for number in range(12)])
    run("auditor ingest calls.csv\nauditor audit --until 2026-03-03")
    (query,) = blocks("use-postgresql", "sql")
    asked = ["psql", "-At", "-d", "auditor", "-c", query.replace("capture.loss", "capture.described")]
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    run("mkdir backups\nauditor db backup backups/auditor-2026-03-02.dump\ndropdb auditor")
    run(blocks("backup-and-restore", "sh")[-1].replace("/backups", "backups"))
    counted = ["psql", "-At", "-d", "auditor", "-c", "SELECT count(*) FROM record_index"]
    assert subprocess.run(counted, capture_output=True, text=True, check=True).stdout.strip() == "12"


@pytest.mark.parametrize("page", ["use-postgresql", "run-the-service", "object-storage"])
def test_settings_are_settings(page: str, run: Run, tmp_path: Path) -> None:
    run("auditor init home")
    for block in blocks(page, "toml"):
        (tmp_path / "home" / "auditor.toml").write_text(block)
        settings = load_settings(tmp_path / "home")
        if page == "run-the-service":
            assert settings.service == type(settings.service)(), "the page shows the defaults"
        else:
            assert settings.store.url or settings.archive.url


@pytest.mark.soak
def test_a_dask_cluster_on_one_machine(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="dask is not installed")
    run("auditor init home")
    write("calls.csv", [record(number) for number in range(12)])
    run("auditor ingest calls.csv")
    (script,) = blocks("run-on-dask", "sh")
    *cluster, audit = script.replace("8786", "18786").strip().splitlines()
    there = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    started = []
    try:
        for line in cluster:
            with (tmp_path / "log").open("ab") as log:
                started.append(subprocess.Popen(shlex.split(line.rstrip(" &")), stdout=log, stderr=log, env=there))
            time.sleep(3)
        run(audit)
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(30)
    assert blocks("run-on-dask", "console")[0].startswith("auditor audit --engine dask")
