"""The gate in front of every route: host, key and permission first, then the route. What no table names stays shut."""

from __future__ import annotations

import asyncio
import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auditor.core.errors import AuditorError
from auditor.service.access import ROUTES, Permission, Principal
from auditor.service.hosts import Hosts
from auditor.service.keyring import AGAIN_S, KeyRing
from auditor.service.refusals import FAULT, HEADERS, RequestError, as_refusal, as_response

_log = logging.getLogger("auditor")
_MAX_TOKEN = 256


class Guard:
    """ASGI middleware around the whole application.

    A request whose path, method, key or role is not in the tables never reaches a route. The order of the answers gives
    nothing away: without a good key everything but the open routes is 401, whether it exists or not.
    """

    def __init__(self, app: ASGIApp, ring: KeyRing, hosts: Hosts) -> None:
        self._app = app
        self._ring = ring
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        try:
            self._hosts.check(scope)
            scope["principal"] = await self._admit(scope)
            await self._app(scope, receive, guarded)
        except AuditorError as error:
            await as_response(as_refusal(error), close=scope["method"] == "POST")(scope, receive, guarded)
        except Exception:  # the application has answered by now
            _log.exception("auditor: %s %s failed", scope["method"], scope["path"])
            if not started:
                await as_response(FAULT, close=True)(scope, receive, guarded)

    async def _admit(self, scope: Scope) -> Principal | None:
        methods = ROUTES.get(scope["path"], {})
        needed = methods.get(scope["method"])
        if needed is Permission.OPEN:
            return None
        token = _token(scope)
        principal = self._ring.find(token)
        if principal is None and await self._second_look(token):
            principal = self._ring.find(token)
        if principal is None:
            raise RequestError(
                401, "no_key", "no good key", where="Authorization", fix="send `Authorization: Bearer KEY`"
            )
        if "connection" in scope:
            scope["connection"].has_key()
        if not methods:
            raise RequestError(404, "no_route", f"there is no {scope['path'][:200]!r}", where="path")
        if needed is None:
            allowed = ", ".join(sorted(methods))
            raise RequestError(
                405, "bad_method", f"{scope['method']} is not for this route", fix=allowed, allow=allowed
            )
        if not principal.may(needed):
            raise RequestError(
                403,
                "wrong_role",
                f"a key of role {principal.role!r} may not do this",
                where=scope["path"],
                fix="use a key of another role",
            )
        return principal

    async def _second_look(self, token: str) -> bool:
        """Read the keys again for one that may have been made a moment ago; at most a few times a second."""
        if not self._ring.may_be_new(token):
            return False
        arrived = time.monotonic()
        await asyncio.sleep(max(0.0, self._ring.read_at + AGAIN_S - arrived))
        if self._ring.read_at <= arrived:
            await asyncio.to_thread(self._ring.refresh)
        return True


def _token(scope: Scope) -> str:
    found = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(found) != 1 or len(found[0]) > _MAX_TOKEN:
        return ""
    scheme, _, token = found[0].decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
