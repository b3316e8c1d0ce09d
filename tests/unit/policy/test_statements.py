"""What named persons state by command: checked like a file, recorded first, in force with the next audit."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from policy_factory import MODEL, PROFILE, Judged, controls, policy_set

from auditor.cli import main
from auditor.core.errors import ConfigurationError, PolicyError
from auditor.core.verdict import Word
from auditor.policy.schema import Person
from auditor.policy.statements import Known, in_force, listed, stated

RULES = controls(
    """\
    - id: drill
      title: Drill
      basis: internal
      severity: critical
      evidence: {kind: attestation, statement: drill, validFor: 90d, invalidatedBy: [model_version]}
    - id: screen
      title: Screen
      basis: internal
      evidence: {kind: attestation, statement: screen, validFor: 90d}
    """,
    "waiverRules: {maxDuration: 30d, requireApproverRole: [risk-owner], nonWaivable: [screen]}\n",
)
AT = datetime(2026, 1, 12, tzinfo=UTC)
MEYER, ROSSI = Person(name="C. Meyer", role="shift-lead"), {"name": "B. Rossi", "role": "risk-owner"}
WAIVE = {"model": MODEL, "control": "drill", "reason": "moved to March", "approved_by": ROSSI, "expires": "2026-02-01"}
ATTEST = {"model": MODEL, "statement": "drill", "reviewed_by": ROSSI}


def state(kind, payload, by=MEYER, **known):
    return stated(
        kind, payload, by=by, at=AT, policies=policy_set(RULES, PROFILE), known=Known(models=[MODEL], **known)
    )


def word(*commands, served=()):
    policies = in_force(policy_set(RULES, PROFILE), commands, Path("nowhere"))
    found = Judged(policies).next()
    return {verdict.control: (verdict.verdict, verdict.reason) for verdict in found.values()}["drill"]


def test_a_statement_counts_from_the_next_audit_and_names_its_facts():
    command = state("attest", ATTEST, served={MODEL: ["1.2.3"]})
    assert command.payload["document"]["spec"]["subject"] == {"model_version": ["1.2.3"]}
    assert word() == (Word.INSUFFICIENT_EVIDENCE, "attestation_missing")
    assert word(command) == (Word.PASS, "")
    assert word(state("attest", ATTEST, served={MODEL: ["9"]})) == (
        Word.INSUFFICIENT_EVIDENCE,
        "attestation_invalidated",
    )
    alone = {key: value for key, value in ATTEST.items() if key != "reviewed_by"}
    assert word(state("attest", alone, served={MODEL: ["1.2.3"]}))[1] == "attestation_unreviewed"
    assert word(state("attest", {**ATTEST, "satisfied": False}))[0] is Word.FAIL


def test_a_waiver_by_command_waives_until_it_ends():
    command = state("waive", WAIVE)
    assert word(command)[0] is Word.WAIVED
    past = dataclasses.replace(
        command, payload=json.loads(json.dumps(command.payload).replace("2026-02-01", "2026-01-13"))
    )
    assert word(past)[0] is Word.INSUFFICIENT_EVIDENCE


@pytest.mark.parametrize(
    ("kind", "change", "code"),
    [
        ("waive", {"control": "screen"}, "waiver_refused"),
        ("waive", {"control": "dril"}, "unknown_control"),
        ("waive", {"approved_by": {"name": "c meyer", "role": "risk-owner"}}, "self_approved"),
        ("waive", {"approved_by": {"name": "B. Rossi", "role": "friend"}}, "waiver_refused"),
        ("waive", {"expires": "2026-06-01"}, "waiver_too_long"),
        ("waive", {"expires": "2025-06-01"}, "waiver_order"),
        ("waive", {"expires": "soon"}, "bad_time"),
        ("waive", {"slice": "site=north"}, "unknown_slice"),
        ("waive", {"reason": " "}, "bad_command"),
        ("waive", {"colour": "red"}, "bad_command"),
        ("attest", {"statement": "dril"}, "unknown_statement"),
        ("attest", {"model": "other"}, "unknown_model"),
        ("attest", {"reviewed_by": {"name": "C MEYER", "role": "x"}}, "self_approved"),
        ("attest", {"reviewed_by": {"name": "B"}}, "missing_key"),
        ("attest", {"evidence": [{"uri": "a", "sha256": "b"}]}, "bad_value"),
        ("attest", {"valid_until": "2026-01-01"}, "attestation_order"),
    ],
)
def test_what_cannot_hold_is_not_recorded(kind, change, code):
    with pytest.raises((ConfigurationError, PolicyError)) as caught:
        state(kind, {**(WAIVE if kind == "waive" else ATTEST), **change})
    assert caught.value.code == code


def test_reviews_are_opened_and_signed_by_two_persons():
    opened = state("review.open", {"model": MODEL})
    for by, commands, code in ((ROSSI, [], "no_open_review"), (None, [opened], "self_approved")):
        with pytest.raises(ConfigurationError) as caught:
            state("review.sign", {"model": MODEL}, by=Person(**by) if by else MEYER, commands=commands)
        assert caught.value.code == code
    signed = state("review.sign", {"model": MODEL}, by=Person(**ROSSI), commands=[opened])
    assert signed.payload["review"] == opened.id
    with pytest.raises(ConfigurationError, match="no review"):
        state("review.sign", {"model": MODEL}, by=Person(**ROSSI), commands=[opened, signed])


def test_an_alert_is_acknowledged_while_it_is_open():
    ack = {"model": MODEL, "alert": "a1", "reason": "on it"}
    assert state("ack", ack, alerts={"a1": MODEL}).payload["alert"] == "a1"
    with pytest.raises(ConfigurationError, match="no open alert"):
        state("ack", ack)


def test_everything_is_listed_with_who_and_when():
    commands = [state("attest", ATTEST), state("waive", WAIVE), state("review.open", {"model": MODEL})]
    found = listed(in_force(policy_set(RULES, PROFILE), commands, Path("nowhere")), commands, MODEL)
    assert sorted(item["kind"] for item in found) == ["attest", "review.open", "waive"]
    assert {(item["by"], item["role"]) for item in found} == {("C. Meyer", "shift-lead")}
    assert all(item["at"] == "2026-01-12T00:00:00Z" and item["digest"] for item in found)


def test_the_commands_record_statements_in_a_home(tmp_path, capsys):
    home = tmp_path / "home"
    assert main(["init", str(home)]) == 0
    (home / "policies" / "rules.yaml").write_text(RULES, encoding="utf-8")
    (home / "policies" / "profile.yaml").write_text(PROFILE, encoding="utf-8")
    drill = tmp_path / "drill.PDF"
    drill.write_bytes(b"held")
    who = ["--home", str(home), "--model", MODEL, "--by", "C. Meyer", "--role", "lead"]
    second = ["--reviewed-by", "B. Rossi", "--reviewer-role", "owner"]
    assert main(["attest", "drill", *who, *second, "--evidence", str(drill)]) == 0
    until = f"{datetime.now(UTC) + timedelta(days=5):%Y-%m-%d}"
    approved = ["--approved-by", "B. Rossi", "--approver-role", "risk-owner", "--reason", "later", "--expires", until]
    assert main(["waive", "drill", *who, *approved]) == 0
    assert main(["waive", "screen", *who, *approved]) == 2
    assert main(["review", "open", *who]) == 0
    assert main(["review", "sign", *who]) == 2
    assert main(["ack", "none", "--home", str(home), "--by", "A", "--reason", "r"]) == 2
    capsys.readouterr()
    assert main(["statements", "--home", str(home), "--model", MODEL, "--json"]) == 0
    items = json.loads(capsys.readouterr().out)["items"]
    assert [item["kind"] for item in items] == ["attest", "waive", "review.open"]
    (sha,) = items[0]["evidence"]
    assert (home / "artifacts" / f"{sha}.pdf").read_bytes() == b"held"
