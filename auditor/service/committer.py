"""Two threads between requests and the disk: one settles bodies in the order of arrival, one writes them.

While the disk makes one group durable, the next is settled; so a group is whatever came meanwhile, and one fsync serves
many requests. A group that could not be written takes with it every group that was settled after it: their duplicates may be
duplicates of what was lost. All of them are answered 503 (507: the disk is full), and nothing of them counts.
"""

from __future__ import annotations

import errno
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from auditor.core.errors import AuditorError, SegmentError
from auditor.core.identity import uuid7
from auditor.segments import SegmentWriter
from auditor.service.access import Principal
from auditor.service.counters import Counters
from auditor.service.parsing import Batch
from auditor.service.refusals import FAULT, RequestError
from auditor.service.settle import IndexAsker, Recent, Settled, ids_to_ask, settle
from auditor.settings import Home

GROUP = 8 << 20
"""Bytes of bodies that are settled as one group."""
WAITING = 3
"""Groups that may wait for the disk; then settling waits too."""
_log = logging.getLogger("auditor")


@dataclass(slots=True)
class Job:
    """A request's work: how to parse it, whose it is, how large, and whom to tell."""

    parse: Callable[[], Batch]
    principal: Principal
    size: int
    done: Callable[[dict[str, Any] | AuditorError], None]


@dataclass(slots=True)
class _Group:
    work: list[tuple[Job, Settled]]
    epoch: int


class _Roll:
    """Asks for the segment to be sealed; `mark` separates its content from later frames."""

    def __init__(self) -> None:
        self.mark = 0
        self.sealed = threading.Event()


class Committer:
    """The journal of one running service.

    Parameters
    ----------
    home : Home
    url : str
        The store's, for the index.
    counters : Counters
    journal_bytes : int
        What may wait in the journal; beyond it, requests are answered 507.
    """

    def __init__(self, home: Home, url: str, counters: Counters, journal_bytes: int) -> None:
        self._writer = SegmentWriter(home.journal / f"serve-{uuid7()}")
        self._journal = home.journal
        self._limit = journal_bytes
        self._waiting_bytes = 0
        self._asker = IndexAsker(url)
        self._recent = Recent()
        self._mutex = threading.Lock()
        self._epoch = 0
        self._closed = False
        self._counters = counters
        self._jobs: queue.SimpleQueue[Job | _Roll | None] = queue.SimpleQueue()
        self._groups: queue.Queue[_Group | _Roll | None] = queue.Queue(WAITING)
        self._threads = [
            threading.Thread(target=self._settle_all, name="auditor-settle", daemon=True),
            threading.Thread(target=self._write_all, name="auditor-journal", daemon=True),
        ]

    def start(self) -> None:
        self.measure()
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; its `done` is called once its frames are on disk, or with the error."""
        if self._waiting_bytes > self._limit:
            raise RequestError(
                507,
                "journal_full",
                "the journal is full: the store has not taken it in",
                fix="see that the store runs; raise [service] journal_bytes",
                retry_after=30,
            )
        self._jobs.put(job)

    def roll(self, timeout: float = 10.0) -> int:
        """Seal what is written, so that it can be taken in; the mark to give to `forget` afterwards."""
        if self._closed:
            with self._mutex:
                return self._recent.mark()
        roll = _Roll()
        self._jobs.put(roll)
        roll.sealed.wait(timeout)
        return roll.mark

    def forget(self, mark: int) -> None:
        """All that was written before the mark is taken in."""
        with self._mutex:
            self._recent.forget(mark)
        self.measure()

    def measure(self) -> None:
        """Count the bytes that wait in the journal."""
        total = 0
        for path in self._journal.glob("*/*.*"):
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                continue
        self._waiting_bytes = self._counters.journal_bytes = total

    def close(self, timeout: float = 10.0) -> None:
        """Finish what was submitted, seal the journal, and end."""
        self._jobs.put(None)
        self._closed = True
        for thread in self._threads:
            thread.join(timeout)
        self._asker.close()
        self._writer.close()

    # -- settling ----------------------------------------------------------------------------------------------------------

    def _settle_all(self) -> None:
        while True:
            jobs, then = self._next()
            if jobs:
                self._groups.put(self._settle(jobs))
            if isinstance(then, _Roll):
                with self._mutex:
                    then.mark = self._recent.mark()
                self._groups.put(then)
            elif then is None:
                self._groups.put(None)
                return

    def _next(self) -> tuple[list[Job], Job | _Roll | None]:
        """Jobs that make a group, and the item after them; a job there means: continue."""
        jobs: list[Job] = []
        size = 0
        item = self._jobs.get()
        while isinstance(item, Job):
            jobs.append(item)
            size += item.size
            if size >= GROUP or self._jobs.empty():
                break
            item = self._jobs.get()
        return jobs, item

    def _settle(self, jobs: list[Job]) -> _Group:
        epoch = self._epoch  # before anything is looked up: a failure from here on fails this group too
        parsed = []
        for job in jobs:
            with _told(job):
                parsed.append((job, job.parse()))
        known = self._asker.locate([name for job, batch in parsed for name in ids_to_ask(batch, job.principal)])
        work = []
        for job, batch in parsed:
            with _told(job), self._mutex:
                work.append((job, settle(batch, job.principal, self._recent, known)))
        return _Group(work, epoch)

    # -- writing -----------------------------------------------------------------------------------------------------------

    def _write_all(self) -> None:
        while True:
            item = self._groups.get()
            if item is None:
                return
            if isinstance(item, _Roll):
                self._seal(item)
            else:
                self._write(item)

    def _seal(self, roll: _Roll) -> None:
        try:
            self._writer.seal()
        except SegmentError as error:
            # Its frames are durable, and the segment is set aside for the drain to read.
            _log.warning("auditor: a segment could not be sealed: %s", error)
        roll.sealed.set()

    def _write(self, group: _Group) -> None:
        lost = group.epoch != self._epoch
        failure: AuditorError | None = None
        frames = [frame for _, settled in group.work for frame in settled.frames]
        if lost:
            failure = _not_written(None)
        elif frames:
            try:
                with self._counters.fsync():
                    self._writer.append(frames)
                self._waiting_bytes += sum(len(payload) for _, payload in frames)
            except SegmentError as error:
                _log.error("auditor: %d frames could not be written: %s", len(frames), error)
                failure = _not_written(error)
        if failure is not None:
            self._forget(group, new=not lost)
        for job, settled in group.work:
            if failure is None:
                self._counters.count(settled.answer)
            job.done(failure or settled.answer)

    def _forget(self, group: _Group, *, new: bool) -> None:
        with self._mutex:
            if new:
                self._epoch += 1
            for _, settled in group.work:
                for key in settled.added:
                    self._recent.remove(*key)


@contextmanager
def _told(job: Job) -> Iterator[None]:
    """An error of a job is passed to its own `done` alone."""
    try:
        yield
    except AuditorError as error:
        job.done(error)
    except Exception:
        _log.exception("auditor: a body could not be settled")
        job.done(FAULT)


def _not_written(error: SegmentError | None) -> RequestError:
    cause = error.__cause__ if error is not None else None
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return RequestError(
            507, "disk_full", "the disk is full: nothing was taken", fix="free the disk", retry_after=30
        )
    return RequestError(
        503, "not_durable", "it could not be made durable: nothing was taken", fix="send again", retry_after=5
    )
