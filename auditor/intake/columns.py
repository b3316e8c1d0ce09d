"""Records -> one Arrow table whose columns are the contract's dotted paths.

A column exists where at least one record has a value. Numbers are float64, texts strings, vectors lists of float32 (of
fixed size where all have the same length). A descriptor that is a number in some records and a text in others has two
columns: its own for the numbers, and one with the suffix `:text`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa

from auditor.core import record as core
from auditor.intake import schema
from auditor.intake.dotted import TEXT_SUFFIX

TIME = pa.timestamp("us", tz="UTC")

KINDS: dict[str, pa.DataType] = {
    **dict.fromkeys(
        ("subject", "encoder", "label", "finish", "error", "modality", "commitment", "describer"), pa.string()
    ),
    **dict.fromkeys(("latency_s", "first_token_s", "value"), pa.float64()),
    **dict.fromkeys(("missing", "refused"), pa.bool_()),
}
"""Fields that are one value, wherever they stand in a record."""
_FIELDS = ("subject", "latency_s", "first_token_s")
_OUTPUT = ("label", "value", "finish", "refused", "error")
_INPUT = ("modality", "missing", "error", "encoder", "commitment", "describer")
_SOURCE = {"session": pa.string(), "fork": pa.int64(), "seq": pa.int64()}
_TOKENS = {"input": pa.int64(), "output": pa.int64()}
_ENERGY = {"joules": pa.float64(), "method": pa.string(), "lower": pa.float64(), "upper": pa.float64()}

Keep = Callable[[str, Any, pa.DataType | None], None]


def pack(records: Sequence[schema.Record]) -> pa.Table:
    """The records as a table, in the order of their times, then ids."""
    return tabulate(sorted(records, key=attrgetter("time", "id")))


def tabulate(rows: Sequence[schema.Record]) -> pa.Table:
    """The records as a table, in their order."""
    columns: dict[str, pa.Array] = {}
    always(
        columns,
        ids=[row.id for row in rows],
        times=[row.time for row in rows],
        models=[row.model.name for row in rows],
        versions=[row.model.version for row in rows],
        sampling=[row.sampling for row in rows],
    )
    keep = keeper(columns)
    leaves(keep, "model", {"encoder": [row.model.encoder for row in rows]})
    leaves(keep, "", _read(rows, _FIELDS))
    leaves(keep, "", {"source": [row.source for row in rows]})
    for name, entries in _by_name(rows).items():
        _input(keep, f"inputs.{name}", entries)
    _output(keep, [row.output for row in rows])
    energy(keep, [row.energy for row in rows])
    _mappings(keep, "groups", [row.groups for row in rows])
    return pa.table(columns)


def always(
    columns: dict[str, pa.Array],
    *,
    ids: Sequence[str],
    times: Sequence[datetime],
    models: Sequence[str],
    versions: Sequence[str],
    sampling: Sequence[float],
) -> None:
    """Put in place the columns that every table has."""
    columns["id"] = pa.array(ids, pa.string())
    columns["time"] = pa.array(times, TIME)
    columns["model.name"] = pa.array(models, pa.string())
    columns["model.version"] = pa.array(versions, pa.string())
    columns["sampling"] = pa.array(sampling, pa.float64())


def keeper(columns: dict[str, pa.Array]) -> Keep:
    """A function that adds a column unless all of it is null; without a type, the values say what they are."""

    def keep(path: str, values: Any, kind: pa.DataType | None) -> None:
        if isinstance(values, pa.Array):
            found = {path: values}
        elif values.count(None) == len(values):
            return
        else:
            found = {path: pa.array(values, kind)} if kind is not None else _scalars(path, values)
        columns.update((name, array) for name, array in found.items() if array.null_count < len(array))

    return keep


def _scalars(path: str, values: Sequence[core.Scalar]) -> dict[str, pa.Array]:
    try:
        return {path: pa.array(values, pa.float64())}
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        pass
    try:
        return {path: pa.array(values, pa.string())}
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        texts = [value if isinstance(value, str) else None for value in values]
        numbers = [None if isinstance(value, str) else value for value in values]
        return {path: pa.array(numbers, pa.float64()), path + TEXT_SUFFIX: pa.array(texts, pa.string())}


def _by_name(rows: Sequence[schema.Record]) -> dict[str, list[schema.Input | None]]:
    found: dict[str, list[schema.Input | None]] = {}
    for index, row in enumerate(rows):
        for entry in row.inputs:
            name = entry.name
            if name not in found:
                found[name] = [None] * len(rows)
            found[name][index] = entry
    return found


def leaves(keep: Keep, path: str, given: Mapping[str, Sequence[Any]]) -> None:
    """Columns for fields below `path`, by field; None where a row has none."""
    for field, values in given.items():
        below = f"{path}.{field}" if path else field
        if field in ("embedding", "scores"):
            _vectors(keep, below, values)
        elif field == "source":
            _objects(keep, below, values, _SOURCE)
        elif field == "tokens":
            for name, kind in _TOKENS.items():
                keep(f"{below}.{name}", [None if value is None else value.get(name) for value in values], kind)
        else:
            keep(below, values, KINDS[field])


def energy(keep: Keep, entries: Sequence[schema.EnergyFigure | None]) -> None:
    """Columns of what the calls used."""
    _objects(keep, "energy", entries, _ENERGY)
    _mappings(keep, "energy.by", [entry.by if entry else None for entry in entries])


def _objects(keep: Keep, path: str, entries: Sequence[Any], kinds: Mapping[str, pa.DataType]) -> None:
    for field, values in _read(entries, tuple(kinds)).items():
        keep(f"{path}.{field}", values, kinds[field])


def _read(entries: Sequence[Any], fields: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Values of fields, row by row, where any row has one."""
    given = [entry is not None for entry in entries]
    if not any(given):
        return {}
    read = attrgetter(*fields)
    blank = (None,) * len(fields)
    rows = map(read, entries) if all(given) else (blank if entry is None else read(entry) for entry in entries)
    return dict(zip(fields, zip(*rows, strict=True), strict=True))


