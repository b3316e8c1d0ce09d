"""PolicyTest: evidence step by step, judged offline by the same verb as in production, against the verdicts expected."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from auditor.core.catalogue import MetricSpec, Vocabulary
from auditor.core.errors import PolicyError
from auditor.core.identity import digest
from auditor.core.measurement import How, Interval, Measurement, Method, Status
from auditor.core.verdict import Verdict, Word
from auditor.core.window import Span, format_duration, format_time
from auditor.policy import waivers
from auditor.policy.budget import allowance
from auditor.policy.evidence import bet_attributes
from auditor.policy.loader import PolicySet
from auditor.policy.schema import ANY, Case, Control, Expectation, MetricEvidence, Policy, PolicyTest
from auditor.policy.series import Step, parse_series
from auditor.statistics.intervals import wilson

MODEL = "case-model"
E_VALUE = "drift.e_value"
Judge = Callable[..., list[Verdict]]
"""The verb `auditor.audit.judge.judge`: handed in, because it lives a layer above."""
_SERIES_KEYS = ("column", "pair", "feature", "label", "component", "reason")


@dataclass(frozen=True, slots=True)
class Failure:
    """An expectation that was not met."""

    case: str
    control: str
    where: str
    message: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What a case showed a control do at the steps it asserts: words, and `waiver_expired`."""

    words: frozenset[str]
    failures: tuple[Failure, ...]


def run_case(
    found: PolicySet,
    policy: Policy,
    test: PolicyTest,
    case: Case,
    judge: Judge,
    control: Control | None = None,
) -> Seen:
    """Judge a case step by step; `control` replaces the policy's own (for mutations)."""
    control = control or policy.control(case.control)
    if control is None:
        raise PolicyError(
            "unknown_control",
            f"policy {policy.name!r} has no control {case.control!r}",
            where=case.where,
            fix="rename it",
        )
    words: set[str] = set()
    failures: list[Failure] = []
    offsets: set[timedelta] = set()
    for offset, verdicts in _replay(found, policy, test, case, judge, control):
        offsets.add(offset)
        for expected in (item for item in case.expect if item.at == offset):
            verdict = next((v for v in verdicts if (v.slice, v.input) == (case.slice, case.input)), None)
            if verdict is None:
                failures.append(_failure(case, expected, f"no verdict for slice {case.slice!r}, input {case.input!r}"))
                continue
            words |= _words(verdict, policy, case)
            problem = _difference(verdict, expected)
            if problem:
                failures.append(_failure(case, expected, problem))
    failures += [_failure(case, item, "the case has no such step") for item in case.expect if item.at not in offsets]
    return Seen(frozenset(words), tuple(failures))


def _words(verdict: Verdict, policy: Policy, case: Case) -> set[str]:
    """The verdict's word, and `waiver_expired` where one of the case's waivers no longer helps."""
    bare = verdict.verdict in (Word.FAIL, Word.INSUFFICIENT_EVIDENCE)
    expired = any(waivers.state(waiver, policy, verdict.end) == "expired" for waiver in case.waivers)
    return {str(verdict.verdict), *(["waiver_expired"] if bare and expired else [])}


def _replay(
    found: PolicySet,
    policy: Policy,
    test: PolicyTest,
    case: Case,
    judge: Judge,
    control: Control,
) -> Iterator[tuple[timedelta, list[Verdict]]]:
    series = {key: parse_series(text, case.where) for key, text in case.series.items()}
    steps = case.steps or max((len(part) for part in series.values()), default=1)
    profile = case.profile or test.profile
    profile = replace(profile, models=(MODEL,)) if profile is not None else None
    alone = PolicySet(
        policies=(_alone(policy, control),),
        profiles=(profile,) if profile is not None else (),
        vocabulary=found.vocabulary,
        calendars=found.calendars,
        waivers=case.waivers,
        attestations=tuple(
            replace(item, system=item.system or (profile.name if profile is not None else ""))
            for item in case.attestations
        ),
    )
    previous: dict[tuple[str, str | None], Verdict] = {}
    for i in range(steps):
        end = test.start + i * test.step
        span = Span(end - test.step, end)
        now_steps = {key: part[i] for key, part in series.items() if i < len(part)}
        measurements = [
            measurement
            for key, step in now_steps.items()
            if step is not None
            for measurement in _measure(control, case, key, step, span, found.vocabulary)
        ]
        verdicts = judge(
            alone, measurements, list(previous.values()), model=MODEL, span=span, now=end, run="case", revision=1
        )
        previous.update({(verdict.slice, verdict.input): verdict for verdict in verdicts})
        yield i * test.step, verdicts


