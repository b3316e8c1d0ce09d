"""Where an agent's frames go: a spool folder, memory (in-process), or nowhere. HTTP is in `http.py`."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Sequence
from pathlib import Path

from auditor.core.errors import AuditorError, SegmentError

_SLACK = 4 << 20
Frames = Sequence[tuple[str, bytes]]


class DeliveryError(AuditorError):
    """A delivery that did not happen, and what follows from it.

    Attributes
    ----------
    reason : str
        Under which the calls count if they are lost.
    permanent : bool
        Trying again cannot help.
    retry_after_s : float or None
        What the other side asked for.
    refused : tuple of int
        Indices of the frames that were refused; the others are delivered. Only with `permanent`.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        reason: str = "transport_failed",
        permanent: bool = False,
        retry_after_s: float | None = None,
        refused: tuple[int, ...] | None = None,
        fix: str = "",
    ) -> None:
        super().__init__(code, message, fix=fix)
        self.reason = reason
        self.permanent = permanent
        self.retry_after_s = retry_after_s
        self.refused = refused


class MemoryTransport:
    """Frames kept in a list, for tests and for hosts that read them in process."""

    def __init__(self) -> None:
        self.frames: list[tuple[str, bytes]] = []
        self.closed = False

    def send(self, frames: Frames) -> None:
        self.frames.extend(frames)

    def of(self, kind: str) -> list[bytes]:
        """Payloads of one kind, in order."""
        return [payload for found, payload in self.frames if found == kind]

    def close(self) -> None:
        self.closed = True


class NoTransport:
    """No destination: whatever still comes (labels, readings) is refused for good."""

    def send(self, frames: Frames) -> None:
        raise DeliveryError("no_destination", "there is nowhere to go", reason="no_destination", permanent=True)

    def close(self) -> None:
        """Nothing is open."""


class SpoolTransport:
    """Segments in `<spool>/<session>/`, durable when `send` returns; the intake of the same home adopts them.

    Parameters
    ----------
    spool : Path
        HOME/spool.
    session : str
        This process's own folder.
    max_bytes : int
        Bound of the whole spool (every session's); beyond it frames are refused as `spool_full`.
    """

    _MEASURE_EVERY_S = 2.0

    def __init__(self, spool: Path, session: str, max_bytes: int) -> None:
        from auditor.segments import SegmentWriter

        self.spool = spool
        self.max_bytes = max_bytes
        self._writer = SegmentWriter(spool / session)
        self._used = 0
        self._measure_at = 0.0

    def send(self, frames: Frames) -> None:
        """Append and fsync. `spool_full` is permanent for these frames: the newest are lost, the oldest kept."""
        size = sum(len(payload) + 32 for _, payload in frames)
        declared = all(kind == "tally" for kind, _ in frames)  # what was lost must be sayable when nothing else fits
        if self._measure() + size > self.max_bytes + (_SLACK if declared else 0):
            raise DeliveryError(
                "spool_full",
                f"the spool {self.spool} holds {self._used} bytes",
                reason="spool_full",
                permanent=True,
                fix="run `auditor audit` or `auditor serve` on this home, or raise [agent] spool_bytes",
            )
        try:
            self._writer.append(frames)
        except SegmentError as error:
            cause = error.__cause__
            full = isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
            reason = "spool_full" if full else "transport_failed"
            raise DeliveryError(error.code, error.message, reason=reason) from error
        self._used += size

    def seal(self) -> None:
        """Close the segment, so that the intake may take it at once."""
        self._writer.seal()

    def close(self) -> None:
        self._writer.close()

    def _measure(self) -> int:
        """Bytes in the spool: counted on now and then, added up in between."""
        now = time.monotonic()
        if now >= self._measure_at:
            self._measure_at = now + self._MEASURE_EVERY_S
            self._used = sum(_size(folder) for folder in _entries(self.spool) if folder.is_dir(follow_symlinks=False))
        return self._used


def _entries(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except FileNotFoundError:
        return []


def _size(folder: os.DirEntry[str]) -> int:
    total = 0
    for entry in _entries(folder.path):
        with contextlib.suppress(FileNotFoundError):  # the intake adopted it meanwhile
            total += entry.stat(follow_symlinks=False).st_size
    return total
