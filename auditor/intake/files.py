"""Records and labels from files: every row becomes a durable frame, or a line beside the file that says why not.

Rows without an id get one from the file's digest and the row's number; so ingesting a file again, or going on after it
was cut short, adds nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from auditor.core.errors import AuditorError, ConfigurationError, RecordError
from auditor.core.identity import canonical_json, digest
from auditor.core.record import Label
from auditor.core.window import Span, format_time
from auditor.intake import tables
from auditor.intake.cells import Cells
from auditor.intake.clock import ALWAYS, check_time
from auditor.intake.dotted import INPUT_PATH, nest
from auditor.intake.mapping import RowMapping
from auditor.intake.records import (
    content_digest,
    decode,
    encode_record,
    label_from,
    read_record,
    record_from,
    without_sensitive,
)
from auditor.ports import Descriptor, IndexEntry
from auditor.segments import SegmentWriter

Known = Callable[[Sequence[str]], Mapping[str, IndexEntry]]
CHUNK = 500
"""Rows that become durable together."""
SETTLE = 50_000
"""Rows after which `settle` is called."""
_WHOLE = ("output.tokens.input", "output.tokens.output", "source.fork", "source.seq")
_NUMBERS = frozenset(
    ["output.value", "sampling", "latency_s", "first_token_s", "energy.joules", "energy.lower", "energy.upper", *_WHOLE]
)
_VECTORS = ("embedding", "scores")
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
    rows = _Rows(file, mapping, descriptors or {})
    report = FileReport()
    with _Beside(file, report, rows.redact) as beside:
        _Ingest(rows, writer, report, beside, known, settle, progress, times).run()
    return report


def ingest_labels(
    file: Path,
    writer: SegmentWriter,
    *,
    now: datetime,
    progress: Callable[[int], None] | None = None,
    times: Span = ALWAYS,
) -> FileReport:
    """Labels from a file with `id`, `label` (or `value`) and, if it likes, `time`; `now` stands where there is none."""
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
        chunk: list[tuple[str, bytes]] = []
        for index, row in enumerate(_plain_rows(file), 1):
            try:
                label = _label(row, now)
                check_time(label.time, times, label.id)
                chunk.append(("label", canonical_json(label.as_json())))
                report.labels += 1
            except AuditorError as error:
                beside.refuse(index, error, row)
            if index % CHUNK == 0:
                writer.append(chunk)
                chunk = []
                if progress:
                    progress(index)
        writer.append(chunk)
    writer.seal()
    return report


class _Ingest:
    """The loop over a file's rows."""

    def __init__(
        self,
        rows: _Rows,
        writer: SegmentWriter,
        report: FileReport,
        beside: _Beside,
        known: Known | None,
        settle: Callable[[], None] | None,
        progress: Callable[[int], None] | None,
        times: Span,
    ) -> None:
        self.times = times
        self.rows, self.writer, self.report, self.beside = rows, writer, report, beside
        self.known, self.settle, self.progress = known, settle, progress
        self.seen: dict[str, str] = {}

    def run(self) -> None:
        chunk: list[tuple[int, Any, str]] = []
        done = 0
        for index, row in self.rows:
            chunk.append((index, row, self.rows.identifier(index, row)))
            done = index
            if len(chunk) == CHUNK:
                self._take(chunk)
                chunk = []
                if self.progress:
                    self.progress(done)
                if self.settle and len(self.seen) >= SETTLE:
                    self.writer.seal()
                    self.settle()
                    self.seen = {}
        self._take(chunk)
        if self.progress and done:
            self.progress(done)
        self.writer.seal()

    def _take(self, chunk: list[tuple[int, Any, str]]) -> None:
        there = self.known([identifier for _, _, identifier in chunk]) if self.known else {}
        frames: list[tuple[str, bytes]] = []
        for index, row, identifier in chunk:
            if identifier in there and self.rows.is_own(identifier, index):
                self.report.duplicates += 1  # this row of this file: no need to describe it again
                continue
            try:
                record, label = self.rows.parse(index, row, identifier)
                check_time(record.time, self.times, record.id)
                if label is not None:
                    check_time(label.time, self.times, label.id)
                earlier = there[record.id].digest if record.id in there else self.seen.get(record.id)
                mine = content_digest(record)
                if earlier not in (None, mine):
                    raise RecordError(
                        "id_conflict",
                        "the same id stands for a record with other content",
                        where=record.id,
                        fix="give the record an id of its own",
                    )
                if label is not None:  # before its record: where the record got through, its label did
                    frames.append(("label", canonical_json(label.as_json())))
                    self.report.labels += 1
                if earlier is None:
                    self.seen[record.id] = mine
                    frames.append(("record", encode_record(record)))
                    self.report.accepted += 1
                else:
                    self.report.duplicates += 1
            except AuditorError as error:
                self.beside.refuse(index, error, row)
        self.writer.append(frames)


