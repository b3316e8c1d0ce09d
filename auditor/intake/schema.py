"""The types of `core.record` as msgspec decodes them: fields, defaults and limits checked in one pass of compiled code.

The structs are derived from the dataclasses, so that the schema has one spelling; for the type checker they *are* the
dataclasses, as they have the same attributes. What a struct accepts, `core.gate` accepts too; what it refuses is read again
there, which is slower, more lenient in spelling (a label 7 is the label "7") and names the place of the fault. The garbage
collector need not track structs (`gc=False`): frozen values of decoded JSON hold no cycle.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from auditor.core import record as core
from auditor.core.gate import hints
from auditor.core.record import Limit


@lru_cache(maxsize=32)
def struct(kind: type) -> type[msgspec.Struct]:
    """The struct with the fields, defaults and limits of a dataclass of `core.record`."""
    known = hints(kind)
    made: list[Any] = []
    for field in dataclasses.fields(kind):
        found = (field.name, converted(known[field.name]))
        if field.default is not dataclasses.MISSING:
            made.append((*found, field.default))
        elif field.default_factory is not dataclasses.MISSING:
            made.append((*found, msgspec.field(default_factory=field.default_factory)))
        else:
            made.append(found)
    return msgspec.defstruct(
        kind.__name__,
        made,
        module=__name__,
        frozen=True,
        forbid_unknown_fields=True,
        omit_defaults=True,
        kw_only=True,
        gc=False,
    )


def converted(hint: Any) -> Any:
    """A type of `core.record` as msgspec spells it."""
    if get_origin(hint) is Annotated:
        inner, limit = get_args(hint)
        return _limited(converted(inner), limit)
    if dataclasses.is_dataclass(hint):
        return struct(hint)  # type: ignore[arg-type]
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return Union[tuple(map(converted, inner))]  # noqa: UP007
    if origin is tuple:
        return tuple[converted(inner[0]), ...]  # type: ignore[misc]
    if origin is not None and issubclass(origin, Mapping):
        key: Any = str if inner[0] is core.Name else converted(inner[0])  # `records.keys_hold` checks names
        return dict[key, converted(inner[1])]  # type: ignore[misc]
    return Annotated[datetime, Meta(tz=True)] if hint is datetime else hint


def _limited(kind: Any, limit: Limit) -> Any:
    if limit.one_of is not None:
        return Literal[limit.one_of]
    if kind in (int, float):
        return Annotated[kind, _meta(ge=limit.least, le=limit.most, gt=limit.above)]
    return Annotated[kind, _meta(min_length=limit.shortest, max_length=limit.longest)]


def _meta(**bounds: Any) -> Meta:
    return Meta(**{name: bound for name, bound in bounds.items() if bound is not None})


if TYPE_CHECKING:
    from auditor.core.record import EnergyFigure, Input, ModelRef, Output, Record, Source, TextOutput
else:
    Record = struct(core.Record)
    ModelRef = struct(core.ModelRef)
    Source = struct(core.Source)
    Input = struct(core.Input)
    TextOutput = struct(core.TextOutput)
    Output = struct(core.Output)
    EnergyFigure = struct(core.EnergyFigure)

Finite = converted(core.Finite)
Text = converted(core.Text)
Name = converted(core.Name)
WHOLE: Any = next(field.default for field in dataclasses.fields(core.Record) if field.name == "sampling")
"""The share of calls described of a record without one; only this very object is left out when a record is written."""

__all__ = [
    "WHOLE",
    "EnergyFigure",
    "Finite",
    "Input",
    "ModelRef",
    "Name",
    "Output",
    "Record",
    "Source",
    "Text",
    "TextOutput",
    "converted",
    "struct",
]
