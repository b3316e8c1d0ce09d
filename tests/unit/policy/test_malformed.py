"""Malformed files by a generator: each is refused with file, line, code and what to do, and none of it is evaluated."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from policy_factory import VOCABULARY

from auditor.cli import main
from auditor.core.errors import PolicyError
from auditor.policy.loader import load_policies
from auditor.policy.nodes import read_text

BASE = """\
apiVersion: auditor/v1
kind: Policy
metadata: {name: p, version: "1", title: P, calendar: law, effectiveFrom: 2026-01-01, owner: {team: t, email: e}}
spec:
  scope: {models: [triage], appliesWhen: {roles: [provider], any: [{public_body: true}, {annex_iii: "5(b)"}]}}
  budget: {false_pages: 0.05, per: P90D}
  defaults: {severity: high, for: 1d, onMissing: insufficient_evidence, window: {minSamples: {total: 50}}}
  waiverRules: {maxDuration: 30d, requireApproverRole: [risk-owner], nonWaivable: [signed]}
  plannedChanges: [{control: missing, start: 2026-03-01, until: 2026-03-08, owner: A. Novak, reason: new scanner}]
  controls:
    - id: missing
      title: Missing
      basis: binding
      refs: [{src: act, at: Art. 10, relation: evidences}]
      thresholdSource: {kind: risk-file, document: D}
      evidence: {kind: metric, metric: input.missing_rate, where: {input: clip}, sliceBy: [overall, site], quorum: 0.5}
      window: {duration: 7d, minSamples: {perSlice: 20}, maxStaleness: 3d, labelDelay: 1d}
      condition: {op: lte, value: 0.1, ci: {level: 0.95, method: wilson}, decide: {report: compliance, alert: violation}}
      warn: {op: lte, value: 0.05}
      clear: {value: 0.08, for: 1d}
      onFail: {notify: [team], incident: {draft: art73, question: harm?}}
      advisory: false
    - id: signed
      title: Signed
      basis: internal
      evidence: {kind: attestation, statement: s, validFor: 30d, invalidatedBy: [intended_purpose]}
---
apiVersion: auditor/v1
kind: SystemProfile
metadata: {name: triage-system}
spec: {models: [triage], roles: [provider], route: annex_iii, modelVersion: v1, placedOnMarket: 2026-01-01, facts: {public_body: true}}
---
apiVersion: auditor/v1
kind: LegalCalendar
metadata: {name: law, version: "1"}
spec:
  src: act
  title: An act
  verifiedOn: 2026-01-01
  provisions:
    - {at: Art. 10, title: Data, who: [provider], appliesFrom: {annex_iii: 2026-01-01}, source: Art. 113, confidence: primary}
  frameworks: [{src: nist, title: N, clauses: [MEASURE]}]
  milestones: [{on: 2026-01-01, what: start, provision: Art. 113, confidence: primary}]
---
apiVersion: auditor/v1
kind: Waiver
metadata: {name: w}
spec:
  control: missing
  slice: {site: north}
  reason: new scanner
  requestedBy: {name: A. Novak, role: lead}
  approvedBy: {name: B. Rossi, role: risk-owner}
  approvedOn: 2026-01-01
  expires: 2026-01-20
---
apiVersion: auditor/v1
kind: Attestation
metadata: {name: a}
spec:
  statement: s
  system: triage-system
  subject: {intended_purpose: triage}
  result: satisfied
  by: {name: C. Meyer, role: lead}
  reviewedBy: {name: B. Rossi, role: risk-owner}
  on: 2026-01-01
  validUntil: 2026-02-01
---
apiVersion: auditor/v1
kind: PolicyTest
metadata: {name: t}
policy: p
start: 2026-01-05
step: 1d
profile: {roles: [provider], route: annex_iii, facts: {public_body: true}}
cases:
  - name: one
    control: missing
    input: clip
    series: "0.01@400 _ 0.3@400x2"
    expect: [{at: 0d, verdict: pass, state: ok, force: binding}]
