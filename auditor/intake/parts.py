"""One archive file: how it is written, and how as little of it as possible is read.

Rows stand in the order of their times, in groups of `GROUP_ROWS`, whose first and last time are in the file's foot: a
reader that wants an hour of a day reads the groups that reach into it, and of these the columns that it names.
"""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from auditor.core.window import Span, to_us

GROUP_ROWS = 128 * 1024
UNREADABLE = (pa.ArrowException, OSError, EOFError, ValueError, KeyError)
"""What Arrow raises for bytes that are no whole Parquet file."""


def metadata(model: str) -> dict[str, str]:
    """What a file says of itself, beside its columns."""
    return {"auditor.model": model, "auditor.schema": "auditor.archive/1"}


def encode(table: pa.Table) -> bytes:
    """The bytes of a file: zstd, checksums on every page, times of each group of rows in the foot.

    Texts are kept as dictionaries, because they repeat. Among figures a dictionary would be built in vain: their bytes
    are split by place instead (exponents together), which packs tighter and unpacks faster.
    """
    buffer = io.BytesIO()
    with writer(buffer, table.schema) as file:
        file.write_table(table, row_group_size=GROUP_ROWS)
    return buffer.getvalue()


def writer(sink: Any, schema: pa.Schema) -> pq.ParquetWriter:
    """Writes a file such as `encode` makes, table by table; each table begins a group of rows."""
    return pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        use_dictionary=[field.name for field in schema if pa.types.is_string(field.type) and field.name != "id"],
        use_byte_stream_split=[name for field in schema if (name := _figures(field)) is not None],
        write_statistics=["time"],
        write_page_checksum=True,
    )


def schema(source: Any) -> pa.Schema:
    """The columns of a file and what it says of itself, from its foot alone."""
    return pq.read_schema(source)


def read(source: Any, columns: list[str] | None = None, span: Span | None = None, *, threads: bool = False) -> pa.Table:
    """The rows of a file, or some columns of those inside a span; raises one of `UNREADABLE`.

    One thread unless asked for more: files are small, and an engine that wants more processes has them.
    """
    file = opened(source)
    if span is None:
        table = file.read(columns=columns, use_threads=threads)
    else:
        groups = _groups(file, to_us(span.start), to_us(span.end))
        table = cut(
            file.read_row_groups(groups, columns=columns, use_threads=threads), to_us(span.start), to_us(span.end)
        )
    if "id" in table.column_names and table["id"].type != pa.string():
        raise ValueError("the ids are no strings")
    return table


def opened(source: Any) -> pq.ParquetFile:
    """The file, to be read group by group; raises one of `UNREADABLE`, as its reading does."""
    return pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=False)


def _groups(file: pq.ParquetFile, start: int, end: int) -> list[int]:
    """Groups of rows that may reach into [start, end), microseconds; those that do not say so are among them."""
    meta = file.metadata
    place = file.schema_arrow.get_field_index("time")
    if place < 0:
        raise KeyError("time")
    names = [meta.schema.column(index).path for index in range(meta.num_columns)]
    leaf = names.index("time")
    found = []
    for index in range(meta.num_row_groups):
        statistics = meta.row_group(index).column(leaf).statistics
        # As microseconds, which the file holds: `min` would import pandas.
        timed = statistics is not None and statistics.has_min_max
        if timed and (statistics.max_raw < start or statistics.min_raw >= end):
            continue
        found.append(index)
    return found


def cut(table: pa.Table, start: int, end: int) -> pa.Table:
    """The rows whose times lie in [start, end), microseconds."""
    time = table["time"].cast(pa.int64()).to_numpy()
    inside = (time >= start) & (time < end)
    return table if inside.all() else table.filter(pa.array(inside))


def _figures(field: pa.Field) -> str | None:
    """The path of a column of figures, as Parquet spells it."""
    if pa.types.is_floating(field.type):
        return str(field.name)
    if pa.types.is_list(field.type) or pa.types.is_fixed_size_list(field.type):
        return f"{field.name}.list.element"
    return None
