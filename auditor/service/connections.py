"""uvicorn's connections with bounds that it does not set: time and size of a request's head, and how many there are."""

from __future__ import annotations

import asyncio
from typing import Any

HEAD_S = 10.0
"""How long a request's head may take to arrive, from its first byte or from the opening of the connection."""
HEAD_BYTES = 32 << 10
CONNECTIONS = 1000


def guarded_protocol() -> type[asyncio.Protocol]:
    """The HTTP protocol class for uvicorn: httptools where it is installed, else h11."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Base
    except ImportError:
        from uvicorn.protocols.http.h11_impl import H11Protocol as Base  # type: ignore[assignment]

    class GuardedProtocol(Base):  # type: ignore[misc, valid-type]
        """Closes what sends its head too slowly or too long: such clients only occupy a place."""

        _timer: asyncio.TimerHandle | None = None
        _head = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > CONNECTIONS:
                transport.abort()
                return
            self._arm()

        def data_received(self, data: bytes) -> None:
            before = self.cycle
            if self._waits():
                self._arm()
                self._head += len(data)
            super().data_received(data)
            if self.cycle is not before or not self._waits():
                self._disarm()
            elif self._head > HEAD_BYTES:
                self._give_up()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

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
            if not self.transport.is_closing():
                self.transport.abort()

    return GuardedProtocol
