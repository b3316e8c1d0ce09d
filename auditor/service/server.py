"""Running it: what is opened in which order, how a signal ends it, and what must be closed before the process goes."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

import uvicorn

from auditor.core.errors import ConfigurationError
from auditor.service.app import make_app
from auditor.service.committer import Committer
from auditor.service.connections import guarded_protocol
from auditor.service.counters import Counters
from auditor.service.hosts import is_loopback
from auditor.service.keyring import REFRESH_S, KeyRing
from auditor.service.scheduler import Scheduler
from auditor.service.state import Service
from auditor.settings import Home, Settings

GRACE_S = 8
"""How long requests in flight may take after a signal; with the two below it stays under the 30 s of the contract."""
JOURNAL_S = 8.0
SCHEDULER_S = 10.0
_log = logging.getLogger("auditor")


def serve(settings: Settings, host: str, port: int, ready: Callable[[str], None]) -> int:
    """Serve until SIGTERM or SIGINT; 0.

    Parameters
    ----------
    ready : callable
        Called with the URL once requests are answered.

    Raises
    ------
    ConfigurationError
        `writer_busy`, `no_keys` (an address beyond this machine needs keys first), `cannot_listen`.
    """
    ring = KeyRing(settings)
    counters = Counters()
    committer = Committer(Home(settings.root), settings.store_url, counters, settings.service.journal_bytes)
    scheduler = Scheduler(settings, committer, counters)
    scheduler.open()
    ring.refresh()
    if not is_loopback(host) and not ring.good():
        raise ConfigurationError(
            "no_keys",
            f"{host} can be reached from other machines, and there is no key yet",
            where="--host",
            fix="run `auditor key create --role ingest` first, or listen on 127.0.0.1",
        )
    listener = _listen(host, port)
    sys.setswitchinterval(0.001)  # a drain must not keep requests waiting for five milliseconds at a time
    service = Service(settings, ring, committer, counters)
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(ring, stop), name="auditor-keys", daemon=True)
    committer.start()
    scheduler.start()
    watcher.start()
    shown = f"[{host}]" if ":" in host else host
    server = _Server(_config(service, host), lambda: ready(f"http://{shown}:{listener.getsockname()[1]}"))
    try:
        server.run(sockets=[listener])
    finally:
        stop.set()
        service.close()
        # First what was acknowledged is sealed; the scheduler's last drain then takes it in, if there is time.
        committer.close(JOURNAL_S)
        ended = scheduler.stop(SCHEDULER_S)
        ring.close()
        listener.close()
    if not ended:
        _log.warning("auditor: the scheduler is in the middle of something; it is repeated at the next start")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


class _Server(uvicorn.Server):
    """uvicorn's server that says when it is ready, and ends with 0 on a signal."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:  # type: ignore[override]
        """As the original, without raising the signal again afterwards: there is something to close first."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _config(service: Service, host: str) -> uvicorn.Config:
    return uvicorn.Config(
        make_app(service, host),
        http=guarded_protocol(),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # a client must not fill the log with what it sends
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody asks where a request came from: keys say who sent it
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE_S,
        backlog=512,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise ConfigurationError(
            "cannot_listen", f"{host}:{port}: {error}", where="--port", fix="name another port, or end what has it"
        ) from error
    listener.set_inheritable(False)
    return listener


def _watch(ring: KeyRing, stop: threading.Event) -> None:
    while not stop.wait(REFRESH_S):
        try:
            ring.refresh()
        except Exception:
            _log.exception("auditor: the keys could not be read; those known still hold")
