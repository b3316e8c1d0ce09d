"""Which segments a reader may take."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from auditor.segments.format import OPEN, POISONED, SEALED
from auditor.segments.seen import SEEN, page_alive
from auditor.segments.writer import LOCK


def writer_alive(folder: Path) -> bool:
    """Whether some process still holds the folder: by its lock, or by the counter page of its session."""
    if page_alive(folder):
        return True
    fd = _lock(folder)
    if fd is None:
        return (folder / LOCK).exists()
    if fd >= 0:
        os.close(fd)
    return False


def adoptable(folder: Path) -> list[Path]:
    """Segments of a folder that nobody will write again: sealed and poisoned ones, and a dead writer's open ones."""
    if not folder.is_dir():
        return []
    suffixes = {SEALED, POISONED} if writer_alive(folder) else {SEALED, POISONED, OPEN}
    return sorted(path for path in folder.iterdir() if path.suffix in suffixes)


def retire(folder: Path) -> bool:
    """Remove the folder when nothing is left in it but a dead writer's lock; whether it was removed.

    A counter page keeps it: its calls have to be declared first.
    """
    if page_alive(folder):
        return False
    fd = _lock(folder)
    if fd is None:
        return False
    try:
        left = [entry for entry in folder.iterdir() if entry.name != LOCK]
        if not all(entry.name.startswith(f".{SEEN}-") for entry in left):
            return False
        for entry in left:  # a page that its process did not live to put in place
            entry.unlink()
        (folder / LOCK).unlink(missing_ok=True)
        folder.rmdir()
        return True
    except OSError:  # a new writer came in between: it stays
        return False
    finally:
        if fd >= 0:
            os.close(fd)


def _lock(folder: Path) -> int | None:
    """Descriptor of the folder's lock, now ours; None when another process has it, -1 when there is no lock file."""
    try:
        fd = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd
