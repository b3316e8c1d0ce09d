"""One writer a home: `HOME/writer.lock`, held by flock, so that it dies with its process."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from auditor.core.errors import ConfigurationError
from auditor.core.private import make_folder, opener
from auditor.settings import Home

_held: set[int] = set()


@contextlib.contextmanager
def writer_lock(home: Home) -> Iterator[None]:
    """Be the home's one writer.

    Raises
    ------
    ConfigurationError
        `writer_busy`, with the process id of who holds it.
    """
    make_folder(home.lock.parent)
    fd = opener(home.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(fd, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(fd)
        raise ConfigurationError(
            "writer_busy",
            f"process {holder} is writing to this home",
            where=str(home.lock),
            fix=f"let process {holder} finish, or stop it",
        ) from error
    _held.add(fd)
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    try:
        yield
    finally:
        if fd in _held:  # not in a forked child, where another file may have the number by now
            _held.discard(fd)
            os.close(fd)


def _forget_in_child() -> None:
    """A forked worker must not keep the lock alive after its parent."""
    for fd in _held:
        with contextlib.suppress(OSError):
            os.close(fd)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)
