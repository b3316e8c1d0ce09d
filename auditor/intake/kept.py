"""Files at rest: written with their checksum, held against it when read, set aside when they do not read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from auditor.core.errors import StoreError
from auditor.core.window import Span
from auditor.intake import compaction, parts
from auditor.intake.ledger import Ledger
from auditor.intake.places import Place, write_file
from auditor.ports import ArchivePart, Damage, PartStore

_ALTERED = "it is not the file that was written: its SHA-256 is another one"
_READ = 1 << 20


class KeptFiles:
    """The files of an archive.

    Parameters
    ----------
    place : Place
    quarantine : Path
        Local folder for files that do not read.
    checksums : PartStore, optional
        Keeps the SHA-256 of every file; a file that is read whole is held against it.
    """

    def __init__(self, place: Place, quarantine: Path, checksums: PartStore | None = None) -> None:
        self.place = place
        self._quarantine = quarantine
        self._checksums = checksums
        self._ledger = Ledger(place)
        self._reasons: dict[str, str] = {}
        self._known = set(self._aside())

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_checksums": None}

    # -- writing -------------------------------------------------------------------------------------------------------

    def write(self, path: str, data: bytes, rows: int | None = None) -> None:
        """Put a file in place with its checksum. In between it has none: a file that is written again is never blamed."""
        self.forget(path)
        self.place.write(path, data)
        self._keep(ArchivePart(path, hashlib.sha256(data).hexdigest(), len(data), rows))

    def remember(self, path: str) -> None:
        """Keep the checksum that a file was written with, or where that is not known, of the file as it is now."""
        if self._checksums is None:
            return
        part = self._ledger.part(path)
        if part is None:
            with self.place.source(path) as source:
                sha256, size = _digest(source)
            counted = None if path.startswith("records/") else self.inspect(path)
            part = ArchivePart(path, sha256, size, counted if isinstance(counted, int) else None)
        self._keep(part)

    def _keep(self, part: ArchivePart) -> None:
        if self._checksums is not None:
            self._ledger.keep_part(part)
            self._checksums.put_part(part)

    def forget(self, path: str) -> None:
        """Keep no checksum of this file."""
        if self._checksums is not None and self._checksums.part(path) is not None:
            self._ledger.forget_part(path)
            self._checksums.forget_part(path)

    # -- reading -------------------------------------------------------------------------------------------------------

    def table(
        self, path: str, columns: list[str] | None = None, span: Span | None = None, *, threads: bool = False
    ) -> pa.Table | None:
        """A file's table, cut to the span; None when it does not read, and then it is in quarantine.

        FileNotFoundError when it is no more: merged or set aside by a process beside this one.
        """
        try:
            with self._source(path) as source:
                return self._checked(path, source, columns, span, threads=threads)
        except parts.UNREADABLE as error:
            if isinstance(error, FileNotFoundError):
                raise
            return self.set_aside(path, error, columns, span)

    def ids(self, path: str) -> list[str] | None:
        """The ids in a file of withdrawn records; None when it does not read, and then it is in quarantine."""
        try:
            return self._read_ids(path)
        except ValueError as error:
            self._move(path, self.place.read(path), error)
            return None

    def opened(self, stack: ExitStack, path: str, name: str) -> pq.ParquetFile:
        """A part to be merged, held against its checksum; `compaction.UnreadableError` with its name."""
        source = stack.enter_context(self._source(path))
        with compaction.reading(name):
            expected = self._sha256(path)
            if expected is not None and _digest(source)[0] != expected:
                raise ValueError(_ALTERED)
            source.seek(0)
            return parts.opened(source)

    def inspect(self, path: str) -> int | str:
        """How many rows a file holds, or what is wrong with it; nothing is moved."""
        try:
            if path.endswith(".json"):
                return len(self._read_ids(path))
            with self.place.source(path) as source:
                return int(self._checked(path, source, None, None).num_rows)
        except parts.UNREADABLE as error:
            return _reason(error)

    def exists(self, path: str) -> bool:
        """Whether the file is there."""
        folder, _, name = path.rpartition("/")
        return name in self.place.names(folder)

    # -- damage --------------------------------------------------------------------------------------------------------

    def missing(self) -> list[str]:
        """Files that were written and are not there; of a remote archive only those that were set aside."""
        paths = [] if self._checksums is None else [part.path for part in self._checksums.parts("")]
        if "://" in self.place.root:
            aside = {_path_of(name) for name in self._aside()}
            paths = [path for path in paths if path in aside]
        there: dict[str, set[str]] = {}
        found = []
        for path in paths:
            folder, _, name = path.rpartition("/")
            if folder not in there:
                there[folder] = set(self.place.names(folder))
            if name not in there[folder]:
                found.append(path)
        return found

    def damage(self) -> Sequence[Damage]:
        """Files set aside since the last call, by this process or by one that reads for it; `where` is their former path."""
        found = []
        for name in self._aside():
            if name not in self._known:
                self._known.add(name)
                found.append(Damage(self._reasons.pop(name, "") or "it does not read", _path_of(name)))
        return found

    def set_aside(
        self, path: str, error: Exception, columns: list[str] | None = None, span: Span | None = None
    ) -> pa.Table | None:
        """Move a file that does not read to quarantine; its table, should it read the second time."""
        try:
            data = self.place.read(path)
        except FileNotFoundError:
            return None  # a process beside this one set it aside
        except OSError as failure:
            raise self._unreadable(path, failure) from failure
        try:
            return self._checked(path, pa.BufferReader(data), columns, span)
        except parts.UNREADABLE:  # the bytes are wrong, not the way to them
            self._move(path, data, error)
        return None

    # -- inside --------------------------------------------------------------------------------------------------------

    def _source(self, path: str) -> Any:
        try:
            return self.place.source(path)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._unreadable(path, error) from error

    def _sha256(self, path: str) -> str | None:
        part = None if self._checksums is None else self._checksums.part(path)
        return None if part is None else part.sha256

    def _checked(
        self, path: str, source: Any, columns: list[str] | None, span: Span | None, *, threads: bool = False
    ) -> pa.Table:
        """The table of a file; ValueError when all of it is read and it is not the file that was written.

        Reading some columns rests on the checksums of their pages: all bytes would have to be read for the file's.
        """
        expected = self._sha256(path) if columns is None else None
        if expected is not None:
            data = source.read_buffer() if hasattr(source, "read_buffer") else pa.py_buffer(source.read())
            if hashlib.sha256(data).hexdigest() != expected:
                raise ValueError(_ALTERED)
            source = pa.BufferReader(data)
        return parts.read(source, columns, span, threads=threads)

    def _read_ids(self, path: str) -> list[str]:
        data = self.place.read(path)
        if self._sha256(path) not in (None, hashlib.sha256(data).hexdigest()):
            raise ValueError(_ALTERED)
        ids = json.loads(data)
        if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
            raise ValueError("it is no list of ids")
        return ids

    def _unreadable(self, path: str, error: OSError) -> StoreError:
        return StoreError(
            "archive_unreadable",
            f"an archive file cannot be read: {error}",
            where=f"{self.place.root}/{path}",
            fix="check the disk, the network and the permissions",
        )

    def _move(self, path: str, data: bytes, error: Exception) -> None:
        name = "archive~" + path.replace("/", "~")
        if (self._quarantine / name).exists():
            name += f".{hashlib.sha256(data).hexdigest()[:8]}"
        write_file(self._quarantine / name, data)
        self.place.remove(path)
        self._reasons[name] = _reason(error)

    def _aside(self) -> list[str]:
        """Names of the files in quarantine."""
        if not self._quarantine.is_dir():
            return []
        return sorted(path.name for path in self._quarantine.glob("archive~*"))


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _path_of(name: str) -> str:
    """The path below the archive that a file in quarantine had."""
    return re.sub(r"\.[0-9a-f]{8}$", "", name.removeprefix("archive~")).replace("~", "/")


def _digest(source: Any) -> tuple[str, int]:
    """SHA-256 and size of a file, read piece by piece."""
    found, size = hashlib.sha256(), 0
    while data := source.read(_READ):
        found.update(data)
        size += len(data)
    return found.hexdigest(), size