def _mappings(keep: Keep, path: str, entries: Sequence[Mapping[str, Any] | None]) -> None:
    """One column for each key that any of the mappings has."""
    matrix = _matrix(entries)
    if matrix is not None:
        for index, key in enumerate(entries[0] or ()):
            keep(f"{path}.{key}", pa.array(np.ascontiguousarray(matrix[:, index])), pa.float64())
        return
    keys: dict[str, None] = {}
    for entry in entries:
        if entry and not keys.keys() >= entry.keys():
            keys.update(dict.fromkeys(entry))
    blank: Mapping[str, Any] = {}
    readers = [(entry or blank).get for entry in entries]
    for key in keys:
        keep(f"{path}.{key}", [read(key) for read in readers], None)


def _matrix(entries: Sequence[Mapping[str, Any] | None]) -> np.ndarray | None:
    """The usual case at once: every mapping has the same keys in the same order, and every value is a number."""
    given = [entry for entry in entries if entry]
    if len(given) < len(entries) or not given:
        return None
    keys = list(given[0])
    if not all(list(entry) == keys for entry in given):
        return None
    try:
        values = pa.array(list(chain.from_iterable(entry.values() for entry in given)), pa.float64())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None
    return None if values.null_count else values.to_numpy().reshape(len(given), len(keys))


def _input(keep: Keep, path: str, entries: Sequence[schema.Input | None]) -> None:
    leaves(keep, path, _read(entries, _INPUT))
    _mappings(keep, f"{path}.descriptors", [entry.descriptors if entry else None for entry in entries])
    leaves(keep, path, _read(entries, ("embedding", "scores")))


def _output(keep: Keep, entries: Sequence[schema.Output | None]) -> None:
    leaves(keep, "output", _read(entries, (*_OUTPUT, "scores", "tokens")))
    texts = [entry.text if entry else None for entry in entries]
    _mappings(keep, "output.text.descriptors", [text.descriptors if text else None for text in texts])
    leaves(keep, "output.text", {"embedding": [text.embedding if text else None for text in texts]})


def _vectors(keep: Keep, path: str, values: Sequence[list[float] | None]) -> None:
    sizes = {len(value) for value in values if value is not None}
    if not sizes:
        return
    if len(sizes) > 1:
        keep(path, values, pa.list_(pa.float32()))
        return
    # Parquet cannot give back a null among lists of fixed size (Arrow 25): an absent vector is a list of nulls.
    (size,) = sizes
    absent = [math.nan] * size
    flat = np.array([absent if value is None else value for value in values], np.float32).ravel()
    keep(path, pa.FixedSizeListArray.from_arrays(pa.array(flat, from_pandas=True), size), pa.list_(pa.float32(), size))
