"""What a batch of segments holds: parsed, deduplicated within the batch, and what had to be refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import compress, repeat
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from auditor.core.command import Command
from auditor.core.errors import AuditorError, RecordError
from auditor.core.gate import parse_energy_reading, parse_tally
from auditor.core.identity import digest
from auditor.core.record import EARLIEST, CaptureTally, EnergyReading, Label
from auditor.core.rows import Ints
from auditor.core.window import DAY, HOUR, Span, from_us, to_us
from auditor.intake import schema
from auditor.intake.clock import ALWAYS, check_time
from auditor.intake.columns import tabulate
from auditor.intake.journal import SPOOLED
from auditor.intake.records import (
    JSON,
    MEDIA,
    WHOLE,
    content_digest,
    cut,
    decode,
    read_label,
    read_record,
    without_sensitive,
)
from auditor.intake.shapes import Shape, Shapes, read, read_body
from auditor.ports import Damage, IndexEntry, RecordKey
from auditor.segments import Frame, Segment

MAX_COLUMNS = 2000
"""Descriptor columns and group features that one model may bring in one batch: a client that makes up names is refused
before it fills the archive with columns."""
TOGETHER = 2048
"""Records that become columns together, about: few enough to stay in the processor's cache meanwhile."""
_TICK = timedelta(microseconds=1)
_TOO_DEEP = "(nested too deeply to be shown)"

Source = tuple[str, Frame, int]
"""A record's segment, its frame and its place among the frame's records."""


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


class Withdrawal(NamedTuple):
    """A record that another one of the same call has superseded."""

    model: str
    id: str


