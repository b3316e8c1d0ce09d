"""What a span says about one call of a model, in the three spellings that instrumentations use today.

- OpenTelemetry GenAI conventions, messages as a JSON string of roles with parts (`gen_ai.input.messages`);
- the same as older and Traceloop instrumentations write it: raw OpenAI content parts inside, `gen_ai.prompt.N.content`,
  `gen_ai.system`, `prompt_tokens`;
- OpenInference: flattened lists (`llm.input_messages.N.message.contents.M.message_content.image.image.url`), with what
  the flattening leaves out (audio) only in the raw request under `input.value`.

Everything here is plain reading: nothing is decoded, fetched or described yet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from auditor.core.messages import (
    MEDIA,
    REDACTED,
    Message,
    Raw,
    from_address,
    message_of,
    messages_of,
    parts_of,
    role_of,
)
from auditor.intake.otlp import Span

CALLS = frozenset(
    {
        "chat",
        "text_completion",
        "generate_content",
        "embeddings",
        "completion",
        "retrieval",
        "image_generation",
        "speech",
    }
)
NAMES = (
    "gen_ai.",
    "ai.",
    "llm.",
    "output.value",
    "openinference.",
    "embedding.",
    "retrieval.",
    "reranker.",
    "input.value",
)
"""How the names of attributes begin that are read here."""
KINDS = {"LLM": "chat", "EMBEDDING": "embeddings", "RETRIEVER": "retrieval", "RERANKER": "retrieval"}
_NUMBER = re.compile(r"\d{1,4}")
_MAX_JSON = 32 << 20
_decode = msgspec.json.Decoder().decode
_TOKENS = (
    ("input", "gen_ai.usage.input_tokens"),
    ("input", "gen_ai.usage.prompt_tokens"),
    ("output", "gen_ai.usage.output_tokens"),
    ("output", "gen_ai.usage.completion_tokens"),
)


@dataclass(slots=True)
class Call:
    """One call of a model, as far as its span tells."""

    operation: str
    model: str | None = None
    version: str | None = None
    messages: list[Message] = field(default_factory=list)
    answer: list[Raw] = field(default_factory=list)
    captured: bool = False
    documents: list[str] = field(default_factory=list)
    scores: list[float] | None = None
    vectors: list[tuple[str | None, list[float] | None]] = field(default_factory=list)
    tokens: dict[str, int] = field(default_factory=dict)
    finish: str | None = None
    refused: bool | None = None
    response: str | None = None


def read_call(span: Span) -> Call | None:
    """The call that a span stands for; None for a span of anything else (a web request, a chain, a tool)."""
    at = span.attributes
    operation = at.get("gen_ai.operation.name") or KINDS.get(str(at.get("openinference.span.kind", "")).upper())
    if operation is None and ("gen_ai.request.model" in at or "llm.request.type" in at):
        operation = str(at.get("llm.request.type") or "chat")
    if operation not in CALLS:
        return None
    call = Call(str(operation))
    inference = at.get("openinference.span.kind") is not None
    (_openinference if inference else _genai)(call, at, span)
    call.response = _text(at, "gen_ai.response.id") or _response_id(_text(at, "output.value"))
    return call


# -- OpenTelemetry GenAI, and its older spellings --------------------------------------------------------------------------


def _genai(call: Call, at: Mapping[str, Any], span: Span) -> None:
    call.model, call.version = _text(at, "gen_ai.request.model"), _text(at, "gen_ai.response.model")
    for side, name in _TOKENS:
        count = at.get(name)
        if isinstance(count, int) and not isinstance(count, bool):
            call.tokens.setdefault(side, count)
    reasons = at.get("gen_ai.response.finish_reasons")
    call.finish = str(reasons[0]) if isinstance(reasons, list) and reasons else None
    asked = _first(at, span, "gen_ai.input.messages", "gen_ai.prompt.")
    given = _first(at, span, "gen_ai.output.messages", "gen_ai.completion.")
    system = _json(_from_anywhere(at, span, "gen_ai.system_instructions"))
    if isinstance(system, list):
        call.messages.append(("system", list(parts_of(system))))
    if asked is None:
        asked = _json(_text(at, "ai.prompt.messages"))
    call.captured = asked is not None
    call.messages += messages_of(asked)
    for entry in given or ():
        call.answer += [raw for _, parts in message_of(entry) for raw in parts]
        if call.finish is None and isinstance(entry, dict) and entry.get("finish_reason"):
            call.finish = str(entry["finish_reason"])
    if not call.answer and (text := _text(at, "ai.response.text")):
        call.answer.append(Raw("text", text))
    if call.finish is None:
        call.finish = _text(at, "ai.response.finishReason")
    _completion(call, at)
    found = _json(at.get("gen_ai.retrieval.documents"))
    if isinstance(found, list):
        _documents(call, found)
        query = _text(at, "gen_ai.retrieval.query.text")
        if query:
            call.messages.append(("user", [Raw("text", query)]))
    _refusal(call)


def _from_anywhere(at: Mapping[str, Any], span: Span, name: str) -> Any:
    """An attribute of the span, or of the event that some instrumentations put contents into."""
    if name in at:
        return at[name]
    return next((attributes[name] for _, _, attributes in span.events if name in attributes), None)


def _first(at: Mapping[str, Any], span: Span, name: str, flat: str) -> list[Any] | None:
    """Messages as the JSON string, or flattened as older instrumentations do."""
    found = _json(_from_anywhere(at, span, name))
    if isinstance(found, list):
        return found
    entries = [entry for _, entry in sorted(_numbered(at, flat).items())]
    return entries or None


# -- OpenInference ---------------------------------------------------------------------------------------------------------


def _openinference(call: Call, at: Mapping[str, Any], span: Span) -> None:
    asked = _json(_text(at, "llm.invocation_parameters") or _text(at, "embedding.invocation_parameters"))
    call.version = _text(at, "llm.model_name") or _text(at, "embedding.model_name")
    named = asked.get("model") if isinstance(asked, dict) else None
    call.model = named if isinstance(named, str) and named else call.version
    for side, name in (("input", "prompt"), ("output", "completion")):
        count = at.get(f"llm.token_count.{name}")
        if isinstance(count, int) and not isinstance(count, bool):
            call.tokens[side] = count
    call.finish = _text(at, "llm.finish_reason")
    for _, entry in sorted(_numbered(at, "llm.input_messages.").items()):
        call.messages.append(_flat_message(entry))
    for _, entry in sorted(_numbered(at, "llm.output_messages.").items()):
        call.answer += _flat_message(entry)[1]
    for _, entry in sorted(_numbered(at, "embedding.embeddings.").items()):
        vector = entry.get("embedding.vector")
        numbers = [float(x) for x in vector] if isinstance(vector, list) and all(map(_is_number, vector)) else None
        call.vectors.append((_text(entry, "embedding.text"), numbers or None))
    for prefix in ("retrieval.documents.", "reranker.output_documents."):
        flat = [entry for _, entry in sorted(_numbered(at, prefix).items())]
        _documents(call, [{key.removeprefix("document."): value for key, value in entry.items()} for entry in flat])
    _raw_request(call, at)
    call.captured = bool(call.messages or call.vectors)
    _completion(call, at)
    _refusal(call)


def _flat_message(entry: Mapping[str, Any]) -> Message:
    text = _text(entry, "message.content")
    parts = [] if text is None else list(parts_of(text))
    for _, part in sorted(_numbered(entry, "message.contents.").items()):
        kind = part.get("message_content.type")
        if kind in MEDIA:
            parts.append(from_address(kind, part.get(f"message_content.{kind}.{kind}.url")))
        else:
            parts += parts_of({"type": kind, "text": part.get("message_content.text")})
    return role_of(entry.get("message.role", "user")), parts


def _raw_request(call: Call, at: Mapping[str, Any]) -> None:
    """What only the raw request holds: the query of a retriever, and sound, which the flattened messages leave out."""
    raw = _text(at, "input.value")
    if raw is None or raw == REDACTED:
        return
    if call.operation == "retrieval" and not call.messages:
        query = _text(at, "reranker.query") or raw
        call.messages.append(("user", [Raw("text", query)]))
    if "input_audio" not in raw:
        return
    request = _json(raw)
    entries = request.get("messages") if isinstance(request, dict) else None
    if not isinstance(entries, list) or len(entries) != len(call.messages):
        return
    for index, ((role, parts), entry) in enumerate(zip(call.messages, entries, strict=True)):
        if all(raw.modality != "audio" for raw in parts):
            more = [raw for _, found in message_of(entry) for raw in found if raw.modality == "audio"]
            call.messages[index] = (role, [*parts, *more])


_RESPONSE_ID = re.compile(r'\{\s*"id"\s*:\s*"([^"]{1,200})"')


def _response_id(raw: str | None) -> str | None:
    """The provider's id of a response whose JSON begins with it."""
    match = None if raw is None else _RESPONSE_ID.match(raw)
    return None if match is None else match[1]


