"""The facts that a system profile declares: names, and the question that a person answers with each.

A rule that needs a fact which no person declared cannot be applied or excluded: its verdict is `insufficient_evidence`,
reason `fact_not_declared`. A policy that needs facts of its own names them under `spec.facts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from auditor.core.errors import PolicyError
from auditor.policy.read import hint
from auditor.policy.schema import OF_PROFILE, AttestationEvidence, Policy

QUESTIONS: dict[str, str] = {
    "intended_purpose": "What is the system used for, in the words of its instructions for use?",
    "public_body": "Is the deployer a body governed by public law (Art. 27(1))?",
    "public_service": "Does the deployer provide a public service as a private entity (Art. 27(1))?",
    "interacts_with_people": "Do natural persons interact with the system directly (Art. 50(1))?",
    "generates_content": "Does the system generate synthetic audio, image, video or text (Art. 50(2))?",
    "emotion_recognition": "Does the system recognise emotions or categorise people by biometric data (Art. 50(3))?",
    "publishes_content": "Are deep fakes, or texts on matters of public interest, published (Art. 50(4))?",
}
"""Facts that shipped policies ask for, each with its question."""


def check_facts(policies: Sequence[Policy]) -> None:
    """PolicyError `unknown_fact` for a condition on, or an attestation voided by, a fact outside the vocabulary."""
    for policy in policies:
        known = {*OF_PROFILE, *QUESTIONS, *policy.facts}
        if policy.applies_when is not None:
            _check(policy.applies_when.names(), known, policy.where)
        for control in policy.controls:
            if control.applies_when is not None:
                _check(control.applies_when.names(), known, control.where)
            if isinstance(control.evidence, AttestationEvidence):
                _check(control.evidence.invalidated_by, known, control.where)


def _check(names: Iterable[str], known: set[str], where: str) -> None:
    for name in sorted(set(names) - known):
        raise PolicyError(
            "unknown_fact",
            f"no fact is called {name!r}",
            where=where,
            fix=f"{hint(name, sorted(known))}; or name it under spec.facts of the policy",
        )
