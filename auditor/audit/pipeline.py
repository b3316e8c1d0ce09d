"""The verbs in order, over ports: take in, summarise, measure, judge, alert, commit, deliver.

Time is an argument. Everything here can be repeated: a run that was cut short is simply run again.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from auditor.audit.alerting import alerts_for
from auditor.audit.deliver import Outbox
from auditor.audit.exemplify import with_examples
from auditor.audit.judge import judge, needed_durations
from auditor.audit.measure import measure
from auditor.audit.monitoring import Before, follow
from auditor.audit.recompute import Exact, compare
from auditor.audit.slices import Slice, judged_by_slice, outdated, slices_of, with_slices
from auditor.audit.summarise import fit_frame
from auditor.audit.windows import Pinned, Windows
from auditor.core.artifact import Artifact, Rendering
from auditor.core.codec import state_digest
from auditor.core.command import Command
from auditor.core.delivery import Backlog
from auditor.core.errors import AuditorError, ConfigurationError
from auditor.core.frame import Frame
from auditor.core.identity import digest, uuid7
from auditor.core.measurement import Measurement
from auditor.core.run import Audit, AuditRun
from auditor.core.state import WindowState, empty_state
from auditor.core.verdict import Alert, AlertChange, Verdict
from auditor.core.window import (
    HOUR,
    Baseline,
    Span,
    check_kind,
    floor_to,
    format_time,
    parse_duration,
    parse_time,
    silences,
    to_us,
)
from auditor.ports import (
    Archive,
    Damage,
    Engine,
    Intake,
    IntakeReport,
    Ledger,
    Measurer,
    Monitor,
    Renderer,
    Sink,
    Store,
)
from auditor.settings import Settings

if TYPE_CHECKING:
    from auditor.policy.loader import PolicySet


@dataclass(slots=True)
class AuditReport:
    """What one call of `audit` did: audits by window, what intake took, what was damaged, which sinks failed.

    `waiting` and `dead` are deliveries that wait for their sink, and those that it refused for good.

    `exact` holds each figure beside the one from the archive's rows, when that was asked for. `passed_over` are stretches
    of silence, by model, whose windows were left out.
    """

    audits: list[Audit] = field(default_factory=list)
    intake: IntakeReport = field(default_factory=IntakeReport)
    damaged: list[Damage] = field(default_factory=list)
    failed_sinks: dict[str, str] = field(default_factory=dict)
    waiting: Sequence[Backlog] = ()
    dead: Sequence[Backlog] = ()
    exact: list[Exact] | None = None
    passed_over: list[tuple[str, Span]] = field(default_factory=list)


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
    ledger: Ledger | None = None
    sent_before: Mapping[str, Mapping[str, datetime]] = field(default_factory=dict)
    """By model and name of the sink: up to where the sink received everything, before the store was made again."""

    @cached_property
    def windows(self) -> Windows:
        """The windows of this home."""
        return Windows(store=self.store, archive=self.archive, engine=self.engine)

    # -- taking in -----------------------------------------------------------------------------------------------------

    def take_in(self) -> IntakeReport:
        """Drain spool and journal, and apply what persons said there."""
        report = self.intake.drain()
        for command in report.commands:
            try:
                self._apply(command)
            except AuditorError as error:
                # Said by a person, and not to be done: it stays on record, and its reason is told.
                said = f"{command.kind} by {command.by} was not done: {error}"
                report.damaged.append(Damage(what=said, where=f"command {command.id}"))
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
            said = command.payload
            span = Span(parse_time(said["since"]), parse_time(said["until"]))
            self._pin(said["model"], span, command, said.get("kind", "fixed"))

    # -- baselines -----------------------------------------------------------------------------------------------------

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

    def _pin(self, model: str, span: Span, command: Command, kind: str) -> Baseline:
        wide = span.widen(HOUR)
        check_kind(kind, wide)
        rows = self.archive.read(model, wide)
        if rows.n == 0:
            known = ", ".join(self.archive.models()) or "none yet"
            raise ConfigurationError(
                "no_records", f"no record of {model!r} in {wide}", where="baseline", fix=f"models with records: {known}"
            )
        frame = with_slices(fit_frame(rows), rows, self.settings.model(model).slices)
        self.windows.update(model, wide, frame, everything=True)
        state = self.windows.state(model, wide, frame)
        baseline = Baseline(
            id=digest(
                [
                    *(model, format_time(wide.start), format_time(wide.end), frame.digest, format_time(command.at)),
                    *([] if kind == "fixed" else [kind]),
                ]
            )[:32],
            model=model,
            span=wide,
            frame=frame.digest,
            n=state.n,
            versions=tuple(sorted(set(rows.version.tolist()))),
            by=command.by,
            at=command.at,
            kind=kind,
            describers=tuple(sorted(frame.describers.items())),
        )
        self.store.pin(baseline, frame, state)
        return baseline

    # -- auditing ------------------------------------------------------------------------------------------------------

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
        """Measure and judge whole windows, oldest first.

        With `exact`, each figure is recomputed from the archive's rows as well, and both are reported.

        Without `since`, from the last audited window (the first record, when none) on, and windows that late data
        changed; without `until`, to the last window that closed `watermark` before `now`. Of a silence of more than
        two months, the middle is left out then: one record of a clock that was wrong may lie decades back.
        """
        report = AuditReport(intake=self.take_in(), exact=[] if exact else None)
        report.damaged += report.intake.damaged
        outbox = self.outbox()
        for name in self._models(model):
            pinned = self.store.baseline(name)
            due, passed_over = self._due(name, now, since, until)
            report.passed_over += [(name, silence) for silence in passed_over]
            for span in due:
                if progress:
                    progress(name, span)
                audit = self._audit_window(name, span, pinned, now)
                report.audits.append(audit)
                if report.exact is not None:
                    report.exact += self._recompute(audit, pinned)
                outbox.flush(now, model=name)
        outbox.flush(now)
        self._keep_audited({audit.run.model for audit in report.audits} | outbox.models)
        report.failed_sinks = outbox.failed
        report.waiting, report.dead = (self.store.backlog(self.sinks, dead=dead) for dead in (False, True))
        report.damaged += self.archive.damage()
        return report

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
                said = f"{command.kind} by {command.by} was not done: {error}"
                report.damaged.append(Damage(what=said, where=f"command {command.id}"))
            self.store.log_command(command)
        for model, until in audited.items():
            if model in known:
                self._audit_up_to(model, until, now, report)
        report.damaged += self.archive.damage()
        return report

    def _audit_up_to(self, model: str, until: datetime, now: datetime, report: AuditReport) -> None:
        pinned = self.store.baseline(model)
        due, passed_over = self._due(model, now, None, until)
        report.passed_over += [(model, silence) for silence in passed_over]
        report.audits += [self._audit_window(model, span, pinned, now) for span in due]

    def deliver(self, now: datetime) -> None:
        """Send what waits and is due: for the scheduler, between audits."""
        outbox = self.outbox()
        outbox.flush(now, only_due=True)
        self._keep_audited(outbox.models)

    def outbox(self) -> Outbox:
        """A round of deliveries."""
        return Outbox(self.store, self.sinks, self.artifacts)

    def _models(self, model: str | None) -> Sequence[str]:
        counted = {*self.store.dirty_models(), *(summary.name for summary in self.store.models())}
        known = sorted(counted.union(self.archive.models()))
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

    def _due(
        self, model: str, now: datetime, since: datetime | None, until: datetime | None
    ) -> tuple[list[Span], list[Span]]:
        """Windows to audit, and silences that are passed over."""
        asked = since is not None
        step = self.settings.audit.step
        runs = self.store.runs(model)
        late: set[Span] = set()
        if since is None:
            audited = {run.span for run in runs}
            late = {
                span
                for hour in self.store.dirty(model)
                for span in Span(hour, hour + HOUR).tiles(step)
                if span in audited
            }
            since = max((run.span.end for run in runs), default=None) or self._first(model)
        if until is None:
            until = floor_to(now - parse_duration(self.settings.audit.watermark), step)
        if since is None or since >= until:
            return sorted(late), []
        ahead = Span(since, until)
        passed_over = [] if asked else silences(self.archive.days(model), ahead)
        return sorted(late.union(*(stretch.tiles(step) for stretch in ahead.without(passed_over)))), passed_over

    def _first(self, model: str) -> datetime | None:
        """The first record's day; of a model without any, the first hour that something was counted in."""
        first = next((summary.first for summary in self.store.models() if summary.name == model), None)
        return first or min(self.store.dirty(model), default=None)

    def _audit_window(self, model: str, span: Span, pinned: Pinned | None, now: datetime) -> Audit:
        started = now
        baseline = self.windows.reference(pinned, span) if pinned and not _overlap(pinned[0].span, span) else None
        frame = pinned[1] if pinned else Frame(model)
        earlier = self.store.runs(model, span)
        revision = max((run.revision for run in earlier if run.span == span), default=0) + 1
        run_id = digest([model, format_time(span.start), format_time(span.end), revision])[:32]

        durations = sorted({span.duration, *needed_durations(self.policies)})
        measurements: list[Measurement] = []
        window = empty_state(model, span, frame.digest)
        for duration in durations:
            reach = Span(span.end - duration, span.end)
            self.windows.update(model, reach, frame)
            for version, state in self.windows.by_version(model, reach, frame):
                measurements += measure(
                    state,
                    baseline,
                    frame,
                    self.measurers,
                    span=reach,
                    run=run_id,
                    revision=revision,
                    recorded=now,
                    version=version,
                    embodied_g=self.settings.energy.embodied_g_per_request,
                )
                if version is None and baseline is not None:
                    for part in slices_of(state, baseline):
                        measurements += measure(
                            part.window,
                            part.baseline,
                            frame,
                            judged_by_slice(self.measurers),
                            span=reach,
                            run=run_id,
                            revision=revision,
                            recorded=now,
                            attributes=part.attributes,
                        )
                if version is None and duration == span.duration:
                    window = state

        if baseline is not None:
            measurements += outdated(
                frame,
                self.settings.model(model).slices,
                window.n,
                model=model,
                version=None,
                span=span,
                revision=revision,
                run=run_id,
                baseline=baseline[0].id,
                recorded=now,
            )
        if pinned is not None and baseline is not None and pinned[0].kind != "seasonal":
            last = next((run for run in earlier if run.span == span), None)
            for part in (Slice("", window, pinned), *slices_of(window, pinned)):
                measurements += self._follow(part, span, last, run_id, revision, now)
        previous = self.store.last_verdicts(model, span.start)
        verdicts = judge(
            self.policies,
            measurements,
            previous,
            model=model,
            span=span,
            now=now,
            run=run_id,
            revision=revision,
            served=tuple(self.store.versions(model, span)),
        )
        alerts = AlertChange()
        if revision == 1:
            standing = self.store.alerts(model, state="open")
            alerts = alerts_for(standing, verdicts, previous, partial(self._since_it_opened, span))
        alerts = with_examples(alerts, verdicts, measurements, window, baseline[2] if baseline else None, frame)
        run = AuditRun(
            id=run_id,
            model=model,
            span=span,
            revision=revision,
            baseline=baseline[0].id if baseline else None,
            records=window.n,
            labelled=window.labelled,
            started=started,
            ended=now,
            versions=self.versions,
            policies={policy.name: policy.digest for policy in self.policies.policies},
            settings=self.settings.digest,
            states=state_digest(window),
        )
        audit = Audit(
            run=run,
            measurements=tuple(measurements),
            verdicts=tuple(verdicts),
            alerts=alerts,
            artifacts=tuple(self._render(window, baseline, frame, run)),
        )
        before = self.sent_before.get(model, {})
        sent = [sink for sink, end in before.items() if span.end <= end]
        self.store.commit(audit, self.outbox().deliveries(audit), sent=sent)
        return audit

    def _since_it_opened(self, span: Span, alert: Alert) -> Sequence[Verdict]:
        """The verdicts of an alert's control (about pairs: of all) from the window in which it opened up to before `span`."""
        past = Span(alert.opened - span.duration, span.start)
        control = None if alert.kind == "alignment" else alert.control
        return self.store.verdicts(alert.model, control=control, span=past)

    def _recompute(self, audit: Audit, pinned: Pinned | None) -> list[Exact]:
        """The window's figures again, from the archive's rows alone."""
        model, span = audit.run.model, audit.run.span
        frame = pinned[1] if pinned else Frame(model)
        rows = self.archive.read(model, span)
        window = self.windows.anew(model, rows, span, frame)
        baseline: Pinned | None = None
        reference = None
        if pinned is not None and audit.run.baseline is not None:
            if pinned[0].kind == "seasonal":
                baseline = self.windows.reference(pinned, span)
            else:
                past = self.windows.past(pinned[0], span)
                reference = self.archive.read(model, past)
                baseline = (pinned[0], frame, self.windows.anew(model, reference, past, frame))
        again = measure(
            window,
            baseline,
            frame,
            self.measurers,
            span=span,
            run=audit.run.id,
            revision=audit.run.revision,
            recorded=audit.run.ended,
            embodied_g=self.settings.energy.embodied_g_per_request,
        )
        measured = [m for m in audit.measurements if m.version is None and m.span == span]
        return compare(measured, again, rows, reference, frame)

    def _follow(
        self,
        part: Slice,
        span: Span,
        last: AuditRun | None,
        run: str,
        revision: int,
        now: datetime,
    ) -> Iterator[Measurement]:
        """What the monitors say, their bets kept before the audit is: a run that was cut short bets nothing twice."""
        window, baseline = part.window, part.baseline
        for name, plugin in self.measurers.items():
            if not isinstance(plugin, Monitor):
                continue
            before = None
            if last is not None:
                kept = self.store.measurements(window.model, metric=plugin.metrics[0].name, span=span)
                own = [m for m in kept if m.span == span and m.method.name == name and part.holds(m.attributes)]
                before = Before(own, last.records)
            key = f"{name}@{part.name}" if part.name else name
            known = self.store.monitor(key, window.model, baseline[0].id)
            state, found = follow(
                name,
                plugin,
                known,
                window,
                baseline,
                span=span,
                before=before,
                run=run,
                revision=revision,
                recorded=now,
                attributes=part.attributes,
            )
            if state is not known:
                self.store.put_monitor(key, state)
            yield from found

    def _render(self, window: WindowState, baseline: Pinned | None, frame: Frame, run: AuditRun) -> Iterator[Artifact]:
        if baseline is None or window.n == 0:
            return
        for measurer in self.measurers.values():
            drawn = measurer.render(window, baseline[2], frame) if isinstance(measurer, Renderer) else None
            if drawn is not None:
                yield self._keep(drawn, run)

    def _keep(self, drawn: Rendering, run: AuditRun) -> Artifact:
        artifact = Artifact(
            sha256=drawn.sha256,
            extension=drawn.extension,
            title=drawn.title,
            made_by=drawn.made_by,
            model=run.model,
            start=run.span.start,
            end=run.span.end,
            run=run.id,
            size=len(drawn.data),
        )
        self.artifacts.mkdir(parents=True, exist_ok=True)
        path = self.artifacts / artifact.filename
        if not path.exists():
            partial_file = path.with_suffix(".part")
            partial_file.write_bytes(drawn.data)
            partial_file.replace(path)
        return artifact


def _overlap(a: Span, b: Span) -> bool:
    return a.start < b.end and b.start < a.end


def pin_command(model: str, span: Span, *, by: str, at: datetime, kind: str = "fixed") -> Command:
    """What a person says to pin a baseline."""
    payload = {"model": model, "since": format_time(span.start), "until": format_time(span.end), "kind": kind}
    return Command(id=uuid7(to_us(at) // 1000), kind="baseline.pin", by=by, at=at, payload=payload)


def who() -> str:
    """The name a command is recorded under when none is given."""
    return os.environ.get("AUDITOR_USER") or getpass.getuser()
