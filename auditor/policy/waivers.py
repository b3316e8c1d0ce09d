"""Waivers: whether one covers a control x slice at a moment, and what is wrong with those that do not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from auditor.policy.schema import Control, MetricEvidence, Policy, SystemProfile, Waiver
from auditor.policy.validity import standing


def covering(
    waivers: Sequence[Waiver],
    policy: Policy,
    control: Control,
    slice_: str,
    profile: SystemProfile | None,
    at: datetime,
) -> Waiver | None:
    """The waiver that covers this control x slice at `at`, if any."""
    for waiver in waivers:
        about = names(waiver, policy, control) and waiver.slice in (None, slice_) and _for_system(waiver, profile)
        if about and refusal(waiver, policy, control) is None and state(waiver, policy, at) == "active":
            return waiver
    return None


def names(waiver: Waiver, policy: Policy, control: Control) -> bool:
    """Whether the waiver is about this control of this policy."""
    return waiver.control == control.id and waiver.policy in (None, policy.name)


def state(waiver: Waiver, policy: Policy, at: datetime) -> str:
    """`future`, `active` or `expired`; the policy's longest duration counts even when the waiver says later."""
    rules = policy.waiver_rules
    cap = waiver.approved_on + rules.max_duration if rules is not None else None
    return standing(at, waiver.approved_on, waiver.expires, cap)


def refusal(waiver: Waiver, policy: Policy, control: Control) -> str | None:
    """Why the policy's own rules do not allow this waiver at all; None when they do."""
    rules = policy.waiver_rules
    if rules is None:
        return f"policy {policy.name!r} has no waiverRules, so nothing in it can be waived"
    if control.id in rules.non_waivable:
        return f"{control.id!r} cannot be waived"
    if rules.approver_roles and waiver.approved_by.role not in rules.approver_roles:
        return f"approved by a {waiver.approved_by.role!r}, not by one of {', '.join(rules.approver_roles)}"
    return None


def over_broad(waiver: Waiver, control: Control) -> bool:
    """Whether it covers every slice of a control that is judged slice by slice."""
    return waiver.slice is None and isinstance(control.evidence, MetricEvidence) and bool(control.evidence.slice_by)


def _for_system(waiver: Waiver, profile: SystemProfile | None) -> bool:
    return waiver.system is None or (profile is not None and waiver.system == profile.name)
