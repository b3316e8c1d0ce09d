"""The verb `judge`: measurements and policies -> verdicts. Pure: its only memory is the previous verdicts it is handed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from auditor.core.identity import digest
from auditor.core.measurement import Measurement, Status
from auditor.core.verdict import Force, State, Verdict, Word
from auditor.core.window import Span, format_time
from auditor.policy import attestations, waivers
from auditor.policy.budget import Allowance, allowance
from auditor.policy.calendar import exempt, force_of
from auditor.policy.decision import Truth, limit_for
from auditor.policy.evidence import OVERALL, Gathered, Group, gather, modality_of, retired
from auditor.policy.hysteresis import Standing, step
from auditor.policy.loader import PolicySet
from auditor.policy.outcome import Outcome, judge_series, tested, unknown
from auditor.policy.schema import (
    AttestationEvidence,
    Control,
    LegalCalendar,
    MetricEvidence,
    Policy,
    SystemProfile,
)
from auditor.policy.verdict_facts import verdict_facts
from auditor.wording.verdicts import explained


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One control of one policy in one window, with all that bears on it."""

    policies: PolicySet
    policy: Policy
    control: Control
    profile: SystemProfile | None
    calendar: LegalCalendar | None
    model: str
    span: Span
    now: datetime
    run: str
    revision: int
    before: dict[Group, Verdict]
    served: Sequence[str]
    """Model versions with records in the window."""
    modalities: Sequence[str]
    """Modalities of inputs with records in the window."""

    @property
    def force(self) -> Force:
        return force_of(self.control, self.calendar, self.profile, self.span.end)


def judge(
    policies: PolicySet,
    measurements: Sequence[Measurement],
    previous: Sequence[Verdict],
    *,
    model: str,
    span: Span,
    now: datetime,
    run: str,
    revision: int,
    served: Sequence[str] = (),
) -> list[Verdict]:
    """One verdict for each control x slice x input of every policy in whose scope the model is.

    Parameters
    ----------
    measurements : sequence of Measurement
        Of this window, and those that `needed_durations` asks for; figures of single versions are left aside.
    previous : sequence of Verdict
        The last verdict of each control x slice x input before this window: the memory of `for` and `clear`.
    span : Span
        The audited window; its end is the time at which waivers, attestations and the law are looked up.
    now : datetime
        When this is judged: written down, and compared with when ground truth is due; nothing else depends on it.
    served : sequence of str
        Versions of the model that have records in the window; they win over the declared version.

    Notes
    -----
    Truth comes first (the condition, by interval or under the policy's false-alarm budget), then memory (the state
    machine), then disposition (scope, waivers), then force (is it law today). Unknown evidence never becomes a pass and
    never moves a state toward ok; see `policy/outcome.py` and `policy/hysteresis.py`.
    """
    profile = policies.profile(model)
    seen = {m.attributes["modality"] for m in measurements if m.n and m.span == span and "modality" in m.attributes}
    modalities = sorted(seen & set(policies.vocabulary.modalities))
    found: list[Verdict] = []
    for policy in policies.policies:
        if policy.models and model not in policy.models:
            continue
        for control in policy.controls:
            before = {
                (verdict.slice, verdict.input): verdict
                for verdict in previous
                if (verdict.model, verdict.policy, verdict.control) == (model, policy.name, control.id)
                and verdict.end < span.end
            }
            task = _Task(
                policies=policies,
                policy=policy,
                control=control,
                profile=profile,
                calendar=policies.calendar(policy),
                model=model,
                span=span,
                now=now,
                run=run,
                revision=revision,
                before=before,
                served=served,
                modalities=modalities,
            )
            found.extend(_judge_control(task, measurements))
    return found


def needed_durations(policies: PolicySet) -> set[timedelta]:
    """Lengths of the windows that controls ask for: what to measure beside the audited window, always up to its end."""
    return {
        control.window.duration
        for policy in policies.policies
        for control in policy.controls
        if control.window.duration is not None and isinstance(control.evidence, MetricEvidence)
    }


