"""Rows of a file: Parquet, CSV or JSON lines, one mapping of column to value each."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from auditor.core.errors import ConfigurationError

FORMATS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_BATCH = 1000


def format_of(file: Path) -> str:
    """`parquet`, `csv` or `jsonl`, by the file's suffix; ConfigurationError when it is none, or not there."""
    if not file.is_file():
        raise ConfigurationError("no_file", "there is no such file", where=str(file), fix="check the path")
    kind = FORMATS.get(file.suffix.lower())
    if kind is None:
        raise ConfigurationError(
            "unknown_format",
            f"{file.suffix or 'no suffix'} is not a known format",
            where=str(file),
            fix=f"use {', '.join(FORMATS)}",
        )
    return kind


def columns(file: Path) -> set[str] | None:
    """Names of the columns; None for JSON lines, where each row has its own."""
    kind = format_of(file)
    if kind == "jsonl":
        return None
    if kind == "csv":
        with file.open(encoding="utf-8-sig", newline="") as stream:
            return set(next(csv.reader(stream), []))
    return set(_parquet(file).schema_arrow.names)


def lines(file: Path) -> Iterator[bytes]:
    """Lines of a JSON lines file, blank ones included so that their numbers hold."""
    with file.open("rb") as stream:
        for line in stream:
            yield line.strip()


def csv_rows(file: Path) -> Iterator[Mapping[str, Any]]:
    """Rows of a CSV file as texts; cells beyond the header stand under None.

    Raises
    ------
    ConfigurationError
        `bad_file` when it is not CSV in UTF-8.
    """
    csv.field_size_limit(min(sys.maxsize, 16 << 20))
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        try:
            yield from reader
        except (csv.Error, UnicodeDecodeError) as error:
            raise ConfigurationError(
                "bad_file", f"not CSV: {error}", where=f"{file}:{reader.line_num}", fix="save it as CSV in UTF-8"
            ) from error


def parquet_rows(file: Path) -> Iterator[Mapping[str, Any]]:
    """Rows of a Parquet file; times have microseconds."""
    import pyarrow as pa

    source = _parquet(file)
    try:
        for batch in source.iter_batches(_BATCH):
            yield from _microseconds(pa.Table.from_batches([batch])).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise _bad_parquet(file, error) from error


def _parquet(file: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise _bad_parquet(file, error) from error


def _bad_parquet(file: Path, error: Exception) -> ConfigurationError:
    reason = str(error).splitlines()[0][:200]
    return ConfigurationError("bad_file", f"not Parquet: {reason}", where=str(file), fix="write the file again")


def _microseconds(table: Any) -> Any:
    import pyarrow as pa

    for index, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns":
            kind = pa.timestamp("us", field.type.tz)
            table = table.set_column(index, field.name, table.columns[index].cast(kind, safe=False))
    return table
