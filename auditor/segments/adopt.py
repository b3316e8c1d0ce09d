"""Which segments a reader may take."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from auditor.segments.format import OPEN, POISONED, SEALED
from auditor.segments.writer import LOCK


def writer_alive(folder: Path) -> bool:
    """Whether some process still holds the folder's lock."""
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
    """Remove the folder when nothing is left in it but a dead writer's lock; whether it was removed."""
    fd = _lock(folder)
    if fd is None:
        return False
    try:
        if any(entry.name != LOCK for entry in folder.iterdir()):
            return False
        (folder / LOCK).unlink(missing_ok=True)
        folder.rmdir()
        return True
    except OSError:  # a new writer came in between: it stays
        return False
    finally:
        if fd >= 0:
            os.close(fd)


def _lock(folder: Path) -> int | None:
    """Descriptor of the folder's lock, now ours; None when somebody has it, -1 when there is no lock file."""
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
