"""What a named person states about a model: attest, waive, acknowledge, open and sign a review; as commands and in force.

A command holds the document that a file would hold, so that one reader checks both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from auditor.core.command import Command
from auditor.core.errors import ConfigurationError, PolicyError
from auditor.core.identity import uuid7
from auditor.core.window import format_time, to_us
from auditor.policy import waivers
from auditor.policy.attestations import opened
from auditor.policy.loader import PolicySet, find_control
from auditor.policy.meaning import problems
from auditor.policy.nodes import Node
from auditor.policy.read import hint, read_document
from auditor.policy.schema import Attestation, AttestationEvidence, Document, Person, Waiver

KINDS = ("attest", "waive", "ack", "review.open", "review.sign")


class _Payload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: str


class Attest(_Payload, frozen=True, kw_only=True):
    """A statement as it is sent; `subject` adds to the facts that hold when it is signed."""

    statement: str
    satisfied: bool = True
    reviewed_by: dict[str, str] | None = None
    valid_until: str | None = None
    evidence: list[dict[str, str]] = []
    subject: dict[str, Any] = {}


class Waive(_Payload, frozen=True, kw_only=True):
    """A waiver as it is sent."""

    control: str
    reason: str
    approved_by: dict[str, str]
    expires: str
    policy: str | None = None
    slice: str | None = None
    category: Literal["accepted", "mitigated"] = "accepted"
    ticket: str | None = None


class Ack(_Payload, frozen=True, kw_only=True):
    """An acknowledged alert as it is sent."""

    alert: str
    reason: str


class Review(_Payload, frozen=True, kw_only=True):
    """A review as it is sent."""


_SENT: dict[str, type[_Payload]] = {
    "attest": Attest,
    "waive": Waive,
    "ack": Ack,
    "review.open": Review,
    "review.sign": Review,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a statement is checked against.

    Attributes
    ----------
    models : sequence of str
        Models with records.
    served : mapping of str to sequence of str
        Model to the versions with records in its last judged window.
    alerts : mapping of str to str
        Id of an open alert to its model.
    commands : sequence of Command
        What was stated before, oldest first.
    """

    models: Sequence[str] = ()
    served: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    alerts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    commands: Sequence[Command] = ()


