"""Every reference of every shipped pack against dates written down by hand from the law, by role, route and day."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from auditor import registry
from auditor.core.verdict import Force, Ref
from auditor.core.window import parse_time
from auditor.policy.calendar import exempt, force_of, force_on, provision_of, resolves
from auditor.policy.loader import load_policies
from auditor.policy.schema import Control, SystemProfile

ROOT = Path(__file__).parents[2] / "policies"
PACKS = load_policies([ROOT], registry.vocabulary())
CALENDAR = PACKS.calendars[0]
DAYS = ("2026-11-30", "2026-12-03", "2027-08-03", "2027-12-03", "2028-08-03", "2030-08-03")
ROLES = ("provider", "deployer", "importer", "distributor")
ROUTES = ("annex_iii", "annex_i", "not_high_risk", "gpai")

# By hand. Article: who, first day by route, first day under the later reading.
DEFERRED = {"annex_iii": "2027-12-02", "annex_i": "2028-08-02"}
FORMAL = {"annex_iii": "2026-08-02", "annex_i": "2026-08-02"}
EVERYWHERE = dict.fromkeys(ROUTES, "2025-02-02")
SINCE_2026 = dict.fromkeys(ROUTES, "2026-08-02")
BOTH = ("provider", "deployer")
LAW = {
    "Art. 5": (BOTH, EVERYWHERE, EVERYWHERE),
    "Art. 6": (("provider",), DEFERRED, DEFERRED),
    "Art. 9": (("provider",), DEFERRED, DEFERRED),
    "Art. 10": (("provider",), DEFERRED, DEFERRED),
    "Art. 12": (("provider",), DEFERRED, DEFERRED),
    "Art. 13": (("provider",), DEFERRED, DEFERRED),
    "Art. 14": (("provider",), DEFERRED, DEFERRED),
    "Art. 15": (("provider",), DEFERRED, DEFERRED),
    "Art. 19": (("provider",), DEFERRED, DEFERRED),
    "Art. 26": (("deployer",), DEFERRED, DEFERRED),
    "Art. 27": (("deployer",), DEFERRED, DEFERRED),
    "Art. 50": (BOTH, SINCE_2026, SINCE_2026),
    "Art. 50(2)": (("provider",), SINCE_2026, SINCE_2026),
    "Art. 72": (("provider",), FORMAL, DEFERRED),
    "Art. 73": (("provider",), FORMAL, DEFERRED),
    "Annex IV": (("provider",), DEFERRED, DEFERRED),
}


def profile(role: str, route: str, placed: str | None = None, **facts: bool) -> SystemProfile:
    return SystemProfile(
        name="s",
        digest="",
        models=("m",),
        roles=(role,),
        route=route,
        placed_on_market=parse_time(placed) if placed else None,
        extra=facts,
    )


def article(at: str) -> str:
    return max((known for known in LAW if at == known or at.startswith((f"{known}(", f"{known} "))), key=len)


def binding() -> list[Control]:
    return [c for policy in PACKS.policies for c in policy.controls if c.basis == "binding"]


def expected(control: Control, role: str, route: str, day: datetime, reading: int) -> str:
    duties = [ref for ref in control.refs if ref.relation in ("requires", "evidences") and ref.src == "eu-ai-act"]
    mine = [LAW[article(ref.at)] for ref in duties if role in LAW[article(ref.at)][0]]
    if not mine:
        return "not_addressed"
    starts = [law[reading][route] for law in mine if route in law[reading]]
    if not starts:
        return "not_on_route"
    return "binding" if any(day >= parse_time(start) for start in starts) else "readiness"


@pytest.mark.parametrize("day", DAYS)
def test_each_reference_has_the_force_of_its_day(day: str) -> None:
    at, checked = parse_time(day), 0
    for control in binding():
        for role in ROLES:
            for route in ROUTES:
                system = profile(role, route)
                for reading, dependent in ((1, False), (2, True)):
                    spared = exempt(control, CALENDAR, system)
                    found = spared or str(force_of(control, CALENDAR, system, at, dependent=dependent))
                    assert found == expected(control, role, route, at, reading), (control.id, role, route, dependent)
                    checked += 1
    assert checked >= 500


def test_ai_act_force_stands_on_no_other_row() -> None:
    for policy in PACKS.policies:
        for control in policy.controls:
            for ref in control.refs:
                assert ref.relation in ("supports", "voluntary") or ref.src == "eu-ai-act", (control.id, ref)


@pytest.mark.parametrize(
    ("at", "ok"),
    [
        ("Art. 10(2)(f)", True),
        ("Art. 10(5)", False),
        ("Art. 10(2)(z)", False),
        ("Art. 13(3)(b)(v)", True),
        ("Art. 13(3)(b)(ix)", False),
        ("Art. 26(12)", True),
        ("Art. 26(13)", False),
        ("Art. 8", True),
        ("Art. 25(4)", True),
        ("Art. 54(1)", True),
        ("Art. 101", True),
        ("Art. 5(1)(bb)", True),
        ("Annex III 5(b)", True),
        ("Annex III 9", False),
        ("Annex IV 2(g)", True),
        ("Annex IV 10", False),
        ("Art. 200", False),
    ],
)
def test_provisions_resolve_to_the_paragraph(at: str, ok: bool) -> None:
    assert resolves(Ref("eu-ai-act", at, "requires"), CALENDAR) is ok


@pytest.mark.parametrize(
    ("src", "at", "ok"),
    [
        ("nist-ai-rmf", "MEASURE 2.13", True),
        ("nist-ai-rmf", "MEASURE 9.99", False),
        ("nist-ai-rmf", "MAP 3.6", False),
        ("iso-42001", "A.6.2.8", True),
        ("iso-42001", "A.6.2.9", False),
    ],
)
def test_clauses_of_other_frameworks_resolve(src: str, at: str, ok: bool) -> None:
    assert resolves(Ref(src, at, "supports"), CALENDAR) is ok


@pytest.mark.parametrize(
    ("placed", "facts", "day", "force"),
    [
        ("2026-01-01", {"public_body": False}, "2027-12-03", "readiness"),  # Art. 111(2): no significant change
        ("2026-01-01", {"public_body": False}, "2030-08-03", "readiness"),
        ("2026-01-01", {"public_body": True}, "2030-08-01", "readiness"),
        ("2026-01-01", {"public_body": True}, "2030-08-03", "binding"),
        ("2026-01-01", {}, "2030-08-03", "binding"),  # nobody declared that the body is not public
        ("2027-12-02", {"public_body": False}, "2027-12-03", "binding"),
        (None, {}, "2027-12-03", "binding"),
    ],
)
def test_systems_from_before_wait(placed: str | None, facts: dict[str, bool], day: str, force: str) -> None:
    control = next(c for c in binding() if c.id == "risk-acceptance")
    system = profile("provider", "annex_iii", placed, **facts)
    assert force_of(control, CALENDAR, system, parse_time(day)) is Force(force)


@pytest.mark.parametrize(
    ("at", "route", "placed", "day", "starts"),
    [
        ("Art. 53(1)(a)", "gpai", "2025-01-01", "2027-08-01", False),  # Art. 111(3)
        ("Art. 53(1)(a)", "gpai", "2025-01-01", "2027-08-03", True),
        ("Art. 53(1)(a)", "gpai", "2025-09-01", "2026-11-30", True),
        ("Art. 50(2)", "not_high_risk", "2026-01-01", "2026-11-30", False),  # Art. 111(4)
        ("Art. 50(2)", "not_high_risk", "2026-01-01", "2026-12-03", True),
        ("Art. 50(2)", "not_high_risk", "2026-09-01", "2026-11-30", True),
    ],
)
def test_grace_for_what_was_there_before(at: str, route: str, placed: str, day: str, starts: bool) -> None:
    from auditor.policy.calendar import in_force

    provision = provision_of(Ref("eu-ai-act", at, "requires"), CALENDAR)
    assert in_force(provision, profile("provider", route, placed), parse_time(day)) is starts


def test_both_readings_are_shown() -> None:
    plan = next(c for c in binding() if c.id == "monitoring-plan")
    system = profile("provider", "annex_iii")
    assert force_on(plan, CALENDAR, system, parse_time("2026-12-03")) == {
        "on": "2026-12-03",
        "force": "binding",
        "other_reading": "readiness",
    }
    assert "other_reading" not in force_on(plan, CALENDAR, system, parse_time("2028-08-03"))


@pytest.mark.parametrize(
    ("facts", "held"),
    [
        ({"public_body": False, "public_service": False, "annex_iii": ("5(b)",)}, True),
        ({"public_body": False, "public_service": False, "annex_iii": ("5(c)", "4(a)")}, True),
        ({"public_body": False, "public_service": False, "annex_iii": ("4(a)",)}, False),
        ({"public_body": False, "public_service": False}, None),
        ({"annex_iii": ("4(a)",), "public_body": False}, None),
        ({"public_service": True}, True),
    ],
)
def test_banks_and_insurers_owe_the_impact_assessment(facts: dict[str, object], held: bool | None) -> None:
    fria = next(c for c in binding() if c.id == "fria")
    declared = profile("deployer", "annex_iii").facts() | {
        name: value if isinstance(value, tuple) else (value,) for name, value in facts.items()
    }
    assert fria.applies_when is not None
    assert fria.applies_when.hold(declared) is held