def _completion(call: Call, at: Mapping[str, Any]) -> None:
    """Prompts and completions of models without messages: `llm.prompts`, as a list, as its JSON, or flattened."""
    if not call.messages:
        said = _json(at.get("llm.prompts"))
        prompts = said if isinstance(said, list) else [e for _, e in sorted(_numbered(at, "llm.prompts.").items())]
        texts = [entry.get("prompt.text") if isinstance(entry, dict) else entry for entry in prompts]
        if isinstance(single := at.get("llm.prompts"), str) and not isinstance(said, list):
            texts = [single]
        known = [Raw("text", text) for text in texts if isinstance(text, str)]
        if known:
            call.messages.append(("user", known))
            call.captured = True
    if not call.answer:
        for _, entry in sorted(_numbered(at, "llm.choices.").items()):
            if isinstance(text := entry.get("completion.text"), str):
                call.answer.append(Raw("text", text))


# -- shared ----------------------------------------------------------------------------------------------------------------


def _documents(call: Call, entries: list[Any]) -> None:
    rows = [entry for entry in entries if isinstance(entry, dict)]
    texts = [entry.get("content") for entry in rows]
    call.documents += [text for text in texts if isinstance(text, str)]
    scores = [entry.get("score") for entry in rows]
    if rows and all(map(_is_number, scores)):
        call.scores = [float(score) for score in scores]  # type: ignore[arg-type]


def _refusal(call: Call) -> None:
    if call.finish is not None:
        call.refused = call.finish in ("content_filter", "refusal", "safety", "SAFETY")


def _numbered(at: Mapping[str, Any], prefix: str) -> dict[int, dict[str, Any]]:
    """`prefix.N.rest` -> {N: {rest: value}}."""
    found: dict[int, dict[str, Any]] = {}
    for key, value in at.items():
        if key.startswith(prefix):
            number, _, rest = key[len(prefix) :].partition(".")
            if rest and _NUMBER.fullmatch(number):
                found.setdefault(int(number), {})[rest] = value
    return found


def _json(text: Any) -> Any:
    if not isinstance(text, str):
        return text if isinstance(text, (list, dict)) else None
    if len(text) > _MAX_JSON:
        return None
    try:
        return _decode(text)
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(text)  # takes some more: NaN, halves of characters
    except (ValueError, RecursionError):
        return None


def _text(at: Mapping[str, Any], name: str) -> str | None:
    value = at.get(name)
    return value if isinstance(value, str) and value else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 3.4e38
