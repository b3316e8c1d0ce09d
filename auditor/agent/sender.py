"""The one way to a service: segments, from a folder or from memory, are sent in order by a thread of its own.

Neither the model nor the describing of its calls ever waits for a network. A given outbox keeps unsent segments, for days if it
must: delivered means there durable in the folder, and what a dead process left the next sender of the folder sends and
settles. Without one the segments lie in a private temporary folder, or in memory, which end with the agent: delivered means
there taken by the service.

    <outbox>/00000007-<session>/00000001-<token>.seg     segments, as in a spool; folders in the order they were begun
    <outbox>/00000007-<session>/seen                     counter page, as in a spool
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from auditor.agent.http import HttpTransport
from auditor.agent.shield import Faults
from auditor.agent.transport import Backoff, DeliveryError, Frames, MemorySegments, SegmentFolder, numbered
from auditor.core.errors import AuditorError
from auditor.core.identity import canonical_json
from auditor.core.private import opener
from auditor.core.record import CaptureTally, ModelRef
from auditor.core.refusals import RefusedCall, refused_tallies
from auditor.core.window import from_us, parse_time
from auditor.segments import (
    SEEN,
    SeenCounts,
    Sent,
    adoptable,
    keep_sent,
    page_alive,
    read_seen,
    read_segment,
    retire,
    writer_alive,
)

SEGMENT_BYTES = 1 << 20
"""One request, about: what an interruption makes the agent send twice is bounded by it."""
_PRIVATE_BYTES = 64 << 20
"""A temporary folder may lie in memory."""
_LOOK_EVERY_S = 5.0
_DRAIN_S = 1.0
"""What closing gives the sender of an outbox to finish, as long as the service answers."""
_INTERRUPTED_S = _LAST_S = 0.1
_ABANDONED_S = 3600.0
_PREFIX = "auditor-outbox-"
_LEFTOVERS = "leftovers.lock"
_inherited: set[int] = set()


class Sender:
    """Sends the segments of its own session and, in an outbox, of those whose writers are gone.

    Parameters
    ----------
    own : SegmentFolder or MemorySegments
    service : HttpTransport
        Where it goes.
    faults : Faults
        Counts, and logs once, that the service is away.
    private : SeenCounts, optional
        The segments end with the agent, whose session this names.

    Attributes
    ----------
    behind : bool
        There is something sealed to send, or was at the last look.
    done : int
        Number of the last own segment that is settled.
    counts : Counter
        Frames `sent`; `refused` by the service; `damaged` on the disk.
    records, refused : int
        Own records that are settled, and those of them that the service refused.
    backoff : Backoff
        Tries that failed since the last one that succeeded, and when the next is.
    over : bool
        Nothing more is sent.
    """

    def __init__(
        self,
        own: SegmentFolder | MemorySegments,
        service: HttpTransport,
        faults: Faults,
        private: SeenCounts | None = None,
    ) -> None:
        self.own = own
        self.service = service
        self.faults = faults
        self.private = private
        self.counts: Counter[str] = Counter(sent=0, refused=0, damaged=0)
        self.behind = True
        self.done = self.records = self.refused = 0
        self.over = False
        self._sent = Sent()
        self.backoff = Backoff()
        self._part: tuple[Path | None, int, int, list[bytes]] = (None, 0, 0, [])
        self._asked = threading.Event()
        self._closing = threading.Event()
        self._until = float("inf")
        self._thread = threading.Thread(target=self._run, name="auditor-sender", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There may be something new."""
        self._asked.set()

    def finish(self, until: float, calls: int) -> bool:
        """Send what is there and let go of the connection; whether everything that must not wait was sent.

        Parameters
        ----------
        until : float
            Monotonic time. An outbox takes a second of it at most, and none while the service is away.
        calls : int
            Of the session: a private sender declares those that it could not send.
        """
        now = time.monotonic()
        if self.private is None:
            until = min(until, now + (0.0 if self.backoff.failures else _DRAIN_S))
            self._until = until
        else:
            self.private = replace(self.private, total=calls, last_us=time.time_ns() // 1000)
            self._until = until - _LAST_S
        self._closing.set()
        self._asked.set()
        self._thread.join(max(0.0, until - now))
        if self._thread.is_alive():
            self.service.interrupt()
            self._thread.join(_INTERRUPTED_S)
        self.over = True
        if self.private is not None and isinstance(self.own, SegmentFolder):
            shutil.rmtree(self.own.folder, ignore_errors=True)
        return self.private is None or self.done >= self.own.sealed

    def state(self) -> dict[str, int]:
        """Frames by what became of them once they were written: `sent`, `refused`, `damaged`; and `waiting_bytes`."""
        return {"waiting_bytes": self.own.measure(), **self.counts}

    def _run(self) -> None:
        while True:
            closing = self._closing.is_set()
            self._asked.clear()
            try:
                if self.backoff.remaining == 0.0 or (closing and self.private and not self.backoff.asked):
                    self.send_all()
                if closing and self.private and self.behind and not self.backoff.failures:  # only time ran out
                    self._until = float("inf")
                    self._send([("tally", _owed(replace(self.private, sent=self._sent), "transport_failed"))])
            except Exception as error:  # our own thread: nothing of the host's can pass through here
                self.faults.note("sender_failed", error)
                self.backoff.failed(error)
            if closing:
                self.service.close()
                return
            if self.backoff.failures:
                self._closing.wait(self.backoff.remaining)  # news do not shorten a pause
            else:
                self._asked.wait(_LOOK_EVERY_S)

    def send_all(self) -> None:
        """Everything that nobody writes any more, oldest first, until it is done or has to wait."""
        self.behind = True
        sealed = self.own.sealed
        if isinstance(self.own, MemorySegments):
            whole = self._send_segments(None)
        elif self.private is not None:
            whole = self._send_segments(self.own.own)
        else:
            whole = self._send_outbox(self.own.folder)
        if whole:
            self.done = sealed
            self.behind = False

    def _send_outbox(self, outbox: Path) -> bool:
        if not outbox.is_dir():
            return True
        with _only_one(outbox / _LEFTOVERS) as alone:
            for _, folder in sorted(numbered(outbox)):  # as they were begun, for a host's clock may jump
                mine = folder == self.own.own if isinstance(self.own, SegmentFolder) else False
                if not mine and (not alone or writer_alive(folder)):
                    continue  # its own process sends it, or the one that sends what dead ones left
                if not self._send_segments(folder):
                    return False
                if not mine or self._closing.is_set():
                    if not self._settle(folder):
                        return False
                    retire(folder)
        return True

    def _segments(self, folder: Path | None) -> Iterator[tuple[int, list[tuple[str, bytes]], int, Callable[[], Any]]]:
        """Number, frames, damaged frames, and what removes it, of each segment."""
        if isinstance(self.own, MemorySegments):
            for number, held in list(self.own.closed.items()):
                yield number, held, 0, partial(self.own.remove, number)
        for path in [] if folder is None else adoptable(folder):
            try:
                segment = read_segment(path)
            except FileNotFoundError:
                continue
            frames = [(frame.kind, frame.payload) for frame in segment.frames if frame.kind in self.service.kinds]
            damaged = sum(damage.lost for damage in segment.damage) + len(segment.frames) - len(frames)
            yield int(path.name.partition("-")[0]), frames, damaged, partial(path.unlink, missing_ok=True)

    def _send_segments(self, folder: Path | None) -> bool:
        """Send segments and remove them; False when the rest has to wait."""
        mine = folder is None or (isinstance(self.own, SegmentFolder) and folder == self.own.own)
        for number, frames, damaged, remove in self._segments(folder):
            if not self._send_frames(folder, number, frames):
                return False
            self.counts["damaged"] += damaged
            refused = self._part[3]
            self._part = (None, 0, 0, [])
            if mine:
                self.records += sum(kind == "record" for kind, _ in frames)
                self.refused += len(refused)
            if self.private is not None:
                self._sent = _count(self._sent, number, frames)
            elif folder is not None:
                with contextlib.suppress(ValueError):  # a damaged page is named when it is settled
                    page = read_seen(folder)
                    if page is not None and number > page.sent.number:  # one that is sent again counts once
                        keep_sent(folder, _count(page.sent, number, frames))
            remove()
        return True

    def _send_frames(self, folder: Path | None, number: int, frames: Frames) -> bool:
        """Send one segment, from where it was interrupted, and declare what of it was refused."""
        if self._part[:2] != (folder, number):
            self._part = (folder, number, 0, [])
        _, _, done, refused = self._part
        rest = frames[done:]
        for indices in self.service.bodies(rest):
            body = [rest[index] for index in indices]
            wrong = self._send(body)
            if wrong is None:
                return False
            refused += [body[index][1] for index in wrong if body[index][0] == "record"]
            done += len(body)
            self._part = (folder, number, done, refused)
        tallies = refused_tallies(_refused_calls(refused))
        return not refused or self._send([("tally", canonical_json(tally.as_json())) for tally in tallies]) is not None

    def _send(self, frames: Frames) -> list[int] | None:
        """Send one body; the places of refused frames, None when it has to wait."""
        if time.monotonic() >= self._until:
            return None
        wrong: list[int] = []
        try:
            self.service.send(frames)
        except Exception as error:
            if not getattr(error, "permanent", False):
                self.faults.outside("transport_failed", error, lost=False)
                self.backoff.failed(error)
                return None
            self.faults.outside("refused", error, lost=True)
            named = error.refused if isinstance(error, DeliveryError) else None
            wrong = list(range(len(frames)) if named is None else named)
        self.backoff.succeeded()
        self.counts["refused"] += len(wrong)
        self.counts["sent"] += len(frames) - len(wrong)
        return wrong

    def _settle(self, folder: Path) -> bool:
        """Declare the calls of a dead session that its page has and no tally; False when that has to wait."""
        if page_alive(folder):
            return True
        tally = None
        try:
            page = read_seen(folder)
            if page is not None and page.total > page.sent.calls:
                tally = _owed(page, "process_ended")
        except (ValueError, KeyError, TypeError):
            self.counts["damaged"] += 1
        if tally is not None and self._send([("tally", tally)]) is None:
            return False
        (folder / SEEN).unlink(missing_ok=True)
        return True


def _count(sent: Sent, number: int, frames: Frames) -> Sent:
    """What was sent of a session, with one more segment."""
    tallies = [json.loads(payload) for kind, payload in frames if kind == "tally"]
    return Sent(
        number,
        sent.records + sum(kind == "record" for kind, _ in frames),
        sent.calls + sum(tally["seen"] for tally in tallies),
        sent.delivered + sum(tally["delivered"] for tally in tallies),
    )


def _owed(page: SeenCounts, reason: str) -> bytes:
    """The tally that a session did not live to write: its calls beyond the tallies sent, of which some records were sent."""
    missing = max(0, page.total - page.sent.calls)
    sent = min(missing, max(0, page.sent.records - page.sent.delivered))
    model = page.about["model"]
    tally = CaptureTally(
        model=ModelRef(name=model["name"], version=model["version"]),
        session=page.about["session"],
        fork=page.fork,
        start=from_us(page.last_us),
        end=from_us(page.last_us + 1),
        seen=missing,
        described=sent,
        delivered=sent,
        dropped={reason: missing - sent} if missing > sent else {},
        last_seq=page.total - 1,
    )
    return canonical_json(tally.as_json())


def _refused_calls(refused: list[bytes]) -> Iterator[RefusedCall]:
    for payload in refused:
        try:
            record = json.loads(payload)
            model, source = record["model"], record["source"]
            yield RefusedCall(
                str(model["name"]),
                str(model.get("version") or ""),
                str(source["session"]),
                int(source["fork"]),
                parse_time(record["time"]),
                int(source["seq"]),
            )
        except (ValueError, KeyError, TypeError, AuditorError):
            continue  # no record of an agent's: counted as refused, of nobody


def private_segments(session: str, max_bytes: int, memory_bytes: int) -> SegmentFolder | MemorySegments:
    """Segments in a temporary folder of this agent alone; in memory where no such folder can be made or written."""
    place: Path | None = None
    try:
        place = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with tempfile.TemporaryFile(dir=place) as probe:
            os.posix_fallocate(probe.fileno(), 0, SEGMENT_BYTES)
        _remove_abandoned(place)
    except OSError:
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)
        return MemorySegments(min(max_bytes, memory_bytes))
    return SegmentFolder(place, f"00000001-{session}", min(max_bytes, _PRIVATE_BYTES), segment_bytes=SEGMENT_BYTES)


def _remove_abandoned(mine: Path) -> None:
    """Remove private folders of agents that were killed: nobody else would."""
    for folder in mine.parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            found = folder.lstat()
            old = time.time() - found.st_mtime > _ABANDONED_S
            if old and found.st_uid == os.getuid() and not any(writer_alive(entry) for entry in folder.iterdir()):
                shutil.rmtree(folder)


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
