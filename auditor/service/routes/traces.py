"""`POST /v1/traces`: OTLP/HTTP; spans that are calls of models become records, all others are left alone."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from auditor.core.errors import AuditorError, RecordError
from auditor.intake import otlp
from auditor.intake.calls import NAMES, Seen, record_of
from auditor.intake.records import JSON, encode_record
from auditor.service import documents
from auditor.service.bodies import media_type, read_body
from auditor.service.limits import MAX_LISTED, SMALL, check_export, check_marks
from auditor.service.parsing import Batch, parse_records, refused_row
from auditor.service.state import Service


def trace_routes(service: Service) -> APIRouter:
    """The route."""
    router = APIRouter()
    seen: Seen = {}  # of the describing thread
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
            records, refused = await loop.run_in_executor(service.describing, _described, body, media, service, seen)
            del body
            result = await service.write(lambda: _batch(records, refused), request.scope["principal"], len(records))
        refused = result["refused"]
        why = "; ".join(sorted({f"{row['code']}: {row['message']}" for row in refused}))[:500]
        return Response(otlp.answer(media, result["refused_count"], why), media_type=media)

    return router


def _described(body: bytes, media: str, service: Service, seen: Seen) -> tuple[bytes, list[dict[str, Any]]]:
    """The spans' records as a body of `POST /v1/records`, empty without any; and the spans that can be none."""
    descriptors, salt = service.describers()
    records = []
    refused = []
    for index, span in enumerate(otlp.read_spans(body, media, NAMES)):
        try:
            record = record_of(span, descriptors, salt=salt, seen=seen)
            if record is not None:
                records.append(encode_record(record))
        except AuditorError as error:
            refused.append(refused_row(index, f"{span.trace}-{span.id}", error))
        except UnicodeEncodeError:
            wrong = RecordError("bad_text", "a text is not valid Unicode", fix="send whole characters")
            refused.append(refused_row(index, f"{span.trace}-{span.id}", wrong))
    return b'{"records":[%b]}' % b",".join(records) if records else b"", refused


def _batch(records: bytes, refused: list[dict[str, Any]]) -> Batch:
    batch = parse_records(records, JSON) if records else Batch()
    batch.refused = (refused + batch.refused)[:MAX_LISTED]
    batch.refused_count += len(refused)
    return batch
