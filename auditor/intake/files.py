"""Records and labels from files: every row becomes a durable frame, or a line beside the file that says why not.

Rows without an id get one from the file's digest and the row's number; so ingesting a file again, or going on after it
was cut short, adds nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import repeat
from pathlib import Path
from typing import Any

import msgspec

from auditor.core.errors import AuditorError, ConfigurationError, RecordError
from auditor.core.identity import canonical_json, digest
from auditor.core.window import Span, format_time
from auditor.intake import tables
from auditor.intake.cells import Cells
from auditor.intake.clock import ALWAYS, check_time
from auditor.intake.dotted import objects_of, rows_of, tree_of
from auditor.intake.mapping import TableMapping
from auditor.intake.records import decode, digest_of, encode_record, label_from, read_record, without_sensitive, written
from auditor.intake.schema import Record
from auditor.intake.tables import Chunk
from auditor.ports import Descriptor, IndexEntry, RecordKey
from auditor.segments import SegmentWriter

Known = Callable[[Sequence[str]], Mapping[RecordKey, IndexEntry]]
SETTLE = 50_000
"""Rows after which `settle` is called."""
BODY = 1 << 20
"""Bytes of records that are written as one frame: what damage to a frame may cost."""
_CELLS = Cells()


@dataclass(slots=True)
class FileReport:
    """What became of a file's rows."""

    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    labels: int = 0
    refused_file: Path | None = None


def ingest(
    file: Path,
    writer: SegmentWriter,
    *,
    mapping: Path | None = None,
    descriptors: Mapping[str, Descriptor] | None = None,
    known: Known | None = None,
    settle: Callable[[], None] | None = None,
    progress: Callable[[int], None] | None = None,
    times: Span = ALWAYS,
) -> FileReport:
    """Records (and, with a mapping, labels) from a Parquet, CSV or JSON lines file into the journal.

    Parameters
    ----------
    file : Path
    writer : SegmentWriter
        In the journal.
    mapping : Path, optional
        YAML; without it JSON lines are records, and columns are dotted paths.
    descriptors : mapping of str to Descriptor, optional
        By modality, for the raw media that a mapping names.
    known : callable, optional
        The index's `locate`: rows that it has are duplicates or refused as `id_conflict`; without it the drain settles.
    settle : callable, optional
        Called every 50 000 rows with everything durable: a drain keeps the index abreast.
    progress : callable, optional
        Told the number of rows done, after each chunk.
    times : Span, optional
        Rows with a time outside are refused.

    Raises
    ------
    ConfigurationError
        A file or mapping that cannot be used at all.
    SegmentError
        The disk refused; what was accepted before is durable, and running it again goes on from there.
    """
    source = _Source(file, mapping, descriptors or {})
    report = FileReport()
    with _Beside(file, report, source.redact) as beside:
        _Ingest(source, writer, report, beside, known, times).run(settle, progress)
    return report


def ingest_labels(
    file: Path,
    writer: SegmentWriter,
    *,
    now: datetime,
    model: str | None = None,
    progress: Callable[[int], None] | None = None,
    times: Span = ALWAYS,
) -> FileReport:
    """Labels from a file with columns `id`, `label` (or `value`) and, optionally, `time` and `model`.

    `now` and `model` stand for a time and a model that a row lacks; a row of another model is refused (`wrong_model`).
    """
    report = FileReport()
    tables.checked(file)
    present = tables.columns(file)
    if present is not None and ("id" not in present or not present & {"label", "value"}):
        raise ConfigurationError(
            "unknown_column",
            "a file of labels has the columns id and label (or value)",
            where=str(file),
            fix=f"name them so; its columns are: {', '.join(sorted(present))[:200]}",
        )
    with _Beside(file, report, without_sensitive) as beside:
        for chunk in tables.chunks(file):
            frames: list[tuple[str, bytes]] = []
            for place, row in enumerate(_label_rows(chunk)):
                try:
                    if place in chunk.faults:
                        raise chunk.faults[place]
                    label = label_from(row, now=now)
                    if model is not None and label.model not in (None, model):
                        raise RecordError("wrong_model", f"the label is of {label.model!r}", where=label.id)
                    label = replace(label, model=label.model or model)
                    check_time(label.time, times, label.id)
                    frames.append(("label", canonical_json(label.as_json())))
                    report.labels += 1
                except AuditorError as error:
                    beside.refuse(chunk, place, error)
            writer.append(frames)
            if progress:
                progress(chunk.numbers[-1])
    writer.seal()
    return report


