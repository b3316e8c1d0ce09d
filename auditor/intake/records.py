"""Bytes and mappings -> records and labels, or a RecordError that names the fault and its place.

`schema` decodes the usual record in microseconds; whatever it refuses goes through `core.gate`, whose error names the place.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec

from auditor.core import gate
from auditor.core import record as core
from auditor.core.errors import RecordError
from auditor.core.record import EARLIEST, LATEST
from auditor.core.values import class_name
from auditor.intake import schema
from auditor.registry import names

JSON, MSGPACK = "application/json", "application/msgpack"
MEDIA = {"record": JSON, "packed": MSGPACK}
"""How a record is written, by the kind of its frame."""
WHOLE = {"records": "record", "packed-records": "packed"}
"""Frames that hold a whole body of records, and what kind of frame each of these would be by itself."""

_decoders: dict[str, Any] = {JSON: msgspec.json.Decoder(schema.Record), MSGPACK: msgspec.msgpack.Decoder(schema.Record)}
CANONICAL = msgspec.json.Encoder(order="deterministic")
"""Writes a record in the one spelling of which its digest is taken."""


Row = TypeVar("Row")
Schema = TypeVar("Schema")
replace: Any = msgspec.structs.replace


class Body(msgspec.Struct, Generic[Row, Schema], forbid_unknown_fields=True, gc=False):
    """What `POST /v1/records` takes. What it does not speak of at all, energy or tallies, is UNSET."""

    records: list[Row]
    energy: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    tallies: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    schema: Schema | None = None


RawBody = Body[msgspec.Raw, str]
_bodies: dict[str, Any] = {JSON: msgspec.json.Decoder(RawBody), MSGPACK: msgspec.msgpack.Decoder(RawBody)}


def open_body(body: bytes, media: str) -> RawBody:
    """Its rows; whatever msgspec raises for what is no such document."""
    found: RawBody = _bodies[media].decode(body)
    return found


def cut(kind: str, payload: bytes) -> list[tuple[str, bytes]]:
    """The records of a whole body, as frames by themselves; RecordError `bad_body` when it is no such body."""
    single = WHOLE[kind]
    try:
        rows = open_body(payload, MEDIA[single]).records
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise RecordError("bad_body", f"it does not decode: {error}", where="body", fix="send valid bytes") from error
    return [(single, bytes(row)) for row in rows]


def decode(body: bytes, media: str = JSON) -> Any:
    """The plain value that a JSON or MessagePack document holds.

    Raises
    ------
    RecordError
        `not_json` or `not_msgpack`; `too_deep` when it is nested beyond what any record needs.
    """
    packed = media == MSGPACK
    try:
        return msgspec.msgpack.decode(body) if packed else msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError) as error:
        raise RecordError(
            "not_msgpack" if packed else "not_json",
            f"it does not decode: {error}",
            where="body",
            fix="send valid bytes",
        ) from error
    except RecursionError as error:
        raise RecordError("too_deep", "it is nested too deeply", where="body", fix="send flat records") from error


def read_record(payload: bytes, media: str = JSON, *, default_id: str | None = None) -> schema.Record:
    """The record that a JSON or MessagePack document holds; see `record_from`."""
    return usual_record(payload, media) or record_from(decode(payload, media), default_id=default_id)


def usual_record(payload: bytes, media: str = JSON) -> schema.Record | None:
    """The record, when it is spelled as agents spell it; None sends it to the gate that says what is wrong."""
    try:
        record: schema.Record = _decoders[media].decode(payload)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return settled(record) if names_hold(record) else None


def record_from(data: Any, *, default_id: str | None = None) -> schema.Record:
    """The record that a decoded document describes.

    Parameters
    ----------
    data : mapping
    default_id : str, optional
        For a record without an id; a random one, when absent.

    Raises
    ------
    RecordError
        The first fault; the limits are those of `core.record`.
    """
    return written(data, default_id=default_id)[0]


def written(data: Any, *, default_id: str | None = None) -> tuple[schema.Record, bytes]:
    """The record that a decoded document describes, and its canonical JSON; see `record_from`."""
    try:
        record = msgspec.convert(data if default_id is None else {"id": default_id, **data}, schema.Record)
        if names_hold(record):
            record = settled(record)
            return record, CANONICAL.encode(record)
    except (msgspec.ValidationError, TypeError, UnicodeEncodeError):  # a text may be no Unicode
        pass
    record = to_struct(gate.parse_record(data, default_id=default_id))
    return record, CANONICAL.encode(record)


def to_struct(record: core.Record) -> schema.Record:
    """A core record as the archive stores it; RecordError when it is beyond a limit."""
    record = gate.read(core.Record, record)
    for index, entry in enumerate(record.inputs):
        if entry.modality not in modalities() and entry.modality not in modalities(anew=True):
            raise RecordError(
                "unknown_modality",
                f"{entry.modality!r} is not a modality",
                where=f"inputs[{index}].modality",
                fix=f"use one of {', '.join(sorted(modalities()))}",
            )
    converted = msgspec.convert(record, schema.Record, from_attributes=True)
    try:
        CANONICAL.encode(converted)
    except UnicodeEncodeError as error:
        raise RecordError(
            "bad_text", "a text is not valid Unicode", where=record.id, fix="send whole characters"
        ) from error
    return settled(converted)


_modalities: frozenset[str] = frozenset()


def modalities(*, anew: bool = False) -> frozenset[str]:
    """Names of the registered modalities; remembered, unless asked `anew`."""
    global _modalities
    if anew or not _modalities:
        _modalities = frozenset(names("descriptors"))
    return _modalities


def content_digest(record: schema.Record, buffer: bytearray | None = None) -> str:
    """128 bits of SHA-256 of the record in one canonical spelling, 32 hex digits: equal content, equal digest.

    A `buffer` to write it into saves time where there are many.
    """
    if buffer is None:
        return digest_of(CANONICAL.encode(record))
    CANONICAL.encode_into(record, buffer)
    return digest_of(buffer)


def digest_of(canonical: bytes | bytearray) -> str:
    """The digest of a record's canonical JSON."""
    return hashlib.sha256(canonical).hexdigest()[:32]


