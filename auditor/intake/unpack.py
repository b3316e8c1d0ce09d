"""Archive tables -> `Rows`: the files of a span, whatever their schemas, as one set of columns in the order of the ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from auditor.core.rows import ABSENT, FAILED, MISSING, PRESENT, Floats, Ints, Rows, Strings
from auditor.core.values import class_name
from auditor.intake.dotted import INPUT_PATH, TEXT_SUFFIX
from auditor.intake.labels import Truth

_NUMBERS = (
    "output.value",
    "output.tokens.input",
    "output.tokens.output",
    "latency_s",
    "first_token_s",
    "energy.joules",
)
_NUMBER_FAMILIES = ("output.text.descriptors.", "energy.by.")
_TEXTS = ("output.label", "output.finish", "output.error")

Bools = NDArray[np.bool_]


def to_rows(model: str, tables: Sequence[pa.Table], truth: Truth) -> Rows:
    """The rows of all tables, sorted by id, each id once, joined with what is known of their truth."""
    ids = pa.chunked_array([chunk for table in tables for chunk in table["id"].chunks], pa.string())
    order, ids = _order(ids)
    columns = _Columns(tables, order)
    names, modality = _inputs(tables)
    labels, values, labelled = truth.of(ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids)
    presence: dict[str, NDArray[np.int8]] = {}
    described = np.zeros(len(ids), bool)
    bare = np.zeros(len(ids), bool)
    for name in names:
        presence[name], given = columns.presence(name)
        described |= given
        bare |= presence[name] != ABSENT
    sampling = columns.numbers("sampling")
    # A record that names no input lacks them all. One that only names them was left out by sampling, if there was any:
    # else its inputs were described, and every figure is null.
    described |= ~bare | (sampling >= 1)
    describer = {name: columns.describer(name) for name in names}
    commitment = {name: columns.texts(f"inputs.{name}.commitment") for name in names}
    return Rows(
        model=model,
        ids=_objects(ids),
        time_us=columns.integers("time"),
        version=columns.texts("model.version"),
        sampling=sampling,
        described=described,
        numeric={path: columns.numbers(path) for path in columns.numeric()},
        categorical=columns.categorical(),
        vectors={path: columns.vectors(path) for path in columns.vector_paths()},
        presence=presence,
        modality=modality,
        describer=describer,
        commitment={name: values for name, values in commitment.items() if (values != None).any()},  # noqa: E711
        groups={path.removeprefix("groups."): columns.texts(path) for path in columns.paths("groups.")},
        truth=labels,
        truth_value=values,
        labelled_us=labelled,
        energy_method=columns.texts("energy.method") if columns.has("energy.method") else None,
        subject=columns.texts("subject") if columns.has("subject") else None,
        session=columns.texts("source.session") if columns.has("source.session") else None,
        fork=columns.numbered("source.fork") if columns.has("source.fork") else None,
        seq=columns.numbered("source.seq") if columns.has("source.seq") else None,
    )


def some_columns(tables: Sequence[pa.Table], paths: Sequence[str]) -> dict[str, NDArray[Any]]:
    """`id`, `time` and these columns, in the order of the ids; see `ParquetArchive.columns`."""
    ids = pa.chunked_array([chunk for table in tables for chunk in table["id"].chunks], pa.string())
    order, ids = _order(ids)
    columns = _Columns(tables, order)
    found: dict[str, NDArray[Any]] = {"id": _objects(ids), "time": columns.integers("time")}
    for path in paths:
        if columns.has(path, "number"):
            found[path] = columns.numbers(path)
        elif columns.has(path, "vector"):
            found[path] = columns.vectors(path)
        elif columns.has(path, "text"):
            found[path] = columns.texts(path)
    return found


def _order(ids: pa.ChunkedArray) -> tuple[Ints | None, pa.ChunkedArray]:
    """Where each row comes from (None: they are in order already), and the ids in that order, each once.

    An id stands twice only when a file was being replaced at that moment; both are the same record.
    """
    order = pc.sort_indices(ids).to_numpy().astype(np.int64)
    ids = ids.take(pa.array(order))
    if len(ids) > 1:
        repeated = pc.equal(ids[1:], ids[:-1]).to_numpy()
        if repeated.any():
            keep = np.concatenate([[True], ~repeated])
            order, ids = order[keep], ids.filter(pa.array(keep))
            return order, ids
    return (None if (np.diff(order) == 1).all() and (len(order) == 0 or order[0] == 0) else order), ids


def _inputs(tables: Sequence[pa.Table]) -> tuple[list[str], dict[str, str]]:
    """Names of the inputs, sorted, and the modality of each (the last one, should it ever have changed)."""
    modality: dict[str, str] = {}
    for table in tables:
        for path in table.column_names:
            match = INPUT_PATH.fullmatch(path)
            if match and match["field"] == "modality":
                column = table[path].drop_null()
                if len(column):
                    modality[match["name"]] = column[-1].as_py()
    names = sorted(modality)
    return names, {name: modality[name] for name in names}


class _Columns:
    """Columns of several tables, one below the other; where a table lacks one, it is absent."""

    def __init__(self, tables: Sequence[pa.Table], order: Ints | None) -> None:
        self._tables = tables
        self._order = order
        self._starts = np.cumsum([0] + [table.num_rows for table in tables])
        self._kinds: dict[str, set[str]] = {}
        for table in tables:
            for field in table.schema:
                self._kinds.setdefault(field.name, set()).add(_kind(field.type))

    def paths(self, prefix: str) -> list[str]:
        return sorted(path for path in self._kinds if path.startswith(prefix))

    def has(self, path: str, kind: str | None = None) -> bool:
        kinds = self._kinds.get(path, set())
        return bool(kinds) if kind is None else kind in kinds

    def numeric(self) -> list[str]:
        """Paths of figures that a question may be asked about."""
        return sorted(path for path in self._kinds if self.has(path, "number") and _is_figure(path))

    def categorical(self) -> dict[str, Strings]:
        found = {path: self.texts(path) for path in _TEXTS if self.has(path)}
        if "output.label" in found:
            found["output.label"] = _classes(found["output.label"])
        if self.has("output.refused"):
            found["output.refused"] = self._fill("output.refused", "truth", None, object, _true_false)
        for path in self._kinds:
            base = path.removesuffix(TEXT_SUFFIX)
            if not self.has(path, "text") or base in found:
                continue
            if _is_descriptor(base) or ((match := INPUT_PATH.fullmatch(path)) and match["field"] == "error"):
                found[base] = self.texts(base)
        return dict(sorted(found.items()))

    def vector_paths(self) -> list[str]:
        return sorted(path for path in self._kinds if self.has(path, "vector"))

    def numbers(self, path: str) -> Floats:
        return self._fill(path, "number", np.nan, np.float64, lambda c: c.cast(pa.float64()).to_numpy())

    def integers(self, path: str) -> Ints:
        return self._fill(path, "time", 0, np.int64, lambda c: c.cast(pa.int64()).to_numpy())

    def numbered(self, path: str) -> Ints:
        """Whole numbers from 0 on; -1 where absent."""
        return self._fill(path, "number", -1, np.int64, lambda c: c.cast(pa.int64()).fill_null(-1).to_numpy())

    def texts(self, path: str) -> Strings:
        found: Strings = self._fill(path, "text", None, object, _objects)
        if self.has(path + TEXT_SUFFIX):
            more = self._fill(path + TEXT_SUFFIX, "text", None, object, _objects)
            found = np.where(found == None, more, found)  # noqa: E711
        return found

    def vectors(self, path: str) -> NDArray[np.float32]:
        """Shape (n, d). Where lengths differ, d is the most frequent (the longest of these): others count as absent."""
        parts = [
            (index, _matrices(table[path])) for index, table in enumerate(self._tables) if path in table.column_names
        ]
        sizes: Counter[int] = Counter()
        for _, matrices in parts:
            for size, (where, _) in matrices.items():
                sizes[size] += len(where)
        size = max(sizes, key=lambda size: (sizes[size], size)) if sizes else 0
        full = np.full((self._starts[-1], size), np.nan, np.float32)
        for index, matrices in parts:
            if size in matrices:
                where, matrix = matrices[size]
                full[self._starts[index] + where] = matrix
        return full if self._order is None else full[self._order]

    def presence(self, name: str) -> tuple[NDArray[np.int8], Bools]:
        """What each record says of an input, and whether that input was described."""
        prefix = f"inputs.{name}."
        mentioned = self._given(prefix + "modality")
        missing = self._fill(prefix + "missing", "truth", False, bool, lambda c: c.fill_null(False).to_numpy())
        failed = self._given(prefix + "error")
        state = np.where(mentioned, PRESENT, ABSENT)
        state = np.where(failed, FAILED, state)
        state = np.where(missing, MISSING, state)
        described = missing | failed | self._given(prefix + "describer")
        for path in self.paths(prefix + "descriptors."):
            if not described.all():
                described |= self._given(path)
        for field in ("embedding", "scores"):
            if self.has(prefix + field) and not described.all():
                described |= ~np.isnan(self.vectors(prefix + field)).all(axis=1)
        return state.astype(np.int8), described

    def describer(self, name: str) -> Strings:
        """`describer|encoder` where the record names either."""
        describer, encoder = (self.texts(f"inputs.{name}.{field}") for field in ("describer", "encoder"))
        found: Strings = np.empty(len(describer), object)
        pairs: dict[tuple[str | None, str | None], str | None] = {(None, None): None}
        for index, pair in enumerate(zip(describer, encoder, strict=True)):
            if pair not in pairs:
                pairs[pair] = f"{pair[0] or ''}|{pair[1] or ''}"
            found[index] = pairs[pair]
        return found

    def _given(self, path: str) -> Bools:
        if not self.has(path):
            return np.zeros(self._starts[-1] if self._order is None else len(self._order), bool)
        found: Bools = self._fill(path, None, False, bool, lambda column: column.is_valid().to_numpy())
        return found

    def _fill(
        self, path: str, kind: str | None, blank: Any, dtype: type, read: Callable[[pa.ChunkedArray], NDArray[Any]]
    ) -> NDArray[Any]:
        full = np.full(self._starts[-1], blank, dtype)
        for index, table in enumerate(self._tables):
            place = table.schema.get_field_index(path)
            if place >= 0 and (kind is None or _kind(table.schema.types[place]) == kind):
                full[self._starts[index] : self._starts[index + 1]] = read(table.columns[place])
        return full if self._order is None else full[self._order]


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "time"
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return "number"
    if pa.types.is_boolean(kind):
        return "truth"
    return "vector" if pa.types.is_nested(kind) else "text"


def _is_descriptor(path: str) -> bool:
    match = INPUT_PATH.fullmatch(path)
    return bool(match and match["field"].startswith("descriptors.")) or path.startswith("output.text.descriptors.")


def _is_figure(path: str) -> bool:
    return path in _NUMBERS or path.startswith(_NUMBER_FAMILIES) or _is_descriptor(path)


def _objects(column: pa.ChunkedArray | pa.Array) -> Strings:
    found: Strings = column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(zero_copy_only=False)
    return found.astype(object, copy=False)


def _classes(labels: Strings) -> Strings:
    """Class names with one spelling each, as truth has them."""
    spelled = {label: class_name(label, missing=()) for label in set(labels.tolist())}
    if all(label == name for label, name in spelled.items()):
        return labels
    found: Strings = np.array([spelled[label] for label in labels], object)
    return found


def _true_false(column: pa.ChunkedArray) -> Strings:
    return _objects(pc.if_else(column, "true", "false"))


def _matrices(column: pa.ChunkedArray) -> dict[int, tuple[Ints, NDArray[np.float32]]]:
    """By length of the vectors: which rows have it, and these rows, shape (k, length)."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # an empty column stays chunked
        return {}
    if pa.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        matrix = array.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False).reshape(-1, size)
        given = np.flatnonzero(~np.isnan(matrix).all(axis=1))
        return {size: (given, matrix[given])}
    lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    found = {}
    for size in np.unique(lengths[lengths > 0]):
        where = np.flatnonzero(lengths == size)
        flat = array.take(pa.array(where)).flatten().to_numpy(zero_copy_only=False)
        found[int(size)] = (where, flat.astype(np.float32, copy=False).reshape(-1, size))
    return found
