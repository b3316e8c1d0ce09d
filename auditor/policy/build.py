"""From what a document says to the frozen objects of `schema`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from auditor.core.catalogue import Vocabulary
from auditor.core.identity import digest
from auditor.core.verdict import Ref
from auditor.policy.facts import OF_PROFILE
from auditor.policy.kinds import PROFILE_KEYS
from auditor.policy.nodes import Node
from auditor.policy.schema import (
    Attestation,
    AttestationEvidence,
    Budget,
    Case,
    Clear,
    Condition,
    Control,
    Expectation,
    Facts,
    Framework,
    LegalCalendar,
    MetricEvidence,
    Milestone,
    Person,
    Policy,
    PolicyTest,
    Provision,
    SystemProfile,
    Waiver,
    WaiverRules,
    Window,
)
from auditor.ports import Operator

Values = Mapping[str, Any]
Fact = tuple[str | bool, ...]
Document = Policy | SystemProfile | LegalCalendar | Waiver | Attestation | PolicyTest


def build(kind: str, values: Values, node: Node, vocabulary: Vocabulary) -> Document:
    """The object of a document that `read_document` accepted."""
    if kind == "Policy":
        return policy(values, node, vocabulary.operators)
    document: Document = _BUILDERS[kind](values, node)
    return document


def policy(values: Values, node: Node, operators: Mapping[str, Operator]) -> Policy:
    """A Policy; its controls take what they leave out from `spec.defaults`."""
    meta, spec = values["metadata"], values["spec"]
    scope = spec.get("scope", {})
    controls: dict[str, Control] = {}
    for given, place in spec["controls"]:
        control = _control(given, spec.get("defaults", {}), place, operators)
        if control.id in controls:
            raise place.error(
                "duplicate_id",
                f"two controls are called {control.id!r}",
                f"rename one; see {controls[control.id].where}",
            )
        controls[control.id] = control
    budget = spec.get("budget")
    if budget is None and any(control.budgeted for control in controls.values()):
        first = next(control for control in controls.values() if control.budgeted)
        error = node.error("no_budget", f"{first.id!r} is judged under a budget", "add spec.budget")
        raise error
    rules = spec.get("waiverRules")
    for control_id in (rules or {}).get("nonWaivable", ()):
        if control_id not in controls:
            raise node.error("unknown_control", f"nonWaivable names {control_id!r}", "name a control of this policy")
    return Policy(
        name=meta["name"],
        version=meta["version"],
        title=meta.get("title", meta["name"]),
        controls=tuple(controls.values()),
        digest=digest(node.plain()),
        calendar=meta.get("calendar"),
        owner=meta.get("owner", {}),
        effective_from=meta.get("effectiveFrom"),
        models=scope.get("models", ()),
        applies_when=_facts(scope.get("appliesWhen")),
        facts=spec.get("facts", ()),
        budget=Budget(budget["false_pages"], budget["per"]) if budget else None,
        waiver_rules=rules
        and WaiverRules(rules["maxDuration"], rules.get("requireApproverRole", ()), rules.get("nonWaivable", ())),
        where=node.where,
    )


def _control(values: Values, defaults: Values, node: Node, operators: Mapping[str, Operator]) -> Control:
    both = {**defaults, **values}
    evidence = _evidence(values["evidence"])
    condition, warn = (_condition(values.get(key), node, key, operators) for key in ("condition", "warn"))
    if isinstance(evidence, MetricEvidence) and condition is None:
        raise node.error("missing_key", "a metric needs a condition", "add condition: {op: lte, value: ...}")
    if isinstance(evidence, AttestationEvidence):
        for key in ("condition", "warn", "significance"):
            if key in values:
                raise node.error("bad_value", f"an attestation has no {key}", f"drop {key}")
    bare = next((part.op for part in (condition, warn) if part and not part.has_limit), None)
    if bare and "significance" not in values:
        raise node.error("bad_value", f"{bare} is judged by a p-value", "add significance: budget, or give a limit")
    window = _window(defaults.get("window", {}), values.get("window", {}))
    clear = both.get("clear", {})
    if both.get("onMissing") == "hold_last" and window.max_staleness is None:
        raise node.error("bad_value", "hold_last needs to know for how long", "add window: {maxStaleness: ...}")
    if "value" in clear and condition is not None and (condition.low is None) == (condition.high is None):
        raise node.error("bad_value", "clear.value fits a single limit, not a range", "drop clear.value")
    source = values.get("thresholdSource", {})
    return Control(
        id=values["id"],
        title=values["title"],
        basis=values["basis"],
        severity=both.get("severity", "medium"),
        refs=tuple(Ref(ref["src"], ref["at"], ref["relation"]) for ref in values.get("refs", ())),
        evidence=evidence,
        condition=condition,
        owner=values.get("owner", ""),
        kind=values.get("kind"),
        next=values.get("next", ""),
        applies_when=_facts(values.get("appliesWhen")),
        significance=values.get("significance"),
        window=window,
        warn=warn,
        for_=both.get("for", timedelta(0)),
        clear=Clear(clear.get("value"), clear.get("for", timedelta(0))),
        on_missing=both.get("onMissing", "insufficient_evidence"),
        threshold_source={"kind": source} if isinstance(source, str) else source,
        advisory=values.get("advisory", False),
        on_fail=values.get("onFail", {}),
        where=node.where,
    )


def _evidence(values: Values) -> MetricEvidence | AttestationEvidence:
    if values["kind"] == "attestation":
        return AttestationEvidence(values["statement"], values["validFor"], values.get("invalidatedBy", ()))
    where = {
        key: value if value is None or isinstance(value, tuple) else (value,)
        for key, value in values.get("where", {}).items()
    }
    return MetricEvidence(
        values["metric"],
        where,
        values.get("sliceBy", ()),
        values.get("quorum", 1.0),
        values.get("ifNeverMeasured", "insufficient_evidence"),
        values["kind"],
    )


def _condition(values: Values | None, node: Node, key: str, operators: Mapping[str, Operator]) -> Condition | None:
    if values is None:
        return None
    op = values["op"]
    operator = operators[op]
    low, high = _limits(op, operator, values.get("value"), node, key)
    ci, decide = values.get("ci"), values.get("decide", {})
    if ci is None and (decide.get("report") == "compliance" or decide.get("alert") == "violation"):
        raise node.error("bad_value", f"{key}: deciding on an interval needs one", "add ci: {level: 0.95}")
    if ci is not None and low is None and high is None:
        raise node.error("bad_value", f"{key}: {op} is judged by a p-value, not by an interval", "drop ci")
    return Condition(
        op,
        low,
        high,
        ci and ci["level"],
        ci and ci.get("method"),
        decide.get("report", "compliance" if ci else "point"),
        decide.get("alert", "violation" if ci else "point"),
        operator.phrase,
        operator.strict,
    )


def _limits(
    op: str, operator: Operator, value: float | tuple[float, ...] | None, node: Node, key: str
) -> tuple[float | None, float | None]:
    numbers = value if isinstance(value, tuple) else () if value is None else (value,)
    fits = len(numbers) == operator.numbers and isinstance(value, tuple) == (operator.numbers > 1)
    try:
        low, high = operator.limits(*numbers) if fits else (math.inf, -math.inf)
    except ValueError as error:
        raise node.error("bad_value", f"{key}: {op} does not take {value!r}: {error}", "give another value") from error
    if low is not None and high is not None and low > high:
        wanted = ("no value", "one number")[operator.numbers] if operator.numbers < 2 else f"{operator.numbers} numbers"
        order = ", the smaller first" if operator.numbers > 1 else ""
        raise node.error("bad_value", f"{key}: {op} does not go with this value", f"{op} takes {wanted}{order}")
    return low, high


def _window(defaults: Values, values: Values) -> Window:
    both = {**defaults, **values}
    least = {**defaults.get("minSamples", {}), **values.get("minSamples", {})}
    total = least.get("total", 1)
    return Window(
        both.get("duration"), total, least.get("perSlice", total), both.get("maxStaleness"), both.get("labelDelay")
    )


def _facts(values: Values | None) -> Facts | None:
    if values is None:
        return None
    equals = {key: _tuple(value) for key, value in values.items() if key not in ("anyOf", "noneOf")}
    nested = {key: tuple(filter(None, map(_facts, values.get(key, ())))) for key in ("anyOf", "noneOf")}
    return Facts(equals, nested["anyOf"], nested["noneOf"])


def _tuple(value: Any) -> Fact:
    return value if isinstance(value, tuple) else (value,)


def profile(values: Values, node: Node) -> SystemProfile:
    """A SystemProfile."""
    return _profile(values["spec"], values["metadata"]["name"], node)


def _profile(spec: Values, name: str, node: Node) -> SystemProfile:
    for key in spec.get("facts", {}):
        if key in OF_PROFILE or key in PROFILE_KEYS:
            raise node.error(
                "fact_shadows_profile",
                f"the fact {key!r} is declared by the profile itself",
                f"drop it, or change {key}",
            )
    return SystemProfile(
        name=name,
        models=spec.get("models", ()),
        roles=spec["roles"],
        route=spec["route"],
        digest=digest(node.plain()),
        modalities=spec.get("modalities", ()),
        placed_on_market=spec.get("placedOnMarket"),
        significant_change=spec.get("significantChange"),
        model_version=spec.get("modelVersion"),
        extra={key: _tuple(value) for key, value in spec.get("facts", {}).items()},
        where=node.where,
    )


def calendar(values: Values, node: Node) -> LegalCalendar:
    """A LegalCalendar."""
    spec = values["spec"]
    return LegalCalendar(
        name=values["metadata"]["name"],
        version=values["metadata"]["version"],
        src=spec["src"],
        title=spec["title"],
        verified_on=spec["verifiedOn"],
        provisions=tuple(
            Provision(
                part["at"],
                part["title"],
                _dates(part["appliesFrom"]),
                part["source"],
                part["confidence"],
                part.get("who", ()),
                part.get("reading", "formal"),
                _dates(part.get("alternative", {})),
                part.get("deferredForLegacy", False),
            )
            for part in spec["provisions"]
        ),
        frameworks=tuple(
            Framework(part["src"], part["title"], part.get("clauses", ())) for part in spec.get("frameworks", ())
        ),
        milestones=tuple(
            Milestone(part["on"], part["what"], part["provision"], part["confidence"])
            for part in spec.get("milestones", ())
        ),
        digest=digest(node.plain()),
        where=node.where,
    )


def _dates(value: datetime | Mapping[str, datetime]) -> Mapping[str, datetime]:
    return {"all": value} if isinstance(value, datetime) else value


def waiver(values: Values, node: Node) -> Waiver:
    """A Waiver; PolicyError `self_approved` or `waiver_order` when it contradicts itself."""
    return _waiver(values["spec"], values["metadata"]["name"], node)


def _waiver(spec: Values, name: str, node: Node) -> Waiver:
    asked, approved = spec["requestedBy"], spec["approvedBy"]
    if asked["name"].casefold() == approved["name"].casefold():
        raise node.error("self_approved", f"{approved['name']} approved their own waiver", "ask another person")
    if spec["expires"] <= spec["approvedOn"]:
        raise node.error("waiver_order", "expires before it is approved", "give a later expires")
    part = spec.get("slice")
    return Waiver(
        name=name,
        control=spec["control"],
        policy=spec.get("policy"),
        system=spec.get("system"),
        slice="&".join(f"{key}={part[key]}" for key in sorted(part)) if isinstance(part, Mapping) else part,
        reason=spec["reason"],
        category=spec.get("category", "accepted"),
        requested_by=Person(asked["name"], asked["role"]),
        approved_by=Person(approved["name"], approved["role"]),
        approved_on=spec["approvedOn"],
        expires=spec["expires"],
        digest=digest(node.plain()),
        ticket=spec.get("ticket", ""),
        compensating=spec.get("compensating", ()),
        where=node.where,
    )


def attestation(values: Values, node: Node) -> Attestation:
    """An Attestation."""
    return _attestation(values["spec"], values["metadata"]["name"], node)


def _attestation(spec: Values, name: str, node: Node) -> Attestation:
    reviewer = spec.get("reviewedBy")
    if reviewer and reviewer["name"].casefold() == spec["by"]["name"].casefold():
        raise node.error("self_approved", f"{reviewer['name']} reviewed their own statement", "ask another person")
    return Attestation(
        name=name,
        statement=spec["statement"],
        system=spec.get("system", ""),
        subject={key: _tuple(value) for key, value in spec.get("subject", {}).items()},
        satisfied=spec["result"] == "satisfied",
        by=Person(spec["by"]["name"], spec["by"]["role"]),
        on=spec["on"],
        digest=digest(node.plain()),
        reviewed_by=Person(reviewer["name"], reviewer["role"]) if reviewer else None,
        valid_until=spec.get("validUntil"),
        evidence=spec.get("evidence", ()),
        where=node.where,
    )


def policy_test(values: Values, node: Node) -> PolicyTest:
    """A PolicyTest."""
    system = values.get("profile")
    return PolicyTest(
        name=values["metadata"]["name"],
        policy=values["policy"],
        start=values["start"],
        step=values["step"],
        cases=tuple(_case(given, place) for given, place in values["cases"]),
        digest=digest(node.plain()),
        profile=_profile(system, "case-system", node) if system else None,
        where=node.where,
    )


_CASE_PEOPLE = {
    "reason": "a case's waiver",
    "requestedBy": {"name": "A. Asker", "role": "ml-lead"},
    "approvedBy": {"name": "B. Approver", "role": "risk-owner"},
}


def _case(values: Values, node: Node) -> Case:
    series = values.get("series", {})
    system = values.get("profile")
    return Case(
        name=values["name"],
        control=values["control"],
        series={"": series} if isinstance(series, str) else series,
        slice=values.get("slice", "overall"),
        input=values.get("input"),
        modality=values.get("modality", "any"),
        steps=values.get("steps"),
        profile=_profile(system, "case-system", node) if system else None,
        waivers=tuple(
            _waiver({**_CASE_PEOPLE, **given, "control": values["control"]}, f"case-waiver-{i}", place)
            for i, (given, place) in enumerate(values.get("waivers", ()))
        ),
        attestations=tuple(
            _attestation(given, f"case-attestation-{i}", place)
            for i, (given, place) in enumerate(values.get("attestations", ()))
        ),
        expect=tuple(
            Expectation(
                item["at"],
                item["verdict"],
                item.get("state"),
                item.get("reason"),
                item.get("underlying"),
                item.get("force"),
                place.where,
            )
            for item, place in values["expect"]
        ),
        where=node.where,
    )


_BUILDERS: dict[str, Any] = {
    "SystemProfile": profile,
    "LegalCalendar": calendar,
    "Waiver": waiver,
    "Attestation": attestation,
    "PolicyTest": policy_test,
}
