"""`POST /v1/commands`: what a person says, durable in the journal before the answer; the writer applies it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from auditor.bootstrap import known_to_people, policies_in_force
from auditor.core.command import Command
from auditor.core.errors import AuditorError, ConfigurationError, PolicyError
from auditor.core.identity import uuid7
from auditor.core.window import Span, format_time, parse_time, to_us
from auditor.intake.commands import append_commands
from auditor.intake.records import JSON, MSGPACK, decode
from auditor.policy.loader import PolicySet
from auditor.policy.schema import Person
from auditor.policy.statements import KINDS, Known, stated
from auditor.service import documents
from auditor.service.access import Principal
from auditor.service.bodies import media_type, read_body
from auditor.service.refusals import RequestError
from auditor.service.settle import wrong_model
from auditor.service.state import Service
from auditor.settings import Home
from auditor.store.keys import create, revoke

_MAX = 256 << 10
_MOST = 100


def command_routes(service: Service) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.post(
        "/v1/commands",
        summary="What only a person can state: pin a baseline, sign, waive, acknowledge, review, make or revoke a key",
        responses=documents.answers(documents.COMMAND_ANSWER, *documents.WRITE),
        openapi_extra={
            "requestBody": {"required": True, "content": documents.content(documents.COMMAND, JSON, MSGPACK)}
        },
    )
    async def commands(request: Request) -> JSONResponse:
        media = media_type(request, (JSON, MSGPACK))
        with service.held.share() as share:
            data = decode(await read_body(request, share, _MAX), media)
        principal = request.scope["principal"]
        several = (
            isinstance(data, dict) and set(data) - {"schema"} == {"commands"} and isinstance(data["commands"], list)
        )
        items = data["commands"] if several else [data]
        if not 0 < len(items) <= _MOST:
            raise _bad(f"1 to {_MOST} commands at a time", "commands")
        # All are checked before the first is kept, and kept in one piece: a batch is recorded whole or not at all.
        checked = await asyncio.to_thread(_commands, items, principal, service)
        try:
            await asyncio.to_thread(append_commands, Home(service.settings.root), [command for command, _ in checked])
        except AuditorError as error:
            raise RequestError(
                503, "not_durable", "it could not be made durable", fix="send again", retry_after=5
            ) from error
        answers = []
        for command, more in checked:
            service.ring.note(command)
            said = {"id": command.id, "kind": command.kind, "by": command.by, "at": format_time(command.at)}
            answers.append({"schema": "auditor.command/1", **said, **more})
        return JSONResponse({"schema": "auditor.commands/1", "commands": answers} if several else answers[0])

    return router


def _commands(items: Sequence[Any], principal: Principal, service: Service) -> list[tuple[Command, dict[str, Any]]]:
    against = cache(lambda: (policies_in_force(service.settings), known_to_people(service.settings)))
    return [_command(item, principal, service, against) for item in items]


def _command(
    data: Any, principal: Principal, service: Service, against: Callable[[], tuple[PolicySet, Known]]
) -> tuple[Command, dict[str, Any]]:
    """The command that a body states, with the key's id beside who says so; and what only its sender may see.

    Parameters
    ----------
    against : callable
        Gives what a statement is checked against.
    """
    if not isinstance(data, dict) or not isinstance(data.get("payload"), dict):
        raise _bad("a command is an object with `kind` and `payload`", "body")
    unknown = sorted(map(str, set(data) - {"schema", "kind", "by", "payload"}))
    if unknown:
        raise _bad(f"unknown key {unknown[0][:80]!r}", "body")
    by = data.get("by")
    if by is not None and not (isinstance(by, str) and 0 < len(by) <= 200):
        raise _bad("`by` is a name of 1 to 200 characters", "by")
    person = Person(name=by or f"key {principal.id}", role=principal.role)
    by = f"{by} (key {principal.id})" if by else f"key {principal.id}"
    at = datetime.now(UTC)
    payload = data["payload"]
    kind = data.get("kind")
    if kind == "baseline.pin":
        return _pin(payload, principal, by, at), {}
    if kind in KINDS:
        if not principal.sees(str(payload.get("model"))):
            raise wrong_model(str(payload.get("model")))
        policies, known = against()
        try:
            command = stated(str(kind), payload, by=person, at=at, policies=policies, known=known)
        except (ConfigurationError, PolicyError) as error:
            raise RequestError(400, error.code, error.message, where=error.where, fix=error.fix) from error
        return replace(command, by=by), {}
    if kind in ("key.create", "key.revoke"):
        if principal.role != "admin":
            raise RequestError(403, "wrong_role", "keys are an admin's affair", where="kind", fix="use an admin's key")
        if principal.models is not None:
            raise RequestError(
                403, "wrong_model", "this key is not for all models", where="kind", fix="use another key"
            )
        return _key(kind, payload, by, at, service)
    raise _bad(f"{str(kind)[:80]!r} is no kind of command", "kind")


def _pin(payload: dict[str, Any], principal: Principal, by: str, at: datetime) -> Command:
    model, since, until = (payload.get(name) for name in ("model", "since", "until"))
    if set(payload) != {"model", "since", "until"} or not all(isinstance(part, str) for part in (model, since, until)):
        raise _bad("a pin has `model`, `since` and `until`", "payload")
    if not principal.sees(str(model)):
        raise wrong_model(str(model))
    span = Span(parse_time(str(since)), parse_time(str(until)))
    said = {"model": model, "since": format_time(span.start), "until": format_time(span.end)}
    return Command(id=uuid7(to_us(at) // 1000), kind="baseline.pin", by=by, at=at, payload=said)


def _key(kind: str, payload: dict[str, Any], by: str, at: datetime, service: Service) -> tuple[Command, dict[str, Any]]:
    if kind == "key.create":
        if set(payload) - {"role", "models"}:
            raise _bad("a key has `role` and `models`", "payload")
        models = payload.get("models")
        if models is not None and not isinstance(models, list):
            raise _bad("`models` is a list of names", "payload.models")
        command, key = create(str(payload.get("role")), models, by=by, at=at)
        return command, {"key": {"id": command.payload["id"], "key": key}}
    identifier = payload.get("id")
    if set(payload) != {"id"} or identifier not in {key.id for key in service.ring.all_keys()}:
        raise RequestError(400, "unknown_key", "no key has this id", where="payload.id", fix="`auditor key list`")
    return revoke(str(identifier), by=by, at=at), {}


def _bad(message: str, where: str) -> RequestError:
    return RequestError(400, "bad_command", message, where=where, fix="see `POST /v1/commands` in /openapi.json")
