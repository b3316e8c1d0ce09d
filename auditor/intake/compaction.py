"""Many small files of one day -> one: what is read stays the same at every moment, whatever interrupts it.

A merge is written as `merge-<id>.parquet`, whose foot names the parts that it replaces. From the moment it is there it
counts, and they do not. Then they are removed, and it gets its name `part-<id>.parquet`; what was cut short is finished
by the next call. At rest each record stands in exactly one `part-*.parquet`.

Parts are merged by stretches of time, and written group by group, so that the memory of a merge does not grow with its day.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from auditor.core.identity import uuid7
from auditor.intake import parts
from auditor.intake.dotted import TEXT_SUFFIX
from auditor.intake.places import Place

PART, MERGE, SUFFIX = "part-", "merge-", ".parquet"
WHOLE_DAY = "day-"
"""Begins the id of a merge of all that a day had when it was over."""
AT_ONCE = 8
"""Parts of about one size (within a factor of 8) that are merged: a record is rewritten once for each such size."""
LARGEST = 64 << 20
"""Files of this size, bytes, are large enough: they are not merged again before their day is over."""
MOST = 256 << 20
"""Bytes of files that are merged in one go."""
FILES = 512
"""Files that are merged, and so open, at once."""
STRETCH = parts.GROUP_ROWS
"""Rows of a stretch of time that are put in order together."""
HELD = 64 << 20
"""Unpacked bytes that are kept from one stretch for the next; what is more is read again."""
REPLACES = b"auditor.replaces"


def is_part(name: str) -> bool:
    return name.startswith(PART) and name.endswith(SUFFIX)


def current(place: Place, folder: str, names: Sequence[str]) -> list[str]:
    """Of the names in a day's folder, the files that hold its records now."""
    merges = [name for name in names if name.startswith(MERGE) and name.endswith(SUFFIX)]
    if not merges:
        return [name for name in names if is_part(name)]
    # A merge that has its final name already: an object store renames by copying first.
    merges = [name for name in merges if PART + name.removeprefix(MERGE) not in names]
    gone = {name for merge in merges for name in _replaced(place, f"{folder}/{merge}")}
    return [name for name in names if is_part(name) and name not in gone] + merges


def finish(place: Place, folder: str, removed: Callable[[str], None], arrived: Callable[[str], None]) -> None:
    """Bring merges to their end, those included that were cut short.

    Parameters
    ----------
    removed, arrived : callable
        Told the path of each file that is about to go, and of each that has its final name.
    """
    names = place.names(folder)
    for merge in [name for name in names if name.startswith(MERGE) and name.endswith(SUFFIX)]:
        final = PART + merge.removeprefix(MERGE)
        if final not in names:
            for name in _replaced(place, f"{folder}/{merge}"):
                removed(f"{folder}/{name}")
                place.remove(f"{folder}/{name}")
        place.rename(f"{folder}/{merge}", f"{folder}/{final}")
        arrived(f"{folder}/{final}")


def _replaced(place: Place, path: str) -> list[str]:
    with place.source(path) as source:
        found: list[str] = json.loads(parts.schema(source).metadata[REPLACES])
    return found


