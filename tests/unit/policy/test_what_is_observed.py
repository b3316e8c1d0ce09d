"""Observed beats declared: files are opened, records show modalities, environments and required metrics count."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from policy_factory import DAY, MODEL, PROFILE, START, VOCABULARY, Judged, controls, policy_set

from auditor.core.errors import ConfigurationError
from auditor.core.verdict import Word
from auditor.core.window import format_time
from auditor.policy.facts import FACTS
from auditor.policy.interview import interview, known_answers, written
from auditor.policy.lint import lint
from auditor.policy.loader import load_policies
from auditor.testing import make_measurement

DRILL = """\
- id: drill
  title: Drill
  basis: internal
  evidence: {kind: KIND, statement: drill, validFor: 90d, invalidatedBy: [WHAT]}
"""
SIGNED = """\
apiVersion: auditor/v1
kind: Attestation
metadata: {name: s}
spec:
  statement: drill
  system: triage
  subject: {model_version: 1.2.3, modalities: [image, text]}
  result: satisfied
  by: {name: C. Meyer, role: lead}
  on: 2026-01-01
"""


def drill(kind: str = "attestation", what: str = "model_version") -> str:
    return controls(DRILL.replace("KIND", kind).replace("WHAT", what))


def judged(folder: Path, evidence: str, kind: str = "attestation"):
    (folder / "p.yaml").write_text(drill(kind), encoding="utf-8")
    (folder / "profile.yaml").write_text(PROFILE, encoding="utf-8")
    (folder / "s.yaml").write_text(SIGNED + evidence, encoding="utf-8")
    found = load_policies([folder], VOCABULARY)
    (verdict,) = Judged(found).next().values()
    codes = [item.code for item in lint(found, START)]
    return verdict.verdict, verdict.reason, codes


@pytest.mark.parametrize("kind", ["attestation", "artifact", "report"])
def test_attached_files_are_opened_and_compared(kind: str, tmp_path: Path) -> None:
    (tmp_path / "drill.pdf").write_bytes(b"held on 2 October")
    sha = hashlib.sha256(b"held on 2 October").hexdigest()
    attached = f'  evidence: [{{uri: "file:drill.pdf", sha256: "{sha}"}}]\n'
    assert judged(tmp_path, attached, kind) == (Word.PASS, "", [])
    unknown = Word.INSUFFICIENT_EVIDENCE
    for uri in ("drill.doc", "s3://bucket/drill.pdf", "../drill.pdf", "."):
        other = attached.replace("file:drill.pdf", uri)
        assert judged(tmp_path, other, kind) == (unknown, "evidence_missing", ["evidence_missing"]), uri
    (tmp_path / "drill.pdf").write_bytes(b"held on 3 October")
    assert judged(tmp_path, attached, kind) == (unknown, "evidence_changed", ["evidence_changed"])
    bare = judged(tmp_path, "", kind)
    assert bare == ((Word.PASS, "", []) if kind == "attestation" else (unknown, "evidence_missing", []))


def test_a_modality_that_records_show_voids_the_statement() -> None:
    days = Judged(
        policy_set(drill(what="modalities"), PROFILE.replace("route:", "modalities: [image, text]\n  route:"), SIGNED)
    )

    def seen(*modalities: str):
        figures = [
            make_measurement(
                metric="input.missing_rate",
                value=0.0,
                n=50,
                model=MODEL,
                start=days.start,
                end=days.start + DAY,
                attributes={"input": name, "modality": name},
            )
            for name in modalities
        ]
        (verdict,) = days.next(*figures).values()
        return verdict.verdict, verdict.reason

    assert seen("image", "text") == (Word.PASS, "")
    assert seen("image") == (Word.PASS, "")
    assert seen("image", "text", "audio") == (Word.INSUFFICIENT_EVIDENCE, "attestation_invalidated")


RATE = """\
- id: c
  title: C
  basis: internal
  evidence: {kind: metric, metric: fairness.accuracy, sliceBy: [site], requires: [quality.error]}
  window: {smallSlice: {below: 0.1, do: report_only}}
  condition: {op: gte, value: 0.8}
