"""Core objects to rows of the tables and back, without loss."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from auditor.core.artifact import Artifact
from auditor.core.codec import decode_state, encode_state
from auditor.core.command import Command
from auditor.core.errors import StoreError
from auditor.core.frame import Frame
from auditor.core.identity import canonical_json, digest
from auditor.core.measurement import How, Interval, Measurement, Method, Status
from auditor.core.run import AuditRun
from auditor.core.state import WindowState
from auditor.core.verdict import Alert, Force, Ref, State, Verdict, Word
from auditor.core.window import Baseline, Span, format_time
from auditor.wording.alerts import told
from auditor.wording.verdicts import explained

Row = Mapping[str, Any]

_MEASUREMENT = tuple(item.name for item in fields(Measurement))
_VERDICT = tuple(item.name for item in fields(Verdict) if item.name != "explanation")
_ALERT = tuple(item.name for item in fields(Alert) if item.name != "explanation")
_RUN = tuple(item.name for item in fields(AuditRun) if item.name != "span")


def run_row(run: AuditRun) -> dict[str, Any]:
    row = {name: getattr(run, name) for name in _RUN}
    return sealed("audit_runs", {**row, "start": run.span.start, "end": run.span.end})


def run_from(row: Row) -> AuditRun:
    return AuditRun(**{name: row[name] for name in _RUN}, span=Span(row["start"], row["end"]))


def measurement_row(measurement: Measurement) -> dict[str, Any]:
    row = {name: getattr(measurement, name) for name in _MEASUREMENT}
    interval, method = measurement.interval, measurement.method
    row["interval"] = interval and {
        "lower": interval.lower,
        "upper": interval.upper,
        "level": interval.level,
        "method": interval.method,
    }
    row["method"] = {"name": method.name, "version": method.version}
    row["attributes"] = dict(measurement.attributes)
    row["facts"] = dict(measurement.facts)
    row["status"] = str(measurement.status)
    row["how"] = str(measurement.how)
    return row


def measurement_from(row: Row) -> Measurement:
    plain = {name: row[name] for name in _MEASUREMENT}
    if interval := plain["interval"]:
        # JSONB hands 1e16 back as a whole number.
        plain["interval"] = Interval(
            float(interval["lower"]), float(interval["upper"]), float(interval["level"]), interval["method"]
        )
    plain["method"] = Method(**plain["method"])
    plain["status"] = Status(plain["status"])
    plain["how"] = How(plain["how"])
    return Measurement(**plain)


def verdict_row(verdict: Verdict) -> dict[str, Any]:
    row = {name: getattr(verdict, name) for name in _VERDICT}
    row["refs"] = [{"src": ref.src, "at": ref.at, "relation": ref.relation} for ref in verdict.refs]
    row["evidence"] = list(verdict.evidence)
    row["facts"] = dict(verdict.facts)
    for name in ("verdict", "underlying", "force", "state"):
        row[name] = str(row[name])
    return row


def verdict_from(row: Row) -> Verdict:
    plain = {name: row[name] for name in _VERDICT}
    plain.update(
        refs=tuple(Ref(**ref) for ref in plain["refs"]),
        evidence=tuple(plain["evidence"]),
        verdict=Word(plain["verdict"]),
        underlying=Word(plain["underlying"]),
        force=Force(plain["force"]),
        state=State(plain["state"]),
    )
    return explained(Verdict(**plain))


def alert_row(alert: Alert) -> dict[str, Any]:
    row = {name: getattr(alert, name) for name in _ALERT}
    return sealed("alerts", {**row, "examples": list(alert.examples), "facts": dict(alert.facts)})


def alert_from(row: Row) -> Alert:
    return told(Alert(**{**{name: row[name] for name in _ALERT}, "examples": tuple(row["examples"])}))


def artifact_row(artifact: Artifact) -> dict[str, Any]:
    row = {item.name: getattr(artifact, item.name) for item in fields(Artifact)}
    row["made_by"] = {"name": artifact.made_by.name, "version": artifact.made_by.version}
    return sealed("artifacts", row)


def artifact_from(row: Row) -> Artifact:
    plain = {item.name: row[item.name] for item in fields(Artifact)}
    return Artifact(**{**plain, "made_by": Method(**plain["made_by"])})


def command_row(command: Command) -> dict[str, Any]:
    row = {name: getattr(command, name) for name in ("id", "kind", "by", "at")}
    return sealed("commands", {**row, "payload": dict(command.payload)})


def command_from(row: Row) -> Command:
    return Command(id=row["id"], kind=row["kind"], by=row["by"], at=row["at"], payload=row["payload"])


def baseline_row(baseline: Baseline) -> dict[str, Any]:
    row = {name: getattr(baseline, name) for name in ("id", "model", "frame", "n", "by", "at", "kind")}
    row |= {"start": baseline.span.start, "end": baseline.span.end, "versions": list(baseline.versions)}
    return sealed("baselines", {**row, "describers": [list(pair) for pair in baseline.describers]})


def baseline_from(row: Row) -> Baseline:
    return Baseline(
        id=row["id"],
        model=row["model"],
        span=Span(row["start"], row["end"]),
        frame=row["frame"],
        n=row["n"],
        versions=tuple(row["versions"]),
        by=row["by"],
        at=row["at"],
        kind=row["kind"],
        describers=tuple((name, version) for name, version in row["describers"]),
    )


_SEALED = {
    "measurements": (
        *("id", "metric", "value", "unit", "status", "reason", "model", "version", "start", "end", "n", "n_baseline"),
        *("baseline", "attributes", "interval", "p_value", "how", "exact", "bound"),
    ),
    "verdicts": (
        *("id", "policy", "control", "model", "slice", "start", "end", "verdict", "underlying", "reason", "state"),
        *("since", "observed", "limit", "n", "evidence", "input"),
    ),
}
"""Columns that a checksum covers. Fixed: what is added to a table later must not alter the checksums of older rows."""


def checksums(table: str, found: Iterable[Measurement | Verdict]) -> dict[str, int]:
    """CRC-32 of each measurement or verdict, by id."""
    return {one.id: zlib.crc32(canonical_json([_plain(one, name) for name in _SEALED[table]])) for one in found}


def _plain(one: Measurement | Verdict, name: str) -> Any:
    value = getattr(one, name)
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, Interval):
        return [float(value.lower), float(value.upper), float(value.level), value.method]
    if isinstance(value, Mapping):
        return sorted(value.items())
    if name in ("value", "p_value", "bound", "observed", "limit") and value is not None:
        return float(value)
    return list(value) if isinstance(value, tuple) else value


_COVERED = {
    "audit_runs": (
        *("id", "model", "start", "end", "revision", "baseline", "records", "labelled", "started", "ended"),
        *("versions", "policies", "settings", "states"),
    ),
    "artifacts": ("run", "sha256", "extension", "title", "made_by", "model", "start", "end", "size"),
    "alerts": (
        *("id", "kind", "model", "policy", "control", "slice", "input", "modality", "severity", "state", "opened"),
        *("since", "renewed", "resolved", "count", "verdict", "budget_share", "finding", "facts", "examples", "found"),
    ),
    "commands": ("id", "kind", "by", "at", "payload"),
    "baselines": ("id", "model", "start", "end", "frame", "n", "versions", "by", "at", "kind", "describers"),
    "monitors": ("model", "baseline", "name", "until", "late", "payload"),
}
"""Columns that a row's own checksum covers. Fixed, as above."""


