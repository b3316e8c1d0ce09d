"""Reason codes in words: why a figure is absent, and why a verdict is no plain pass or fail."""

from __future__ import annotations

from auditor.core.catalogue import REASONS

WHY: dict[str, str] = {
    **REASONS,
    "no_data": "there is no figure for this window",
    "metric_not_produced": "nothing measures this figure here",
    "stale": "evidence is too old",
    "labels_not_due": "ground truth may still arrive",
    "interval_straddles_threshold": "the interval reaches to both sides of the limit, so it cannot be shown that the control holds, nor that it is broken",
    "no_interval": "the control decides on an interval and the figure has none",
    "interval_level": "the figure's interval has a lower level than the control asks for",
    "interval_method": "the figure's interval was made by another method than the control asks for",
    "no_p_value": "the control is judged under a false-alarm budget and the figure has no p-value",
    "not_significant": "the figure is beyond the limit, but chance alone could have made it so",
    "not_a_number": "the figure is not a number",
    "no_system_profile": "no system profile lists this model, so its roles and route are not declared",
    "window_before_policy": "the window began before the policy was in effect",
    "attestation_missing": "attestation missing",
    "attestation_expired": "the signed statement is no longer valid",
    "attestation_invalidated": "a fact that the signed statement rests on has changed",
    "attestation_unreviewed": "a second person has not reviewed the statement",
    "attested_not_satisfied": "the person who signed says that it is not satisfied",
    "fact_not_declared": "the control depends on a fact that the system profile does not declare",
    "out_of_scope": "the system profile is outside the control's scope",
    "not_on_route": "no provision it rests on applies on this system's route",
    "not_addressed": "no provision it rests on addresses the roles that the system profile declares",
    "evidence_missing": "a file attached to the signed statement cannot be opened",
    "evidence_changed": "a file attached to the signed statement is not the one that was signed",
    "required_metric_missing": "a metric that the control also needs has no figure in this window",
    "small_slice": "the group is smaller than the control judges; its figure is shown only",
    "never_measured": "this model has no such figure",
    "held_no_data": "last known state: fail; no new evidence",
    "held_error": "last known state: fail; the evidence cannot be evaluated",
    "held_last": "no new evidence; the last verdict is kept",
    "missing_counts_as_fail": "the control counts missing evidence as a failure",
}
_IN_TABLES = {
    "breach": "beyond its limit",
    "not_judged": "no verdict yet",
    "not_audited": "no audit was run for this stretch of time",
    "not_covered": "it has no control",
}
"""Codes that only tables of verdicts and gaps show: a sentence has them in other words."""


def reason(code: str) -> str:
    """A reason code in words."""
    return REASONS.get(code) or WHY.get(code) or _IN_TABLES.get(code) or code.replace("_", " ")
