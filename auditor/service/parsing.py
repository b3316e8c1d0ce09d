"""A body -> the frames it asks to have written. The usual body is decoded once by compiled code; anything else row by row.

Row by row, a fault costs its row alone; the whole body is refused only when it is no document of ours at all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from auditor.core.errors import AuditorError, RecordError
from auditor.core.gate import parse_energy_reading, parse_tally
from auditor.core.identity import canonical_json, uuid7
from auditor.core.record import Label
from auditor.intake import wire
from auditor.intake.records import EARLIEST, LATEST, decode, encode_record, label_from, names_hold, record_from
from auditor.service.refusals import RequestError, too_large

JSON, MSGPACK = "application/json", "application/msgpack"
MAX_ROWS = 20_000
"""Rows in one body."""
MAX_ROW = 4 << 20
"""Bytes of one row: more than 65 536 numbers and a thousand descriptors need."""


class _Records(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    records: list[wire.Record]
    energy: list[msgspec.Raw] = []
    tallies: list[msgspec.Raw] = []
    schema: str | None = None


class _RawRecords(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    records: list[msgspec.Raw]
    energy: list[msgspec.Raw] = []
    tallies: list[msgspec.Raw] = []
    schema: str | None = None


class _RawLabels(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    labels: list[msgspec.Raw]
    schema: str | None = None


_typed: dict[str, Any] = {JSON: msgspec.json.Decoder(_Records), MSGPACK: msgspec.msgpack.Decoder(_Records)}
_raw_records: dict[str, Any] = {JSON: msgspec.json.Decoder(_RawRecords), MSGPACK: msgspec.msgpack.Decoder(_RawRecords)}
_raw_labels: dict[str, Any] = {JSON: msgspec.json.Decoder(_RawLabels), MSGPACK: msgspec.msgpack.Decoder(_RawLabels)}
_record: dict[str, Any] = {JSON: msgspec.json.Decoder(wire.Record), MSGPACK: msgspec.msgpack.Decoder(wire.Record)}


@dataclass(slots=True)
class Batch:
    """What a body holds.

    Attributes
    ----------
    rows : list of (index, record, payload)
        Records in the order of the body; `payload` is the JSON that goes into the journal.
    frames : list of (kind, payload)
        What needs no settling: labels, energy readings, tallies.
    refused : list of dict
        The contract's `{"index", "id", "code", "message"}`.
    ids : list of str
        Of the records that labels speak of, beside `frames`, index by index.
    more : dict
        Further fields of the answer.
    """

    rows: list[tuple[int, wire.Record, bytes]] = field(default_factory=list)
    frames: list[tuple[str, bytes]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    labels: list[tuple[int, str]] = field(default_factory=list)
    models: set[str] = field(default_factory=set)
    more: dict[str, Any] = field(default_factory=dict)

    def refuse(self, index: int, identifier: Any, error: AuditorError) -> None:
        self.refused.append(refused_row(index, identifier, error))


def refused_row(index: int, identifier: Any, error: AuditorError) -> dict[str, Any]:
    """The contract's entry for a row that was not taken."""
    shown = identifier[:64].encode("utf-8", "replace").decode() if isinstance(identifier, str) else None
    place = f" ({error.where})" if error.where and error.where != identifier else ""
    message = f"{error.message}{place}"[:500].encode("utf-8", "replace").decode()
    return {"index": index, "id": shown, "code": error.code, "message": message}


