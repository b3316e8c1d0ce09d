"""uvicorn's connections with bounds that it does not set, so that one without a key costs little and displaces nobody.

A connection is anonymous until a request on it had a good key. Of anonymous connections there are at most `ANONYMOUS`: a
further one takes the place of the oldest, so that a client with a key always gets in to show it.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from auditor.service.refusals import HEADERS, RequestError, as_response

HEAD_S = 10.0
"""How long a request's head may take to arrive, from its first byte or from the opening of the connection."""
HEAD_BYTES = 32 << 10
HEAD_FIELDS = 100
"""Header fields of a request, trailers included."""
CONNECTIONS = 1000
ANONYMOUS = 128
PIPELINED = 8
"""Requests of a connection that may wait for the one before; the connection ends after those."""
WRITE_S = 20.0
WRITE_BYTES = 16 << 10
"""A client that takes fewer bytes of an answer in `WRITE_S` seconds, with more of it left, is cut off."""
_NOT_HTTP = RequestError(400, "bad_request", "this is not a request of HTTP/1.1", where="connection", fix="send HTTP")


class _TooMuchError(Exception):
    """Raised inside the parser: it stops there."""


def _beyond_bounds(scope: Any) -> bool:
    fields = scope["headers"]
    size = len(scope["raw_path"]) + len(scope["query_string"]) + sum(len(name) + len(value) for name, value in fields)
    return len(fields) > HEAD_FIELDS or size > HEAD_BYTES


def guarded_protocol() -> type[asyncio.Protocol]:
    """The HTTP protocol class for uvicorn: httptools where it is installed, else h11."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Base
    except ImportError:  # h11 parses one request at a time and keeps trailers apart
        from uvicorn.protocols.http.h11_impl import H11Protocol as Base  # type: ignore[assignment]

    anonymous: dict[Any, None] = {}  # connections, oldest first

    class GuardedProtocol(Base):  # type: ignore[misc, valid-type]
        """Closes what sends its head too slowly or too long, and what does not read its answers."""

        _timer: asyncio.TimerHandle | None = None
        _writing: asyncio.TimerHandle | None = None
        _head = _fields = 0
        _in_body = _full = False

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            inner = self.app

            async def app(scope: Any, receive: Any, send: Any) -> None:
                scope["connection"] = self
                if _beyond_bounds(scope):  # h11 bounds a head only while it is incomplete
                    answer = as_response(_NOT_HTTP, close=True)
                    answer.raw_headers.extend(HEADERS)
                    await answer(scope, receive, send)
                else:
                    await inner(scope, receive, send)

            self.app = app

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > CONNECTIONS:
                transport.abort()
                return
            anonymous[self] = None
            if len(anonymous) > ANONYMOUS:
                next(iter(anonymous))._give_up()
            self._arm()

        def has_key(self) -> None:
            """A request on this connection had a good key."""
            anonymous.pop(self, None)

        def data_received(self, data: bytes) -> None:
            if self._full:
                return
            before = self.cycle
            if self._waits():
                self._arm()
                self._head += len(data)
            super().data_received(data)
            if self.cycle is not before or not self._waits():
                self._disarm()
            elif self._head > HEAD_BYTES:
                self._give_up()

        def send_400_response(self, msg: str) -> None:
            """Answer what is not HTTP with the error object; after too many requests, end with the last that was taken."""
            if self._full:
                return
            body = json.dumps(_NOT_HTTP.as_json()).encode()
            lines = [b"HTTP/1.1 400 Bad Request", b"content-type: application/json", b"connection: close"]
            lines += [b"content-length: %d" % len(body), *(name + b": " + value for name, value in HEADERS)]
            self.transport.write(b"\r\n".join([*lines, b"", body]))
            self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            anonymous.pop(self, None)
            self._disarm()
            self._stop_writing()
            super().connection_lost(exc)
            self.app = None  # it refers to this connection

        # -- heads: called by the parser of httptools ------------------------------------------------------------------

        def on_message_begin(self) -> None:
            if len(getattr(self, "pipeline", ())) >= PIPELINED:
                self._full = True
                self.pipeline[0][0].keep_alive = False
                raise _TooMuchError
            self._in_body = False
            self._fields = 0
            super().on_message_begin()

        def on_url(self, url: bytes) -> None:
            super().on_url(url)
            if len(self.url) > HEAD_BYTES:
                raise _TooMuchError

        def on_header(self, name: bytes, value: bytes) -> None:
            self._fields += 1
            if self._fields > HEAD_FIELDS or len(name) + len(value) > HEAD_BYTES:
                raise _TooMuchError
            if not self._in_body:  # a trailer is no header: the request is under way without it
                super().on_header(name, value)

        def on_headers_complete(self) -> None:
            self._in_body = True
            super().on_headers_complete()

        # -- answers that are not read -----------------------------------------------------------------------------------

        def pause_writing(self) -> None:
            super().pause_writing()
            self._watch_writing()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch_writing()

        def _watch_writing(self) -> None:
            left = self.transport.get_write_buffer_size()
            if left and self._writing is None:
                self._writing = self.loop.call_later(WRITE_S, self._check_writing, left)

        def _check_writing(self, before: int) -> None:
            self._writing = None
            left = self.transport.get_write_buffer_size()
            if left and before - left < WRITE_BYTES:
                self.transport.abort()
            else:
                self._watch_writing()

        def _stop_writing(self) -> None:
            if self._writing is not None:
                self._writing.cancel()
                self._writing = None

        # -- heads that are slow -----------------------------------------------------------------------------------------

        def _waits(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _arm(self) -> None:
            if self._timer is None:
                self._timer = self.loop.call_later(HEAD_S, self._give_up)

        def _disarm(self) -> None:
            self._head = 0
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _give_up(self) -> None:
            self._disarm()
            anonymous.pop(self, None)
            self.transport.abort()

    return GuardedProtocol
