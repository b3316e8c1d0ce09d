"""`auditor policy`: documents and exit codes of the contract, on a real store."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from auditor.bootstrap import init_home, load_policies
from auditor.cli import main
from auditor.core.verdict import Force, State, Word
from auditor.settings import load_settings
from auditor.store.sql import SqlStore
from auditor.testing import make_audit, make_run, make_verdict

BAD = """\
apiVersion: auditor/v1
kind: Policy
metadata: {name: mine, version: "1"}
spec:
  controls:
    - id: a
      title: A
      basis: internal
      evidence: {kind: metric, metric: drift.ks}
      window: {minSamples: {total: 100}}
      condition: {op: lte, value: 0.15}
"""


def run(capsys, *arguments):
    code = main(["policy", *arguments])
    captured = capsys.readouterr()
    return code, json.loads(captured.out) if "--json" in arguments else captured.out, captured.err


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("AUDITOR_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    init_home(tmp_path / "home")
    return tmp_path / "home"


def test_lint_and_test_of_what_is_in_force(home, capsys):
    code, found, _ = run(capsys, "lint", "--home", str(home), "--json")
    assert (code, found["schema"], found["findings"], found["failed"]) == (0, "auditor.policy-findings/1", [], 0)
    assert found["passed"] >= 10
    code, found, _ = run(capsys, "test", "--strict", "--home", str(home), "--json")
    assert (code, found["failed"], found["untested"], found["survivors"]) == (0, 0, [], [])
    assert found["passed"] >= 25


def test_findings_exit_1_with_file_and_line(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(BAD.replace("value: 0.15", "value: 1.0"))
    code, found, _ = run(capsys, "lint", str(path), "--json")
    assert code == 1
    assert [(item["code"], item["file"], item["line"]) for item in found["findings"]] == [("cannot_fail", str(path), 6)]
    assert run(capsys, "lint", str(path))[0] == 1


def test_untested_controls_count_under_strict_only(tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text(BAD)
    code, found, _ = run(capsys, "test", str(tmp_path), "--json")
    assert (code, found["untested"]) == (0, ["mine/a: pass", "mine/a: fail", "mine/a: insufficient_evidence"])
    assert run(capsys, "test", str(tmp_path), "--strict", "--json")[0] == 1
    (tmp_path / "mine.cases.yaml").write_text(
        "apiVersion: auditor/v1\nkind: PolicyTest\nmetadata: {name: t}\npolicy: mine.yaml\nstart: 2026-01-01\nstep: 1d\n"
        'cases:\n  - {name: c, control: a, input: x, series: "0.1@400", expect: [{at: 0d, verdict: fail}]}\n'
    )
    code, found, _ = run(capsys, "test", str(tmp_path / "mine.yaml"), "--json")
    assert (code, found["failed"], found["passed"]) == (1, 1, 0)
    assert found["findings"][0]["line"] == 8
    assert len(found["survivors"]) == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("condition:", "conditoin:"), "unknown_key"),
        (("drift.ks", "drift.kss"), "unknown_metric"),
        (("title: A", "title: A\n      title: B"), "duplicate_key"),
    ],
)
def test_what_cannot_be_loaded_exits_2_with_one_sentence(tmp_path, capsys, change, code):
    path = tmp_path / "mine.yaml"
    path.write_text(BAD.replace(*change))
    for command in ("lint", "test"):
        status, found, err = run(capsys, command, str(path), "--json")
        assert (status, found["error"]["code"]) == (2, code)
        assert found["error"]["where"].startswith(f"{path}:")
        assert found["error"]["fix"]
        assert err.startswith(f"error[{code}]: ")
        assert err.count("\n") == 1


def test_missing_files_homes_and_policies(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("AUDITOR_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "lint", "--json")[1]["error"]["code"] == "no_home"
    assert run(capsys, "lint", "nothing.yaml", "--json")[1]["error"]["code"] == "no_file"
    (tmp_path / "empty").mkdir()
    assert run(capsys, "test", "empty", "--json")[1]["error"]["code"] == "no_policies"


def judged(home, **overrides):
    """Commit a window with two verdicts of the starter pack."""
    settings = load_settings(home)
    starter = load_policies(settings).policy("starter")
    first = make_run()
    common = {"policy": "starter", "policy_digest": starter.digest, "start": first.span.start, "end": first.span.end}
    verdicts = (
        make_verdict(**{**common, "control": "drift-inputs", **overrides}),
        make_verdict(**{**common, "control": "missing-modality", "force": Force.INTERNAL}),
    )
    store = SqlStore(settings.store_url)
    try:
        store.commit(make_audit(run=first, verdicts=verdicts, measurements=(), alerts=type(make_audit().alerts)()))
    finally:
        store.close()
    return verdicts


def test_check_says_what_held_and_what_is_missing(home, capsys):
    judged(home)
    code, found, _ = run(capsys, "check", "--home", str(home), "--model", "digit-reader", "--json")
    assert code == 0
    assert set(found) == {"schema", "model", "at", "verdicts", "articles", "gaps", "counts"}
    assert found["counts"]["pass"] == 2
    assert {"article": None, "control": "bias-gap", "reason": "not_judged"} in found["gaps"]
    assert run(capsys, "check", "--home", str(home), "--model", "digit-reader")[1].startswith("digit-reader, window to")


@pytest.mark.parametrize(
    ("word", "strict", "lenient"),
    [
        (Word.FAIL, 1, 1),
        (Word.ERROR, 1, 1),
        (Word.INSUFFICIENT_EVIDENCE, 1, 0),
        (Word.WARN, 0, 0),
        (Word.WAIVED, 0, 0),
        (Word.NOT_APPLICABLE, 0, 0),
    ],
)
def test_exit_codes_of_check(home, capsys, word, strict, lenient):
    judged(home, verdict=word, reason="breach", state=State.OK)
    arguments = ("check", "--home", str(home), "--model", "digit-reader", "--json")
    assert run(capsys, *arguments)[0] == strict
    assert run(capsys, *arguments, "--allow-insufficient")[0] == lenient


def test_check_shows_the_last_window_as_of_a_time(home, capsys):
    first = judged(home)[0]
    before = (first.end - timedelta(seconds=1)).isoformat()
    code, found, _ = run(capsys, "check", "--home", str(home), "--model", "digit-reader", "--at", before, "--json")
    assert (code, found["error"]["code"]) == (2, "no_verdicts")
    code, found, _ = run(capsys, "check", "--home", str(home), "--model", "nobody", "--json")
    assert (code, found["error"]["code"]) == (2, "unknown_model")


def test_explain_needs_no_home(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("AUDITOR_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    code, found, _ = run(capsys, "explain", "declared-accuracy", "--json")
    assert code == 0
    (control,) = found["controls"]
    assert control["holds_when"] == "at least 0.9"
    assert control["refs"][0]["applies_from"] == {"annex_iii": "2027-12-02", "annex_i": "2028-08-02"}
    code, text, _ = run(capsys, "explain", "starter/drift-inputs")
    assert code == 0
    assert "at most 0.07" in text
    assert run(capsys, "explain", "nope", "--json")[1]["error"]["code"] == "unknown_control"


def test_schema_is_json(capsys):
    assert main(["policy", "schema"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["$schema"].endswith("2020-12/schema")
    assert {"Policy", "SystemProfile", "LegalCalendar", "Waiver", "Attestation", "PolicyTest"} <= set(found["$defs"])
