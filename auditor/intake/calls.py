"""A model's call seen in a trace -> a record: its messages described here, their content going no further.

| record | from |
|---|---|
| `id` | trace id and span id: an export that is sent again is the same record |
| `model.name` | attribute `auditor.model` of span or resource, else the model that was asked for, else `service.name` |
| `model.version` | the model that answered |
| `inputs` | those of `core.input_names`; `documents` of a retriever |
| `output.text` | the answer, described |
| `latency_s`, `first_token_s` | the span's duration; its first chunk |
| `groups` | attributes `auditor.group.<feature>` |
| `subject` | salted digest of `user.id` or `enduser.id` |

A retriever's or reranker's span is a record of its own: model `<name>/retriever`, inputs `prompt` and `documents` (with the
documents' scores), so that what was retrieved can be watched whether or not both spans travel in one export.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from auditor.core.errors import AuditorError, RecordError
from auditor.core.input_names import MOST_EACH, Part, name_parts, numbered, payload_of
from auditor.core.window import from_us
from auditor.descriptors.describe import Payload, commitment, describe_input, describe_text
from auditor.intake import dialects
from auditor.intake.dialects import Call, read_call
from auditor.intake.otlp import Span
from auditor.intake.schema import Input, ModelRef, Output, Record, TextOutput
from auditor.intake.traces import FAMILIES, CallSpan, TraceBook
from auditor.ports import Descriptor

_GROUP = "auditor.group."
NAMES = (*dialects.NAMES, "auditor.", "user.id", "enduser.id", "error.type", "service.name")
"""How the names of attributes begin that are read here."""
_KIND = re.compile(r"([A-Za-z_][\w.]*)(?::|$)")
LONG = 256
"""Characters from which on a text is remembered as seen."""
MAX_SEEN = 1024
_FIRST_CHUNK = ("First Token Stream Event", "gen_ai.content.completion.chunk", "gen_ai.first_token")

Seen = dict[tuple[str, str | None], Input]
"""Inputs that were long texts, by name and commitment: a text repeated in every call, such as a system prompt, is
described once. Like records, it holds nothing of the texts."""


class Refusal(NamedTuple):
    """A span that can be no record: its place in the export, its id and why."""

    place: int
    id: str
    error: AuditorError


def settle(
    spans: Sequence[Span], book: TraceBook
) -> tuple[dict[str, tuple[Span, Call]], list[CallSpan], list[Refusal]]:
    """Which spans of an export become records: (by record id, records of earlier exports they supersede, refusals)."""
    book.note(spans)
    kept: dict[str, tuple[Span, Call]] = {}
    superseded: list[CallSpan] = []
    refusals = []
    for index, span in enumerate(spans):
        call = read_call(span)
        if call is None:
            continue
        try:
            model = _checked(call, span).name
        except RecordError as error:
            refusals.append(Refusal(index, record_id(span), error))
            continue
        captured = call.captured or bool(call.answer or call.documents)
        family = FAMILIES.get(call.operation, "text")
        seen = CallSpan(record_id(span), span.id, model, family, call.response, captured, span.start_ns, span.end_ns)
        worse = book.settle(span.trace, seen)
        if worse is None:
            continue
        for other in worse:
            if kept.pop(other.record, None) is None:
                superseded.append(other)
        kept[seen.record] = (span, call)
    return kept, superseded, refusals


def record_id(span: Span) -> str:
    """The id of a span's record."""
    return f"{span.trace}-{span.id}"


def _checked(call: Call, span: Span) -> ModelRef:
    """The model of a call whose span can be a record."""
    if not span.trace or not span.id or not 0 < span.start_ns <= span.end_ns:
        raise RecordError("bad_span", "a span has ids, a start, and an end after it", where=span.name[:80])
    return _model(call, {**span.resource, **span.attributes})


