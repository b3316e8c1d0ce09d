"""Every mistake in a file stops the load, with file, line and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from policy_factory import CALENDAR, PROFILE, VOCABULARY, controls, policy_set

from auditor.core.errors import PolicyError
from auditor.policy.loader import load_policies
from auditor.policy.schema import AttestationEvidence, MetricEvidence

CONTROL = """\
- id: a
  title: A
  basis: internal
  evidence: {kind: metric, metric: drift.ks}
  condition: {op: lte, value: 0.1}
"""


def refused(*texts: str) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        policy_set(*texts)
    assert caught.value.fix or caught.value.code == "bad_value"
    return caught.value


def test_a_control_takes_defaults_and_keeps_its_own():
    spec = """\
    defaults: {severity: high, for: 2d, clear: {for: 3d}, window: {minSamples: {total: 50}, maxStaleness: 2d}}
    """
    own = CONTROL + "  severity: low\n  window: {minSamples: {perSlice: 7}}\n"
    control = policy_set(controls(own, spec)).policies[0].controls[0]
    assert control.severity == "low"
    assert (control.for_.days, control.clear.for_.days, control.window.max_staleness.days) == (2, 3, 2)
    assert (control.window.total, control.window.per_slice) == (50, 7)
    assert control.where == "p.yaml:7"
    assert isinstance(control.evidence, MetricEvidence)


@pytest.mark.parametrize(
    ("change", "code", "hint"),
    [
        (("title: A", "tilte: A"), "unknown_key", "title"),
        (("  title: A\n", ""), "missing_key", "title"),
        (("drift.ks", "drift.kz"), "unknown_metric", "drift.ks"),
        (("op: lte", "op: lse"), "bad_value", "lte"),
        (("value: 0.1", "value: '0.1'"), "wrong_type", "quotes"),
        (("value: 0.1", "value: [0.1, 0.2]"), "bad_value", "lte takes one number"),
        (("op: lte, value: 0.1", "op: between, value: [2, 1]"), "bad_value", "between"),
        (("op: lte, value: 0.1", "op: unchanged"), "bad_value", "significance"),
        (("  condition: {op: lte, value: 0.1}\n", ""), "missing_key", "condition"),
        (("basis: internal", "basis: law"), "bad_value", "internal"),
        (("basis: internal", "basis: binding"), "no_reference", "refs"),
        (("basis: internal", "basis: internal\n  significance: budget"), "no_budget", "budget"),
        (("basis: internal", "basis: internal\n  onMissing: hold_last"), "bad_value", "maxStaleness"),
        (("basis: internal", "basis: internal\n  onMissing: pass"), "bad_value", ""),
        (("basis: internal", "basis: internal\n  for: two days"), "bad_duration", "36h"),
        (("basis: internal", "basis: internal\n  advisory: yes"), "wrong_type", "true"),
        (("value: 0.1}", "value: 0.1, decide: {report: compliance}}"), "bad_value", "ci"),
        (
            ("basis: internal", "basis: internal\n  refs: [{src: act, at: Art. 1, relation: supports}]"),
            "no_calendar",
            "calendar",
        ),
        (("basis: internal", "basis: internal\n  appliesWhen: {}"), "bad_value", "fact"),
    ],
)
def test_a_wrong_control_is_refused(change, code, hint):
    error = refused(controls(CONTROL.replace(*change)))
    assert error.code == code
    assert hint in f"{error.message} {error.fix}"
    assert error.where.startswith("p.yaml:")


def test_line_of_an_unknown_key_is_the_key():
    text = controls(CONTROL.replace("  basis", "  owner_: me\n  basis"))
    assert refused(text).where == f"p.yaml:{1 + text.splitlines().index('      owner_: me')}"


def test_names_and_ids_are_unique():
    assert refused(controls(CONTROL + CONTROL)).code == "duplicate_id"
    assert refused(controls(CONTROL), controls(CONTROL)).code == "duplicate_name"
    assert refused(PROFILE, PROFILE.replace("name: triage", "name: other")).code == "duplicate_model"


def test_references_resolve_in_the_calendar():
    ref = CONTROL.replace("basis: internal", 'basis: internal\n  refs: [{src: SRC, at: "AT", relation: supports}]')

    def with_ref(src, at):
        return controls(ref.replace("SRC", src).replace("AT", at), meta=", calendar: law"), CALENDAR

    for src, at in (("act", "Art. 10(2)(f)"), ("act", "Art. 1"), ("nist", "MEASURE 2.4"), ("free", "anything")):
        assert policy_set(*with_ref(src, at)).policies
    for src, at in (("act", "Art. 2"), ("act", "Art. 100"), ("nist", "MANAGE 1"), ("gdpr", "Art. 9")):
        assert refused(*with_ref(src, at)).code == "unknown_reference"
    assert refused(controls(CONTROL, meta=", calendar: other"), CALENDAR).code == "unknown_calendar"
    assert policy_set(controls(CONTROL, meta=", calendar: law@2026"), CALENDAR).policies
    assert refused(controls(CONTROL, meta=", calendar: law@2025"), CALENDAR).code == "unknown_calendar"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("kind: Policy", "missing_key"),
        ("apiVersion: auditor/v2\nkind: Policy", "bad_api_version"),
        ("apiVersion: auditor/v1\nkind: Polisy", "unknown_kind"),
        ("- a\n- b", "wrong_type"),
        ("apiVersion: auditor/v1", "missing_key"),
        (PROFILE.replace("modelVersion: 1.2.3", "modelVersion: 1.2"), "wrong_type"),
        (PROFILE.replace("route: annex_iii", "route: annex_ii"), "bad_value"),
    ],
)
def test_wrong_documents(text, code):
    assert refused(text).code == code


def test_a_waiver_is_never_approved_by_who_asked():
    waiver = """\
    apiVersion: auditor/v1
    kind: Waiver
    metadata: {name: w}
    spec:
      control: a
      slice: {site: north, age: old}
      reason: new device
      requestedBy: {name: A, role: lead}
      approvedBy: {name: B, role: risk-owner}
      approvedOn: 2026-01-01
      expires: 2026-02-01
    """
    found = policy_set(waiver).waivers[0]
    assert found.slice == "age=old&site=north"
    assert refused(waiver.replace("name: B", "name: a")).code == "self_approved"
    assert refused(waiver.replace("2026-02-01", "2025-02-01")).code == "waiver_order"


def test_digest_follows_meaning_not_looks():
    first = policy_set(controls(CONTROL)).policies[0]
    again = policy_set("# a comment\n" + controls(CONTROL).replace("{op: lte, value: 0.1}", "{value: 0.1, op: lte}"))
    other = policy_set(controls(CONTROL.replace("0.1", "0.2"))).policies[0]
    assert first.digest == again.policies[0].digest != other.digest
    assert len(first.digest) == 64


def test_attestation_evidence_and_facts():
    body = """\
    - id: a
      title: A
      basis: internal
      appliesWhen: {roles: [provider, deployer], anyOf: [{public_body: true}], noneOf: [{route: annex_i}]}
      evidence: {kind: attestation, statement: s, validFor: 30d, invalidatedBy: [model_version]}
    """
    control = policy_set(controls(body)).policies[0].controls[0]
    assert isinstance(control.evidence, AttestationEvidence)
    profile = policy_set(PROFILE).profiles[0]
    assert control.applies_when.hold(profile.facts())
    assert not control.applies_when.hold({**profile.facts(), "route": ("annex_i",)})
    assert not control.applies_when.hold({**profile.facts(), "public_body": (False,)})
    assert control.applies_when.names() == {"roles", "public_body", "route"}


def test_files_folders_and_calendars_beside_them(tmp_path):
    law, home = tmp_path / "law", tmp_path / "home"
    law.mkdir()
    home.mkdir()
    (law / "calendar.yaml").write_text(CALENDAR)
    (law / "rules.yaml").write_text(controls(CONTROL, meta=", calendar: law"))
    (home / "deep").mkdir()
    (home / "deep" / "mine.yml").write_text(controls(CONTROL, meta=", calendar: law").replace("name: p", "name: q"))
    found = load_policies([home, law / "rules.yaml"], VOCABULARY)
    assert {policy.name for policy in found.policies} == {"p", "q"}
    assert [calendar.name for calendar in found.calendars] == ["law"]
    assert set(found.digests()) == {"p", "q"}
    with pytest.raises(PolicyError, match="calendar"):
        load_policies([home], VOCABULARY)
    assert load_policies([home], VOCABULARY, [law / "calendar.yaml"]).policies
    own = home / "calendar.yaml"
    own.write_text(CALENDAR.replace("title: An act", "title: My reading"))
    assert load_policies([home], VOCABULARY, [law / "calendar.yaml"]).calendars[0].title == "My reading"
    with pytest.raises(PolicyError) as caught:
        load_policies([Path(tmp_path / "none.yaml")], VOCABULARY)
    assert caught.value.code == "unreadable"


def test_a_family_in_the_catalogue_matches():
    assert policy_set(controls(CONTROL.replace("drift.ks", "quality.undertriage_rate"))).policies
