"""Spans of the three dialects -> records: what a call was, described; what was not captured is said, never guessed."""

from __future__ import annotations

import base64
import io
import json
import wave
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from auditor.bootstrap import descriptors
from auditor.core.errors import RecordError
from auditor.intake.calls import MAX_SEEN, Seen, record_of
from auditor.intake.otlp import JSON, PROTOBUF, Span, answer, read_spans
from auditor.intake.records import encode_record, read_record
from auditor.intake.schema import Record

START = 1_767_603_600_000_000_000
SALT = b"salt"


def picture() -> str:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.arange(3072, dtype=np.uint8).reshape(32, 32, 3)).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def sound() -> str:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((np.sin(np.arange(4000) / 8) * 9000).astype("<i2").tobytes())
    return base64.b64encode(out.getvalue()).decode()


def make(attributes: dict[str, Any], **more: Any) -> Record | None:
    fields: dict[str, Any] = {
        "trace": "0af7651916cd43dd8448eb211c80319c",
        "id": "b7ad6b7169203331",
        "name": "chat",
        "start_ns": START,
        "end_ns": START + 12_500_000,
        "attributes": attributes,
        "resource": {"service.name": "helpdesk"},
    }
    return record_of(Span(**{**fields, **more}), descriptors(), salt=SALT)


def inputs(record: Record | None) -> dict[str, Any]:
    assert record is not None
    return {entry.name: entry for entry in taken(record).inputs}


def taken(record: Record | None) -> Record:
    """The record as the archive takes it."""
    assert record is not None
    return read_record(encode_record(record))


GENAI = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2026",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 270,
    "gen_ai.usage.output_tokens": 3,
    "gen_ai.output.messages": json.dumps(
        [{"role": "assistant", "parts": [{"type": "text", "content": "A cat."}], "finish_reason": "stop"}]
    ),
}


def test_genai_conventions_with_every_kind_of_part() -> None:
    messages = [
        {"role": "system", "parts": [{"type": "text", "content": "You are careful."}]},
        {"role": "user", "parts": [{"type": "text", "content": "An earlier question"}]},
        {"role": "assistant", "parts": [{"type": "text", "content": "An earlier answer"}]},
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "What is in this picture?"},
                {"type": "blob", "modality": "image", "mime_type": "image/png", "content": picture()},
                {"type": "uri", "modality": "image", "uri": "http://169.254.169.254/latest/meta-data"},
                {"type": "blob", "modality": "audio", "mime_type": "audio/wav", "content": sound()},
                {"type": "file", "modality": "video", "file_id": "f-1"},
            ],
        },
    ]
    record = make({**GENAI, "gen_ai.input.messages": json.dumps(messages)})
    assert record is not None
    assert record.id == "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
    assert (record.model.name, record.model.version) == ("gpt-4o", "gpt-4o-2026")
    assert record.latency_s == pytest.approx(0.0125)
    found = inputs(record)
    assert set(found) == {"system", "prompt", "image", "image-2", "audio", "video", "history"}
    assert found["prompt"].descriptors["words"] == 5, "the present turn, not the whole conversation"
    assert found["history"].descriptors["words"] == 6
    assert (found["image"].descriptors["width"], found["image"].error) == (32.0, None)
    assert found["audio"].descriptors["duration_s"] == pytest.approx(0.5)
    assert found["image-2"].error == "remote", "a link in a trace is never followed"
    assert found["video"].error == "remote"
    assert found["image"].commitment is not None
    output = record.output
    assert output is not None
    assert output.text is not None
    assert output.text.descriptors["words"] == 2
    assert (output.tokens, output.finish, output.refused) == ({"input": 270, "output": 3}, "stop", False)
    assert "cat" not in encode_record(record).decode(), "contents go no further"


def test_contents_that_were_not_captured_are_not_missing_inputs() -> None:
    found = inputs(make(GENAI))
    assert found["prompt"].error == "not_captured"
    assert not found["prompt"].missing


def test_older_spellings_and_raw_content_parts() -> None:
    record = make(
        {
            "llm.request.type": "chat",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.prompt_tokens": 9,
            "gen_ai.usage.completion_tokens": 2,
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": json.dumps(
                [
                    {"type": "text", "text": "Listen."},
                    {"type": "input_audio", "input_audio": {"data": sound(), "format": "wav"}},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture()}"}},
                ]
            ),
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "A tone.",
            "gen_ai.completion.0.finish_reason": "content_filter",
        }
    )
    found = inputs(record)
    assert set(found) == {"prompt", "audio", "image"}
    assert all(entry.error is None for entry in found.values())
    assert record is not None
    assert record.output is not None
    assert record.output.tokens == {"input": 9, "output": 2}
    assert record.output.refused is True


OPENINFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.model_name": "gpt-4o-2026",
    "llm.invocation_parameters": json.dumps({"model": "gpt-4o", "temperature": 0.2}),
    "llm.token_count.prompt": 270,
    "llm.token_count.completion": 3,
    "llm.finish_reason": "stop",
    "llm.input_messages.0.message.role": "system",
    "llm.input_messages.0.message.content": "You are careful.",
    "llm.input_messages.1.message.role": "user",
    "llm.input_messages.1.message.contents.0.message_content.type": "text",
    "llm.input_messages.1.message.contents.0.message_content.text": "What is in this picture?",
    "llm.input_messages.1.message.contents.1.message_content.type": "image",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "A cat.",
}
IMAGE = "llm.input_messages.1.message.contents.1.message_content.image.image.url"


def test_openinference_with_sound_from_the_raw_request() -> None:
    raw = {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "You are careful."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is in this picture?"},
                    {"type": "input_audio", "input_audio": {"data": sound(), "format": "wav"}},
                ],
            },
        ],
    }
    chunk = ("First Token Stream Event", START + 4_000_000, {})
    attributes = {**OPENINFERENCE, IMAGE: f"data:image/png;base64,{picture()}", "input.value": json.dumps(raw)}
    record = make({**attributes, "user.id": "ada"}, events=(chunk,))
    found = inputs(record)
    assert set(found) == {"system", "prompt", "image", "audio"}
    assert found["audio"].descriptors["rate_hz"] == 8000.0
    assert record is not None
    assert (record.model.name, record.model.version) == ("gpt-4o", "gpt-4o-2026")
    assert record.first_token_s == pytest.approx(0.004)
    assert record.subject is not None
    assert "ada" not in record.subject


def test_what_was_redacted_is_an_error_of_the_input() -> None:
    assert inputs(make({**OPENINFERENCE, IMAGE: "__REDACTED__"}))["image"].error == "redacted"


def test_embeddings_carry_their_vectors() -> None:
    record = make(
        {
            "openinference.span.kind": "EMBEDDING",
            "embedding.model_name": "text-embedding-3-small",
            "embedding.embeddings.0.embedding.text": "hi",
            "embedding.embeddings.0.embedding.vector": [0.1, 0.2],
            "embedding.embeddings.1.embedding.vector": [0.3, 0.4],
        }
    )
    found = inputs(record)
    assert found["prompt"].embedding == (0.1, 0.2)
    assert found["prompt"].encoder == "text-embedding-3-small"
    assert found["prompt-2"].error == "not_captured"


def test_retrieved_documents_are_a_record_of_the_retriever() -> None:
    record = make(
        {
            "openinference.span.kind": "RETRIEVER",
            "input.value": "how do I reset it?",
            "retrieval.documents.0.document.content": "Hold the button.",
            "retrieval.documents.0.document.score": 0.9,
            "retrieval.documents.1.document.content": "Or pull the plug.",
            "retrieval.documents.1.document.score": 0.4,
        }
    )
    found = inputs(record)
    assert record is not None
    assert record.model.name == "helpdesk/retriever"
    assert set(found) == {"prompt", "documents"}
    assert found["documents"].scores == (0.9, 0.4)


def test_errors_names_and_groups() -> None:
    resource = {"auditor.model": "credit-assist", "service.name": "helpdesk"}
    event = ("exception", START + 1, {"exception.type": "openai.RateLimitError"})
    record = make({**GENAI, "auditor.group.site": "north"}, resource=resource, error="error", events=(event,))
    assert record is not None
    assert record.model.name == "credit-assist"
    assert record.groups == {"site": "north"}
    assert record.output is not None
    assert record.output.error == "openai.RateLimitError"
    typed = make({**GENAI, "error.type": "RateLimitError"}, error="too many")
    assert typed is not None
    assert typed.output is not None
    assert typed.output.error == "RateLimitError"


