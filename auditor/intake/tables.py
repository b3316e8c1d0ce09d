"""Rows of a file: Parquet, CSV or JSON lines, one mapping of column to value each."""

from __future__ import annotations

import codecs
import csv
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from auditor.core.errors import ConfigurationError

FORMATS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_BATCH = 1000
_READ = 1 << 20


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


def lines(file: Path) -> Iterator[bytes]:
    """Lines of a JSON lines file, blank ones included so that their numbers hold."""
    with file.open("rb") as stream:
        for line in stream:
            yield line.strip()


def csv_rows(file: Path) -> Iterator[Mapping[str, Any]]:
    """Rows of a CSV file as texts; cells beyond the header stand under None."""
    with _csv(file) as stream:
        yield from csv.DictReader(stream, strict=True)


def parquet_rows(file: Path) -> Iterator[Mapping[str, Any]]:
    """Rows of a Parquet file; times have microseconds."""
    import pyarrow as pa

    source = _parquet(file)
    try:
        for batch in source.iter_batches(_BATCH):
            yield from _microseconds(pa.Table.from_batches([batch])).to_pylist()
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise _bad_parquet(file, error) from error


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


def _microseconds(table: Any) -> Any:
    import pyarrow as pa

    for index, field in enumerate(table.schema):
        kind = field.type
        if getattr(kind, "unit", None) != "ns":
            continue
        if pa.types.is_timestamp(kind):
            kind = pa.timestamp("us", kind.tz)
        else:
            kind = pa.duration("us") if pa.types.is_duration(kind) else pa.time64("us")
        table = table.set_column(index, field.name, table.columns[index].cast(kind, safe=False))
    return table
