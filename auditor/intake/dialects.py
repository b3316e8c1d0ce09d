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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

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
NAMES = ("gen_ai.", "llm.", "openinference.", "embedding.", "retrieval.", "reranker.", "input.value")
"""How the names of attributes begin that are read here."""
KINDS = {"LLM": "chat", "EMBEDDING": "embeddings", "RETRIEVER": "retrieval", "RERANKER": "retrieval"}
_REDACTED = "__REDACTED__"
_NUMBER = re.compile(r"\d{1,4}")
_MAX_JSON = 32 << 20
_decode = msgspec.json.Decoder().decode
_TOKENS = (
    ("input", "gen_ai.usage.input_tokens"),
    ("input", "gen_ai.usage.prompt_tokens"),
    ("output", "gen_ai.usage.output_tokens"),
    ("output", "gen_ai.usage.completion_tokens"),
)


class Part(NamedTuple):
    """One part of a message.

    Attributes
    ----------
    modality : str
        text, image, audio or video.
    text : str or None
        Of a text.
    data : str or None
        Base64 of an encoded file.
    error : str or None
        Why there is neither: `redacted`, `not_here` (a link, which is never followed).
    """

    modality: str
    text: str | None = None
    data: str | None = None
    error: str | None = None


class Message(NamedTuple):
    """Who speaks, and what."""

    role: str
    parts: tuple[Part, ...]


@dataclass(slots=True)
class Call:
    """One call of a model, as far as its span tells."""

    operation: str
    model: str | None = None
    version: str | None = None
    messages: list[Message] = field(default_factory=list)
    answer: list[Part] = field(default_factory=list)
    captured: bool = False
    documents: list[str] = field(default_factory=list)
    scores: list[float] | None = None
    vectors: list[tuple[str | None, list[float] | None]] = field(default_factory=list)
    tokens: dict[str, int] = field(default_factory=dict)
    finish: str | None = None
    refused: bool | None = None


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
        call.messages.append(Message("system", tuple(_parts(system))))
    call.captured = asked is not None
    for entry in asked or ():
        call.messages.append(_message(entry))
    for entry in given or ():
        call.answer += _message(entry).parts
        if call.finish is None and isinstance(entry, dict) and entry.get("finish_reason"):
            call.finish = str(entry["finish_reason"])
    found = _json(at.get("gen_ai.retrieval.documents"))
    if isinstance(found, list):
        _documents(call, found)
        query = _text(at, "gen_ai.retrieval.query.text")
        if query:
            call.messages.append(Message("user", (Part("text", query),)))
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


def _message(entry: Any) -> Message:
    if not isinstance(entry, dict):
        return Message("user", ())
    role = str(entry.get("role", "user"))
    content = entry.get("parts", entry.get("content"))
    if isinstance(content, str):
        unpacked = _json(content) if content.startswith("[{") else None
        content = unpacked if isinstance(unpacked, list) else [{"type": "text", "text": content}]
    return Message(role, tuple(_parts(content if isinstance(content, list) else ())))


def _parts(entries: Any) -> Iterator[Part]:
    """Parts of GenAI messages, and OpenAI's own content parts, which some instrumentations pass on as they are."""
    for entry in entries:
        if isinstance(entry, str):
            yield Part("text", entry)
        if not isinstance(entry, dict):
            continue
        kind = entry.get("type")
        if kind in ("text", "input_text", "output_text"):
            text = entry.get("content", entry.get("text"))
            if isinstance(text, str):
                yield Part("text", text)
        elif kind == "blob":
            yield _media(entry.get("modality"), entry.get("content"))
        elif kind in ("uri", "file"):
            yield _linked(entry.get("modality"), entry.get("uri"))
        elif kind in ("image_url", "input_image"):
            url = entry.get("image_url")
            yield _linked("image", url.get("url") if isinstance(url, dict) else url)
        elif kind == "input_audio":
            audio = entry.get("input_audio")
            yield _media("audio", audio.get("data") if isinstance(audio, dict) else None)
        elif kind == "tool_call_response":
            result = entry.get("response", entry.get("result"))
            if result is not None:
                yield Part("text", result if isinstance(result, str) else json.dumps(result, default=str))


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
        call.answer += _flat_message(entry).parts
    for _, entry in sorted(_numbered(at, "embedding.embeddings.").items()):
        vector = entry.get("embedding.vector")
        numbers = [float(x) for x in vector] if isinstance(vector, list) and all(map(_is_number, vector)) else None
        call.vectors.append((_text(entry, "embedding.text"), numbers or None))
    for prefix in ("retrieval.documents.", "reranker.output_documents."):
        flat = [entry for _, entry in sorted(_numbered(at, prefix).items())]
        _documents(call, [{key.removeprefix("document."): value for key, value in entry.items()} for entry in flat])
    _raw_request(call, at)
    call.captured = bool(call.messages or call.vectors)
    _refusal(call)


def _flat_message(entry: Mapping[str, Any]) -> Message:
    parts: list[Part] = []
    text = _text(entry, "message.content")
    if text is not None:
        parts.append(Part("text", text))
    for _, part in sorted(_numbered(entry, "message.contents.").items()):
        kind = part.get("message_content.type")
        if kind == "text" and isinstance(part.get("message_content.text"), str):
            parts.append(Part("text", part["message_content.text"]))
        elif kind in ("image", "audio", "video"):
            parts.append(_linked(kind, part.get(f"message_content.{kind}.{kind}.url")))
    return Message(str(entry.get("message.role", "user")), tuple(parts))


def _raw_request(call: Call, at: Mapping[str, Any]) -> None:
    """What only the raw request holds: the query of a retriever, and sound, which the flattened messages leave out."""
    raw = _text(at, "input.value")
    if raw is None or raw == _REDACTED:
        return
    if call.operation == "retrieval" and not call.messages:
        query = _text(at, "reranker.query") or raw
        call.messages.append(Message("user", (Part("text", query),)))
    if "input_audio" not in raw:
        return
    request = _json(raw)
    entries = request.get("messages") if isinstance(request, dict) else None
    if not isinstance(entries, list) or len(entries) != len(call.messages):
        return
    for index, (message, entry) in enumerate(zip(call.messages, entries, strict=True)):
        known = {part.modality for part in message.parts}
        more = tuple(part for part in _message(entry).parts if part.modality == "audio" and "audio" not in known)
        call.messages[index] = Message(message.role, message.parts + more)


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


def _media(modality: Any, data: Any) -> Part:
    kind = modality if modality in ("image", "audio", "video") else "image"
    if not isinstance(data, str) or not data:
        return Part(kind, error="not_captured")
    return Part(kind, error="redacted") if data == _REDACTED else Part(kind, data=data)


def _linked(modality: Any, url: Any) -> Part:
    """A data URI carries its file; any other address is not followed: a trace must not make this service fetch things."""
    if isinstance(url, str) and url.startswith("data:"):
        head, comma, data = url.partition(",")
        kind = head[5:].split("/", 1)[0]
        return (
            _media(modality or kind, data)
            if comma and head.endswith(";base64")
            else Part(_kind(modality), error="decode_failed")
        )
    if url == _REDACTED:
        return Part(_kind(modality), error="redacted")
    return Part(_kind(modality), error="not_here" if isinstance(url, str) and url else "not_captured")


def _kind(modality: Any) -> str:
    return modality if modality in ("image", "audio", "video") else "image"


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
