"""What is too large, too deep, too slow or too much is answered with the error object, and costs little."""

from __future__ import annotations

import contextlib
import gzip
import json
import resource
import select
import socket
import threading
from typing import Any

import httpx
import msgspec
import pytest

LIMIT = 16 << 20
JSON = {"Content-Type": "application/json"}


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text[:500]
    assert set(answer.json()["error"]) == {"code", "message", "where", "fix"}
    assert ("retry-after" in answer.headers) == (status in (429, 503, 507))


def memory_kb(served: Any) -> int:
    with open(f"/proc/{served.process.pid}/status", encoding="ascii") as file:  # noqa: PTH123
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))


def test_bodies_that_are_too_large(served: Any) -> None:
    with served.client("ingest") as client:
        refused(client.post("/v1/records", content=b" " * (LIMIT + 1), headers=JSON), 413, "too_large")

        def endless() -> Any:
            for _ in range(40):
                yield b" " * (1 << 20)

        try:
            answer = client.post("/v1/records", content=endless(), headers=JSON)
            refused(answer, 413, "too_large")
        except httpx.WriteError:  # cut off while still sending
            pass


def test_bombs_are_not_unpacked(served: Any) -> None:
    with served.client("ingest") as client:
        assert client.post("/v1/records", json={"records": []}).status_code == 200
        before = memory_kb(served)
        bomb = gzip.compress(b" " * (192 << 20), 1)
        headers = {**JSON, "Content-Encoding": "gzip"}
        refused(client.post("/v1/records", content=bomb, headers=headers), 413, "too_large")
        refused(client.post("/v1/traces", content=bomb, headers=headers), 413, "too_large")
        refused(client.post("/v1/records", content=bomb[:1000], headers=headers), 400, "bad_gzip")
        refused(client.post("/v1/records", content=gzip.compress(b"{}") + b"x", headers=headers), 400, "bad_gzip")
        refused(
            client.post("/v1/records", content=b"{}", headers={**JSON, "Content-Encoding": "br"}), 415, "bad_encoding"
        )
        assert memory_kb(served) - before < 96 << 10


@pytest.mark.parametrize("media", ["text/plain", "", "application/x-protobuf", "multipart/form-data; boundary=x"])
def test_other_media_types(served: Any, media: str) -> None:
    with served.client("ingest") as client:
        refused(client.post("/v1/records", content=b"{}", headers={"Content-Type": media}), 415, "bad_media_type")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"records": {}}',
        b'{"records": [], "else": 1}',
        b'{"records": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"[" * 1_000_000,
        b'{"a":' * 100_000,
        b"\xff\xfe",
        b'{"records": [',
    ],
)
def test_documents_that_are_none(served: Any, body: bytes) -> None:
    with served.client("ingest") as client:
        answer = client.post("/v1/records", content=body, headers=JSON)
        if answer.status_code == 200:
            assert answer.json()["accepted"] == 0
            assert answer.json()["refused"]
        else:
            assert answer.status_code == 400
            assert answer.json()["error"]["code"] in ("bad_body", "too_deep")


def hostile_rows(make_row: Any) -> list[bytes]:
    def dumped(**more: Any) -> bytes:
        return json.dumps(make_row("hostile", **more)).encode()

    plain = dumped()
    return [
        plain.replace(b"41.0", b"9" * 100_000),
        plain.replace(b"41.0", b"NaN"),
        plain.replace(b"41.0", b"1e999"),
        plain.replace(b"41.0", b"[" * 5000 + b"]" * 5000),
        plain.replace(b'"age"', b'"' + b"a" * 5_000 + b'"'),
        dumped(groups={f"g{i}": "x" for i in range(100_000)}),
        dumped(groups={"__class__.__init__.__globals__": {"a": 1}}),
        dumped(subject="x" * 100_000),
        dumped(time="2026-01-05T09:00:00"),
        dumped(time="9999-12-31T23:59:59Z"),
        dumped(inputs=[{"name": f"i{i}", "modality": "text"} for i in range(1000)]),
        dumped(sensitive={"sex": "f"}),
        dumped(unknown=1),
        plain.replace(b'"hostile"', b'"\\ud800"'),
    ]


