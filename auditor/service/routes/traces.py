"""`POST /v1/traces`: OTLP/HTTP; spans that are calls of models become records, all others are left alone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request, Response

from auditor.core.errors import AuditorError, RecordError
from auditor.core.identity import canonical_json
from auditor.core.window import Span
from auditor.intake import otlp
from auditor.intake.calls import NAMES, Seen, record_of, settle
from auditor.intake.records import JSON, encode_record
from auditor.intake.traces import CallSpan, TraceBook
from auditor.service import documents
from auditor.service.access import Principal
from auditor.service.bodies import media_type, read_body
from auditor.service.limits import MAX_LISTED, SMALL, check_export, check_marks
from auditor.service.parsing import Batch, parse_records, refused_row
from auditor.service.state import Service


def trace_routes(service: Service) -> APIRouter:
    """The route."""
    router = APIRouter()
    memory = Memory()
    anything = {"type": "object", "description": "ExportTraceServiceRequest of the OTLP specification"}
    binary = {"type": "string", "format": "binary"}
    done = documents.answers({"type": "object"}, *documents.WRITE)
    done[200]["content"][otlp.PROTOBUF] = {"schema": binary}

    @router.post(
        "/v1/traces",
        summary="Take in OTLP spans of GenAI and OpenInference instrumentations as records",
        responses=done,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {otlp.JSON: {"schema": anything}, otlp.PROTOBUF: {"schema": binary}},
            }
        },
    )
    async def traces(request: Request) -> Response:
        media = media_type(request, (otlp.PROTOBUF, otlp.JSON))
        with service.held.share() as share:
            body = await read_body(request, share, service.settings.service.body_bytes)
            if media == otlp.PROTOBUF:
                check_export(body)
            elif len(body) > SMALL:
                check_marks(body)
            loop = asyncio.get_running_loop()
            # Describing pictures takes a while: it has a thread of its own, and the event loop goes on.
            principal = request.scope["principal"]
            waiting = [body]
            del body  # the spans hold what they need of it
            found = await loop.run_in_executor(
                service.describing, _described, waiting, media, service, memory, principal
            )
            result = await service.write(
                lambda: _batch(found, principal, service.times()), principal, len(found.records)
            )
        refused = result["refused"]
        why = "; ".join(sorted({f"{row['code']}: {row['message']}" for row in refused}))[:500]
        return Response(otlp.answer(media, result["refused_count"], why), media_type=media)

    return router


@dataclass(frozen=True, slots=True)
class Memory:
    """What the describing thread remembers between two exports: long texts, and the calls of recent traces by key."""

    seen: Seen = field(default_factory=dict)
    books: dict[str, TraceBook] = field(default_factory=dict)


@dataclass(slots=True)
class Export:
    """The records of an export as a body of `POST /v1/records`, empty without any; refused spans; superseded records."""

    records: bytes = b""
    refused: list[dict[str, Any]] = field(default_factory=list)
    superseded: list[CallSpan] = field(default_factory=list)


def _described(waiting: list[bytes], media: str, service: Service, memory: Memory, principal: Principal) -> Export:
    descriptors, salt = service.describers()
    # A book for each key: no client can have another one's spans taken for its own.
    book = memory.books.setdefault(principal.id, TraceBook())
    kept, superseded, refusals = settle(otlp.read_spans(waiting.pop(), media, NAMES), book)
    export = Export(superseded=superseded, refused=[refused_row(*refusal) for refusal in refusals])
    records = []
    for place, (identifier, (span, call)) in enumerate(kept.items()):
        try:
            record = record_of(span, descriptors, salt=salt, seen=memory.seen, call=call)
            if record is not None:
                records.append(encode_record(record))
        except AuditorError as error:
            export.refused.append(refused_row(place, identifier, error))
        except UnicodeEncodeError:
            wrong = RecordError("bad_text", "a text is not valid Unicode", fix="send whole characters")
            export.refused.append(refused_row(place, identifier, wrong))
    export.records = b'{"records":[%b]}' % b",".join(records) if records else b""
    return export


def _batch(export: Export, principal: Principal, times: Span) -> Batch:
    batch = parse_records(export.records, JSON, times) if export.records else Batch()
    batch.refused = (export.refused + batch.refused)[:MAX_LISTED]
    batch.refused_count += len(export.refused)
    batch.frames += [
        ("withdrawal", canonical_json({"model": call.model, "id": call.record}))
        for call in export.superseded
        if principal.sees(call.model)
    ]
    return batch
