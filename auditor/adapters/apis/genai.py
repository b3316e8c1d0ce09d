"""Google's `google-genai` clients (Gemini): one record for each `generate_content`, its streams, and `embed_content`.

The client and its `models`, `aio` and `chats` are stand-ins for the originals. Function calls that the client makes by
itself inside one `generate_content` belong to that one call.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from auditor.adapters._parts import MOST_PARTS, Part, Raw, file_modality, from_address, get, name_parts
from auditor.adapters.apis._request import RequestSite
from auditor.adapters.proxy import make_proxy
from auditor.adapters.web.callable import wrap
from auditor.agent.site import Site

REFUSALS = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
    }
)
"""Finish reasons by which the model, or a filter around it, withheld the answer."""


def watch(model: Any, site: Site) -> Any:
    """The watched form of a `Client`, or of its `aio` client alone."""
    own: dict[str, Any] = {"models": _models(model.models, site)}
    own["chats"] = type(model.chats)(modules=own["models"])
    if hasattr(model, "aio"):
        own["aio"] = watch(model.aio, site)
    else:

        async def enter() -> Any:
            await model.__aenter__()
            return watched

        own["__aenter__"] = enter
    watched = make_proxy(model, own, site)
    return watched


def _models(models: Any, site: Site) -> Any:
    sites = {name: RequestSite(site, reader) for name, reader in READERS.items()}
    return make_proxy(models, {name: wrap(getattr(models, name), made) for name, made in sites.items()}, site)


class Generate:
    """generate_content and generate_content_stream"""

    def parts(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Sequence[Part], int]:
        instruction = get(kwargs.get("config"), "system_instruction")
        said = [("system", [raw for _, parts in messages(instruction) for raw in parts])] if instruction else []
        return name_parts([*said, *messages(kwargs.get("contents"))])

    def model(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
        model = kwargs.get("model")
        return model.removeprefix("models/") if isinstance(model, str) else None

    def arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        return kwargs

    def answer(self, result: Any) -> dict[str, Any]:
        return self.stream_answer([result])

    def stream_answer(self, items: list[Any]) -> dict[str, Any]:
        firsts = [next(iter(get(item, "candidates") or ()), None) for item in items]
        parts = [part for first in firsts for part in get(get(first, "content"), "parts") or ()]
        said = [text for part in parts if isinstance(text := get(part, "text"), str) and not get(part, "thought")]
        made = [raw for part in parts if (raw := _inline(part)) is not None and raw.modality in ("image", "audio")]
        finish = next((_word(found) for first in reversed(firsts) if (found := get(first, "finish_reason"))), None)
        blocked = next(
            (_word(why) for item in items if (why := get(get(item, "prompt_feedback"), "block_reason"))), None
        )
        return {
            "text": "".join(said) if said else None,
            "finish": finish or blocked,
            "refused": blocked is not None or finish in REFUSALS,
            "tokens": next((found for item in reversed(items) if (found := _tokens(item))), None),
            "generated": made or None,
        }

    def version(self, result: Any) -> str | None:
        version = get(result, "model_version")
        return version if isinstance(version, str) and version else None


class Embed(Generate):
    """embed_content: each text or file with its vector; one vector for all of them is an input of its own."""

    def parts(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Sequence[Part], int]:
        return name_parts([("user", [raw for _, parts in messages(kwargs.get("contents")) for raw in parts])])

    def answer(self, result: Any) -> dict[str, Any]:
        vectors = [get(entry, "values") for entry in get(result, "embeddings") or ()]
        return {"vectors": vectors[:MOST_PARTS]}


READERS: dict[str, Generate] = {
    "generate_content": Generate(),
    "generate_content_stream": Generate(),
    "embed_content": Embed(),
}


def messages(contents: Any) -> list[tuple[str, list[Raw]]]:
    """(role, parts) pairs of contents in any form that the client takes; neighbours without a role are one message."""
    found: list[tuple[str, list[Raw]]] = []
    loose: list[Raw] | None = None
    for item in contents if isinstance(contents, (list, tuple)) else [contents]:
        parts = None if isinstance(item, str) else get(item, "parts")
        if parts is not None:
            found.append(_message(get(item, "role"), parts))
            loose = None
        elif item is not None:
            if loose is None:
                loose = []
                found.append(("user", loose))
            loose += map(_raw, item) if isinstance(item, (list, tuple)) else [_raw(item)]
    return found


def _message(role: Any, parts: Iterable[Any]) -> tuple[str, list[Raw]]:
    parts = list(parts)
    if parts and all(_function_response(part) is not None for part in parts):
        role = "tool"  # the client sends the results of functions in the user's name
    return ("assistant" if role == "model" else str(role or "user")), list(map(_raw, parts))


def _raw(part: Any) -> Raw:
    if isinstance(part, str):
        return Raw("text", part)
    if any(base.__module__.startswith("PIL.") for base in type(part).__mro__):
        return Raw("image", part)
    if isinstance(get(part, "text"), str):
        return Raw(None if get(part, "thought") else "text", get(part, "text"))
    inline = _inline(part)
    if inline is not None:
        return inline
    file = _either(part, "file_data", "fileData") or part
    address = _either(file, "file_uri", "fileUri") or get(file, "uri")
    if address:
        return from_address(file_modality(_either(file, "mime_type", "mimeType"), str(address)), address)
    response = _function_response(part)
    return Raw(None) if response is None else Raw("text", json.dumps(get(response, "response"), default=str))


def _inline(part: Any) -> Raw | None:
    """A file inside the request: a part with a blob, or a blob."""
    blob = _either(part, "inline_data", "inlineData") or part
    data = get(blob, "data")
    if not isinstance(data, (bytes, str)):
        return None
    modality = file_modality(_either(blob, "mime_type", "mimeType"))
    return Raw(modality, data, "plain" if isinstance(data, bytes) else "base64")


def _function_response(part: Any) -> Any:
    return _either(part, "function_response", "functionResponse")


def _either(holder: Any, name: str, camel: str) -> Any:
    found = get(holder, name)
    return get(holder, camel) if found is None else found


def _word(reason: Any) -> str:
    """`STOP`, whether it came as a string or as a member of an enumeration."""
    return str(getattr(reason, "value", reason))


def _tokens(item: Any) -> dict[str, int] | None:
    """Thoughts count as output, as they do on the bill and with other providers."""
    usage = get(item, "usage_metadata")
    given, made, thought = (
        get(usage, name) for name in ("prompt_token_count", "candidates_token_count", "thoughts_token_count")
    )
    found = {"input": given, "output": None if made is None and thought is None else (made or 0) + (thought or 0)}
    counted = {key: count for key, count in found.items() if isinstance(count, int)}
    return counted or None
