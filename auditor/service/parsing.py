"""A body -> the frames it asks to have written. The usual body is decoded once by compiled code; anything else row by row.

Row by row, a fault costs its row alone; the whole body is refused only when it is no document of ours at all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple

import msgspec

from auditor.core.errors import AuditorError, RecordError
from auditor.core.gate import parse_energy_reading, parse_tally
from auditor.core.identity import canonical_json, uuid7
from auditor.core.record import EARLIEST, LATEST, Label
from auditor.core.window import Span
from auditor.intake import schema
from auditor.intake.clock import ALWAYS, check_time
from auditor.intake.records import (
    JSON,
    MEDIA,
    MSGPACK,
    WHOLE,
    Body,
    cut,
    decode,
    encode_record,
    label_from,
    names_hold,
    open_body,
    record_from,
    settled,
)
from auditor.intake.shapes import REFUSALS, Shapes, read_body
from auditor.service.limits import MAX_LISTED, MAX_ROWS, MAX_SIDE, MAX_VALUES, check_body, check_rows
from auditor.service.refusals import RequestError

KIND = {media: kind for kind, media in MEDIA.items()}
"""How the journal calls a record that is written in some media type."""
BODY = {MEDIA[single]: kind for kind, single in WHOLE.items()}
"""How it calls a whole body of them."""
MAX_BODY = 1 << 20
"""Bytes of a body that is written as one frame: what damage to a frame may cost, and what a question about one of its
records may have to read."""
MAX_ROW = 2 << 20
"""Bytes of one row: more than 65 536 numbers and a thousand descriptors need."""


class _RawLabels(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    labels: list[msgspec.Raw]
    schema: str | None = None


_Typed = Body[schema.Record, str]
_typed: dict[str, Any] = {JSON: msgspec.json.Decoder(_Typed), MSGPACK: msgspec.msgpack.Decoder(_Typed)}
_raw_labels: dict[str, Any] = {JSON: msgspec.json.Decoder(_RawLabels), MSGPACK: msgspec.msgpack.Decoder(_RawLabels)}
_record: dict[str, Any] = {JSON: msgspec.json.Decoder(schema.Record), MSGPACK: msgspec.msgpack.Decoder(schema.Record)}
_shapes = {JSON: Shapes(), MSGPACK: Shapes()}
"""How the records of late bodies look; of use to the one thread that settles."""


class Whole(NamedTuple):
    """A body all of whose records look alike: its frame, (kind, payload), and what they are."""

    frame: tuple[str, bytes]
    records: Sequence[Any]
    ids: list[str]


@dataclass(slots=True)
class Batch:
    """What a body holds.

    Attributes
    ----------
    rows : list of (index, record, frame)
        Records in the order of the body, with what goes into the journal: (kind, payload), as it came where it can.
    whole : Whole, optional
        Instead of rows: all of the body, as long as nothing is known against any of its records.
    frames : list of (kind, payload)
        What needs no settling: energy readings, tallies.
    refused : list of dict
        The contract's `{"index", "id", "code", "message"}`; at most `MAX_LISTED` of them.
    refused_count : int
        All of them.
    labels : list of (index, Label)
    more : dict
        Further fields of the answer.
    """

    rows: list[tuple[int, Any, tuple[str, bytes]]] = field(default_factory=list)
    frames: list[tuple[str, bytes]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    refused_count: int = 0
    labels: list[tuple[int, Label]] = field(default_factory=list)
    models: set[str] = field(default_factory=set)
    more: dict[str, Any] = field(default_factory=dict)
    whole: Whole | None = None

    def ids(self) -> list[str]:
        """Of the records."""
        if self.whole is not None:
            return self.whole.ids
        return [record.id for _, record, _ in self.rows]

    def take_apart(self) -> None:
        """Make rows of what is whole."""
        if self.whole is not None:
            frame, records, _ = self.whole
            self.rows = list(zip(range(len(records)), records, cut(*frame), strict=True))
            self.whole = None

    def refuse(self, index: int, identifier: Any, error: AuditorError) -> None:
        """Count a refusal; the first ones are listed."""
        self.refused_count += 1
        if len(self.refused) < MAX_LISTED:
            self.refused.append(refused_row(index, identifier, error))


def refused_row(index: int, identifier: Any, error: AuditorError) -> dict[str, Any]:
    """The contract's entry for a row that was not taken."""
    shown = identifier[:64].encode("utf-8", "replace").decode() if isinstance(identifier, str) else None
    place = f" ({error.where})" if error.where and error.where != identifier else ""
    message = f"{error.message}{place}"[:500].encode("utf-8", "replace").decode()
    return {"index": index, "id": shown, "code": error.code, "message": message}