"""
FREE = ("where", "facts", "subject", "appliesWhen", "slice", "thresholdSource", "any", "appliesFrom", "owner")
"""Mappings whose keys are free, or words of another kind than keys of a struct."""
Path_ = tuple[Any, ...]


def walk(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    yield path, value
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from walk(part, (*path, key))


def changed(document: Any, path: Path_, value: Any, rename: str | None = None) -> Any:
    found = copy.deepcopy(document)
    place = found
    for key in path[:-1]:
        place = place[key]
    if rename is not None:
        place[rename] = place.pop(path[-1])
    else:
        place[path[-1]] = value
    return found


def structural() -> list[tuple[str, str]]:
    documents = [node.plain() for node in read_text(BASE)]
    found = []
    for i, document in enumerate(documents):
        for path, value in walk(document):
            if not path:
                continue
            name = f"{document['kind']}.{'.'.join(map(str, path))}"
            if not isinstance(value, dict | list):
                for label, wrong in (("object", {"zz": {"zz": 1}}), ("list", [[["zz"]]])):
                    found.append(
                        (f"{name} as {label}", [*documents[:i], changed(document, path, wrong), *documents[i + 1 :]])
                    )
            inside = set(path[:-1]) & set(FREE)
            if isinstance(path[-1], str) and not inside:
                worse = changed(document, path, None, rename=f"{path[-1]}zz")
                found.append((f"{name} misspelt", [*documents[:i], worse, *documents[i + 1 :]]))
    # JSON over several lines is YAML with lines
    return [(name, "\n---\n".join(json.dumps(part, indent=1) for part in parts)) for name, parts in found]


SEMANTIC = [
    ("unknown_attribute", "where: {input: clip}", "where: {inptu: clip}"),
    ("unknown_attribute", "where: {input: clip}", "where: {inptu: null}"),
    ("unknown_value", "where: {input: clip}", "where: {modality: imagge}"),
    ("bad_slice", "sliceBy: [overall, site]", 'sliceBy: ["site*sex"]'),
    ("bad_slice", "sliceBy: [overall, site]", "sliceBy: [site, site]"),
    ("unknown_method", "method: wilson", "method: willson"),
    ("warn_outside_limit", "warn: {op: lte, value: 0.05}", "warn: {op: lte, value: 0.2}"),
    ("warn_outside_limit", "warn: {op: lte, value: 0.05}", "warn: {op: gte, value: 0.05}"),
    ("clear_outside_limit", "clear: {value: 0.08", "clear: {value: 0.18"),
    ("ci_with_significance", "advisory: false", "significance: budget"),
    ("unknown_fact", "any: [{public_body: true}", "any: [{publik_body: true}"),
    ("unknown_fact", "facts: {public_body: true}}\n---", "facts: {publik_body: true}}\n---"),
    ("wrong_fact_type", "any: [{public_body: true}", "any: [{public_body: yes}"),
    ("wrong_fact_type", "facts: {public_body: true}}\n---", "facts: {public_body: maybe}}\n---"),
    ("unknown_value", 'annex_iii: "5(b)"', 'annex_iii: "5(z)"'),
    ("unknown_value", "appliesWhen: {roles: [provider]", "appliesWhen: {roles: [suppliers]"),
    ("unknown_fact", "invalidatedBy: [intended_purpose]", "invalidatedBy: [purpose]"),
    ("unknown_reference", "at: Art. 10, relation", "at: Art. 11, relation"),
    ("unknown_calendar", "calendar: law,", "calendar: lav,"),
    ("unknown_slice", "slice: {site: north}", "slice: {ward: north}"),
    ("unknown_policy", "policy: p\nstart", "policy: q\nstart"),
    ("unknown_control", "control: missing\n    input", "control: mising\n    input"),
    ("value_out_of_range", "0.3@400x2", "1.3@400x2"),
    ("bad_series", "0.3@400x2", "0.3@400x99999"),
    ("bad_series", "0.3@400x2", "0.3@400x999999999999"),
    ("bad_series", "0.3@400x2", "0.3 @400"),
]
REFUSED = [
    ("bad_duration", "validFor: 30d", "validFor: 0d"),
    ("bad_duration", "duration: 7d", "duration: 0h"),
    ("bad_duration", "per: P90D", "per: P0D"),
    ("bad_duration", "step: 1d", "step: 0d"),
    (
        "bad_value",
        "roles: [provider], route: annex_iii, modelVersion",
        "roles: [maker], route: annex_iii, modelVersion",
    ),
    ("fact_shadows_profile", "facts: {public_body: true}}\n---", "facts: {route: annex_i}}\n---"),
    ("unknown_control", "nonWaivable: [signed]", "nonWaivable: [sined]"),
    ("unknown_control", "plannedChanges: [{control: missing", "plannedChanges: [{control: mising"),
    ("planned_order", "until: 2026-03-08", "until: 2026-02-08"),
    (
        "self_approved",
        "name: B. Rossi, role: risk-owner}\n  approvedOn",
        "name: a novak, role: risk-owner}\n  approvedOn",
    ),
    ("self_approved", "reviewedBy: {name: B. Rossi", "reviewedBy: {name: C MEYER"),
    ("waiver_order", "expires: 2026-01-20", "expires: 2025-01-20"),
    ("attestation_order", "validUntil: 2026-02-01", "validUntil: 2025-02-01"),
    ("not_finite", "value: 0.1,", "value: .nan,"),
    ("not_finite", "value: 0.1,", "value: 1e999,"),
    ("unknown_metric", "metric: input.missing_rate", "metric: input.mising_rate"),
    ("unknown_metric", "metric: input.missing_rate", 'metric: "quality.*"'),
    ("duplicate_key", "step: 1d", "step: 1d\nstep: 1d"),
    ("yaml_alias", "title: Missing", "title: &a Missing"),
    ("yaml_tag", "title: Missing", "title: !!str Missing"),
    ("bad_yaml", "title: Missing", "title: 'Missing"),
    ("bad_yaml", "title: Missing", "title: {a"),
    ("bad_value", "name: w}", 'name: "w\\n"}'),
    ("bad_value", "title: Missing", 'title: "  "'),
]


def refusal(text: str, folder: Path) -> PolicyError:
    (folder / "p.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(PolicyError) as caught:
        load_policies([folder], VOCABULARY)
    return caught.value


def whole(error: PolicyError, folder: Path) -> bool:
    file, _, line = error.where.rpartition(":")
    return file == str(folder / "p.yaml") and line.isdigit() and bool(error.code and error.message and error.fix)


def test_the_base_is_sound(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(BASE, encoding="utf-8")
    assert len(load_policies([tmp_path], VOCABULARY).tests) == 1


def test_three_hundred_malformed_files_are_refused(tmp_path: Path) -> None:
    cases = structural()
    assert len(cases) >= 300
    for name, text in cases:
        error = refusal(text, tmp_path)
        assert whole(error, tmp_path), (name, error)
        assert "\n" not in error.line(), name


@pytest.mark.parametrize(("code", "old", "new"), [*SEMANTIC, *REFUSED])
def test_what_cannot_be_meant_is_refused(code: str, old: str, new: str, tmp_path: Path) -> None:
    assert BASE.count(old) >= 1
    error = refusal(BASE.replace(old, new, 1), tmp_path)
    assert (error.code, whole(error, tmp_path)) == (code, True)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n---\n"])
def test_an_empty_file_is_refused(text: str, tmp_path: Path) -> None:
    assert refusal(text, tmp_path).code == "empty_file"


@pytest.mark.parametrize(("cases", "exit_code"), [(SEMANTIC, 1), (REFUSED, 2)])
def test_lint_lists_what_cannot_be_meant_and_stops_at_what_cannot_be_read(
    cases: list[tuple[str, str, str]], exit_code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for code, old, new in cases[::6]:
        (tmp_path / "p.yaml").write_text(BASE.replace(old, new, 1), encoding="utf-8")
        assert main(["policy", "lint", str(tmp_path)]) == exit_code
        shown = capsys.readouterr()
        assert code in (shown.out if exit_code == 1 else shown.err)
        assert "Traceback" not in shown.err
