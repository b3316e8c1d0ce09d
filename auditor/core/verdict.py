"""Verdicts and alerts. A verdict is the result of a control, never of a law; every alert comes from a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from auditor.core.facts import Facts
from auditor.core.window import Span, format_time, parse_time


class Word(StrEnum):
    """The result of a control."""

    PASS = "pass"  # noqa: S105
    WARN = "warn"
    FAIL = "fail"
    INSUFFICIENT_EVIDENCE = "insufficient_evidence"
    ERROR = "error"
    WAIVED = "waived"
    NOT_APPLICABLE = "not_applicable"


class State(StrEnum):
    """Where a control x slice stands in its hysteresis; unknown never moves it toward ok."""

    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    RECOVERING = "recovering"


class Force(StrEnum):
    """Whether anyone must keep the rule today."""

    BINDING = "binding"
    READINESS = "readiness"
    VOLUNTARY = "voluntary"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Ref:
    """A provision that a control is about."""

    src: str
    at: str
    relation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result of one control for one slice of one model over one window.

    Attributes
    ----------
    slice : str
        `overall`, or `feature=value` sorted and joined by `&`.
    input, modality : str or None
        The input (and its modality) the control was judged for, when its metric belongs to one.
    underlying : Word
        What the verdict would be without a waiver.
    since : datetime
        End of the window in which the present `state` began (data time).
    observed, limit : float or None
        The figure that decided, and what it was held against, in `unit`.
    evidence : tuple of str
        Measurement ids, the deciding one first.
    budget_share : float or None
        Expected false pages per budget period that this control may cause.
    kind, severity : str
        How an alert from it is routed.
    """

    id: str
    policy: str
    policy_digest: str
    control: str
    refs: tuple[Ref, ...]
    model: str
    slice: str
    start: datetime
    end: datetime
    verdict: Word
    underlying: Word
    reason: str
    force: Force
    state: State
    since: datetime
    observed: float | None
    limit: float | None
    unit: str
    n: int
    evidence: tuple[str, ...]
    judged: datetime
    kind: str
    severity: str
    input: str | None = None
    modality: str | None = None
    budget_share: float | None = None
    run: str = ""
    revision: int = 0
    held_since: datetime | None = None
    """End of the last window in which evidence was there: how long silence has lasted."""
    facts: Facts = field(default_factory=dict)
    """What the verdict rests on (figure, limit, interval, since, version, waiver, ...), as JSON data."""
    explanation: str = field(default="", compare=False)
    """Sentences made of the facts by `auditor.wording` when a verdict is made or read; not stored."""

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)

    @property
    def key(self) -> tuple[str, str, str, str, str | None]:
        """What stays the same from window to window: model, policy, control, slice, input."""
        return self.model, self.policy, self.control, self.slice, self.input

    def as_json(self) -> dict[str, Any]:
        """The contract's JSON."""
        return {
            "id": self.id,
            "policy": self.policy,
            "policy_digest": self.policy_digest,
            "control": self.control,
            "refs": [{"src": ref.src, "at": ref.at, "relation": ref.relation} for ref in self.refs],
            "model": self.model,
            "slice": self.slice,
            "start": format_time(self.start),
            "end": format_time(self.end),
            "verdict": str(self.verdict),
            "underlying": str(self.underlying),
            "reason": self.reason,
            "force": str(self.force),
            "state": str(self.state),
            "since": format_time(self.since),
            "observed": self.observed,
            "limit": self.limit,
            "unit": self.unit,
            "n": self.n,
            "evidence": list(self.evidence),
            "facts": dict(self.facts),
            "explanation": self.explanation,
            "judged": format_time(self.judged),
            "kind": self.kind,
            "severity": self.severity,
            "input": self.input,
            "modality": self.modality,
            "budget_share": self.budget_share,
            "run": self.run,
            "revision": self.revision,
            "held_since": self.held_since and format_time(self.held_since),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Verdict:
        """The verdict that `as_json` wrote."""
        plain = dict(data)
        for key in ("start", "end", "since", "judged"):
            plain[key] = parse_time(data[key])
        plain["held_since"] = parse_time(data["held_since"]) if data.get("held_since") else None
        plain.update(
            refs=tuple(Ref(**ref) for ref in data["refs"]),
            verdict=Word(data["verdict"]),
            underlying=Word(data["underlying"]),
            force=Force(data["force"]),
            state=State(data["state"]),
            evidence=tuple(data["evidence"]),
        )
        return cls(**plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A control x slice that began to fire and, later, recovered; all its times are data times (ends of windows)."""

    id: str
    kind: str
    model: str
    policy: str
    control: str
    slice: str
    input: str | None
    modality: str | None
    severity: str
    state: str
    opened: datetime
    since: datetime
    renewed: datetime
    resolved: datetime | None
    count: int
    verdict: str
    budget_share: float | None
    examples: tuple[str, ...] = ()
    """Ids of records nearest to the change."""
    found: datetime | None = None
    """When the audit that opened it ran: long after `opened`, where the evidence came late."""
    finding: str = ""
    """Id that alerts about one change share."""
    facts: Facts = field(default_factory=dict)
    """Those of the newest verdict that kept it open, with `worst` (the worst one's) and `inputs` (of a pair), as JSON data."""
    explanation: str = field(default="", compare=False)
    """Sentences made of the facts by `auditor.wording` when an alert is made or read; not stored."""

    @property
    def key(self) -> tuple[str, str, str, str, str | None]:
        return self.model, self.policy, self.control, self.slice, self.input

    def as_json(self) -> dict[str, Any]:
        """The contract's JSON."""
        return {
            "id": self.id,
            "kind": self.kind,
            "model": self.model,
            "policy": self.policy,
            "control": self.control,
            "slice": self.slice,
            "input": self.input,
            "modality": self.modality,
            "severity": self.severity,
            "state": self.state,
            "opened": format_time(self.opened),
            "since": format_time(self.since),
            "renewed": format_time(self.renewed),
            "resolved": self.resolved and format_time(self.resolved),
            "count": self.count,
            "verdict": self.verdict,
            "budget_share": self.budget_share,
            "finding": self.finding,
            "facts": dict(self.facts),
            "explanation": self.explanation,
            "examples": list(self.examples),
            "found": format_time(self.found or self.opened),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Alert:
        """The alert that `as_json` wrote."""
        plain = dict(data)
        for key in ("opened", "since", "renewed"):
            plain[key] = parse_time(data[key])
        plain["resolved"] = parse_time(data["resolved"]) if data.get("resolved") else None
        plain["examples"] = tuple(data.get("examples", ()))
        plain["found"] = parse_time(data["found"]) if data.get("found") else plain["opened"]
        return cls(**plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertChange:
    """What an audit did to the alerts.

    One that was over when it was found is both in `opened` and in `resolved`. `amended` are alerts that people know of and
    that late data changed in a way that is no event.
    """

    opened: tuple[Alert, ...] = ()
    renewed: tuple[Alert, ...] = ()
    resolved: tuple[Alert, ...] = ()
    amended: tuple[Alert, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.opened or self.renewed or self.resolved)

    def events(self, *names: str) -> Iterator[tuple[str, Alert]]:
        """(`opened`, `renewed` or `resolved`; alert), each alert once: what was over when it was found is `opened`, its
        state `resolved`.
        """
        new = {alert.id for alert in self.opened}
        for name in names or ("opened", "renewed", "resolved"):
            for alert in getattr(self, name):
                if name == "opened" or alert.id not in new:
                    yield name, alert