def _judge_control(task: _Task, measurements: Sequence[Measurement]) -> Iterator[Verdict]:
    control = task.control
    word, reason = _disposition(task)
    if word is not None:
        groups = [key for key, verdict in task.before.items() if not retired(verdict, control, task.span)]
        for group in groups or [(OVERALL, None)]:
            yield _without_evidence(task, word, reason, group)
    elif isinstance(control.evidence, AttestationEvidence):
        yield _attested(task, control.evidence)
    else:
        yield from _measured(task, control.evidence, measurements)


def _disposition(task: _Task) -> tuple[Word | None, str]:
    """What can be said before looking at evidence: out of scope, no profile, policy not yet in effect."""
    conditions = [facts for facts in (task.policy.applies_when, task.control.applies_when) if facts is not None]
    places = task.policy.environments
    if task.profile is None:
        if conditions or places or task.control.basis == "binding":
            return Word.INSUFFICIENT_EVIDENCE, "no_system_profile"
    else:
        declared = task.profile.facts(task.served, task.modalities)
        held = [facts.hold(declared) for facts in conditions]
        if places:
            held.append(None if task.profile.environment is None else task.profile.environment in places)
        if False in held:
            return Word.NOT_APPLICABLE, "out_of_scope"
        if None in held:
            return Word.INSUFFICIENT_EVIDENCE, "fact_not_declared"
        spared = exempt(task.control, task.calendar, task.profile)
        if spared is not None:
            return Word.NOT_APPLICABLE, spared
    if task.policy.effective_from is not None and task.span.start < task.policy.effective_from:
        return Word.INSUFFICIENT_EVIDENCE, "window_before_policy"
    return None, ""


def _measured(task: _Task, evidence: MetricEvidence, measurements: Sequence[Measurement]) -> Iterator[Verdict]:
    gathered = gather(task.control, evidence, measurements, list(task.before.values()), task.span)
    lacking = set(evidence.requires) - {
        m.metric for m in measurements if m.value is not None and m.end == task.span.end
    }
    series: Counter[str | None] = Counter()
    for figures in gathered.groups.values():
        if count := tested(figures, gathered.e_values):
            series[modality_of(figures, evidence)] += count
    for group in sorted(gathered.groups, key=lambda key: (key[0], key[1] or "")):
        allowed = None
        if task.control.budgeted:
            own = series[modality_of(gathered.groups[group], evidence)]
            allowed = allowance(task.policy, task.span.duration, own, len(series))
        outcome = _outcome(task, evidence, gathered, group, allowed)
        if lacking or _is_small(task.control, gathered, group):
            why = "required_metric_missing" if lacking else "small_slice"
            outcome = replace(outcome, report=Truth.UNKNOWN, alert=Truth.UNKNOWN, reason=why)
        previous = task.before.get(group)
        if _never_measured(evidence, outcome, previous):
            yield _without_evidence(task, Word.NOT_APPLICABLE, "never_measured", group)
        else:
            yield _remember(task, evidence, outcome, group, previous)


def _outcome(
    task: _Task, evidence: MetricEvidence, gathered: Gathered, group: Group, allowed: Allowance | None
) -> Outcome:
    series = gathered.groups[group]
    if not series and gathered.silence is None:
        known = group in task.before and task.before[group].held_since is not None
        return unknown("no_data" if known else "metric_not_produced")
    return judge_series(
        task.control,
        evidence,
        series,
        gathered.e_values,
        task.span,
        task.now,
        sliced=group[0] != OVERALL,
        allowance=allowed,
        silence=gathered.silence,
    )


def _is_small(control: Control, gathered: Gathered, group: Group) -> bool:
    """Whether a slice holds less of its feature's records than the control judges."""
    rule, (slice_, input_) = control.window.small_slice, group
    if rule is None or slice_ == OVERALL:
        return False

    def features(text: str) -> list[str]:
        return [part.partition("=")[0] for part in text.split("&")]

    sizes = {
        name: max((m.n for m in figures), default=0)
        for (name, other), figures in gathered.groups.items()
        if other == input_ and name != OVERALL and features(name) == features(slice_)
    }
    return sizes[slice_] < rule.below * sum(sizes.values())


