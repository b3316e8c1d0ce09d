"""Reading conversations: roles, messages and their parts, in the shapes of every provider and library.

Watched clients, traces, web applications and pipelines all read conversations here; `core.input_names` gives their parts
the names of inputs. Shapes that are read: OpenAI (chat and responses), Anthropic, Gemini, Bedrock, LangChain,
OpenTelemetry GenAI, Vercel AI SDK, Hugging Face chat templates. Reading decodes nothing and fetches nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

MEDIA = ("image", "audio", "video")
REDACTED = "__REDACTED__"
"""The value that instrumentations leave in place of content they were told to hide."""

ROLES = {
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function", "ipython"), "tool"),
    **dict.fromkeys(("assistant", "ai", "model", "bot"), "assistant"),
}
"""Roles as the providers spell them; a role that is not listed is a user's."""
_OWN = frozenset(
    {
        *("reasoning", "thinking", "redacted_thinking", "tool_call", "tool-call", "tool_use", "function_call"),
        *("server_tool_use", "tool-approval-request", "executable_code"),
    }
)
"""Kinds of parts that the model made for itself: they are no input."""
_RESULTS = frozenset({"tool_result", "tool-result", "tool_call_response", "function_call_output", "function_response"})


class Raw(NamedTuple):
    """One part as it was found.

    Attributes
    ----------
    modality : str or None
        None: nothing that is an input (the model's own reasoning or tool call).
    value : object
        Text, bytes, base64 text, a data URI, or a decoded payload.
    coding : str
        `plain`, `base64`, `data` (a data URI), or the error code why the value is absent.
    """

    modality: str | None
    value: Any = None
    coding: str = "plain"


Message = tuple[str, Sequence[Raw]]
"""Role (a value of `ROLES`) and parts."""


def get(holder: Any, name: str) -> Any:
    """A key of a mapping, or an attribute; None when there is none."""
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


def _kind(part: Any) -> str:
    """The kind that a part or a message declares, which may be an enumeration's member; empty without one."""
    found = get(part, "type")
    return str(getattr(found, "value", found) or "").lower()


def _either(holder: Any, *names: str) -> Any:
    return next((found for name in names if (found := get(holder, name)) is not None), None)


# -- messages ---------------------------------------------------------------------------------------------------------


def messages_of(entries: Any) -> list[Message]:
    """The messages of a conversation, oldest first, in any of the shapes above; a text alone is a user's.

    >>> messages_of([{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hello"}])
    [('system', [Raw(modality='text', value='Be brief.', coding='plain')]), ('user', [Raw(modality='text', value='Hello', coding='plain')])]
    """
    if entries is None:
        return []
    if isinstance(entries, (str, Mapping)) or not isinstance(entries, Iterable):
        entries = [entries]
    return [message for entry in entries for message in message_of(entry)]


def message_of(entry: Any) -> Iterator[Message]:
    """The messages that one entry stands for: results of tools inside a user's message are a message of their own."""
    if isinstance(entry, str):
        yield "user", [Raw("text", entry)]
        return
    if isinstance(entry, (list, tuple)) and len(entry) == 2 and all(isinstance(part, str) for part in entry):
        entry = {"role": entry[0], "content": entry[1]}  # LangChain's short form
    if isinstance(get(entry, "kwargs"), Mapping) and isinstance(get(entry, "id"), (list, tuple)):
        entry = {"role": _lc_role(get(entry, "id")[-1]), **get(entry, "kwargs")}  # LangChain's serialised form
    kind = _kind(entry)
    if kind in _RESULTS or kind.endswith("_call_output"):
        yield "tool", list(parts_of(_result(entry)))
        return
    if kind in _OWN or (kind.endswith("_call") and get(entry, "role") is None):
        return
    role = role_of(_either(entry, "role") or (kind if kind in ROLES else "user"))
    content = _either(entry, "parts", "content")
    content = _unpacked(content) if isinstance(content, str) else content
    results: list[Raw] = []
    parts: list[Raw] = []
    for part in content if isinstance(content, (list, tuple)) else [content]:
        if part is not None:
            (results if _is_result(part) else parts).extend(parts_of(part))
    if results:
        yield "tool", results
    if parts or not results:
        yield role, parts


