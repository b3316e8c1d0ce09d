"""`policy test`: every case of every PolicyTest, what no case has shown yet, and mutations that no case notices."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from auditor.policy.cases import Failure, Judge, run_case
from auditor.policy.loader import PolicySet
from auditor.policy.schema import Case, Condition, Control, MetricEvidence, MinSamples, Offset, Policy, PolicyTest


@dataclass(slots=True)
class SuiteResult:
    """What `policy test` found.

    Attributes
    ----------
    untested : list of str
        `policy/control: word` for each word that no case has shown; of interest under `--strict`.
    survivors : list of str
        `policy/control: mutation` for each change of a control that every case lets pass.
    """

    passed: int = 0
    failures: list[Failure] = field(default_factory=list)
    untested: list[str] = field(default_factory=list)
    survivors: list[str] = field(default_factory=list)


def run_suite(found: PolicySet, judge: Judge, *, mutations: bool = True) -> SuiteResult:
    """Run all cases; a policy without any PolicyTest is listed as untested whole."""
    result = SuiteResult()
    cases: dict[tuple[str, str], list[tuple[PolicyTest, Case]]] = {}
    words: dict[tuple[str, str], set[str]] = {}
    broken: set[tuple[str, str]] = set()
    for test in found.tests:
        policy = found.policy_of(test)
        for case in test.cases:
            key = policy.name, case.control
            seen = run_case(found, policy, test, case, judge)
            cases.setdefault(key, []).append((test, case))
            words.setdefault(key, set()).update(seen.words)
            result.failures += seen.failures
            if seen.failures:
                broken.add(key)
            result.passed += not seen.failures
    for policy in found.policies:
        for control in policy.controls:
            key = policy.name, control.id
            missing = [word for word in wanted_words(policy, control) if word not in words.get(key, set())]
            result.untested += [f"{policy.name}/{control.id}: {word}" for word in missing]
            # Where a case fails already, surviving it says nothing.
            if mutations and key in cases and key not in broken:
                result.survivors += [
                    f"{policy.name}/{control.id}: {name}"
                    for name, mutant in mutants(control)
                    if _survives(found, policy, mutant, cases[key], judge)
                ]
    return result


def wanted_words(policy: Policy, control: Control) -> list[str]:
    """The words that cases must have shown: a rule is tested only when it was seen to hold, to break and not to know."""
    wanted = ["pass", "warn" if control.advisory else "fail", "insufficient_evidence"]
    rules = policy.waiver_rules
    if rules is not None and control.id not in rules.non_waivable and not control.advisory:
        wanted += ["waived", "waiver_expired"]
    return wanted


def mutants(control: Control) -> Iterator[tuple[str, Control]]:
    """Small wrongs that a good suite notices: a flipped operator, a moved limit, no least n, no `for`, no significance."""
    condition = control.condition
    if condition is not None and (condition.low is None) != (condition.high is None):
        yield "operator flipped", replace(control, condition=_flipped(condition))
    if condition is not None and condition.has_limit:
        for name, factor in (("limit one step up", 1), ("limit one step down", -1)):
            yield name, replace(control, condition=_shifted(condition, factor))
    if isinstance(control.evidence, MetricEvidence) and max(control.window.total, control.window.per_slice) > 1:
        window = replace(control.window, min_samples=MinSamples(total=0))
        yield "minSamples dropped", replace(control, window=window)
    if control.for_:
        yield "for deleted", replace(control, for_=Offset())
    if control.budgeted and condition is not None and condition.has_limit:
        yield "significance dropped", replace(control, significance=None)


def step_of(limit: float) -> float:
    """One step of a limit: a tenth of it, or 0.01 around zero."""
    return abs(limit) / 10 or 0.01


def _flipped(condition: Condition) -> Condition:
    return dataclasses.replace(condition, low=condition.high, high=condition.low)


def _shifted(condition: Condition, factor: int) -> Condition:
    low, high = (end if end is None else end + factor * step_of(end) for end in (condition.low, condition.high))
    return dataclasses.replace(condition, low=low, high=high)


def _survives(
    found: PolicySet,
    policy: Policy,
    mutant: Control,
    cases: list[tuple[PolicyTest, Case]],
    judge: Judge,
) -> bool:
    return all(not run_case(found, policy, test, case, judge, mutant).failures for test, case in cases)