def _never_measured(evidence: MetricEvidence, outcome: Outcome, previous: Verdict | None) -> bool:
    """Whether a control that allows it has nothing to judge: no figure ever, and nobody says why one should be there."""
    if evidence.if_never_measured != "not_applicable" or not outcome.silent:
        return False
    if previous is not None and previous.held_since is not None:
        return False
    return all(m.status is Status.NOT_APPLICABLE for m in outcome.series)


def _remember(
    task: _Task, evidence: MetricEvidence, outcome: Outcome, group: Group, previous: Verdict | None
) -> Verdict:
    """The outcome against what was before: state, word, waiver."""
    control, at = task.control, task.span.end
    reason = outcome.reason
    held_since = previous.held_since if previous is not None else None
    stale = (
        outcome.silent
        and held_since is not None
        and control.window.max_staleness is not None
        and at - held_since > control.window.max_staleness
    )
    if stale and outcome.report is Truth.UNKNOWN:
        reason = "stale"
    report, alert = outcome.report, outcome.alert if outcome.current else Truth.UNKNOWN
    if outcome.silent and control.on_missing == "fail" and report is Truth.UNKNOWN:
        report, alert, reason = Truth.FALSE, Truth.FALSE, "missing_counts_as_fail"
    standing = step(
        Standing(previous.state, previous.since) if previous is not None else None,
        alert,
        outcome.cleared,
        at,
        for_=control.for_,
        clear_for=control.clear.for_,
    )
    word, reason = _word(control, report, reason, standing, outcome)
    hold = control.on_missing == "hold_last" and outcome.silent and not stale and previous is not None
    if hold and previous is not None and word is Word.INSUFFICIENT_EVIDENCE and held_since is not None:
        word, reason = previous.underlying, "held_last"
    deciding = outcome.deciding
    if outcome.current and not outcome.silent:
        held_since = at
    return _verdict(
        task,
        group,
        word,
        reason,
        standing,
        outcome=outcome,
        observed=deciding.value if deciding is not None else None,
        n=deciding.n if deciding is not None else max((m.n for m in outcome.series), default=0),
        evidence=_evidence_ids(outcome),
        modality=modality_of(outcome.series, evidence) or (previous.modality if previous is not None else None),
        held_since=held_since,
        share=_share(task, outcome),
    )


def _word(control: Control, report: Truth, reason: str, standing: Standing, outcome: Outcome) -> tuple[Word, str]:
    if standing.state in (State.FIRING, State.RECOVERING):
        word = Word.FAIL
        if report is Truth.TRUE:
            reason = "recovering"
        elif report is Truth.ERROR:
            reason = "held_error"
        elif outcome.silent and report is Truth.UNKNOWN:
            reason = "held_no_data"
    elif report is Truth.FALSE:
        word, reason = Word.WARN, "pending" if standing.state is State.PENDING else reason
    elif report is Truth.ERROR:
        word = Word.ERROR
    elif report is Truth.UNKNOWN:
        word = Word.INSUFFICIENT_EVIDENCE
    elif outcome.in_warn_band:
        word, reason = Word.WARN, "warn_band"
    else:
        word, reason = Word.PASS, ""
    if control.advisory and word is Word.FAIL:
        word, reason = Word.WARN, "advisory"
    return word, reason


def _attested(task: _Task, evidence: AttestationEvidence) -> Verdict:
    control, at = task.control, task.span.end
    finding = attestations.finding(
        task.policies.attestations, control, evidence, task.profile, at, task.served, task.modalities
    )
    previous = task.before.get((OVERALL, None))
    truth = Truth.UNKNOWN if finding.holds is None else Truth.TRUE if finding.holds else Truth.FALSE
    standing = step(
        Standing(previous.state, previous.since) if previous is not None else None,
        truth,
        truth is Truth.TRUE,
        at,
        for_=control.for_,
        clear_for=control.clear.for_,
    )
    outcome = Outcome(truth, truth, finding.reason, silent=truth is Truth.UNKNOWN)
    word, reason = _word(control, truth, finding.reason, standing, outcome)
    held_since = at if truth is not Truth.UNKNOWN else previous.held_since if previous is not None else None
    return _verdict(
        task,
        (OVERALL, None),
        word,
        reason,
        standing,
        attested=finding,
        evidence=(finding.attestation.digest,) if finding.attestation is not None else (),
        held_since=held_since,
    )


