"""Edge mode: what is to go over the network waits on disk, for days if it must, and is sent in order.

Delivered means here: durable in the outbox folder. A thread of its own sends what lies there, oldest first, and deletes what
the service has acknowledged; so neither the model nor the describing of its calls ever waits for a network.

    <outbox>/00000007-<session>/00000001-<token>.seg     segments, as in a spool; folders in the order they were begun
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from auditor.agent.http import HttpTransport
from auditor.agent.shield import Faults
from auditor.agent.transport import Backoff, DeliveryError, Frames, SpoolTransport
from auditor.core.private import make_folder, opener

_SEGMENT_BYTES = 1 << 20
"""One request, about: what an interruption makes the agent send twice is bounded by it."""
_LOOK_EVERY_S = 5.0
_DRAIN_S = 1.0
"""What closing gives the sender to finish, as long as the service answers."""
_NUMBERED = re.compile(r"(\d{8,})-")
_LEFTOVERS = "leftovers.lock"
_inherited: set[int] = set()


class EdgeTransport:
    """A bounded outbox on disk, emptied by a thread.

    Parameters
    ----------
    outbox : Path
        The folder; processes and sessions may share it.
    session : str
    max_bytes : int
        Bound of the whole folder; beyond it frames are refused as `spool_full`: the oldest are kept.
    service : HttpTransport
        Where it goes.
    faults : Faults
        To whom it is said, once, that the service is away.
    """

    def __init__(self, outbox: Path, session: str, max_bytes: int, service: HttpTransport, faults: Faults) -> None:
        self._outbox = outbox
        self._session = session
        self._max_bytes = max_bytes
        self._service = service
        self._faults = faults
        self._open: tuple[SpoolTransport, Sender] | None = None

    def send(self, frames: Frames) -> None:
        """Append and fsync; what `SpoolTransport.send` raises, and OSError for a folder that cannot be made."""
        if self._open is None:
            self._open = self._begin()
        self._open[0].send(frames)

    def _begin(self) -> tuple[SpoolTransport, Sender]:
        make_folder(self._outbox)
        place = self._outbox / f"{_next_number(self._outbox):08d}-{self._session}"
        spool = SpoolTransport(self._outbox, place.name, self._max_bytes, segment_bytes=_SEGMENT_BYTES)
        sender = Sender(self._outbox, place, self._service, self._faults)
        sender.start()
        return spool, sender

    def seal(self) -> None:
        """Let the sender have the open segment, once it has nothing else to send."""
        if self._open is not None:
            spool, sender = self._open
            if not sender.behind:
                spool.seal()
            sender.wake()

    def close(self) -> None:
        """Seal, and leave to the sender what it can send within a second: the rest waits for the next process."""
        if self._open is not None:
            spool, sender = self._open
            spool.close()
            sender.finish(_DRAIN_S)

    def state(self) -> dict[str, int]:
        """Frames by what became of them after the outbox: `sent`, `refused`, `damaged`; and `waiting_bytes`."""
        if self._open is None:
            return {}
        spool, sender = self._open
        return {"waiting_bytes": spool.measure(), **sender.counts}


class Sender:
    """Sends the segments of its own folder, and of those whose writers are gone.

    Attributes
    ----------
    behind : bool
        There is something sealed to send, or was at the last look.
    counts : Counter
        Frames `sent`; `refused` by the service; `damaged` on the disk.
    """

    def __init__(self, outbox: Path, own: Path, service: HttpTransport, faults: Faults) -> None:
        self.outbox = outbox
        self.own = own
        self.service = service
        self.faults = faults
        self.counts: Counter[str] = Counter(sent=0, refused=0, damaged=0)
        self.behind = True
        self._backoff = Backoff()
        self._sent_of: tuple[Path, int] = (own, 0)
        self._asked = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="auditor-outbox", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There may be something new."""
        self._asked.set()

    def finish(self, timeout_s: float) -> None:
        """Send what is there for as long as that works, at most `timeout_s`; then let go of the connection."""
        self._closing.set()
        self._asked.set()
        self._thread.join(0.0 if self._backoff.failures else timeout_s)
        if self._thread.is_alive():
            self.service.interrupt()
            self._thread.join(0.1)

    def _run(self) -> None:
        while True:
            closing = self._closing.is_set()
            self._asked.clear()
            try:
                if self._backoff.remaining == 0.0:
                    self._send_all()
            except Exception as error:  # our own thread: nothing of the host's can pass through here
                self.faults.note("outbox_failed", error)
                self._backoff.failed(error)
            if closing:
                self.service.close()
                return
            if self._backoff.failures:
                self._closing.wait(self._backoff.remaining)  # news do not shorten a pause
            else:
                self._asked.wait(_LOOK_EVERY_S)

    def _send_all(self) -> None:
        """Everything that nobody writes any more, oldest first, until it is done or has to wait."""
        self.behind = True
        with _only_one(self.outbox / _LEFTOVERS) as alone:
            for folder in _folders(self.outbox):
                if folder != self.own and not alone:
                    continue  # another process sends what dead ones left
                if not self._send_folder(folder):
                    return
        self.behind = False

    def _send_folder(self, folder: Path) -> bool:
        from auditor.segments import adoptable, retire, writer_alive

        if folder != self.own and writer_alive(folder):
            return True
        for path in adoptable(folder):
            if not self._send_segment(path):
                return False
        if folder != self.own or self._closing.is_set():
            retire(folder)
        return True

    def _send_segment(self, path: Path) -> bool:
        """Send one segment and delete it; False when the rest has to wait."""
        from auditor.segments import read_segment

        try:
            segment = read_segment(path)
        except FileNotFoundError:
            return True
        frames = [(frame.kind, frame.payload) for frame in segment.frames if frame.kind in self.service.kinds]
        done = self._sent_of[1] if self._sent_of[0] == path else 0
        rest = frames[done:]
        for indices in self.service.bodies(rest):
            try:
                self.service.send([rest[index] for index in indices])
                refused = 0
            except Exception as error:
                if not getattr(error, "permanent", False):
                    self.faults.outside("transport_failed", error, lost=False)
                    self._backoff.failed(error)
                    self._sent_of = (path, done)
                    return False
                self.faults.outside("refused", error, lost=True)
                named = error.refused if isinstance(error, DeliveryError) else None
                refused = len(indices) if named is None else len(named)
            self._backoff.succeeded()
            self.counts["refused"] += refused
            self.counts["sent"] += len(indices) - refused
            done += len(indices)
            self._sent_of = (path, done)
        self.counts["damaged"] += sum(damage.lost for damage in segment.damage) + len(segment.frames) - len(frames)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        return True


def _next_number(outbox: Path) -> int:
    return 1 + max((number for number, _ in _numbered(outbox)), default=0)


def _folders(outbox: Path) -> list[Path]:
    """Sessions' folders in the order they were begun: by number, for a host's clock may jump."""
    return [path for _, path in sorted(_numbered(outbox))]


def _numbered(outbox: Path) -> Iterator[tuple[int, Path]]:
    with os.scandir(outbox) as entries:
        for entry in entries:
            number = _NUMBERED.match(entry.name)
            if number and entry.is_dir(follow_symlinks=False):
                yield int(number[1]), Path(entry.path)


@contextlib.contextmanager
def _only_one(place: Path) -> Iterator[bool]:
    """Whether this sender, of all that share the outbox, may send what dead writers left."""
    fd = opener(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    _inherited.add(fd)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        if fd in _inherited:  # else a child that was forked meanwhile has closed it
            _inherited.discard(fd)
            os.close(fd)


def _let_go_in_child() -> None:
    """A child that was forked in between must not keep the lock."""
    while _inherited:
        with contextlib.suppress(OSError):
            os.close(_inherited.pop())


os.register_at_fork(after_in_child=_let_go_in_child)
