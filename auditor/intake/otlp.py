"""OTLP/HTTP trace exports -> spans: protobuf or JSON in, the answer in the same encoding.

In OTLP/JSON ids are hex and 64-bit integers are strings; the answer to an export that was taken whole is an empty message.
Spec: opentelemetry.io/docs/specs/otlp. The one place that imports opentelemetry-proto.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from auditor.core.errors import RecordError

PROTOBUF, JSON = "application/x-protobuf", "application/json"
MAX_SPANS = 20_000
MAX_DEPTH = 32
_IDS = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})
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
    found = (_plain_spans(body, names) if media == JSON else None) or list(_spans(_message(body, media), names))
    if len(found) > MAX_SPANS:
        raise RecordError("too_many_spans", f"more than {MAX_SPANS} spans", where="body", fix="export smaller batches")
    return found


def _message(body: bytes, media: str) -> Any:
    from google.protobuf import json_format
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    message = ExportTraceServiceRequest()
    try:
        if media == PROTOBUF:
            message.ParseFromString(body)
        else:
            plain = _base64_ids(msgspec.json.decode(body, type=dict[str, Any]), 0)
            json_format.ParseDict(plain, message, ignore_unknown_fields=True, max_recursion_depth=2 * MAX_DEPTH)
    except (DecodeError, json_format.ParseError, msgspec.DecodeError, ValueError, TypeError, AttributeError) as error:
        raise RecordError(
            "bad_otlp", f"it is no trace export: {str(error)[:200]}", where="body", fix="send OTLP as protobuf or JSON"
        ) from error
    except RecursionError as error:
        raise RecordError("bad_otlp", "it is nested too deeply", where="body", fix="send flat attributes") from error
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
    for of_resource in message.resource_spans:
        resource = _attributes(of_resource.resource.attributes, names)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                failed = span.status.code == ERROR_STATUS
                yield Span(
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.name,
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    _attributes(span.attributes, names),
                    resource,
                    (span.status.message or "error") if failed else None,
                    tuple((event.name, event.time_unix_nano, _attributes(event.attributes)) for event in span.events),
                    span.parent_span_id.hex(),
                )


def _attributes(pairs: Any, names: str | tuple[str, ...] = "") -> dict[str, Any]:
    # A scalar that is not its type's zero is found without asking which field is set.
    return {
        key: (value := pair.value).string_value or value.double_value or value.int_value or _value(value, 0)
        for pair in pairs
        if (key := pair.key).startswith(names)
    }


def _value(value: Any, depth: int) -> Any:
    kind = value.WhichOneof("value")
    if kind is None or depth > MAX_DEPTH:
        return None
    if kind == "array_value":
        return [_value(entry, depth + 1) for entry in value.array_value.values]
    if kind == "kvlist_value":
        return {entry.key: _value(entry.value, depth + 1) for entry in value.kvlist_value.values}
    return getattr(value, kind)


def _base64_ids(value: Any, depth: int) -> Any:
    """The same document with its hex ids as protobuf's JSON mapping wants them."""
    if depth > 2 * MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, dict):
        return {
            key: base64.b64encode(bytes.fromhex(entry)).decode()
            if key in _IDS and isinstance(entry, str)
            else _base64_ids(entry, depth + 1)
            for key, entry in value.items()
        }
    return [_base64_ids(entry, depth + 1) for entry in value] if isinstance(value, list) else value


# -- JSON as exporters spell it, at a twentieth of what protobuf's reader of JSON costs; whatever else it may mean, that says --


class _Plain(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True, gc=False):
    """A message of which only what is read has a type."""


class _Any(_Plain, frozen=True):
    string_value: str | None = None
    int_value: str | int | None = None
    double_value: float | None = None
    bool_value: bool | None = None
    array_value: _Values | None = None
    kvlist_value: _Pairs | None = None


class _Values(_Plain, frozen=True):
    values: Sequence[_Any] = ()


class _Pair(_Plain, frozen=True):
    key: str
    value: _Any


class _Pairs(_Plain, frozen=True):
    values: Sequence[_Pair] = ()


