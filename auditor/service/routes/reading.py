"""The GET routes: pages of measurements, verdicts and alerts, models, Prometheus text."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from auditor.core.errors import AuditorError, StoreError
from auditor.core.window import format_time, from_us, parse_time, to_us
from auditor.service import documents
from auditor.service.access import Principal
from auditor.service.refusals import RequestError
from auditor.service.settle import wrong_model
from auditor.service.state import Service
from auditor.sinks.prometheus import CONTENT_TYPE, render
from auditor.store.queries import Place, SqlQueries

_TIME = "RFC 3339 with an offset, or a date"


class Models(BaseModel):
    """A page of a list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=1000, description="Items a page")
    after: str | None = Field(None, max_length=2000, description="`next` of the page before")


class _Windows(Models):
    """A page of what was found window by window."""

    model: str | None = Field(
        None, min_length=1, max_length=200, description="One model; all the key is for, when absent"
    )
    since: str | None = Field(None, max_length=40, description=f"Windows that begin at or after; {_TIME}")
    until: str | None = Field(None, max_length=40, description=f"Windows that end at or before; {_TIME}")


class Measurements(_Windows):
    metric: str | None = Field(None, min_length=1, max_length=200, description="A name, or a prefix that ends in `.`")


class Verdicts(_Windows):
    control: str | None = Field(None, min_length=1, max_length=200, description="A control's name")


class Alerts(_Windows):
    state: str | None = Field(None, pattern="^(open|resolved)$", description="open or resolved")


def reading_routes(service: Service) -> APIRouter:
    """All of them."""
    router = APIRouter()

    async def page(kind: str, question: _Windows, name: str | None, request: Request) -> JSONResponse:
        since, until = _time(question.since, "since"), _time(question.until, "until")
        place = _place(question.after)
        principal: Principal = request.scope["principal"]
        if question.model is not None and not principal.sees(question.model):
            raise wrong_model(question.model)

        def ask(reading: SqlQueries) -> list[Any]:
            models = [question.model] if question.model is not None else _visible(reading, principal)
            return reading.page(
                kind, models, since=since, until=until, name=name, limit=question.limit + 1, after=place
            )

        found = await _ask(service, ask, [])
        return _answer(kind, found, question.limit, lambda item: item.as_json(), partial(_place_of, kind))

    @router.get(
        "/v1/measurements",
        summary="Figures, or why there are none",
        responses=_answers("measurements"),
    )
    async def measurements(request: Request, question: Annotated[Measurements, Query()]) -> JSONResponse:
        return await page("measurements", question, question.metric, request)

    @router.get(
        "/v1/verdicts",
        summary="The result of each control for each window",
        responses=_answers("verdicts"),
    )
    async def verdicts(request: Request, question: Annotated[Verdicts, Query()]) -> JSONResponse:
        return await page("verdicts", question, question.control, request)

    @router.get(
        "/v1/alerts",
        summary="Alerts, by when they opened",
        responses=_answers("alerts"),
    )
    async def alerts(request: Request, question: Annotated[Alerts, Query()]) -> JSONResponse:
        return await page("alerts", question, question.state, request)

    @router.get(
        "/v1/models",
        summary="Models that have records",
        responses=_answers("models"),
    )
    async def models(request: Request, question: Annotated[Models, Query()]) -> JSONResponse:
        place = _place(question.after)
        principal: Principal = request.scope["principal"]
        found = [
            summary
            for summary in await _ask(service, lambda reading: reading.models(), [])
            if principal.sees(summary.name) and (place is None or summary.name > place[0])
        ]
        return _answer("models", found, question.limit, _model, lambda item: (item.name, item.first, ""))

    @router.get(
        "/metrics",
        summary="The newest figures as Prometheus text",
        response_class=PlainTextResponse,
        responses=documents.answers(None, *documents.READ, media="text/plain"),
    )
    async def metrics(request: Request) -> Response:
        principal: Principal = request.scope["principal"]

        def ask(reading: SqlQueries) -> list[Any]:
            names = _visible(reading, principal)
            return [figure for name in names for figure in reading.newest_measurements(name)]

        try:
            text = render(await _ask(service, ask, []))
        except StoreError:  # the service's own figures say that the store is away
            text = ""
        return Response(text + service.counters.render(), media_type=CONTENT_TYPE)

    return router


def _answers(kind: str) -> dict[int | str, dict[str, Any]]:
    return documents.answers(documents.page(kind), *documents.READ)


def _answer(
    kind: str, found: Sequence[Any], limit: int, plain: Callable[[Any], Any], place: Callable[[Any], Place]
) -> JSONResponse:
    """The first `limit` of what was found, and where the page after them begins, when there is more."""
    items = found[:limit]
    following = _encode(place(items[-1])) if len(found) > limit else None
    return JSONResponse({"schema": f"auditor.{kind}/1", "items": [plain(item) for item in items], "next": following})


async def _ask(service: Service, ask: Any, nothing: Any) -> Any:
    try:
        return await service.read(ask)
    except StoreError as error:
        if error.code == "no_store":
            return nothing
        raise


def _visible(reading: SqlQueries, principal: Principal) -> list[str]:
    if principal.models is not None:
        return sorted(principal.models)
    return [summary.name for summary in reading.models()]


def _model(summary: Any) -> dict[str, Any]:
    return {
        "name": summary.name,
        "versions": list(summary.versions),
        "first": format_time(summary.first),
        "last": format_time(summary.last),
        "records": summary.records,
    }


def _time(text: str | None, where: str) -> datetime | None:
    try:
        return None if text is None else parse_time(text)
    except AuditorError as error:
        raise RequestError(400, error.code, error.message, where=where, fix=error.fix) from error
    except OverflowError as error:
        raise RequestError(400, "bad_time", f"{text!r} is not a time", where=where) from error


def _place_of(kind: str, item: Any) -> Place:
    return item.model, item.opened if kind == "alerts" else item.start, item.id


def _encode(place: Place) -> str:
    model, time, identifier = place
    return base64.urlsafe_b64encode(json.dumps([model, to_us(time), identifier]).encode()).decode()


def _place(text: str | None) -> Place | None:
    if text is None:
        return None
    try:
        model, time, identifier = json.loads(base64.b64decode(text, altchars=b"-_", validate=True))
        if not (isinstance(model, str) and type(time) is int and isinstance(identifier, str)):
            raise ValueError(text)
        return model, from_us(time), identifier
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise RequestError(
            400, "bad_cursor", "this is not the `next` of a page", where="after", fix="begin without `after`"
        ) from error