@pytest.mark.parametrize(
    ("said", "kept"),
    [("RateLimitError: no `my secret`", "RateLimitError"), ("TimeoutError", "TimeoutError"), ("my secret: x", "error")],
)
def test_the_words_of_a_failure_are_left_behind(said: str, kept: str) -> None:
    record = make(GENAI, error=said)
    assert record is not None
    assert record.output is not None
    assert record.output.error == kept


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"http.request.method": "GET"},
        {"openinference.span.kind": "CHAIN", "input.value": "x"},
        {"openinference.span.kind": "TOOL"},
        {"gen_ai.operation.name": "execute_tool", "gen_ai.request.model": "gpt-4o"},
    ],
)
def test_other_spans_are_left_alone(attributes: dict[str, Any]) -> None:
    assert make(attributes) is None


@pytest.mark.parametrize(
    "hostile",
    [
        {"gen_ai.input.messages": "[" * 5000},
        {"gen_ai.input.messages": '{"a": 1}'},
        {"gen_ai.input.messages": '[1, null, {"role": 5, "parts": [3, {"type": []}]}]'},
        {
            "gen_ai.input.messages": json.dumps(
                [{"role": "user", "parts": [{"type": "blob", "modality": "image", "content": "!"}]}]
            )
        },
        {
            "gen_ai.input.messages": json.dumps(
                [{"role": "user", "parts": [{"type": "blob", "modality": [], "content": 3}]}]
            )
        },
        {"gen_ai.response.finish_reasons": "stop", "gen_ai.usage.input_tokens": "many"},
        {"gen_ai.prompt.99999999999.content": "x", "gen_ai.prompt.x.content": "y"},
        {"gen_ai.request.model": 7, "gen_ai.response.model": ["x"]},
    ],
)
def test_hostile_attributes_make_a_record_or_nothing_worse(hostile: dict[str, Any]) -> None:
    assert taken(make({**GENAI, **hostile})).id


def test_a_span_that_cannot_be_a_record_is_refused() -> None:
    for wrong in ({"trace": ""}, {"start_ns": 0}, {"end_ns": START - 1}):
        with pytest.raises(RecordError):
            make(GENAI, **wrong)
    with pytest.raises(RecordError, match="names no model"):
        make({"gen_ai.operation.name": "chat"}, resource={})


def export() -> dict[str, Any]:
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "helpdesk"}}]},
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": "0af7651916cd43dd8448eb211c80319c",
                                "spanId": "b7ad6b7169203331",
                                "name": "chat",
                                "startTimeUnixNano": str(START),
                                "endTimeUnixNano": str(START + 5),
                                "attributes": [
                                    {"key": "n", "value": {"intValue": "270"}},
                                    {"key": "l", "value": {"arrayValue": {"values": [{"doubleValue": 0.5}]}}},
                                    {
                                        "key": "m",
                                        "value": {
                                            "kvlistValue": {"values": [{"key": "k", "value": {"boolValue": True}}]}
                                        },
                                    },
                                ],
                                "status": {"code": 2, "message": "boom"},
                                "someFutureField": 1,
                            }
                        ]
                    }
                ],
            }
        ]
    }


def test_json_and_protobuf_are_the_same_span() -> None:
    (one,) = read_spans(json.dumps(export()).encode(), JSON)
    assert one.trace == "0af7651916cd43dd8448eb211c80319c", "ids are hex in OTLP/JSON"
    assert one.attributes == {"n": 270, "l": [0.5], "m": {"k": True}}
    assert one.error == "boom"
    message = ExportTraceServiceRequest()
    span = message.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id = bytes.fromhex(one.trace), bytes.fromhex(one.id)
    span.start_time_unix_nano, span.end_time_unix_nano, span.name = one.start_ns, one.end_ns, one.name
    (other,) = read_spans(message.SerializeToString(), PROTOBUF)
    assert (other.trace, other.id, other.start_ns) == (one.trace, one.id, one.start_ns)


SPELLINGS: list[tuple[Any, Any]] = [
    ({"stringValue": "x"}, "x"),
    ({"stringValue": ""}, ""),
    ({"intValue": "0"}, 0),
    ({"intValue": -7}, -7),
    ({"intValue": "9223372036854775807"}, 2**63 - 1),
    ({"intValue": "9223372036854775808"}, RecordError),
    ({"intValue": "1_0"}, RecordError),
    ({"intValue": 1.0}, 1),
    ({"intValue": 1.5}, RecordError),
    ({"doubleValue": 5}, 5.0),
    ({"doubleValue": 0.0}, 0.0),
    ({"doubleValue": "NaN"}, "nan"),
    ({"doubleValue": "many"}, RecordError),
    ({"boolValue": False}, False),
    ({"boolValue": None}, None),
    ({"boolValue": 1}, RecordError),
    ({"bytesValue": "AAEC"}, "AAEC"),
    ({"somethingNew": 1}, None),
    ({}, None),
    (None, None),
    ({"arrayValue": {}}, []),
    ({"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "3"}, {}]}}, ["a", 3, None]),
    ({"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": True}}]}}, {"k": True}),
]


