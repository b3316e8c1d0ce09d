"""Facts: what a figure, a verdict or an alert rests on, as plain JSON data. `auditor.wording` makes English of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from auditor.core.window import format_time

Facts = Mapping[str, Any]
"""Names to numbers, texts, flags, lists and mappings of the same; never a sentence."""

MOST_NESTED = 6


def plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts as JSON data, whatever a plugin put in.

    Numbers that are not finite are None, times are RFC 3339 texts, numbers of numpy are Python's, and any other object is
    its text.

    >>> plain({"mean": float("nan"), "classes": ("a", "b")})
    {'mean': None, 'classes': ['a', 'b']}
    """
    return {str(key): _plain(value, MOST_NESTED) for key, value in facts.items()}


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, datetime):
        return format_time(value)
    if depth and isinstance(value, Mapping):
        return {str(key): _plain(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes):
        return [_plain(item, depth - 1) for item in value]
    if callable(getattr(value, "item", None)) and getattr(value, "ndim", 1) == 0:  # a number of numpy
        return _plain(value.item(), 0)
    return str(value)
