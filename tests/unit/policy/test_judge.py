"""Verdicts from measurements: slices, inputs, words, waivers, attestations, force and explanations."""

from __future__ import annotations

from datetime import timedelta

import pytest
from policy_factory import CALENDAR, DAY, MODEL, PROFILE, START, Judged, controls, policy_set

from auditor.audit.judge import judge, needed_durations
from auditor.core.errors import PolicyError
from auditor.core.measurement import Interval, Status
from auditor.core.verdict import Force, State, Word
from auditor.core.window import Span
from auditor.policy.evidence import bet_attributes
from auditor.testing import make_measurement

DRIFT = """\
- id: drift
  title: Image drift
  basis: internal
  evidence: {kind: metric, metric: drift.ks, where: {modality: image}}
  condition: {op: lte, value: 0.15}
  window: {minSamples: {total: 100}}
  next: Look at the camera.
"""
BUDGET = "budget: {false_pages: 0.09, per: P90D}\n"


def day(days: Judged, **fields):
    """A measurement of the day that comes next."""
    return make_measurement(**{"model": MODEL, "start": days.start, "end": days.start + days.step, **fields})


def drifted(days, column, value, p_value=None, input_="photo", **fields):
    attributes = {"column": column, "input": input_, "modality": "image"}
    return day(days, value=value, p_value=p_value, attributes=attributes, **fields)


def only(verdicts):
    assert len(verdicts) == 1
    return next(iter(verdicts.values()))


def test_columns_of_one_input_are_one_verdict_and_the_deciding_figure_comes_first():
    days = Judged(policy_set(controls(DRIFT)))
    low, high, mid = (drifted(days, name, v) for name, v in (("a", 0.05), ("c", 0.4), ("b", 0.2)))
    other = drifted(days, "a", 0.1, input_="thumb")
    audio = day(days, value=0.9, attributes={"column": "snr", "input": "clip", "modality": "audio"})
    versioned = drifted(days, "a", 0.9, version="2.0")
    found = days.next(low, high, mid, other, audio, versioned)
    assert set(found) == {("drift", "overall", "photo"), ("drift", "overall", "thumb")}
    photo = found["drift", "overall", "photo"]
    assert (photo.verdict, photo.state, photo.observed, photo.limit) == (Word.FAIL, State.FIRING, 0.4, 0.15)
    assert photo.evidence == (high.id, mid.id, low.id)
    assert (photo.kind, photo.modality, photo.input, photo.n) == ("image", "image", "photo", 400)
    assert found["drift", "overall", "thumb"].verdict is Word.PASS


def test_a_budgeted_control_needs_effect_and_significance():
    days = Judged(policy_set(controls(DRIFT + "  significance: budget\n", BUDGET)))
    # one control, 90 windows, two series: 0.09 / 90 / 2 = 5e-4 for each
    found = only(days.next(drifted(days, "a", 0.3, 6e-4), drifted(days, "b", 0.05, 0.5)))
    assert (found.verdict, found.reason, found.state) == (Word.INSUFFICIENT_EVIDENCE, "not_significant", State.OK)
    assert found.budget_share == pytest.approx(0.09)
    found = only(days.next(drifted(days, "a", 0.3, 5e-4), drifted(days, "b", 0.05, 0.5)))
    assert (found.verdict, found.reason) == (Word.FAIL, "breach")
    assert found.facts["alpha"] == pytest.approx(5e-4)
    found = only(days.next(drifted(days, "a", 0.1, 1e-30), drifted(days, "b", 0.05, 0.5)))
    assert (found.verdict, found.state) == (Word.PASS, State.OK)
    assert only(days.next(drifted(days, "a", 0.1, None), drifted(days, "b", 0.1, 0.5))).reason == "no_p_value"


def bet(days, figure, won):
    """What bets on the figure's series have won."""
    return day(days, metric="drift.e_value", value=won, attributes=figure.attributes)