def parse_records(body: bytes, media: str, times: Span = ALWAYS) -> Batch:
    """Records, with the energy readings and tallies that agents send along; RequestError when it is no such document."""
    check_body(body, media)
    alike = None if len(body) > MAX_BODY else _shapes[media].read(lambda shape: read_body(shape, BODY[media], body))
    if alike is not None:
        shape, found = alike
        # Where there are readings or tallies, be it none of them, a key that stands twice may hide what nobody has read.
        alone = found.energy is msgspec.UNSET and found.tallies is msgspec.UNSET
        if alone and len(found.records) <= MAX_ROWS and all(record.time in times for record in found.records):
            ids = [record.id for record in found.records]
            return Batch(models={shape.model}, whole=Whole((BODY[media], body), found.records, ids))
    batch = Batch()
    raw = _envelope(partial(open_body, media=media), body, "records")
    kind = KIND[media]
    for name, rows in (("energy", raw.energy), ("tallies", raw.tallies)):
        check_rows(name, len(rows or ()), MAX_SIDE)
    # MessagePack does not show how many values it holds: a large body of it is read row by row; so is one with a row that
    # is longer than a record can be, which would be held in full before it is refused.
    at_once = len(body) <= MAX_BODY or (media == JSON and all(map(_fits, raw.records)))
    records = alike[1].records if alike is not None else _typed_records(body, media) if at_once else []
    values = 0
    for index, (record, source) in enumerate(zip(records or repeat(None), raw.records, strict=False)):
        if record is not None:
            batch.rows.append((index, record, (kind, bytes(source))))
        else:
            _careful(batch, index, source, media)
            if not at_once and batch.rows:
                values += _values(batch.rows[-1][1])
                check_rows("values", values, MAX_VALUES)
    batch.models = {record.model.name for _, record, _ in batch.rows}
    if not all(record.time in times for _, record, _ in batch.rows):
        _refuse_times(batch, times)
    for name, kind, parse, sources in (
        ("energy", "energy", parse_energy_reading, raw.energy),
        ("tallies", "tally", parse_tally, raw.tallies),
    ):
        if sources:
            batch.more[name] = _side(batch, kind, parse, sources, media, times)
    return batch


def parse_labels(body: bytes, media: str, now: datetime, times: Span = ALWAYS) -> Batch:
    """Labels; one without a time is taken as given `now`."""
    check_body(body, media)
    batch = Batch()
    for index, source in enumerate(_envelope(_raw_labels[media].decode, body, "labels").labels):
        data: Any = None
        try:
            data = _plain(source, media)
            label: Label = label_from(data, now=now)
            check_time(label.time, times, label.id)
        except RecordError as error:
            batch.refuse(index, data.get("id") if isinstance(data, dict) else None, error)
            continue
        batch.labels.append((index, label))
    return batch


def _envelope(read: Callable[[bytes], Any], body: bytes, name: str) -> Any:
    try:
        found = read(body)
    except (msgspec.DecodeError, ValueError) as error:
        raise RequestError(
            400, "bad_body", f"it does not decode: {error}", where="body", fix=f'send {{"{name}": [...]}}'
        ) from error
    except RecursionError as error:
        raise RequestError(400, "too_deep", "it is nested too deeply", where="body", fix="send flat records") from error
    check_rows(name, len(getattr(found, name)), MAX_ROWS)
    return found


def _typed_records(body: bytes, media: str) -> Sequence[Any]:
    """The records of a body; None for those that are to be looked at one by one, nothing when all are."""
    try:
        records: list[schema.Record] = _typed[media].decode(body).records
    except REFUSALS:
        return []
    usual = [record if _usual(record) else None for record in records]
    if usual and usual[0] is not None:
        _shapes[media].learn(settled(usual[0]))
    return usual


def _refuse_times(batch: Batch, times: Span) -> None:
    """Refuse the rows whose time the home does not take in."""
    kept = []
    for index, record, frame in batch.rows:
        try:
            check_time(record.time, times, record.id)
            kept.append((index, record, frame))
        except RecordError as error:
            batch.refuse(index, record.id, error)
    batch.rows = kept


def _values(record: schema.Record) -> int:
    return sum(len(one.descriptors) + len(one.embedding or ()) + len(one.scores or ()) for one in record.inputs)


def _usual(record: schema.Record) -> bool:
    """What the decoder cannot check: names, and that the time is one that the archive keeps."""
    return EARLIEST <= record.time < LATEST and names_hold(record)


def _careful(batch: Batch, index: int, source: msgspec.Raw, media: str) -> None:
    """One record on its own: taken, or refused with the place of its fault."""
    data: Any = None
    try:
        with contextlib.suppress(*REFUSALS):
            record = _record[media].decode(_bounded(source))
            if _usual(record):
                batch.rows.append((index, record, (KIND[media], bytes(source))))
                return
        data = _plain(source, media)
        record = record_from(data, default_id=uuid7())
        batch.rows.append((index, record, ("record", encode_record(record))))
    except AuditorError as error:
        batch.refuse(index, data.get("id") if isinstance(data, dict) else None, error)


def _fits(source: msgspec.Raw) -> bool:
    return memoryview(source).nbytes <= MAX_ROW


def _bounded(source: msgspec.Raw) -> msgspec.Raw:
    """The same row; RecordError for one that is too long."""
    if not _fits(source):
        raise RecordError("over_limit", f"the row is longer than {MAX_ROW} bytes", fix="leave out what is not needed")
    return source


def _plain(source: msgspec.Raw, media: str) -> Any:
    return decode(bytes(_bounded(source)), media)


def _side(
    batch: Batch, kind: str, parse: Callable[[Any], Any], sources: Sequence[msgspec.Raw], media: str, times: Span
) -> dict[str, Any]:
    """Readings or tallies: how many are taken, and which are refused."""
    refused: list[dict[str, Any]] = []
    taken = 0
    for index, source in enumerate(sources):
        try:
            parsed = parse(_plain(source, media))
            if kind == "energy":  # a tally counts calls whatever its clock: the drain puts it where it belongs
                check_time(parsed.start, times, "start")
                check_time(parsed.end, times, "end")
            payload = canonical_json(parsed.as_json())
        except (AuditorError, UnicodeEncodeError) as error:
            if len(refused) < MAX_LISTED:
                wrong = error if isinstance(error, AuditorError) else RecordError("bad_text", "a text is not Unicode")
                refused.append(refused_row(index, None, wrong))
            continue
        batch.models.add(parsed.model.name)
        batch.frames.append((kind, payload))
        taken += 1
    return {"accepted": taken, "refused": refused, "refused_count": len(sources) - taken}
