"""Files as people have them: files that are gone, quotes that do not end, other columns, zeros and ones for truth values."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auditor.cli import main

DAY0 = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=5)
NOON = (DAY0 + timedelta(hours=12)).isoformat()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    assert main(["init", str(tmp_path / "home")]) == 0
    return tmp_path / "home"


def _run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    capsys.readouterr()
    code = main([str(word) for word in words])
    streams = capsys.readouterr()
    return code, streams.out + streams.err


@pytest.mark.parametrize("modality", ["text", "image", "audio"])
def test_paths_that_lead_nowhere_cost_their_row_at_most(
    modality: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "sealed").mkdir(mode=0o000)
    (folder / "loop").symlink_to("loop")
    (folder / "map.yaml").write_text(
        "kind: Mapping\nmodel: {name: m}\nid: {column: id}\ntime: {column: ts}\n"
        f"inputs:\n  - {{name: note, modality: {modality}, path: {{column: file}}}}\n"
    )
    cells = ["gone.bin", "deep/gone.bin", "loop", "x" * 5000, "..\\gone.bin", "sealed/gone.bin"]
    rows = "".join(f"r{index},{NOON},{cell}\n" for index, cell in enumerate(cells))
    (folder / "rows.csv").write_text(f"id,ts,file\n{rows}")
    code, said = _run(capsys, "ingest", folder / "rows.csv", "--mapping", folder / "map.yaml", "--home", home, "--json")
    report = json.loads(said)
    assert code == 1
    assert report["accepted"] + report["refused"] == len(cells)
    assert report["accepted"] >= 2, "a table often outlives some of its files: their inputs have an error code"


@pytest.mark.parametrize("mapped", [True, False])
def test_a_quote_that_does_not_end_is_no_csv(
    mapped: bool, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.csv").write_text(f'id,ts,age\nr1,{NOON},"41\nr2,{NOON},42\n')
    (tmp_path / "map.yaml").write_text(
        "kind: Mapping\nmodel: {name: m}\nid: {column: id}\ntime: {column: ts}\n"
        "inputs:\n  - {name: row, modality: tabular, columns: [age]}\n"
    )
    more = ("--mapping", tmp_path / "map.yaml") if mapped else ()
    code, said = _run(capsys, "ingest", tmp_path / "rows.csv", *more, "--home", home)
    assert code == 2
    assert "error[bad_file]" in said


@pytest.mark.parametrize("header", ["ident,label", "id,truth", '{"id"', ""])
def test_a_file_of_labels_without_its_columns_is_refused_whole(
    header: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "truth.csv").write_text(f"{header}\nr1,a\n")
    code, said = _run(capsys, "label", tmp_path / "truth.csv", "--home", home)
    assert code == 2
    assert "error[" in said


@pytest.mark.parametrize(
    ("answers", "labels"), [("true false", "1 0"), ("true false", "1.0 0.0"), ("1 0", "True False")]
)
def test_truth_values_and_bits_are_one_class(
    answers: str, labels: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said, truth = answers.split(), labels.split()
    lines = [
        {
            "id": f"r{k}",
            "time": (DAY0 + timedelta(seconds=k)).isoformat(),
            "model": {"name": "m"},
            "inputs": [{"name": "row", "modality": "tabular", "descriptors": {"a": float(k)}}],
            "output": {"label": said[k % 2]},
        }
        for k in range(40)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "truth.csv").write_text("id,label\n" + "".join(f"r{k},{truth[k % 2]}\n" for k in range(40)))
    assert _run(capsys, "ingest", tmp_path / "rows.jsonl", "--home", home)[0] == 0
    assert _run(capsys, "label", tmp_path / "truth.csv", "--home", home)[0] == 0
    assert _run(capsys, "audit", "--home", home)[0] in (0, 1)
    with contextlib.closing(sqlite3.connect(home / "store" / "auditor.db")) as store:
        found = store.execute("select value from measurements where metric = 'quality.accuracy'").fetchall()
    assert (1.0,) in found
    assert set(found) <= {(1.0,), (None,)}
