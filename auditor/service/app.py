"""The application: routes behind the guard, errors as the contract's object, and an OpenAPI document that says all of it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auditor import __version__
from auditor.core.errors import AuditorError
from auditor.service import documents
from auditor.service.access import ROUTES, Permission
from auditor.service.guard import Guard
from auditor.service.hosts import Hosts
from auditor.service.refusals import FAULT, RequestError, as_refusal, as_response
from auditor.service.routes.commands import command_routes
from auditor.service.routes.open import open_routes
from auditor.service.routes.reading import reading_routes
from auditor.service.routes.traces import trace_routes
from auditor.service.routes.writing import writing_routes
from auditor.service.state import Service


def make_app(service: Service, host: str) -> ASGIApp:
    """The whole service as one ASGI application that listens on `host`."""
    hosts = Hosts([host, *service.settings.service.hosts])
    return _Counted(Guard(routes(service), service.ring, hosts), service)


def routes(service: Service) -> FastAPI:
    """The application behind the guard; it trusts that the guard has let a request in."""
    app = FastAPI(
        title="auditor",
        version=__version__,
        docs_url=None,  # both pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    for router in (
        writing_routes(service),
        trace_routes(service),
        command_routes(service),
        reading_routes(service),
        open_routes(service),
    ):
        app.include_router(router)
    app.add_exception_handler(AuditorError, _ours)
    app.add_exception_handler(RequestValidationError, _bad_question)
    app.add_exception_handler(HTTPException, _not_here)
    app.add_exception_handler(Exception, _fault)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, AuditorError)
    return as_response(as_refusal(error))


async def _bad_question(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return as_response(RequestError(400, "bad_query", str(first["msg"]), where=where[:200], fix="see /openapi.json"))


async def _not_here(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return as_response(RequestError(error.status_code, "no_route", str(error.detail), where="path"))


async def _fault(request: Request, error: Exception) -> Response:
    return as_response(FAULT)


class _Counted:
    """Counts answers by status."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._counters = service.counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._counters.request(message["status"])
            await send(message)

        await self._app(scope, receive, counted)


def _document(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document with the record's schema, the keys, and no status that is never sent."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        parts = document.setdefault("components", {})
        parts["schemas"] = documents.components()[1]
        parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}]
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                operation["responses"].pop("422", None)
                needed = ROUTES[path][method.upper()]
                if needed is not Permission.OPEN:
                    operation["description"] = f"Needs a key with the permission `{needed}`."
        app.openapi_schema = document
    return app.openapi_schema
