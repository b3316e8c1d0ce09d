"""Which provision a reference means, whom it addresses, and whether anyone must keep it on a given day."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache

from auditor.core.verdict import Force, Ref
from auditor.policy.schema import Control, LegalCalendar, Provision, SystemProfile, start_of

_RANGE = re.compile(r"(\w+)\.\.(\w+)")
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")


def under(at: str, heading: str) -> bool:
    """Whether a reference lies at or under a heading.

    >>> under("Art. 10(2)(f)", "Art. 10"), under("Art. 10(2)", "Art. 1"), under("Annex IV 9", "Annex IV")
    (True, False, True)
    """
    return at == heading or (at.startswith(heading) and at[len(heading)] in "( ,.-")


@cache
def expanded(part: str) -> tuple[str, ...]:
    """Every part that a range stands for.

    >>> expanded("(2)(a..c)"), expanded("MEASURE 2.1..2"), expanded("(b)(i..iii)")
    (('(2)(a)', '(2)(b)', '(2)(c)'), ('MEASURE 2.1', 'MEASURE 2.2'), ('(b)(i)', '(b)(ii)', '(b)(iii)'))
    """
    found = _RANGE.search(part)
    if found is None:
        return (part,)
    first, last = found.groups()
    if first.isdigit():
        words = [str(number) for number in range(int(first), int(last) + 1)]
    elif len(last) > 1 or first == "i":
        words = list(_ROMAN[_ROMAN.index(first) : _ROMAN.index(last) + 1])
    else:
        words = [chr(letter) for letter in range(ord(first), ord(last) + 1)]
    return tuple(end for word in words for end in expanded(part[: found.start()] + word + part[found.end() :]))


def provision_of(ref: Ref, calendar: LegalCalendar) -> Provision | None:
    """The most precise provision of the calendar that a reference lies under."""
    if ref.src != calendar.src:
        return None
    hits = [provision for provision in calendar.provisions if under(ref.at, provision.at)]
    return max(hits, key=lambda provision: len(provision.at), default=None)


def resolves(ref: Ref, calendar: LegalCalendar) -> bool:
    """Whether a reference points at something the calendar knows: of a provision that lists its parts, one of those."""
    if ref.src == calendar.src:
        provision = provision_of(ref, calendar)
        if provision is None:
            return False
        names = [name for part in provision.parts or () for name in expanded(provision.at + part)]
        return provision.parts is None or ref.at == provision.at or any(under(name, ref.at) for name in names)
    for framework in calendar.frameworks:
        if framework.src == ref.src:
            names = [name for clause in framework.clauses for name in expanded(clause)]
            return not names or any(under(ref.at, name) or under(name, ref.at) for name in names)
    return False


def start_for(provision: Provision, profile: SystemProfile | None, *, dependent: bool = False) -> datetime | None:
    """From when a provision binds this system; None when it never does on the system's route.

    Without a declared route the earliest date counts. Systems from before the provision's date may wait as Art. 111 says:
    until a day, or until a significant change in design and, used by a public body, at the latest until a day. A body that
    did not declare to be none counts as public there. `dependent` takes the later of two defensible readings.
    """
    route = profile.route if profile is not None and profile.route != "undeclared" else None
    start = provision.start(route)
    if dependent and provision.alternative is not None:
        start = start_of(provision.alternative, route) or start
    placed = profile.placed_on_market if profile is not None else None
    if start is None or profile is None or placed is None or placed >= (provision.legacy_before or start):
        return start
    if provision.legacy_until is not None:
        return max(start, provision.legacy_until)
    if not provision.deferred_for_legacy:
        return start
    changed = profile.significant_change
    ends = [changed] if changed is not None and changed >= start else []
    if provision.public_body_by is not None and profile.extra.get("public_body") is not False:
        ends.append(provision.public_body_by)
    return min(ends, default=None) or datetime.max.replace(tzinfo=start.tzinfo)


def in_force(provision: Provision, profile: SystemProfile | None, at: datetime) -> bool | None:
    """Whether a provision binds this system at a moment; None when it never does on the system's route."""
    start = start_for(provision, profile)
    return None if start is None else at >= start


def addressed(provision: Provision, profile: SystemProfile | None) -> bool:
    """Whether the provision addresses one of the roles that the profile declares; without a profile it does."""
    return profile is None or not provision.who or bool(set(provision.who) & set(profile.roles))


def exempt(control: Control, calendar: LegalCalendar | None, profile: SystemProfile | None) -> str | None:
    """Why a binding control is no duty of this system: `not_addressed` or `not_on_route`; None when it is one."""
    if calendar is None or profile is None or control.basis != "binding":
        return None
    found = list(_duties(control, calendar))
    if found and not any(addressed(provision, profile) for provision in found):
        return "not_addressed"
    route = None if profile.route == "undeclared" else profile.route
    mine = [provision for provision in found if addressed(provision, profile)]
    return "not_on_route" if mine and all(provision.start(route) is None for provision in mine) else None


def _duties(control: Control, calendar: LegalCalendar) -> Iterator[Provision]:
    for ref in control.refs:
        provision = provision_of(ref, calendar) if ref.relation in ("requires", "evidences") else None
        if provision is not None:
            yield provision


def force_of(
    control: Control,
    calendar: LegalCalendar | None,
    profile: SystemProfile | None,
    at: datetime,
    *,
    dependent: bool = False,
) -> Force:
    """Whether the control's rule must be kept at `at`: its basis, the law's dates, the system's route and roles together.

    A binding control whose provisions are all still to come is `readiness`; one that points at no dated provision is
    taken as binding, because nothing shows that it may wait. `dependent` takes the later of two defensible readings.
    """
    if control.basis != "binding":
        return Force(control.basis)
    if calendar is None:
        return Force.BINDING
    starts = [
        start_for(provision, profile, dependent=dependent)
        for provision in _duties(control, calendar)
        if addressed(provision, profile)
    ]
    waiting = starts and all(start is None or at < start for start in starts)
    return Force.READINESS if waiting else Force.BINDING


def force_on(
    control: Control, calendar: LegalCalendar | None, profile: SystemProfile | None, at: datetime
) -> dict[str, str]:
    """The force on a day as it is shown: under the earlier reading, and under the later one where that differs."""
    earlier, later = (force_of(control, calendar, profile, at, dependent=dependent) for dependent in (False, True))
    found = {"on": f"{at:%Y-%m-%d}", "force": str(earlier)}
    return found if earlier is later else {**found, "other_reading": str(later)}
