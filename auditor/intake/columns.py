"""Records -> one Arrow table whose columns are the contract's dotted paths, derived from the dataclasses of `core.record`.

A column exists where at least one record has a value. Numbers are float64, texts strings, vectors lists of float32 (of
fixed size where all have the same length). A descriptor that is a number in some records and a text in others has two
columns: its own for the numbers, and one with the suffix `:text`.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
import numpy as np
import pyarrow as pa
from msgspec.structs import astuple

from auditor.core import record as core
from auditor.core.gate import hints
from auditor.intake import schema
from auditor.intake.dotted import TEXT_SUFFIX

TIME = pa.timestamp("us", tz="UTC")
_TYPES = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_(), datetime: TIME}

Columns = dict[str, pa.Array]
Adder = Callable[[Columns, str, Sequence[Any]], None]
"""Adds the columns of one field: its path, and its value in each record (None: absent)."""


def pack(records: Sequence[schema.Record]) -> pa.Table:
    """The records as a table, in the order of their times, then ids."""
    return tabulate(sorted(records, key=attrgetter("time", "id")))


def tabulate(rows: Sequence[Any]) -> pa.Table:
    """The records as a table, in their order; all are structs of one type, `schema.Record` or that of a shape."""
    columns: Columns = {}
    _adder(core.Record)(columns, "", rows)
    return pa.table(columns)


@lru_cache(maxsize=64)
def _adder(hint: Any) -> Adder:
    """What adds the columns of a field of this type."""
    if get_origin(hint) is Annotated:
        return _adder(get_args(hint)[0])
    if dataclasses.is_dataclass(hint):
        return _object_adder(hint)  # type: ignore[arg-type]
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        arms = [arm for arm in inner if arm is not type(None)]
        return _adder(arms[0]) if len(arms) == 1 else _add_scalars
    if origin is tuple:
        return _add_vectors if _bare(inner[0]) is float else _add_inputs
    if origin is not None:
        return _mapping_adder(_adder(inner[1]))
    kind = _TYPES[hint]

    def add(columns: Columns, path: str, values: Sequence[Any]) -> None:
        _keep(columns, path, pa.array(values, kind))

    return add


def _keep(columns: Columns, path: str, array: pa.Array) -> None:
    if array.null_count < len(array):
        columns[path] = array


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _object_adder(kind: type) -> Adder:
    known = hints(kind)
    # The name of an input is part of its path.
    fields = [field for field in dataclasses.fields(kind) if kind is not core.Input or field.name != "name"]
    members = [(field.name, _default(field), _adder(known[field.name])) for field in fields]

    def add(columns: Columns, path: str, entries: Sequence[Any]) -> None:
        first = next(entry for entry in entries if entry is not None)
        blank = (None,) * len(first.__struct_fields__)
        rows = map(astuple, entries) if None not in entries else (blank if e is None else astuple(e) for e in entries)
        given = dict(zip(first.__struct_fields__, zip(*rows, strict=True), strict=True))
        for name, default, member in members:
            values = given.get(name)
            if values is None:  # a shape has no field for what all of its records lack
                values = (default,) * len(entries)
            if values.count(None) < len(values):
                member(columns, f"{path}.{name}" if path else name, values)

    return add


def _default(field: dataclasses.Field[Any]) -> Any:
    return None if field.default is dataclasses.MISSING else field.default


def _mapping_adder(member: Adder) -> Adder:
    """One column for each key that any of the mappings has."""

    def add(columns: Columns, path: str, entries: Sequence[Any]) -> None:
        first = next((entry for entry in entries if entry), None)
        if first is None:
            return
        if isinstance(first, msgspec.Struct):  # of a shape: all have the same keys
            keys: Iterable[str] = first.__struct_encode_fields__
            rows: Iterable[Iterable[Any]] = map(astuple, entries)
        else:
            blank: Mapping[str, Any] = {}
            mappings = [entry or blank for entry in entries]
            names = dict.fromkeys(first)
            for entry in mappings:
                if not names.keys() >= entry.keys():
                    names.update(dict.fromkeys(entry))
            order = list(names)
            alike = all(list(entry) == order for entry in mappings)
            keys, rows = names, (entry.values() if alike else tuple(map(entry.get, names)) for entry in mappings)
        for key, values in zip(keys, zip(*rows, strict=True), strict=True):
            member(columns, f"{path}.{key}", values)

    return add


def _add_scalars(columns: Columns, path: str, values: Sequence[core.Scalar]) -> None:
    try:
        _keep(columns, path, pa.array(values, pa.float64()))
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # texts among them
        numbers = [None if isinstance(value, str) else value for value in values]
        mixed = numbers.count(None) < len(values)
        if mixed:
            columns[path] = pa.array(numbers, pa.float64())
        texts = [value if isinstance(value, str) else None for value in values]
        columns[path + TEXT_SUFFIX if mixed else path] = pa.array(texts, pa.string())


def _add_inputs(columns: Columns, path: str, rows: Sequence[Sequence[Any]]) -> None:
    by_name: dict[str, list[Any]] = {}
    for index, inputs in enumerate(rows):
        for entry in inputs:
            found = by_name.get(entry.name)
            if found is None:
                found = by_name[entry.name] = [None] * len(rows)
            found[index] = entry
    for name, entries in by_name.items():
        _adder(core.Input)(columns, f"{path}.{name}", entries)


def _add_vectors(columns: Columns, path: str, values: Sequence[Sequence[float] | None]) -> None:
    sizes = {len(value) for value in values if value is not None}
    if len(sizes) > 1:
        columns[path] = pa.array(values, pa.list_(pa.float32()))
        return
    # Parquet cannot give back a null among lists of fixed size (Arrow 25): an absent vector is a list of nulls.
    (size,) = sizes
    absent = [math.nan] * size
    flat = np.array([absent if value is None else value for value in values], np.float32).ravel()
    columns[path] = pa.FixedSizeListArray.from_arrays(pa.array(flat, from_pandas=True), size)
