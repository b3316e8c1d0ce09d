"""The contract's gate: plain JSON becomes one of the types of `core.record`, or is refused with a code and the place.

Readers and checks are built from the types themselves: their fields, defaults and limits. Unknown keys, wrong types, NaN,
naive times and values beyond a limit are refused; a null counts as absent. Standard library only.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from auditor.core.errors import AuditorError, RecordError
from auditor.core.identity import uuid7
from auditor.core.record import EARLIEST, LARGEST, LATEST, CaptureTally, EnergyReading, Label, Limit, Record
from auditor.core.values import class_name
from auditor.core.window import parse_time, to_us

T = TypeVar("T")
Reader = Callable[[Any], Any]
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
            plain["id"] = default_id or uuid7(to_us(_time_of(plain)) // 1000)
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


def read(kind: type[T], data: Any) -> T:
    """An object of `kind` from decoded JSON; RecordError with the place of the first fault."""
    return cast(T, _reader(cast(Any, kind))(data))


def fits(hint: Any, values: Iterable[Any]) -> bool:
    """Whether each value is of a type of `core.record` and within its limits."""
    return not any(refusal(hint, value) for value in values)


def refusal(hint: Any, value: Any) -> RecordError | None:
    """The error with which a value of a type of `core.record` is refused; None when it is not."""
    try:
        _reader(hint)(value)
    except RecordError as error:
        return error
    return None


def over_limit(kind: type, values: Mapping[str, Any]) -> RecordError | None:
    """The error with which the intake would refuse an object of `kind` with these fields; None when it would not.

    Parameters
    ----------
    kind : type
        `Record`, or another type of `core.record`.
    values : mapping
        Some fields of `kind` by name; those that are missing or None are not checked.
    """
    readers = _readers(kind)
    for name, value in values.items():
        if value is not None:
            try:
                readers[name](value)
            except RecordError as error:
                return _below(name, error)
    return None


def _time_of(data: Mapping[str, Any]) -> datetime:
    if data.get("time") is None:
        raise RecordError("missing_key", "'time' is missing", where="time", fix="give 'time'")
    try:
        return _time(data["time"])
    except RecordError as error:
        raise _below("time", error) from error.__cause__


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


def _below(step: str, error: RecordError) -> RecordError:
    """The error with the place of its fault as seen from one level further out."""
    joint = "" if not error.where or error.where.startswith("[") else "."
    error.where = f"{step}{joint}{error.where}"[:500]
    return error


@lru_cache(maxsize=128)
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
        return _list_reader(get_args(hint)[0], limit)
    if origin is not None:
        key, value = get_args(hint)
        return _mapping_reader(_reader(key), _reader(value), limit)
    return {str: _text_reader, float: _number_reader, int: _whole_reader, bool: _flag_reader, datetime: _time_reader}[
        hint
    ](limit)


def _object_reader(kind: type) -> Reader:
    names = [field.name for field in fields(kind)]
    required = [field.name for field in fields(kind) if field.default is field.default_factory is MISSING]

    def read_object(data: Any) -> Any:
        if isinstance(data, kind):
            data = {name: getattr(data, name) for name in names}
        readers = _readers(kind)
        found = {}
        for key, value in _mapping(data).items():
            reader = readers.get(key)
            if reader is None:
                known = ", ".join(sorted(names))
                raise RecordError("unknown_key", f"unknown key {str(key)[:200]!r}", fix=f"known: {known}")
            if value is not None:
                try:
                    found[key] = reader(value)
                except RecordError as error:
                    raise _below(key, error) from error.__cause__
        for key in required:
            if key not in found:
                raise RecordError("missing_key", f"{key!r} is missing", fix=f"give {key!r}")
        return kind(**found)

    return read_object


def _union_reader(arms: list[Any]) -> Reader:
    texts = [_reader(arm) for arm in arms if _base(arm) is str]
    others = [_reader(arm) for arm in arms if _base(arm) is not str]
    if not texts or not others:
        (only,) = texts or others
        return lambda value: None if value is None else only(value)
    (text,), (other,) = texts, others
    return lambda value: None if value is None else text(value) if isinstance(value, str) else other(value)


def _base(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _list_reader(item: Any, limit: Limit) -> Reader:
    entry = _reader(item)
    numbers = get_args(item)[1] if _base(item) is float else None  # long lists of numbers are checked as a whole
    least, most, _ = _range(numbers) if numbers is not None else (0, 0, 0)

    def read_list(value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise RecordError("bad_type", "expected a list")
        _within(len(value), limit, "entries")
        plain = numbers is not None and set(map(type, value)) == {float} and all(map(math.isfinite, value))
        if plain and least <= min(value) and max(value) <= most:
            return tuple(value)
        found = []
        for index, item in enumerate(value):
            if item is None:
                raise RecordError(limit.code, "an entry is null", fix="leave the list out")
            try:
                found.append(entry(item))
            except RecordError as error:
                raise _below(f"[{index}]", error) from error.__cause__
        return tuple(found)

    return read_list


def _mapping_reader(key: Reader, entry: Reader, limit: Limit) -> Reader:
    def read_mapping(value: Any) -> Any:
        _within(len(_mapping(value)), limit, "entries")
        found = {}
        for name, item in value.items():
            try:
                found[key(name)] = entry(item)
            except RecordError as error:
                raise _below(str(name), error) from error.__cause__
        return found

    return read_mapping


def _text_reader(limit: Limit) -> Reader:
    low, high = _bounds(limit)
    allowed = limit.one_of

    def read_text(value: Any) -> Any:
        if not isinstance(value, str):
            spelled = None
            if limit.class_name and (isinstance(value, int) or (isinstance(value, float) and value.is_integer())):
                spelled = class_name(value)
            if spelled is None:
                raise RecordError("bad_type", f"expected text, found {type(value).__name__}")
            value = spelled
        if not low <= len(value) <= high:
            _within(len(value), limit, "characters")
        if allowed is not None and value not in allowed:
            raise RecordError(limit.code, f"{value[:80]!r} is not allowed here", fix=f"one of {', '.join(allowed)}")
        return value

    return read_text


def _number_reader(limit: Limit) -> Reader:
    least, most, above = _range(limit)

    def read_number(value: Any) -> float:
        if type(value) is float and least <= value <= most and value > above:
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise RecordError("bad_type", f"expected a number, found {_kind(value)}")
        try:
            number = float(value)
        except OverflowError:  # a whole number of more than 308 digits
            number = math.inf if value > 0 else -math.inf
        if not math.isfinite(number):
            raise RecordError("not_finite", f"{number} is not a finite number", fix="leave it out, or send null")
        _check_range(number, limit)
        return number

    return read_number


def _whole_reader(limit: Limit) -> Reader:
    def read_whole(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise RecordError("bad_type", f"expected a whole number, found {_kind(value)}")
        _check_range(value, limit)
        return value

    return read_whole


def _flag_reader(limit: Limit) -> Reader:
    def read_flag(value: Any) -> bool:
        if not isinstance(value, bool):
            raise RecordError("bad_type", f"expected true or false, found {_kind(value)}")
        return value

    return read_flag


def _time_reader(limit: Limit) -> Reader:
    return _time


def _time(value: Any) -> datetime:
    if not isinstance(value, (str, datetime)):
        raise RecordError("bad_type", f"expected a time, found {_kind(value)}")
    try:
        moment = parse_time(value) if isinstance(value, str) else value
        inside = EARLIEST <= moment < LATEST
    except AuditorError as error:
        raise RecordError(error.code, error.message, fix=error.fix) from error
    except TypeError as error:
        raise RecordError("naive_time", "the time has no time zone", fix="give an offset, or Z for UTC") from error
    if not inside:
        raise RecordError("over_limit", f"{moment.isoformat()} is outside 1970 to 2199", fix="check the clock")
    return moment


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise RecordError("bad_type", "expected an object")
    return value


def _bounds(limit: Limit) -> tuple[int, float]:
    return limit.shortest or 0, math.inf if limit.longest is None else limit.longest


def _within(size: int, limit: Limit, unit: str) -> None:
    low, high = _bounds(limit)
    if not low <= size <= high:
        span = f"{low} to {high}" if limit.longest is not None else f"at least {low}"
        raise RecordError(limit.code, f"it has {size} {unit}, {span} are allowed")


def _range(limit: Limit) -> tuple[float, float, float]:
    """Least, most, and what a number is above."""
    return (
        -math.inf if limit.least is None else limit.least,
        LARGEST if limit.most is None else limit.most,
        -math.inf if limit.above is None else limit.above,
    )


def _check_range(number: float, limit: Limit) -> None:
    least, most, above = _range(limit)
    if not (least <= number <= most and number > above):
        low = limit.least if limit.above is None else f"above {limit.above}"
        raise RecordError(limit.code, f"{number} is outside the range ({low} to {limit.most})")
