"""The facts that a system profile declares: name, type, the question that a person answers, the articles that it decides.

A rule that needs a fact which no person declared cannot be applied or excluded: its verdict is `insufficient_evidence`,
reason `fact_not_declared`. A policy that needs facts of its own declares them under `spec.facts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

from auditor.core.errors import PolicyError
from auditor.policy.read import hint
from auditor.policy.schema import (
    OF_PROFILE,
    AttestationEvidence,
    Facts,
    FactSpec,
    OneOrMore,
    Policy,
    Role,
    Route,
    SystemProfile,
    values,
)


def _fact(kind: str, question: str, *articles: str, values: tuple[str, ...] = ()) -> FactSpec:
    return FactSpec(type=kind, question=question, articles=articles, values=values)  # type: ignore[arg-type]


_POINTS = (
    *("1(a)", "1(b)", "1(c)", "2", "3(a)", "3(b)", "3(c)", "3(d)", "4(a)", "4(b)", "5(a)", "5(b)", "5(c)", "5(d)"),
    *("6(a)", "6(b)", "6(c)", "6(d)", "6(e)", "7(a)", "7(b)", "7(c)", "7(d)", "8(a)", "8(b)"),
)
FACTS: dict[str, FactSpec] = {
    "intended_purpose": _fact(
        "text", "What is the system used for, in the words of its instructions for use?", "Art. 5"
    ),
    "annex_iii": _fact(
        "list", "Which points of Annex III describe the use?", "Art. 6(2)", "Art. 27(1)", values=_POINTS
    ),
    "public_body": _fact(
        "flag", "Is the deployer a body governed by public law?", "Art. 27(1)", "Art. 49(3)", "Art. 111(2)"
    ),
    "public_service": _fact("flag", "Does the deployer provide a public service as a private entity?", "Art. 27(1)"),
    "interacts_with_people": _fact("flag", "Do natural persons interact with the system directly?", "Art. 50(1)"),
    "generates_content": _fact("flag", "Does the system generate synthetic audio, image, video or text?", "Art. 50(2)"),
    "emotion_recognition": _fact("flag", "Does the system recognise emotions?", "Art. 50(3)", "Art. 5(1)(f)"),
    "biometric_categorisation": _fact(
        "flag", "Does the system categorise persons by their biometric data?", "Art. 50(3)", "Art. 5(1)(g)"
    ),
    "publishes_content": _fact(
        "flag", "Are deep fakes, or generated texts on matters of public interest, published?", "Art. 50(4)"
    ),
    "systemic_risk": _fact("flag", "Is the general-purpose model one with systemic risk?", "Art. 51", "Art. 55"),
}
"""Facts that shipped policies and the calendar ask for."""
_ASKED_OF_PROFILE = {
    "roles": _fact("list", "Which roles does your organisation have?", "Art. 3", values=get_args(Role)),
    "route": _fact(
        "list", "By which route is the system high-risk?", "Art. 6", values=(*get_args(Route), "undeclared")
    ),
    "modalities": _fact("list", "Which kinds of input does the system take?"),
    "model_version": _fact("list", "Which version of the model is served?"),
}
_DATE = {
    "placed_on_market": _fact(
        "text", "On which day was the system placed on the market or put into service?", "Art. 111"
    )
}


def vocabulary(policies: Sequence[Policy]) -> dict[str, FactSpec]:
    """Every fact that these policies may ask for."""
    own = {name: spec for policy in policies for name, spec in policy.facts.items()}
    return {**_ASKED_OF_PROFILE, **FACTS, **own}


def of_profile(names: Sequence[str]) -> dict[str, FactSpec]:
    """The questions behind keys of the profile itself."""
    known = {**_ASKED_OF_PROFILE, **_DATE}
    return {name: known[name] for name in names}


def asked(policies: Sequence[Policy]) -> dict[str, FactSpec]:
    """The facts that rules of these policies depend on, in the order of the vocabulary."""
    names: set[str] = set()
    for policy in policies:
        for control in policy.controls:
            for facts in (policy.applies_when, control.applies_when):
                names |= facts.names() if facts is not None else set()
            if isinstance(control.evidence, AttestationEvidence):
                names |= set(control.evidence.invalidated_by)
    return {name: spec for name, spec in vocabulary(policies).items() if name in names and name not in OF_PROFILE}


def problems(policies: Sequence[Policy], profiles: Sequence[SystemProfile]) -> Iterator[PolicyError]:
    """Facts outside the vocabulary, and values that a fact cannot have, in conditions and in profiles."""
    for policy in policies:
        known = vocabulary([policy])
        yield from _conditions(policy.applies_when, known, policy.where)
        for control in policy.controls:
            yield from _conditions(control.applies_when, known, control.where)
            if isinstance(control.evidence, AttestationEvidence):
                for name in control.evidence.invalidated_by:
                    yield from _named(name, known, control.where)
    known = vocabulary(policies)
    for profile in profiles:
        for name, written in profile.extra.items():
            yield from _valued(name, written, known, profile.where)


def _conditions(facts: Facts | None, known: Mapping[str, FactSpec], where: str) -> Iterator[PolicyError]:
    for name, wanted in facts.pairs() if facts is not None else ():
        for value in wanted:
            yield from _valued(name, value, known, where)


def _named(name: str, known: Mapping[str, FactSpec], where: str) -> Iterator[PolicyError]:
    if name not in known:
        fix = f"{hint(name, sorted(known))}; or declare it under spec.facts of the policy"
        yield PolicyError("unknown_fact", f"no fact is called {name!r}", where=where, fix=fix)


def _valued(name: str, written: OneOrMore, known: Mapping[str, FactSpec], where: str) -> Iterator[PolicyError]:
    yield from _named(name, known, where)
    spec = known.get(name)
    if spec is None or (spec.type == "list" and not spec.values):
        return
    several = isinstance(written, tuple) and spec.type != "list"
    for value in values(written):
        if several or isinstance(value, bool) != (spec.type == "flag"):
            wanted = {"flag": "true or false", "text": "one text", "list": "texts"}[spec.type]
            yield PolicyError(
                "wrong_fact_type", f"{name} is {wanted}, not {value!r}", where=where, fix=f"write {wanted}"
            )
        elif spec.values and value not in spec.values:
            fix = hint(str(value), spec.values)
            yield PolicyError("unknown_value", f"{name} is never {value!r}", where=where, fix=fix)
