"""What reads well but is wrong: rules that cannot break, limits nobody vouches for, waivers that waive nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from auditor.core.catalogue import MetricSpec
from auditor.core.measurement import Interval
from auditor.policy import waivers
from auditor.policy.decision import Truth, beyond, three_way
from auditor.policy.loader import PolicySet
from auditor.policy.schema import (
    AttestationEvidence,
    Condition,
    Control,
    LegalCalendar,
    MetricEvidence,
    Policy,
    Waiver,
)
from auditor.statistics.intervals import wilson

STALE_AFTER = timedelta(days=183)
"""Law moves: a calendar that nobody has checked for half a year may be wrong."""
_RATIO_MIN = 400
"""Group sizes under which the point estimate of a ratio of rates alarms on equal groups in more than 1 of 20 windows
(two groups at a rate of 30 %; five groups at 10 % need 3000)."""


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One thing to correct, in the contract's shape."""

    code: str
    file: str
    line: int
    message: str
    fix: str

    def as_json(self) -> dict[str, str | int]:
        return {"code": self.code, "file": self.file, "line": self.line, "message": self.message, "fix": self.fix}


def finding(code: str, where: str, message: str, fix: str) -> LintFinding:
    """A finding at `file:line`."""
    file, _, line = where.rpartition(":")
    return LintFinding(code, file or where, int(line) if line.isdigit() else 1, message, fix)


def lint(found: PolicySet, now: datetime) -> list[LintFinding]:
    """Every finding of the set, by file and line."""
    findings: list[LintFinding] = []
    for policy in found.policies:
        for control in policy.controls:
            findings += _basis(control)
            if control.condition is not None and isinstance(control.evidence, MetricEvidence):
                spec = found.vocabulary.metrics.get(control.evidence.metric)
                findings += _condition(control, control.condition, spec)
                findings += _samples(control, control.condition, control.evidence, spec)
    for calendar in found.calendars:
        findings += _calendar(calendar, now)
    findings += _waivers(found, now)
    findings += _attestations(found, now)
    return sorted(findings, key=lambda item: (item.file, item.line, item.code))


def _basis(control: Control) -> Iterator[LintFinding]:
    if control.basis != "binding" and any(ref.relation == "requires" for ref in control.refs):
        yield finding(
            "basis_contradicts_reference",
            control.where,
            f"{control.id!r} says that a provision requires it, but its basis is {control.basis}",
            "make the relation evidences, supports or voluntary, or the basis binding",
        )
    if control.basis == "binding" and all(ref.relation in ("supports", "voluntary") for ref in control.refs):
        yield finding(
            "basis_without_duty",
            control.where,
            f"{control.id!r} is binding, but none of its references requires or evidences it",
            "point at the duty, or make the basis internal or voluntary",
        )
    if control.basis == "binding" and isinstance(control.evidence, MetricEvidence) and not control.threshold_source:
        yield finding(
            "threshold_without_source",
            control.where,
            f"nobody vouches for the limit of {control.id!r}",
            "add thresholdSource: the instructions for use, the risk file, or internal",
        )


def _condition(control: Control, condition: Condition, spec: MetricSpec | None) -> Iterator[LintFinding]:
    if spec is None or not condition.has_limit:
        return
    low = -math.inf if spec.lower is None else spec.lower
    high = math.inf if spec.upper is None else spec.upper
    ends = [_end(low), _end(high)]
    inside = [end for end in (condition.low, condition.high) if end is not None and low <= end <= high]
    if not any(beyond(condition, end) for end in ends):
        yield finding(
            "cannot_fail",
            control.where,
            f"{spec.name} lies in {_range(spec)}, so {control.id!r} can never fail",
            "choose a limit inside the range",
        )
    if all(beyond(condition, end) for end in (*ends, *inside)):
        yield finding(
            "cannot_pass",
            control.where,
            f"{spec.name} lies in {_range(spec)}, so {control.id!r} can never pass",
            "choose a limit inside the range",
        )


