"""Which provision a reference means, and whether anyone must keep it on a given day."""

from __future__ import annotations

from datetime import datetime

from auditor.core.verdict import Force, Ref
from auditor.policy.schema import Control, LegalCalendar, Provision, SystemProfile


def under(at: str, heading: str) -> bool:
    """Whether a reference lies at or under a heading.

    >>> under("Art. 10(2)(f)", "Art. 10"), under("Art. 10(2)", "Art. 1"), under("Annex IV 9", "Annex IV")
    (True, False, True)
    """
    return at == heading or (at.startswith(heading) and at[len(heading)] in "( ,.-")


def provision_of(ref: Ref, calendar: LegalCalendar) -> Provision | None:
    """The most precise provision of the calendar that a reference lies under."""
    if ref.src != calendar.src:
        return None
    hits = [provision for provision in calendar.provisions if under(ref.at, provision.at)]
    return max(hits, key=lambda provision: len(provision.at), default=None)


def resolves(ref: Ref, calendar: LegalCalendar) -> bool:
    """Whether a reference points at something the calendar knows."""
    if ref.src == calendar.src:
        return provision_of(ref, calendar) is not None
    return any(
        ref.src == framework.src
        and (not framework.clauses or any(under(ref.at, clause) for clause in framework.clauses))
        for framework in calendar.frameworks
    )


def in_force(provision: Provision, profile: SystemProfile | None, at: datetime) -> bool | None:
    """Whether a provision binds this system at a moment; None when it never does on the system's route.

    Without a declared route the earliest date counts. A provision that is deferred for legacy systems binds those placed
    on the market before its date only after a significant change.
    """
    route = profile.route if profile is not None and profile.route != "undeclared" else None
    start = provision.start(route)
    if start is None:
        return None
    if at < start:
        return False
    if provision.deferred_for_legacy and profile is not None and profile.placed_on_market is not None:
        changed = profile.significant_change
        if profile.placed_on_market < start and (changed is None or not start <= changed <= at):
            return False
    return True


def applies_on_route(control: Control, calendar: LegalCalendar | None, profile: SystemProfile | None) -> bool:
    """False when every provision of a binding control has no date at all on the route that the profile declares."""
    if calendar is None or profile is None or control.basis != "binding":
        return True
    found = [provision for provision in _duties(control, calendar) if provision is not None]
    route = None if profile.route == "undeclared" else profile.route
    return not found or any(provision.start(route) is not None for provision in found)


def _duties(control: Control, calendar: LegalCalendar) -> list[Provision | None]:
    return [provision_of(ref, calendar) for ref in control.refs if ref.relation in ("requires", "evidences")]


def force_of(control: Control, calendar: LegalCalendar | None, profile: SystemProfile | None, at: datetime) -> Force:
    """Whether the control's rule must be kept at `at`: its basis, the law's dates and the system's route together.

    A binding control whose provisions are all still to come is `readiness`; one that points at no dated provision is
    taken as binding, because nothing says that it may wait.
    """
    if control.basis == "internal":
        return Force.INTERNAL
    if control.basis == "voluntary":
        return Force.VOLUNTARY
    if calendar is None:
        return Force.BINDING
    states = [in_force(provision, profile, at) for provision in _duties(control, calendar) if provision is not None]
    return Force.READINESS if states and not any(states) else Force.BINDING