def encode_record(record: schema.Record) -> bytes:
    """The record as canonical JSON: what a journal frame carries."""
    return CANONICAL.encode(record)


def label_from(data: Any, *, now: datetime | None = None) -> core.Label:
    """The label that a decoded document describes; RecordError as for records."""
    label = gate.parse_label(data, now=now)
    if label.label is not None:  # "True" and "true", 7.0 and "7" are one class
        label = dataclasses.replace(label, label=class_name(label.label, missing=()))
    try:
        f"{label.id}{label.label}".encode()
    except UnicodeEncodeError as error:
        raise RecordError(
            "bad_text", "a text is not valid Unicode", where="label", fix="send whole characters"
        ) from error
    return label


def read_label(payload: bytes, *, now: datetime | None = None) -> core.Label:
    """The label that a JSON document holds."""
    return label_from(decode(payload), now=now)


def without_sensitive(data: Any) -> Any:
    """What may be written of a refused row, or body of them: `sensitive` keeps its features' names, never their values."""
    if isinstance(data, dict):
        rows = data.get("records")
        if isinstance(rows, list):
            data = data | {"records": [without_sensitive(row) for row in rows]}
        return {
            key: sorted(map(str, value)) if key == "sensitive" and isinstance(value, dict) else _finite(value)
            for key, value in data.items()
            if key != "sensitive" or isinstance(value, dict)
        }
    return _finite(data)


def _finite(value: Any) -> Any:
    """JSON carries no NaN: it is written as the text `nan`, so that the refused row shows what was refused."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _finite(entry) for key, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def names_hold(record: schema.Record) -> bool:
    """What the decoder leaves: inputs have names of their own and registered modalities, keys are within their limits."""
    inputs = record.inputs
    if len(inputs) > 1 and len({entry.name for entry in inputs}) < len(inputs):
        return False
    return modalities().issuperset([entry.modality for entry in inputs]) and keys_hold(record)


def keys_hold(record: schema.Record) -> bool:
    """Whether every key of the record's mappings is within the limits of a `Name`."""
    mappings: list[Mapping[str, Any] | None] = [entry.descriptors for entry in record.inputs]
    if record.groups:
        mappings.append(record.groups)
    if record.output is not None and record.output.text is not None:
        mappings.append(record.output.text.descriptors)
    if record.energy is not None:
        mappings.append(record.energy.by)
    return all(map(_are_names, mappings))


_names: set[str] = set()
"""Keys that were found to be names; each is checked once a process."""
_MOST_NAMES = 1 << 16


def _are_names(keys: Mapping[str, Any] | None) -> bool:
    if not keys or _names.issuperset(keys):
        return True
    if not gate.fits(core.Name, keys):
        return False
    if len(_names) > _MOST_NAMES:
        _names.clear()
    _names.update(keys)
    return True


def settled(record: schema.Record) -> schema.Record:
    """The record in UTC, and with nothing spelled out that goes without saying."""
    _check_time(record.time, record.id)
    if record.sampling == schema.WHOLE and record.sampling is not schema.WHOLE:
        record = replace(record, sampling=schema.WHOLE)
    if record.time.tzinfo is UTC:
        return record
    moved: schema.Record = replace(record, time=record.time.astimezone(UTC))
    return moved


def _check_time(time: datetime, where: str) -> None:
    if not EARLIEST <= time < LATEST:
        raise RecordError(
            "over_limit", f"{time.isoformat()} is outside 1970 to 2199", where=where, fix="check the clock"
        )
