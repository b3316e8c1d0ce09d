"""One conversation, recorded by a watched client, OpenInference, OpenTelemetry GenAI and a pipeline, has the same inputs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from provider_server import base64_of, data_uri, png

from auditor import registry
from auditor.intake.calls import record_of
from auditor.intake.otlp import Span

NAMES = {"system": "text", "prompt": "text", "image": "image", "history": "text"}
SYSTEM, EARLIER, ANSWER, QUESTION = "be short", "hello", "a cat", "what is this"


def openai_messages() -> list[dict[str, Any]]:
    picture = {"type": "image_url", "image_url": {"url": data_uri(png(6, 5), "image/png")}}
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": EARLIER},
        {"role": "assistant", "content": ANSWER},
        {"role": "user", "content": [{"type": "text", "text": QUESTION}, picture]},
    ]


def by_name(record: Any) -> dict[str, str]:
    if isinstance(record, dict):
        return {entry["name"]: entry["modality"] for entry in record["inputs"]}
    return {entry.name: entry.modality for entry in record.inputs}


def of_span(attributes: dict[str, Any]) -> dict[str, str]:
    found = {plugin.modality: plugin for plugin in registry.available("descriptors").values()}
    span = Span("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "chat", 10**18, 10**18 + 1, attributes)
    return by_name(record_of(span, found, salt=b"salt"))


def test_the_watched_client(provider: Any, make_agent: Any, records: Any) -> None:
    openai = pytest.importorskip("openai", reason="openai is not installed")
    agent = make_agent()
    with openai.OpenAI(base_url=provider.url + "/v1", api_key="x", max_retries=0) as client:
        agent.watch(client).chat.completions.create(model="gpt-4o", messages=openai_messages())
    assert by_name(records(agent)[0]) == NAMES


def test_opentelemetry_genai() -> None:
    blob = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": base64_of(png(6, 5))}
    messages = [
        {"role": "system", "parts": [{"type": "text", "content": SYSTEM}]},
        {"role": "user", "parts": [{"type": "text", "content": EARLIER}]},
        {"role": "assistant", "parts": [{"type": "text", "content": ANSWER}]},
        {"role": "user", "parts": [{"type": "text", "content": QUESTION}, blob]},
    ]
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
    assert of_span({**attributes, "gen_ai.input.messages": json.dumps(messages)}) == NAMES


def test_openinference() -> None:
    attributes: dict[str, Any] = {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o"}
    for index, (role, text) in enumerate((("system", SYSTEM), ("user", EARLIER), ("assistant", ANSWER))):
        attributes |= {
            f"llm.input_messages.{index}.message.role": role,
            f"llm.input_messages.{index}.message.content": text,
        }
    last = "llm.input_messages.3.message."
    attributes |= {
        f"{last}role": "user",
        f"{last}contents.0.message_content.type": "text",
        f"{last}contents.0.message_content.text": QUESTION,
        f"{last}contents.1.message_content.type": "image",
        f"{last}contents.1.message_content.image.image.url": data_uri(png(6, 5), "image/png"),
    }
    assert of_span(attributes) == NAMES


def test_the_pipeline(make_agent: Any, records: Any) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("torch", reason="torch is not installed")
    import tiny_models as tiny

    model, processor = tiny.llava()
    agent = make_agent()
    watched = agent.watch(transformers.pipeline("image-text-to-text", model=model, processor=processor))
    said = {"system": SYSTEM, "user": EARLIER, "assistant": ANSWER}
    messages = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in said.items()]
    asked = [{"type": "image", "image": tiny.picture()}, {"type": "text", "text": QUESTION}]
    watched(text=[*messages, {"role": "user", "content": asked}], max_new_tokens=4, do_sample=False)
    assert by_name(records(agent)[0]) == NAMES
