"""Bodies made to cost the service far more than they cost their sender, each by a name, its route and its bytes."""

from __future__ import annotations

import gzip
import json

import msgspec

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
        "records of long keys": (
            "records",
            filled(
                b'{"records":[{"id":"a","time":"2026-01-05T09:00:00Z","model":{"name":"m"},"inputs":[{"name":"x","modality":"tabular","descriptors":{',
                b'"%b":0,' % (b"k" * 60_000),
                b'"a":0}}]}]}',
            ),
        ),
        "a long id": ("records", filled(b'{"records":[{"id":"', b"i" * 1000, b'"}]}')),
        "labels of long ids": ("labels", filled(b'{"labels":[', b'{"id":"%b"},' % (b"i" * 60_000), b'{"id":"a"}]}')),
        "groups without end": (
            "records",
            one.join([b'{"records":[', b""])[:-1]
            + b',"groups":{'
            + b",".join(b'"%040d":"x"' % number for number in range(300_000))
            + b"}}]}",
        ),
        "losses": (
            "records",
            filled(
                b'{"records":[],"tallies":[',
                b'{"session":"s","model":{"name":"m"},"start":"2026-01-05T09:00:00Z","end":"2026-01-05T09:01:00Z",'
                b'"seen":1,"declared":{"x":1}},',
                b"{}]}",
            ),
        ),
        "packed map": ("packed", b"\xdf" + (7 << 20).to_bytes(4, "big") + b"\xa1a\xc0" * (5 << 20)),
        "packed array": ("packed", array(15 << 20, b"\xc0")),
        "packed maps in records": (
            "packed",
            b"\x81\xa7records\x91\xdf" + (5 << 20).to_bytes(4, "big") + b"\xa1a\xc0" * (5 << 20),
        ),
        "packed lists in lists": ("packed", b"\x81\xa7records" + b"\x91" * (15 << 20)),
        "packed lengths that lie": ("packed", b"\x81\xa7records\xdd\xff\xff\xff\xff"),
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
        "values in values": ("protobuf", nested_values()),
        "an attribute of many lists": (
            "protobuf",
            message(
                1, message(2, message(2, message(9, message(2, message(5, message(1, message(5, b"")) * (2 << 20))))))
            ),
        ),
        "OTLP of empty spans": (
            "otlp",
            filled(b'{"resourceSpans":[{"scopeSpans":[{"spans":[', b"{},", b"{}]}]}]}"),
        ),
        "OTLP of attributes": (
            "otlp",
            filled(b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[', PAIR + b",", PAIR + b"]}]}]}]}"),
        ),
        "OTLP in lists": ("otlp", b'{"resourceSpans":' + b"[" * (2 << 20)),
        "OTLP of a long prompt": ("otlp", export(prompt(0, b"word " * (3 << 20)))),
        "OTLP of many messages": ("otlp", export(b",".join(prompt(place, b"hello") for place in range(60_000)))),
    }
    plain = ("energy of numbers", "records of lists", "packed records", "spans")
    found |= {f"gzip of {name}": (f"{found[name][0]}+gzip", gzip.compress(found[name][1])) for name in plain}
    bomb = gzip.compress(b" " * (192 << 20), 1)
    found |= {
        f"gzip bomb: {route}": (f"{route}+gzip", bomb) for route in ("records", "labels", "packed", "protobuf", "otlp")
    }
    return found


PAIR = b'{"key":"a","value":{"intValue":1}}'


def nested_values() -> bytes:
    """A span whose attribute is a list in a list in a list ..."""
    inner = b""
    while len(inner) < 200_000:
        inner = message(5, message(1, inner))
    return message(1, message(2, message(2, message(9, message(2, inner)))))


def prompt(place: int, words: bytes) -> bytes:
    """The attributes of one message."""
    return (
        b'{"key":"gen_ai.prompt.%d.content","value":{"stringValue":"%b"}},'
        b'{"key":"gen_ai.prompt.%d.role","value":{"stringValue":"user"}}' % (place, words, place)
    )


def export(attributes: bytes) -> bytes:
    """An export of one call of a model with these attributes."""
    head = (
        b'"traceId":"%032x","spanId":"%016x","name":"chat","startTimeUnixNano":"1767603600000000000",'
        b'"endTimeUnixNano":"1767603601000000000",' % (1, 1)
    )
    call = b'{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},'
    call += b'{"key":"gen_ai.request.model","value":{"stringValue":"m"}}'
    return b'{"resourceSpans":[{"scopeSpans":[{"spans":[{%b"attributes":[%b,%b]}]}]}]}' % (head, call, attributes)
