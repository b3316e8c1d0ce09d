"""Folders and files that only their owner reads, whatever the process's umask.

A folder with the setgid bit is the exception: its owner shares it with a group (agents and intake as different users), and
what is made in it is the group's too.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO, Any

from auditor.core.errors import ConfigurationError

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


def share_home(root: Path, spool: Path, settings: Path, group: str) -> None:
    """Let the members of a group reach a home's spool and read its settings; everything else stays its owner's.

    Raises
    ------
    ConfigurationError
        `unknown_group`, or `group_not_shared` where this user may not give files to the group.
    """
    import grp

    try:
        number = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise ConfigurationError(
            "unknown_group", f"no group is called {group!r}", where="[home] group", fix="name a group of this machine"
        ) from error
    wanted = [(root, 0o710), (settings, 0o640), (spool, SHARED_FOLDER)]
    wanted += [(path, SHARED_FILE) for path in spool.iterdir() if path.is_file()]
    try:
        for path, mode in wanted:
            found = path.stat()
            if (found.st_gid, stat.S_IMODE(found.st_mode)) != (number, mode):
                os.chown(path, -1, number)
                path.chmod(mode)
    except PermissionError as error:
        raise ConfigurationError(
            "group_not_shared",
            f"{error.filename} cannot be given to the group {group!r}",
            where="[home] group",
            fix="run as the owner of the home, and as a member of the group",
        ) from error


def _is_shared(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_ISGID)