class _Rows:
    """A file's rows and how each becomes a record."""

    def __init__(self, file: Path, mapping: Path | None, descriptors: Mapping[str, Descriptor]) -> None:
        self._file = file
        self._format = tables.format_of(file)
        self._digest = tables.checked(file)
        present = tables.columns(file)
        self._mapping: RowMapping | None = None
        if mapping is not None:
            self._mapping = RowMapping.load(mapping, folder=file.parent, descriptors=descriptors, present=present)

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """(number from 1, row); a row of JSON lines without a mapping is still bytes."""
        if self._format == "jsonl" and self._mapping is None:
            return ((index, line) for index, line in enumerate(tables.lines(self._file), 1) if line)
        return enumerate(_plain_rows(self._file), 1)

    def identifier(self, index: int, row: Any) -> str:
        """The row's own id, or the one that its place in the file gives it."""
        own: Any = None
        if self._mapping is not None:
            own = self._mapping.identifier(row) if isinstance(row, Mapping) else None
        elif isinstance(row, Mapping):
            own = _CELLS.text(row.get("id"))
        else:
            try:
                data = decode(row)
                own = data.get("id") if isinstance(data, dict) else None
            except RecordError:
                own = None
        return own if isinstance(own, str) and own else self._place(index)

    def is_own(self, identifier: str, index: int) -> bool:
        """Whether an id came from the file's digest and the row's number."""
        return identifier == self._place(index)

    def parse(self, index: int, row: Any, identifier: str) -> tuple[Any, Label | None]:
        """The record and its label."""
        if isinstance(row, bytes):
            return read_record(row, default_id=identifier), None
        if not isinstance(row, Mapping):
            raise RecordError("bad_type", "the row is not an object", where=f"row {index}")
        if None in row:
            raise RecordError("ragged_row", "the row has more cells than the header", where=f"row {index}")
        if self._mapping is None:
            return record_from({**nest(_dotted(row)), "id": identifier}), None
        mapped = self._mapping.apply(row, identifier)
        record = record_from(mapped.record)
        return record, None if mapped.label is None else label_from(mapped.label)

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

    def refuse(self, index: int, error: AuditorError, row: Any) -> None:
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
        line = {"row": index, **error.as_json()["error"], "data": self._redact(row)}
        self._stream.write(json.dumps(line, ensure_ascii=False, default=_shown) + "\n")
        self._report.refused += 1


def _plain_rows(file: Path) -> Iterator[Any]:
    """Rows as mappings; a line of JSON that does not decode comes as its bytes."""
    kind = tables.format_of(file)
    if kind == "jsonl":
        return _json_rows(file)
    return tables.csv_rows(file) if kind == "csv" else tables.parquet_rows(file)


def _json_rows(file: Path) -> Iterator[Any]:
    for line in tables.lines(file):
        if not line:
            continue
        try:
            yield decode(line)
        except RecordError:
            yield line


def _dotted(row: Mapping[str, Any]) -> dict[str, Any]:
    """Cells by dotted path, each in the type that its path asks for."""
    found: dict[str, Any] = {}
    for path, cell in row.items():
        if not _CELLS.blank(cell):
            found[path] = _cell(path, cell)
    return found


def _cell(path: str, cell: Any) -> Any:
    if path in _NUMBERS or path.startswith("energy.by."):
        value = _CELLS.number(cell, path)
        return int(value) if value is not None and path in _WHOLE and value.is_integer() else value
    match = INPUT_PATH.fullmatch(path)
    field = match["field"] if match else path.rpartition(".")[2]
    if field in _VECTORS and (match or path.startswith("output.")):
        return None if isinstance(cell, list) and None in cell else _CELLS.vector(cell, path)
    if path.startswith("output.text.descriptors.") or field.startswith("descriptors."):
        return _CELLS.figure(cell)
    if field in ("missing", "refused"):
        return _CELLS.truth(cell, path)
    if isinstance(cell, (datetime, dict)):
        return cell
    return _CELLS.class_name(cell) if path == "output.label" else _CELLS.text(cell)


def _label(row: Any, now: datetime) -> Label:
    if isinstance(row, bytes):
        return label_from(decode(row), now=now)
    if not isinstance(row, Mapping):
        raise RecordError("bad_type", "the row is not an object", where="row")
    data = {key: value for key, value in row.items() if not _CELLS.blank(value)}
    data["id"] = _CELLS.text(data.get("id"))
    if "label" in data:
        data["label"] = _CELLS.class_name(data["label"])
    if "value" in data:
        data["value"] = _CELLS.number(data["value"], "value")
    return label_from(data, now=now)


def _shown(value: Any) -> Any:
    """Times, bytes and the like in a refused row, as texts."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return format_time(value)
    return value.isoformat() if isinstance(value, (datetime, date)) else str(value)
