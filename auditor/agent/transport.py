"""Where an agent writes its frames: segments in a folder, or in memory; a list (in process), or nowhere."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from auditor.core.errors import AuditorError, SegmentError
from auditor.segments.seen import SEEN

_SLACK = 4 << 20
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_NUMBERED = re.compile(r"(\d{8,})-")
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


class Backoff:
    """Pauses between tries: as long as was asked for, else jittered and growing from half a second to half a minute.

    Attributes
    ----------
    failures : int
        Since the last success.
    until : float
        Monotonic time before which nothing is tried.
    asked : bool
        Whether the other side set the present pause.
    """

    def __init__(self) -> None:
        self.succeeded()

    def succeeded(self) -> None:
        self.failures, self.until, self.asked, self._pause_s = 0, 0.0, False, _FIRST_PAUSE_S

    def failed(self, error: BaseException) -> None:
        self.failures += 1
        asked: float | None = getattr(error, "retry_after_s", None)
        self.asked = asked is not None
        pause = self._pause_s * random.uniform(0.5, 1.0) if asked is None else asked
        self.until = time.monotonic() + pause
        self._pause_s = min(_LONGEST_PAUSE_S, self._pause_s * 2)

    @property
    def remaining(self) -> float:
        """Seconds until the next try."""
        return max(0.0, self.until - time.monotonic())


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


def _full(where: str, used: int, fix: str) -> DeliveryError:
    return DeliveryError("spool_full", f"{where} holds {used} bytes", reason="spool_full", permanent=True, fix=fix)


def _fits(frames: Frames, used: int, most: int) -> int:
    """Bytes of the frames; negative when they do not fit. Tallies have room of their own: a loss must be declared when nothing else fits."""
    size = sum(len(payload) + 32 for _, payload in frames)
    slack = _SLACK if all(kind == "tally" for kind, _ in frames) else 0
    return size if used + size <= most + slack else -1


class SegmentFolder:
    """Segments in `<folder>/<session>/`, durable when `send` returns; the intake or a sender takes what is sealed.

    Parameters
    ----------
    folder : Path
        HOME/spool, or an outbox.
    session : str
        Name of this session's own folder in it.
    max_bytes : int
        Bound of the whole folder (every session's); beyond it frames are refused as `spool_full`.
    segment_bytes : int
        Size at which a segment is sealed.
    held : bool
        The session's counter page is open, whose lock shows that its writer lives.

    Attributes
    ----------
    used : int
        Bytes in the folder, as last counted and added to.
    """

    _MEASURE_EVERY_S = 2.0

    def __init__(
        self, folder: Path, session: str, max_bytes: int, *, segment_bytes: int = 16 << 20, held: bool = False
    ) -> None:
        from auditor.segments import SegmentWriter

        self.folder = folder
        self.own = folder / session
        self.max_bytes = max_bytes
        self._writer = SegmentWriter(self.own, max_bytes=segment_bytes, held=held)
        self.used = 0
        self._measure_at = 0.0

    def send(self, frames: Frames) -> None:
        """Append and fsync. `spool_full` is permanent for these frames: the newest are lost, the oldest kept."""
        size = _fits(frames, self.measure(), self.max_bytes)
        if size < 0:
            fix = "run `auditor audit` or `auditor serve` on this home (an outbox: reach its service), or raise [agent] spool_bytes"
            raise _full(str(self.folder), self.used, fix)
        try:
            self._writer.append(frames)
        except SegmentError as error:
            cause = error.__cause__
            full = isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
            reason = "spool_full" if full else "transport_failed"
            raise DeliveryError(error.code, error.message, reason=reason) from error
        self.used += size

    def seal(self) -> None:
        """Close the segment, so that the intake may take it at once."""
        self._writer.seal()

    @property
    def sealed(self) -> int:
        """Number of the last segment that was sealed."""
        return self._writer.sealed

    def close(self) -> None:
        self._writer.close()

    def measure(self) -> int:
        """Bytes in the folder: counted on now and then, added up in between."""
        now = time.monotonic()
        if now >= self._measure_at:
            self._measure_at = now + self._MEASURE_EVERY_S
            self.used = sum(_size(entry) for entry in _entries(self.folder) if entry.is_dir(follow_symlinks=False))
        return self.used


class MemorySegments:
    """Segments in memory, where no folder can be made: a list of frames each, by number. One thread writes, one removes."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.closed: dict[int, list[tuple[str, bytes]]] = {}
        self.sealed = 0
        self._open: list[tuple[str, bytes]] = []
        self._added = self._removed = 0

    def send(self, frames: Frames) -> None:
        size = _fits(frames, self.measure(), self.max_bytes)
        if size < 0:
            raise _full("memory", self.measure(), "reach the service, or give the agent an outbox")
        self._open.extend(frames)
        self._added += size

    def seal(self) -> None:
        if self._open:
            self.closed[self.sealed + 1], self._open = self._open, []
            self.sealed += 1

    def remove(self, number: int) -> None:
        """A segment was sent."""
        self._removed += _fits(self.closed.pop(number), 0, 1 << 62)

    def close(self) -> None:
        self.seal()

    def measure(self) -> int:
        return self._added - self._removed


def session_name(outbox: Path, session: str) -> str:
    """Name of a new session's folder in an outbox: numbered, so that they are sent in the order they were begun."""
    return f"{1 + max((number for number, _ in numbered(outbox)), default=0):08d}-{session}"


def numbered(outbox: Path) -> Iterator[tuple[int, Path]]:
    """The sessions' folders of an outbox, by number."""
    for entry in _entries(outbox):
        number = _NUMBERED.match(entry.name)
        if number and entry.is_dir(follow_symlinks=False):
            yield int(number[1]), Path(entry.path)


def _entries(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _size(folder: os.DirEntry[str]) -> int:
    total = 0
    for entry in _entries(folder.path):
        with contextlib.suppress(FileNotFoundError):  # the intake adopted it meanwhile
            if entry.name != SEEN:
                total += entry.stat(follow_symlinks=False).st_size
    return total
