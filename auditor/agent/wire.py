"""Records as frames: the canonical JSON of a `core.record.Record`, written without making one.

Keys stand in alphabetical order here and below, so that nothing has to be sorted but what the host named.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from auditor.core.identity import canonical_json
from auditor.core.record import Input, ModelRef, Output, TextOutput
from auditor.core.window import from_us


def _encoder() -> Callable[[Any], str]:
    """`canonical_json` of what is built in the order of its keys, with the interpreter's C encoder made once, not once a frame."""
    make = getattr(json.encoder, "c_make_encoder", None)
    text = getattr(json.encoder, "c_encode_basestring", None)
    if make is None or text is None:
        return lambda value: canonical_json(value).decode()
    encode = make(None, json.JSONEncoder().default, text, None, ":", ",", False, False, False)
    join = "".join
    return lambda value: join(encode(value, 0))


_encode = _encoder()
_quoted: Callable[[str], str] = json.encoder.encode_basestring  # type: ignore[attr-defined]


class Wire:
    """Writes the record frames of one session.

    Parameters
    ----------
    session : str
    fork : int
    """

    def __init__(self, session: str, fork: int) -> None:
        self._source = f'"source":{{"fork":{fork},"seq":', f',"session":{_quoted(session)}}},'
        self._model: tuple[ModelRef | None, str] = (None, "")
        self._second: tuple[int, str] = (-1, "")

    def record(
        self,
        *,
        id: str,
        us: int,
        model: ModelRef,
        inputs: Iterable[Input],
        output: Output | None,
        seq: int,
        groups: Mapping[str, str | None],
        subject: str | None,
        sampling: float,
        latency_s: float | None,
        first_token_s: float | None,
    ) -> bytes:
        """The bytes that `canonical_json` makes of the record's `as_json`; ValueError for what is not finite."""
        opened = "{"
        if first_token_s is not None:
            opened += f'"first_token_s":{_encode(first_token_s)},'
        if groups:
            opened += f'"groups":{_encode(_sorted(groups))},'
        latency = "" if latency_s is None else f'"latency_s":{_encode(latency_s)},'
        answer = "" if output is None else f'"output":{_encode(_output(output))},'
        chosen = "" if sampling == 1.0 else f'"sampling":{_encode(sampling)},'
        person = "" if subject is None else f'"subject":{_encode(subject)},'
        before, after = self._source
        return (
            f'{opened}"id":{_quoted(id)},"inputs":[{",".join([_input(entry) for entry in inputs])}],{latency}'
            f'{self._model_text(model)}{answer}{chosen}{before}{seq}{after}{person}"time":"{self._time_text(us)}"}}'
        ).encode()

    def _model_text(self, model: ModelRef) -> str:
        """The same for call after call."""
        last, text = self._model
        if last is not model:
            encoder = "" if model.encoder is None else f'"encoder":{_quoted(model.encoder)},'
            text = f'"model":{{{encoder}"name":{_quoted(model.name)},"version":{_quoted(model.version)}}},'
            self._model = model, text
        return text

    def _time_text(self, us: int) -> str:
        """RFC 3339; microseconds only when there are any."""
        second, fraction = divmod(us, 1_000_000)
        last, text = self._second
        if last != second:
            text = from_us(second * 1_000_000).isoformat()[:-6]
            self._second = second, text
        return f"{text}.{fraction:06d}Z" if fraction else f"{text}Z"


def _sorted(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: columns[name] for name in sorted(columns)}


def _input(entry: Input) -> str:
    text = "{"
    if entry.commitment is not None:
        text += f'"commitment":{_quoted(entry.commitment)},'
    if entry.describer is not None:
        text += f'"describer":{_quoted(entry.describer)},'
    if entry.descriptors:
        text += f'"descriptors":{_encode(_sorted(entry.descriptors))},'
    if entry.embedding is not None:
        text += f'"embedding":{_encode(entry.embedding)},'
    if entry.encoder is not None:
        text += f'"encoder":{_encode(entry.encoder)},'
    if entry.error is not None:
        text += f'"error":{_quoted(entry.error)},'
    if entry.missing:
        text += '"missing":true,'
    scores = "" if entry.scores is None else f',"scores":{_encode(entry.scores)}'
    return f'{text}"modality":{_quoted(entry.modality)},"name":{_quoted(entry.name)}{scores}}}'


def _output(output: Output) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if output.error is not None:
        data["error"] = output.error
    if output.finish is not None:
        data["finish"] = output.finish
    if output.label is not None:
        data["label"] = output.label
    if output.refused is not None:
        data["refused"] = output.refused
    if output.scores is not None:
        data["scores"] = output.scores
    if output.text is not None:
        data["text"] = _text(output.text)
    if output.tokens:
        data["tokens"] = _sorted(output.tokens)
    if output.value is not None:
        data["value"] = output.value
    return data


def _text(text: TextOutput) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if text.descriptors:
        data["descriptors"] = _sorted(text.descriptors)
    if text.embedding is not None:
        data["embedding"] = text.embedding
    return data
