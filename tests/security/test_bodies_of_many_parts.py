"""Bodies made to cost: each is refused, or taken, within a second of CPU time and 64 MiB."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import msgspec
import pytest

JSON, MSGPACK = "application/json", "application/msgpack"
LIMIT = 16 << 20
RECORD = {"time": "2026-01-05T09:00:00Z", "model": {"name": "m"}, "inputs": []}
VECTOR = {**RECORD, "inputs": [{"name": "x", "modality": "embedding", "embedding": [0] * 65_536}]}


def filled(before: bytes, part: bytes, after: bytes, size: int = LIMIT) -> bytes:
    return before + part * ((size - len(before) - len(after)) // len(part)) + after


def array(count: int, part: bytes) -> bytes:
    return b"\xdd" + count.to_bytes(4, "big") + part * count


def message(field: int, body: bytes) -> bytes:
    size, out = len(body), b""
    while size > 127:
        out += bytes([size & 127 | 128])
        size >>= 7
    return bytes([field << 3 | 2]) + out + bytes([size]) + body


def bodies() -> dict[str, tuple[str, bytes]]:
    one = json.dumps(RECORD).encode()
    packed = msgspec.msgpack.encode(VECTOR)
    long = msgspec.msgpack.encode({**RECORD, "inputs": [{"name": "x", "modality": "embedding"}]})
    found = {
        f"{name} of {what}": ("records", filled(b'{"records":[],"%b":[' % name.encode(), part, b"{}]}"))
        for name in ("energy", "tallies")
        for what, part in (("objects", b"{},"), ("numbers", b"0,"), ("lists", b"[],"))
    }
    found |= {
        f"{route} of {what}": (route, filled(b'{"%b":[' % route.encode(), part, b"{}]}"))
        for route in ("records", "labels")
        for what, part in (("objects", b"{},"), ("numbers", b"0,"), ("lists", b"[],"), ("texts", b'"",'))
    }
    found |= {
        "20 000 bad rows": ("records", b'{"records":[' + b"{}," * 19_999 + b"{}]}"),
        "20 000 bad labels": ("labels", b'{"labels":[' + b"{}," * 19_999 + b"{}]}"),
        "records of many": ("records", filled(b'{"records":[', one + b",", one + b"]}")),
        "a vector without end": (
            "records",
            filled(
                one[:-3].join([b'{"records":[', b""]) + b'[{"name":"x","modality":"text","scores":[', b"0,", b"0]}]}]}"
            ),
        ),
        "descriptors without end": (
            "records",
            filled(b'{"records":[{"inputs":[{"descriptors":{', b'"a":0,', b'"a":0}}]}]}'),
        ),
        "nested lists": ("records", filled(b'{"records":[', b"[", b"", 2 << 20)),
        "packed energy": ("packed", b"\x82\xa7records\x90\xa6energy" + array(15 << 20, b"\xc0")),
        "packed records": ("packed", b"\x81\xa7records" + array(15 << 20, b"\x80")),
        "packed vectors": ("packed", b"\x81\xa7records" + array(240, packed)),
        "packed vector": ("packed", b"\x81\xa7records\x91" + long[:-10] + array(15 << 20, b"\x00")),
        "spans": ("protobuf", message(1, message(2, message(2, b"") * (4 << 20)))),
        "resources": ("protobuf", message(1, b"") * (8 << 20)),
        "attributes": ("protobuf", message(1, message(2, message(2, message(9, b"") * (4 << 20))))),
        "attribute values": (
            "protobuf",
            message(1, message(2, message(2, message(9, message(2, message(5, message(1, b"") * (4 << 20))))))),
        ),
    }
    return found


RUN = """
import resource, sys
from datetime import UTC, datetime
from auditor.core.errors import AuditorError
from auditor.intake import otlp
from auditor.service.limits import check_export
from auditor.service.parsing import parse_labels, parse_records
from auditor.service.settle import Recent, settle
from auditor.service.access import Principal
import msgspec, google.protobuf, opentelemetry.proto.collector.trace.v1.trace_service_pb2
kind, body = sys.argv[1], sys.stdin.buffer.read()
def used():
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
peak, began, code, listed = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, used(), "taken", 0
try:
    if kind == "protobuf":
        check_export(body)
        otlp.read_spans(body, otlp.PROTOBUF)
    else:
        media = "application/msgpack" if kind == "packed" else "application/json"
        batch = parse_labels(body, media, datetime.now(UTC)) if kind == "labels" else parse_records(body, media)
        listed = len(batch.refused)
        code = f"{batch.refused_count} refused"
except AuditorError as error:
    code = error.code
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024
print(code, listed, round(used() - began, 3), round(grown, 1), sep=";")
"""


@pytest.mark.parametrize("name", bodies())
def test_a_body_made_to_cost_is_cheap(name: str) -> None:
    kind, body = bodies()[name]
    done = subprocess.run([sys.executable, "-c", RUN, kind], input=body, capture_output=True, check=True)
    code, listed, seconds, grown = done.stdout.decode().strip().split(";")
    print(f"{name:28} {len(body) / 2**20:6.1f} MiB  {code:16} {float(seconds):6.3f} s CPU  {float(grown):+7.1f} MiB")
    assert int(listed) <= 100
    assert float(grown) <= 64
    assert float(seconds) <= 1.0 or os.environ.get("CI")
