"""Writing segments: an append that returns is on disk."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

from auditor.core.errors import SegmentError
from auditor.core.private import make_folder, share
from auditor.segments.format import OPEN, POISONED, SEALED, encode_frame, encode_seal

LOCK = "lock"
_TRIES = 20
_writers: weakref.WeakSet[SegmentWriter] = weakref.WeakSet()


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class SegmentWriter:
    """Appends frames to segments in one folder, which it alone writes.

    The folder's `lock` file stays locked (flock) for the writer's life and is released by the kernel at its death: so
    a reader tells a live writer's open segment from a dead one's. Files are `<number>-<token>.open` while they grow and
    `.seg` once sealed; the token is this writer's own, so that no two segments ever share a name.

    A write or fsync that fails poisons the segment: nothing is written to it again, because after a failed fsync
    nobody knows what the disk holds. It is cut back to what was acknowledged, set aside as `.poisoned` for the intake
    to read, and the next append begins another one.

    Parameters
    ----------
    folder : Path
        Made when the first frame is appended.
    max_bytes : int
        A segment is sealed once it has grown to this size.
    held : bool
        The owner's counter page holds the folder already: no `lock` is needed.
    """

    def __init__(self, folder: Path, *, max_bytes: int = 16 << 20, held: bool = False) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.held = held
        self._token = os.urandom(6).hex()
        self._pid = os.getpid()
        self._mutex = threading.Lock()
        self._lock_fd = -1
        self._fd = -1
        self._path = folder
        self._number = 0
        self._size = 0
        self._frames = 0
        _writers.add(self)

    def append(self, frames: Sequence[tuple[str, bytes]]) -> None:
        """Write all frames with one fsync; they are durable when this returns.

        Raises
        ------
        SegmentError
            `segment_poisoned` when the disk refused: none of the frames counts as written, and the next call starts a
            new segment. `segment_forked` in a child of the process that made the writer. `folder_busy` when another
            writer has the folder.
        """
        data = b"".join(encode_frame(kind, payload) for kind, payload in frames)
        self._own()
        with self._mutex:
            if not frames:
                return
            try:
                self._restore()
                if self._fd < 0:
                    self._frames = 0
                    self._begin()
                self._write(data)
            except OSError as error:
                raise self._poison(error) from error
            self._size += len(data)
            self._frames += len(frames)
            if self._size >= self.max_bytes:
                # The frames are durable; a seal that fails only sets this segment aside.
                with contextlib.suppress(SegmentError):
                    self._seal()

    def seal(self) -> Path | None:
        """Close the current segment, so that the intake may take it; its path, or None when there is none."""
        self._own()
        with self._mutex:
            return self._seal() if self._fd >= 0 else None

    @property
    def sealed(self) -> int:
        """Number of the last segment that nothing is written to any more; 0 before the first."""
        return self._number - (self._fd >= 0)

    def close(self) -> None:
        """Seal and let go of the folder. In a forked child it does nothing; closing twice is harmless."""
        if self._pid != os.getpid():
            return
        try:
            self.seal()
        finally:
            with self._mutex:
                if self._lock_fd >= 0:
                    os.close(self._lock_fd)
                    self._lock_fd = -1

    def _own(self) -> None:
        if self._pid != os.getpid():
            raise SegmentError(
                "segment_forked", "this writer belongs to the parent process", fix="make a new writer after a fork"
            )

    def _begin(self) -> None:
        if self.held:
            make_folder(self.folder)
        else:
            self._take_folder()
        self._number += 1
        self._path, self._size = self.folder / f"{self._number:08d}-{self._token}{OPEN}", 0
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        share(self._fd, self.folder)
        fsync_folder(self.folder)

    def _restore(self) -> None:
        """Write the frames of an open segment again whose file was removed, folder and all."""
        if self._fd < 0 or os.fstat(self._fd).st_nlink:
            return
        kept = os.pread(self._fd, self._size, 0)
        os.close(self._fd)
        self._fd = -1
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1
        self._begin()
        self._write(kept)
        self._size = len(kept)

    def _take_folder(self) -> None:
        tries = 0
        while self._lock_fd < 0:
            tries += 1
            if not self.folder.is_dir():
                make_folder(self.folder)
                fsync_folder(self.folder.parent)
            place = self.folder / LOCK
            try:
                fd = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                with contextlib.suppress(PermissionError):  # made by another user of the group, who has shared it
                    share(fd, self.folder)
            except FileNotFoundError:  # the intake removed the empty folder meanwhile
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                current = place.stat().st_ino == os.fstat(fd).st_ino
            except BlockingIOError as error:
                os.close(fd)
                if tries < _TRIES:  # a reader that asks whether the writer lives holds the lock for microseconds
                    time.sleep(0.005)
                    continue
                raise SegmentError(
                    "folder_busy",
                    "another writer has this folder",
                    where=str(self.folder),
                    fix="use a folder of its own",
                ) from error
            except FileNotFoundError:
                current = False
            if current:
                self._lock_fd = fd
            else:
                os.close(fd)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]
        os.fsync(self._fd)

    def _seal(self) -> Path:
        try:
            self._restore()
            sealed = self._path.with_suffix(SEALED)
            end = encode_seal(self._frames)
            self._write(end)
            self._size += len(end)
            self._path = self._path.rename(sealed)
            fsync_folder(self.folder)
        except OSError as error:
            raise self._poison(error) from error
        os.close(self._fd)
        self._fd = -1
        return sealed

    def _poison(self, error: OSError) -> SegmentError:
        """Set the segment aside for good; everything here is best effort on a disk that has just failed."""
        fd, self._fd = self._fd, -1
        where = str(self._path)
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, self._size)
            with contextlib.suppress(OSError):
                os.close(fd)
            with contextlib.suppress(OSError):
                if self._size:
                    self._path.rename(self._path.with_suffix(POISONED))
                else:
                    self._path.unlink()
        return SegmentError(
            "segment_poisoned",
            f"the disk refused: {error.strerror or error}",
            where=where,
            fix="free or repair the disk; the next append starts a new segment",
        )


def _forget_in_child() -> None:
    """Close the child's copies of its parent's descriptors: the lock must die with the parent."""
    for writer in list(_writers):
        for fd in (writer._fd, writer._lock_fd):
            if fd >= 0:
                with contextlib.suppress(OSError):
                    os.close(fd)
        writer._fd = writer._lock_fd = -1


os.register_at_fork(after_in_child=_forget_in_child)
