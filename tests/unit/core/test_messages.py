"""Conversations of every provider become the same inputs."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from auditor.core.input_names import MOST_EACH, name_parts, number_parts, payload_of
from auditor.core.messages import REDACTED, Raw, messages_of, part_of

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
B64 = base64.b64encode(PNG).decode()
URI = f"data:image/png;base64,{B64}"


class Thing:
    """A client library's object: the same keys as attributes."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


PICTURES: dict[str, Any] = {
    "openai chat": {"type": "image_url", "image_url": {"url": URI}},
    "openai responses": {"type": "input_image", "image_url": URI},
    "anthropic": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": B64}},
    "gemini": {"inline_data": {"mime_type": "image/png", "data": PNG}},
    "gemini rest": {"inlineData": {"mimeType": "image/png", "data": B64}},
    "langchain 0.3": {"type": "image", "source_type": "base64", "data": B64, "mime_type": "image/png"},
    "langchain 1": {"type": "image", "base64": B64, "mime_type": "image/png"},
    "langchain media": {"type": "media", "mime_type": "image/png", "data": B64},
    "vercel": {"type": "image", "image": URI, "mediaType": "image/png"},
    "vercel file": {"type": "file", "data": B64, "mediaType": "image/png"},
    "otel blob": {"type": "blob", "modality": "image", "mime_type": "image/png", "content": B64},
    "bedrock": {"image": {"format": "png", "source": {"bytes": PNG}}},
    "object": Thing(type="image", source=Thing(type="base64", media_type="image/png", data=B64)),
}


@pytest.mark.parametrize("shape", PICTURES)
def test_a_picture_is_an_image_in_every_shape(shape: str) -> None:
    conversation = messages_of([{"role": "user", "content": [PICTURES[shape], {"type": "text", "text": "What?"}]}])
    parts, left = name_parts(conversation)
    found = {part.name: payload_of(part) for part in parts}
    assert found == {"image": (PNG, None), "prompt": ("What?", None)}
    assert left == 0


@pytest.mark.parametrize(
    ("part", "name", "error"),
    [
        ({"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}, "image", "remote"),
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, "image", "remote"),
        ({"type": "uri", "modality": "audio", "uri": "gs://x/y.wav"}, "audio", "remote"),
        ({"type": "image_url", "image_url": {"url": REDACTED}}, "image", "redacted"),
        ({"type": "text", "text": REDACTED}, "prompt", "redacted"),
        ({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}}, "file", "unsupported_file"),
        ({"type": "input_audio", "input_audio": {}}, "audio", "not_captured"),
        ({"type": "hologram", "payload": 1}, "part", "unknown_part"),
        ({"type": ["list"]}, "part", "unknown_part"),
        (17, "part", "unknown_part"),
        ({"type": "image", "image": "%%%"}, "image", "decode_failed"),
    ],
)  # fmt: skip
def test_a_part_without_its_content_has_an_error_and_is_never_dropped(part: Any, name: str, error: str) -> None:
    (found,), _ = name_parts(messages_of([{"role": "user", "content": [part]}]))
    assert (found.name, payload_of(found)[1]) == (name, error)


def test_the_models_own_reasoning_and_tool_calls_are_no_inputs() -> None:
    own = [{"type": "thinking", "thinking": "hm"}, {"type": "tool_use", "id": "1", "name": "f", "input": {}}]
    assert name_parts(messages_of([{"role": "assistant", "content": own}])) == ([], 0)
    assert part_of({"thought": True, "text": "hm"}) == Raw(None)


@pytest.mark.parametrize(
    "result",
    [
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "42"}]},
        {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "42"}]}]},
        {"role": "tool", "content": "42"},
        {"type": "function_call_output", "call_id": "1", "output": "42"},
        {"role": "tool", "content": [{"type": "tool-result", "output": {"type": "text", "value": "42"}}]},
        {"role": "user", "parts": [{"type": "tool_call_response", "response": "42"}]},
        {"role": "user", "parts": [{"function_response": {"name": "f", "response": 42}}]},
        {"lc": 1, "id": ["langchain", "schema", "ToolMessage"], "kwargs": {"content": "42"}},
    ],
)
def test_results_of_tools_are_an_input_of_their_own(result: Any) -> None:
    parts, _ = name_parts(messages_of([{"role": "user", "content": "Why?"}, result]))
    assert {part.name: payload_of(part)[0] for part in parts} == {"prompt": "Why?", "tool": "42"}


def test_roles_of_every_provider() -> None:
    said = messages_of(
        [
            ("system", "a"),
            {"role": "developer", "content": "b"},
            {"type": "human", "content": "c"},
            {"role": "model", "parts": [{"text": "d"}]},
            {"lc": 1, "id": ["x", "AIMessageChunk"], "kwargs": {"content": "e"}},
            {"role": "unheard-of", "content": "f"},
        ]
    )
    assert [role for role, _ in said] == ["system", "system", "user", "assistant", "assistant", "user"]


def test_more_media_than_the_bound_are_counted() -> None:
    parts, left = name_parts([("user", [Raw("image", b"x")] * (MOST_EACH + 3))])
    assert [part.name for part in parts][:2] == ["image", "image-2"]
    assert (len(parts), left) == (MOST_EACH, 3)


def test_texts_that_are_inputs_each_by_itself() -> None:
    assert [part.name for part in number_parts([Raw("text", "a"), Raw("text", "b")])[0]] == ["prompt", "prompt-2"]
