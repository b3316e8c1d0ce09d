"""`POST /v1/traces`: OTLP/HTTP; spans that are calls of models become records, all others are left alone."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from auditor.core.errors import AuditorError
from auditor.intake import otlp
from auditor.intake.calls import record_of
from auditor.intake.records import encode_record, to_wire
from auditor.service import documents
from auditor.service.bodies import media_type, read_body
from auditor.service.parsing import Batch
from auditor.service.state import Service


def trace_routes(service: Service) -> APIRouter:
    """The route."""
    router = APIRouter()
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
            loop = asyncio.get_running_loop()
            # Describing pictures takes a while: it has a thread of its own, and the event loop goes on.
            batch = await loop.run_in_executor(service.describing, _described, body, media, service)
            result = await service.write(lambda: batch, request.scope["principal"], len(body))
        refused = result["refused"]
        why = "; ".join(sorted({f"{row['code']}: {row['message']}" for row in refused}))[:500]
        return Response(otlp.answer(media, len(refused), why), media_type=media)

    return router


def _described(body: bytes, media: str, service: Service) -> Batch:
    batch = Batch()
    descriptors, salt = service.describers()
    for index, span in enumerate(otlp.read_spans(body, media)):
        try:
            record = record_of(span, descriptors, salt=salt)
            if record is not None:
                row = to_wire(record)
                batch.rows.append((index, row, ("record", encode_record(row))))
        except AuditorError as error:
            batch.refuse(index, f"{span.trace}-{span.id}", error)
    batch.models = {row.model.name for _, row, _ in batch.rows}
    return batch