def test_bets_take_the_place_of_the_window_s_own_p_value():
    days = Judged(policy_set(controls(DRIFT + "  significance: e-value\n", BUDGET)))
    # one control, 90 windows, two series: one page in 0.09 / 90 / 2 windows of each, from 2000 on
    figures = [drifted(days, "a", 0.3, 1e-30), drifted(days, "b", 0.05, 0.5)]
    found = only(days.next(*figures, bet(days, figures[0], 1999.0), bet(days, figures[1], 1e9)))
    assert (found.verdict, found.reason, found.state) == (Word.INSUFFICIENT_EVIDENCE, "not_significant", State.OK)
    assert found.budget_share == pytest.approx(0.09)
    figures = [drifted(days, "a", 0.3, 0.2), drifted(days, "b", 0.05, 0.5)]
    bets = [bet(days, figures[0], 2001.0), bet(days, figures[1], 1.0)]
    found = only(days.next(*figures, *bets))
    assert (found.verdict, found.reason, found.observed) == (Word.FAIL, "breach", 0.3)
    assert found.evidence[:2] == (figures[0].id, bets[0].id)
    assert found.facts["e_value"] == pytest.approx(2001)
    figures = [drifted(days, "a", 0.1, 0.2), drifted(days, "b", 0.05, 0.5)]
    found = only(days.next(*figures, bet(days, figures[0], 1e9), bet(days, figures[1], 1.0)))
    assert (found.verdict, found.state) == (Word.PASS, State.OK), "a change too small to matter pages nobody"


def test_bets_that_fell_below_the_level_end_an_alert_and_no_bets_leave_the_p_value():
    days = Judged(policy_set(controls(DRIFT + "  significance: e-value\n", BUDGET)))
    figure = drifted(days, "a", 0.3)
    assert only(days.next(figure, bet(days, figure, 1e9))).state is State.FIRING
    figure = drifted(days, "a", 0.16)
    found = only(days.next(figure, bet(days, figure, 30.0)))
    assert (found.verdict, found.reason, found.state) == (Word.INSUFFICIENT_EVIDENCE, "not_significant", State.OK)
    figure = drifted(days, "a", 0.16)
    found = only(days.next(figure, bet(days, figure, 3.0)))
    assert (found.verdict, found.state) == (Word.PASS, State.OK), "what chance gives in a window of that size"
    assert only(days.next(drifted(days, "a", 0.3, 1e-9))).verdict is Word.FAIL
    assert only(days.next(drifted(days, "a", 0.3, 1e-2))).state is State.FIRING


def test_an_agreement_ratio_is_backed_by_bets_on_its_own_score():
    ratio = make_measurement(metric="alignment.cosine.ratio", attributes={"pair": "a~b"})
    assert bet_attributes(ratio) == {"pair": "a~b", "column": "cosine"}
    column = make_measurement(metric="drift.ks", attributes={"column": "entropy", "input": "a", "modality": "image"})
    assert bet_attributes(column) == column.attributes


def test_budget_shares_of_all_inputs_stay_within_the_control_s_share():
    days = Judged(policy_set(controls(DRIFT + "  significance: budget\n", BUDGET)))
    figures = [drifted(days, name, 0.05, 0.5, input_=input_) for input_ in ("photo", "thumb") for name in "abc"]
    found = days.next(*figures)
    assert sum(verdict.budget_share for verdict in found.values()) == pytest.approx(0.09)
    assert [verdict.budget_share for verdict in found.values()] == pytest.approx([0.045, 0.045])


def test_groups_are_slices():
    text = DRIFT.replace(
        "metric: drift.ks, where: {modality: image}", "metric: fairness.accuracy, sliceBy: [site, sex&site]"
    )
    text = text.replace("op: lte, value: 0.15", "op: gte, value: 0.9")
    days = Judged(policy_set(controls(text.replace("{total: 100}", "{total: 100, perSlice: 40}"))))

    def rate(value, feature, group, n=50):
        return day(days, metric="fairness.accuracy", value=value, n=n, attributes={"feature": feature, "group": group})

    found = days.next(
        rate(0.95, "site", "north"),
        rate(0.5, "site", "south"),
        rate(0.99, "site", "west", n=39),
        rate(0.2, "speaker", "theo"),
        rate(0.8, "site&sex", "north&f"),
        rate(0.8, "sex&site", "f&north"),
        day(days, metric="fairness.accuracy", value=0.1, attributes={}),
    )
    words = {key[1]: verdict.verdict for key, verdict in found.items()}
    assert words == {
        "site=north": Word.PASS,
        "site=south": Word.FAIL,
        "site=west": Word.INSUFFICIENT_EVIDENCE,
        "sex=f&site=north": Word.FAIL,
    }