def test_hostile_rows_are_refused_one_by_one(served: Any, make_row: Any) -> None:
    with served.client("ingest") as client:
        rows = hostile_rows(make_row)
        good = [json.dumps(make_row(f"good{i}", "hostility")).encode() for i in range(2)]
        for row in rows:
            answer = client.post("/v1/records", content=b'{"records": [' + row + b"]}", headers=JSON)
            if answer.status_code != 200:
                assert answer.status_code == 400, (row[:200], answer.text)
                continue
            assert [entry["index"] for entry in answer.json()["refused"]] == [0], (row[:200], answer.text)
        body = b'{"records": [' + good[0] + b"," + rows[10] + b"," + good[1] + b"]}"
        answer = client.post("/v1/records", content=body, headers=JSON).json()
        assert (answer["accepted"], [entry["index"] for entry in answer["refused"]]) == (2, [1])


def test_numbers_that_json_cannot_carry_come_in_through_no_other_door(served: Any, make_row: Any) -> None:
    with served.client("ingest") as client:
        bad = make_row("packed-nan")
        bad["inputs"][0]["descriptors"]["age"] = float("nan")
        body = msgspec.msgpack.encode({"records": [bad]})
        answer = client.post("/v1/records", content=body, headers={"Content-Type": "application/msgpack"})
        assert [entry["code"] for entry in answer.json()["refused"]] == ["not_finite"]


def test_too_many_rows(served: Any) -> None:
    with served.client("ingest") as client:
        body = b'{"labels": [' + b",".join([b"{}"] * 20_001) + b"]}"
        refused(client.post("/v1/labels", content=body, headers=JSON), 413, "too_large")


def test_slow_heads_are_cut_and_others_served(served: Any, make_row: Any) -> None:
    """Slowloris, short: sockets that dribble a head are closed after ten seconds; meanwhile others are answered."""
    host, port = served.url.removeprefix("http://").split(":")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    slow = []
    for _ in range(min(100, soft // 3)):  # fewer than the service keeps of clients without a key
        one = socket.create_connection((host, int(port)))
        one.sendall(b"POST /v1/records HTTP/1.1\r\nHost: x\r\nX-A: ")
        slow.append(one)
    try:
        with served.client("ingest") as client:
            assert client.post("/v1/records", json={"records": [make_row("beside")]}).status_code == 200
        assert not select.select(slow, [], [], 0)[0], "before any of them was cut"
        slow[0].settimeout(20)
        with contextlib.suppress(ConnectionResetError):
            assert slow[0].recv(100) == b""
        with socket.create_connection((host, int(port))) as long:
            long.settimeout(10)
            try:
                long.sendall(b"GET /healthz HTTP/1.1\r\nX-A: " + b"a" * 100_000)
                assert long.recv(100) == b""
            except (ConnectionResetError, BrokenPipeError):
                pass
    finally:
        for one in slow:
            one.close()


@pytest.mark.parametrize("clients", [30, pytest.param(100, marks=pytest.mark.soak)])
def test_overload_is_said_and_memory_is_bounded(served: Any, clients: int) -> None:
    """D13: clients with the largest body, all at once; some are asked to come back, none sees a fault."""
    body = b'{"records": [' + b" " * (LIMIT - 100) + b"]}"
    statuses: list[int] = []
    key = served.key("ingest")
    before = memory_kb(served)

    def send() -> None:
        with httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {key}"}, trust_env=False) as client:
            try:
                answer = client.post("/v1/records", content=body, headers=JSON, timeout=30)
                statuses.append(answer.status_code)
                if answer.status_code == 429:
                    refused(answer, 429, "busy")
            except httpx.TransportError:  # cut off while still sending: asked to come back, too
                statuses.append(429)

    threads = [threading.Thread(target=send) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 429}
    assert 200 in statuses
    assert memory_kb(served) - before < 320 << 10
    with served.client("ingest") as client:
        assert client.post("/v1/records", json={"records": []}).status_code == 200
