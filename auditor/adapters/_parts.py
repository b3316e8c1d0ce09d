"""Parts of a request to a model behind an API: found on the caller's thread, decoded in the worker.

Finding is cheap whatever a part weighs: texts, encoded files and data URIs are immutable and kept by reference. Nothing
is ever fetched: a part that is only an address is recorded with the error `remote`.

Names say who speaks and what, so that the same thing has the same name in every call: `text-1`, `image-1`, `audio-1` for
what the user sends now, `system-text-1`, `tool-text-1`, `assistant-text-1` for the rest of the present turn, and
`history-text-1`, counted back from the newest, for what was said before.
"""

from __future__ import annotations

import binascii
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from auditor.agent.call import Call
from auditor.agent.site import InputSpec
from auditor.agent.snapshot import MAX_PAYLOAD, TooLarge, freeze

MOST_PARTS = 32
"""Parts of one call that are described: the present turn first, then what the system said, then the newest history."""
_SYSTEM = ("system", "developer")
_SAID_BY = {"user": "", "human": "", "system": "system-", "developer": "system-", "tool": "tool-", "function": "tool-"}


class Raw(NamedTuple):
    """One part as it was found.

    Attributes
    ----------
    modality : str or None
        None: nothing that can be described (a PDF); it is left out.
    value : object
    coding : str
        `plain`, `base64`, `data` (a data URI), or the code of the error why the value is not here.
    """

    modality: str | None
    value: Any = None
    coding: str = "plain"


class Part(NamedTuple):
    """A part with the name of the input that it becomes."""

    name: str
    modality: str
    value: Any
    coding: str


Messages = Sequence[tuple[str, Sequence[Raw]]]
"""(role, parts) pairs, oldest first."""


def get(holder: Any, name: str) -> Any:
    """A key of a mapping, or an attribute; None when there is none."""
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


def file_modality(mime: Any, name: Any = None) -> str | None:
    """The modality of a file by its media type, else by its name's ending.

    >>> file_modality("audio/wav"), file_modality(None, "scan.png"), file_modality("application/pdf")
    ('audio', 'image', None)
    """
    if not mime and isinstance(name, str):
        import mimetypes

        mime = mimetypes.guess_type(name)[0]
    major = str(mime or "").partition("/")[0].strip().lower()
    return major if major in ("image", "audio", "video", "text") else None


def from_address(modality: str | None, address: Any) -> Raw:
    """A part that is an address: a data URI carries its file, any other is not here.

    >>> from_address("image", "https://example.org/cat.png").coding
    'remote'
    """
    if not isinstance(address, str) or not address.startswith("data:"):
        return Raw(modality, None, "remote")
    return Raw(modality or file_modality(address[5:80].partition(";")[0].partition(",")[0]), address, "data")


def from_file(value: Any, modality: str | None = None) -> Raw:
    """A file to upload, in any form that HTTP libraries take: bytes, an open file, or a tuple that begins (name, file).

    An open file is read and put back to where it stood.
    """
    name, mime = None, None
    if isinstance(value, tuple) and len(value) >= 2:
        name, mime = value[0], value[2] if len(value) > 2 else None
        value = value[1]
    modality = modality or file_modality(mime, name or getattr(value, "name", None))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Raw(modality, value)
    if hasattr(value, "getvalue"):
        return Raw(modality, value.getvalue())
    if not (hasattr(value, "seek") and value.seekable()):
        return Raw(modality, None, "unreadable")
    at = value.tell()
    try:
        return Raw(modality, value.read(MAX_PAYLOAD + 1))
    finally:
        value.seek(at)


def name_parts(messages: Messages) -> tuple[list[Part], int]:
    """(named parts, number of parts that were left out because there are more than MOST_PARTS).

    >>> parts, left = name_parts([("user", [Raw("text", "one")]), ("assistant", [Raw("text", "two")]),
    ...                           ("user", [Raw("text", "three"), Raw("image", b"")])])
    >>> [part.name for part in parts], left
    (['text-1', 'image-1', 'history-text-1', 'history-text-2'], 0)
    """
    spoken = [message for message in messages if message[0] not in _SYSTEM]
    start = _turn(spoken)
    used: Counter[str] = Counter()

    def name(said_by: str, raw: Raw) -> Part:
        kind = f"{said_by}{raw.modality}"
        used[kind] += 1
        return Part(f"{kind}-{used[kind]}", str(raw.modality), raw.value, raw.coding)

    def candidates() -> Iterator[tuple[str, Raw]]:
        for role, parts in spoken[start:]:
            yield from ((_SAID_BY.get(role, "assistant-"), part) for part in parts)
        for role, parts in messages:
            if role in _SYSTEM:
                yield from (("system-", part) for part in parts)
        for _, parts in reversed(spoken[:start]):
            yield from (("history-", part) for part in reversed(parts))

    known = [(said_by, raw) for said_by, raw in candidates() if raw.modality is not None]
    return [name(*candidate) for candidate in known[:MOST_PARTS]], max(0, len(known) - MOST_PARTS)


