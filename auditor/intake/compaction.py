"""Many small files of one day -> one: what is read stays the same at every moment, whatever interrupts it.

A merge is written as `merge-<id>.parquet`, whose foot names the parts that it replaces. From the moment it is there it
counts, and they do not. Then they are removed, and it gets its name `part-<id>.parquet`; what was cut short is finished
by the next call. At rest each record stands in exactly one `part-*.parquet`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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
"""Bytes of files that are merged in one go: a merge holds them in memory, unpacked."""
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
        Whether the day is over. Its parts are merged into one, once; what comes late is then merged as in an open day.
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
    chosen, total = [], 0
    for name in sorted(sizes, key=lambda name: (sizes[name], name)):
        total += sizes[name]
        if total > MOST:
            break
        chosen.append(name)
    return chosen if len(chosen) > 1 else []


def new_id(*, closed: bool) -> str:
    return f"{WHOLE_DAY if closed else ''}{uuid7()}"


def merge(tables: Sequence[pa.Table], replaces: Iterable[str], model: str) -> pa.Table:
    """The rows of all tables in the order of their times, then ids; each id once."""
    whole = joined(tables)
    if pc.count_distinct(whole["id"]).as_py() < whole.num_rows:
        _, first = np.unique(whole["id"].to_numpy(zero_copy_only=False).astype(str), return_index=True)
        whole = whole.take(pa.array(np.sort(first)))
    return whole.replace_schema_metadata({**parts.metadata(model), REPLACES.decode(): json.dumps(sorted(replaces))})


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of all tables in the order of their times, then ids."""
    kinds: dict[str, list[pa.DataType]] = defaultdict(list)
    for table in tables:
        for field in table.schema:
            if field.type not in kinds[field.name]:
                kinds[field.name].append(field.type)
    whole = pa.concat_tables([_aligned(table, kinds) for table in tables], promote_options="default")
    whole = whole.combine_chunks()
    if (np.diff(whole["time"].cast(pa.int64()).to_numpy()) > 0).all():  # as a replay and one agent write them
        return whole
    return whole.take(pc.sort_indices(whole, [("time", "ascending"), ("id", "ascending")]))


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