def _alone(policy: Policy, control: Control) -> Policy:
    """The policy with one control only, which keeps its own share of the budget."""
    budget = policy.budget
    if budget is not None:
        split = allowance(policy, budget.per, 1)
        budget = replace(budget, false_pages=budget.false_pages / (split.controls if split is not None else 1))
    return dataclasses.replace(policy, controls=(control,), budget=budget, models=())


def _measure(
    control: Control, case: Case, key: str, step: Step, span: Span, vocabulary: Vocabulary
) -> Iterator[Measurement]:
    evidence = control.evidence
    if not isinstance(evidence, MetricEvidence):
        return
    spec = vocabulary.metric(evidence.metric)
    start = span.end - max(control.window.duration or span.duration, span.duration)
    attributes = _attributes(evidence, case, key, spec)
    status = Status.OK if step.value is not None else Status.ERROR if step.error else Status.INSUFFICIENT_DATA
    by_bets = control.significance == "e-value" and step.p_value is not None
    said = Measurement(
        id=digest([evidence.metric, attributes, format_time(span.end)])[:32],
        metric=evidence.metric,
        value=step.value,
        unit=spec.unit if spec is not None else "1",
        status=status,
        reason=step.reason,
        model=MODEL,
        version=None,
        start=start,
        end=span.end,
        revision=1,
        n=step.n,
        n_baseline=None,
        baseline=None,
        attributes=attributes,
        interval=_interval(control, step),
        p_value=None if by_bets else step.p_value,
        method=Method("case", "1"),
        how=How.MEASURED,
        exact=True,
        bound=None,
        run="case",
        recorded=span.end,
    )
    yield said
    if by_bets and step.p_value:
        attributes = bet_attributes(said)
        key = digest([E_VALUE, attributes, format_time(span.end)])[:32]
        yield dataclasses.replace(
            said, id=key, metric=E_VALUE, value=1 / step.p_value, attributes=attributes, interval=None, start=span.start
        )


def _attributes(evidence: MetricEvidence, case: Case, key: str, spec: MetricSpec | None) -> dict[str, str]:
    found = {
        name: case.modality if wanted == ANY or wanted[0].startswith("!") else wanted[0]
        for name, wanted in evidence.wanted().items()
        if wanted
    }
    if case.slice != "overall":
        pairs = [part.partition("=") for part in case.slice.split("&")]
        found["feature"] = "&".join(name for name, _, _ in pairs)
        found["group"] = "&".join(value for _, _, value in pairs)
    if case.input is not None:
        found["input"] = case.input
    if key:
        known = spec.attributes if spec is not None else ()
        found[next((name for name in _SERIES_KEYS if name in known and name not in evidence.where), "column")] = key
    return found


def _interval(control: Control, step: Step) -> Interval | None:
    condition = control.condition
    if step.value is None or condition is None:
        return None
    level, method = condition.ci_level or 0.95, condition.ci_method or "wilson"
    if step.interval is not None:
        return Interval(*step.interval, level, method)
    if condition.ci_level is None or step.n < 1 or not 0 <= step.value <= 1 or method != "wilson":
        return None
    return wilson(round(step.value * step.n), step.n, level)


def _difference(verdict: Verdict, expected: Expectation) -> str:
    got = {
        "verdict": str(verdict.verdict),
        "state": str(verdict.state),
        "reason": verdict.reason,
        "underlying": str(verdict.underlying),
        "force": str(verdict.force),
    }
    wanted = {key: getattr(expected, key) for key in got if getattr(expected, key) is not None}
    wrong = [f"{key} {got[key]!r} instead of {value!r}" for key, value in wanted.items() if got[key] != value]
    return f"{', '.join(wrong)} ({got['verdict']}, {got['state']}, {got['reason'] or 'no reason'})" if wrong else ""


def _failure(case: Case, expected: Expectation, message: str) -> Failure:
    return Failure(
        case.name,
        case.control,
        expected.where or case.where,
        f"{case.name} at {format_duration(expected.at)}: {message}",
    )