def test_a_gap_over_a_feature_is_overall_and_names_it():
    text = DRIFT.replace("metric: drift.ks, where: {modality: image}", "metric: fairness.accuracy.difference")
    days = Judged(policy_set(controls(text)))
    gap = day(
        days,
        metric="fairness.accuracy.difference",
        value=0.31,
        attributes={"feature": "speaker"},
        facts={
            "lowest": {"group": "theo", "value": 0.69, "n": 67},
            "highest": {"group": "george", "value": 1.0, "n": 70},
        },
    )
    found = only(days.next(gap))
    assert (found.slice, found.input, found.kind) == ("overall", None, "bias")
    assert (found.facts["observed"], found.facts["attributes"]) == (0.31, {"feature": "speaker"})
    assert found.facts["details"]["lowest"]["group"] == "theo"


def test_the_explanation_says_what_how_sure_since_when_and_what_next():
    days = Judged(policy_set(controls(DRIFT + "  significance: budget\n", BUDGET)))
    days.next(drifted(days, "contrast", 0.05, 0.4))
    means = {"mean": 0.246, "baseline_mean": 0.308}
    found = only(days.next(drifted(days, "contrast", 0.54, 1e-40, facts=means), drifted(days, "p99_level", 0.2, 1e-9)))
    assert found.explanation == (
        "Image drift (input photo): the distribution of contrast moved away from the baseline (KS distance 0.54, maximum 1); "
        "limit: at most 0.15 (mean 0.246 now, 0.308 in the baseline). By chance: p < 1e-9; alarm below p = 5.0e-04; expected "
        "false alarms of the policy: 1 in 3 years; 400 records, 2,800 in the baseline. Also beyond the limit: p99 level 0.2. "
        "Open since 13 Jan 2026. Next: Look at the camera."
    )


def test_what_the_payload_shows_leads_and_the_model_s_own_head_follows_in_words():
    days = Judged(policy_set(controls(DRIFT + "  significance: budget\n", BUDGET)))
    head = drifted(days, "head.entropy", 0.6, 1e-60)
    found = only(days.next(head, level := drifted(days, "brightness", 0.3, 1e-9), drifted(days, "noise", 0.2, 1e-7)))
    assert (found.observed, found.evidence[0], found.evidence[-1]) == (0.3, level.id, head.id)
    assert found.facts["attributes"]["column"] == "brightness"
    assert [one["attributes"]["column"] for one in found.facts["beyond"]] == ["noise", "head.entropy"]
    alone = only(days.next(drifted(days, "head.entropy", 0.6, 1e-60), drifted(days, "brightness", 0.05, 0.4)))
    assert alone.facts["attributes"]["column"] == "head.entropy"


def test_a_figure_over_several_windows_says_over_how_long():
    days = Judged(policy_set(controls(DRIFT.replace("window: {", "window: {duration: 2d, "))))
    two = drifted(days, "a", 0.4, start=days.start - DAY)
    assert "over 2 days; limit: at most 0.15" in only(days.next(two)).explanation


def test_unknown_is_never_a_pass():
    days = Judged(policy_set(controls(DRIFT)))
    found = only(days.next())
    assert (found.verdict, found.reason, found.state) == (Word.INSUFFICIENT_EVIDENCE, "metric_not_produced", State.OK)
    no_baseline = day(days, status=Status.INSUFFICIENT_DATA, reason="no_baseline", attributes={})
    assert only(days.next(no_baseline)).reason == "no_baseline"
    failed = day(days, status=Status.ERROR, reason="plugin_failed", attributes={})
    assert only(days.next(failed)).verdict is Word.ERROR
    assert only(days.next(drifted(days, "a", 0.1, n=99))).reason == "below_min_samples"
    changed = drifted(days, "a", None, status=Status.NOT_APPLICABLE, reason="describer_changed")
    assert only(days.next(changed)).reason == "describer_changed"
    mixed = (
        drifted(days, "a", 0.1),
        drifted(days, "b", None, status=Status.INSUFFICIENT_DATA, reason="absent_in_window"),
    )
    found = only(days.next(*mixed))
    assert (found.verdict, found.reason) == (Word.INSUFFICIENT_EVIDENCE, "absent_in_window")
    assert "no verdict" in found.explanation