@pytest.mark.parametrize(("value", "wanted"), SPELLINGS)
def test_values_of_json_are_read_as_the_specification_spells_them(value: Any, wanted: Any) -> None:
    data = export()
    span = data["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span["attributes"] = [{"key": "v", "value": value}]
    span["events"] = [{"name": "exception", "timeUnixNano": str(START), "attributes": [{"key": "v", "value": value}]}]
    body = json.dumps(data).encode()
    if wanted is RecordError:
        with pytest.raises(RecordError, match="no trace export"):
            read_spans(body, JSON)
        return
    (read,) = read_spans(body, JSON)
    for found in (read.attributes["v"], read.events[0][2]["v"]):
        assert (str(found), type(found)) == (str(wanted), float if wanted == "nan" else type(wanted))


@pytest.mark.parametrize(
    ("of_span", "field", "wanted"),
    [
        ({"traceId": "0A"}, "trace", "0a"),
        ({"parentSpanId": "0B"}, "parent", "0b"),
        ({"parentSpanId": None}, "parent", ""),
        ({"startTimeUnixNano": START}, "start_ns", START),
        ({"status": {"code": "STATUS_CODE_ERROR"}}, "error", "error"),
        ({"status": None, "events": None, "kind": 3, "links": 5}, "error", None),
    ],
)
def test_fields_of_json_spans(of_span: dict[str, Any], field: str, wanted: Any) -> None:
    data = export()
    data["resourceSpans"][0]["scopeSpans"][0]["spans"][0].update(of_span)
    (read,) = read_spans(json.dumps(data).encode(), JSON)
    assert getattr(read, field) == wanted


def test_only_attributes_that_are_wanted_are_read() -> None:
    for spelled in (export(), {"resourceSpans": [{**export()["resourceSpans"][0], "schemaUrl": "x"}]}):
        (span,) = read_spans(json.dumps(spelled).encode(), JSON, ("n", "serv"))
        assert (span.attributes, span.resource) == ({"n": 270}, {"service.name": "helpdesk"})


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (b"\xff\xff", PROTOBUF),
        (b"[]", JSON),
        (b"{", JSON),
        (b'{"resourceSpans": 3}', JSON),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "zz"}]}]}]}', JSON),
        (b'{"a":' * 30_000 + b"1" + b"}" * 30_000, JSON),
    ],
)
def test_what_is_no_export(body: bytes, media: str) -> None:
    with pytest.raises(RecordError) as error:
        read_spans(body, media)
    assert error.value.code == "bad_otlp"


def test_answers() -> None:
    assert answer(PROTOBUF) == b""
    assert json.loads(answer(JSON)) == {}
    response = ExportTraceServiceResponse.FromString(answer(PROTOBUF, 2, "why"))
    assert (response.partial_success.rejected_spans, response.partial_success.error_message) == (2, "why")
    assert json_format.Parse(answer(JSON, 2, "why"), ExportTraceServiceResponse()) == response


def test_a_long_text_that_comes_again_is_described_once() -> None:
    class Counting:
        version, calls = "1", 0

        def describe(self, value: Any, *, rate: float | None = None) -> dict[str, float]:
            self.calls += 1
            return {"chars": float(len(value))}

    plugin: Any = Counting()
    seen: Seen = {}

    def told(system: str, asked: str, salt: bytes = SALT) -> Any:
        messages = [{"role": role, "content": text} for role, text in (("system", system), ("user", asked))]
        attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
        span = Span("a", "b", "", START, START, {**attributes, "gen_ai.input.messages": json.dumps(messages)})
        return taken(record_of(span, {"text": plugin}, salt=salt, seen=seen)).inputs[::-1]

    rules = "Be careful. " * 50
    first, again = told(rules, "Why?"), told(rules, "How?")
    assert first[0] == again[0]
    assert first[0].descriptors == {"chars": 600.0}
    assert plugin.calls == 3, "the rules, and two questions"
    assert told("Be quick. " * 60, rules)[1].name == "prompt", "the same text in another place is another input"
    assert plugin.calls == 5
    assert told(rules, rules, b"pepper")[0].commitment != first[0].commitment
    assert "careful" not in str(seen)
    for number in range(MAX_SEEN):
        told(f"{number} {rules}", "x")
    assert len(seen) <= MAX_SEEN
