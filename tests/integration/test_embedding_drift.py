"""An embedding is all that is known of what a payload means: its components are judged as columns are."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from auditor.cli import main

DAY0 = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=20)


def day(number: float) -> str:
    return (DAY0 + timedelta(days=number)).isoformat()


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("alone", "mean"),
        ("alone", "direction"),
        ("alone", "none"),
        ("beside descriptors", "direction"),
        ("of the answer", "mean"),
        ("of the answer", "none"),
    ],
)
def test_the_starter_pack_judges_embeddings(
    case: str, change: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    assert main(["init", str(home)]) == 0
    rng = np.random.default_rng(5)
    mixing = rng.normal(size=(4, 32))
    lines = []
    for number in range(10):
        for k in range(120):
            hidden = rng.normal(size=4) * (1.0, 1.0, 1.0, 3.0)
            vector = hidden @ mixing + 0.5 * rng.normal(size=32)
            if number >= 7 and change == "mean":
                vector += 1.0
            if number >= 7 and change == "direction":
                vector = (hidden[[3, 0, 1, 2]]) @ mixing + 0.5 * rng.normal(size=32)
            made = {"id": f"{number}-{k}", "time": day(number + k / 120), "model": {"name": "m", "version": "1"}}
            embedded = {"embedding": vector.tolist()}
            if case == "of the answer":
                made["inputs"] = [
                    {"name": "note", "modality": "text", "descriptors": {"words": float(rng.integers(5, 50))}}
                ]
                made["output"] = {"text": {"descriptors": {"words": float(rng.integers(5, 50))}, **embedded}}
            else:
                figures = {"descriptors": {"brightness": float(rng.uniform())}} if case == "beside descriptors" else {}
                made["inputs"] = [{"name": "photo", "modality": "image", "encoder": "e@1", **figures, **embedded}]
            lines.append(json.dumps(made))
    (home / "rows.jsonl").write_text("\n".join(lines))
    assert main(["ingest", str(home / "rows.jsonl"), "--home", str(home)]) == 0
    assert main(["baseline", "pin", "--home", str(home), "--model", "m", "--since", day(0), "--until", day(7)]) == 0
    capsys.readouterr()
    code = main(["audit", "--home", str(home), "--since", day(7), "--until", day(10), "--json"])
    opened = json.loads(capsys.readouterr().out)["alerts"]["opened"]
    if change == "none":
        assert (code, opened) == (0, [])
        return
    assert code == 1
    wanted = {"drift-output"} if case == "of the answer" else {"drift-inputs"}
    assert {alert["control"] for alert in opened} == wanted
    thing = "the answer's embedding" if case == "of the answer" else "the embedding"
    assert f"of {thing}" in opened[0]["explanation"]
