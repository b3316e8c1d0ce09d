"""The archive: records and labels at rest, as Parquet by model and day."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from auditor.core import record as core
from auditor.core.errors import StoreError
from auditor.core.identity import slug
from auditor.core.rows import Rows
from auditor.core.window import DAY, Span, floor_to, from_us, to_us
from auditor.intake import labels as label_files
from auditor.intake import wire
from auditor.intake.columns import pack
from auditor.intake.dotted import nest
from auditor.intake.places import Place, place, write_file
from auditor.intake.records import to_wire
from auditor.intake.unpack import some_columns, to_rows
from auditor.ports import Damage, RecordIndex

RECORDS = "records"
LABELS = "labels"
_UNREADABLE = (pa.ArrowException, OSError, EOFError, ValueError, KeyError)
"""What Arrow raises for bytes that are no whole Parquet file."""


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
    index : RecordIndex, optional
        Makes `find` a look-up; without it every file is asked.
    """

    def __init__(self, root: str | Path, quarantine: Path, *, index: RecordIndex | None = None) -> None:
        self._place: Place = place(root)
        self._quarantine = Path(quarantine)
        self._index = index
        self._reasons: dict[str, str] = {}
        self._known = set(self._set_aside())

    def __getstate__(self) -> dict[str, Any]:
        # Another process reads beside this one; it has no use for our connection to the index.
        return {**self.__dict__, "_index": None}

    # -- writing -------------------------------------------------------------------------------------------------------

    def write(self, records: Sequence[wire.Record | core.Record], segment: str) -> int:
        """Put records of one segment in place; the number of files written. Repeating it replaces the same files."""
        parts: dict[tuple[str, str], list[wire.Record]] = defaultdict(list)
        for record in records:
            row = to_wire(record) if isinstance(record, core.Record) else record
            parts[row.model.name, f"{row.time:%Y-%m-%d}"].append(row)
        for (model, day), rows in sorted(parts.items(), key=lambda item: item[0]):
            table = pack(rows).replace_schema_metadata({"auditor.model": model, "auditor.schema": "auditor.archive/1"})
            self._place.write(f"{_folder(model)}/day={day}/part-{segment}.parquet", _parquet(table))
        return len(parts)

    def write_labels(self, labels: Sequence[core.Label], days: Mapping[str, str], segment: str, received: int) -> None:
        """Put labels of one segment in place; see `labels.files`."""
        for path, data in label_files.files(labels, days, segment, received).items():
            self._place.write(f"{LABELS}/{path}", data)

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

    def read(self, model: str, span: Span) -> Rows:
        """Rows of the span with their labels, in the order of their ids; see `ports.Archive`."""
        tables = self._tables(model, span)
        return to_rows(model, tables, self._truth(tables)) if tables else empty_rows(model)

    def columns(self, model: str, span: Span, paths: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Only some columns of the span, by dotted path, in the order of the ids, with `id` and `time` (microseconds).

        Numbers come as float64 (NaN where absent), texts as objects (None), vectors as float32 of shape (n, d). A path
        that no record has is left out.
        """
        return some_columns(self._tables(model, span, list(paths)), paths)

    def find(self, record_id: str) -> core.Record | None:
        """One record by its id, or None."""
        paths: Iterator[str] | list[str]
        if self._index is not None:
            entry = self._index.locate([record_id]).get(record_id)
            if entry is None:
                return None
            paths = self._parts(_folder(entry.model), entry.day, entry.day)
        else:
            paths = (
                path
                for folder in self._place.names(RECORDS)
                if folder.startswith("model=")
                for path in self._parts(f"{RECORDS}/{folder}", "", "9999")
            )
        for path in paths:
            table = self._table(path)
            if table is None:
                continue
            place = pc.index(table["id"], record_id).as_py()
            if place >= 0:
                return _record(table.slice(place, 1))
        return None

    def times(self, model: str, day: str, segment: str, ids: Sequence[str]) -> dict[str, datetime]:
        """When the inferences of some records of one part happened; records that the part lacks are left out."""
        path = f"{_folder(model)}/day={day}/part-{segment}.parquet"
        if path.rpartition("/")[2] not in self._place.names(path.rpartition("/")[0]):
            return {}
        table = self._table(path, columns=["id", "time"])
        if table is None:
            return {}
        table = table.filter(pc.is_in(table["id"], value_set=pa.array(ids, pa.string())))
        return {
            identifier: from_us(time)
            for identifier, time in zip(
                table["id"].to_pylist(), table["time"].cast(pa.int64()).to_pylist(), strict=True
            )
        }

    def damage(self) -> Sequence[Damage]:
        """Files set aside since the last call, by this process or by one that reads for it."""
        found = []
        for name in self._set_aside():
            if name not in self._known:
                self._known.add(name)
                reason = self._reasons.pop(name, "")
                found.append(Damage(f"an archive file does not read{reason and ': ' + reason}", f"quarantine/{name}"))
        return found

    # -- inside --------------------------------------------------------------------------------------------------------

    def _tables(self, model: str, span: Span, paths: list[str] | None = None) -> list[pa.Table]:
        """Tables of the span's files, cut to it; empty ones are left out."""
        start, end = to_us(span.start), to_us(span.end)
        wanted = None if paths is None else ["id", "time", *paths]
        found = []
        for path in self._parts(_folder(model), _day(span.start), _day(span.end - timedelta(microseconds=1))):
            table = self._table(path, wanted)
            if table is None:
                continue
            time = table["time"].cast(pa.int64()).to_numpy()
            inside = (time >= start) & (time < end)
            if inside.any():
                found.append(table if inside.all() else table.filter(pa.array(inside)))
        return found

    def _parts(self, folder: str, first: str, last: str) -> list[str]:
        days = [name for name in self._place.names(folder) if first <= name.removeprefix("day=") <= last]
        return [
            f"{folder}/{day}/{name}"
            for day in days
            if day.startswith("day=")
            for name in self._place.names(f"{folder}/{day}")
            if name.startswith("part-") and name.endswith(".parquet")
        ]

    def _table(self, path: str, columns: list[str] | None = None) -> pa.Table | None:
        """A file's table; None when it does not read, and then it is in quarantine."""
        try:
            source = self._place.source(path)
        except FileNotFoundError:
            return None  # replaced or set aside by a process beside this one
        except OSError as error:
            raise self._unreadable(path, error) from error
        try:
            with source:
                return _read(source, columns)
        except _UNREADABLE as error:
            return self._set_apart(path, error, columns)

    def _unreadable(self, path: str, error: OSError) -> StoreError:
        return StoreError(
            "archive_unreadable",
            f"an archive file cannot be read: {error}",
            where=f"{self._place.root}/{path}",
            fix="check the disk, the network and the permissions",
        )

    def _set_apart(self, path: str, error: Exception, columns: list[str] | None) -> pa.Table | None:
        """Move a file that does not read to quarantine; its table, should it read the second time."""
        try:
            data = self._place.read(path)
        except FileNotFoundError:
            return None  # a process beside this one was faster
        except OSError as failure:
            raise self._unreadable(path, failure) from failure
        try:
            return _read(pa.BufferReader(data), columns)
        except _UNREADABLE:  # the bytes are wrong, not the way to them
            pass
        name = "archive~" + path.replace("/", "~")
        if (self._quarantine / name).exists():
            name += f".{hashlib.sha256(data).hexdigest()[:8]}"
        write_file(self._quarantine / name, data)
        self._place.remove(path)
        self._reasons[name] = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        return None

    def _set_aside(self) -> list[str]:
        if not self._quarantine.is_dir():
            return []
        return sorted(path.name for path in self._quarantine.glob("archive~*"))

    def _truth(self, tables: Sequence[pa.Table]) -> label_files.Truth:
        days = [pc.min_max(table["time"]).as_py() for table in tables]
        first = f"{min(day['min'] for day in days):%Y%m%d}"
        last = f"{max(day['max'] for day in days):%Y%m%d}"
        found = []
        for day in self._place.names(LABELS):
            folder = f"{LABELS}/{day}"
            for name in self._place.names(folder) if day.startswith("day=") else ():
                if label_files.may_label(name, first, last):
                    table = self._table(f"{folder}/{name}")
                    if table is not None:
                        found.append(table)
        return label_files.Truth(found)

    def _name_of(self, folder: str) -> str | None:
        """The model's name, which its slug may not spell: from any of its files."""
        plain = folder.removeprefix("model=")
        if slug(plain) == plain and not _has_tail(plain):
            return plain if self._place.names(f"{RECORDS}/{folder}") else None
        for path in self._parts(f"{RECORDS}/{folder}", "", "9999"):
            table = self._table(path, columns=["model.name"])
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


@lru_cache(maxsize=4096)
def _folder(model: str) -> str:
    return f"{RECORDS}/model={slug(model)}"


def _has_tail(plain: str) -> bool:
    """Whether a slug may end with the digest that keeps different names apart."""
    tail = plain.rpartition("-")[2]
    return len(tail) == 8 and all(letter in "0123456789abcdef" for letter in tail)


def _day(moment: datetime) -> str:
    return f"{floor_to(moment, DAY):%Y-%m-%d}"


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def _read(source: Any, columns: list[str] | None = None) -> pa.Table:
    # One thread: files are small, and an engine that wants more processes has them.
    file = pq.ParquetFile(source, page_checksum_verification=True)
    table = file.read(columns=columns, use_threads=False)
    if "id" in table.column_names and table["id"].type != pa.string():
        raise ValueError("the ids are no strings")
    return table


def _record(row: pa.Table) -> core.Record:
    """The record of a one-row table; vectors come back as the float32 they are kept in, null figures as absent."""
    flat = row.drop_columns("time").to_pylist()[0]
    return core.parse_record({**nest(flat), "time": from_us(row["time"].cast(pa.int64())[0].as_py())})
