"""What one connection may cost: pipelined requests, trailers, unread answers, foreign hosts, and many without a key."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import service_fixtures

from auditor.core.errors import AuditorError
from auditor.service import connections
from auditor.service.access import ROUTES
from auditor.service.hosts import Hosts

FEED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module", params=["httptools", "h11"])
def served(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A service with either parser of HTTP: without httptools, uvicorn falls back to h11."""
    environment = {}
    if request.param == "h11":
        folder = tmp_path_factory.mktemp("without-httptools")
        (folder / "httptools.py").write_text("raise ImportError('not installed')", encoding="utf-8")
        environment["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    running = service_fixtures.make(tmp_path_factory.mktemp(request.param) / "home", environment=environment)
    running.parser = request.param
    running.key("admin")
    running.start()
    yield running
    running.stop()


def memory_kb(served: Any, what: str = "VmRSS") -> int:
    lines = Path(f"/proc/{served.process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))


def connect(served: Any) -> socket.socket:
    host, port = served.url.removeprefix("http://").split(":")
    made = socket.create_connection((host, int(port)))
    made.settimeout(10)
    return made


def read_all(made: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionResetError, TimeoutError):
        while part := made.recv(1 << 16):
            found += part
    return found


def test_pipelined_requests_are_answered_in_order_up_to_a_bound(served: Any) -> None:
    with connect(served) as made:
        made.sendall(FEED * 4 + FEED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert read_all(made).count(b"HTTP/1.1 200 OK") == 5
    with connect(served) as made:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            made.sendall(FEED * 20_000)
        answered = read_all(made).count(b"HTTP/1.1 200 OK")
        # h11 does not read on before a request is answered: there, none waits.
        assert 0 < answered <= (1 + connections.PIPELINED if served.parser == "httptools" else 20_000)


def test_forty_anonymous_connections_that_pipeline_and_never_read_cost_little(served: Any) -> None:
    with served.client("ingest") as client:
        assert client.post("/v1/records", json={"records": []}).status_code == 200
        before = memory_kb(served)
        opened = []
        for _ in range(40):
            one = connect(served)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.settimeout(0.2)
            with contextlib.suppress(OSError):
                one.sendall(FEED * 50_000)
            opened.append(one)
        assert client.post("/v1/records", json={"records": []}).status_code == 200
        assert memory_kb(served, "VmHWM") - before < 64 << 10
        for one in opened:
            one.close()


def test_many_anonymous_connections_displace_each_other_and_no_client_with_a_key(served: Any) -> None:
    with served.client("ingest") as known:
        assert known.post("/v1/records", json={"records": []}).status_code == 200
        opened = []
        for _ in range(3 * connections.ANONYMOUS):
            one = connect(served)
            one.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: ")
            opened.append(one)
        with served.client("ingest") as other:
            assert other.post("/v1/records", json={"records": []}).status_code == 200
        assert known.post("/v1/records", json={"records": []}).status_code == 200
        served.wait(lambda: read_some(opened[0]) == b"")
        for one in opened:
            one.close()


def read_some(made: socket.socket) -> bytes:
    try:
        return made.recv(1)
    except ConnectionResetError:
        return b""


def test_trailers_are_no_headers(served: Any) -> None:
    head = b"POST /v1/records HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    body = b'\r\ne\r\n{"records":[]}\r\n0\r\n'
    key = b"Authorization: Bearer %s\r\n" % served.key("ingest").encode()
    end = b"\r\n" + FEED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    for sent, expected in (
        (head + key + body + end, b"HTTP/1.1 200"),
        (head + body + key + end, b"HTTP/1.1 401"),
        (
            head + key + body + b"Content-Type: text/plain\r\nHost: evil.example\r\nContent-Encoding: br\r\n" + end,
            b"HTTP/1.1 200",
        ),
    ):
        with connect(served) as made:
            made.sendall(sent)
            assert read_all(made).startswith(expected), sent


@pytest.mark.parametrize(
    "head",
    [
        b"X-A: " + b"a" * 60_000 + b"\r\n",
        b"".join(b"X-%d: a\r\n" % k for k in range(500)),
        b"a:b\r\n" * 20_000,
        b"\0\r\n",
    ],
)
def test_heads_beyond_the_bounds_are_refused(served: Any, head: bytes) -> None:
    with connect(served) as made:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            made.sendall(FEED[:-2] + head + b"\r\n")
        answer = read_all(made)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
        assert answer == b"" or b'"bad_request"' in answer


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "a b", "", "127.0.0.1@evil", "10.0.0.7"]
)
def test_a_foreign_host_is_refused_on_every_route(served: Any, host: str) -> None:
    with served.client("admin") as client:
        for path, methods in ROUTES.items():
            for method in methods:
                answer = client.request(method, path, headers={"Host": host})
                assert (answer.status_code, answer.json()["error"]["code"]) == (400, "foreign_host"), (method, path)
                assert "default-src 'none'" in answer.headers["content-security-policy"]
        for ours in ("localhost:1", "LOCALHOST", "[::1]:8321", "127.0.0.2"):
            assert client.get("/healthz", headers={"Host": ours}).status_code == 200
    with connect(served) as made:
        made.sendall(FEED.replace(b"\r\n\r\n", b"\r\nHost: evil.example\r\nConnection: close\r\n\r\n"))
        assert read_all(made).startswith(b"HTTP/1.1 400"), "two hosts"


def test_hosts_of_the_settings_and_of_the_address_listened_on() -> None:
    def ask(host: str, *names: str, server: str = "10.1.2.3") -> bool:
        try:
            Hosts(names).check({"headers": [(b"host", host.encode())], "http_version": "1.1", "server": (server, 1)})
        except AuditorError:
            return False
        return True

    assert ask("audit.example.com:443", "Audit.Example.com")
    assert not ask("x.audit.example.com", "audit.example.com")
    assert ask("10.1.2.3:8321", "0.0.0.0")
    assert not ask("10.1.2.4:8321", "0.0.0.0")
    assert ask("[fd00::1]", "::", server="fd00::1")


def test_answers_that_nobody_reads_end_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that stops reading holds an answer for `WRITE_S` seconds, however it began."""
    monkeypatch.setattr(connections, "WRITE_S", 0.2)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"8000000")]})
        await send({"type": "http.response.body", "body": b"x" * 8_000_000})

    async def play() -> tuple[int, int]:
        import uvicorn
        from uvicorn.server import ServerState

        config = uvicorn.Config(app, http=connections.guarded_protocol(), lifespan="off", ws="none", log_config=None)  # type: ignore[arg-type]
        config.load()
        state = ServerState()
        made: Any = config.http_protocol_class
        server = await asyncio.get_running_loop().create_server(
            lambda: made(config=config, server_state=state, app_state={}), "127.0.0.1", 0
        )
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=1024)
        writer.write(FEED)
        deadline = time.monotonic() + 10
        while not state.connections and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        began = len(state.connections)
        while state.connections and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        writer.close()
        server.close()
        return began, len(state.connections)

    assert asyncio.run(play()) == (1, 0)