def record_of(
    span: Span,
    descriptors: Mapping[str, Descriptor],
    *,
    salt: bytes,
    seen: Seen | None = None,
    call: Call | None = None,
) -> Record | None:
    """The record of one span, yet to be held to the contract's limits; None when it is not the call of a model.

    Parameters
    ----------
    descriptors : mapping of str to Descriptor
        By modality.
    salt : bytes
        Of commitments.
    seen : Seen, optional
        Long texts that came before, of the same describers and salt; new ones are added.
    call : Call, optional
        The span as `read_call` reads it, where that was done.

    Raises
    ------
    RecordError
        A span without ids, times or a model's name.
    """
    call = call or read_call(span)
    if call is None:
        return None
    said = {**span.resource, **span.attributes}
    return Record(
        id=record_id(span),
        time=from_us(span.start_ns // 1000),
        model=_checked(call, span),
        inputs=tuple(_inputs(call, descriptors, salt, {} if seen is None else seen)),
        output=_output(call, span, descriptors),
        groups={
            key.removeprefix(_GROUP): str(value)[:2000]
            for key, value in said.items()
            if key.startswith(_GROUP) and len(key) > len(_GROUP)
        },
        subject=_subject(said, salt),
        latency_s=(span.end_ns - span.start_ns) / 1e9,
        first_token_s=_first_token(span),
    )


def _model(call: Call, said: Mapping[str, Any]) -> ModelRef:
    given = said.get("auditor.model")
    name = given if isinstance(given, str) and given else None
    asked = call.model or call.version
    if call.operation == "retrieval":
        name = f"{name or asked or said.get('service.name') or 'unnamed'}/retriever"
    name = name or asked or said.get("service.name")
    if not isinstance(name, str) or not name:
        raise RecordError("no_model", "the span names no model", fix="set the resource attribute auditor.model")
    return ModelRef(name=name[:200], version=(call.version or call.model or "")[:200])


def _inputs(call: Call, descriptors: Mapping[str, Descriptor], salt: bytes, seen: Seen) -> list[Input]:
    if call.operation == "embeddings" and call.vectors:
        payloads = [
            Payload(
                name=numbered("prompt", number),
                value=text,
                modality="text",
                embedding=vector,
                encoder=call.version or call.model,
                error=None if text is not None else "not_captured",
            )
            for number, (text, vector) in enumerate(call.vectors[:MOST_EACH], 1)
        ]
        return [_described(payload, descriptors, salt) for payload in payloads]
    payloads = [_payload(part) for part in name_parts(call.messages)[0]]
    if not call.captured and not payloads:
        payloads.append(Payload(name="prompt", modality="text", error="not_captured"))
    if call.documents or call.scores:
        text = "\n\n".join(call.documents)
        error = None if call.documents else "not_captured"
        payloads.append(Payload(name="documents", value=text or None, modality="text", scores=call.scores, error=error))
    return [
        _once(payload, descriptors, salt, seen)
        if payload.modality == "text" and payload.value is not None and len(payload.value) >= LONG
        else _described(payload, descriptors, salt)
        for payload in payloads
    ]


def _once(payload: Payload, descriptors: Mapping[str, Descriptor], salt: bytes, seen: Seen) -> Input:
    if payload.scores is not None:  # they are not the text's
        return _described(payload, descriptors, salt)
    key = payload.name, commitment(payload.value, salt)
    found = seen.get(key)
    if found is None:
        if len(seen) >= MAX_SEEN:
            seen.clear()
        found = seen[key] = _described(payload, descriptors, salt)
    return found


def _described(payload: Payload, descriptors: Mapping[str, Descriptor], salt: bytes) -> Input:
    return msgspec.convert(describe_input(payload, descriptors, salt=salt), Input, from_attributes=True)


def _payload(part: Part) -> Payload:
    value, error = payload_of(part)
    return Payload(name=part.name, value=value, modality=part.modality, error=error)


def _output(call: Call, span: Span, descriptors: Mapping[str, Descriptor]) -> Output | None:
    texts = [raw.value for raw in call.answer if raw.modality == "text" and isinstance(raw.value, str)]
    error = span.attributes.get("error.type") or _exception(span)
    if not (texts or call.tokens or call.finish or error):
        return None
    return Output(
        text=TextOutput(descriptors=describe_text("\n".join(texts), descriptors).descriptors) if texts else None,
        tokens=call.tokens or None,
        finish=None if call.finish is None else call.finish[:200],
        refused=call.refused,
        error=None if error is None else str(error)[:200],
    )


def _exception(span: Span) -> str | None:
    """The kind of what failed. Its words are left behind: they may quote what was asked."""
    for name, _, at in span.events:
        if name == "exception":
            return str(at.get("exception.type", name))
    if span.error is None:
        return None
    kind = _KIND.match(span.error)
    return kind[1] if kind else "error"


def _first_token(span: Span) -> float | None:
    given = span.attributes.get("gen_ai.response.time_to_first_chunk")
    if isinstance(given, (int, float)) and not isinstance(given, bool) and 0 <= given < 1e6:
        return float(given)
    times = [time for name, time, _ in span.events if name in _FIRST_CHUNK and span.start_ns <= time <= span.end_ns]
    return (min(times) - span.start_ns) / 1e9 if times else None


def _subject(said: Mapping[str, Any], salt: bytes) -> str | None:
    who = said.get("user.id") or said.get("enduser.id")
    return commitment(who, salt) if isinstance(who, str) and who else None