class _Resource(_Plain, frozen=True):
    attributes: Sequence[_Pair] = ()
    dropped_attributes_count: msgspec.Raw = msgspec.Raw()


class _Event(_Plain, frozen=True):
    time_unix_nano: str | int = 0
    name: str = ""
    attributes: Sequence[_Pair] = ()
    dropped_attributes_count: msgspec.Raw = msgspec.Raw()


class _Status(_Plain, frozen=True):
    code: int = 0
    message: str = ""


class _Span(_Plain, frozen=True):
    trace_id: str
    span_id: str
    start_time_unix_nano: str | int
    end_time_unix_nano: str | int
    name: str = ""
    attributes: Sequence[_Pair] = ()
    events: Sequence[_Event] = ()
    status: _Status = _Status()
    parent_span_id: str = ""
    trace_state: msgspec.Raw = msgspec.Raw()
    flags: msgspec.Raw = msgspec.Raw()
    kind: msgspec.Raw = msgspec.Raw()
    links: msgspec.Raw = msgspec.Raw()
    dropped_attributes_count: msgspec.Raw = msgspec.Raw()
    dropped_events_count: msgspec.Raw = msgspec.Raw()
    dropped_links_count: msgspec.Raw = msgspec.Raw()


class _ScopeSpans(_Plain, frozen=True):
    spans: Sequence[_Span] = ()
    scope: msgspec.Raw = msgspec.Raw()
    schema_url: msgspec.Raw = msgspec.Raw()


class _ResourceSpans(_Plain, frozen=True):
    scope_spans: Sequence[_ScopeSpans] = ()
    resource: _Resource = _Resource()
    schema_url: msgspec.Raw = msgspec.Raw()


class _Request(_Plain, frozen=True):
    resource_spans: Sequence[_ResourceSpans] = ()


_decode_plain = msgspec.json.Decoder(_Request).decode


def _plain_spans(body: bytes, names: str | tuple[str, ...]) -> list[Span] | None:
    """The spans; None for a document that says something else, or says it otherwise."""
    try:
        request = _decode_plain(body)
        found = []
        for of_resource in request.resource_spans:
            resource = _plain_attributes(of_resource.resource.attributes, names)
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    failed = span.status.code == ERROR_STATUS
                    made = Span(
                        bytes.fromhex(span.trace_id).hex(),
                        bytes.fromhex(span.span_id).hex(),
                        span.name,
                        _whole(span.start_time_unix_nano),
                        _whole(span.end_time_unix_nano),
                        _plain_attributes(span.attributes, names),
                        resource,
                        (span.status.message or "error") if failed else None,
                        tuple(
                            (event.name, _whole(event.time_unix_nano), _plain_attributes(event.attributes))
                            for event in span.events
                        ),
                        bytes.fromhex(span.parent_span_id).hex(),
                    )
                    found.append(made)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return found


def _plain_attributes(pairs: Sequence[_Pair], names: str | tuple[str, ...] = "") -> dict[str, Any]:
    return {
        pair.key: _plain_value(pair.value, 0) if pair.value.string_value is None else pair.value.string_value
        for pair in pairs
        if pair.key.startswith(names)
    }


def _plain_value(value: _Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        return None
    if value.int_value is not None:
        return _whole(value.int_value, -(2**63), 2**63)
    if value.array_value is not None:
        return [_plain_value(entry, depth + 1) for entry in value.array_value.values]
    if value.kvlist_value is not None:
        return {entry.key: _plain_value(entry.value, depth + 1) for entry in value.kvlist_value.values}
    scalars = (value.string_value, value.double_value, value.bool_value)
    return next((scalar for scalar in scalars if scalar is not None), None)


def _whole(value: str | int, low: int = 0, high: int = 2**64) -> int:
    """A 64-bit integer as OTLP/JSON writes it."""
    if isinstance(value, str):
        if not value.isascii() or not value.removeprefix("-").isdigit():
            raise ValueError(f"{value!r} is no integer")
        value = int(value)
    if not low <= value < high:
        raise ValueError(f"{value} is no integer of 64 bits")
    return value
