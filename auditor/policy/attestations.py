"""Attestations as evidence: the newest signed statement about a system, while it holds and its facts have not changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from msgspec.structs import replace

from auditor.policy.schema import Attestation, AttestationEvidence, Control, SystemProfile, Values, values
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
    modalities: Sequence[str] = (),
) -> Finding:
    """Judge the newest statement that was signed by `at`, about what was `served` and the `modalities` of its records.

    Reasons: `attestation_missing`, `attestation_expired`, `attestation_invalidated` (a fact that it names has changed, or
    it does not name a fact that the control asks for), `evidence_missing` and `evidence_changed` (of a file attached to it),
    `attestation_unreviewed` (critical controls need a second person).
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
    if changed_facts(newest, evidence, profile.facts(served, modalities)):
        return Finding(None, "attestation_invalidated", newest)
    if newest.evidence_problem or (evidence.with_file and not newest.evidence):
        return Finding(None, newest.evidence_problem or "evidence_missing", newest)
    if control.severity == "critical" and newest.reviewed_by is None:
        return Finding(None, "attestation_unreviewed", newest)
    return Finding(True, "", newest)


def changed_facts(attestation: Attestation, evidence: AttestationEvidence, facts: Mapping[str, Values]) -> list[str]:
    """The facts listed in `invalidatedBy` that differ between the statement's subject and what is declared and served."""
    return [
        name
        for name in evidence.invalidated_by
        if set(values(attestation.subject.get(name, ()))) != set(facts.get(name, ())) or name not in attestation.subject
    ]


def opened(attestation: Attestation, folder: Path) -> Attestation:
    """The statement with what opening its files showed; `folder` is where relative names begin.

    A file that lies elsewhere than below the folder, or under another scheme than `file:`, cannot be opened: it is missing.
    """
    for item in attestation.evidence:
        path = (folder / item.uri.removeprefix("file:")).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            return replace(attestation, evidence_problem="evidence_missing")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != item.sha256:
                return replace(attestation, evidence_problem="evidence_changed")
    return attestation
