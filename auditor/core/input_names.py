"""Naming inputs: the same conversation has the same inputs whichever way it is recorded.

| input | content |
|---|---|
| `prompt` | texts of the present turn of the user, joined by line breaks |
| `image`, `image-2`, `audio`, `video`, ... | media of that turn, numbered from the second on |
| `file`, `file-2` | attached documents |
| `system`, `tool`, `assistant`, `history` | texts by the system, results of tools, the model since the user spoke, earlier turns |
| `system-image`, `tool-image`, `history-image`, ... | their media |
| `part` | a part of a kind that is not known, with the error `unknown_part` |

The present turn begins with the last run of messages of the user.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from auditor.core.messages import Message, Raw

MOST_EACH = 8
"""Media of one kind and speaker in one call that become inputs, the first ones."""
_TEXT = {"user": "prompt", "system": "system", "tool": "tool", "assistant": "assistant", "history": "history"}
_PREFIX = {"user": ""}


class Part(NamedTuple):
    """A part with the name of the input that it becomes; the value of joined texts is a tuple of them."""

    name: str
    modality: str
    value: Any
    coding: str = "plain"


def name_parts(messages: Sequence[Message]) -> tuple[list[Part], int]:
    """The inputs of a conversation, and the number of media left out because a speaker has more than `MOST_EACH`.

    >>> parts, left = name_parts([("user", [Raw("text", "one")]), ("assistant", [Raw("text", "two")]),
    ...                           ("user", [Raw("text", "three"), Raw("image", b"")])])
    >>> [(part.name, part.value) for part in parts], left
    ([('prompt', ('three',)), ('image', b''), ('history', ('one', 'two'))], 0)
    """
    spoken = [message for message in messages if message[0] != "system"]
    start = _present(spoken)
    by_speaker: dict[str, list[Raw]] = {}
    for role, parts in spoken[start:]:
        by_speaker.setdefault(role, []).extend(parts)
    by_speaker["system"] = [part for role, parts in messages if role == "system" for part in parts]
    by_speaker["history"] = [part for _, parts in spoken[:start] for part in parts]
    found: list[Part] = []
    left = 0
    for speaker, parts in by_speaker.items():
        texts = tuple(raw.value for raw in parts if _is_text(raw) and raw.coding == "plain")
        used: dict[str, int] = {}
        if texts:
            found.append(Part(_TEXT.get(speaker, "prompt"), "text", texts))
            used[_TEXT.get(speaker, "prompt")] = 1
        for raw in parts:
            if raw.modality is None or (_is_text(raw) and raw.coding == "plain"):
                continue
            base = _base_name(raw, speaker)
            used[base] = used.get(base, 0) + 1
            if used[base] > MOST_EACH:
                left += 1
            else:
                found.append(Part(numbered(base, used[base]), raw.modality, raw.value, raw.coding))
    return found, left


def number_parts(raws: Iterable[Raw], name: str = "prompt") -> tuple[list[Part], int]:
    """Parts that are inputs each by itself, such as the texts of a request for embeddings: `prompt`, `prompt-2`, ..."""
    known = [raw for raw in raws if raw.modality is not None]
    counts: dict[str, int] = {}
    found = []
    for raw in known[: 4 * MOST_EACH]:
        base = name if _is_text(raw) else _base_name(raw, "user")
        counts[base] = counts.get(base, 0) + 1
        found.append(Part(numbered(base, counts[base]), str(raw.modality), raw.value, raw.coding))
    return found, max(0, len(known) - 4 * MOST_EACH)


def numbered(name: str, number: int) -> str:
    """`image`, `image-2`, `image-3`."""
    return name if number == 1 else f"{name}-{number}"


def _is_text(raw: Raw) -> bool:
    """Words of a speaker, or the gap where they were; neither a file nor a part of unknown kind."""
    if raw.modality != "text" or raw.coding in ("base64", "data", "unknown_part", "unsupported_file", "remote"):
        return False
    return raw.value is None or isinstance(raw.value, str)


def _base_name(raw: Raw, speaker: str) -> str:
    if _is_text(raw):
        return _TEXT.get(speaker, "prompt")
    kind = "part" if raw.coding == "unknown_part" else "file" if raw.modality == "text" else str(raw.modality)
    return f"{_PREFIX.get(speaker, speaker + '-')}{kind}"


def _present(spoken: Sequence[Message]) -> int:
    """Where the present turn begins: with the last run of messages of the user."""
    last = max((index for index, (role, _) in enumerate(spoken) if role == "user"), default=0)
    while last > 0 and spoken[last - 1][0] == "user":
        last -= 1
    return last


def payload_of(part: Part) -> tuple[Any, str | None]:
    """The decoded payload of a part, or None and the error code why there is none."""
    value = part.value
    try:
        if part.coding == "base64":
            value = binascii.a2b_base64(value)
        elif part.coding == "data":
            value = _data_uri(value)
        elif part.coding != "plain":
            return None, part.coding
        if part.coding in ("base64", "data") and not value:
            return None, "decode_failed"
        if part.modality == "text":
            if isinstance(value, tuple):
                value = "\n".join(value)
            elif isinstance(value, bytes):
                value = value.decode()
    except ValueError:  # binascii.Error and UnicodeDecodeError are ones
        return None, "decode_failed"
    return value, None


def _data_uri(address: str) -> bytes:
    head, comma, body = address.partition(",")
    if not comma:
        raise ValueError("no comma")
    return binascii.a2b_base64(body) if head.endswith(";base64") else unquote_to_bytes(body)
