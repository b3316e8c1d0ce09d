"""One model's audit: its due windows in order, then its alerts. Cut short anywhere, it ends the same when it is repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from auditor.audit.appraise import Appraised, Appraiser
from auditor.audit.due import Due, Traffic, windows_due
from auditor.audit.episodes import fold, settle, standing_at, succeed
from auditor.audit.exemplify import with_examples
from auditor.audit.windows import Pinned
from auditor.core.run import Audit, AuditRun, Replay
from auditor.core.verdict import Alert, AlertChange, Verdict
from auditor.core.window import Span
from auditor.ports import Archive, Store

Progress = Callable[[str, Span], None]


@dataclass(slots=True)
class ModelReport:
    """What an audit of one model did.

    Attributes
    ----------
    audits : list of Audit
        Windows with something new, and windows that a person asked for. Alert changes are in the last one that was written.
    pinned : Pinned or None
        The baseline they were compared with.
    silent : datetime or None
        End of the last window with traffic, where windows without any have closed since.
    """

    audits: list[Audit] = field(default_factory=list)
    pinned: Pinned | None = None
    silent: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ModelAuditor:
    """Audits one model after another; nothing is kept between them."""

    store: Store
    archive: Archive
    appraiser: Appraiser
    step: timedelta

    def audit(
        self,
        model: str,
        *,
        now: datetime,
        since: datetime | None,
        until: datetime,
        commit: Callable[[Audit], None],
        progress: Progress | None = None,
    ) -> ModelReport:
        """Judge the windows that are due, in order, and let the alerts follow.

        Each window is committed by itself. Alert changes come with the last one: whatever is over by then was never told as
        open.

        Parameters
        ----------
        commit : callable
            Writes an audit.
        progress : callable, optional
            Called before each window with model and window; what it raises ends the audit between two windows.
        """
        runs = {run.span: run for run in self.store.runs(model)}
        pinned = self.store.baseline(model)
        due = windows_due(self.store, self.archive, model, list(runs.values()), self.step, since=since, until=until)
        traffic = Traffic(runs.values(), self.archive.days(model), self.step)
        work = _Work(self, model, now, pinned, due, runs, traffic, commit)
        for span in due.spans:
            if progress:
                progress(model, span)
            work.look_at(span)
        report = ModelReport(audits=work.finish(), pinned=pinned)
        last = traffic.last(due.until)
        if last is not None and last + self.step <= due.until:
            report.silent = last
        return report


class _Work:
    """The state of one model's audit between its windows."""

    def __init__(
        self,
        auditor: ModelAuditor,
        model: str,
        now: datetime,
        pinned: Pinned | None,
        due: Due,
        runs: dict[Span, AuditRun],
        traffic: Traffic,
        commit: Callable[[Audit], None],
    ) -> None:
        self._store, self._appraiser = auditor.store, auditor.appraiser
        self._model, self._now, self._pinned, self._due = model, now, pinned, due
        self._runs, self._traffic, self._commit = runs, traffic, commit
        start = due.spans[0].start if due.spans else due.until
        self._previous = {v.key: v for v in self._store.last_verdicts(model, start)}
        self._judged: list[tuple[Verdict, ...]] = []
        self._held: tuple[Appraised, Audit] | None = None
        """The newest window with something new: written once the next one is there, or with the alerts."""
        self._latest: Appraised | None = None
        self._made: dict[datetime, Appraised] = {}
        """Windows in which a verdict began to fire, by their end: alerts show examples of them."""
        self._audits: list[Audit] = []

    def look_at(self, span: Span) -> None:
        """Judge one window; keep what is new."""
        last = self._runs.get(span)
        if last is None and not self._traffic.begins_silence(span) and not self._has_data(span):
            return
        made = self._appraiser.appraise(self._model, span, self._pinned, last, list(self._previous.values()), self._now)
        self._traffic.add(span, made.audit.run.records)
        same = self._appraiser.recorded(last, made.audit)
        self._latest = made
        if same is None:
            self._write_held()
            self._held = made, made.audit
        elif span in self._due.asked:
            self._audits.append(same)
        verdicts = (same or made.audit).verdicts
        self._judged.append(verdicts)
        self._previous = succeed(self._previous, verdicts)
        if any(verdict.state == "firing" and verdict.since == span.end for verdict in verdicts):
            self._made[span.end] = replace(made, audit=same) if same else made

    def _has_data(self, span: Span) -> bool:
        return self._appraiser.state(self._model, span, self._pinned).has_data

    def finish(self) -> list[Audit]:
        """Let the alerts follow, write the last window with their changes, and clear the mark."""
        if self._due.spans:
            change = self._alerts()
            if self._held is None and change and self._latest is not None:
                self._held = self._latest, self._latest.audit
            if self._held is not None:
                made, audit = self._held
                self._held = None
                self._write(made, replace(audit, alerts=change))
        covered = self._store.replay(self._model)
        if covered is not None and (not self._due.spans or covered.judge_from >= self._due.spans[0].start):
            self._store.put_replay(self._model, None)
        return sorted(self._audits, key=lambda audit: (audit.run.span.end, audit.run.span.start))

    def _write_held(self) -> None:
        """Write the window before: from here on an audit that is cut short begins with the one after it."""
        if self._held is not None:
            made, audit = self._held
            self._held = None
            waiting = self._store.replay(self._model)
            start = audit.run.span.start
            if waiting is None or waiting.judge_from >= self._due.spans[0].start:
                self._store.put_replay(self._model, Replay(judge_from=start, alerts_from=self._due.alerts_from))
            self._write(made, audit)

    def _write(self, made: Appraised, audit: Audit) -> None:
        pictured = replace(self._appraiser.drawn(made), alerts=audit.alerts)
        self._commit(pictured)
        self._audits.append(pictured)

    # -- alerts --------------------------------------------------------------------------------------------------------

    def _alerts(self) -> AlertChange:
        since, begin = self._due.alerts_from, self._due.spans[0].start
        windows = [*self._stored(since, begin), *self._judged] if since < begin else self._judged
        kept = self._store.alerts(self._model)
        previous = {v.key: v for v in self._store.last_verdicts(self._model, since)}
        standing = standing_at(kept, since, self._past)
        change = settle(kept, fold(standing, windows, previous, self._past), since, self._now)
        return replace(change, opened=tuple(self._shown(alert) for alert in change.opened))

    def _stored(self, since: datetime, begin: datetime) -> Iterator[Sequence[Verdict]]:
        """The verdicts of windows that an earlier audit judged and let no alert follow, window by window."""
        by_span: dict[Span, list[Verdict]] = {}
        for verdict in self._store.verdicts(self._model, span=Span(since, begin)):
            by_span.setdefault(verdict.span, []).append(verdict)
        yield from (by_span[span] for span in sorted(by_span, key=lambda span: (span.end, span.start)))

    def _past(self, alert: Alert, moment: datetime) -> Sequence[Verdict]:
        """The verdicts of an alert's control (about pairs: of all) since it opened, in windows before the moment."""
        control = None if alert.kind == "alignment" else alert.control
        begin = self._due.spans[0].start
        first = alert.opened - max(span.duration for span in self._due.spans)
        stored: Sequence[Verdict] = ()
        if first < min(begin, moment):
            stored = self._store.verdicts(self._model, control=control, span=Span(first, min(begin, moment)))
        return [
            *stored,
            *(
                verdict
                for verdicts in self._judged
                for verdict in verdicts
                if control in (None, verdict.control) and verdict.end <= moment and verdict.end >= alert.opened
            ),
        ]

    def _shown(self, alert: Alert) -> Alert:
        """The alert with examples of the window in which it opened."""
        made = self._made.get(alert.opened)
        if made is None:
            return alert
        verdict = next((v for v in made.audit.verdicts if v.key == alert.key), None)
        one = AlertChange(opened=(replace(alert, verdict=verdict.id if verdict else alert.verdict),))
        state = made.baseline[2] if made.baseline else None
        shown = with_examples(one, made.audit.verdicts, made.audit.measurements, made.window, state, made.frame)
        return replace(alert, examples=shown.opened[0].examples)