def test_silence_holds_a_failure_and_says_so():
    days = Judged(policy_set(controls(DRIFT + "  for: 0s\n")))
    days.next(drifted(days, "a", 0.4))
    held = only(days.next())
    assert (held.verdict, held.state, held.reason, held.input) == (Word.FAIL, State.FIRING, "held_no_data", "photo")
    assert held.held_since == START + DAY
    failed = day(days, status=Status.ERROR, reason="plugin_failed", attributes={})
    assert (only(days.next(failed)).reason, days.memory[next(iter(days.memory))].state) == ("held_error", State.FIRING)
    assert only(days.next(drifted(days, "a", 0.1))).state is State.OK


def test_silence_after_a_pass_becomes_stale():
    days = Judged(policy_set(controls(DRIFT.replace("{total: 100}", "{total: 100}, maxStaleness: 2d"))))
    days.next(drifted(days, "a", 0.1))
    assert [only(days.next()).reason for _ in range(4)] == ["no_data", "no_data", "stale", "stale"]


def test_on_missing_fail_and_hold_last():
    window = "window: {minSamples: {total: 100}, maxStaleness: 2d}"
    text = DRIFT.replace("window: {minSamples: {total: 100}}", f"{window}\n  onMissing: MODE")
    days = Judged(policy_set(controls(text.replace("MODE", "hold_last"))))
    days.next(drifted(days, "a", 0.1))
    words = [(str(v.verdict), v.reason) for v in (only(days.next()) for _ in range(3))]
    assert words == [("pass", "held_last"), ("pass", "held_last"), ("insufficient_evidence", "stale")]
    days = Judged(policy_set(controls(text.replace("MODE", "fail"))))
    days.next(drifted(days, "a", 0.1))
    found = only(days.next())
    assert (found.verdict, found.state, found.reason) == (Word.FAIL, State.FIRING, "missing_counts_as_fail")
    days = Judged(policy_set(controls(text.replace("MODE", "fail"))))
    assert only(days.next()).verdict is Word.FAIL


def test_never_measured_may_be_not_applicable_until_it_was_measured():
    text = DRIFT.replace("where: {modality: image}", "where: {modality: image}, ifNeverMeasured: not_applicable")
    days = Judged(policy_set(controls(text)))
    assert only(days.next()).verdict is Word.NOT_APPLICABLE
    assert only(days.next(day(days, status=Status.INSUFFICIENT_DATA, reason="no_baseline", attributes={}))).verdict == (
        Word.INSUFFICIENT_EVIDENCE
    )
    assert only(days.next(drifted(days, "a", 0.1))).verdict is Word.PASS
    assert only(days.next()).verdict is Word.INSUFFICIENT_EVIDENCE


def test_quorum():
    text = DRIFT.replace("where: {modality: image}", "where: {modality: image}, quorum: 0.5")
    days = Judged(policy_set(controls(text)))

    def absent(column):
        return drifted(days, column, None, status=Status.INSUFFICIENT_DATA, reason="absent_in_window")

    found = only(days.next(drifted(days, "a", 0.1), absent("b")))
    assert found.verdict is Word.PASS
    assert (found.facts["without_figure"], found.facts["series"]) == (1, 2)
    assert only(days.next(drifted(days, "a", 0.1), absent("b"), absent("c"))).verdict is Word.INSUFFICIENT_EVIDENCE
    assert only(days.next(drifted(days, "a", 0.4), absent("b"), absent("c"))).verdict is Word.FAIL


