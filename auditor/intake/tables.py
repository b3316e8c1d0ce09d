"""Rows of a file, some at a time and column by column: Parquet, CSV or JSON lines."""

from __future__ import annotations

import codecs
import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from auditor.core.errors import ConfigurationError, RecordError
from auditor.core.window import EPOCH
from auditor.intake.records import decode

FORMATS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
CHUNK = 1000
"""Rows that are read together, and become durable together."""
_READ = 1 << 20
_TEXTS = frozenset({str, type(None)})
Convert = Callable[[Any], Any]


class Floats(list["float | None"]):
    """Cells that are finite floats or None."""


@dataclass(slots=True)
class Chunk:
    """Some rows of a file.

    Attributes
    ----------
    numbers : sequence of int
        Of the rows in the file, from 1.
    columns : mapping of str to sequence
        Cells by name; None where a row has none.
    faults : dict of int to RecordError
        By place in the chunk: the first reason to refuse the row.
    raw : dict of int to object
        By place: rows that are no mapping of column to cell, or have more cells than columns.
    """

    numbers: Sequence[int]
    columns: Mapping[str, Sequence[Any]]
    faults: dict[int, RecordError] = field(default_factory=dict)
    raw: dict[int, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.numbers)

    def cells(self, name: str) -> Sequence[Any]:
        """A column; of one that the chunk lacks every cell is absent."""
        found = self.columns.get(name)
        return [None] * len(self) if found is None else found

    def row(self, place: int) -> Any:
        """A row as the file has it."""
        if place in self.raw:
            return self.raw[place]
        return {name: cells[place] for name, cells in self.columns.items()}

    def each(self, convert: Convert, cells: Sequence[Any], *, numbers: bool = False) -> Sequence[Any]:
        """Converted cells of a column; a cell for which `convert` raises RecordError is None, and a fault of its row.

        `numbers` says that `convert` leaves finite floats and None as they are.
        """
        if numbers and isinstance(cells, Floats):
            return cells
        try:
            if set(map(type, cells)) <= _TEXTS and len(different := set(cells)) < len(cells) / 2:
                known = {cell: convert(cell) for cell in different}
                return [known[cell] for cell in cells]
            return list(map(convert, cells))
        except RecordError:
            return [self._tried(convert, place, cell) for place, cell in enumerate(cells)]

    def _tried(self, convert: Convert, place: int, cell: Any) -> Any:
        try:
            return convert(cell)
        except RecordError as error:
            self.faults.setdefault(place, error)
            return None

    def only(self, places: Sequence[int]) -> Chunk:
        """Some of the rows."""
        if len(places) == len(self):
            return self
        return Chunk(
            [self.numbers[place] for place in places],
            {name: [cells[place] for place in places] for name, cells in self.columns.items()},
            {new: self.faults[old] for new, old in enumerate(places) if old in self.faults},
            {new: self.raw[old] for new, old in enumerate(places) if old in self.raw},
        )


def format_of(file: Path) -> str:
    """`parquet`, `csv` or `jsonl`, by the file's suffix; ConfigurationError when it is none, or no regular file."""
    if not file.is_file():
        what = "it is no regular file" if file.exists() else "there is no such file"
        raise ConfigurationError("no_file", what, where=str(file), fix="check the path")
    kind = FORMATS.get(file.suffix.lower())
    if kind is None:
        raise ConfigurationError(
            "unknown_format",
            f"{file.suffix or 'no suffix'} is not a known format",
            where=str(file),
            fix=f"use {', '.join(FORMATS)}",
        )
    return kind


def checked(file: Path) -> str:
    """The SHA-256 of a file, read once from end to end before any row is accepted.

    Raises
    ------
    ConfigurationError
        `unreadable_file`, `empty_file`; `bad_encoding` for a text file that is not UTF-8.
    """
    text = format_of(file) != "parquet"
    digest, decoder = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")()
    size = 0
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(_READ):
                digest.update(chunk)
                if text:
                    decoder.decode(chunk)
                    if b"\0" in chunk:
                        raise _encoding(file, "it holds null bytes, as UTF-16 and binary files do")
                size += len(chunk)
        if text:
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _encoding(file, f"byte {size + error.start} is not UTF-8") from error
    except OSError as error:
        raise ConfigurationError(
            "unreadable_file", f"it does not read: {error.strerror}", where=str(file), fix="check its permissions"
        ) from error
    if size == 0:
        raise ConfigurationError("empty_file", "the file is empty", where=str(file), fix="write the file again")
    return digest.hexdigest()


def _encoding(file: Path, why: str) -> ConfigurationError:
    return ConfigurationError("bad_encoding", why, where=str(file), fix="save the file as UTF-8")


