"""Folders and files that only their owner reads, whatever the process's umask.

A folder with the setgid bit is the exception: its owner shares it with a group (agents and intake as different users), and
what is made in it is the group's too.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO, Any

FOLDER, FILE = 0o700, 0o600
SHARED_FOLDER, SHARED_FILE = 0o2770, 0o660


def make_folder(folder: Path) -> None:
    """Make a folder and the parents that it lacks; one that is there is left as it is."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        folder.mkdir(FOLDER)
    except FileExistsError:
        if not folder.is_dir():
            raise
        return
    folder.chmod(SHARED_FOLDER if _is_shared(folder.parent) else FOLDER)


def share(fd: int, folder: Path) -> None:
    """Give a new file of a folder its mode."""
    os.fchmod(fd, SHARED_FILE if _is_shared(folder) else FILE)


def open_file(path: Path, mode: str, **options: Any) -> IO[Any]:
    """`path.open(mode, **options)`; a file that it makes is private, one that is there keeps its mode."""
    return open(path, mode, opener=opener, **options)


def opener(path: str | Path, flags: int) -> int:
    """For `open`: makes the file with its mode, or opens the one that is there."""
    if flags & os.O_CREAT:
        try:
            fd = os.open(path, flags | os.O_EXCL, FILE)
        except FileExistsError:
            pass
        else:
            share(fd, Path(path).parent)
            return fd
    return os.open(path, flags, FILE)


def _is_shared(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_ISGID)