def _without_evidence(task: _Task, word: Word, reason: str, group: Group = (OVERALL, None)) -> Verdict:
    previous, at = task.before.get(group), task.span.end
    standing = Standing(State.OK, at)
    if word is not Word.NOT_APPLICABLE and previous is not None:
        standing = step(Standing(previous.state, previous.since), Truth.UNKNOWN, False, at)
    if standing.state in (State.FIRING, State.RECOVERING):
        word, reason = Word.FAIL, "held_no_data"
    return _verdict(
        task, group, word, reason, standing, held_since=previous.held_since if previous is not None else None
    )


def _verdict(
    task: _Task,
    group: Group,
    word: Word,
    reason: str,
    standing: Standing,
    *,
    outcome: Outcome | None = None,
    attested: attestations.Finding | None = None,
    observed: float | None = None,
    n: int = 0,
    evidence: tuple[str, ...] = (),
    modality: str | None = None,
    held_since: datetime | None = None,
    share: float | None = None,
) -> Verdict:
    policy, control, span = task.policy, task.control, task.span
    slice_, input_ = group
    waiver = None
    if word in (Word.FAIL, Word.INSUFFICIENT_EVIDENCE):
        waiver = waivers.covering(task.policies.waivers, policy, control, slice_, task.profile, span.end)
    shown = Word.WAIVED if waiver is not None else word
    unit = outcome.deciding.unit if outcome is not None and outcome.deciding is not None else "1"
    limit = None
    if control.condition is not None:
        near = observed if observed is not None else 0.0
        limit = limit_for(control.condition, near)
    key = [task.model, policy.name, control.id, slice_, input_, format_time(span.start), format_time(span.end)]
    facts = verdict_facts(
        control,
        standing,
        shown,
        step=span.duration,
        versions=task.served,
        outcome=outcome,
        attested=attested,
        waiver=waiver,
        planned=next(
            (
                part
                for part in policy.planned_changes
                if part.control == control.id and part.start < span.end <= part.until
            ),
            None,
        ),
    )
    if reason == "fact_not_declared" and task.profile is not None:
        declared = task.profile.facts(task.served, task.modalities)
        asked = [rule for rule in (policy.applies_when, control.applies_when) if rule is not None]
        facts["undeclared"] = sorted({name for rule in asked for name in rule.undeclared(declared)})
    found = Verdict(
        id=digest([*key, task.revision])[:32],
        policy=policy.name,
        policy_digest=policy.digest,
        control=control.id,
        refs=control.refs,
        model=task.model,
        slice=slice_,
        start=span.start,
        end=span.end,
        verdict=shown,
        underlying=word,
        reason=reason,
        force=task.force,
        state=standing.state,
        since=standing.since,
        observed=observed,
        limit=limit,
        unit=unit,
        n=n,
        evidence=evidence,
        facts={**facts, "observed": observed, "limit": limit, "n": n} if observed is not None else facts,
        judged=task.now,
        kind=control.kind or task.policies.vocabulary.alert_kind(control.metric or "", modality),
        severity=control.severity,
        input=input_,
        modality=modality,
        budget_share=share,
        run=task.run,
        revision=task.revision,
        held_since=held_since,
    )
    return explained(found)


def _evidence_ids(outcome: Outcome) -> tuple[str, ...]:
    first = [m for m in (outcome.deciding, outcome.e_value) if m is not None]
    return tuple(dict.fromkeys(m.id for m in (*first, *outcome.beyond, *outcome.series)))


def _share(task: _Task, outcome: Outcome) -> float | None:
    if outcome.allowance is None:
        return None
    return 0.0 if task.control.advisory else outcome.allowance.share(outcome.tested)
