"""`POST /v1/records`, `/v1/labels`: rows go to disk, then the answer goes out."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import msgspec
from fastapi import APIRouter, Request, Response

from auditor.intake.records import JSON, MSGPACK
from auditor.service import documents
from auditor.service.bodies import media_type, read_body
from auditor.service.parsing import parse_labels, parse_records
from auditor.service.state import Service

_encode = msgspec.json.Encoder().encode


def writing_routes(service: Service) -> APIRouter:
    """Both routes."""
    router = APIRouter()
    record, _ = documents.components()
    limit = service.settings.service.body_bytes

    body = documents.batch_of("records", record)
    body["properties"] |= {
        name: {"type": "array", "items": {"type": "object"}, "description": what}
        for name, what in (
            ("energy", "Energy readings, as agents send them."),
            ("tallies", "Capture tallies of agents."),
        )
    }

    @router.post(
        "/v1/records",
        summary="Take in records; the answer comes after fsync",
        responses=documents.answers(documents.BATCH, *documents.WRITE),
        openapi_extra={"requestBody": {"required": True, "content": documents.content(body, JSON, MSGPACK)}},
    )
    async def records(request: Request) -> Response:
        media = media_type(request, (JSON, MSGPACK))
        with service.held.share() as share:
            data = await read_body(request, share, limit)
            done = await service.write(
                partial(parse_records, data, media, service.times()), request.scope["principal"], len(data)
            )
        return Response(_encode({"schema": "auditor.batch/1", **done}), media_type=JSON)

    @router.post(
        "/v1/labels",
        summary="Take in ground truth for records, whenever it arrives",
        responses=documents.answers(documents.BATCH, *documents.WRITE),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": documents.content(documents.batch_of("labels", documents.LABEL), JSON, MSGPACK),
            }
        },
    )
    async def labels(request: Request) -> Response:
        media = media_type(request, (JSON, MSGPACK))
        with service.held.share() as share:
            data = await read_body(request, share, limit)
            parse = partial(parse_labels, data, media, datetime.now(UTC), service.times())
            done = await service.write(parse, request.scope["principal"], len(data))
        return Response(_encode({"schema": "auditor.batch/1", **done}), media_type=JSON)

    return router