def stated(kind: str, payload: Any, *, by: Person, at: datetime, policies: PolicySet, known: Known) -> Command:
    """The command of a statement; ConfigurationError or PolicyError when it cannot hold."""
    try:
        sent = msgspec.convert(payload, _SENT[kind])
    except msgspec.ValidationError as error:
        keys = ", ".join(field.encode_name for field in msgspec.structs.fields(_SENT[kind]))
        raise ConfigurationError(
            "bad_command", str(error), where=kind, fix=f"the keys of its payload are {keys}"
        ) from error
    if not by.name.strip() or not by.role.strip():
        raise ConfigurationError("bad_command", "nobody is named", where="by", fix="give a name and a role")
    _known_model(sent.model, policies, known)
    identifier = uuid7(to_us(at) // 1000)
    more: dict[str, Any] = {}
    if isinstance(sent, Attest):
        more["document"] = _attestation(sent, identifier, by, at, policies, known)
    elif isinstance(sent, Waive):
        more["document"] = _waiver(sent, identifier, by, at, policies)
    elif isinstance(sent, Ack):
        model_of_alert(sent.alert, {alert: model for alert, model in known.alerts.items() if model == sent.model})
        more = {"alert": sent.alert, "reason": _worded(sent.reason)}
    elif kind == "review.sign":
        more["review"] = _open_review(sent.model, by, known).id
    payload = {"model": sent.model, "person": by.name, "role": by.role, **more}
    return Command(id=identifier, kind=kind, by=by.name, at=at, payload=payload)


def model_of_alert(alert: str, alerts: Mapping[str, str]) -> str:
    """The model of an open alert; ConfigurationError `unknown_alert` when none of `alerts` (id to model) has this id."""
    if alert not in alerts:
        fix = hint(alert, list(alerts)) if alerts else "no alert is open"
        raise ConfigurationError("unknown_alert", f"no open alert {alert!r}", where="alert", fix=fix)
    return alerts[alert]


def in_force(policies: PolicySet, commands: Sequence[Command], artifacts: Path) -> PolicySet:
    """The set with what persons stated by command; files attached to statements lie in `artifacts`."""
    documents: list[Document] = []
    for command in commands:
        if command.kind in ("attest", "waive"):
            # One that no longer reads counts as absent: its rule then lacks a statement, or is not waived.
            with suppress(PolicyError):
                node = Node.of(command.payload.get("document"), f"command {command.id}")
                documents.append(read_document(node, policies.vocabulary))
    if not documents:
        return policies
    signed = tuple(opened(item, artifacts) for item in documents if isinstance(item, Attestation))
    waived = tuple(item for item in documents if isinstance(item, Waiver))
    return dataclasses.replace(policies, attestations=policies.attestations + signed, waivers=policies.waivers + waived)


def listed(policies: PolicySet, commands: Sequence[Command], model: str) -> list[dict[str, Any]]:
    """Everything that persons stated about a model, oldest first: what, who, in which role, when, until when."""
    profile = policies.profile(model)
    found: list[dict[str, Any]] = []
    for item in policies.attestations:
        if profile is not None and item.system == profile.name:
            found.append(
                {
                    "kind": "attest",
                    "about": item.statement,
                    "result": item.result,
                    "by": item.by.name,
                    "role": item.by.role,
                    "second": item.reviewed_by.name if item.reviewed_by is not None else None,
                    "at": format_time(item.on),
                    "until": format_time(item.valid_until) if item.valid_until is not None else None,
                    "evidence": [part.sha256 for part in item.evidence],
                    "digest": item.digest,
                }
            )
    for waiver in policies.waivers:
        if waiver.system in (None, profile.name if profile is not None else None):
            found.append(
                {
                    "kind": "waive",
                    "about": waiver.control + (f" ({waiver.slice})" if waiver.slice else ""),
                    "result": waiver.reason,
                    "by": waiver.requested_by.name,
                    "role": waiver.requested_by.role,
                    "second": waiver.approved_by.name,
                    "at": format_time(waiver.approved_on),
                    "until": format_time(waiver.expires),
                    "evidence": [],
                    "digest": waiver.digest,
                }
            )
    for command in commands:
        if command.kind in ("ack", "review.open", "review.sign") and command.payload.get("model") == model:
            payload = command.payload
            found.append(
                {
                    "kind": command.kind,
                    "about": payload.get("alert") or payload.get("review") or command.id,
                    "result": payload.get("reason", ""),
                    "by": command.by,
                    "role": payload.get("role", ""),
                    "second": None,
                    "at": format_time(command.at),
                    "until": None,
                    "evidence": [],
                    "digest": command.id,
                }
            )
    return sorted(found, key=lambda item: (item["at"], item["kind"], item["about"]))


def _known_model(model: str, policies: PolicySet, known: Known) -> None:
    if model not in known.models and policies.profile(model) is None:
        fix = hint(model, list(known.models) or ["none yet"])
        raise ConfigurationError("unknown_model", f"no record of {model!r}", where="--model", fix=fix)


def _worded(reason: str) -> str:
    if not reason.strip():
        raise ConfigurationError("bad_command", "no reason is given", where="reason", fix="write one")
    return reason


def _attestation(
    sent: Attest, identifier: str, by: Person, at: datetime, policies: PolicySet, known: Known
) -> dict[str, Any]:
    profile = policies.profile(sent.model)
    if profile is None:
        raise ConfigurationError(
            "no_system_profile",
            f"no system profile lists {sent.model!r}",
            where="--model",
            fix=f"run `auditor policy interview --model {sent.model}`",
        )
    asked = {
        control.evidence.statement: control.evidence
        for policy in policies.policies
        for control in policy.controls
        if isinstance(control.evidence, AttestationEvidence)
    }
    if sent.statement not in asked:
        fix = hint(sent.statement, sorted(asked) or ["none"])
        raise ConfigurationError(
            "unknown_statement", f"no rule asks for {sent.statement!r}", where="statement", fix=fix
        )
    facts = profile.facts(known.served.get(sent.model, ()))
    about = {name: list(facts[name]) for name in asked[sent.statement].invalidated_by if name in facts}
    spec: dict[str, Any] = {
        "statement": sent.statement,
        "system": profile.name,
        "subject": {**about, **sent.subject},
        "result": "satisfied" if sent.satisfied else "not_satisfied",
        "by": {"name": by.name, "role": by.role},
        "on": format_time(at),
        "evidence": sent.evidence,
    }
    spec |= {"reviewedBy": sent.reviewed_by} if sent.reviewed_by is not None else {}
    spec |= {"validUntil": sent.valid_until} if sent.valid_until is not None else {}
    return _document("Attestation", f"attest-{identifier}", spec, policies)


def _waiver(sent: Waive, identifier: str, by: Person, at: datetime, policies: PolicySet) -> dict[str, Any]:
    policy, control = find_control(policies, sent.control, sent.policy)
    profile = policies.profile(sent.model)
    spec: dict[str, Any] = {
        "control": sent.control,
        "policy": policy.name,
        "reason": _worded(sent.reason),
        "category": sent.category,
        "requestedBy": {"name": by.name, "role": by.role},
        "approvedBy": sent.approved_by,
        "approvedOn": format_time(at),
        "expires": sent.expires,
    }
    spec |= {"system": profile.name} if profile is not None else {}
    spec |= {key: value for key, value in (("slice", sent.slice), ("ticket", sent.ticket)) if value is not None}
    document = _document("Waiver", f"waive-{identifier}", spec, policies)
    waiver = read_document(Node.of(document, "waive"), policies.vocabulary)
    assert isinstance(waiver, Waiver)
    refused = waivers.refusal(waiver, policy, control)
    if refused is not None:
        raise ConfigurationError("waiver_refused", refused, where=sent.control, fix="repair the cause instead")
    rules = policy.waiver_rules
    if rules is not None and waiver.expires - waiver.approved_on > rules.max_duration:
        raise ConfigurationError(
            "waiver_too_long",
            f"{policy.name!r} allows {rules.max_duration.days} days",
            where="--expires",
            fix=f"give a day until {format_time(waiver.approved_on + rules.max_duration)}",
        )
    return document


def _document(kind: str, name: str, spec: dict[str, Any], policies: PolicySet) -> dict[str, Any]:
    """The document as a file would hold it, read and found to mean something."""
    document = {"apiVersion": "auditor/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    found: Document = read_document(Node.of(document, "command"), policies.vocabulary)
    alone = dataclasses.replace(
        policies,
        attestations=(found,) if isinstance(found, Attestation) else (),
        waivers=(found,) if isinstance(found, Waiver) else (),
        tests=(),
    )
    for problem in problems(alone):
        raise problem
    return document


def _open_review(model: str, by: Person, known: Known) -> Command:
    signed = {command.payload.get("review") for command in known.commands if command.kind == "review.sign"}
    open_ = [
        command
        for command in known.commands
        if command.kind == "review.open" and command.payload.get("model") == model and command.id not in signed
    ]
    if not open_:
        raise ConfigurationError(
            "no_open_review", f"no review of {model!r} is open", where="--model", fix="run `auditor review open`"
        )
    if Person(name=str(open_[-1].payload.get("person")), role=by.role).key == by.key:
        raise ConfigurationError(
            "self_approved", f"{by.name} opened this review", where="--by", fix="ask another person to sign it"
        )
    return open_[-1]
