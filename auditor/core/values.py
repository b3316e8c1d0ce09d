"""One list of how a value may be spelled: missing words, truth values, decimals, dates, durations. Standard library only.

Every reader (CSV, Parquet, JSON, the agent's rows, labels) reads values with these functions, so that a table means the same
whichever way it arrives.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

MISSING = ("", "NA", "N/A", "#N/A", "<NA>", "null", "None", "NaN", "nan")
"""Texts that stand for no value."""
BOOLEANS = {"true": "true", "True": "true", "TRUE": "true", "false": "false", "False": "false", "FALSE": "false"}
"""Spellings of truth values, and the one that is kept."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE = re.compile(r"-?\d+\.0+")
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+(?:,\d+)?")


def blank(value: Any, missing: Collection[str] = MISSING) -> bool:
    """Whether a value is absent: None, NaN, NaT, or a text that is one of the missing words."""
    if isinstance(value, str):
        return value.strip() in missing
    try:
        return value is None or bool(value != value)
    except (TypeError, ValueError):  # arrays compare element by element; pandas.NA compares with nothing
        return type(value).__name__ == "NAType"


def typed(value: Any) -> tuple[float | str | None, bool]:
    """A value that already has a type as a column's entry, and whether its kind is usable.

    Truth values become `true` and `false`; numbers (decimals among them) floats, not finite ones None; dates and times
    seconds since 1970 (UTC where no zone is given), times of day seconds since midnight, durations seconds. Texts stay, but
    for spellings of truth values. Lists, mappings, bytes and the rest are not usable.

    >>> typed(True), typed(Decimal("1.5")), typed(timedelta(minutes=2)), typed(date(1970, 1, 2)), typed([1])
    (('true', True), (1.5, True), (120.0, True), (86400.0, True), (None, False))
    """
    if type(value) is float:
        return (value if math.isfinite(value) else None), True
    if value is None:
        return None, True
    if isinstance(value, bool):
        return ("true" if value else "false"), True
    if isinstance(value, str):
        text = str.__str__(value)  # the plain text of enumerations that are strings
        return BOOLEANS.get(text, text), True
    if isinstance(value, (numbers.Real, Decimal)):
        try:
            number = float(value)
        except (OverflowError, ValueError, TypeError):
            return None, False
        return (number if math.isfinite(number) else None), True
    if blank(value):  # NaT
        return None, True
    try:
        return _seconds(value)
    except (TypeError, ValueError, OverflowError, AttributeError):
        return None, False


def _seconds(value: Any) -> tuple[float | None, bool]:
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return (aware - _EPOCH).total_seconds(), True
    if isinstance(value, date):
        return (value - date(1970, 1, 1)).days * 86400.0, True
    if isinstance(value, time):
        return value.hour * 3600.0 + value.minute * 60.0 + value.second + value.microsecond / 1e6, True
    return (value.total_seconds(), True) if isinstance(value, timedelta) else (None, False)


def number(text: str, decimal: str = ".") -> float | None:
    """The number that a text holds, with that decimal mark; None when it holds none. Underscores are no part of numbers.

    >>> number("3.5"), number("3,5", ","), number("1.234,5", ","), number("1_000"), number("a")
    (3.5, 3.5, 1234.5, None, None)
    """
    plain = text.strip()
    if "_" in plain:
        return None
    if decimal != ".":
        if "." in plain and _GROUPED.fullmatch(plain) is None:
            return None
        plain = plain.replace(".", "").replace(decimal, ".")
    try:
        return float(plain)
    except ValueError:
        return None


def figure(value: Any, missing: Collection[str] = MISSING, decimal: str = ".") -> float | str | None:
    """A cell as a column's entry: what `typed` makes of it; texts that hold numbers, truth values, dates become these.

    `007` stays a text: it is a name. What is not usable is None.

    >>> figure("3.5"), figure("007"), figure("0.5"), figure("NA"), figure("TRUE"), figure("1970-01-02")
    (3.5, '007', 0.5, None, 'true', 86400.0)
    """
    if blank(value, missing):
        return None
    if not isinstance(value, str):
        return typed(value)[0]
    text = value.strip()
    digits = text.lstrip("+-")
    if digits[:1] == "0" and digits[1:2].isdigit():
        return value
    read = number(text, decimal)
    if read is not None:
        return read if math.isfinite(read) else None
    moment = instant(text)
    return BOOLEANS.get(text, value) if moment is None else moment


def instant(text: str) -> float | None:
    """Seconds since 1970 of an ISO 8601 date or time (UTC where no zone is given); None for any other text."""
    if _ISO.fullmatch(text) is None:
        return None
    try:
        return _seconds(datetime.fromisoformat(text))[0]
    except ValueError:
        return None


def text(value: Any, missing: Collection[str] = MISSING) -> str | None:
    """A cell as a text; 7.0 is "7", truth values have one spelling; None where it is absent or unusable."""
    if blank(value, missing):
        return None
    if isinstance(value, str):
        return BOOLEANS.get(value, value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if value.bit_length() <= 64 else None
    found, _ = typed(value)
    if isinstance(found, float):
        return str(int(found)) if found.is_integer() else str(found)
    return found


def class_name(value: Any, missing: Collection[str] = MISSING) -> str | None:
    """A cell as a class: 7, "7" and "7.0" are one class, because a table with gaps writes its integers so.

    >>> class_name("7.0"), class_name(7), class_name("7.05"), class_name("v7.0"), class_name("True")
    ('7', '7', '7.05', 'v7.0', 'true')
    """
    found = text(value, missing)
    return found.partition(".")[0] if found is not None and _WHOLE.fullmatch(found) else found


def spelled_like(labels: Sequence[str | None], answers: Collection[str | None]) -> list[str | None]:
    """Labels in the spelling of the answers that they are about: `1` and `true` are one class where a model knows two.

    >>> spelled_like(["1", "0", None], {"true", "false"}), spelled_like(["true"], {"0", "1"}), spelled_like(["1"], {"a"})
    (['true', 'false', None], ['1'], ['1'])
    """
    known = {answer for answer in answers if answer is not None}
    for own, spelling in ((_WORDS, {"1": "true", "0": "false"}), (_DIGITS, {"true": "1", "false": "0"})):
        if known and known <= own:
            return [spelling.get(label, label) if label is not None else None for label in labels]
    return list(labels)


_WORDS, _DIGITS = {"true", "false"}, {"1", "0"}
