"""The archive: records and labels at rest, as Parquet by model and day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from auditor.core import gate
from auditor.core import record as core
from auditor.core.identity import canonical_json, slug, uuid7_ms
from auditor.core.rows import Rows
from auditor.core.window import DAY, Span, floor_to, from_us, parse_time, to_us
from auditor.intake import compaction, parts, schema
from auditor.intake import labels as label_files
from auditor.intake.columns import TIME, pack
from auditor.intake.dotted import rows_of, tree_of
from auditor.intake.kept import KeptFiles
from auditor.intake.ledger import Ledger
from auditor.intake.places import Place, place
from auditor.intake.records import to_struct
from auditor.intake.unpack import some_columns, to_rows
from auditor.ports import Damage, NumberedLabel, PartStore, RecordKey

A = TypeVar("A")

RECORDS = "records"
LABELS = "labels"
WITHDRAWN = "withdrawn"
"""Ids of records that another record of the same call superseded, by model and day: readers leave them out."""
_TRIES = 10
_TOGETHER = 1000
"""Rows that become records together."""


class ParquetArchive:
    """Records by model and day: `records/model=<slug>/day=<YYYY-MM-DD>/part-<segment>.parquet`.

    The name of a part follows from what it holds, so that a drain which is repeated replaces its own files. Pages carry
    checksums; a file that does not read is moved to quarantine and counted, and the rest is read.

    Parameters
    ----------
    root : str or Path
        A folder, or a URL that fsspec knows.
    quarantine : Path
        Local folder for damaged files.
    checksums : PartStore, optional
        Keeps the SHA-256 of every file of records; a file that is read whole is held against it.
    """

    def __init__(
        self,
        root: str | Path,
        quarantine: Path,
        *,
        checksums: PartStore | None = None,
    ) -> None:
        self._place: Place = place(root)
        self.ledger = Ledger(self._place)
        self.kept = KeptFiles(self._place, Path(quarantine), checksums)

    # -- writing -------------------------------------------------------------------------------------------------------

    def write(self, records: Sequence[schema.Record | core.Record], segment: str) -> int:
        """Put records of one segment in place; the number of files written. Repeating it replaces the same files."""
        grouped: dict[tuple[str, date], list[schema.Record]] = defaultdict(list)
        for record in records:
            row = to_struct(record) if isinstance(record, core.Record) else record
            grouped[row.model.name, row.time.date()].append(row)
        for (model, day), rows in sorted(grouped.items(), key=lambda item: item[0]):
            table = pack(rows).replace_schema_metadata(parts.metadata(model))
            self.kept.write(f"{_folder(model)}/day={day}/part-{segment}.parquet", parts.encode(table))
        return len(grouped)

    def put(self, tables: Sequence[tuple[str, pa.Table]], segment: str) -> int:
        """Put tables of one segment in place, each with its model: as `write` does, which makes them of records."""
        grouped: dict[str, list[pa.Table]] = defaultdict(list)
        for model, table in tables:
            grouped[model].append(table)
        written = 0
        for model, parted in sorted(grouped.items()):
            whole = compaction.joined(parted).replace_schema_metadata(parts.metadata(model))
            days = whole["time"].cast(pa.int64()).to_numpy() // to_us(from_us(0) + DAY)
            begins = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
            for begin, end in pairwise(begins):
                day = from_us(0) + int(days[begin]) * DAY
                path = f"{_folder(model)}/day={day:%Y-%m-%d}/part-{segment}.parquet"
                self.kept.write(path, parts.encode(_without_empty(whole.slice(begin, end - begin))))
                written += 1
        return written

    def write_labels(self, labels: Sequence[NumberedLabel], days: Mapping[RecordKey, str], segment: str) -> None:
        """Put labels of one segment in place; see `labels.files`."""
        for path, (data, rows) in label_files.files(labels, days, segment).items():
            self.kept.write(f"{LABELS}/{path}", data, rows)

    def withdraw(self, model: str, day: str, ids: Sequence[str], segment: str) -> None:
        """Leave these records out of every reading from now on."""
        folder = _folder(model).replace(RECORDS, WITHDRAWN, 1)
        self.kept.write(f"{folder}/day={day}/part-{segment}.json", canonical_json(list(ids)), len(ids))

    def _withdrawn(self, day: str) -> list[str]:
        """Ids that are left out of a day's folder."""
        folder = day.replace(RECORDS, WITHDRAWN, 1)
        found: list[str] = []
        for name in self._place.names(folder):
            if name.endswith(".json") and not name.startswith("."):
                found += self.kept.ids(f"{folder}/{name}") or []
        return found

    def tidy(self, model: str, day: str, *, closed: bool = False) -> int:
        """Merge files of a day (`2026-01-31`) where there are many; the number of files that became one.

        For the single writer, when no batch is half taken in. Readers beside it see every record once throughout.

        Parameters
        ----------
        closed : bool
            The day is over: its files become one. Otherwise files of about one size do, once there are eight.
        """
        folder = f"{_folder(model)}/day={day}"
        self._finish(folder)
        chosen = compaction.choose(self._place.sizes(folder), closed=closed)
        return self._merge(model, folder, chosen, compaction.new_id(closed=closed))

    def compact(self, model: str, day: str) -> int:
        """Merge all files of a day into one, whatever their sizes; the number of files that became one."""
        folder = f"{_folder(model)}/day={day}"
        self._finish(folder)
        names = [name for name in self._place.names(folder) if compaction.is_part(name)]
        return self._merge(model, folder, names if len(names) > 1 else [], compaction.new_id(closed=True))

    def _merge(self, model: str, folder: str, names: Sequence[str], merged: str) -> int:
        left = list(names)
        while len(left) > 1:
            try:
                with ExitStack() as stack:
                    files = {name: self.kept.opened(stack, f"{folder}/{name}", name) for name in left}
                    with self._place.writer(f"{folder}/merge-{merged}.parquet") as sink:
                        compaction.merge(files, model, sink)
            except compaction.UnreadableError as found:
                self.kept.set_aside(f"{folder}/{found.name}", found)
                left.remove(found.name)
            else:
                self._finish(folder)
                return len(left)
        return 0

    def _finish(self, folder: str) -> None:
        compaction.finish(self._place, folder, self.kept.forget, self.kept.remember)

    # -- reading -------------------------------------------------------------------------------------------------------

    def models(self) -> Sequence[str]:
        """Names of the models that have records, sorted."""
        found = []
        for folder in self._place.names(RECORDS):
            if folder.startswith("model="):
                name = self._name_of(folder)
                if name is not None:
                    found.append(name)
        return sorted(found)

    def days(self, model: str) -> Sequence[datetime]:
        """Beginnings of the days that have records, oldest first."""
        return [parse_time(day.rpartition("day=")[2]) for day in self._days(_folder(model))]

    def sequence(self, model: str, span: Span) -> int:
        """The newest drain (its time in milliseconds) that wrote records of the span's days; 0 without any.

        A merge of files counts as one: it is newer than what it merged, and older than any drain after it.
        """
        days = self._days(_folder(model), f"{span.start:%Y-%m-%d}", f"{span.end - timedelta(microseconds=1):%Y-%m-%d}")
        names = [name.rpartition(".")[0] for day in days for name in self._place.names(day) if compaction.is_part(name)]
        return max(map(uuid7_ms, names), default=0)

    def read(self, model: str, span: Span) -> Rows:
        """Rows of the span with their labels, in the order of their ids; see `ports.Archive`."""
        tables = self._tables(model, span)
        return to_rows(model, tables, self._truth(model, tables)) if tables else empty_rows(model)

    def columns(self, model: str, span: Span, paths: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Only some columns of the span, by dotted path, in the order of the ids, with `id` and `time` (microseconds).

        Numbers come as float64 (NaN where absent), texts as objects (None), vectors as float32 of shape (n, d). A path
        that no record has is left out.
        """
        return some_columns(self._tables(model, span, list(paths)), paths)

    def scan(self, model: str, span: Span, paths: Sequence[str]) -> pa.Table:
        """These columns of the span as Arrow reads them: `id`, `time` and `paths`, file by file, in each by time.

        For figures over many records: nothing is sorted, nothing becomes a Python object, and only the row groups of
        the span are read. A path that no record has is left out; where some files lack one, it is null.
        """
        tables = self._tables(model, span, list(paths), threads=True)
        if not tables:
            return pa.table({"id": pa.array([], pa.string()), "time": pa.array([], TIME)})
        return pa.concat_tables(tables, promote_options="permissive")

    def times(self, model: str, day: str, segment: str, ids: Sequence[str]) -> dict[str, datetime]:
        """When the inferences of some records of one segment and day happened; those that are not there are left out."""
        folder = f"{_folder(model)}/day={day}"
        return _again(lambda: self._times(folder, f"{folder}/part-{segment}.parquet", pa.array(ids, pa.string())))

    def _times(self, folder: str, part: str, ids: pa.Array) -> dict[str, datetime]:
        paths = self._in(folder)
        found: dict[str, datetime] = {}
        for path in [part] if part in paths else paths:  # it may have been merged with others
            table = self.kept.table(path, columns=["id", "time"])
            if table is None:
                continue
            table = table.filter(pc.is_in(table["id"], value_set=ids))
            times = table["time"].cast(pa.int64()).to_pylist()
            found.update(zip(table["id"].to_pylist(), map(from_us, times), strict=True))
        return found

    def files(self, model: str, day: datetime) -> list[str]:
        """Paths of the files that hold the records of a day, below the archive."""
        return self._in(f"{_folder(model)}/day={day:%Y-%m-%d}")

    def records(self, path: str) -> Iterator[core.Record]:
        """The records of one file, in its order; none when it does not read, and then it is in quarantine."""
        table = self.kept.table(path)
        if table is not None:
            yield from _records(table)

    def labels(self) -> Iterator[list[NumberedLabel]]:
        """All labels at rest, file by file, without those of files that are older than the column of their model."""
        for path in self.other_files():
            table = self.kept.table(path) if path.startswith(LABELS) else None
            if table is not None and "model" in table.column_names:
                yield label_files.labels(table)

    def ids(self, model: str, day: str) -> list[str]:
        """Ids in the files of a day (`2026-01-31`), each file held against its checksum; withdrawn records included."""
        folder = f"{_folder(model)}/day={day}"
        tables = _again(lambda: [self.kept.table(path) for path in self._in(folder)])
        return [name for table in tables if table is not None for name in table["id"].to_pylist()]

    def damage(self) -> Sequence[Damage]:
        """Files set aside since the last call, by this process or by one that reads for it; `where` is their former path."""
        return self.kept.damage()

    def other_files(self) -> list[str]:
        """Paths of the files of labels and of withdrawn ids."""
        found = [f"{LABELS}/{day}" for day in self._place.names(LABELS)]
        for model in self._place.names(WITHDRAWN):
            found += [f"{WITHDRAWN}/{model}/{day}" for day in self._place.names(f"{WITHDRAWN}/{model}")]
        return [f"{day}/{name}" for day in found for name in self._place.names(day) if not name.startswith(".")]

    # -- inside --------------------------------------------------------------------------------------------------------

    def _tables(
        self, model: str, span: Span, paths: list[str] | None = None, *, threads: bool = False
    ) -> list[pa.Table]:
        """Tables of the span's files, cut to it; empty ones are left out."""
        wanted = None if paths is None else ["id", "time", *paths]
        found = []
        for day in self._days(_folder(model), _day(span.start), _day(span.end - timedelta(microseconds=1))):
            found += _again(partial(self._day_tables, day, wanted, span, threads))
        return [table for table in found if table is not None and table.num_rows]

    def _day_tables(self, day: str, columns: list[str] | None, span: Span, threads: bool) -> list[pa.Table | None]:
        tables = [self.kept.table(path, columns, span, threads=threads) for path in self._in(day)]
        withdrawn = pa.array(self._withdrawn(day), pa.string())
        if not len(withdrawn):
            return tables
        return [t and t.filter(pc.invert(pc.is_in(t["id"], value_set=withdrawn))) for t in tables]

    def _days(self, folder: str, first: str = "", last: str = "9999") -> list[str]:
        """Folders of a model's days from `first` to `last`."""
        return [
            f"{folder}/{name}"
            for name in self._place.names(folder)
            if name.startswith("day=") and first <= name.removeprefix("day=") <= last
        ]

    def _in(self, day: str) -> list[str]:
        """The files of a day's folder that hold its records."""
        return [f"{day}/{name}" for name in compaction.current(self._place, day, self._place.names(day))]

    def _truth(self, model: str, tables: Sequence[pa.Table]) -> label_files.Truth:
        days = [pc.min_max(table["time"]).as_py() for table in tables]
        first = f"{min(day['min'] for day in days):%Y%m%d}"
        last = f"{max(day['max'] for day in days):%Y%m%d}"
        found = []
        for day in self._place.names(LABELS):
            folder = f"{LABELS}/{day}"
            for name in self._place.names(folder) if day.startswith("day=") else ():
                if label_files.may_label(name, first, last):
                    table = self.kept.table(f"{folder}/{name}")
                    if table is not None:
                        found.append(table)
        return label_files.Truth(model, found)

    def _name_of(self, folder: str) -> str | None:
        """The model's name, which its slug may not spell: from any of its files."""
        plain = folder.removeprefix("model=")
        if slug(plain) == plain and not _has_tail(plain):
            return plain if self._place.names(f"{RECORDS}/{folder}") else None
        for day in self._days(f"{RECORDS}/{folder}"):
            for path in self._in(day):
                table = self.kept.table(path, columns=["model.name"])
                if table is not None and table.num_rows:
                    name: str = table["model.name"][0].as_py()
                    return name
        return None


def empty_rows(model: str) -> Rows:
    """No row of a model."""
    none = np.empty(0, object)
    return Rows(
        model=model,
        ids=none,
        time_us=np.empty(0, np.int64),
        version=none,
        sampling=np.empty(0),
        described=np.empty(0, bool),
        truth=none,
        truth_value=np.empty(0),
        labelled_us=np.empty(0, np.int64),
    )


def _again(read: Callable[[], A]) -> A:
    """Read files that were listed; listed anew when one of them is gone, because it was merged meanwhile."""
    for _ in range(_TRIES):
        try:
            return read()
        except FileNotFoundError:
            continue
    return read()


def _without_empty(table: pa.Table) -> pa.Table:
    """Without columns that have no value: what another day has is not this day's affair."""
    return table.select([name for name, column in zip(table.column_names, table.columns) if not _empty(column)])


def _empty(column: pa.ChunkedArray) -> bool:
    if pa.types.is_fixed_size_list(column.type):  # an absent vector is a list of nulls
        column = pc.list_flatten(column)
    return bool(column.null_count == len(column))


@lru_cache(maxsize=4096)
def _folder(model: str) -> str:
    return f"{RECORDS}/model={slug(model)}"


def _has_tail(plain: str) -> bool:
    """Whether a slug may end with the digest that keeps different names apart."""
    tail = plain.rpartition("-")[2]
    return len(tail) == 8 and all(letter in "0123456789abcdef" for letter in tail)


def _day(moment: datetime) -> str:
    return f"{floor_to(moment, DAY):%Y-%m-%d}"


def _records(table: pa.Table) -> Iterator[core.Record]:
    """The records of a table; vectors come back as the float32 they are kept in, null figures as absent."""
    for begin in range(0, table.num_rows, _TOGETHER):
        part = table.slice(begin, _TOGETHER)
        columns: dict[str, Sequence[Any]] = {}
        for field, column in zip(part.schema, part.columns, strict=True):
            if field.name == "time":
                columns["time"] = [from_us(us) for us in column.cast(pa.int64()).to_pylist()]
                continue
            columns[field.name] = column.to_pylist()
            if pa.types.is_nested(field.type):
                columns[field.name] = [cell if cell and None not in cell else None for cell in columns[field.name]]
        yield from map(gate.parse_record, rows_of(tree_of(columns), part.num_rows))
