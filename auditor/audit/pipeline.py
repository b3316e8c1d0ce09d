"""The verbs in order, over ports: take in, pin, audit each model, deliver.

Time is an argument. Everything here can be repeated: a run that was cut short is simply run again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from auditor.audit.appraise import Appraiser
from auditor.audit.baselines import again, freeze, pin_command
from auditor.audit.deliver import Outbox
from auditor.audit.due import first_baseline
from auditor.audit.model import ModelAuditor
from auditor.audit.recompute import Exact, recompute
from auditor.audit.steadiness import Steadiness, steadiness
from auditor.audit.windows import Windows
from auditor.core.command import Command
from auditor.core.delivery import Backlog
from auditor.core.errors import AuditorError, ConfigurationError, StoreError
from auditor.core.loss import Loss, accept_command, covers
from auditor.core.run import Audit
from auditor.core.window import DAY, Baseline, Span, floor_to, parse_duration, parse_time
from auditor.policy.statements import in_force
from auditor.ports import (
    Archive,
    Damage,
    Engine,
    Intake,
    IntakeReport,
    Ledger,
    LossKeeper,
    Measurer,
    Sink,
    Store,
    UnsettledLabels,
)
from auditor.settings import Settings
from auditor.wording.losses import lost

if TYPE_CHECKING:
    from auditor.policy.loader import PolicySet

AWAY = ("store_unavailable", "store_busy", "read_only")
"""Errors of a store that no model can be audited with."""
_log = logging.getLogger("auditor")


@dataclass(frozen=True, slots=True)
class Failed:
    """A model whose audit ended before its time; the windows before are committed, the others audited next time."""

    model: str
    code: str
    message: str


@dataclass(slots=True)
class AuditReport:
    """What one call of `audit` did.

    Attributes
    ----------
    audits : list of Audit
        By model and window: those with something new, and those a person asked for.
    failed : list of Failed
        Models that could not be audited to the end; the others were.
    waiting, dead : sequence of Backlog
        Deliveries that wait for their sink, whether it is in force or not, and those that it refused for good.
    silent : dict of str to datetime
        By model without traffic now: the end of its last window with traffic.
    exact : list of Exact or None
        Each figure beside the one from the archive's rows, when that was asked for.
    """

    audits: list[Audit] = field(default_factory=list)
    intake: IntakeReport = field(default_factory=IntakeReport)
    damaged: list[Damage] = field(default_factory=list)
    failed_sinks: dict[str, str] = field(default_factory=dict)
    waiting: Sequence[Backlog] = ()
    dead: Sequence[Backlog] = ()
    failed: list[Failed] = field(default_factory=list)
    silent: dict[str, datetime] = field(default_factory=dict)
    exact: list[Exact] | None = None
    losses: Sequence[Loss] = ()
    """What the archive lost, accepted or not; each that nobody accepted is among `damaged`."""
    unsettled: UnsettledLabels = field(default_factory=UnsettledLabels)
    """Labels that count for no record."""


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """One home's pipeline, held by its single writer."""

    store: Store
    archive: Archive
    intake: Intake
    engine: Engine
    measurers: Mapping[str, Measurer]
    policies: PolicySet
    sinks: Mapping[str, Sink]
    artifacts: Path
    settings: Settings
    versions: Mapping[str, str]
    losses: LossKeeper | None = None
    ledger: Ledger | None = None
    sent_before: Mapping[str, Mapping[str, datetime]] = field(default_factory=dict)
    """By model and name of the sink: up to where the sink received everything, before the store was made again."""

    @cached_property
    def windows(self) -> Windows:
        """The windows of this home."""
        return Windows(store=self.store, archive=self.archive, engine=self.engine)

    def take_in(self) -> IntakeReport:
        """Drain spool and journal, and apply the commands found there."""
        report = self.intake.drain()
        for command in report.commands:
            try:
                self._apply(command)
            except AuditorError as error:
                # A command that cannot be applied stays on record, and its reason is reported.
                refused = f"{command.kind} by {command.by} was not done: {error}"
                report.damaged.append(Damage(what=refused, where=f"command {command.id}"))
            # Logged once it is done: a command whose doing was cut short is done again, with the same outcome.
            self._log(command)
        self.intake.acknowledge()
        return report

    def _log(self, command: Command) -> None:
        """Put a command on record, in the archive first."""
        if self.ledger is not None:
            self.ledger.keep_command(command, self._audited_until(str(command.payload.get("model", ""))))
        self.store.log_command(command)

    def _audited_until(self, model: str) -> datetime | None:
        return max((run.span.end for run in self.store.runs(model)), default=None)

    def _apply(self, command: Command) -> None:
        if command.kind == "baseline.pin":
            payload = command.payload
            span = Span(parse_time(payload["since"]), parse_time(payload["until"]))
            self._pin(payload["model"], span, command, payload.get("kind", "fixed"))

    def accept_loss(self, model: str, span: Span, *, by: str, reason: str, at: datetime) -> Sequence[Loss]:
        """Put what the archive lost of `model` in `span` (widened to whole days) on record as accepted; what that is.

        Raises
        ------
        ConfigurationError
            `no_loss`: nothing is lost there that was not accepted before.
        """
        self._settled(at)
        command = accept_command(model, span, by=by, reason=reason, at=at)
        found = [loss for loss in self.store.losses(model) if loss.accepted is None and covers(command, loss)]
        if not found:
            raise ConfigurationError(
                "no_loss",
                f"nothing of {model!r} in {span.widen(DAY)} is lost and not accepted yet",
                where="--since, --until",
                fix="`auditor audit` names what is lost",
            )
        self._log(command)
        return found

    def pin(self, model: str, span: Span, *, by: str, at: datetime, kind: str = "fixed") -> Baseline:
        """Freeze `span` (widened to whole hours) as what is normal for `model`, on the word of `by`.

        `kind`: `fixed` compares each window with all of it; `seasonal` with its same hours of the week; `trailing` with
        the same length of time right before the window, counted as this one was.
        """
        self.take_in()
        command = pin_command(model, span, by=by, at=at, kind=kind)
        baseline = self._pin(model, span, command, kind)
        self._log(command)
        return baseline

    def steadiness(self, model: str) -> Steadiness | None:
        """How steady the newest baseline of a model is; None without one."""
        pinned = self.store.baseline(model)
        return None if pinned is None else steadiness(pinned, self.windows, self.measurers, self.policies)

    def _pin(self, model: str, span: Span, command: Command, kind: str) -> Baseline:
        slices = self.settings.model(model).slices
        baseline, frame, state = freeze(
            self.archive, self.windows, model, span, command, kind, slices, self.settings.audit.step
        )
        first_baseline(self.store, model)
        self.store.pin(baseline, frame, state)
        return baseline

    def audit(
        self,
        *,
        now: datetime,
        model: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        exact: bool = False,
        progress: Callable[[str, Span], None] | None = None,
    ) -> AuditReport:
        """Measure and judge whole windows, oldest first, each model in isolation.

        With `exact`, each figure is recomputed from the archive's rows as well, and both are reported.

        Without `since`, from the last audited window (the first record, when none) on, and from the first window that late
        data changed; without `until`, to the last window that closed `watermark` before `now`.

        Raises
        ------
        ConfigurationError
            `unknown_model`.
        StoreError
            The store is away. Whatever else goes wrong costs one model: it is in `failed` of the report.
        """
        elsewhere = [*self._settled(now)]  # ids of lost records may come with this drain
        report = AuditReport(intake=self.take_in(), exact=[] if exact else None)
        report.damaged += report.intake.damaged
        elsewhere += self._settled(now)
        outbox = self.outbox()
        closed = floor_to(now - parse_duration(self.settings.audit.watermark), self.settings.audit.step)
        for name in self.models(model):
            try:
                self._audit_model(name, report, outbox, now, since, until or closed, progress)
            except AuditorError as error:
                if isinstance(error, StoreError) and error.code in AWAY:
                    raise
                report.failed.append(Failed(name, error.code, str(error)))
            except Exception as error:  # damage of any kind, a plugin of anyone's: the other models are audited
                _log.exception("auditor: the audit of %s failed", name)
                report.failed.append(Failed(name, "audit_failed", f"{type(error).__name__}: {error}"))
        outbox.flush(now)
        failed = {item.model for item in report.failed}
        self._keep_audited(({audit.run.model for audit in report.audits} | outbox.models) - failed)
        report.failed_sinks = outbox.failed
        report.waiting, report.dead = self.store.outbox(), self.store.backlog(self.sinks, dead=True)
        report.unsettled = self.store.unsettled_labels()
        report.damaged += elsewhere
        self._tell_losses(report, now, model)
        return report

    def _settled(self, now: datetime) -> Sequence[Damage]:
        return () if self.losses is None else self.losses.settle(now)

    def _tell_losses(self, report: AuditReport, now: datetime, model: str | None = None) -> None:
        report.damaged += self._settled(now)
        report.losses = self.store.losses(model)
        for loss in report.losses:
            if loss.accepted is None:
                named = ", ".join(loss.files)
                report.damaged.append(Damage(what=lost(loss), where=f"archive/{named}", lost=loss.records or 0))

    def _keep_audited(self, models: Collection[str]) -> None:
        """Keep beside the archive up to where models are audited, and which sinks received all of that."""
        if self.ledger is None:
            return
        behind = {(sink, one.model) for sink in self.sinks for one in self.store.waiting(sink)}
        for model in models:
            until = self._audited_until(model)
            if until is not None:
                self.ledger.keep_audited(model, until, {s: until for s in self.sinks if (s, model) not in behind})

    def replay(
        self, commands: Sequence[tuple[Command, datetime | None]], audited: Mapping[str, datetime], now: datetime
    ) -> AuditReport:
        """Apply archived commands and audit archived windows, in their order, on a store that was made again.

        Parameters
        ----------
        commands : sequence of (Command, datetime or None)
            Oldest first, each with up to where its model had been audited by then.
        audited : mapping of str to datetime
            By model, up to where it is audited at the end.
        """
        report = AuditReport()
        known = set(self.archive.models())
        for command, until in commands:
            model = command.payload.get("model")
            try:
                if command.kind == "baseline.pin" and until is not None and model in known:
                    self._audit_up_to(model, until, now, report)
                self._apply(command)
            except AuditorError as error:
                refused = f"{command.kind} by {command.by} was not done: {error}"
                report.damaged.append(Damage(what=refused, where=f"command {command.id}"))
            self.store.log_command(command)
        for model, until in audited.items():
            if model in known:
                self._audit_up_to(model, until, now, report)
        self._tell_losses(report, now)
        return report

    def _audit_up_to(self, model: str, until: datetime, now: datetime, report: AuditReport) -> None:
        self._audit_model(model, report, self.outbox(), now, None, until, rebuild=True)

    def deliver(self, now: datetime) -> None:
        """Send the deliveries that are due: for the scheduler, between audits."""
        outbox = self.outbox()
        outbox.flush(now, only_due=True)
        self._keep_audited(outbox.models)

    def outbox(self) -> Outbox:
        """A round of deliveries."""
        return Outbox(self.store, self.sinks, self.artifacts)

    def _audit_model(
        self,
        model: str,
        report: AuditReport,
        outbox: Outbox,
        now: datetime,
        since: datetime | None,
        until: datetime,
        progress: Callable[[str, Span], None] | None = None,
        rebuild: bool = False,
    ) -> None:
        def commit(audit: Audit) -> None:
            before = self.sent_before.get(model, {})
            sent = [sink for sink, end in before.items() if audit.run.span.end <= end]
            self.store.commit(audit, outbox.deliveries(audit), sent=sent)
            if not rebuild:
                outbox.flush(now, model=model)

        self.store.check_model(model)
        outdated = again(self.store.baseline(model), self.archive, self.settings.audit.step)
        if outdated is not None:
            payload = outdated.payload
            span = Span(parse_time(payload["since"]), parse_time(payload["until"]))
            self._pin(model, span, outdated, payload["kind"])
        auditor = ModelAuditor(
            store=self.store, archive=self.archive, appraiser=self._appraiser(), step=self.settings.audit.step
        )
        done = auditor.audit(model, now=now, since=since, until=until, commit=commit, progress=progress)
        report.audits += done.audits
        if done.silent is not None:
            report.silent[model] = done.silent
        if report.exact is not None:
            for audit in done.audits:
                report.exact += recompute(
                    audit, done.pinned, self.windows, self.measurers, self.settings.energy.embodied_g_per_request
                )

    def _appraiser(self) -> Appraiser:
        return Appraiser(
            store=self.store,
            windows=self.windows,
            measurers=self.measurers,
            policies=in_force(self.policies, self.store.commands(), self.artifacts),
            artifacts=self.artifacts,
            settings=self.settings,
            versions=self.versions,
        )

    def models(self, model: str | None = None) -> Sequence[str]:
        """Models of which anything arrived, by name; of one that is named, that one.

        Raises
        ------
        ConfigurationError
            `unknown_model`.
        """
        known = sorted({*self.store.model_names(), *self.archive.models()})
        if model is None:
            return known
        if model not in known:
            raise ConfigurationError(
                "unknown_model",
                f"no record of {model!r}",
                where="--model",
                fix=f"known: {', '.join(known) or 'none yet'}",
            )
        return [model]