def test_warn_band_pending_and_advisory():
    text = DRIFT + "  warn: {op: lte, value: 0.1}\n  for: 1d\n"
    days = Judged(policy_set(controls(text)))
    seen = []
    for value in (0.05, 0.12, 0.3, 0.3, 0.05):
        verdict = only(days.next(drifted(days, "a", value)))
        seen.append((str(verdict.verdict), str(verdict.state), verdict.reason))
    assert seen == [
        ("pass", "ok", ""),
        ("warn", "ok", "warn_band"),
        ("warn", "pending", "pending"),
        ("fail", "firing", "breach"),
        ("pass", "ok", ""),
    ]
    days = Judged(policy_set(controls(DRIFT + "  advisory: true\n")))
    found = only(days.next(drifted(days, "a", 0.4)))
    assert (found.verdict, found.underlying, found.reason) == (Word.WARN, Word.WARN, "advisory")


def test_clear_value_is_harder_than_the_limit():
    days = Judged(policy_set(controls(DRIFT + "  clear: {value: 0.1, for: 1d}\n")))
    states = [str(only(days.next(drifted(days, "a", value))).state) for value in (0.4, 0.12, 0.05, 0.12, 0.05, 0.05)]
    assert states == ["firing", "firing", "recovering", "firing", "recovering", "ok"]


def test_longer_windows_take_the_figure_over_exactly_that_window():
    text = DRIFT.replace("{total: 100}}", "{total: 100}, duration: 7d}")
    policies = policy_set(controls(text))
    assert needed_durations(policies) == {timedelta(days=7)}
    days = Judged(policies)
    days.day = 10
    week = drifted(days, "a", 0.4, start=days.start - 6 * DAY, end=days.start + DAY)
    one = drifted(days, "a", 0.05)
    old = drifted(days, "a", 0.9, start=days.start - 20 * DAY, end=days.start - 13 * DAY)
    assert only(days.next(one, week, old)).observed == 0.4
    assert only(days.next(drifted(days, "a", 0.05))).observed == 0.05
    stale = drifted(days, "a", 0.3, start=days.start - DAY, end=days.start)
    found = only(days.next(stale))
    assert (found.verdict, found.state) == (Word.WARN, State.OK)  # seen, but from another window: it moves nothing
    days = Judged(policy_set(controls(DRIFT)))
    assert only(days.next(drifted(days, "a", 0.4, start=days.start - 6 * DAY))).verdict is Word.INSUFFICIENT_EVIDENCE


BINDING = DRIFT.replace(
    "basis: internal",
    'basis: binding\n  thresholdSource: risk-file\n  refs: [{src: act, at: "AT", relation: evidences}]',
)


def binding(at="Art. 10", profile=PROFILE):
    return policy_set(
        controls(BINDING.replace("AT", at), meta=", calendar: law"), CALENDAR, *([profile] if profile else [])
    )


def test_binding_needs_a_profile_internal_does_not():
    days = Judged(binding(profile=None))
    found = only(days.next(drifted(days, "a", 0.1)))
    assert (found.verdict, found.reason) == (Word.INSUFFICIENT_EVIDENCE, "no_system_profile")
    days = Judged(policy_set(controls(DRIFT)))
    assert only(days.next(drifted(days, "a", 0.1))).force is Force.INTERNAL


@pytest.mark.parametrize(
    ("change", "at", "force"),
    [
        ({}, "Art. 1", Force.BINDING),
        ({}, "Art. 10(3)", Force.READINESS),
        ({"placedOnMarket": "2026-01-01"}, "Art. 1", Force.BINDING),
    ],
)
def test_force_follows_the_calendar(change, at, force):
    extra = "".join(f"  {key}: {value}\n" for key, value in change.items())
    days = Judged(binding(at, PROFILE + extra))
    assert only(days.next(drifted(days, "a", 0.1))).force is force


def test_force_after_the_date_and_for_legacy_systems():
    late = Span(START + 200 * DAY, START + 201 * DAY)  # July 2026: Art. 10 applies to Annex III since June

    def force(extra):
        found = judge(
            binding("Art. 10", PROFILE + extra), [], [], model=MODEL, span=late, now=late.end, run="r", revision=1
        )
        return found[0].force

    assert force("") is Force.BINDING
    assert force("  placedOnMarket: 2026-01-01\n") is Force.READINESS
    assert force("  placedOnMarket: 2026-01-01\n  significantChange: 2026-06-20\n") is Force.BINDING
    assert force("  placedOnMarket: 2026-06-10\n") is Force.BINDING