def _label_rows(chunk: Chunk) -> list[Any]:
    readers = {
        "id": _CELLS.text,
        "model": _CELLS.text,
        "label": _CELLS.class_name,
        "value": lambda cell: _CELLS.number(cell, "value"),
    }
    whole: Callable[[Any], Any] = lambda cell: None if _CELLS.blank(cell) else cell  # noqa: E731
    tree = {name: chunk.each(readers.get(name, whole), cells) for name, cells in chunk.columns.items()}
    return [row or {} for row in objects_of(tree)] if tree else [{}] * len(chunk)


class _Ingest:
    """The loop over a file's rows."""

    def __init__(
        self,
        source: _Source,
        writer: SegmentWriter,
        report: FileReport,
        beside: _Beside,
        known: Known | None,
        times: Span,
    ) -> None:
        self.source, self.writer, self.report, self.beside = source, writer, report, beside
        self.known, self.times = known, times
        self.seen: dict[RecordKey, str] = {}

    def run(self, settle: Callable[[], None] | None, progress: Callable[[int], None] | None) -> None:
        for chunk in self.source.chunks():
            self._take(chunk)
            if progress:
                progress(chunk.numbers[-1])
            if settle and len(self.seen) >= SETTLE:
                self.writer.seal()
                settle()
                self.seen = {}
        self.writer.seal()

    def _take(self, chunk: Chunk) -> None:
        ids = self.source.identifiers(chunk)
        there = self.known(ids) if self.known else {}
        # Rows of this very file that are there: no need to describe them again.
        keys = zip(self.source.models(chunk), ids, strict=True) if there else ()
        own = {place for place, key in enumerate(keys) if key in there and self.source.is_own(key[1], chunk, place)}
        self.report.duplicates += len(own)
        places = [place for place in range(len(chunk)) if place not in own]
        chunk, ids = chunk.only(places), [ids[place] for place in places]
        labels: list[tuple[str, bytes]] = []
        records: list[bytes] = []
        for place, (row, label) in enumerate(self.source.rows(chunk, ids)):
            try:
                if place in chunk.faults:
                    raise chunk.faults[place]
                record, payload = self._decoded(row, ids[place]) if isinstance(row, bytes) else written(row)
                check_time(record.time, self.times, record.id)
                if label is not None:
                    labels.append(self._label({**label, "model": record.model.name}))
                if self._is_new((record.model.name, record.id), payload, there):
                    records.append(payload)
            except AuditorError as error:
                self.beside.refuse(chunk, place, error)
        # Labels before their records: where a record got through, its label did.
        self.report.labels += len(labels)
        self.report.accepted += len(records)
        self.writer.append([*labels, *_bodies(records)])

    def _decoded(self, line: bytes, identifier: str) -> tuple[Record, bytes]:
        record = read_record(line, default_id=identifier)
        return record, encode_record(record)

    def _label(self, data: Mapping[str, Any]) -> tuple[str, bytes]:
        label = label_from(data)
        check_time(label.time, self.times, label.id)
        return "label", canonical_json(label.as_json())

    def _is_new(self, key: RecordKey, payload: bytes, there: Mapping[RecordKey, IndexEntry]) -> bool:
        mine = digest_of(payload)
        earlier = there[key].digest if key in there else self.seen.setdefault(key, mine)
        if earlier is mine:
            return True
        if earlier != mine:
            raise RecordError(
                "id_conflict",
                "the same id stands for a record with other content",
                where=key[1],
                fix="give the record an id of its own",
            )
        self.report.duplicates += 1
        return False