def _turn(spoken: Messages) -> int:
    """Where the present turn begins: with the last run of messages of the user."""
    last = max((index for index, (role, _) in enumerate(spoken) if _SAID_BY.get(role) == ""), default=0)
    while last > 0 and _SAID_BY.get(spoken[last - 1][0]) == "":
        last -= 1
    return last


def hold(parts: Iterable[Part]) -> tuple[list[Part], int]:
    """(parts that the host can no longer change, their size in bytes)."""
    held, total = [], 0
    for part in parts:
        size = 64
        try:
            if isinstance(part.value, str):
                size = len(part.value)
                if size > MAX_PAYLOAD * 4 // 3 + 128:
                    raise TooLarge
            elif part.value is not None:
                value, size = freeze(part.value)
                part = part._replace(value=value)
        except TooLarge:
            part = part._replace(value=None, coding="too_large")
        held.append(part)
        total += size
    return held, total


def payload_of(part: Part, spec: InputSpec | None = None) -> tuple[Any, ...]:
    """The decoded payload, in the form that `Call.payloads` has."""
    value, error = part.value, None
    try:
        if part.coding == "base64":
            value = binascii.a2b_base64(value)
        elif part.coding == "data":
            value = _data_uri(value)
        elif part.coding != "plain":
            value, error = None, part.coding
        if part.modality == "text" and isinstance(value, bytes):
            value = value.decode()
    except ValueError:  # binascii.Error and UnicodeDecodeError are ones
        value, error = None, "decode_failed"
    rate = spec.rate if spec is not None and not isinstance(spec.rate, str) else None
    modality = (spec.modality if spec is not None else None) or part.modality
    return part.name, value, modality, rate, None, None, None if spec is None else spec.encoder, error


def _data_uri(address: str) -> bytes:
    head, comma, body = address.partition(",")
    if not comma:
        raise ValueError("no comma")
    return binascii.a2b_base64(body) if head.endswith(";base64") else unquote_to_bytes(body)


class Unread:
    """What a chosen call keeps of its request until the worker reads it (`Call.split`)."""

    __slots__ = ("parts", "requested", "specs")

    def __init__(
        self, parts: Sequence[Part], specs: Mapping[str, InputSpec] | None, requested: str | None = None
    ) -> None:
        self.parts = parts
        self.specs = specs
        self.requested = requested

    def __call__(self, call: Call) -> list[Call]:
        """The same call, with its payloads."""
        call.payloads = payloads(self.parts, self.specs)
        if call.found:
            found = dict(call.found)
            call.payloads += [payload_of(part) for part in generated(found.pop("generated", ()))]
            vectors = found.pop("vectors", ())
            if vectors:
                found["inputs"] = {**self._embedded(vectors, call), **(found.get("inputs") or {})}
            call.found = found
        return [call]

    def _embedded(self, vectors: Sequence[Any], call: Call) -> dict[str, Any]:
        """What the model made of each part; one vector for several parts is an input `embedding`."""
        encoder = call.site.ref.encoder or call.site.ref.version or None
        whole = len(vectors) == 1 and len(self.parts) > 1
        names = ["embedding"] if whole else [part.name for part in self.parts]
        return {name: {"embedding": vector, "encoder": encoder} for name, vector in zip(names, vectors, strict=False)}


def payloads(parts: Iterable[Part], specs: Mapping[str, InputSpec] | None) -> list[tuple[Any, ...]]:
    """Every part, or those that were declared: one of these that the request lacks is missing."""
    if specs is None:
        return [payload_of(part) for part in parts]
    found = {part.name: part for part in parts}
    return [
        payload_of(found[name], spec)
        if name in found
        else (name, None, spec.modality, None, None, None, spec.encoder, None)
        for name, spec in specs.items()
    ]


def generated(made: Iterable[Raw]) -> list[Part]:
    """What the model produced beside text: `generated` for the first image, `generated-audio` for sound, then numbers."""
    used: Counter[str] = Counter()
    parts = []
    for raw in made:
        kind = "generated" if raw.modality == "image" else f"generated-{raw.modality}"
        used[kind] += 1
        name = kind if used[kind] == 1 else f"{kind}-{used[kind]}"
        parts.append(Part(name, str(raw.modality), raw.value, raw.coding))
    return parts
