"""Baseline kinds, the starter pack and --exact, from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from auditor.cli import main
from auditor.core.window import DAY, format_time
from auditor.testing import make_records
from auditor.testing.factories import MODEL, START


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven quiet days and one dark one, taken in."""
    folder = tmp_path_factory.mktemp("kinds")
    assert main(["init", str(folder / "home")]) == 0
    settings = folder / "home" / "auditor.toml"
    settings.write_text(
        settings.read_text().replace("[audit]", "[audit]\nevidently = false") + "\n[mlflow]\nenabled = false\n"
    )
    week, _ = make_records(700, 1, span=7 * DAY)
    dark, _ = make_records(150, 2, start=START + 7 * DAY, darken=0.6)
    file = folder / "records.jsonl"
    file.write_text("".join(json.dumps(record.as_json()) + "\n" for record in [*week, *dark]))
    assert main(["ingest", str(file), "--home", str(folder / "home")]) == 0
    return folder / "home"


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_from_pinning_to_an_exact_audit(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--home", home)
    week = ("--model", MODEL, "--since", format_time(START), "--until", format_time(START + 7 * DAY))
    code, refusal = said(
        capsys, "baseline", "pin", *week[:4], "--until", format_time(START + DAY), "--kind", "seasonal", *at
    )
    assert (code, refusal["error"]["code"]) == (2, "short_season")
    for kind, by in (("trailing", "Bo"), ("seasonal", "Cy"), ("fixed", "Ada")):
        code, pinned = said(capsys, "baseline", "pin", *week, "--kind", kind, "--by", by, *at)
        assert (code, pinned["kind"], pinned["by"], pinned["n"]) == (0, kind, by, 700)
    _, listed = said(capsys, "baseline", "list", *at)
    assert [(item["kind"], item["by"]) for item in listed["items"]] == [
        ("fixed", "Ada"),
        ("seasonal", "Cy"),
        ("trailing", "Bo"),
    ]

    day = ("--since", format_time(START + 7 * DAY), "--until", format_time(START + 8 * DAY))
    code, audit = said(capsys, "audit", *day, "--exact", *at)
    assert code == 1
    (alert,) = [a for a in audit["alerts"]["opened"] if a["kind"] == "image" and a["control"].startswith("drift")]
    assert len(alert["examples"]) == 5
    assert alert["budget_share"] > 0
    exact = {(entry["metric"], entry["attributes"].get("column")): entry for entry in audit["exact"]}
    ks = exact["drift.ks", "brightness"]
    assert 0 < ks["bound"] < 0.01
    assert abs(ks["state"] - ks["exact"]) <= ks["bound"]
    for entry in audit["exact"]:
        if entry["bound"] is None and entry["state"] is not None:
            assert entry["exact"] == pytest.approx(entry["state"], rel=1e-9, abs=1e-12)

    code, again = said(capsys, "audit", *day, *at)
    assert (code, again["exact"]) == (1, None), "the alert is open still"
    assert again["audits"][0]["windows"][0]["revision"] == 1, "nothing is new"
    assert again["alerts"] == {"opened": [], "renewed": [], "resolved": []}
    main(["audit", *day, "--exact", *map(str, at)])
    out, err = capsys.readouterr()
    assert "figures recomputed from the archive" in out
    assert "not what the archive says" not in err
