"""Bounds of a body's lists, checked before the body is decoded: memory and time follow from its bytes, not its nesting.

A body of at most `SMALL` bytes cannot cost much however it is filled. A larger one is measured first: JSON by counting its
marks, MessagePack by the lengths that its lists declare, protobuf by a walk over its repeated fields.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from auditor.intake.records import JSON, MSGPACK
from auditor.service.refusals import RequestError

SMALL = 1 << 20
"""Bytes below which nothing is measured."""
MAX_ROWS = 20_000
"""Records or labels in one body."""
MAX_SIDE = 2_000
"""Energy readings, or tallies, in one body."""
MAX_VALUES = 1_000_000
"""Values of all rows of a body together."""
MAX_OBJECTS = 400_000
"""Lists and objects of a body together."""
MAX_FIELDS = 400_000
"""Fields of a trace export: spans, attributes, events and what is nested in them."""
MAX_LISTED = 100
"""Refusals that an answer lists; the others are counted."""
LISTS = {"records": MAX_ROWS, "labels": MAX_ROWS, "energy": MAX_SIDE, "tallies": MAX_SIDE}
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


class _Row(msgspec.Struct, gc=False):
    """Any object; its fields are skipped."""


_objects = msgspec.json.Decoder(list[_Row])
_parts: dict[str, Any] = {
    JSON: msgspec.json.Decoder(dict[str, msgspec.Raw]),
    MSGPACK: msgspec.msgpack.Decoder(dict[str, msgspec.Raw]),
}


def check_body(body: bytes, media: str) -> None:
    """RequestError 413 `too_large` for a body whose lists are beyond the limits; other faults are left to its decoder."""
    if len(body) <= SMALL:
        return
    if media == JSON:
        check_marks(body)
    try:
        parts = _parts[media].decode(body)
        for name, most in LISTS.items():
            if name in parts:
                check_rows(name, _size(bytes(parts[name]), media), most)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return


def check_rows(name: str, rows: int, most: int) -> None:
    """RequestError 413 for too long a list."""
    if rows > most:
        raise _beyond(f"more than {most} {name} in one body")


def check_marks(body: bytes) -> None:
    """RequestError 413 for JSON of too many values; marks inside texts count only where there are very many."""
    for counted in (body, None):
        if counted is None and body.count(b'"') > 2 * MAX_VALUES:
            break
        text = _TEXT.sub(b"", body) if counted is None else counted
        objects, values = text.count(b"{") + text.count(b"["), text.count(b",")
        if objects <= MAX_OBJECTS and values <= MAX_VALUES:
            return
    raise _beyond(f"more than {MAX_VALUES} values or {MAX_OBJECTS} lists and objects in one body")


def _size(part: bytes, media: str) -> int:
    if media == JSON:
        return len(_objects.decode(part))
    first = part[0] if part else 0
    if first >> 4 == 9:
        return first & 15
    return int.from_bytes(part[1 : 3 if first == 0xDC else 5], "big") if first in (0xDC, 0xDD) else 0


def _beyond(what: str) -> RequestError:
    return RequestError(413, "too_large", what, where="body", fix="send fewer rows, in several requests")


# -- protobuf: repeated fields of a trace export, by message ---------------------------------------------------------------

_GRAMMAR: dict[str, dict[int, str]] = {
    "export": {1: "resource_spans"},
    "resource_spans": {1: "resource", 2: "scope_spans"},
    "resource": {1: "pair"},
    "scope_spans": {1: "scope", 2: "span"},
    "scope": {3: "pair"},
    "span": {9: "pair", 11: "event", 13: "link"},
    "event": {3: "pair"},
    "link": {4: "pair"},
    "pair": {2: "value"},
    "value": {5: "values", 6: "pairs"},
    "values": {1: "value"},
    "pairs": {1: "pair"},
}


def check_export(body: bytes) -> None:
    """RequestError 413 for a protobuf trace export of too many fields; a malformed one is left to its decoder."""
    if len(body) <= SMALL // 2:
        return
    left = MAX_FIELDS
    at, end, grammar = 0, len(body), _GRAMMAR["export"]
    outer: list[tuple[int, dict[int, str]]] = []  # ends and grammars of the messages that this one lies in
    try:
        while at < end or outer:
            if at >= end:
                at = end
                end, grammar = outer.pop()
                continue
            left -= 1
            if left < 0:
                raise _beyond(f"more than {MAX_FIELDS} fields in one export")
            key, at = _varint(body, at)
            kind = key & 7
            if kind == 2:
                size, at = _varint(body, at)
                below = grammar.get(key >> 3)
                if below is None:
                    at += size
                else:
                    outer.append((end, grammar))
                    end, grammar = min(at + size, end), _GRAMMAR[below]
            elif kind == 0:
                _, at = _varint(body, at)
            else:
                at += {1: 8, 5: 4}[kind]
    except (IndexError, KeyError):
        return


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = body[at]
    if value < 128:
        return value, at + 1
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise IndexError
