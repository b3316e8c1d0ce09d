"""Bodies of HTTP requests and answers as parts: JSON, multipart and URL-encoded forms, raw files. Runs in the worker."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from email.message import Message
from typing import Any
from urllib.parse import parse_qsl

from auditor.adapters.apis.openai_endpoints import CHAT
from auditor.adapters.parts import MOST_PARTS
from auditor.agent.site import Answer, InputSpec
from auditor.core.input_names import Part, name_parts
from auditor.core.messages import Raw, file_modality, messages_of

Specs = Mapping[str, InputSpec] | None
READ = frozenset({"application/json", "multipart/form-data", "application/x-www-form-urlencoded"})
"""Media types of requests that are inferences, beside those of files."""
FEATURES = "features"
"""The input that undeclared numbers and truth values of a request are put into."""


def media_type(header: str) -> tuple[str, str]:
    """(media type in lower case, boundary or '').

    >>> media_type('multipart/form-data; boundary="x y"')
    ('multipart/form-data', 'x y')
    """
    message = Message()
    message["content-type"] = header
    boundary = message.get_param("boundary")
    return (message.get_content_type() if header else ""), boundary if isinstance(boundary, str) else ""


def is_read(header: str) -> bool:
    """Whether a request with this content type carries inputs that can be told apart."""
    kind = media_type(header)[0]
    return kind in READ or kind.endswith("+json") or file_modality(kind) is not None


def request_parts(header: str, body: bytes, lacking: str | None, specs: Specs) -> list[Part]:
    """The inputs of a request.

    Parameters
    ----------
    header : str
        Its content type.
    body : bytes
        A copy, perhaps only of the beginning.
    lacking : str or None
        None when it is all of it, else the error of what is not here (`too_large`, `unread`). Of a multipart body the
        files that came whole are read all the same.
    """
    kind, boundary = media_type(header)
    if kind == "multipart/form-data":
        fields = _multipart(body, boundary, lacking)
    elif kind == "application/x-www-form-urlencoded":
        fields = [(name, Raw("text", value)) for name, value in parse_qsl(body.decode("utf-8", "replace"))]
    elif file_modality(kind) is not None:
        fields = [("body", Raw(file_modality(kind), None if lacking else body, lacking or "plain"))]
    else:
        return _from_json(body, lacking, specs)
    return _form(fields, specs)


def _form(fields: list[tuple[str, Raw]], specs: Specs) -> list[Part]:
    """Fields of a form; of a field that comes twice, the first."""
    parts: dict[str, Part] = {}
    numbers: dict[str, Any] = {}
    for name, raw in fields:
        spec = (specs or {}).get(name)
        if (
            spec is None
            and raw.coding == "plain"
            and isinstance(raw.value, str)
            and (said := _number(raw.value)) is not None
        ):
            numbers[name] = said
        elif raw.modality is not None or spec is not None:
            modality = (spec.modality if spec is not None else None) or raw.modality or "text"
            parts.setdefault(name, Part(name, modality, raw.value, raw.coding))
    return _bounded(parts, numbers)


def _from_json(body: bytes, lacking: str | None, specs: Specs) -> list[Part]:
    if lacking is not None:
        return [Part(name, spec.modality or "text", None, lacking) for name, spec in (specs or {}).items()]
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return []
    if not isinstance(said, Mapping):
        said = {"body": said}
    if isinstance(said.get("messages"), list) and not specs:
        return name_parts(messages_of(said["messages"]))[0]
    if specs:
        return [part for name, spec in specs.items() if (part := _declared(name, spec, _at(said, name))) is not None]
    parts, numbers = {}, {}
    for name, value in said.items():
        if isinstance(value, (bool, int, float)):
            numbers[name] = value
        elif isinstance(value, str):
            address = value.startswith("data:")
            modality = file_modality(value[5:80].partition(";")[0].partition(",")[0]) if address else "text"
            if modality is not None:
                parts[name] = Part(name, modality, value, "data" if address else "plain")
        elif isinstance(value, Mapping):
            parts[name] = Part(name, "tabular", value, "plain")
    return _bounded(parts, numbers)


def _declared(name: str, spec: InputSpec, value: Any) -> Part | None:
    """One input that the deployment named; None when the request lacks it."""
    if value is None:
        return None
    modality = spec.modality or (
        "text" if isinstance(value, str) else "tabular" if isinstance(value, Mapping) else None
    )
    if modality is None:
        return Part(name, "tabular", {name: value}, "plain") if isinstance(value, (bool, int, float)) else None
    coding = "plain"
    if isinstance(value, str) and modality in ("image", "audio", "video"):
        remote = "://" in value[:16]
        coding = "data" if value.startswith("data:") else "remote" if remote else "base64"
    return Part(name, modality, value, coding)


def _at(said: Any, path: str) -> Any:
    """A value by its name, or by a dotted path to it."""
    if path in said:
        return said[path]
    for key in path.split("."):
        said = said.get(key) if isinstance(said, Mapping) else None
    return said


def _bounded(parts: dict[str, Part], numbers: dict[str, Any]) -> list[Part]:
    if numbers:
        parts.setdefault(FEATURES, Part(FEATURES, "tabular", numbers, "plain"))
    return list(parts.values())[:MOST_PARTS]


def _number(text: str) -> float | None:
    """A field that is a number and nothing else."""
    try:
        return float(text) if len(text) <= 32 else None
    except ValueError:
        return None


def _multipart(body: bytes, boundary: str, lacking: str | None) -> list[tuple[str, Raw]]:
    """(name, part) for each field. RFC 7578: sections between delimiters, each with headers, a blank line, its bytes."""
    if not boundary:
        return []
    sections = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1", "replace"))
    found = []
    for index, section in enumerate(sections[1:], 1):
        if section.startswith(b"--"):  # the closing delimiter
            break
        head, blank, value = section.partition(b"\r\n\r\n")
        if not blank:
            continue
        name, filename, mime = _disposition(head)
        if name is None:
            continue
        whole = lacking is None or index < len(sections) - 1
        if filename is None and mime is None:
            raw = Raw("text", value.decode("utf-8", "replace"))
        else:
            raw = Raw(file_modality(mime, filename) or file_modality(None, filename), value)
        found.append((name, raw if whole else Raw(raw.modality, None, str(lacking))))
    return found


def _disposition(head: bytes) -> tuple[str | None, str | None, str | None]:
    """(field name, file name, media type) of a section."""
    message = Message()
    for line in head.decode("utf-8", "replace").split("\r\n"):
        key, colon, value = line.partition(":")
        if colon:
            message[key.strip()] = value.strip()
    name = message.get_param("name", header="content-disposition")
    return (name if isinstance(name, str) else None), message.get_filename(), message.get("content-type")


# -- answers ----------------------------------------------------------------------------------------------------------


def answer_of(header: str, body: bytes, whole: bool, answer: Answer) -> dict[str, Any]:
    """What an HTTP answer says, by the options of `watch`; nothing when it was cut off or is no text."""
    kind = media_type(header)[0]
    if kind == "text/event-stream":
        return _events(body, whole, answer)
    if not whole:
        return {}
    if kind == "application/json" or kind.endswith("+json"):
        said = json.loads(body)
        if isinstance(said, Mapping) and isinstance(said.get("choices"), list) and answer.extract is None:
            return CHAT.answer(said)
        return answer.read(said)
    if kind == "text/plain":
        return answer.read(body.decode("utf-8", "replace"))
    modality = file_modality(kind)
    return {"generated": [Raw(modality, body)]} if modality in ("image", "audio") else {}


def _events(body: bytes, whole: bool, answer: Answer) -> dict[str, Any]:
    """Server-sent events: chunks of a chat, or their data as one text; `extract` gets the list of them."""
    events = list(_data_of(body, whole))
    if answer.extract is not None:
        return answer.read(events)
    try:
        chunks = [json.loads(event) for event in events]
    except ValueError:
        return answer.read("".join(events)) if events else {}
    if chunks and all(isinstance(chunk, Mapping) and "choices" in chunk for chunk in chunks):
        return CHAT.stream_answer(chunks)
    if chunks and isinstance(chunks[-1], Mapping):
        return answer.read(chunks[-1])
    return answer.read("".join(map(str, chunks))) if chunks else {}


def _data_of(body: bytes, whole: bool) -> Iterator[str]:
    text = body.decode("utf-8", "replace").replace("\r\n", "\n")
    blocks = text.split("\n\n")
    for block in blocks if whole else blocks[:-1]:
        lines = [line[5:].removeprefix(" ") for line in block.split("\n") if line.startswith("data:")]
        if lines and lines != ["[DONE]"]:
            yield "\n".join(lines)