def _bodies(records: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """Frames of records together."""
    begin = size = 0
    for end, record in enumerate([*records, b""], 1):
        size += len(record)
        if begin < end - 1 and (size > BODY or end > len(records)):
            yield "records", b'{"records":[' + b",".join(records[begin : end - 1]) + b"]}"
            begin, size = end - 1, len(record)


class _Source:
    """A file's rows and how each becomes a record."""

    def __init__(self, file: Path, mapping: Path | None, descriptors: Mapping[str, Descriptor]) -> None:
        self._file = file
        self._digest = tables.checked(file)
        present = tables.columns(file)
        self._lines = present is None and mapping is None
        self._mapping: TableMapping | None = None
        if mapping is not None:
            self._mapping = TableMapping.load(mapping, folder=file.parent, descriptors=descriptors, present=present)
        elif present is not None:
            try:
                tree_of({path: [] for path in present})
            except ValueError as error:
                raise ConfigurationError(
                    "duplicate_column",
                    f"{error} lies below the value of another column",
                    where=str(file),
                    fix="leave one out",
                ) from error
            self._readers = {path: _CELLS.reader(path) for path in present}

    def chunks(self) -> Iterator[Chunk]:
        """The rows; those of JSON lines without a mapping are still bytes."""
        return tables.line_chunks(self._file) if self._lines else tables.chunks(self._file)

    def identifiers(self, chunk: Chunk) -> list[str]:
        """Each row's own id, or the one that its place in the file gives it."""
        own: Sequence[Any]
        if self._lines:
            own = [_parts_of(line)[0] for line in chunk.raw.values()]
        elif self._mapping is not None:
            own = self._mapping.identifiers(chunk)
        else:
            own = chunk.each(_CELLS.text, chunk.cells("id"))
        return [name or self._place(number) for name, number in zip(own, chunk.numbers, strict=True)]

    def models(self, chunk: Chunk) -> Sequence[str | None]:
        """Name of each row's model, where it can be read."""
        if self._lines:
            return [_parts_of(line)[1] for line in chunk.raw.values()]
        if self._mapping is not None:
            return self._mapping.models(chunk)
        return chunk.each(_CELLS.text, chunk.cells("model.name"))

    def is_own(self, identifier: str, chunk: Chunk, place: int) -> bool:
        """Whether an id came from the file's digest and the row's number."""
        return identifier == self._place(chunk.numbers[place])

    def rows(self, chunk: Chunk, ids: Sequence[str]) -> Iterable[tuple[Any, Any]]:
        """Each row's record, decoded or in bytes, and its label; both are yet to be checked."""
        if self._lines:
            return zip(chunk.raw.values(), repeat(None))
        if self._mapping is not None:
            records = self._mapping.apply(chunk, ids)
            times = [record.get("time") for record in records]
            return zip(records, self._mapping.labels(chunk, ids, times), strict=True)
        columns: dict[str, Sequence[Any]] = {}
        for path, cells in chunk.columns.items():
            convert, numbers = self._readers[path]
            columns[path] = chunk.each(convert, cells, numbers=numbers)
        return zip(rows_of(tree_of({**columns, "id": ids}), len(chunk)), repeat(None))

    def redact(self, row: Any) -> Any:
        """What of a refused row may be written beside the file."""
        if isinstance(row, bytes):
            try:
                return without_sensitive(decode(row))
            except RecordError:
                return row.decode("utf-8", "backslashreplace")
        if not isinstance(row, Mapping):
            return without_sensitive(row)
        hidden = self._mapping.sensitive_columns if self._mapping else set()
        kept = {
            str(key): value for key, value in row.items() if key not in hidden and not str(key).startswith("sensitive.")
        }
        return without_sensitive(kept)

    def _place(self, index: int) -> str:
        return digest([self._digest, index])[:32]


class _Identified(msgspec.Struct, gc=False):
    id: Any = None
    model: Any = None


_decode_id = msgspec.json.Decoder(_Identified).decode


def _parts_of(line: bytes) -> tuple[str | None, str | None]:
    """Id and model of a line, where they can be read."""
    try:
        found = _decode_id(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None, None
    name = found.model.get("name") if isinstance(found.model, dict) else None
    return found.id if isinstance(found.id, str) else None, name if isinstance(name, str) else None


class _Beside:
    """`FILE.refused.jsonl`: made with the first refused row; one of an earlier run is removed."""

    def __init__(self, file: Path, report: FileReport, redact: Callable[[Any], Any]) -> None:
        self._path = file.with_name(f"{file.name}.refused.jsonl")
        self._report = report
        self._redact = redact
        self._stream: Any = None

    def __enter__(self) -> _Beside:
        self._path.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def refuse(self, chunk: Chunk, place: int, error: AuditorError) -> None:
        if self._stream is None:
            try:
                self._stream = self._path.open("w", encoding="utf-8", errors="backslashreplace")
            except OSError as failure:
                raise ConfigurationError(
                    "refused_unwritable",
                    f"rows were refused and cannot be written beside the file: {failure.strerror}",
                    where=str(self._path),
                    fix="copy the file to a folder that can be written",
                ) from failure
            self._report.refused_file = self._path
        data = self._redact(chunk.row(place))
        line = {"row": chunk.numbers[place], **error.as_json()["error"], "data": data}
        self._stream.write(json.dumps(line, ensure_ascii=False, default=_shown) + "\n")
        self._report.refused += 1


def _shown(value: Any) -> Any:
    """Times, bytes and the like in a refused row, as texts."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return format_time(value)
    return value.isoformat() if isinstance(value, (datetime, date)) else str(value)
