"""OTLP/HTTP trace exports -> spans: protobuf or JSON in, the answer in the same encoding.

In OTLP/JSON ids are hex and 64-bit integers are strings; the answer to an export that was taken whole is an empty message.
Spec: opentelemetry.io/docs/specs/otlp. The one place that imports opentelemetry-proto.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
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
    trace, id : str
        Hex.
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
    found = list(_spans(message, names))
    if len(found) > MAX_SPANS:
        raise RecordError("too_many_spans", f"more than {MAX_SPANS} spans", where="body", fix="export smaller batches")
    return found


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
