"""The counter page of one session, `<folder>/seen`: calls counted in shared memory of the file, which outlives the process.

A page survives any end of its process (SIGKILL, `os._exit`, `exec`), not the loss of power. Its blocks are allocated
before it is mapped, for a write to a sparse page on a full disk would end the process by SIGBUS; and it is only used on
local filesystems, where a mapping cannot fail later. While the page is open its file is locked (flock), and the kernel
releases the lock with the process: so a reader knows which pages are final.

    word  0 magic   1 begin   2 last call   3 declared calls   4 fork   5 folder was made again   6 bytes of the text
    byte 64 on: JSON of the session: model, session          byte 4096 on: one 64-bit counter for each thread
    word  508 to 511, in an outbox: what was sent and removed of the session (`Sent`)
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import struct
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from auditor.core.private import make_folder, share

SEEN = "seen"
LAST = 2
FIRST = 512
"""Words of the head, which fill the first 4096 bytes; the counters follow."""
COUNTERS = 512
_DECLARED, _REMADE, _TEXT = 3, 5, 6
_MAGIC = int.from_bytes(b"SEENPAG1", "little")
_BYTES = 8 * (FIRST + COUNTERS)
_AT = 64
_SENT = FIRST - 4
_LOCAL = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "bcachefs", "tmpfs", "ramfs", "overlay"}
)
_open: weakref.WeakSet[SeenPage] = weakref.WeakSet()


class SeenPage:
    """A page that this process counts in.

    Parameters
    ----------
    folder : Path
        The session's; made when it is not there.
    about : mapping
        What the reader needs to declare the calls: `model`, `session`.
    begin_us : int
        Microseconds since 1970.

    Attributes
    ----------
    cells : memoryview of unsigned 64-bit words
        The counters are `cells[FIRST:]`; `cells[LAST]` is when the last call began.

    Raises
    ------
    OSError
        No space, or a filesystem that is not known to be local.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], fork: int, begin_us: int) -> None:
        make_folder(folder)
        if filesystem(folder) not in _LOCAL:
            raise OSError(f"{folder} is not on a local filesystem")
        text = json.dumps(about, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) > 8 * _SENT - _AT:
            raise OSError("the model's name does not fit the page")
        self.path = folder / SEEN
        aside = folder / f".{SEEN}-{os.urandom(4).hex()}"
        fd = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            share(fd, folder)
            os.posix_fallocate(fd, 0, _BYTES)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._map = mmap.mmap(fd, _BYTES)  # its own duplicate of the descriptor keeps the lock
            self.cells = memoryview(self._map).cast("Q")
            self.cells[0], self.cells[1], self.cells[LAST] = _MAGIC, begin_us, begin_us
            self.cells[4], self.cells[_TEXT] = fork, len(text)
            self._map[_AT : _AT + len(text)] = text
            aside.rename(self.path)  # whole, or not there
            self._file = os.fstat(fd)
        except BaseException:
            with contextlib.suppress(OSError):
                aside.unlink()
            raise
        finally:
            os.close(fd)
        _open.add(self)

    @property
    def total(self) -> int:
        """Calls counted so far."""
        return sum(self.cells[FIRST:])

    @property
    def in_place(self) -> bool:
        """Whether the file is still there, under its name."""
        try:
            found = self.path.stat()
        except OSError:
            return False
        return (found.st_ino, found.st_dev) == (self._file.st_ino, self._file.st_dev)

    def declare(self, calls: int) -> None:
        """So many calls more stand in tallies that are durable."""
        self.cells[_DECLARED] += calls

    @property
    def settled(self) -> bool:
        """Whether every call stands in tallies that are durable beside the page."""
        return not self.cells[_REMADE] and self.cells[_DECLARED] == self.total

    def take_over(self, earlier: memoryview) -> None:
        """Go on with what was counted elsewhere before this page was there."""
        self.cells[LAST] = max(self.cells[LAST], earlier[LAST])
        self.cells[_DECLARED] = earlier[_DECLARED]
        self.cells[_SENT:] = earlier[_SENT:]

    def remade(self) -> None:
        """The file was removed and is made again: nobody knows which tallies went with its folder."""
        self.cells[_REMADE] = 1

    def close(self, *, remove: bool) -> None:
        """Let go of the page; `remove` when every call of it is declared."""
        if self._map.closed:
            return
        if remove and self.in_place:
            with contextlib.suppress(OSError):
                self.path.unlink()
        self.cells.release()
        self._map.close()


class Sent(NamedTuple):
    """What a sender has sent of one session: the last segment's number, records, and the calls and records that tallies declare."""

    number: int = 0
    records: int = 0
    calls: int = 0
    delivered: int = 0


NOTHING_SENT = Sent()


@dataclass(frozen=True, slots=True)
class SeenCounts:
    """The contents of a page; `about` is its text, times are microseconds since 1970."""

    about: Mapping[str, Any]
    fork: int
    begin_us: int
    last_us: int
    total: int
    declared: int
    remade: bool
    sent: Sent = NOTHING_SENT

    @property
    def settled(self) -> bool:
        """Whether every call stands in tallies that were durable beside the page."""
        return not self.remade and self.declared == self.total


def page_alive(folder: Path) -> bool:
    """Whether a process still counts in the folder's page."""
    try:
        fd = os.open(folder / SEEN, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def read_seen(folder: Path) -> SeenCounts | None:
    """The folder's page; None when there is none. ValueError when it is not one."""
    try:
        data = (folder / SEEN).read_bytes()
    except FileNotFoundError:
        return None
    if len(data) != _BYTES:
        raise ValueError(f"{len(data)} bytes are not a counter page")
    words = memoryview(data).cast("Q")
    if words[0] != _MAGIC or not 0 < words[_TEXT] <= 8 * FIRST - _AT:
        raise ValueError("not a counter page")
    about = json.loads(data[_AT : _AT + words[_TEXT]])
    if not isinstance(about, dict):
        raise ValueError("not a counter page")
    return SeenCounts(
        about,
        words[4],
        words[1],
        words[LAST],
        sum(words[FIRST:]),
        words[_DECLARED],
        bool(words[_REMADE]),
        Sent(*words[_SENT:FIRST]),
    )


def keep_sent(folder: Path, sent: Sent) -> None:
    """Keep in the folder's page, where there is one, what was sent: its segments go, and its calls are settled later."""
    with contextlib.suppress(FileNotFoundError), (folder / SEEN).open("r+b", buffering=0) as file:
        file.seek(8 * _SENT)
        file.write(struct.pack("=4Q", *sent))


def filesystem(folder: Path) -> str:
    """The kind of filesystem that a folder is on; empty where the system has no list of its mounts."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        device = folder.stat().st_dev
    except OSError:
        return ""
    number = f"{os.major(device)}:{os.minor(device)}"
    where = os.path.realpath(folder)
    best, kind = -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        mount = fields[4].encode("latin-1", "replace").decode("unicode_escape") if "\\" in fields[4] else fields[4]
        inside = where == mount or where.startswith(mount.rstrip("/") + "/")
        # btrfs and overlay give files another device than their mount: the longest path decides there.
        rank = len(mount) + (1 << 20 if fields[2] == number else 0)
        if inside and rank > best:
            best, kind = rank, after.split(" ")[0]
    return kind


def _let_go_in_child() -> None:
    """A child counts in a page of its own: its copy of the parent's must not hold the lock."""
    for page in list(_open):
        with contextlib.suppress(BufferError, ValueError):
            page.close(remove=False)


os.register_at_fork(after_in_child=_let_go_in_child)
