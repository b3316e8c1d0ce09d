"""What a batch of segments holds: parsed, deduplicated within the batch, and what had to be refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from auditor.core.command import Command
from auditor.core.errors import AuditorError, RecordError
from auditor.core.gate import parse_energy_reading, parse_tally
from auditor.core.identity import digest
from auditor.core.record import CaptureTally, EnergyReading, Label
from auditor.intake import wire
from auditor.intake.records import content_digest, decode, read_label, record_from, usual_record, without_sensitive
from auditor.ports import Damage
from auditor.segments import Frame, Segment

MAX_COLUMNS = 2000
"""Descriptor columns and group features that one model may bring in one batch: a client that makes up names is refused
before it fills the archive with columns."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A frame that was not taken in, and why."""

    code: str
    message: str
    where: str
    id: str | None
    frame: Any

    def as_json(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "where": self.where, "id": self.id, "frame": self.frame}


class Taken(NamedTuple):
    """A record with the digest of its content and the place it came from."""

    record: wire.Record
    digest: str
    segment: str
    offset: int

    @property
    def where(self) -> str:
        return f"{self.segment}:{self.offset}"


@dataclass(slots=True)
class Contents:
    """All frames of a batch."""

    records: dict[str, Taken] = field(default_factory=dict)
    """By id, in order of arrival."""
    labels: list[Label] = field(default_factory=list)
    readings: list[EnergyReading] = field(default_factory=list)
    tallies: list[CaptureTally] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    duplicates: int = 0
    _once: set[bytes] = field(default_factory=set)
    _columns: dict[str, set[str]] = field(default_factory=dict)

    def add(self, segment: Segment) -> None:
        """Parse every frame of a segment."""
        self.damage += segment.damage
        takers: dict[str, Callable[[bytes], None]] = {
            "label": self._label,
            "energy": self._energy,
            "tally": self._tally,
            "command": self._command,
        }
        name = segment.path.name
        for frame in segment.frames:
            kind, payload, offset = frame
            try:
                if kind == "record":
                    self._record(payload, name, offset)
                elif kind in takers:
                    takers[kind](payload)
                else:
                    self._refuse(RecordError("unknown_frame", "a frame of a newer version"), name, frame)
            except AuditorError as error:
                self._refuse(error, name, frame)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                # Only for what agents of our own write (readings, tallies, commands): their gate is not ours.
                self._refuse(RecordError(f"bad_{kind}", f"{type(error).__name__}: {error}"), name, frame)

    def refuse_conflict(self, taken: Taken) -> None:
        """The index has the same id with other content."""
        self._conflict(taken)

    def _record(self, payload: bytes, segment: str, offset: int) -> None:
        record = usual_record(payload)
        if record is None:
            # A frame without an id must get the same one each time the batch is read.
            record = record_from(decode(payload), default_id=digest(f"{segment}:{offset}")[:32])
        taken = Taken(record, content_digest(record), segment, offset)
        earlier = self.records.setdefault(record.id, taken)
        if earlier is taken:
            try:
                self._check_columns(record)
            except RecordError:
                del self.records[record.id]
                raise
        elif earlier.digest == taken.digest:
            self.duplicates += 1
        else:
            self._conflict(taken)

    def _conflict(self, taken: Taken) -> None:
        self.refused.append(
            Refused(
                "id_conflict",
                "the same id stands for a record with other content",
                taken.where,
                taken.record.id,
                msgspec.to_builtins(taken.record),
            )
        )

    def _check_columns(self, record: wire.Record) -> None:
        known = self._columns.setdefault(record.model.name, set())
        more: set[str] = set()
        for entry in record.inputs:
            if not known.issuperset(entry.descriptors):
                more.update(entry.descriptors)
        if not known.issuperset(record.groups):
            more.update(record.groups)
        if more:
            if len(known | more) > MAX_COLUMNS:
                raise RecordError(
                    "too_many_columns",
                    f"the model brings more than {MAX_COLUMNS} columns",
                    where=record.id,
                    fix="name columns alike in every record",
                )
            known |= more

    def _label(self, payload: bytes) -> None:
        self.labels.append(read_label(payload))

    def _energy(self, payload: bytes) -> None:
        if self._first_time(payload):
            reading = parse_energy_reading(decode(payload))
            _check(reading.start < reading.end, "the reading ends before it begins")
            self.readings.append(reading)

    def _tally(self, payload: bytes) -> None:
        if self._first_time(payload):
            tally = parse_tally(decode(payload))
            _check(tally.start <= tally.end, "the tally ends before it begins")
            self.tallies.append(tally)

    def _command(self, payload: bytes) -> None:
        self.commands.append(Command.from_json(decode(payload)))

    def _first_time(self, payload: bytes) -> bool:
        """Whether these very bytes are new: a reading that was sent twice is one reading."""
        if payload in self._once:
            return False
        self._once.add(payload)
        return True

    def _refuse(self, error: AuditorError, segment: str, frame: Frame) -> None:
        try:
            data = decode(frame.payload)
        except RecordError:
            data = frame.payload.decode("utf-8", "backslashreplace")
        identifier = data.get("id") if isinstance(data, dict) else None
        self.refused.append(
            Refused(
                error.code,
                str(error),
                f"{segment}:{frame.offset}",
                identifier if isinstance(identifier, str) else None,
                without_sensitive(data),
            )
        )


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise RecordError("bad_span", message)
