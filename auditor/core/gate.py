"""The contract's gate: plain JSON becomes one of the types of `core.record`, or is refused with a code and the place.

Readers and checks are built from the types themselves: their fields, defaults and limits. Unknown keys, wrong types, NaN,
naive times and values beyond a limit are refused; a null counts as absent. Standard library only.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from auditor.core.errors import AuditorError, RecordError
from auditor.core.identity import uuid7
from auditor.core.record import EARLIEST, LATEST, CaptureTally, EnergyReading, Label, Limit, Record
from auditor.core.values import class_name
from auditor.core.window import parse_time, to_us

T = TypeVar("T")
Reader = Callable[[Any, str], Any]
Check = Callable[[Any], bool]
_NO_LIMIT = Limit()


def parse_record(data: Any, *, default_id: str | None = None) -> Record:
    """The record that `data` (decoded JSON) describes, or RecordError with the place of the first fault.

    Parameters
    ----------
    data : mapping
        The contract's record.
    default_id : str, optional
        Used when `data` carries no id; a UUIDv7 of the record's time, when that is absent too.
    """
    if isinstance(data, Mapping):
        if data.get("sensitive"):
            raise RecordError(
                "no_vault",
                "the record carries sensitive features",
                where="sensitive",
                fix="leave them out: there is no vault yet that may keep them",
            )
        plain = {key: value for key, value in data.items() if key != "sensitive"}
        if plain.get("id") is None:
            plain["id"] = default_id or uuid7(to_us(_time(plain.get("time"), "time")) // 1000)
        data = plain
    record = read(Record, data)
    names = [entry.name for entry in record.inputs]
    if len(set(names)) != len(names):
        raise RecordError(
            "duplicate_input", "two inputs have the same name", where="inputs", fix="name each input once"
        )
    return record


def parse_label(data: Any, *, now: datetime | None = None) -> Label:
    """The label that `data` describes; its time defaults to `now`."""
    if isinstance(data, Mapping):
        if (data.get("label") is None) == (data.get("value") is None):
            raise RecordError(
                "bad_label", "a label carries either `label` or `value`", where=str(data.get("id"))[:80], fix="give one"
            )
        if data.get("time") is None and now is not None:
            data = {**data, "time": now}
    return read(Label, data)


def parse_energy_reading(data: Any) -> EnergyReading:
    """The reading that `EnergyReading.as_json` wrote; what is empty was left out."""
    reading = read(EnergyReading, {"joules": {}, **data} if isinstance(data, Mapping) else data)
    _ordered(reading.start < reading.end, "reading")
    return reading


def parse_tally(data: Any) -> CaptureTally:
    """The tally that `CaptureTally.as_json` wrote; what is empty was left out."""
    tally = read(CaptureTally, {"dropped": {}, **data} if isinstance(data, Mapping) else data)
    _ordered(tally.start <= tally.end, "tally")
    return tally


def read(kind: type[T], data: Any, where: str = "") -> T:
    """An object of `kind` from decoded JSON; RecordError with the place of the first fault."""
    return cast(T, _reader(kind)(data, where))


def over_limit(kind: type, values: Mapping[str, Any]) -> RecordError | None:
    """The error with which the intake would refuse an object of `kind` with these fields; None when it would not.

    Parameters
    ----------
    kind : type
        `Record`, or another type of `core.record`.
    values : mapping
        Some fields of `kind` by name, of the right types; those that are missing are not checked.
    """
    checks = _checks(kind)
    for name, value in values.items():
        if not checks[name](value):
            try:
                _readers(kind)[name](value, name)
            except RecordError as error:
                return error
    return None


def _ordered(holds: bool, what: str) -> None:
    if not holds:
        raise RecordError("bad_span", f"the {what} ends before it begins", where="end", fix="check the clock")


# -- readers of plain JSON ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def hints(kind: type) -> dict[str, Any]:
    """Types of the fields of a dataclass, limits included."""
    return get_type_hints(kind, include_extras=True)


@lru_cache(maxsize=32)
def _readers(kind: type) -> dict[str, Reader]:
    return {name: _reader(hint) for name, hint in hints(kind).items()}


def _reader(hint: Any, limit: Limit = _NO_LIMIT) -> Reader:
    if get_origin(hint) is Annotated:
        inner, given = get_args(hint)
        return _reader(inner, given)
    if is_dataclass(hint):
        return _object_reader(cast(type, hint))
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _union_reader([arm for arm in get_args(hint) if arm is not type(None)])
    if origin is tuple:
        return _list_reader(_reader(get_args(hint)[0]), limit)
    if origin is not None:
        key, value = get_args(hint)
        return _mapping_reader(_reader(key), _reader(value), limit)
    return {str: _text_reader, float: _number_reader, int: _whole_reader, bool: _flag_reader, datetime: _time_reader}[
        hint
    ](limit)


@lru_cache(maxsize=32)
def _object_reader(kind: type) -> Reader:
    required = [field.name for field in fields(kind) if field.default is field.default_factory is MISSING]
    known = ", ".join(sorted(field.name for field in fields(kind)))

    def read_object(data: Any, where: str) -> Any:
        if isinstance(data, kind):
            data = {field.name: getattr(data, field.name) for field in fields(kind)}
        readers = _readers(kind)
        place = f"{where}." if where else ""
        found = {}
        for key, value in _mapping(data, where).items():
            reader = readers.get(key)
            if reader is None:
                raise RecordError("unknown_key", f"unknown key {str(key)[:200]!r}", where=where, fix=f"known: {known}")
            if value is not None:
                found[key] = reader(value, place + key)
        for key in required:
            if key not in found:
                raise RecordError("missing_key", f"{key!r} is missing", where=where, fix=f"give {key!r}")
        return kind(**found)

    return read_object


def _union_reader(arms: list[Any]) -> Reader:
    texts = [_reader(arm) for arm in arms if _base(arm) is str]
    others = [_reader(arm) for arm in arms if _base(arm) is not str]
    if not texts or not others:
        (only,) = texts or others
        return lambda value, where: None if value is None else only(value, where)

    def read_either(value: Any, where: str) -> Any:
        if value is None:
            return None
        return (texts if isinstance(value, str) else others)[0](value, where)

    return read_either


def _base(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _list_reader(entry: Reader, limit: Limit) -> Reader:
    def read_list(value: Any, where: str) -> Any:
        if not isinstance(value, (list, tuple)):
            raise RecordError("bad_type", "expected a list", where=where)
        _within(len(value), limit, "entries", where)
        if None in value:
            raise RecordError(limit.code, "an entry is null", where=where, fix="leave the list out")
        return tuple([entry(item, f"{where}[{index}]") for index, item in enumerate(value)])

    return read_list


def _mapping_reader(key: Reader, entry: Reader, limit: Limit) -> Reader:
    def read_mapping(value: Any, where: str) -> Any:
        _within(len(_mapping(value, where)), limit, "entries", where)
        return {key(name, where): entry(item, f"{where}.{name}"[:500]) for name, item in value.items()}

    return read_mapping


def _text_reader(limit: Limit) -> Reader:
    def read_text(value: Any, where: str) -> Any:
        if not isinstance(value, str):
            spelled = None
            if limit.class_name and (isinstance(value, int) or (isinstance(value, float) and value.is_integer())):
                spelled = class_name(value)
            if spelled is None:
                raise RecordError("bad_type", f"expected text, found {type(value).__name__}", where=where)
            value = spelled
        _within(len(value), limit, "characters", where)
        if limit.one_of is not None and value not in limit.one_of:
            raise RecordError(
                limit.code, f"{value[:80]!r} is not allowed here", where=where, fix=f"one of {', '.join(limit.one_of)}"
            )
        return value

    return read_text


def _number_reader(limit: Limit) -> Reader:
    def read_number(value: Any, where: str) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise RecordError("bad_type", f"expected a number, found {_kind(value)}", where=where)
        try:
            number = float(value)
        except OverflowError:  # a whole number of more than 308 digits
            number = math.inf if value > 0 else -math.inf
        if not math.isfinite(number):
            raise RecordError(
                "not_finite", f"{number} is not a finite number", where=where, fix="leave it out, or send null"
            )
        _bounded(number, limit, where)
        return number

    return read_number


def _whole_reader(limit: Limit) -> Reader:
    def read_whole(value: Any, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise RecordError("bad_type", f"expected a whole number, found {_kind(value)}", where=where)
        _bounded(value, limit, where)
        return value

    return read_whole


def _flag_reader(limit: Limit) -> Reader:
    def read_flag(value: Any, where: str) -> bool:
        if not isinstance(value, bool):
            raise RecordError("bad_type", f"expected true or false, found {_kind(value)}", where=where)
        return value

    return read_flag


def _time_reader(limit: Limit) -> Reader:
    return _time


def _time(value: Any, where: str) -> datetime:
    if value is None:
        raise RecordError("missing_key", f"{where!r} is missing", where=where, fix=f"give {where!r}")
    if not isinstance(value, (str, datetime)):
        raise RecordError("bad_type", f"expected a time, found {_kind(value)}", where=where)
    try:
        moment = parse_time(value) if isinstance(value, str) else value
        inside = EARLIEST <= moment < LATEST
    except (AuditorError, TypeError) as error:
        found = error if isinstance(error, AuditorError) else None
        raise RecordError(
            found.code if found else "naive_time",
            found.message if found else "the time has no time zone",
            where=where,
            fix=found.fix if found else "give an offset, or Z for UTC",
        ) from error
    if not inside:
        raise RecordError(
            "over_limit", f"{moment.isoformat()} is outside 1970 to 2199", where=where, fix="check the clock"
        )
    return moment


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise RecordError("bad_type", "expected an object", where=where)
    return value


def _within(size: int, limit: Limit, unit: str, where: str) -> None:
    low, high = limit.shortest or 0, limit.longest
    if size < low or (high is not None and size > high):
        span = f"{low} to {high}" if high is not None else f"at least {low}"
        raise RecordError(limit.code, f"it has {size} {unit}, {span} are allowed", where=where[:300])


def _bounded(number: float, limit: Limit, where: str) -> None:
    if not _inside(number, limit):
        low = limit.least if limit.above is None else f"above {limit.above}"
        raise RecordError(limit.code, f"{number} is outside the range ({low} to {limit.most})", where=where)


def _inside(number: float, limit: Limit) -> bool:
    return (
        (limit.least is None or number >= limit.least)
        and (limit.most is None or number <= limit.most)
        and (limit.above is None or number > limit.above)
    )


# -- checks of objects -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _checks(kind: type) -> dict[str, Check]:
    return {name: _check(hint) for name, hint in hints(kind).items()}


def _check(hint: Any, limit: Limit = _NO_LIMIT) -> Check:
    """Whether a value of the right type keeps its limits: quick, without the place."""
    if get_origin(hint) is Annotated:
        inner, given = get_args(hint)
        return _check(inner, given)
    if is_dataclass(hint):
        kind = cast(type, hint)
        return lambda value: all(check(getattr(value, name)) for name, check in _checks(kind).items())
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        arms = {_base(arm): _check(arm) for arm in get_args(hint) if arm is not type(None)}
        if len(arms) == 1:
            (only,) = arms.values()
            return lambda value: value is None or only(value)
        text, number = arms[str], arms[float]
        return lambda value: value is None or (text if isinstance(value, str) else number)(value)
    low, high = limit.shortest or 0, math.inf if limit.longest is None else limit.longest
    if origin is tuple:
        entry = _check(get_args(hint)[0])
        return lambda value: low <= len(value) <= high and all(map(entry, value))
    if origin is not None:
        key, item = map(_check, get_args(hint))
        return lambda value: low <= len(value) <= high and all(map(key, value)) and all(map(item, value.values()))
    if hint is str:
        allowed = limit.one_of
        return lambda value: low <= len(value) <= high and (allowed is None or value in allowed)
    if hint in (int, float):
        least, above = (-math.inf if bound is None else bound for bound in (limit.least, limit.above))
        most = math.inf if limit.most is None else limit.most
        return lambda value: least <= value <= most and value > above
    if hint is datetime:
        return lambda value: EARLIEST <= value < LATEST
    return lambda value: True
