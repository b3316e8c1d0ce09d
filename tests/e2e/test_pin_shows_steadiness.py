"""`baseline pin` shows what can be found with the baseline, what its own windows break, and what is not tested."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from auditor.cli import main
from auditor.core.window import DAY, format_time
from auditor.testing.factories import START

DAYS, N = 14, 60


def home_with(folder: Path, *, wanders: bool) -> Path:
    rng = np.random.default_rng(5)
    level = rng.normal(0, 2.0, DAYS)
    assert main(["init", str(folder / "home")]) == 0
    lines = []
    for day in range(DAYS):
        for i in range(N):
            number = day * N + i
            form = {
                "age": rng.normal(),
                "price": rng.normal() + (level[day] if wanders else 0.0),
                "kind": "ab"[int(rng.random() < 0.3)],
                "ticket": f"t-{number}",
                "counter": 1000.0 + number,
            }
            lines.append(
                {
                    "id": f"r{number:05d}",
                    "model": {"name": "m", "version": "1"},
                    "time": format_time(START + day * DAY + i * timedelta(minutes=20)),
                    "inputs": [{"name": "form", "modality": "tabular", "descriptors": form}],
                }
            )
    (folder / "r.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["ingest", str(folder / "r.jsonl"), "--home", str(folder / "home")]) == 0
    return folder / "home"


def pin(home: Path, *more: str) -> int:
    until = format_time(START + DAYS * DAY)
    return main(
        ["baseline", "pin", "--home", str(home), "--model", "m", "--since", format_time(START), "--until", until, *more]
    )


def test_a_steady_baseline_has_no_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = home_with(tmp_path, wanders=False)
    capsys.readouterr()
    assert pin(home) == 0
    shown = capsys.readouterr().out
    assert "warning" not in shown
    for text in (
        "detectable in 7 days",
        "detectable in 28 days",
        "percentage points",
        "counter is a counter",
        "ticket is an id",
    ):
        assert text in shown
    assert pin(home, "--json") == 0
    document = json.loads(capsys.readouterr().out)["steadiness"]
    assert document["unsteady"] == []
    week, month = (
        next(one for one in document["smallest"] if one["days"] == days and one["kind"] == "numeric")
        for days in (7, 28)
    )
    assert 0.1 < month["typical"] < week["typical"] < 1.0
    assert sorted(document["untested"].values()) == ["counter", "identifier"]


def test_a_baseline_that_breaks_limits_itself_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = home_with(tmp_path, wanders=True)
    capsys.readouterr()
    assert pin(home) == 0
    warned = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert len(warned) == 1
    assert "price" in warned[0]
    assert f"of the baseline's {DAYS} windows" in warned[0]
