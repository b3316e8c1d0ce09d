"""Bad input to the command line: one clear sentence with a code on stderr, exit 2, JSON when asked for, nothing lost."""

import json
from pathlib import Path

import pytest

from auditor.cli import main

POLICY = """\
apiVersion: auditor/v1
kind: Policy
metadata: {name: mine, version: 1.0.0, owner: {team: ml}}
spec:
  scope: {}
  controls:
    - id: brightness
      title: Brightness
      basis: internal
      severity: low
      evidence: {kind: metric, metric: drift.ks}
      condition: {op: lte, value: 0.1}
"""


@pytest.fixture
def home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["init", str(tmp_path / "home")]) == 0
    capsys.readouterr()
    return tmp_path / "home"


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The code of the one line on stderr; the JSON says the same."""
    assert main([*map(str, arguments), "--json"]) == 2
    out, err = capsys.readouterr()
    line = err.strip()
    assert "\n" not in line
    assert line.startswith("error[")
    error = json.loads(out)["error"]
    assert line.startswith(f"error[{error['code']}]: {error['message']}")
    assert error["fix"]
    return str(error["code"])


def test_a_missing_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUDITOR_HOME", raising=False)
    assert refused(capsys, "audit") == "no_home"
    assert refused(capsys, "audit", "--home", tmp_path / "nowhere") == "no_home"


def test_an_unknown_policy_key(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "policies" / "mine.yaml").write_text(POLICY.replace("severity: low", "severity: low\n      colour: red"))
    assert refused(capsys, "audit", "--home", home) == "unknown_key"


def test_a_policy_that_names_an_unknown_metric(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "policies" / "mine.yaml").write_text(POLICY.replace("drift.ks", "drift.magic"))
    assert refused(capsys, "audit", "--home", home) == "unknown_metric"


def test_an_unknown_setting(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (home / "auditor.toml").open("a") as file:
        file.write("\n[audti]\n")
    assert refused(capsys, "audit", "--home", home) == "unknown_setting"


def test_arguments(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "audit", "--home", home, "--model", "nobody") == "unknown_model"
    assert refused(capsys, "audit", "--home", home, "--since", "yesterday") == "bad_time"
    assert refused(capsys, "audit", "--home", home, "--colour") == "usage"
    assert refused(capsys, "init", home) == "home_exists"
    assert refused(capsys, "demo", "--home", home) == "not_a_demo"
    assert refused(capsys, "demo", "--home", home / "d", "--days", "3") == "too_few_days"
    assert (
        refused(
            capsys, "baseline", "pin", "--home", home, "--model", "m", "--since", "2026-01-01", "--until", "2026-01-02"
        )
        == "no_records"
    )


def test_an_empty_home_audits_nothing_and_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--home", str(home)]) == 0
    assert "nothing is due" in capsys.readouterr().out
