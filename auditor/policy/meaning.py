"""What loads well and means nothing: names that resolve nowhere, limits on the wrong side, series that no metric has.

`problems` are findings of `policy lint`; every command that judges stops at the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from auditor.core.catalogue import MetricSpec, Vocabulary
from auditor.core.errors import PolicyError
from auditor.policy import facts
from auditor.policy.calendar import resolves
from auditor.policy.decision import beyond
from auditor.policy.read import hint
from auditor.policy.schema import ANY, Condition, Control, Document, MetricEvidence, Policy, PolicyTest, SystemProfile
from auditor.policy.series import parse_series

if TYPE_CHECKING:
    from auditor.policy.loader import PolicySet

INTERVALS = ("wilson", "wilson_sidak", "jeffreys", "newcombe", "koopman", "student_t", "order_statistics")
"""Methods by which the measurers make intervals."""
_FEATURE = re.compile(r"[^\s&*=]+(&[^\s&*=]+)*")
_SLICE = re.compile(r"overall|[^&=]+=[^&=]+(&[^&=]+=[^&=]+)*")
_OF_SLICES = ("feature", "group")


def problems(found: PolicySet) -> Iterator[PolicyError]:
    """Everything in a set that cannot be meant, in the order of its documents."""
    for group in (found.policies, found.profiles, found.calendars, found.waivers, found.attestations, found.tests):
        yield from _unique(group)
    owners: dict[str, SystemProfile] = {}
    for profile in found.profiles:
        for model in profile.models:
            if model in owners:
                other = f"keep one; the other is {owners[model].where}"
                what = f"model {model!r} belongs to two systems"
                yield PolicyError("duplicate_model", what, where=profile.where, fix=other)
            owners[model] = profile
    yield from facts.problems(found.policies, found.profiles)
    for policy in found.policies:
        yield from _references(policy, found)
        for control in policy.controls:
            yield from _control(control, found.vocabulary)
    for waiver in found.waivers:
        named = [c for p in found.policies for c in p.controls if c.id == waiver.control]
        if isinstance(waiver.slice, str) and named:
            yield from _slice(waiver.slice, named, waiver.where)
    for test in found.tests:
        yield from _test(test, found)


def _unique(group: Sequence[Document]) -> Iterator[PolicyError]:
    seen: dict[str, Document] = {}
    for item in group:
        if item.name in seen:
            fix = f"rename one; the other is {seen[item.name].where}"
            what = f"two documents of one kind are called {item.name!r}"
            yield PolicyError("duplicate_name", what, where=item.where, fix=fix)
        seen.setdefault(item.name, item)


def _references(policy: Policy, found: PolicySet) -> Iterator[PolicyError]:
    calendar = found.calendar(policy)
    if policy.calendar is not None and calendar is None:
        fix = hint(policy.calendar, [item.name for item in found.calendars] or ["none is loaded"])
        yield PolicyError("unknown_calendar", f"no calendar {policy.calendar!r} is loaded", where=policy.where, fix=fix)
        return
    for control in policy.controls:
        if control.basis == "binding" and (calendar is None or not control.references):
            yield PolicyError(
                "no_reference",
                f"{control.id!r} is binding, but on whose word",
                where=control.where,
                fix="give metadata.calendar and refs, or basis: internal",
            )
        for ref in control.refs:
            if calendar is None:
                what = f"{control.id!r} points at {ref.src}, but the policy names no calendar"
                yield PolicyError("no_calendar", what, where=control.where, fix="add metadata.calendar")
            elif not resolves(ref, calendar):
                what = f"{calendar.name} knows no {ref.src} {ref.at}"
                fix = "correct the reference, or add it to the calendar"
                yield PolicyError("unknown_reference", what, where=control.where, fix=fix)


def _control(control: Control, vocabulary: Vocabulary) -> Iterator[PolicyError]:
    evidence, limit = control.evidence, control.condition
    if not isinstance(evidence, MetricEvidence) or limit is None:
        return
    yield from _series(control, evidence, vocabulary)
    for name, condition in (("condition", limit), ("warn", control.warn)):
        if condition is None or condition.ci_level is None:
            continue
        if control.budgeted:
            yield PolicyError(
                "ci_with_significance",
                f"{control.id!r} would be decided by an interval and by a p-value",
                where=control.where,
                fix="keep ci or significance",
            )
        if condition.ci_method is not None and condition.ci_method not in INTERVALS:
            what = f"no interval is made by {condition.ci_method!r} ({name})"
            yield PolicyError("unknown_method", what, where=control.where, fix=hint(condition.ci_method, INTERVALS))
    if control.warn is not None and not _inside(control.warn, limit):
        yield PolicyError(
            "warn_outside_limit",
            f"{control.id!r} would warn only where it fails already",
            where=control.where,
            fix="give warn a limit that is broken earlier than that of condition",
        )
    if control.clear.value is not None and limit.has_limit and beyond(limit, control.clear.value):
        yield PolicyError(
            "clear_outside_limit",
            f"{control.id!r} would recover at {control.clear.value:g}, which breaks its condition",
            where=control.where,
            fix="give clear.value on the side of the limit that holds",
        )


def _inside(warn: Condition, limit: Condition) -> bool:
    """Whether there are figures that keep `limit` and break `warn`."""
    if not warn.has_limit or not limit.has_limit:
        return warn.has_limit
    ends = [
        (warn.low is not None and (limit.low is None or warn.low > limit.low), warn.low, limit.high),
        (warn.high is not None and (limit.high is None or warn.high < limit.high), limit.low, warn.high),
    ]
    one_sided = (limit.low is None) != (limit.high is None)
    if one_sided and (warn.low is None) != (limit.low is None) and (warn.high is None) != (limit.high is None):
        return False
    return any(found and (low is None or high is None or low <= high) for found, low, high in ends)


def _series(control: Control, evidence: MetricEvidence, vocabulary: Vocabulary) -> Iterator[PolicyError]:
    spec = vocabulary.metric(evidence.metric)
    own = {*(spec.attributes if spec is not None else ()), *_OF_SLICES}
    anywhere = own.union(*(item.attributes for item in vocabulary.metrics.values()))
    for name, wanted in evidence.wanted().items():
        known = sorted(anywhere if wanted is None else own)
        if name not in known:
            what = f"{evidence.metric} has no attribute {name!r}"
            yield PolicyError("unknown_attribute", what, where=control.where, fix=hint(name, known))
        for word in wanted if name == "modality" and wanted is not None and wanted != ANY else ():
            if word.removeprefix("!") not in vocabulary.modalities:
                fix = hint(word, tuple(vocabulary.modalities))
                yield PolicyError("unknown_value", f"no modality is called {word!r}", where=control.where, fix=fix)
    for feature in evidence.slice_by:
        if feature != "*" and (not _FEATURE.fullmatch(feature) or evidence.slice_by.count(feature) > 1):
            yield PolicyError(
                "bad_slice",
                f"{feature!r} names no feature, or names it twice",
                where=control.where,
                fix="write features as in groups of records, crossed ones as sex&site",
            )


def _slice(text: str, controls: Sequence[Control], where: str) -> Iterator[PolicyError]:
    features = "&".join(part.partition("=")[0] for part in text.split("&"))
    asked = {
        name for c in controls if isinstance(c.evidence, MetricEvidence) for name in (*c.evidence.slice_by, "overall")
    }
    asked |= {"overall"}
    if not _SLICE.fullmatch(text) or not (features in asked or "*" in asked):
        fix = f"write feature=value of a feature that the control is sliced by: {', '.join(sorted(asked))}"
        yield PolicyError("unknown_slice", f"no verdict has the slice {text!r}", where=where, fix=fix)


def _test(test: PolicyTest, found: PolicySet) -> Iterator[PolicyError]:
    try:
        policy = found.policy_of(test)
    except PolicyError as error:
        yield error
        return
    for case in test.cases:
        control = policy.control(case.control)
        if control is None:
            what = f"policy {policy.name!r} has no control {case.control!r}"
            fix = hint(case.control, [item.id for item in policy.controls])
            yield PolicyError("unknown_control", what, where=case.where, fix=fix)
            continue
        spec = found.vocabulary.metric(control.metric) if control.metric is not None else None
        for text in case.series.values():
            try:
                steps = parse_series(text, case.where)
            except PolicyError as error:
                yield error
                continue
            wrong = next(
                (s.value for s in steps if s is not None and s.value is not None and _beyond(s.value, spec)), None
            )
            if wrong is not None and spec is not None:
                what = f"{spec.name} is never {wrong:g}"
                fix = f"give a value between {spec.lower} and {spec.upper}".replace("None", "any")
                yield PolicyError("value_out_of_range", what, where=case.where, fix=fix)


def _beyond(value: float, spec: MetricSpec | None) -> bool:
    if spec is None:
        return False
    return (spec.lower is not None and value < spec.lower) or (spec.upper is not None and value > spec.upper)