def role_of(role: Any) -> str:
    """One of user, system, tool, assistant."""
    return ROLES.get(str(getattr(role, "value", role)).lower(), "user")


def _lc_role(name: Any) -> str:
    return str(name).removesuffix("Chunk").removesuffix("Message").lower()


def _unpacked(content: str) -> Any:
    """Parts that an instrumentation wrote as JSON into the text of a message."""
    if content.startswith("[{"):
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            return content
        if isinstance(found, list) and all(isinstance(part, dict) and "type" in part for part in found):
            return found
    return content


def _is_result(part: Any) -> bool:
    return not isinstance(part, (str, bytes)) and (
        _kind(part) in _RESULTS or _either(part, "function_response", "functionResponse") is not None
    )


def _result(part: Any) -> Any:
    """The content of a tool's result: text, parts, or a structure, which is read as its JSON."""
    held = _either(part, "function_response", "functionResponse") or part
    found = _either(held, "output", "result", "response", "content")
    if isinstance(found, Mapping) and "value" in found and "type" in found:  # Vercel: {"type": "json", "value": ...}
        found = found["value"]
    if found is None or isinstance(found, str):
        return found or ""
    if isinstance(found, (list, tuple)) and all(isinstance(entry, Mapping) and "type" in entry for entry in found):
        return found
    try:
        return json.dumps(found, default=str)
    except (ValueError, TypeError, RecursionError):
        return Raw("text", None, "decode_failed")


# -- parts ------------------------------------------------------------------------------------------------------------


def parts_of(content: Any) -> Iterator[Raw]:
    """The parts of a message's content: a text, one part, or a list of parts."""
    for part in content if isinstance(content, (list, tuple)) and not isinstance(content, Raw) else [content]:
        if part is None:
            continue
        if isinstance(part, Raw):
            yield part
        elif _is_result(part):
            yield from parts_of(_result(part))
        else:
            yield part_of(part)


def part_of(part: Any) -> Raw:
    """One part of any shape; one of an unknown kind has the error `unknown_part`.

    >>> part_of({"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}})
    Raw(modality='image', value=None, coding='remote')
    >>> part_of({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}}).coding
    'unsupported_file'
    >>> part_of({"type": "hologram"}).coding
    'unknown_part'
    """
    if isinstance(part, str):
        return _text(part)
    if any(base.__module__.startswith("PIL.") for base in type(part).__mro__):
        return Raw("image", part)
    kind = _kind(part)
    if kind in _OWN or get(part, "thought") or _either(part, "function_call", "functionCall", "toolUse") is not None:
        return Raw(None)
    if kind == "refusal":
        return _text(get(part, "refusal"))
    text = get(part, "text")
    if isinstance(text, str) and kind in ("", "text", "input_text", "output_text", "summary_text"):
        return _text(text)
    if kind == "text" and isinstance(get(part, "content"), str):
        return _text(get(part, "content"))
    return _file(part, kind)


def _text(text: Any) -> Raw:
    if not isinstance(text, str):
        return Raw("text", None, "unreadable")
    return Raw("text", None, "redacted") if text == REDACTED else Raw("text", text)


_HOLDERS = (
    *("source", "image_url", "input_audio", "audio_url", "video_url", "file", "inline_data", "inlineData"),
    *("file_data", "fileData"),
)
_ADDRESSES = ("url", "uri", "file_uri", "fileUri", "image_url", "path")
_CONTENTS = ("base64", "data", "bytes", "content", "file_data")
_TYPES = ("media_type", "mime_type", "mediaType", "mimeType", "format")
_IDS = ("file_id", "fileId", "id")