def columns(file: Path) -> set[str] | None:
    """Names of the columns; None for JSON lines, where each row has its own.

    Raises
    ------
    ConfigurationError
        `duplicate_column` when two columns have the same name.
    """
    kind = format_of(file)
    if kind == "jsonl":
        return None
    if kind == "csv":
        with _csv(file) as stream:
            names = next(csv.reader(stream, strict=True), [])
    else:
        names = _parquet(file).schema_arrow.names
    (name, count), *_ = Counter(names).most_common(1) or [("", 0)]
    if count > 1:
        raise ConfigurationError(
            "duplicate_column", f"{count} columns are called {name!r}", where=str(file), fix="name each column once"
        )
    return set(names)


def chunks(file: Path) -> Iterator[Chunk]:
    """The rows of a file, in its order."""
    return {"jsonl": json_chunks, "csv": _csv_chunks, "parquet": _parquet_chunks}[format_of(file)](file)


def line_chunks(file: Path) -> Iterator[Chunk]:
    """Lines of a JSON lines file that are not blank, as they are (`raw`)."""
    with file.open("rb") as stream:
        lines = ((number, line) for number, text in enumerate(stream, 1) if (line := text.strip()))
        for found in iter(lambda: list(islice(lines, CHUNK)), []):
            yield Chunk([number for number, _ in found], {}, raw=dict(enumerate(line for _, line in found)))


def json_chunks(file: Path) -> Iterator[Chunk]:
    """Objects of a JSON lines file; what is no object is a fault."""
    for chunk in line_chunks(file):
        rows: list[Mapping[str, Any]] = []
        for place, line in chunk.raw.items():
            row: Any = line
            try:
                row = chunk.raw[place] = decode(line)
                if not isinstance(row, dict):
                    raise RecordError("bad_type", "the row is not an object", where=f"row {chunk.numbers[place]}")
            except RecordError as error:
                chunk.faults[place] = error
            rows.append(row if isinstance(row, dict) else {})
        names = dict.fromkeys(name for row in rows for name in row)
        chunk.columns = {name: [row.get(name) for row in rows] for name in names}
        yield chunk


@contextmanager
def _csv(file: Path) -> Iterator[TextIO]:
    csv.field_size_limit(16 << 20)
    with file.open(encoding="utf-8-sig", newline="") as stream:
        try:
            yield stream
        except csv.Error as error:
            raise ConfigurationError(
                "bad_file", f"not CSV: {error}", where=str(file), fix="save it as CSV with quoted texts"
            ) from error


def _csv_chunks(file: Path) -> Iterator[Chunk]:
    """Cells as texts; cells that a row lacks at its end are None."""
    with _csv(file) as stream:
        rows = filter(None, csv.reader(stream, strict=True))
        names = next(rows, [])
        first = 1
        for found in iter(lambda: list(islice(rows, CHUNK)), []):
            chunk = Chunk(range(first, first + len(found)), {})
            for place, row in enumerate(found):
                if len(row) > len(names):
                    where = f"row {first + place}"
                    chunk.faults[place] = RecordError(
                        "ragged_row", "the row has more cells than the header", where=where
                    )
                    chunk.raw[place] = {**dict(zip(names, row, strict=False)), "": row[len(names) :]}
                row[len(names) :] = []
                row.extend([None] * (len(names) - len(row)))  # type: ignore[list-item]
            chunk.columns = dict(zip(names, zip(*found, strict=True), strict=True))
            first += len(found)
            yield chunk


def _parquet_chunks(file: Path) -> Iterator[Chunk]:
    """Cells as Python values, times with microseconds; NaN is None."""
    import pyarrow as pa

    source = _parquet(file)
    first = 1
    try:
        for batch in source.iter_batches(CHUNK):
            columns = {name: _values(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
            yield Chunk(range(first, first + batch.num_rows), columns)
            first += batch.num_rows
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise _bad_parquet(file, error) from error


def _values(column: Any) -> list[Any]:
    import numpy as np
    import pyarrow as pa

    kind = column.type
    if pa.types.is_floating(kind):
        figures = column.to_numpy(zero_copy_only=False)  # an absent one is NaN
        cells = figures.astype(np.float64).tolist()
        for place in np.flatnonzero(np.isnan(figures)).tolist():
            cells[place] = None
        return cells if np.isinf(figures).any() else Floats(cells)
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
        if kind.tz == "UTC":  # a sixth of the time that Arrow takes
            moments = column.cast(pa.int64()).to_pylist()
            return [None if us is None else EPOCH + timedelta(microseconds=us) for us in moments]
    elif getattr(kind, "unit", None) == "ns":
        column = column.cast(pa.duration("us") if pa.types.is_duration(kind) else pa.time64("us"), safe=False)
    found: list[Any] = column.to_pylist()
    return found


def _parquet(file: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _bad_parquet(file, error) from error


def _bad_parquet(file: Path, error: Exception) -> ConfigurationError:
    reason = str(error).splitlines()[0][:200]
    return ConfigurationError("bad_file", f"not Parquet: {reason}", where=str(file), fix="write the file again")
