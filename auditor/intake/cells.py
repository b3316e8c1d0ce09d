"""Cells of a table: what a number, a text, a vector or a time looks like where somebody else wrote it down."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from auditor.core.errors import AuditorError, RecordError
from auditor.core.window import EPOCH, parse_time

_WHOLE = re.compile(r"^(-?\d+)\.0+$")
FORMATS = ("iso8601", "unix_s", "unix_ms")


def blank(value: Any) -> bool:
    """Whether a cell says nothing: null, empty, or NaN."""
    return value is None or value == "" or (isinstance(value, float) and value != value)


def number(value: Any, where: str) -> float | None:
    """A cell as a number; None when it is blank or `nan`, RecordError `not_a_number` when it is something else."""
    if blank(value) or (isinstance(value, str) and value.strip().lower() == "nan"):
        return None
    if isinstance(value, (str, int, float)) and not isinstance(value, bool) and "_" not in str(value):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise RecordError("not_a_number", f"{value!r} is not a number", where=where, fix="correct the cell or the mapping")


def figure(value: Any) -> float | str | None:
    """A cell as a descriptor: a number where it reads as one, else a text. `007` stays a text: it is a name.

    >>> figure("3.5"), figure("007"), figure("0.5"), figure(""), figure(True)
    (3.5, '007', 0.5, None, 'true')
    """
    if blank(value):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:  # refused as not finite, where the record is put together
            return math.inf
    text = str(value)
    digits = text.lstrip("+-")
    if (digits[:1] == "0" and digits[1:2].isdigit()) or "_" in text:
        return text
    try:
        read = float(text)
    except ValueError:
        return text
    return None if read != read else read


def vector(value: Any, where: str) -> list[float] | None:
    """A cell as a vector: a list, or a text that holds one as JSON or as numbers between spaces, commas or semicolons."""
    if blank(value):
        return None
    if isinstance(value, str):
        text = value.strip()
        try:
            value = json.loads(text) if text.startswith("[") else text.replace(",", " ").replace(";", " ").split()
        except ValueError as error:
            raise RecordError("bad_vector", "the cell does not hold a vector", where=where) from error
    if not isinstance(value, (list, tuple)):
        raise RecordError("bad_vector", "the cell does not hold a vector", where=where)
    numbers = [number(entry, where) for entry in value]
    if any(entry is None for entry in numbers):
        raise RecordError("bad_vector", "a number of the vector is missing", where=where)
    return [entry for entry in numbers if entry is not None]


def text_of(value: Any) -> str | None:
    """A cell as a text or a class name; 7.0 is "7"."""
    if blank(value):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def class_of(value: Any) -> str | None:
    """A cell as a class name: 7, "7" and "7.0" are one class, because a table with gaps writes its integers so.

    >>> class_of("7.0"), class_of(7), class_of("7.05"), class_of("v7.0")
    ('7', '7', '7.05', 'v7.0')
    """
    text = text_of(value)
    return text if text is None else _WHOLE.sub(r"\1", text)


def truth(value: Any) -> bool | None:
    if blank(value):
        return None
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    word = str(text_of(value)).lower()
    if word not in words:
        raise RecordError("bad_type", f"{value!r} is neither true nor false", where="output.refused")
    return words[word]


def moment(value: Any, form: str, zone: tzinfo, where: str) -> datetime:
    try:
        if form != "iso8601":
            amount = number(value, where)
            if amount is None:
                raise ValueError("there is no time")
            # Whole milliseconds stay exact: a float of seconds would not.
            return EPOCH + (timedelta(milliseconds=amount) if form == "unix_ms" else timedelta(seconds=amount))
        found = value if isinstance(value, datetime) else None
        if found is None:
            text = str(value).strip()
            if len(text) == 10 and zone is UTC:
                return parse_time(text)
            found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except AuditorError:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        raise RecordError(
            "bad_time",
            f"{value!r} is not a time in {form}",
            where=where,
            fix="correct the cell, the format or the zone",
        ) from error
