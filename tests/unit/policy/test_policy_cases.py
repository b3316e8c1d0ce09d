"""`policy test`: the notation, the walk through a case, what is untested, and mutations."""

from __future__ import annotations

import pytest
from policy_factory import controls, policy_set

from auditor.audit.judge import judge
from auditor.core.errors import PolicyError
from auditor.policy.cases import parse_series
from auditor.policy.suite import mutants, run_suite, step_of

UNDERTRIAGE = """\
- id: undertriage
  title: Under-triage no worse than declared
  basis: internal
  evidence: {kind: metric, metric: quality.undertriage_rate}
  window: {minSamples: {total: 2000}, maxStaleness: 36h}
  condition: {op: lte, value: 0.05, ci: {level: 0.95, method: wilson}}
  warn: {op: lte, value: 0.04}
  for: 48h
  clear: {value: 0.045, for: 72h}
"""
CASES = """\
apiVersion: auditor/v1
kind: PolicyTest
metadata: {name: t}
policy: p
start: 2026-11-05T00:00:00Z
step: 12h
cases:
  - name: sustained breach fires only after for, silence does not heal it
    control: undertriage
    series: "0.030@4000 0.070@4000x4 _x3 0.030@4000x8"
    expect:
      - {at: 0h, verdict: pass}
      - {at: 12h, verdict: warn, state: pending}
      - {at: 60h, verdict: fail, state: firing}
      - {at: 84h, verdict: fail, state: firing, reason: held_no_data}
      - {at: 120h, verdict: fail, state: recovering}
      - {at: 192h, verdict: pass, state: ok}
  - name: too few cases are never a pass
    control: undertriage
    series: "0.000@150x3"
    expect: [{at: 12h, verdict: insufficient_evidence, reason: below_min_samples}]
  - name: interval straddles the threshold
    control: undertriage
    series: "0.048@2100x3"
    expect: [{at: 12h, verdict: insufficient_evidence, reason: interval_straddles_threshold}]
  - name: monitoring stopped
    control: undertriage
    series: "0.030@4000 _x5"
    expect: [{at: 60h, verdict: insufficient_evidence, reason: stale}]
  - name: nan is not evidence
    control: undertriage
    series: "nan@4000x2"
    expect: [{at: 0h, verdict: insufficient_evidence, reason: not_a_number}]
"""


def suite(body=UNDERTRIAGE, cases=CASES, spec=""):
    return run_suite(policy_set(controls(body, spec), cases), judge)


def test_a_whole_story():
    result = suite()
    assert (result.passed, result.failures, result.untested) == (5, [], [])


def test_mutations_that_no_case_notices_are_named():
    result = suite()
    assert result.survivors == ["p/undertriage: limit one step up", "p/undertriage: limit one step down"]
    near = """\
  - name: near the limit
    control: undertriage
    series: "0.046@40000 0.054@40000x4"
    expect: [{at: 0h, verdict: warn}, {at: 48h, verdict: warn}, {at: 60h, verdict: fail}]
"""
    near = near.replace("0.054@40000x4", "0.054@40000x4").replace("at: 48h", "at: 12h")
    assert suite(cases=CASES + near).survivors == []


def test_a_wrong_expectation_says_what_it_got():
    result = suite(cases=CASES.replace("at: 0h, verdict: pass", "at: 0h, verdict: fail, state: firing"))
    (failure,) = result.failures
    assert "at 0s: verdict 'pass' instead of 'fail', state 'ok' instead of 'firing'" in failure.message
    assert failure.where == "p.yaml:12"
    assert result.passed == 4
    assert "no such step" in suite(cases=CASES.replace("at: 192h", "at: 999h")).failures[0].message
    assert (
        "no verdict"
        in suite(
            cases=CASES.replace(
                'control: undertriage\n    series: "nan', 'control: undertriage\n    slice: a=b\n    series: "nan'
            )
        )
        .failures[0]
        .message
    )


def test_untested_words_are_listed():
    few = CASES[: CASES.index("  - name: too few")]
    assert suite(cases=few.replace("_x3", "0.070@4000x2")).untested == ["p/undertriage: insufficient_evidence"]
    other = UNDERTRIAGE.replace("id: undertriage", "id: other")
    assert suite(UNDERTRIAGE + other).untested == [
        "p/other: pass",
        "p/other: fail",
        "p/other: insufficient_evidence",
    ]
    rules = "waiverRules: {maxDuration: 90d}\n"
    assert suite(spec=rules).untested == ["p/undertriage: waived", "p/undertriage: waiver_expired"]
    waiver = '    series: "0.030@4000 0.070@4000x4 _x3 0.030@4000x8"\n    waivers: [{approvedOn: 2026-11-07, expires: 2026-11-08}]\n'
    text = CASES.replace('    series: "0.030@4000 0.070@4000x4 _x3 0.030@4000x8"\n', waiver)
    text = text.replace("at: 60h, verdict: fail, state: firing", "at: 60h, verdict: waived, underlying: fail")
    result = suite(cases=text, spec=rules)
    assert (result.failures, result.untested) == ([], [])


@pytest.mark.parametrize(
    "series", ["", "0.1", "0.1@", "@400", "0.1@400~2", "0.1@400~x", "0.1[1]@3", "1e999@4", "x3", "hello"]
)
def test_series_that_cannot_be_read(series):
    with pytest.raises(PolicyError) as caught:
        parse_series(series, "f.yaml:3")
    assert (caught.value.code, caught.value.where) == ("bad_series", "f.yaml:3")


def test_series_notation():
    steps = parse_series("0.3@400~1e-9x1 -0.1[-0.2;0.05]@40 _ nan@7 ?unlabelled@5 error", "here")
    assert [None if s is None else (s.value, s.n, s.p_value, s.interval, s.reason, s.error) for s in steps] == [
        (0.3, 400, 1e-9, None, "", False),
        (0.3, 400, 1e-9, None, "", False),
        (-0.1, 40, None, (-0.2, 0.05), "", False),
        None,
        (None, 7, None, None, "not_a_number", False),
        (None, 5, None, None, "unlabelled", False),
        (None, 0, None, None, "plugin_failed", True),
    ]


def test_mutants_of_a_control():
    control = policy_set(controls(UNDERTRIAGE)).policies[0].controls[0]
    found = dict(mutants(control))
    assert set(found) == {
        "operator flipped",
        "limit one step up",
        "limit one step down",
        "minSamples dropped",
        "for deleted",
    }
    assert (found["operator flipped"].condition.low, found["operator flipped"].condition.high) == (0.05, None)
    assert found["limit one step up"].condition.high == pytest.approx(0.055)
    assert step_of(0.0) == 0.01


def test_unknown_controls_and_policies():
    with pytest.raises(PolicyError, match="control"):
        suite(cases=CASES.replace("control: undertriage", "control: nope"))
    with pytest.raises(PolicyError, match="policy"):
        suite(cases=CASES.replace("policy: p", "policy: q"))
