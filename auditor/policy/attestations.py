"""Attestations as evidence: the newest signed statement about a system, while it holds and its facts have not changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from auditor.policy.schema import Attestation, AttestationEvidence, Control, SystemProfile, values
from auditor.policy.validity import standing


@dataclass(frozen=True, slots=True)
class Finding:
    """What the attestations say: `holds` is None when there is none that counts, and `reason` says why."""

    holds: bool | None
    reason: str
    attestation: Attestation | None = None


def finding(
    attestations: Sequence[Attestation],
    control: Control,
    evidence: AttestationEvidence,
    profile: SystemProfile | None,
    at: datetime,
    served: Sequence[str] = (),
) -> Finding:
    """Judge the newest statement that was signed by `at`, about the versions of the model that were `served`.

    Reasons: `attestation_missing`, `attestation_expired`, `attestation_invalidated` (a fact that it names has changed, or
    it does not name a fact that the control asks for), `attestation_unreviewed` (critical controls need a second person).
    """
    if profile is None:
        return Finding(None, "no_system_profile")
    signed = [
        item
        for item in attestations
        if item.statement == evidence.statement and item.system == profile.name and item.on <= at
    ]
    if not signed:
        return Finding(None, "attestation_missing")
    newest = max(signed, key=lambda item: (item.on, item.name))
    if not newest.satisfied:
        return Finding(False, "attested_not_satisfied", newest)
    if standing(at, newest.on, newest.valid_until, newest.on + evidence.valid_for) == "expired":
        return Finding(None, "attestation_expired", newest)
    if changed_facts(newest, evidence, profile, served):
        return Finding(None, "attestation_invalidated", newest)
    if control.severity == "critical" and newest.reviewed_by is None:
        return Finding(None, "attestation_unreviewed", newest)
    return Finding(True, "", newest)


def changed_facts(
    attestation: Attestation, evidence: AttestationEvidence, profile: SystemProfile, served: Sequence[str] = ()
) -> list[str]:
    """The facts listed in `invalidatedBy` that differ between the statement's subject and what is declared and served."""
    facts = profile.facts(served)
    return [
        name
        for name in evidence.invalidated_by
        if set(values(attestation.subject.get(name, ()))) != set(facts.get(name, ())) or name not in attestation.subject
    ]
