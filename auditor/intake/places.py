"""Where archive files lie: a local folder, or any store that fsspec knows. Small, whole-file operations only."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol, cast

from auditor.core.private import make_folder, open_file
from auditor.segments import fsync_folder


class Place(Protocol):
    """A folder of files, named by relative paths with `/`."""

    root: str

    def names(self, folder: str) -> list[str]:
        """Names in a folder, sorted; none when it does not exist."""
        ...

    def read(self, path: str) -> bytes:
        """A whole file; FileNotFoundError when it is not there."""
        ...

    def source(self, path: str) -> Any:
        """The file for Arrow to read as much of as it needs; the caller closes it."""
        ...

    def write(self, path: str, data: bytes) -> None:
        """Put a whole file in place: readers see the old one or the new one; durable on return."""
        ...

    def writer(self, path: str) -> AbstractContextManager[BinaryIO]:
        """As `write`, for what is written bit by bit: it is in place when the block ends well, else nothing is."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file; harmless when it is not there."""
        ...

    def rename(self, path: str, target: str) -> None:
        """Give a file another name in its folder; for a moment both may be there, never neither."""
        ...

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of the files in a folder, by name."""
        ...


def place(root: str | Path) -> Place:
    """The place that a path or URL (`s3://bucket/prefix`, `memory://x`) names."""
    text = str(root)
    if "://" in text and not text.startswith("file://"):
        return RemotePlace(text)
    return LocalPlace(Path(text.removeprefix("file://")))


class LocalPlace:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(Path(self.root, folder)))  # noqa: PTH208 - names alone are wanted
        except FileNotFoundError:
            return []

    def read(self, path: str) -> bytes:
        return Path(self.root, path).read_bytes()

    def source(self, path: str) -> Any:
        import pyarrow as pa

        return pa.OSFile(str(Path(self.root, path)))

    def write(self, path: str, data: bytes) -> None:
        with self.writer(path) as file:
            file.write(data)

    @contextmanager
    def writer(self, path: str) -> Iterator[BinaryIO]:
        target = Path(self.root, path)
        _make_durable(target.parent)
        partial = target.with_name(f".{target.name}.partial")
        try:
            with cast(BinaryIO, open_file(partial, "wb")) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        partial.replace(target)
        fsync_folder(target.parent)

    def remove(self, path: str) -> None:
        Path(self.root, path).unlink(missing_ok=True)

    def rename(self, path: str, target: str) -> None:
        moved = Path(self.root, path).rename(Path(self.root, target))
        fsync_folder(moved.parent)

    def sizes(self, folder: str) -> dict[str, int]:
        try:
            return {entry.name: entry.stat().st_size for entry in os.scandir(Path(self.root, folder))}
        except FileNotFoundError:
            return {}


class RemotePlace:
    """A prefix in an object store, through fsspec; one object is put in place whole by the store itself."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")

    @property
    def _fs(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs  # keeps its instances: asking again is cheap

        fs, path = url_to_fs(self.root)
        return fs, path

    def names(self, folder: str) -> list[str]:
        fs, base = self._fs
        try:
            found = fs.ls(f"{base}/{folder}".rstrip("/"), detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return sorted({PurePosixPath(path).name for path in found})

    def read(self, path: str) -> bytes:
        fs, base = self._fs
        data: bytes = fs.cat_file(f"{base}/{path}")
        return data

    def source(self, path: str) -> Any:
        import pyarrow as pa

        return pa.BufferReader(self.read(path))

    def write(self, path: str, data: bytes) -> None:
        fs, base = self._fs
        fs.makedirs(f"{base}/{PurePosixPath(path).parent}", exist_ok=True)
        fs.pipe_file(f"{base}/{path}", data)

    @contextmanager
    def writer(self, path: str) -> Iterator[BinaryIO]:
        fs, base = self._fs
        with tempfile.NamedTemporaryFile() as file:
            yield file  # type: ignore[misc]
            file.flush()
            fs.makedirs(f"{base}/{PurePosixPath(path).parent}", exist_ok=True)
            fs.put_file(file.name, f"{base}/{path}")

    def remove(self, path: str) -> None:
        fs, base = self._fs
        if fs.exists(f"{base}/{path}"):
            fs.rm_file(f"{base}/{path}")

    def rename(self, path: str, target: str) -> None:
        fs, base = self._fs
        fs.cp_file(f"{base}/{path}", f"{base}/{target}")
        fs.rm_file(f"{base}/{path}")

    def sizes(self, folder: str) -> dict[str, int]:
        fs, base = self._fs
        try:
            found = fs.ls(f"{base}/{folder}".rstrip("/"), detail=True, refresh=True)
        except FileNotFoundError:
            return {}
        return {PurePosixPath(entry["name"]).name: int(entry["size"]) for entry in found if entry["type"] == "file"}


def write_file(target: Path, data: bytes) -> None:
    """Put a local file in place, durably and whole."""
    LocalPlace(target.parent).write(target.name, data)


def _make_durable(folder: Path) -> None:
    """Make a folder and its parents, each of them durable."""
    if folder.is_dir():
        return
    _make_durable(folder.parent)
    make_folder(folder)
    fsync_folder(folder.parent)