@dataclass(frozen=True, slots=True)
class Pile:
    """Records of one model as columns, with what the index asks for, row by row.

    Attributes
    ----------
    model : str
    table : pyarrow.Table
        As `columns.pack` makes it, in any order.
    ids, digests : list of str
        `records.content_digest` of each.
    sources : list of (str, Frame, int)
        The segment and the frame that brought each, and its place among the frame's records.
    """

    model: str
    table: pa.Table
    ids: list[str]
    digests: list[str]
    sources: list[Source]

    def times(self) -> Ints:
        """Microseconds since 1970."""
        found: Ints = self.table["time"].cast(pa.int64()).to_numpy()
        return found

    def entries(self, segment: str) -> Iterator[IndexEntry]:
        """Lines for the index."""
        days, which = np.unique(self.times() // to_us(EARLIEST + DAY), return_inverse=True)
        texts = [f"{EARLIEST + int(day) * DAY:%Y-%m-%d}" for day in days]
        spelled = map(texts.__getitem__, which.tolist())
        return map(IndexEntry._make, zip(self.ids, self.digests, repeat(self.model), spelled, repeat(segment)))

    def hours(self) -> Iterator[datetime]:
        """The hours in which the inferences happened."""
        return (EARLIEST + int(hour) * HOUR for hour in np.unique(self.times() // to_us(EARLIEST + HOUR)))

    def only(self, wanted: Sequence[bool]) -> Pile:
        """Some of the rows."""
        return Pile(
            self.model,
            self.table.filter(pa.array(wanted)),
            list(compress(self.ids, wanted)),
            list(compress(self.digests, wanted)),
            list(compress(self.sources, wanted)),
        )


@dataclass(slots=True)
class _Heap:
    """Rows that wait to become a pile."""

    rows: list[Any] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)


class Contents:
    """All frames of a batch, parsed as its segments are added; `close` it after the last one.

    Records become columns a few thousand at a time, so that what was decoded never grows with the batch.

    Parameters
    ----------
    times : Span
        Records, labels and readings outside are refused.
    at : datetime, optional
        When the batch was made: a tally outside counts calls all the same, at this moment.
    """

    def __init__(self, times: Span = ALWAYS, at: datetime | None = None) -> None:
        self._times = times
        self._at = at or times.end - _TICK
        self.piles: list[Pile] = []
        self.labels: list[Label] = []
        self.readings: list[EnergyReading] = []
        self.tallies: list[CaptureTally] = []
        self.commands: list[Command] = []
        self.withdrawals: list[Withdrawal] = []
        self.refused: list[Refused] = []
        self.damage: list[Damage] = []
        self.duplicates = 0
        self._digests: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self._buffer = bytearray(1 << 16)
        self._heaps: dict[Shape | str, _Heap] = {}
        self._shapes = Shapes()
        self._once: set[bytes] = set()
        self._columns: dict[str, set[str]] = {}
        self._opened: tuple[Frame, list[tuple[str, bytes]]] | None = None

    def add(self, segment: Segment) -> None:
        """Parse every frame of a segment."""
        self.damage += segment.damage
        takers: dict[str, Callable[[bytes], None]] = {
            "label": self._label,
            "energy": self._energy,
            "tally": self._tally,
            "command": self._command,
            "withdrawal": self._withdrawal,
        }
        for start in range(0, len(segment.frames), TOGETHER):
            self._add(segment.path.name, segment.frames[start : start + TOGETHER], takers)
            self._pile_large()

    def _add(self, name: str, frames: Sequence[Frame], takers: Mapping[str, Callable[[bytes], None]]) -> None:
        shape = self._shapes.first
        for frame in frames:
            kind, payload, _ = frame
            try:
                if kind in MEDIA:
                    if shape is not None and (row := read(shape, kind, payload)) is not None:
                        self._take(shape, row, (name, frame, 0))
                    else:
                        self._record((name, frame, 0))
                        shape = self._shapes.first
                elif kind in WHOLE:
                    self._body(name, frame)
                    shape = self._shapes.first
                elif kind == "command" and name.startswith(SPOOLED) and name.count("~") > 1:
                    raise RecordError(
                        "command_in_spool", "an agent's segment holds a command", fix="commands come from people"
                    )
                elif kind in takers:
                    takers[kind](payload)
                else:
                    self._refuse(RecordError("unknown_frame", "a frame of a newer version"), (name, frame, 0))
            except AuditorError as error:
                self._refuse(error, (name, frame, 0))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                # Only for what agents of our own write (readings, tallies, commands): their gate is not ours.
                self._refuse(RecordError(f"bad_{kind}", f"{type(error).__name__}: {error}"), (name, frame, 0))

    def close(self) -> None:
        """Make columns of what is left."""
        for key in list(self._heaps):
            self._pile(key)

    def times(self, wanted: Container[RecordKey]) -> dict[RecordKey, datetime]:
        """When the inferences of the batch's own records among `wanted` happened."""
        return {
            (pile.model, identifier): from_us(moment)
            for pile in self.piles
            for identifier, moment in zip(pile.ids, pile.times().tolist(), strict=True)
            if (pile.model, identifier) in wanted
        }

    def refuse_conflict(self, source: Source) -> None:
        """The same id stands for other content, in the index or earlier in the batch."""
        self._refuse_read("id_conflict", "the same id stands for a record with other content", source)

    def _refuse_read(self, code: str, message: str, source: Source) -> None:
        record = self._read(source)
        self.refused.append(Refused(code, message, _where(source), record.id, msgspec.to_builtins(record)))

    def _take(self, key: Shape | str, row: Any, source: Source) -> bool:
        """Put a row on its heap; whether its id is new to the batch and the model."""
        if not self._times.start <= row.time < self._times.end:
            try:
                check_time(row.time, self._times, row.id)
            except RecordError as error:
                self._refuse_read(error.code, error.message, source)
            return False
        content = content_digest(row, self._buffer)
        earlier = self._digests[key if isinstance(key, str) else key.model].setdefault(row.id, content)
        if earlier is content:
            heap = self._heaps.get(key) or self._heaps.setdefault(key, _Heap())
            heap.rows.append(row)
            heap.digests.append(content)
            heap.sources.append(source)
            return True
        if earlier == content:
            self.duplicates += 1
        else:
            self.refuse_conflict(source)
        return False

    def _body(self, segment: str, frame: Frame) -> None:
        """A whole body of records."""
        found = self._shapes.read(lambda shape: read_body(shape, frame.kind, frame.payload))
        if found is None:
            for place, (kind, payload) in enumerate(cut(frame.kind, frame.payload)):
                source = (segment, Frame(kind, payload, frame.offset), place)
                try:
                    self._record(source)
                except AuditorError as error:
                    self._refuse(error, source)
        else:
            shape, body = found
            for place, row in enumerate(body.records):
                self._take(shape, row, (segment, frame, place))
        self._pile_large()

    def _record(self, source: Source) -> None:
        """A record that does not look like the one before it."""
        _, frame, _ = source
        found = self._shapes.read(lambda shape: read(shape, frame.kind, frame.payload))
        if found is not None:
            self._take(*found, source)
            return
        record = self._read(source)
        if record.id not in self._digests[record.model.name]:
            self._check_columns(record)
        if self._take(record.model.name, record, source):
            # The columns of what it looks like are let in by now: its shape need not be asked about them again.
            self._shapes.learn(record)

    def _read(self, source: Source) -> schema.Record:
        _, frame, place = source
        kind, payload = self._rows(frame)[place] if frame.kind in WHOLE else (frame.kind, frame.payload)
        # A record without an id must get the same one each time the batch is read.
        return read_record(payload, media=MEDIA[kind], default_id=digest(_where(source))[:32])

    def _rows(self, frame: Frame) -> list[tuple[str, bytes]]:
        """The rows of a whole body. The last body is remembered: where one row is asked for, its neighbours follow."""
        if self._opened is None or self._opened[0] is not frame:
            self._opened = frame, cut(frame.kind, frame.payload)
        return self._opened[1]

    def _pile_large(self) -> None:
        for key in [key for key, heap in self._heaps.items() if len(heap.rows) >= TOGETHER]:
            self._pile(key)

    def _pile(self, key: Shape | str) -> None:
        heap = self._heaps.pop(key)
        model, table = (key, tabulate(heap.rows)) if isinstance(key, str) else (key.model, key.table(heap.rows))
        self.piles.append(Pile(model, table, [row.id for row in heap.rows], heap.digests, heap.sources))

    def _check_columns(self, record: schema.Record) -> None:
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
        label = read_label(payload)
        check_time(label.time, self._times, label.id)
        self.labels.append(label)

    def _energy(self, payload: bytes) -> None:
        if self._first_time(payload):
            reading = parse_energy_reading(decode(payload))
            _check(reading.start < reading.end, "the reading ends before it begins")
            for moment in (reading.start, reading.end):
                check_time(moment, self._times, "energy reading")
            self.readings.append(reading)

    def _tally(self, payload: bytes) -> None:
        if self._first_time(payload):
            tally = parse_tally(decode(payload))
            _check(tally.start <= tally.end, "the tally ends before it begins")
            self.tallies.append(self._within(tally))

    def _within(self, tally: CaptureTally) -> CaptureTally:
        if tally.start in self._times and tally.end in self._times:
            return tally
        return replace(tally, start=self._at, end=self._at + _TICK)

    def _command(self, payload: bytes) -> None:
        self.commands.append(Command.from_json(decode(payload)))

    def _withdrawal(self, payload: bytes) -> None:
        found = decode(payload)
        self.withdrawals.append(Withdrawal(str(found["model"]), str(found["id"])))

    def _first_time(self, payload: bytes) -> bool:
        """Whether these very bytes are new: a reading that was sent twice is one reading."""
        if payload in self._once:
            return False
        self._once.add(payload)
        return True

    def _refuse(self, error: AuditorError, source: Source) -> None:
        shown = _shown(source[1])
        identifier = shown.get("id") if isinstance(shown, dict) else None
        self.refused.append(
            Refused(error.code, str(error), _where(source), identifier if isinstance(identifier, str) else None, shown)
        )


def _shown(frame: Frame) -> Any:
    """What is written of a refused frame."""
    try:
        return without_sensitive(decode(frame.payload, MEDIA.get(WHOLE.get(frame.kind, frame.kind), JSON)))
    except RecursionError:
        return _TOO_DEEP
    except RecordError as error:
        return _TOO_DEEP if error.code == "too_deep" else frame.payload.decode("utf-8", "backslashreplace")


def _where(source: Source) -> str:
    segment, frame, place = source
    return f"{segment}:{frame.offset}" + (f"#{place}" if place else "")


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise RecordError("bad_span", message)