def parse_records(body: bytes, media: str) -> Batch:
    """Records, with the energy readings and tallies that agents send along; RequestError when it is no such document."""
    batch = Batch()
    typed: Any = None
    raw: Any = None
    with contextlib.suppress(msgspec.DecodeError, ValueError, RecursionError):  # row by row, then
        typed = _typed[media].decode(body)
    # JSON is kept as it was sent; of MessagePack the rows' own bytes matter only where something is unusual.
    if typed is None or media == JSON:
        raw = _envelope(_raw_records[media], body, "records")
    if len((typed or raw).records) > MAX_ROWS:
        raise too_large(f"more than {MAX_ROWS} records in one body", MAX_ROWS)
    records: Sequence[wire.Record | None] = [None] * len(raw.records) if typed is None else typed.records
    take = batch.rows.append
    for index, record in enumerate(records):
        if record is not None and _usual(record):
            payload = bytes(raw.records[index]) if media == JSON else encode_record(record)
            if media == JSON or b"null" not in payload:
                take((index, record, payload))
                continue
        if raw is None:
            raw = _envelope(_raw_records[media], body, "records")
        _careful(batch, index, raw.records[index], media)
    batch.models = {record.model.name for _, record, _ in batch.rows}
    for name, kind, parse, sources in (
        ("energy", "energy", parse_energy_reading, (raw or typed).energy),
        ("tallies", "tally", parse_tally, (raw or typed).tallies),
    ):
        if sources:
            batch.more[name] = _side(batch, kind, parse, sources, media)
    return batch


def parse_labels(body: bytes, media: str, now: datetime) -> Batch:
    """Labels; one without a time is taken as given `now`."""
    batch = Batch()
    for index, source in enumerate(_envelope(_raw_labels[media], body, "labels").labels):
        data: Any = None
        try:
            data = _plain(source, media)
            label: Label = label_from(data, now=now)
        except RecordError as error:
            batch.refuse(index, data.get("id") if isinstance(data, dict) else None, error)
            continue
        batch.labels.append((index, label.id))
        batch.frames.append(("label", canonical_json(label.as_json())))
    return batch


def _envelope(decoder: Any, body: bytes, name: str) -> Any:
    try:
        found = decoder.decode(body)
    except (msgspec.DecodeError, ValueError) as error:
        raise RequestError(
            400, "bad_body", f"it does not decode: {error}", where="body", fix=f'send {{"{name}": [...]}}'
        ) from error
    except RecursionError as error:
        raise RequestError(400, "too_deep", "it is nested too deeply", where="body", fix="send flat records") from error
    if len(getattr(found, name)) > MAX_ROWS:
        raise too_large(f"more than {MAX_ROWS} {name} in one body", MAX_ROWS)
    return found


def _usual(record: wire.Record) -> bool:
    """What the decoder cannot check: names, and that the time is one that the archive keeps."""
    return EARLIEST <= record.time < LATEST and names_hold(record)


def _careful(batch: Batch, index: int, source: msgspec.Raw, media: str) -> None:
    """One record on its own: taken, or refused with the place of its fault."""
    data: Any = None
    try:
        try:
            record = _record[media].decode(source) if media == JSON else None
        except (msgspec.DecodeError, ValueError, RecursionError):
            record = None
        if record is not None and _usual(record):
            batch.rows.append((index, record, bytes(source)))
            return
        data = _plain(source, media)
        record = record_from(data, default_id=uuid7())
        batch.rows.append((index, record, encode_record(record)))
    except AuditorError as error:
        batch.refuse(index, data.get("id") if isinstance(data, dict) else None, error)


def _plain(source: msgspec.Raw, media: str) -> Any:
    if memoryview(source).nbytes > MAX_ROW:
        raise RecordError("over_limit", f"the row is longer than {MAX_ROW} bytes", fix="leave out what is not needed")
    return decode(bytes(source), media)


def _side(
    batch: Batch, kind: str, parse: Callable[[Any], Any], sources: Sequence[msgspec.Raw], media: str
) -> dict[str, Any]:
    """Readings or tallies: how many are taken, and which are refused."""
    refused = []
    taken = 0
    for index, source in enumerate(sources):
        try:
            parsed = parse(_plain(source, media))
            payload = canonical_json(parsed.as_json())
        except AuditorError as error:
            refused.append(refused_row(index, None, error))
            continue
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            wrong = RecordError(f"bad_{kind}", f"{type(error).__name__}: {error}")
            refused.append(refused_row(index, None, wrong))
            continue
        batch.models.add(parsed.model.name)
        batch.frames.append((kind, payload))
        taken += 1
    return {"accepted": taken, "refused": refused}
