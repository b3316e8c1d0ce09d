"""The two routes that need no key; they tell a load balancer what it must know, and nothing more."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from auditor import __version__
from auditor.service import documents
from auditor.service.state import Service


def open_routes(service: Service) -> APIRouter:
    """Both."""
    router = APIRouter()

    @router.get(
        "/healthz",
        summary="Whether it runs",
        responses=documents.answers(documents.HEALTH),
        openapi_extra={"security": []},
    )
    async def health() -> JSONResponse:
        store = "up" if service.counters.store_up else "away"
        return JSONResponse({"schema": "auditor.health/1", "status": "ok", "store": store})

    @router.get(
        "/version",
        summary="Which version runs",
        responses=documents.answers(documents.VERSION),
        openapi_extra={"security": []},
    )
    async def version() -> JSONResponse:
        return JSONResponse({"schema": "auditor.version/1", "version": __version__})

    return router