def choose(sizes: Mapping[str, int], *, closed: bool) -> list[str]:
    """Parts of a day to merge now, none when it is not worth it.

    Parameters
    ----------
    sizes : mapping of str to int
        Bytes by name.
    closed : bool
        Whether the day is over. Its parts are merged into one, once; late parts are then merged as in an open day.
    """
    known = {name: size for name, size in sizes.items() if is_part(name)}
    if closed and not any(name.startswith(PART + WHOLE_DAY) for name in known):
        return _within(known) if len(known) > 1 else []
    tiers: dict[int, list[str]] = defaultdict(list)
    for name, size in known.items():
        if size < LARGEST:
            tiers[max(size, 1).bit_length() // 3].append(name)
    ripe = [names for names in tiers.values() if len(names) >= AT_ONCE]
    return _within({name: known[name] for name in ripe[0]}) if ripe else []


def _within(sizes: Mapping[str, int]) -> list[str]:
    """The smallest of these that fit into memory together; none, unless there are at least two."""
    chosen: list[str] = []
    total = 0
    for name in sorted(sizes, key=lambda name: (sizes[name], name)):
        total += sizes[name]
        if total > MOST or len(chosen) == FILES:
            break
        chosen.append(name)
    return chosen if len(chosen) > 1 else []


def new_id(*, closed: bool) -> str:
    return f"{WHOLE_DAY if closed else ''}{uuid7()}"


class UnreadableError(Exception):
    """A part does not read: its name, and why."""

    def __init__(self, name: str, why: Exception) -> None:
        super().__init__(str(why) or type(why).__name__)
        self.name = name


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Errors of reading that part; what goes wrong with the merged file is another matter."""
    try:
        yield
    except parts.UNREADABLE as error:
        raise UnreadableError(name, error) from error


def merge(files: Mapping[str, pq.ParquetFile], model: str, sink: BinaryIO) -> None:
    """Write the rows of all files, in the order of their times, then ids; each id once.

    Raises
    ------
    UnreadableError
        For a file that does not read: what was written by then is worth nothing.
    """
    schemas = [file.schema_arrow for file in files.values()]
    kinds = _kinds(schemas)
    empty = pa.concat_tables([_aligned(schema.empty_table(), kinds) for schema in schemas], promote_options="default")
    says = {**parts.metadata(model), REPLACES.decode(): json.dumps(sorted(files))}
    with parts.writer(sink, empty.schema.with_metadata(says)) as out:
        waiting = empty
        for pieces in _stretches(files):
            aligned = [_aligned(piece, kinds) for piece in pieces]
            waiting = pa.concat_tables(
                [waiting, _in_order(pa.concat_tables([empty, *aligned], promote_options="default"))]
            )
            while waiting.num_rows >= parts.GROUP_ROWS:
                out.write_table(waiting.slice(0, parts.GROUP_ROWS))
                waiting = waiting.slice(parts.GROUP_ROWS)
        out.write_table(waiting)


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """A group of rows of a file, and the times of its first and last row, microseconds."""

    name: str
    file: pq.ParquetFile
    index: int
    first: int
    last: int

    def read(self, columns: list[str] | None = None) -> pa.Table:
        with reading(self.name):
            return self.file.read_row_group(self.index, columns=columns, use_threads=False)


def _stretches(files: Mapping[str, pq.ParquetFile]) -> Iterator[list[pa.Table]]:
    """Rows of all files by stretches of time: of each stretch what every group of rows has in it; each id once."""
    groups, bounds, twice = _looked_through(files)
    seen: set[str] = set()
    held: dict[_Group, pa.Table] = {}
    for begin, end in pairwise(bounds):
        pieces, kept, size = [], {}, 0
        for group in groups:
            if group.first < end and group.last >= begin:
                table = held.pop(group, None)
                table = group.read() if table is None else table
                pieces.append(parts.cut(table, begin, end))
                if group.last >= end and size + table.nbytes <= HELD:
                    kept[group] = table
                    size += table.nbytes
        held = kept
        yield _first_of(pieces, twice, seen) if len(twice) else pieces


def _looked_through(files: Mapping[str, pq.ParquetFile]) -> tuple[list[_Group], list[int], NDArray[np.int64]]:
    """All groups of rows, the bounds of the stretches, and the hashes that more than one row's id has."""
    groups, times, hashes = [], [], []
    for name, file in files.items():
        for index in range(file.num_row_groups):
            found = _Group(name, file, index, 0, 0).read(["id", "time"])
            if found.num_rows:
                time = found["time"].cast(pa.int64()).to_numpy()
                groups.append(_Group(name, file, index, int(time.min()), int(time.max())))
                times.append(time)
                hashes.append(_hashes(found))
    if not groups:
        return [], [], np.empty(0, np.int64)
    every = np.sort(np.concatenate(times))
    bounds = [*np.unique(every[::STRETCH]).tolist(), int(every[-1]) + 1]
    return groups, bounds, _repeated(np.concatenate(hashes))


def _hashes(table: pa.Table) -> NDArray[np.int64]:
    """Of each id, good for this process."""
    return np.fromiter(map(hash, table["id"].to_pylist()), np.int64, table.num_rows)


def _repeated(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those that are there more than once, rising."""
    values = np.sort(values)
    return np.unique(values[1:][values[1:] == values[:-1]])


def _first_of(pieces: Sequence[pa.Table], twice: NDArray[np.int64], seen: set[str]) -> list[pa.Table]:
    """The pieces of a stretch without the rows whose id was seen, in it or before, in a row that comes first."""
    whole: list[tuple[int, str, int, int]] = []
    keep = [np.ones(piece.num_rows, bool) for piece in pieces]
    for number, piece in enumerate(pieces):
        (places,) = np.nonzero(np.isin(_hashes(piece), twice))
        few = piece.select(["id", "time"]).take(pa.array(places))
        rows = zip(few["time"].cast(pa.int64()).to_pylist(), few["id"].to_pylist(), places.tolist(), strict=True)
        whole += [(time, name, number, place) for time, name, place in rows]
    for _, name, number, place in sorted(whole):
        if name in seen:
            keep[number][place] = False
        seen.add(name)
    return [piece.filter(pa.array(rows)) for piece, rows in zip(pieces, keep, strict=True)]


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of all tables in the order of their times, then ids."""
    kinds = _kinds([table.schema for table in tables])
    return _in_order(pa.concat_tables([_aligned(table, kinds) for table in tables], promote_options="default"))


def _in_order(table: pa.Table) -> pa.Table:
    table = table.combine_chunks()
    if (np.diff(table["time"].cast(pa.int64()).to_numpy()) > 0).all():  # as a replay and one agent write them
        return table
    return table.take(pc.sort_indices(table, [("time", "ascending"), ("id", "ascending")]))


def _kinds(schemas: Sequence[pa.Schema]) -> dict[str, list[pa.DataType]]:
    """The types that each column has in any of them."""
    kinds: dict[str, list[pa.DataType]] = defaultdict(list)
    for schema in schemas:
        for field in schema:
            if field.type not in kinds[field.name]:
                kinds[field.name].append(field.type)
    return kinds


def _aligned(table: pa.Table, kinds: Mapping[str, list[pa.DataType]]) -> pa.Table:
    """The table with columns of the types that all tables can agree on."""
    columns: dict[str, pa.ChunkedArray | pa.Array] = {}
    for path, column in zip(table.column_names, table.columns, strict=True):
        types = kinds[path]
        if len(types) > 1 and pa.types.is_string(column.type):  # figures elsewhere: texts have a column of their own
            path += TEXT_SUFFIX
        elif len(types) > 1 and pa.types.is_nested(column.type):
            column = _ragged(column)
        columns[path] = pc.coalesce(columns[path], column) if path in columns else column
    for path, types in kinds.items():
        # Parquet cannot give back a null among lists of fixed size (Arrow 25): an absent vector is a list of nulls.
        if path not in columns and len(types) == 1 and pa.types.is_fixed_size_list(types[0]):
            blank = pa.nulls(table.num_rows * types[0].list_size, types[0].value_type)
            columns[path] = pa.FixedSizeListArray.from_arrays(blank, types[0].list_size)
    return pa.table(columns)


def _ragged(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Vectors as lists of any length; one of nothing but nulls is absent."""
    if not pa.types.is_fixed_size_list(column.type):
        return column
    size = column.type.list_size
    rows = [None if row is None or all(figure is None for figure in row) else row for row in column.to_pylist()]
    assert all(row is None or len(row) == size for row in rows)
    return pa.chunked_array([pa.array(rows, pa.list_(column.type.value_type))])
