"""Parts of a request to a model behind an API: found on the caller's thread, decoded in the worker.

Finding is cheap whatever a part weighs: texts, encoded files and data URIs are immutable and kept by reference. Nothing
is ever fetched: a part that is only an address is recorded with the error `remote`. `core.input_names` names the inputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from auditor.agent.call import Call
from auditor.agent.site import InputSpec, Site
from auditor.agent.snapshot import MAX_PAYLOAD, TooLarge, freeze
from auditor.core import input_names
from auditor.core.input_names import Part
from auditor.core.messages import Raw, file_modality

MOST_PARTS = 32
"""Inputs of one call that are read from a body without messages, and vectors of one answer."""


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


def hold(parts: Iterable[Part]) -> tuple[list[Part], int]:
    """(parts that the host can no longer change, their size in bytes)."""
    held, total = [], 0
    for part in parts:
        size = 64
        try:
            if isinstance(part.value, (str, tuple)):
                size = len(part.value) if isinstance(part.value, str) else sum(map(len, part.value))
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
    value, error = input_names.payload_of(part)
    rate = spec.rate if spec is not None and not isinstance(spec.rate, str) else None
    modality = (spec.modality if spec is not None else None) or part.modality or None
    return part.name, value, modality, rate, None, None, None if spec is None else spec.encoder, error


class PartsSite(Site, ABC):
    """A site whose inputs are the parts of a request.

    Parameters
    ----------
    given : Site
        Of the watched thing: its options hold here, and its end is this one's.
    """

    def __init__(self, given: Site) -> None:
        self.__dict__.update(given.__dict__)
        self.given = given

    @property
    def live(self) -> bool:  # type: ignore[override]
        """Until the thing is no longer watched."""
        return self.given.live

    @abstractmethod
    def find(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Sequence[Part], int]:
        """(named parts, number left out) of a call."""

    def asked(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
        """The model that a call asks for, where it may ask for several."""
        return None

    def take_inputs(self, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        found, left = self.find(args, kwargs)
        if left:
            self.recorder.notes.append("parts_left_out")
        parts, size = hold(found)
        call.size += size
        call.split = Unread(parts, self.inputs, self.asked(args, kwargs))
        self._take_groups(call, args, kwargs)


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
