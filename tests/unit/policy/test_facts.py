"""A fact that was not declared is unknown: it neither applies a rule nor excludes it."""

from __future__ import annotations

from itertools import product

import pytest
from policy_factory import PROFILE, controls, policy_set

from auditor.core.errors import PolicyError
from auditor.policy.schema import Facts

YES, NO = ("yes",), ("no",)


def facts(**equals: tuple[str | bool, ...]) -> Facts:
    return Facts(equals)


def kleene_all(values: list[bool | None]) -> bool | None:
    return False if False in values else None if None in values else True


@pytest.mark.parametrize(("a", "b"), list(product((YES, NO, None), repeat=2)))
def test_conditions_follow_kleenes_logic(a: tuple[str] | None, b: tuple[str] | None) -> None:
    declared = {name: value for name, value in (("a", a), ("b", b)) if value is not None}
    holds = [None if value is None else value == YES for value in (a, b)]
    both, either, neither = (
        facts(a=YES, b=YES),
        Facts(any_of=(facts(a=YES), facts(b=YES))),
        Facts(none_of=(facts(a=YES), facts(b=YES))),
    )
    opposite = [None if value is None else not value for value in holds]
    assert both.hold(declared) is kleene_all(holds)
    assert neither.hold(declared) is kleene_all(opposite)
    found = kleene_all(opposite)
    assert either.hold(declared) is (None if found is None else not found)


@pytest.mark.parametrize("where", ["scope", "control"])
@pytest.mark.parametrize("name", ["rout", "public_bodies", "Route"])
def test_a_condition_on_an_unknown_fact_is_refused(name: str, where: str) -> None:
    condition = f"appliesWhen: {{{name}: x}}"
    control = """
        - id: c
          title: C
          basis: internal
          evidence: {kind: metric, metric: input.missing_rate}
          condition: {op: lte, value: 0.1}
    """
    of_control = control.rstrip() + f"\n          {condition}\n"
    text = controls(of_control) if where == "control" else controls(control, spec=f"scope: {{{condition}}}\n")
    with pytest.raises(PolicyError) as error:
        policy_set(text)
    assert error.value.code == "unknown_fact"


@pytest.mark.parametrize("key", ["route", "roles", "model_version", "modelVersion", "modalities", "models"])
def test_a_fact_cannot_shadow_the_profile(key: str) -> None:
    with pytest.raises(PolicyError) as error:
        policy_set(PROFILE.replace("public_body: true", f"{key}: x"))
    assert error.value.code == "fact_shadows_profile"
