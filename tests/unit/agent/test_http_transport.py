"""HTTP delivery against a small server that speaks the contract."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from auditor.agent.http import HttpTransport
from auditor.agent.transport import DeliveryError
from auditor.core.errors import ConfigurationError
from auditor.core.gate import parse_record


class Service:
    """Answers with what `plan` holds, then with 200; keeps what it was sent. The first `deaf` answers are lost."""

    def __init__(self) -> None:
        self.plan: list[tuple[int, dict[str, str], Any]] = []
        self.seen: list[tuple[str, dict[str, Any], str | None]] = []
        self.at: list[float] = []
        self.delay_s = 0.0
        self.deaf = 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                time.sleep(service.delay_s)
                service.at.append(time.monotonic())
                default = (200, {}, {"accepted": len(body.get("records", [])), "duplicates": 0, "refused": []})
                status, headers, answer = service.plan.pop(0) if service.plan else default
                if status == 200:
                    service.seen.append((self.path, body, self.headers.get("Authorization")))
                if service.deaf:  # it has taken everything, and its answer is lost
                    service.deaf -= 1
                    self.close_connection = True
                    return
                data = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def records(self) -> list[dict[str, Any]]:
        return [record for _, body, _ in self.seen for record in body.get("records", [])]


@pytest.fixture
def service() -> Iterator[Service]:
    found = Service()
    yield found
    found.server.shutdown()
    found.server.server_close()


def record(index: int) -> tuple[str, bytes]:
    data = {"id": f"r{index}", "time": "2026-01-01T00:00:00Z", "model": {"name": "m"}, "inputs": []}
    return "record", json.dumps(data).encode()


def test_records_labels_and_tallies_reach_their_routes(service: Service) -> None:
    transport = HttpTransport(service.url, "secret")
    transport.send([record(0), ("tally", b'{"seen":1}'), ("energy", b'{"active":2}'), ("label", b'{"id":"r0"}')])
    transport.close()
    assert [path for path, _, _ in service.seen] == ["/v1/records", "/v1/labels"]
    body = service.seen[0][1]
    assert body["records"][0]["id"] == "r0"
    assert body["tallies"] == [{"seen": 1}]
    assert body["energy"] == [{"active": 2}]
    assert service.seen[1][1] == {"labels": [{"id": "r0"}]}
    assert {key for _, _, key in service.seen} == {"Bearer secret"}


def test_refused_rows_are_named_by_their_place(service: Service) -> None:
    service.plan = [(200, {}, {"accepted": 1, "refused": [{"index": 1, "id": "r1", "code": "bad", "message": "x"}]})]
    transport = HttpTransport(service.url)
    with pytest.raises(DeliveryError) as caught:
        transport.send([("tally", b"{}"), record(0), record(1)])
    transport.close()
    assert caught.value.refused == (2,)
    assert caught.value.permanent


def test_a_body_that_is_too_large_is_halved(service: Service) -> None:
    service.plan = [(413, {}, {})]
    transport = HttpTransport(service.url)
    transport.send([record(index) for index in range(5)])
    transport.close()
    assert [r["id"] for r in service.records()] == [f"r{index}" for index in range(5)]
    assert len(service.seen) == 2


@pytest.mark.parametrize(
    ("status", "headers", "permanent", "wait"),
    [
        (429, {"Retry-After": "9"}, False, 9.0),
        (503, {}, False, None),
        (507, {"Retry-After": "3"}, False, 3.0),
        (400, {}, True, None),
        (401, {}, False, 60.0),
    ],
)
def test_what_an_answer_means(
    service: Service, status: int, headers: dict[str, str], permanent: bool, wait: float | None
) -> None:
    service.plan = [(status, headers, {"error": {"code": "x"}})]
    transport = HttpTransport(service.url)
    with pytest.raises(DeliveryError) as caught:
        transport.send([record(0)])
    transport.close()
    assert (caught.value.permanent, caught.value.retry_after_s) == (permanent, wait)


def test_a_connection_that_was_closed_in_between_is_opened_again(service: Service) -> None:
    service.plan = [(200, {"Connection": "close"}, {"accepted": 1, "refused": []})]
    transport = HttpTransport(service.url)
    transport.send([record(0)])
    transport.send([record(1)])
    transport.close()
    assert [r["id"] for r in service.records()] == ["r0", "r1"]


def test_nobody_there_is_worth_another_try() -> None:
    transport = HttpTransport("http://127.0.0.1:9", timeout_s=0.5)
    with pytest.raises(DeliveryError) as caught:
        transport.send([record(0)])
    assert not caught.value.permanent


def test_addresses_are_checked_early() -> None:
    with pytest.raises(ConfigurationError, match="not an address"):
        HttpTransport("localhost:8321")


def test_an_agent_delivers_over_http_and_catches_up_after_an_outage(service: Service, make_agent: Any) -> None:
    service.plan = [(503, {"Retry-After": "1"}, {})]
    agent = make_agent(endpoint=service.url, key="k")
    model = agent.watch(lambda note: "cat", inputs={"note": "text"}, output="label")
    began = time.monotonic()
    for index in range(5):
        with agent.context(id=f"c{index}"):
            model("hello")
    assert agent.flush(10)
    assert [parse_record(r).id for r in service.records()] == [f"c{index}" for index in range(5)]
    assert service.at[1] - began >= 1.0
    stats = agent.stats()
    assert stats["delivered"] == stats["seen"] == 5
    assert stats["delays"] == {"transport_failed": 1}
    assert service.seen[-1][1]["tallies"][0]["delivered"] == 5


def test_a_silent_service_stalls_no_describing_and_ends_in_time(make_agent: Any, balanced: Any) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        agent = make_agent(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")
        model = agent.watch(lambda note: "cat", inputs={"note": "text"}, output="label")
        model("first")
        assert not agent.flush(0.1)  # the first batch is under way for seconds now
        for _ in range(50):
            model("hello")
        patience = time.monotonic() + 60.0
        while agent.stats()["described"] < 51 and time.monotonic() < patience:
            time.sleep(0.01)
        assert agent.stats()["described"] == 51
        assert agent.stats()["delays"] == {}  # the first batch still waits for its answer
        assert not agent.close(0.5)
    stats = agent.stats()
    balanced(stats)
    assert stats["dropped"] == {"transport_failed": 51}


def test_a_flush_ends_although_calls_go_on(service: Service, make_agent: Any, balanced: Any) -> None:
    service.delay_s = 0.02
    agent = make_agent(endpoint=service.url, describe="budget")
    agent._budget_share = None
    model = agent.watch(lambda note: "cat", inputs={"note": "text"}, output="label")
    over = threading.Event()

    def host() -> None:
        while not over.is_set():
            model("hello")
            time.sleep(0.0005)

    thread = threading.Thread(target=host)
    thread.start()
    try:
        for _ in range(3):
            assert agent.flush(5)
    finally:
        over.set()
        thread.join()
    assert agent.flush(5)
    stats = agent.stats()
    balanced(stats)
    assert stats["delivered"] == stats["seen"] == len(service.records())
    tallies = {json.dumps(tally) for _, body, _ in service.seen for tally in body.get("tallies", [])}
    assert sum(json.loads(tally)["seen"] for tally in tallies) == stats["seen"]


def test_an_answer_that_is_lost_doubles_nothing(service: Service, make_agent: Any, monkeypatch: Any) -> None:
    """The service keeps what it knows by id, or by digest: so what is sent again has to be the same, to the byte."""
    monkeypatch.setattr("auditor.agent.transport._FIRST_PAUSE_S", 0.02)
    service.deaf = 3
    agent = make_agent(endpoint=service.url)
    model = agent.watch(lambda note: "cat", inputs={"note": "text"}, output="label")
    for index in range(6):
        with agent.context(id=f"c{index}"):
            model("hello")
        agent.flush(5 if index == 5 else 0.03)
    bodies = [body for _, body, _ in service.seen]
    tallies = [json.dumps(tally) for body in bodies for tally in body.get("tallies", [])]
    assert len(service.seen) > len(set(map(json.dumps, bodies)))  # some came twice
    assert sum(json.loads(tally)["seen"] for tally in set(tallies)) == 6
    assert {found["id"] for found in service.records()} == {f"c{index}" for index in range(6)}
