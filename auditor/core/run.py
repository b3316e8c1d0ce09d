"""One audited window of one model: when it was done, by which code, under which settings and policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from auditor.core.artifact import Artifact
from auditor.core.measurement import Measurement
from auditor.core.verdict import AlertChange, Verdict
from auditor.core.window import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRun:
    """Provenance of the measurements and verdicts of one window; `revision` rises when it is audited again."""

    id: str
    model: str
    span: Span
    revision: int
    baseline: str | None
    records: int
    labelled: int
    started: datetime
    ended: datetime
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package to version: auditor, python, numpy and every plugin's library."""
    policies: Mapping[str, str] = field(default_factory=dict)
    """Policy name to digest."""
    settings: str = ""
    """Digest of the settings in force."""
    states: str = ""
    """Digest of the window's state: the same data gives the same digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Work that an audit of a model began, or that late data made, and that is not done yet.

    Windows are judged again from `judge_from` on; alerts have followed the verdicts of windows before `alerts_from`.
    """

    judge_from: datetime
    alerts_from: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """All that one audited window brought: what the store commits at once and every sink is handed afterwards."""

    run: AuditRun
    measurements: tuple[Measurement, ...]
    verdicts: tuple[Verdict, ...]
    alerts: AlertChange = field(default_factory=AlertChange)
    artifacts: tuple[Artifact, ...] = ()
