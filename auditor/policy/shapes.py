"""Shapes: what a policy file may say. Each reads a node into a plain value and can tell the same as JSON Schema."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from auditor.core.errors import ConfigurationError
from auditor.core.window import parse_duration, parse_time
from auditor.policy.nodes import Node


class Shape(Protocol):
    """Reads a node or raises PolicyError; `schema` is the same rule as JSON Schema 2020-12."""

    def read(self, node: Node) -> Any: ...
    def schema(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Text:
    """A non-empty text, perhaps one of a few words or of a pattern."""

    choices: tuple[str, ...] = ()
    pattern: str = ""
    meaning: str = ""

    def read(self, node: Node) -> str:
        if not isinstance(node.value, str) or not node.value.strip():
            raise node.error("wrong_type", f"expected a text, found {_show(node)}", "write a text, quoted if need be")
        if self.choices and node.value not in self.choices:
            raise node.error("bad_value", f"{node.value!r} is not known here", hint(node.value, self.choices))
        if self.pattern and not re.fullmatch(self.pattern, node.value):
            raise node.error("bad_value", f"{node.value!r} does not fit", f"it must match {self.pattern}")
        return node.value

    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = {"type": "string"}
        if self.choices:
            found = {"enum": list(self.choices)}
        if self.pattern:
            found["pattern"] = f"^(?:{self.pattern})$"
        if self.meaning:
            found["description"] = self.meaning
        return found


@dataclass(frozen=True)
class Number:
    """A finite number; `whole` for integers."""

    minimum: float | None = None
    maximum: float | None = None
    whole: bool = False

    def read(self, node: Node) -> float:
        kinds = int if self.whole else (int, float)
        if isinstance(node.value, bool) or not isinstance(node.value, kinds):
            word = "a whole number" if self.whole else "a number"
            raise node.error("wrong_type", f"expected {word}, found {_show(node)}", "write it without quotes")
        low, high = self.minimum, self.maximum
        if (low is not None and node.value < low) or (high is not None and node.value > high):
            limits = f"{'-inf' if low is None else low} to {'inf' if high is None else high}"
            raise node.error("bad_value", f"{node.value} is out of range", f"give {limits}")
        return node.value if self.whole else float(node.value)

    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = {"type": "integer" if self.whole else "number"}
        if self.minimum is not None:
            found["minimum"] = self.minimum
        if self.maximum is not None:
            found["maximum"] = self.maximum
        return found


@dataclass(frozen=True)
class Flag:
    """true or false."""

    def read(self, node: Node) -> bool:
        if not isinstance(node.value, bool):
            raise node.error("wrong_type", f"expected true or false, found {_show(node)}", "write true or false")
        return node.value

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Duration:
    """A length of time: `72h`, `28d`, `P90D`."""

    def read(self, node: Node) -> timedelta:
        try:
            return parse_duration(node.value if isinstance(node.value, str) else "")
        except ConfigurationError as error:
            raise node.error("bad_duration", f"{_show(node)} is not a duration", error.fix) from error

    def schema(self) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": r"^(?:\d+\s*[smhdw]|P(?=.)(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?)$",
        }


@dataclass(frozen=True)
class Moment:
    """A date (its first moment in UTC) or an RFC 3339 time with an offset."""

    def read(self, node: Node) -> datetime:
        try:
            return parse_time(node.value if isinstance(node.value, str) else "")
        except ConfigurationError as error:
            raise node.error("bad_time", f"{_show(node)} is not a time", error.fix) from error

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$"}


@dataclass(frozen=True)
class ListOf:
    """A list of one shape, read as a tuple."""

    item: Shape
    least: int = 0

    def read(self, node: Node) -> tuple[Any, ...]:
        if not isinstance(node.value, list):
            raise node.error("wrong_type", f"expected a list, found {_show(node)}", "write [a, b] or lines with dashes")
        if len(node.value) < self.least:
            raise node.error("bad_value", f"needs at least {self.least} entries")
        return tuple(self.item.read(child) for child in node.value)

    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = {"type": "array", "items": self.item.schema()}
        return {**found, "minItems": self.least} if self.least else found


@dataclass(frozen=True)
class MapOf:
    """A mapping with free keys, all values of one shape."""

    item: Shape
    keys: tuple[str, ...] = ()

    def read(self, node: Node) -> dict[str, Any]:
        values = mapping(node)
        for key in values:
            if self.keys and key not in self.keys:
                raise _unknown(node, key, self.keys)
        return {key: self.item.read(child) for key, child in values.items()}

    def schema(self) -> dict[str, Any]:
        if self.keys:
            return {
                "type": "object",
                "properties": {key: self.item.schema() for key in self.keys},
                "additionalProperties": False,
            }
        return {"type": "object", "additionalProperties": self.item.schema()}


@dataclass(frozen=True)
class AnyPlain:
    """Any plain value, kept as it is."""

    def read(self, node: Node) -> Any:
        return node.plain()

    def schema(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class Either:
    """One of two shapes, told apart by the YAML type that the first one takes (`list`, `dict`, `str`, `null`)."""

    kind: str
    first: Shape
    other: Shape

    def read(self, node: Node) -> Any:
        types: dict[str, Any] = {"list": list, "dict": dict, "str": str, "null": type(None)}
        return (self.first if isinstance(node.value, types[self.kind]) else self.other).read(node)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.first.schema(), self.other.schema()]}


@dataclass(frozen=True)
class Null:
    """An explicit null."""

    def read(self, node: Node) -> None:
        if node.value is not None:
            raise node.error("wrong_type", f"expected null, found {_show(node)}")

    def schema(self) -> dict[str, Any]:
        return {"type": "null"}


@dataclass(frozen=True)
class Fields:
    """A mapping with known keys; unknown keys are refused, absent optional ones are left out of the result."""

    shapes: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    meaning: str = ""

    def read(self, node: Node) -> dict[str, Any]:
        values = mapping(node)
        for key in values:
            if key not in self.shapes:
                raise _unknown(node, key, tuple(self.shapes))
        for key in self.required:
            if key not in values:
                raise node.error("missing_key", f"{key!r} is missing", f"add {key}: ... here")
        return {key: self.shapes[key].read(child) for key, child in values.items()}

    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "type": "object",
            "properties": {key: shape.schema() for key, shape in self.shapes.items()},
            "additionalProperties": False,
        }
        if self.required:
            found["required"] = list(self.required)
        if self.meaning:
            found["description"] = self.meaning
        return found


def mapping(node: Node) -> dict[str, Node]:
    """The node's entries; PolicyError `wrong_type` when it is no mapping."""
    if not isinstance(node.value, dict):
        raise node.error("wrong_type", f"expected keys and values, found {_show(node)}", "write key: value")
    return node.value


def hint(word: str, known: Sequence[str]) -> str:
    """What to write instead: the nearest known word, else all of them."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    if near:
        return f"did you mean {near[0]!r}?"
    names = sorted(known)
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"one of {', '.join(names[:20])}{more}"


def _unknown(node: Node, key: str, known: Sequence[str]) -> Exception:
    error = node.error("unknown_key", f"{key!r} is not a key here", hint(key, known))
    error.where = node.at_key(key)
    error.args = (error.code, error.message, error.where, error.fix)
    return error


def _show(node: Node) -> str:
    if isinstance(node.value, dict):
        return "keys and values"
    if isinstance(node.value, list):
        return "a list"
    return "nothing" if node.value is None else repr(node.value)