def test_scope_route_and_effective_date():
    days = Judged(binding(profile=PROFILE.replace("annex_iii", "not_high_risk")))
    found = only(days.next(drifted(days, "a", 0.9)))
    assert (found.verdict, found.reason, found.state) == (Word.NOT_APPLICABLE, "not_on_route", State.OK)
    scoped = DRIFT + "  appliesWhen: {roles: deployer}\n"
    days = Judged(policy_set(controls(scoped), PROFILE))
    assert only(days.next(drifted(days, "a", 0.9))).reason == "out_of_scope"
    days = Judged(policy_set(controls(scoped)))
    assert only(days.next(drifted(days, "a", 0.9))).reason == "no_system_profile"
    days = Judged(policy_set(controls(DRIFT, meta=", effectiveFrom: 2026-01-13")))
    assert only(days.next(drifted(days, "a", 0.1))).reason == "window_before_policy"
    assert only(days.next(drifted(days, "a", 0.1))).verdict is Word.PASS
    days = Judged(policy_set(controls(DRIFT, "scope: {models: [other]}\n")))
    assert days.next(drifted(days, "a", 0.9)) == {}


def test_leaving_the_scope_ends_a_failure():
    text = controls(DRIFT + "  appliesWhen: {roles: provider}\n")
    days = Judged(policy_set(text, PROFILE))
    assert only(days.next(drifted(days, "a", 0.9))).state is State.FIRING
    days.policies = policy_set(text, PROFILE.replace("[provider]", "[deployer]"))
    found = only(days.next(drifted(days, "a", 0.9)))
    assert (found.verdict, found.state, found.input) == (Word.NOT_APPLICABLE, State.OK, "photo")


WAIVER = """\
apiVersion: auditor/v1
kind: Waiver
metadata: {name: w}
spec:
  control: drift
  reason: New camera; re-baselining.
  requestedBy: {name: A, role: lead}
  approvedBy: {name: B, role: risk-owner}
  approvedOn: 2026-01-13
  expires: 2026-01-20
"""
RULES = "waiverRules: {maxDuration: 3d, requireApproverRole: [risk-owner]}\n"


def waived(waiver=WAIVER, rules=RULES, body=DRIFT, *more):
    days = Judged(policy_set(controls(body, rules), waiver, *more))
    return [str(only(days.next(drifted(days, "a", 0.4))).verdict) for _ in range(5)]


def test_a_waiver_covers_a_failure_for_as_long_as_the_rules_allow():
    # windows end on 13, 14, ...; active from 13 on, capped at three days
    assert waived() == ["waived", "waived", "waived", "fail", "fail"]
    assert waived(rules="") == ["fail"] * 5
    assert waived(rules=RULES.replace("}", ", nonWaivable: [drift]}")) == ["fail"] * 5
    assert waived(WAIVER.replace("role: risk-owner", "role: friend")) == ["fail"] * 5
    other = WAIVER.replace("control: drift", "control: drift\n  slice: {site: north}")
    assert (
        waived(other, RULES, DRIFT.replace("metric: drift.ks", "metric: drift.ks, sliceBy: [overall, site]"))
        == ["fail"] * 5
    )
    with pytest.raises(PolicyError, match="slice"):
        waived(other)
    assert waived(WAIVER.replace("control: drift", "control: drift\n  system: triage")) == ["fail"] * 5
    assert (
        waived(WAIVER.replace("control: drift", "control: drift\n  system: triage"), RULES, DRIFT, PROFILE)[0]
        == "waived"
    )


def test_a_waived_verdict_shows_what_it_would_be():
    days = Judged(policy_set(controls(DRIFT, RULES), WAIVER))
    found = only(days.next(drifted(days, "a", 0.4)))
    assert (found.verdict, found.underlying, found.state) == (Word.WAIVED, Word.FAIL, State.FIRING)
    assert found.facts["waiver"]["reason"] == "New camera; re-baselining."
    found = only(days.next(drifted(days, "a", 0.1)))
    assert found.verdict is Word.PASS  # nothing to waive


