"""The store in memory: the same contract, nothing kept after the process. For tests, simulations and backtests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from auditor.core.artifact import Artifact
from auditor.core.command import Command
from auditor.core.frame import Frame
from auditor.core.identity import digest
from auditor.core.measurement import Measurement
from auditor.core.monitor import MonitorState
from auditor.core.record import CaptureTally, EnergyReading
from auditor.core.run import Audit, AuditRun
from auditor.core.state import WindowState
from auditor.core.verdict import Alert, Verdict
from auditor.core.window import HOUR, Baseline, Span
from auditor.ports import ArchivePart, IndexEntry, ModelSummary
from auditor.store import rules

Kept = TypeVar("Kept", EnergyReading, CaptureTally)


class MemoryStore:
    """ports.Store in dictionaries; for one thread."""

    def __init__(self) -> None:
        self._index: dict[str, IndexEntry] = {}
        self._parts: dict[str, ArchivePart] = {}
        self._readings: dict[str, EnergyReading] = {}
        self._tallies: dict[str, CaptureTally] = {}
        self._dirty: dict[str, set[datetime]] = {}
        self._hours: dict[tuple[str, datetime], tuple[str, list[WindowState]]] = {}
        self._monitors: dict[tuple[str, str, str], MonitorState] = {}
        self._pinned: dict[str, tuple[Baseline, Frame, WindowState]] = {}
        self._audits: dict[str, Audit] = {}
        self._alerts: dict[str, Alert] = {}
        self._commands: dict[str, Command] = {}

    def close(self) -> None:
        """Nothing to let go of."""

    # -- the record index --------------------------------------------------------------------------------------------------

    def claim(self, entries: Sequence[IndexEntry]) -> Sequence[str]:
        words, fresh = rules.settle(entries, self.locate([entry.id for entry in entries]))
        self._index.update((entry.id, entry) for entry in fresh)
        return words

    def locate(self, ids: Sequence[str]) -> Mapping[str, IndexEntry]:
        return {name: self._index[name] for name in ids if name in self._index}

    # -- the archive's files -----------------------------------------------------------------------------------------------

    def put_part(self, part: ArchivePart) -> None:
        self._parts[part.path] = part

    def forget_part(self, path: str) -> None:
        self._parts.pop(path, None)

    def part(self, path: str) -> ArchivePart | None:
        return self._parts.get(path)

    def parts(self, folder: str) -> Sequence[ArchivePart]:
        return [part for path, part in sorted(self._parts.items()) if not folder or path.startswith(f"{folder}/")]

    # -- states ------------------------------------------------------------------------------------------------------------

    def put_readings(self, segment: str, readings: Sequence[EnergyReading], tallies: Sequence[CaptureTally]) -> None:
        for reading in readings:
            self._readings.setdefault(digest(reading.as_json()), reading)
        for tally in tallies:
            self._tallies.setdefault(digest(tally.as_json()), tally)

    def readings(self, model: str, span: Span) -> tuple[Sequence[EnergyReading], Sequence[CaptureTally]]:
        return _ending(self._readings, model, span), _ending(self._tallies, model, span)

    def mark_dirty(self, model: str, hours: Iterable[datetime]) -> None:
        self._dirty.setdefault(model, set()).update(rules.whole_hours(hours))

    def dirty(self, model: str) -> Sequence[datetime]:
        return sorted(self._dirty.get(model, ()))

    def put_states(self, model: str, hours: Sequence[datetime], frame: str, states: Sequence[WindowState]) -> None:
        grouped = rules.by_hour(hours, frame, states)
        self._hours.update(((model, hour), (frame, together)) for hour, together in grouped.items())
        self._dirty.setdefault(model, set()).difference_update(grouped)

    def states(self, model: str, span: Span, frame: str) -> Sequence[WindowState]:
        return [state for hour in self.hours(model, span, frame) for state in self._hours[model, hour][1]]

    def window_states(self, model: str, span: Span, frame: str) -> Sequence[WindowState]:
        return self.states(model, span, frame)

    def hours(self, model: str, span: Span, frame: str) -> Sequence[datetime]:
        return sorted(
            hour for (name, hour), (on, _) in self._hours.items() if name == model and on == frame and hour in span
        )

    def put_monitor(self, name: str, state: MonitorState) -> None:
        self._monitors[name, state.model, state.baseline] = state

    def monitor(self, name: str, model: str, baseline: str) -> MonitorState | None:
        return self._monitors.get((name, model, baseline))

    # -- baselines ---------------------------------------------------------------------------------------------------------

    def pin(self, baseline: Baseline, frame: Frame, state: WindowState) -> None:
        rules.belong_together(baseline, frame, state)
        self._pinned.setdefault(baseline.id, (baseline, frame, state))

    def baseline(self, model: str) -> tuple[Baseline, Frame, WindowState] | None:
        newest = next(iter(self.baselines(model)), None)
        return None if newest is None else self._pinned[newest.id]

    # -- audits ------------------------------------------------------------------------------------------------------------

    def commit(self, audit: Audit) -> None:
        audit = rules.settled(audit)
        run = audit.run
        if run.id in self._audits:
            return
        for other in self._audits.values():
            if (other.run.model, other.run.span, other.run.revision) == (run.model, run.span, run.revision):
                raise rules.revision_taken(run)
        self._audits[run.id] = audit
        self._alerts.update(rules.changed_alerts(audit))

    def log_command(self, command: Command) -> bool:
        return self._commands.setdefault(command.id, command) is command

    # -- queries -----------------------------------------------------------------------------------------------------------

    def models(self) -> Sequence[ModelSummary]:
        versions = {(name, s.version) for (name, _), (_, kept) in self._hours.items() for s in kept if s.version}
        measured = {(m.model, m.version) for a in self._audits.values() for m in a.measurements if m.version}
        runs = [audit.run for audit in self._newest()]
        return rules.summaries(rules.totals(self._index.values()), runs, versions | measured)

    def versions(self, model: str, span: Span) -> Mapping[str, datetime]:
        return rules.first_seen(
            (state.version, hour, span.start - HOUR < hour < span.end)
            for (name, hour), (_, kept) in self._hours.items()
            for state in kept
            if name == model and state.version and state.n
        )

    def runs(self, model: str, span: Span | None = None) -> Sequence[AuditRun]:
        found = (audit.run for audit in self._newest(model))
        return sorted((run for run in found if span is None or span.covers(run.span)), key=rules.run_order)

    def measurements(
        self,
        model: str,
        *,
        metric: str | None = None,
        span: Span | None = None,
        version: str | None = None,
        all_versions: bool = False,
    ) -> Sequence[Measurement]:
        def wanted(one: Measurement) -> bool:
            named = metric is None or (one.metric.startswith(metric) if metric.endswith(".") else one.metric == metric)
            versioned = (all_versions and version is None) or one.version == version
            return named and versioned and (span is None or span.covers(one.span))

        found = (one for audit in self._newest(model) for one in audit.measurements)
        return sorted(filter(wanted, found), key=rules.measurement_order)

    def verdicts(self, model: str, *, control: str | None = None, span: Span | None = None) -> Sequence[Verdict]:
        found = (
            verdict
            for audit in self._newest(model)
            for verdict in audit.verdicts
            if control in (None, verdict.control) and (span is None or span.covers(Span(verdict.start, verdict.end)))
        )
        return sorted(found, key=rules.verdict_order)

    def last_verdicts(self, model: str, before: datetime) -> Sequence[Verdict]:
        newest: dict[tuple[str, str, str, str, str | None], Verdict] = {}
        for verdict in self.verdicts(model):
            other = newest.get(verdict.key)
            if verdict.end <= before and (other is None or rules.verdict_age(verdict) > rules.verdict_age(other)):
                newest[verdict.key] = verdict
        return sorted(newest.values(), key=rules.verdict_order)

    def alerts(
        self, model: str | None = None, *, state: str | None = None, span: Span | None = None
    ) -> Sequence[Alert]:
        found = (
            alert
            for alert in self._alerts.values()
            if model in (None, alert.model) and state in (None, alert.state) and (span is None or alert.opened in span)
        )
        return sorted(found, key=rules.alert_order)

    def artifacts(self, model: str, *, span: Span | None = None) -> Sequence[Artifact]:
        found = (one for audit in self._newest(model) for one in audit.artifacts)
        return sorted(
            (one for one in found if span is None or span.covers(Span(one.start, one.end))), key=rules.artifact_order
        )

    def baselines(self, model: str) -> Sequence[Baseline]:
        """Newest first."""
        found = (pinned[0] for pinned in self._pinned.values() if pinned[0].model == model)
        return sorted(found, key=rules.baseline_order, reverse=True)

    def commands(self, kind: str | None = None) -> Sequence[Command]:
        """What persons said, oldest first."""
        return sorted((c for c in self._commands.values() if kind in (None, c.kind)), key=rules.command_order)

    def _newest(self, model: str | None = None) -> list[Audit]:
        found: dict[tuple[str, Span], Audit] = {}
        for audit in self._audits.values():
            key = audit.run.model, audit.run.span
            if model in (None, audit.run.model) and (key not in found or audit.run.revision > found[key].run.revision):
                found[key] = audit
        return list(found.values())


def _ending(kept: Mapping[str, Kept], model: str, span: Span) -> list[Kept]:
    found = [
        (one.end, key) for key, one in kept.items() if one.model.name == model and span.start < one.end <= span.end
    ]
    return [kept[key] for _, key in sorted(found)]
