"""The contract's gate: plain JSON becomes a record, a label, a reading or a tally, or is refused with a code and the place.

Unknown keys, wrong types, NaN and naive times are refused. Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from auditor.core.errors import AuditorError, RecordError
from auditor.core.identity import uuid7
from auditor.core.record import (
    ENERGY_METHODS,
    MODALITIES,
    CaptureTally,
    EnergyFigure,
    EnergyReading,
    Input,
    Label,
    ModelRef,
    Output,
    Record,
    Scalar,
    Source,
    TextOutput,
)
from auditor.core.window import parse_time, to_us

_RECORD = {
    "id",
    "time",
    "model",
    "inputs",
    "output",
    "source",
    "groups",
    "sensitive",
    "subject",
    "sampling",
    "latency_s",
    "first_token_s",
    "energy",
}
_INPUT = {
    "name",
    "modality",
    "missing",
    "error",
    "descriptors",
    "embedding",
    "encoder",
    "scores",
    "commitment",
    "describer",
}
_OUTPUT = {"label", "value", "text", "scores", "tokens", "finish", "refused", "error"}


def parse_record(data: Any, *, default_id: str | None = None) -> Record:
    """The record that `data` (decoded JSON) describes, or RecordError with the place of the first fault.

    Parameters
    ----------
    data : mapping
        The contract's record.
    default_id : str, optional
        Used when `data` carries no id; a UUIDv7 of the record's time, when that is absent too.
    """
    _keys(data, _RECORD, {"time", "model", "inputs"}, "record")
    if data.get("sensitive"):
        raise RecordError(
            "no_vault",
            "the record carries sensitive features",
            where="sensitive",
            fix="leave them out: there is no vault yet that may keep them",
        )
    time = _time(data["time"], "time")
    identifier = data.get("id") if data.get("id") is not None else default_id or uuid7(to_us(time) // 1000)
    if not isinstance(identifier, str) or not 1 <= len(identifier) <= 64:
        raise RecordError(
            "bad_id", f"{identifier!r} is not an id", where="id", fix="give a string of 1 to 64 characters"
        )
    inputs = _sequence(data["inputs"], "inputs")
    parsed = tuple(_parse_input(entry, f"inputs[{index}]") for index, entry in enumerate(inputs))
    names = [entry.name for entry in parsed]
    if len(set(names)) != len(names):
        raise RecordError(
            "duplicate_input", "two inputs have the same name", where="inputs", fix="name each input once"
        )
    groups = _mapping(data.get("groups") or {}, "groups")
    sampling = _number(data.get("sampling", 1.0), "sampling")
    if sampling is None or not 0.0 < sampling <= 1.0:
        raise RecordError(
            "bad_sampling", f"sampling is {sampling}", where="sampling", fix="give a share above 0, at most 1"
        )
    return Record(
        id=identifier,
        time=time,
        model=_parse_model(data["model"], "model"),
        inputs=parsed,
        output=_parse_output(data["output"]) if data.get("output") is not None else None,
        source=_parse_source(data["source"]) if data.get("source") is not None else None,
        groups={
            _text(key, "groups"): None if value is None else _text(value, f"groups.{key}")
            for key, value in groups.items()
        },
        subject=None if data.get("subject") is None else _text(data["subject"], "subject"),
        sampling=sampling,
        latency_s=_number(data.get("latency_s"), "latency_s", low=0.0),
        first_token_s=_number(data.get("first_token_s"), "first_token_s", low=0.0),
        energy=_parse_energy(data["energy"]) if data.get("energy") is not None else None,
    )


def parse_label(data: Any, *, now: datetime | None = None) -> Label:
    """The label that `data` describes; its time defaults to `now`."""
    _keys(data, {"id", "label", "value", "time"}, {"id"}, "label")
    if (data.get("label") is None) == (data.get("value") is None):
        raise RecordError(
            "bad_label", "a label carries either `label` or `value`", where=str(data.get("id")), fix="give one"
        )
    time = _time(data["time"], "time") if data.get("time") is not None else now
    if time is None:
        raise RecordError("missing_key", "the label has no time", where=str(data["id"]), fix="give `time`")
    label = data.get("label")
    return Label(
        id=_text(data["id"], "id"),
        time=time,
        label=None if label is None else _class_name(label, "label"),
        value=_number(data.get("value"), "value"),
    )


def parse_energy_reading(data: Mapping[str, Any]) -> EnergyReading:
    """The reading that `EnergyReading.as_json` wrote."""
    plain = dict(
        {"joules": {}} | dict(data),
        model=_parse_model(data["model"], "model"),
        start=_time(data["start"], "start"),
        end=_time(data["end"], "end"),
    )
    return EnergyReading(**plain)


def parse_tally(data: Mapping[str, Any]) -> CaptureTally:
    """The tally that `CaptureTally.as_json` wrote."""
    plain = dict(
        {"dropped": {}} | dict(data),  # `as_json` leaves out what is empty
        model=_parse_model(data["model"], "model"),
        start=_time(data["start"], "start"),
        end=_time(data["end"], "end"),
    )
    return CaptureTally(**plain)


def _parse_model(data: Any, where: str) -> ModelRef:
    _keys(data, {"name", "version", "encoder"}, {"name"}, where)
    name = _text(data["name"], f"{where}.name")
    if not name or len(name) > 200:
        raise RecordError(
            "bad_model_name", f"{name!r} is not a model name", where=f"{where}.name", fix="give 1 to 200 characters"
        )
    version = data.get("version")
    encoder = data.get("encoder")
    return ModelRef(
        name=name,
        version="" if version is None else _text(version, f"{where}.version"),
        encoder=None if encoder is None else _text(encoder, f"{where}.encoder"),
    )


def _parse_source(data: Any) -> Source:
    _keys(data, {"session", "fork", "seq"}, {"session", "fork", "seq"}, "source")
    if not all(isinstance(data[key], int) and not isinstance(data[key], bool) for key in ("fork", "seq")):
        raise RecordError("bad_type", "fork and seq are whole numbers", where="source")
    return Source(session=_text(data["session"], "source.session"), fork=data["fork"], seq=data["seq"])


def _parse_input(data: Any, where: str) -> Input:
    _keys(data, _INPUT, {"name", "modality"}, where)
    if data["modality"] not in MODALITIES:
        raise RecordError(
            "unknown_modality",
            f"{data['modality']!r} is not a modality",
            where=f"{where}.modality",
            fix=f"use one of {', '.join(MODALITIES)}",
        )
    missing = data.get("missing", False)
    if not isinstance(missing, bool):
        raise RecordError("bad_type", "missing is true or false", where=f"{where}.missing")
    columns = _mapping(data.get("descriptors") or {}, f"{where}.descriptors")
    return Input(
        name=_text(data["name"], f"{where}.name"),
        modality=data["modality"],
        missing=missing,
        error=_optional_text(data.get("error"), f"{where}.error"),
        descriptors={
            _text(key, f"{where}.descriptors"): _scalar(value, f"{where}.descriptors.{key}")
            for key, value in columns.items()
        },
        embedding=_vector(data.get("embedding"), f"{where}.embedding"),
        encoder=_optional_text(data.get("encoder"), f"{where}.encoder"),
        scores=_vector(data.get("scores"), f"{where}.scores"),
        commitment=_optional_text(data.get("commitment"), f"{where}.commitment"),
        describer=_optional_text(data.get("describer"), f"{where}.describer"),
    )


def _parse_output(data: Any) -> Output:
    _keys(data, _OUTPUT, set(), "output")
    text = data.get("text")
    if text is not None:
        _keys(text, {"descriptors", "embedding"}, set(), "output.text")
    tokens = data.get("tokens")
    if tokens is not None:
        _keys(tokens, {"input", "output"}, set(), "output.tokens")
    refused = data.get("refused")
    if refused is not None and not isinstance(refused, bool):
        raise RecordError("bad_type", "refused is true or false", where="output.refused")
    label = data.get("label")
    return Output(
        label=None if label is None else _class_name(label, "output.label"),
        value=_number(data.get("value"), "output.value"),
        text=None
        if text is None
        else TextOutput(
            descriptors={
                key: _scalar(value, f"output.text.descriptors.{key}")
                for key, value in _mapping(text.get("descriptors") or {}, "output.text.descriptors").items()
            },
            embedding=_vector(text.get("embedding"), "output.text.embedding"),
        ),
        scores=_vector(data.get("scores"), "output.scores"),
        tokens=tokens,
        finish=_optional_text(data.get("finish"), "output.finish"),
        refused=refused,
        error=_optional_text(data.get("error"), "output.error"),
    )


def _parse_energy(data: Any) -> EnergyFigure:
    _keys(data, {"joules", "method", "lower", "upper", "by"}, {"joules", "method"}, "energy")
    joules = _number(data["joules"], "energy.joules", low=0.0)
    if joules is None or data["method"] not in ENERGY_METHODS:
        raise RecordError(
            "bad_energy", "energy needs joules and a method", where="energy", fix=f"method: {', '.join(ENERGY_METHODS)}"
        )
    by = data.get("by")
    return EnergyFigure(
        joules=joules,
        method=data["method"],
        lower=_number(data.get("lower"), "energy.lower"),
        upper=_number(data.get("upper"), "energy.upper"),
        by=None
        if by is None
        else {key: _number(value, f"energy.by.{key}") or 0.0 for key, value in _mapping(by, "energy.by").items()},
    )


def _keys(data: Any, allowed: set[str], required: set[str], where: str) -> None:
    if not isinstance(data, Mapping):
        raise RecordError("bad_type", "expected an object", where=where)
    for key in data:
        if key not in allowed:
            raise RecordError(
                "unknown_key", f"unknown key {key!r}", where=where, fix=f"known: {', '.join(sorted(allowed))}"
            )
    for key in required:
        if data.get(key) is None:
            raise RecordError("missing_key", f"{key!r} is missing", where=where, fix=f"give {key!r}")


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise RecordError("bad_type", "expected an object", where=where)
    return value


def _sequence(value: Any, where: str) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise RecordError("bad_type", "expected a list", where=where)
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise RecordError("bad_type", f"expected text, found {type(value).__name__}", where=where)
    return value


def _optional_text(value: Any, where: str) -> str | None:
    return None if value is None else _text(value, where)


def _class_name(value: Any, where: str) -> str:
    """A class label as text: 7 and 7.0 and "7" are one class; true and false keep their words."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return _text(value, where)


def _number(value: Any, where: str, *, low: float | None = None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RecordError("bad_type", f"expected a number, found {type(value).__name__}", where=where)
    try:
        number = float(value)
    except OverflowError:  # a whole number of more than 308 digits
        number = math.inf if value > 0 else -math.inf
    if not math.isfinite(number):
        raise RecordError(
            "not_finite", f"{number} is not a number to keep", where=where, fix="leave it out, or send null"
        )
    if low is not None and number < low:
        raise RecordError("out_of_range", f"{number} is below {low}", where=where)
    return number


def _scalar(value: Any, where: str) -> Scalar:
    return value if isinstance(value, str) else _number(value, where)


def _vector(value: Any, where: str) -> tuple[float, ...] | None:
    if value is None:
        return None
    numbers = tuple(_number(entry, f"{where}[{index}]") for index, entry in enumerate(_sequence(value, where)))
    if not numbers or any(number is None for number in numbers):
        raise RecordError("bad_vector", "a vector is a list of numbers, none of them null", where=where)
    return numbers  # type: ignore[return-value]


def _time(value: Any, where: str) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        return parse_time(_text(value, where))
    except AuditorError as error:
        raise RecordError(error.code, error.message, where=where, fix=error.fix) from error