STATEMENT = """\
- id: drill
  title: Stop procedure exercised
  basis: internal
  evidence: {kind: attestation, statement: stop-drill, validFor: 3d, invalidatedBy: [model_version]}
"""
SIGNED = """\
apiVersion: auditor/v1
kind: Attestation
metadata: {name: NAME}
spec:
  statement: stop-drill
  system: triage
  subject: {model_version: 1.2.3}
  result: satisfied
  by: {name: C. Meyer, role: shift-lead}
  on: 2026-01-13T12:00:00Z
"""


def test_attestations():
    def words(body=STATEMENT, *signed, profile=PROFILE):
        days = Judged(policy_set(controls(body), *([profile] if profile else []), *signed))
        return [(str(v.verdict), v.reason) for v in (only(days.next()) for _ in range(5))]

    gap = "insufficient_evidence"
    one = SIGNED.replace("NAME", "one")
    assert words(profile=None)[0] == (gap, "no_system_profile")
    assert words()[0] == (gap, "attestation_missing")
    good = [(gap, "attestation_missing"), ("pass", ""), ("pass", ""), ("pass", ""), (gap, "attestation_expired")]
    assert words(STATEMENT, one) == good
    assert words(STATEMENT, one + "  validUntil: 2026-01-15\n")[2] == (gap, "attestation_expired")
    assert words(STATEMENT, one.replace("1.2.3", "1.2.2"))[1] == (gap, "attestation_invalidated")
    assert words(STATEMENT, one.replace("  subject: {model_version: 1.2.3}\n", ""))[1] == (
        gap,
        "attestation_invalidated",
    )
    assert words(STATEMENT, one.replace("system: triage", "system: other"))[1] == (gap, "attestation_missing")
    critical = STATEMENT + "  severity: critical\n"
    assert words(critical, one)[1] == (gap, "attestation_unreviewed")
    assert words(critical, one + "  reviewedBy: {name: B, role: risk-owner}\n")[1] == ("pass", "")
    bad = SIGNED.replace("NAME", "two").replace("result: satisfied", "result: not_satisfied").replace("13T", "14T")
    assert words(STATEMENT, one, bad)[1:3] == [("pass", ""), ("fail", "attested_not_satisfied")]


def test_verdict_ids_follow_from_what_was_judged():
    policies = policy_set(controls(DRIFT))
    span = Span(START, START + DAY)

    def ids(revision, now):
        found = judge(policies, [], [], model=MODEL, span=span, now=now, run="r", revision=revision)
        return [verdict.id for verdict in found]

    assert ids(1, span.end) == ids(1, span.end + DAY) != ids(2, span.end)


def test_intervals_decide_where_the_rule_asks_for_them():
    text = DRIFT.replace("metric: drift.ks, where: {modality: image}", "metric: input.missing_rate")
    text = text.replace("value: 0.15", "value: 0.15, ci: {level: 0.95}")
    days = Judged(policy_set(controls(text)))

    def rate(value, low, high):
        interval = Interval(low, high, 0.95, "wilson")
        return day(days, metric="input.missing_rate", value=value, interval=interval, attributes={"input": "clip"})

    found = only(days.next(rate(0.16, 0.12, 0.2)))
    assert (found.verdict, found.state) == (Word.INSUFFICIENT_EVIDENCE, State.OK)
    assert found.facts["interval"]["level"] == 0.95
    assert only(days.next(rate(0.3, 0.25, 0.35))).verdict is Word.FAIL
    assert only(days.next(rate(0.16, 0.12, 0.2))).verdict is Word.FAIL  # firing, and not shown to be well
    assert only(days.next(rate(0.1, 0.08, 0.12))).verdict is Word.PASS


def test_slices_that_are_long_gone_are_not_asked_for():
    text = DRIFT.replace("metric: drift.ks, where: {modality: image}", "metric: fairness.accuracy, sliceBy: ['*']")
    days = Judged(policy_set(controls(text.replace("op: lte, value: 0.15", "op: gte, value: 0.1"))))
    rate = day(days, metric="fairness.accuracy", value=0.95, attributes={"feature": "site", "group": "north"})
    days.next(rate)
    for _ in range(28):
        assert ("drift", "site=north", None) in days.next()
    assert ("drift", "site=north", None) not in days.next()
