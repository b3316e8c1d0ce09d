"""Google's `google-genai` clients (Gemini): one record for each `generate_content`, its streams, and `embed_content`.

The client and its `models`, `aio` and `chats` are stand-ins for the originals. Function calls that the client makes by
itself inside one `generate_content` belong to that one call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from auditor.adapters.apis.request_site import RequestSite
from auditor.adapters.parts import MOST_PARTS
from auditor.adapters.proxy import make_proxy
from auditor.adapters.web.callable import wrap
from auditor.agent.site import Site
from auditor.core.input_names import Part, name_parts, number_parts
from auditor.core.messages import Message, Raw, get, message_of, part_of, parts_of

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
        made = [raw for raw in map(part_of, parts) if raw.modality in ("image", "audio")]
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
        return number_parts(raw for _, parts in messages(kwargs.get("contents")) for raw in parts)

    def answer(self, result: Any) -> dict[str, Any]:
        vectors = [get(entry, "values") for entry in get(result, "embeddings") or ()]
        return {"vectors": vectors[:MOST_PARTS]}


READERS: dict[str, Generate] = {
    "generate_content": Generate(),
    "generate_content_stream": Generate(),
    "embed_content": Embed(),
}


def messages(contents: Any) -> list[Message]:
    """(role, parts) pairs of contents in any form that the client takes; neighbours without a role are one message."""
    found: list[Message] = []
    loose: list[Raw] | None = None
    for item in contents if isinstance(contents, (list, tuple)) else [contents]:
        parts = None if isinstance(item, str) else get(item, "parts")
        if parts is not None:
            found += message_of(item)
            loose = None
        elif item is not None:
            if loose is None:
                loose = []
                found.append(("user", loose))
            loose += parts_of(item)
    return found


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
