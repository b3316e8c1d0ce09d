"""Lint: each code once, found where it is and nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from policy_factory import CALENDAR, PROFILE, controls, policy_set

from auditor.policy.lint import lint

NOW = datetime(2026, 3, 1, tzinfo=UTC)
GOOD = """\
- id: a
  title: A
  basis: internal
  evidence: {kind: metric, metric: input.missing_rate}
  window: {minSamples: {total: 200}}
  condition: {op: lte, value: 0.1}
"""


def codes(*texts, now=NOW):
    return [item.code for item in lint(policy_set(*texts), now)]


def test_a_good_control_is_clean():
    assert codes(controls(GOOD)) == []
    assert codes(CALENDAR, PROFILE) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("value: 0.1", "value: 1.0"), "cannot_fail"),
        (("op: lte, value: 0.1", "op: gte, value: 0.0"), "cannot_fail"),
        (("op: lte, value: 0.1", "op: lt, value: 0.0"), "cannot_pass"),
        (("op: lte, value: 0.1", "op: gt, value: 1.0"), "cannot_pass"),
        (("op: lte, value: 0.1", "op: between, value: [2, 3]"), "cannot_pass"),
        (("total: 200", "total: 1"), "no_min_samples"),
        (("value: 0.1", "value: 0.001, ci: {level: 0.95}"), "min_samples_too_small"),
        (("metric: input.missing_rate", "metric: fairness.selection_rate.ratio"), "min_samples_too_small"),
    ],
)
def test_conditions(change, code):
    body = GOOD.replace(*change)
    if "ratio" in body:
        body = body.replace("op: lte, value: 0.1", "op: gte, value: 0.8")
    assert codes(controls(body)) == [code]


def test_limits_that_can_be_kept_and_broken():
    for condition in ("op: between, value: [0.0, 0.5]", "op: lte, value: 0.0", "op: gte, value: 1.0"):
        assert codes(controls(GOOD.replace("op: lte, value: 0.1", condition))) == []


def test_basis_and_threshold_source():
    def control(basis, relation, source="thresholdSource: risk-file"):
        text = GOOD.replace(
            "basis: internal", f"basis: {basis}\n  refs: [{{src: act, at: Art. 1, relation: {relation}}}]\n  {source}"
        )
        return controls(text, meta=", calendar: law"), CALENDAR

    assert codes(*control("binding", "evidences")) == []
    assert codes(*control("voluntary", "requires")) == ["basis_contradicts_reference"]
    assert codes(*control("binding", "supports")) == ["basis_without_duty"]
    assert codes(*control("binding", "requires", "owner: me")) == ["threshold_without_source"]


def test_calendars_grow_stale():
    assert codes(CALENDAR, now=datetime(2026, 8, 1, tzinfo=UTC)) == ["calendar_stale"]


def test_waivers():
    rules = "waiverRules: {maxDuration: 30d, nonWaivable: [b]}\n"
    sliced = GOOD.replace("input.missing_rate", "fairness.accuracy, sliceBy: [site]").replace("id: a", "id: s")
    policy = controls(GOOD + GOOD.replace("id: a", "id: b") + sliced, rules)

    def waiver(control, expires="2026-03-10", more=""):
        return f"""\
apiVersion: auditor/v1
kind: Waiver
metadata: {{name: w}}
spec:
  control: {control}
  reason: r
  requestedBy: {{name: A, role: x}}
  approvedBy: {{name: B, role: y}}
  approvedOn: 2026-02-20
  expires: {expires}
{more}"""

    assert codes(policy, waiver("a")) == []
    assert codes(policy, waiver("nope")) == ["waiver_unused"]
    assert codes(policy, waiver("a", more="  system: other\n")) == ["waiver_unused"]
    assert codes(policy, waiver("b")) == ["waiver_refused"]
    assert codes(controls(GOOD), waiver("a")) == ["waiver_refused"]
    assert codes(policy, waiver("a", "2026-02-25")) == ["waiver_expired"]
    assert codes(policy, waiver("a", "2026-06-01")) == ["waiver_too_long"]
    assert codes(policy, waiver("s")) == ["waiver_over_broad"]
    assert codes(policy, waiver("s", more="  slice: site=north\n")) == []


def test_attestations():
    policy = controls(
        "- id: a\n  title: A\n  basis: internal\n  evidence: {kind: attestation, statement: drill, validFor: 90d}\n"
    )
    signed = """\
apiVersion: auditor/v1
kind: Attestation
metadata: {name: s}
spec: {statement: drill, system: triage, result: satisfied, by: {name: A, role: x}, on: 2026-01-01, validUntil: 2026-06-01}
"""
    assert codes(policy, signed, PROFILE) == []
    assert codes(policy, signed) == ["attestation_unused"]
    assert codes(policy, signed.replace("drill", "other"), PROFILE) == ["attestation_unused"]
    assert codes(policy, signed.replace("2026-06-01", "2026-02-01"), PROFILE) == ["attestation_expired"]


def test_findings_point_at_file_and_line():
    (found,) = lint(policy_set(controls(GOOD.replace("value: 0.1", "value: 1.0"))), NOW)
    assert (found.file, found.line) == ("p.yaml", 6)
    assert set(found.as_json()) == {"code", "file", "line", "message", "fix"}