def _file(part: Any, kind: str) -> Raw:
    """A part that holds a file, or names one: its modality by its kind, else by its media type."""
    known = next((modality for modality in MEDIA if modality in kind), None)
    given = get(part, "modality")
    modality = known or (given if given in MEDIA else None)
    for name in MEDIA:  # {"image": ...} of Vercel, Hugging Face and Bedrock
        if modality in (None, name) and (held := get(part, name)) is not None and not isinstance(held, bool):
            modality = name
            if not isinstance(held, Mapping) and _either(held, *_ADDRESSES, *_CONTENTS) is None:
                return _held(name, held, None)
            return _in_holder(modality, held)
    holder = next((found for name in _HOLDERS if (found := get(part, name)) is not None), None)
    if holder is not None and not isinstance(holder, (str, bytes)):
        return _in_holder(modality, holder, part)
    if isinstance(holder, (str, bytes)):
        return _held(modality, holder, _either(part, *_TYPES), kind)
    if kind in ("blob", "uri", "file", "input_file", "document", "media", "container_upload") or modality is not None:
        return _in_holder(modality, part)
    if kind == "" and _either(part, *_CONTENTS, *_ADDRESSES) is not None and _either(part, *_TYPES) is not None:
        return _in_holder(modality, part)
    return Raw("text", None, "unknown_part")


def _in_holder(modality: str | None, holder: Any, part: Any = None) -> Raw:
    mime = _either(holder, *_TYPES) or (None if part is None else _either(part, *_TYPES, "filename"))
    if get(holder, "type") == "text" and isinstance(get(holder, "data"), str):  # Anthropic's plain documents
        return Raw("text", get(holder, "data").encode(errors="replace"))
    nested = get(holder, "source")
    if nested is not None and not isinstance(
        nested, (str, bytes)
    ):  # Bedrock: {"image": {"format", "source": {"bytes"}}}
        holder = nested
    data = _either(holder, *_CONTENTS)
    if isinstance(data, (list, tuple)):  # Anthropic: a document made of parts
        inner = [raw.value for raw in parts_of(data) if raw.modality == "text" and isinstance(raw.value, str)]
        return (
            Raw("text", "\n".join(inner).encode(errors="replace")) if inner else Raw("text", None, "unsupported_file")
        )
    if data is not None:
        return _held(modality, data, mime)
    address = _either(holder, *_ADDRESSES)
    if isinstance(address, str) and address:
        return from_address(modality or file_modality(mime, address), address)
    gone = "remote" if _either(holder, *_IDS) is not None else "not_captured"
    return Raw(modality or file_modality(mime) or "text", None, gone)


def _held(modality: str | None, data: Any, mime: Any, kind: str = "") -> Raw:
    """A file's bytes, base64 text, data URI or address, or a decoded payload."""
    if isinstance(data, (bytearray, memoryview)):
        data = bytes(data)
    if isinstance(data, str) and data == REDACTED:
        return Raw(modality or file_modality(mime) or "text", None, "redacted")
    if isinstance(data, str) and (data.startswith("data:") or "://" in data[:16]):
        return from_address(modality or file_modality(mime), data)
    if not data and isinstance(data, (str, bytes)):
        return Raw(modality or file_modality(mime) or "text", None, "not_captured")
    modality = (
        modality or file_modality(mime) or (file_modality("/".join((kind.partition("_")[0], ""))) if kind else None)
    )
    if modality is None:
        return Raw("text", None, "unsupported_file")
    return Raw(modality, data, "base64" if isinstance(data, str) else "plain")


def file_modality(mime: Any, name: Any = None) -> str | None:
    """The modality of a file by its media type, else by its name's ending.

    >>> file_modality("audio/wav"), file_modality(None, "scan.png"), file_modality("application/pdf")
    ('audio', 'image', None)
    """
    if not mime and isinstance(name, str):
        import mimetypes

        mime = mimetypes.guess_type(name)[0]
    major = str(mime or "").partition("/")[0].strip().lower()
    return major if major in (*MEDIA, "text") else None


def from_address(modality: str | None, address: Any) -> Raw:
    """A part that is an address: a data URI carries its file, any other is not followed.

    >>> from_address("image", "https://example.org/cat.png").coding
    'remote'
    """
    if address == REDACTED:
        return Raw(modality or "text", None, "redacted")
    if not isinstance(address, str) or not address.startswith("data:"):
        return Raw(modality or "text", None, "remote" if address else "not_captured")
    found = modality or file_modality(address[5:80].partition(";")[0].partition(",")[0])
    return Raw("text", None, "unsupported_file") if found is None else Raw(found, address, "data")