def sealed(table: str, row: Row) -> dict[str, Any]:
    """The row with its checksum."""
    return {**row, "checksum": checksum(table, row)}


def checksum(table: str, row: Row) -> int:
    """CRC-32 of the covered columns, the same whichever database gave the row."""
    return zlib.crc32(canonical_json([_canonical(row[name]) for name in _COVERED[table]]))


def _canonical(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, bytes):
        return zlib.crc32(value)
    if isinstance(value, Mapping):
        return {str(key): _canonical(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(inner) for inner in value]
    # JSONB hands 1e16 back as a whole number.
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def pack_frame(frame: Frame) -> bytes:
    """JSON in the frame's own order of columns, compressed; floats survive exactly."""
    body = json.dumps(frame.as_json(), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return zlib.compress(body.encode(), 6)


def unpack_frame(body: bytes, expected: str) -> Frame:
    """The frame, or StoreError `frame_damaged`."""
    try:
        frame = Frame.from_json(json.loads(zlib.decompress(body)))
    except (zlib.error, ValueError, KeyError, TypeError) as error:
        raise damaged("frame", expected) from error
    if frame.digest != expected:
        raise damaged("frame", expected)
    return frame


def pack_state(state: WindowState) -> tuple[bytes, str]:
    """The encoded state and its digest."""
    payload = encode_state(state)
    return payload, digest(payload)


def unpack_state(payload: bytes, expected: str) -> WindowState:
    """The state, or StoreError `state_damaged` when its bytes are not those that were written."""
    if digest(payload) != expected:
        raise damaged("state", expected)
    return decode_state(payload)


def damaged(what: str, expected: str) -> StoreError:
    return StoreError(
        f"{what}_damaged",
        f"a stored {what} is not what was written",
        where=f"digest {expected[:16]}",
        fix="restore a backup (see the backup-and-restore how-to), or run `auditor db rebuild`",
    )
