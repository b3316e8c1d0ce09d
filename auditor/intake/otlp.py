"""OTLP/HTTP trace exports -> spans: protobuf or JSON in, the answer in the same encoding.

In OTLP/JSON ids are hex and 64-bit integers are strings; the answer to an export that was taken whole is an empty message.
Spec: opentelemetry.io/docs/specs/otlp. The one place that imports opentelemetry-proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from auditor.core.errors import RecordError

PROTOBUF, JSON = "application/x-protobuf", "application/json"
MAX_SPANS = 20_000
MAX_DEPTH = 32
ERROR_STATUS = 2


class Span(NamedTuple):
    """One span, with its resource's attributes.

    Attributes
    ----------
    trace, id, parent : str
        Hex; `parent` is empty for the outermost span.
    start_ns, end_ns : int
        Nanoseconds since 1970.
    error : str or None
        What its status says, when that is an error.
    events : tuple of (name, nanoseconds since 1970, attributes)
    """

    trace: str
    id: str
    name: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any] = MappingProxyType({})
    error: str | None = None
    events: tuple[tuple[str, int, Mapping[str, Any]], ...] = ()
    parent: str = ""


def read_spans(body: bytes, media: str, names: str | tuple[str, ...] = "") -> list[Span]:
    """Every span of an export request.

    Parameters
    ----------
    names : str or tuple of str
        How the names of attributes begin that are wanted: most spans carry many that nobody asks for.

    Raises
    ------
    RecordError
        `bad_otlp`: it is no such message; `too_many_spans`.
    """
    try:
        found = list(_spans(_message(body, media), names))
    except (msgspec.DecodeError, ValueError, TypeError) as error:
        raise RecordError(
            "bad_otlp", f"it is no trace export: {str(error)[:200]}", where="body", fix="send OTLP as protobuf or JSON"
        ) from error
    except RecursionError as error:
        raise RecordError("bad_otlp", "it is nested too deeply", where="body", fix="send flat attributes") from error
    if len(found) > MAX_SPANS:
        raise RecordError("too_many_spans", f"more than {MAX_SPANS} spans", where="body", fix="export smaller batches")
    return found


def _message(body: bytes, media: str) -> Any:
    """An export request with protobuf's names of fields; ValueError for any other document."""
    if media == JSON:
        return _decode(body)
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    message = ExportTraceServiceRequest()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise ValueError(str(error)) from error
    return message


def answer(media: str, rejected: int = 0, message: str = "") -> bytes:
    """The export response: empty when all was taken, else how many spans were not, and why."""
    if media == PROTOBUF and not (rejected or message):
        return b""
    from google.protobuf import json_format
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    response = ExportTraceServiceResponse()
    if rejected or message:
        response.partial_success.rejected_spans = rejected
        response.partial_success.error_message = message
    if media == PROTOBUF:
        return bytes(response.SerializeToString())
    return str(json_format.MessageToJson(response, indent=None)).encode()


def _spans(message: Any, names: str | tuple[str, ...]) -> Iterator[Span]:
    for of_resource in message.resource_spans or ():
        resource = _attributes(of_resource.resource.attributes, names) if of_resource.resource else {}
        for of_scope in of_resource.scope_spans or ():
            for span in of_scope.spans or ():
                failed = span.status is not None and span.status.code in (ERROR_STATUS, "STATUS_CODE_ERROR")
                yield Span(
                    _hex(span.trace_id),
                    _hex(span.span_id),
                    span.name or "",
                    _whole(span.start_time_unix_nano),
                    _whole(span.end_time_unix_nano),
                    _attributes(span.attributes, names),
                    resource,
                    (span.status.message or "error") if failed else None,
                    tuple(
                        (event.name or "", _whole(event.time_unix_nano), _attributes(event.attributes))
                        for event in span.events or ()
                    ),
                    _hex(span.parent_span_id),
                )


def _attributes(pairs: Any, names: str | tuple[str, ...] = "") -> dict[str, Any]:
    return {
        key: (value is not None and value.string_value) or _value(value, 0)
        for key, value in [(pair.key or "", pair.value) for pair in pairs or ()]
        if key.startswith(names)
    }


def _value(value: Any, depth: int) -> Any:
    if value is None or depth > MAX_DEPTH:
        return None
    kind = value.kind() if isinstance(value, _AnyValue) else value.WhichOneof("value")
    if kind is None:
        return None
    found = getattr(value, kind)
    if kind == "array_value":
        return [_value(entry, depth + 1) for entry in found.values or ()]
    if kind == "kvlist_value":
        return {entry.key or "": _value(entry.value, depth + 1) for entry in found.values or ()}
    if kind == "int_value":
        return _whole(found, -(2**63), 2**63)
    return float(found) if kind == "double_value" else found


def _hex(identifier: bytes | str | None) -> str:
    """An id, which is bytes in protobuf and hex in JSON."""
    return identifier.hex() if isinstance(identifier, bytes) else bytes.fromhex(identifier or "").hex()


def _whole(value: str | float | None, low: int = 0, high: int = 2**64) -> int:
    """A 64-bit integer, which may be a text in JSON."""
    if isinstance(value, str):
        if not value.isascii() or not value.removeprefix("-").isdigit():
            raise ValueError(f"{value!r} is no integer")
        value = int(value)
    value = value or 0
    if not low <= value < high or value != int(value):
        raise ValueError(f"{value} is no integer of 64 bits")
    return int(value)


# -- OTLP/JSON: the messages with protobuf's names of fields; what is not read here may be anything -----------------------


class _Message(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """Any field may be absent or null."""


class _AnyValue(_Message, frozen=True):
    string_value: str | None = None
    int_value: str | int | float | None = None
    double_value: str | float | None = None
    bool_value: bool | None = None
    array_value: _Values | None = None
    kvlist_value: _Pairs | None = None
    bytes_value: str | None = None

    def kind(self) -> str | None:
        """The name of the field that is set."""
        return next((name for name in self.__struct_fields__ if getattr(self, name) is not None), None)


class _Values(_Message, frozen=True):
    values: tuple[_AnyValue | None, ...] | None = None


class _Pair(_Message, frozen=True):
    key: str | None = None
    value: _AnyValue | None = None


class _Pairs(_Message, frozen=True):
    values: tuple[_Pair, ...] | None = None


class _Resource(_Message, frozen=True):
    attributes: tuple[_Pair, ...] | None = None


class _Event(_Message, frozen=True):
    time_unix_nano: str | int | None = None
    name: str | None = None
    attributes: tuple[_Pair, ...] | None = None


class _Status(_Message, frozen=True):
    code: int | str | None = None
    message: str | None = None


class _Span(_Message, frozen=True):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    start_time_unix_nano: str | int | None = None
    end_time_unix_nano: str | int | None = None
    attributes: tuple[_Pair, ...] | None = None
    events: tuple[_Event, ...] | None = None
    status: _Status | None = None


class _ScopeSpans(_Message, frozen=True):
    spans: tuple[_Span, ...] | None = None


class _ResourceSpans(_Message, frozen=True):
    resource: _Resource | None = None
    scope_spans: tuple[_ScopeSpans, ...] | None = None


class _Request(_Message, frozen=True):
    resource_spans: tuple[_ResourceSpans, ...] | None = None


_decode = msgspec.json.Decoder(_Request).decode
