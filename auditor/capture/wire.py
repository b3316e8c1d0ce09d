"""Records as frames: what `Record.as_json` says, without looking at every field of every type on every call."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any

from auditor.core.identity import canonical_json
from auditor.core.record import Input, Output, Record
from auditor.core.window import format_time


def _encoder() -> Callable[[Any], bytes]:
    """`canonical_json` of what is built in the order of its keys, with the interpreter's C encoder made once, not once a frame."""
    make = getattr(json.encoder, "c_make_encoder", None)
    text = getattr(json.encoder, "c_encode_basestring", None)
    if make is None or text is None:
        return canonical_json
    encode = make(None, json.JSONEncoder().default, text, None, ":", ",", False, False, False)
    join = "".join

    def encoded(value: Any) -> bytes:
        return join(encode(value, 0)).encode()

    return encoded


_encode = _encoder()


def record_frame(record: Record) -> bytes:
    """The canonical JSON of a record; the same bytes as `canonical_json(record.as_json())`."""
    if record.energy is not None:  # never the agent's own doing
        return canonical_json(record.as_json())
    data: dict[str, Any] = {}  # keys in alphabetical order, here and below
    if record.first_token_s is not None:
        data["first_token_s"] = record.first_token_s
    if record.groups:
        data["groups"] = _sorted(record.groups)
    data["id"] = record.id
    data["inputs"] = [_input(entry) for entry in record.inputs]
    if record.latency_s is not None:
        data["latency_s"] = record.latency_s
    model = record.model
    data["model"] = (
        {"name": model.name, "version": model.version}
        if model.encoder is None
        else {"encoder": model.encoder, "name": model.name, "version": model.version}
    )
    if record.output is not None:
        data["output"] = _output(record.output)
    if record.sampling != 1.0:
        data["sampling"] = record.sampling
    if record.source is not None:
        source = record.source
        data["source"] = {"fork": source.fork, "seq": source.seq, "session": source.session}
    if record.subject is not None:
        data["subject"] = record.subject
    moment = record.time
    data["time"] = moment.isoformat()[:-6] + "Z" if moment.tzinfo is UTC else format_time(moment)
    return _encode(data)


def _sorted(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: columns[name] for name in sorted(columns)}


def _input(entry: Input) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if entry.commitment is not None:
        data["commitment"] = entry.commitment
    if entry.describer is not None:
        data["describer"] = entry.describer
    if entry.descriptors:
        data["descriptors"] = _sorted(entry.descriptors)
    if entry.embedding is not None:
        data["embedding"] = entry.embedding
    if entry.encoder is not None:
        data["encoder"] = entry.encoder
    if entry.error is not None:
        data["error"] = entry.error
    if entry.missing:
        data["missing"] = True
    data["modality"] = entry.modality
    data["name"] = entry.name
    if entry.scores is not None:
        data["scores"] = entry.scores
    return data


def _output(output: Output) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for name in ("error", "finish", "label", "refused", "scores"):
        value = getattr(output, name)
        if value is not None:
            data[name] = value
    if output.text is not None:
        data["text"] = {}
        if output.text.descriptors:
            data["text"]["descriptors"] = _sorted(output.text.descriptors)
        if output.text.embedding is not None:
            data["text"]["embedding"] = output.text.embedding
    if output.tokens:
        data["tokens"] = _sorted(output.tokens)
    if output.value is not None:
        data["value"] = output.value
    return data
