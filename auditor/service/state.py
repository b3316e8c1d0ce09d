"""What the routes share: one object per running service."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar

from auditor.core.errors import AuditorError, StoreError
from auditor.core.private import make_folder
from auditor.core.window import Span
from auditor.ports import Descriptor
from auditor.service.access import Principal
from auditor.service.bodies import Held
from auditor.service.committer import Committer, Job
from auditor.service.counters import Counters
from auditor.service.keyring import KeyRing
from auditor.service.parsing import Batch
from auditor.settings import Settings
from auditor.store.queries import SqlQueries, open_queries

T = TypeVar("T")


class Service:
    """Settings, keys, journal and the store's reading side.

    Parameters
    ----------
    settings : Settings
    ring : KeyRing
    committer : Committer
    counters : Counters
    """

    def __init__(self, settings: Settings, ring: KeyRing, committer: Committer, counters: Counters) -> None:
        self.settings = settings
        self.ring = ring
        self.committer = committer
        self.counters = counters
        self.held = Held()
        self.describing = ThreadPoolExecutor(1, "auditor-describe")
        self._readers = ThreadPoolExecutor(2, "auditor-read")
        self._reading: SqlQueries | None = None
        self._mutex = threading.Lock()
        self._described: tuple[dict[str, Descriptor], bytes] | None = None

    async def write(self, parse: Callable[[], Batch], principal: Principal, size: int) -> dict[str, Any]:
        """Settle and write what a body holds; the answer, once it is on disk."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[dict[str, Any]] = loop.create_future()

        def tell(result: dict[str, Any] | AuditorError) -> None:
            if future.done():  # the client went away; what it sent is on disk all the same
                return
            if isinstance(result, AuditorError):
                future.set_exception(result)
            else:
                future.set_result(result)

        def done(result: dict[str, Any] | AuditorError) -> None:
            loop.call_soon_threadsafe(tell, result)

        self.committer.submit(Job(parse, principal, size, done))
        return await future

    def times(self) -> Span:
        """The times that are taken in now."""
        return self.settings.intake.bounds(datetime.now(UTC))

    async def read(self, ask: Callable[[SqlQueries], T]) -> T:
        """Ask the store in a thread of its own; StoreError when it cannot be asked."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._ask, ask)

    def describers(self) -> tuple[dict[str, Descriptor], bytes]:
        """Descriptor plugins by modality, and the salt of commitments; loaded when first needed, in the describing thread."""
        if self._described is None:
            from auditor.agent.destination import shared_salt
            from auditor.bootstrap import descriptors
            from auditor.settings import Home

            spool = Home(self.settings.root).spool
            make_folder(spool)
            self._described = descriptors(), shared_salt(spool / ".salt")
        return self._described

    def close(self) -> None:
        self.describing.shutdown(wait=False, cancel_futures=True)
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._drop()

    def _ask(self, ask: Callable[[SqlQueries], T]) -> T:
        with self._mutex:
            if self._reading is None:
                self._reading = open_queries(self.settings.store_url)
            reading = self._reading
        try:
            return ask(reading)
        except StoreError:
            self._drop()
            raise

    def _drop(self) -> None:
        with self._mutex:
            reading, self._reading = self._reading, None
        if reading is not None:
            reading.close()