def _samples(
    control: Control, condition: Condition, evidence: MetricEvidence, spec: MetricSpec | None
) -> Iterator[LintFinding]:
    if spec is None or spec.unit != "1" or spec.lower is None or control.metric is None:
        return
    least = control.window.per_slice if evidence.slice_by else control.window.total
    rate = spec.upper == 1.0 and not control.metric.endswith((".difference", ".ratio"))
    if condition.ci_level is not None and rate:
        best = [wilson(k, max(least, 1), condition.ci_level) for k in (0, max(least, 1))]
        if not any(three_way(condition, Interval(b.lower, b.upper, b.level, b.method)) is Truth.TRUE for b in best):
            yield finding(
                "min_samples_too_small",
                control.where,
                f"{control.id!r} asks for n = {least}, where even a perfect record cannot keep the condition",
                "raise minSamples",
            )
    if control.metric.startswith("fairness.") and control.metric.endswith(".ratio"):
        if condition.ci_level is None and not control.budgeted and least < _RATIO_MIN:
            yield finding(
                "min_samples_too_small",
                control.where,
                f"a ratio of rates at n = {least} falls under its limit by chance in most windows",
                f"add ci, or ask for at least {_RATIO_MIN} in each group",
            )
    elif condition.ci_level is None and not control.budgeted and rate and least <= 1:
        yield finding(
            "no_min_samples",
            control.where,
            f"{control.id!r} would judge a rate by a single record",
            "add window: {minSamples: {total: ...}}, or decide on an interval",
        )


def _calendar(calendar: LegalCalendar, now: datetime) -> Iterator[LintFinding]:
    if now - calendar.verified_on > STALE_AFTER:
        yield finding(
            "calendar_stale",
            calendar.where,
            f"{calendar.name} was last checked on {calendar.verified_on:%Y-%m-%d}",
            "check its dates against the law and set verifiedOn",
        )


def _waivers(found: PolicySet, now: datetime) -> Iterator[LintFinding]:
    for waiver in found.waivers:
        about = [
            (policy, control)
            for policy in found.policies
            for control in policy.controls
            if waivers.names(waiver, policy, control)
        ]
        known = waiver.system is None or any(profile.name == waiver.system for profile in found.profiles)
        if not about or not known:
            what = f"no control {waiver.control!r}" if not about else f"no system {waiver.system!r}"
            yield finding("waiver_unused", waiver.where, f"{waiver.name} waives nothing: {what}", "drop or correct it")
        for policy, control in about:
            yield from _waiver(waiver.name, waiver.where, policy, control, waiver, now)


def _waiver(
    name: str, where: str, policy: Policy, control: Control, waiver: Waiver, now: datetime
) -> Iterator[LintFinding]:
    refused = waivers.refusal(waiver, policy, control)
    if refused is not None:
        yield finding(
            "waiver_refused", where, f"{name} has no effect: {refused}", "drop it, or change the policy's rules"
        )
        return
    rules = policy.waiver_rules
    if rules is not None and waiver.expires - waiver.approved_on > rules.max_duration:
        yield finding(
            "waiver_too_long",
            where,
            f"{name} ends after {rules.max_duration.days} days, whatever it says",
            "give an earlier expires",
        )
    if waivers.state(waiver, policy, now) == "expired":
        yield finding("waiver_expired", where, f"{name} has expired", "drop it, or have it approved anew")
    if waivers.over_broad(waiver, control):
        yield finding(
            "waiver_over_broad",
            where,
            f"{name} covers every slice of {control.id!r}, which is judged slice by slice",
            "name the slice",
        )


def _attestations(found: PolicySet, now: datetime) -> Iterator[LintFinding]:
    asked = {
        control.evidence.statement
        for policy in found.policies
        for control in policy.controls
        if isinstance(control.evidence, AttestationEvidence)
    }
    for item in found.attestations:
        if item.statement not in asked:
            yield finding(
                "attestation_unused", item.where, f"no control asks for {item.statement!r}", "correct the statement"
            )
        if all(profile.name != item.system for profile in found.profiles):
            yield finding(
                "attestation_unused", item.where, f"no system profile is called {item.system!r}", "correct the system"
            )
        if item.evidence_problem:
            what = (
                "is not below its folder" if item.evidence_problem == "evidence_missing" else "is not what was signed"
            )
            yield finding(
                item.evidence_problem, item.where, f"a file attached to {item.name} {what}", "restore it, or sign anew"
            )
        if item.valid_until is not None and now >= item.valid_until:
            yield finding("attestation_expired", item.where, f"{item.name} is no longer valid", "have it signed anew")


def _end(value: float) -> float:
    return math.copysign(1e300, value) if math.isinf(value) else value


def _range(spec: MetricSpec) -> str:
    low = "-inf" if spec.lower is None else f"{spec.lower:g}"
    return f"[{low}, {'inf' if spec.upper is None else f'{spec.upper:g}'}]"
