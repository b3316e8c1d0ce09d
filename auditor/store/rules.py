"""What every store means by its contract: claims, hours, orders and summaries. No database in here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from auditor.core.artifact import Artifact
from auditor.core.command import Command
from auditor.core.errors import StoreError
from auditor.core.frame import Frame
from auditor.core.measurement import Measurement
from auditor.core.run import Audit, AuditRun
from auditor.core.state import WindowState
from auditor.core.verdict import Alert, Verdict
from auditor.core.window import DAY, HOUR, Baseline, floor_to, format_time, parse_time
from auditor.ports import IndexEntry, ModelSummary, RecordKey

# -- the record index ------------------------------------------------------------------------------------------------------


UNKNOWN = ""
"""Digest in a line of an index that was made again, for a record whose vectors the archive keeps in float32."""


def settle(entries: Sequence[IndexEntry], known: Mapping[RecordKey, IndexEntry]) -> tuple[list[str], list[IndexEntry]]:
    """What each entry is, and the entries that the index must take in.

    Parameters
    ----------
    entries : sequence of IndexEntry
    known : mapping of (model, id) to IndexEntry
        Lines that the index has.

    Returns
    -------
    words : list of str
        `new`, `duplicate` (the record is at rest already, or stands earlier in `entries`) or `conflict` (same key, other
        digest, unless that of the kept record is UNKNOWN). An entry that the index has from the same segment is `new` again.
    fresh : list of IndexEntry
        Entries that the index does not have.
    """
    words: list[str] = []
    first: dict[RecordKey, IndexEntry] = {}
    for entry in entries:
        before = first.setdefault(entry.key, entry)
        kept = known.get(entry.key, before)
        if kept.digest not in (UNKNOWN, entry.digest):
            words.append("conflict")
        elif before is entry and kept.segment == entry.segment:
            words.append("new")
        else:
            words.append("duplicate")
    return words, [entry for entry in first.values() if entry.key not in known]


def totals(entries: Iterable[IndexEntry]) -> dict[str, tuple[int, str, str]]:
    """By model: number of entries, earliest and latest day."""
    found: dict[str, tuple[int, str, str]] = {}
    for entry in entries:
        count, first, last = found.get(entry.model, (0, entry.day, entry.day))
        found[entry.model] = (count + 1, min(first, entry.day), max(last, entry.day))
    return found


# -- states and baselines --------------------------------------------------------------------------------------------------


def by_hour(
    wanted: Sequence[datetime], frame: str, given: Sequence[WindowState]
) -> Mapping[datetime, list[WindowState]]:
    """States by their hour, those of one hour by version (all versions together first).

    Raises
    ------
    StoreError
        `state_outside_hours` or `frame_mismatch`, for a state that is not of these hours or this frame.
    """
    found: dict[datetime, list[WindowState]] = {hour: [] for hour in whole_hours(wanted)}
    for state in given:
        hour = floor_to(state.start, HOUR)
        if hour not in found:
            raise StoreError("state_outside_hours", "a state of another hour", where=format_time(state.start))
        if state.frame != frame:
            raise StoreError("frame_mismatch", "a state of another frame", where=f"{state.frame} and {frame}")
        found[hour].append(state)
    for together in found.values():
        together.sort(key=lambda state: (state.version is not None, state.version or ""))
    return found


def whole_hours(moments: Iterable[datetime]) -> list[datetime]:
    """The hours that hold the moments, each once, in order."""
    return sorted({floor_to(moment, HOUR) for moment in moments})


def belong_together(baseline: Baseline, frame: Frame, state: WindowState) -> None:
    """StoreError `frame_mismatch` unless baseline and state were made on that frame."""
    if baseline.frame != frame.digest or state.frame != frame.digest:
        raise StoreError("frame_mismatch", "baseline, frame and state do not belong together", where=baseline.id)


# -- audits ----------------------------------------------------------------------------------------------------------------


def settled(audit: Audit) -> Audit:
    """The audit as it is kept: every part names the run it came with, and stands once.

    Raises
    ------
    StoreError
        `foreign_part`, when a part names another run; `duplicate_id`, when two figures or two verdicts have one id: one
        of them would be lost.
    """
    run = audit.run
    for measurement in audit.measurements:
        _of_run(run, measurement.run, f"measurement {measurement.series}")
    for verdict in audit.verdicts:
        _of_run(run, verdict.run, f"verdict {verdict.control}")
    for artifact in audit.artifacts:
        _of_run(run, artifact.run, f"artifact {artifact.title!r}")
    _distinct(run, [(one.id, one.series) for one in audit.measurements])
    _distinct(run, [(one.id, f"{one.control} {one.slice}") for one in audit.verdicts])
    return replace(
        audit,
        measurements=tuple(m if m.run else replace(m, run=run.id) for m in audit.measurements),
        verdicts=tuple(v if v.run else replace(v, run=run.id, revision=run.revision) for v in audit.verdicts),
        artifacts=tuple(dict.fromkeys(a if a.run else replace(a, run=run.id) for a in audit.artifacts)),
    )


def changed_alerts(audit: Audit) -> dict[str, Alert]:
    """By id; what was opened and resolved in the same window stands as it ended."""
    change = audit.alerts
    return {alert.id: alert for alert in (*change.opened, *change.renewed, *change.resolved, *change.amended)}


def revision_taken(run: AuditRun) -> StoreError:
    """The error for a second run with the same revision of the same window."""
    return StoreError(
        "revision_taken",
        f"revision {run.revision} of {run.model!r} over {run.span} is another run's",
        where=f"run {run.id!r}",
        fix="audit the window again with the next revision",
    )


def _of_run(run: AuditRun, named: str, what: str) -> None:
    if named not in ("", run.id):
        raise StoreError("foreign_part", f"{what} is of run {named!r}", where=f"run {run.id!r}")


def _distinct(run: AuditRun, named: Sequence[tuple[str, str]]) -> None:
    seen: dict[str, str] = {}
    for name, what in named:
        if name in seen:
            raise StoreError(
                "duplicate_id", f"{what} and {seen[name]} have the same id", where=f"run {run.id!r}, id {name}"
            )
        seen[name] = what


# -- reads -----------------------------------------------------------------------------------------------------------------


def run_order(run: AuditRun) -> Any:
    return run.span, run.id


def measurement_order(measurement: Measurement) -> Any:
    return measurement.start, measurement.series, measurement.end, measurement.id


def verdict_order(verdict: Verdict) -> Any:
    return verdict.start, verdict.policy, verdict.control, verdict.slice, verdict.input or "", verdict.end, verdict.id


def verdict_age(verdict: Verdict) -> Any:
    """Which of two verdicts of one series is the newer."""
    return verdict.end, verdict.start, verdict.judged, verdict.id


def alert_order(alert: Alert) -> Any:
    return alert.opened, alert.id


def artifact_order(artifact: Artifact) -> Any:
    return artifact.start, artifact.title, artifact.sha256


def baseline_order(baseline: Baseline) -> Any:
    return baseline.at, baseline.id


def command_order(command: Command) -> Any:
    return command.at, command.id


def first_seen(found: Iterable[tuple[str, datetime, bool]]) -> dict[str, datetime]:
    """From (version, time of a record, whether one is in the span): versions of the span, each with its earliest time."""
    first: dict[str, datetime] = {}
    there = set()
    for version, at, inside in found:
        first[version] = min(at, first.get(version, at))
        if inside:
            there.add(version)
    return {version: at for at, version in sorted((first[version], version) for version in there)}


def summaries(
    indexed: Mapping[str, tuple[int, str, str]], runs: Sequence[AuditRun], versions: Iterable[tuple[str, str]]
) -> list[ModelSummary]:
    """What is known of each model: from the record index, by whole days; without one, from the audited windows."""
    known: dict[str, tuple[datetime, datetime, int]] = {}
    for run in runs:
        first, last, records = known.get(run.model, (run.span.start, run.span.end, 0))
        known[run.model] = (min(first, run.span.start), max(last, run.span.end), records + run.records)
    for model, (records, first_day, last_day) in indexed.items():
        known[model] = (parse_time(first_day), parse_time(last_day) + DAY, records)
    found: dict[str, set[str]] = {}
    for model, version in versions:
        found.setdefault(model, set()).add(version)
    return [
        ModelSummary(
            name=model,
            versions=tuple(sorted(found.get(model, set()) - {""})),
            first=known[model][0],
            last=known[model][1],
            records=known[model][2],
        )
        for model in sorted(known)
    ]