"""


def test_small_slices_are_shown_only_and_required_metrics_must_be_there() -> None:
    days = Judged(policy_set(controls(RATE)))

    def at(group: str, value: float, n: int):
        place = {"feature": "site", "group": group}
        return make_measurement(
            metric="fairness.accuracy", value=value, n=n, start=days.start, end=days.start + DAY, attributes=place
        )

    def needed():
        return make_measurement(metric="quality.error", value=0.1, n=9, start=days.start, end=days.start + DAY)

    found = days.next(at("north", 0.5, 900), at("south", 0.5, 50), needed())
    assert {key[1]: (v.verdict, v.reason, v.observed) for key, v in found.items()} == {
        "site=north": (Word.FAIL, "breach", 0.5),
        "site=south": (Word.INSUFFICIENT_EVIDENCE, "small_slice", 0.5),
    }
    days = Judged(policy_set(controls(RATE)))
    (found,) = days.next(at("north", 0.9, 900)).values()
    assert (found.verdict, found.reason) == (Word.INSUFFICIENT_EVIDENCE, "required_metric_missing")


@pytest.mark.parametrize(
    ("environment", "word", "reason"),
    [
        ("environment: production\n  ", Word.PASS, ""),
        ("environment: staging\n  ", Word.NOT_APPLICABLE, "out_of_scope"),
        ("", Word.INSUFFICIENT_EVIDENCE, "fact_not_declared"),
    ],
)
def test_a_policy_counts_in_its_environments(environment: str, word: Word, reason: str) -> None:
    text = drill().replace("spec:\n", "spec:\n  scope: {environments: [production]}\n", 1)
    days = Judged(policy_set(text, PROFILE.replace("route:", f"{environment}route:"), SIGNED))
    (verdict,) = days.next().values()
    assert (verdict.verdict, verdict.reason) == (word, reason)


def test_a_planned_change_marks_a_finding_and_silences_nothing() -> None:
    body = RATE.replace(", requires: [quality.error]", "")
    until = format_time(START + 2 * DAY)
    planned = f"plannedChanges: [{{control: c, start: 2026-01-01, until: {until}, owner: A, reason: new scanner}}]\n"
    days = Judged(policy_set(controls(body, planned)))
    marks = []
    for _ in range(3):
        place = {"feature": "site", "group": "north"}
        figure = make_measurement(
            metric="fairness.accuracy", value=0.5, n=90, start=days.start, end=days.start + DAY, attributes=place
        )
        (verdict,) = days.next(figure).values()
        marks.append((verdict.verdict, "planned" in verdict.facts))
    assert marks == [(Word.FAIL, True), (Word.FAIL, True), (Word.FAIL, False)]


def test_the_interview_asks_what_rules_depend_on_and_writes_a_profile(tmp_path: Path) -> None:
    rule = drill() + "      appliesWhen: {any: [{public_body: true}, {annex_iii: '5(b)'}]}\n"
    policies = policy_set(rule).policies
    texts = iter(["deployer", "annex_ii", "annex_iii", "", "", "maybe", "no"])
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return next(texts)

    answers, open_ = interview(policies, known_answers(None, ["annex_iii=5(b),5(c)"], policies), ask)
    assert answers == {"annex_iii": ["5(b)", "5(c)"], "roles": ["deployer"], "route": "annex_iii", "public_body": False}
    assert [item["name"] for item in open_] == ["placed_on_market", "model_version"]
    assert FACTS["public_body"].question in asked[-1]
    assert "maybe" in asked[-1]
    (tmp_path / "s.yaml").write_text(written("triage/x", None, answers), encoding="utf-8")
    (profile,) = load_policies([tmp_path], VOCABULARY).profiles
    assert (profile.models, profile.route, profile.extra["public_body"]) == (("triage/x",), "annex_iii", False)
    again = known_answers(profile, [], policies)
    assert again == answers
    for wrong in ("public_body=perhaps", "annex_iii=9", "colour=red", "roles="):
        with pytest.raises(ConfigurationError):
            known_answers(None, [wrong], policies)
