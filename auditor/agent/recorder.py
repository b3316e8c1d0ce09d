"""What the calling threads touch: two queues, a threshold, a clock. Nothing here takes a lock or does I/O.

A call is *seen* by the one append that hands it over, which is atomic; the worker counts what it takes out. So the
identity `seen == delivered + queued + dropped` is a statement about the worker's work, not a sum made to fit.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from hashlib import blake2b
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from auditor.agent.call import Call, Skipped
from auditor.agent.shield import Faults, shield
from auditor.core.record import ModelRef
from auditor.core.window import to_us
from auditor.segments.seen import COUNTERS, FIRST, LAST

if TYPE_CHECKING:
    from auditor.segments.seen import SeenPage


class RecorderWorker(Protocol):
    """The worker, as the caller's side sees it."""

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        ...

    @property
    def in_hand(self) -> int:
        """Records that it took out of the queue and has not delivered."""
        ...

    def begin(self) -> None:
        """Start its thread."""

    def is_current_thread(self) -> bool:
        """Whether the caller is the worker."""
        ...


_RELIEF = 50_000
_BOUND = 200_000
_PATIENCE_S = 30.0


class Recorder:
    """The hot half of an agent.

    Parameters
    ----------
    ref : ModelRef
    clock : callable, optional
        Returns an aware datetime; the time of records. Real time when absent.
    block_when_full : bool
        `describe="all"`: a full queue makes the caller wait while the worker moves on (replay, batch, tests).
    limit, limit_bytes : int
        Bounds of the queue, in calls and in bytes of frozen payloads.
    metered : bool
        Whether CPU seconds of calls are wanted.
    has_destination : bool
        Without one, calls are counted and dropped.

    Attributes
    ----------
    rate, bar : float, bytes or None
        The share of calls that is chosen, and the eight bytes that the digest of a chosen call's id lies below.
    room : int
        Calls that may be queued: the limit less the deliveries in progress.
    stalled : bool
        Deliveries fail at the moment.
    agent_errors, worker_starved, after_close : int
        Calls of which only the number is known: the agent failed, the worker got no turn, the agent was closed.
    """

    rate: float
    bar: bytes | None

    def __init__(
        self,
        ref: ModelRef,
        *,
        clock: Callable[[], datetime] | None,
        block_when_full: bool,
        limit: int,
        limit_bytes: int,
        metered: bool,
        has_destination: bool,
    ) -> None:
        self.ref = ref
        self.clock = clock
        self.block_when_full = block_when_full
        self.limit = limit
        self.limit_bytes = limit_bytes
        self.metered = metered
        self.has_destination = has_destination
        self.live = True
        self.fork = 0
        self.make_worker: Callable[[Recorder], RecorderWorker] | None = None
        self.flush: Callable[[float], bool] | None = None
        self.open_page: Callable[[Recorder, int], SeenPage | None] | None = None
        self.renew()

    def renew(self) -> None:
        """Begin a session: at first, and in a forked child, which leaves the parent's queue to the parent."""
        self.session = os.urandom(16).hex()
        self.pid = os.getpid()
        self.process_token = object()
        self.faults = Faults()
        self.queue: deque[Call] = deque()
        self.skipped: deque[tuple[int, float, ModelRef]] = deque()
        self.lost: deque[Skipped] = deque()
        self.labels: deque[tuple[str, Any, Any, int]] = deque()
        self.notes: deque[str] = deque()
        self.control: SimpleQueue[Any] = SimpleQueue()
        self.room = self.limit
        self.queued_bytes = 0
        self.set_rate(1.0 if self.has_destination else 0.0)
        self.agent_errors = 0
        self.worker_starved = 0
        self.after_close = 0
        self.stalled = False
        self.worker: RecorderWorker | None = None
        self._restart_at = 0.0
        self._starting = threading.Lock()
        self.page: SeenPage | None = None
        self.seen = memoryview(bytearray(8 * (FIRST + COUNTERS))).cast("Q")
        self._mine = threading.local()
        self._places = itertools.count()
        self._paged = False

    @property
    def about(self) -> dict[str, Any]:
        """What names the session."""
        return {"model": {"name": self.ref.name, "version": self.ref.version}, "session": self.session}

    # -- the counter page ---------------------------------------------------------------------------------------------

    def tick(self, rows: int, us: int) -> None:
        """Count calls in the page that outlives the process; `skip` and `push` have the same three lines inline."""
        try:
            seen = self.seen
            seen[self._mine.place] += rows
            seen[LAST] = us
        except Exception as error:
            self._tick_first(rows, us, error)

    def _tick_first(self, rows: int, us: int, error: Exception) -> None:
        """The first call of a thread or of a process, or one after the page was closed."""
        with shield(self.faults, "count_failed"):
            if not isinstance(error, (AttributeError, ValueError)):
                self.faults.note("count_failed", error)
            self._mine.place = FIRST + next(self._places) % COUNTERS
            if not self._paged:
                self._paged = True
                if self.open_page is not None:
                    self._use(self.open_page(self, us))
            with contextlib.suppress(ValueError):  # the page was closed: nothing is counted after the end
                self.seen[self._mine.place] += rows
                self.seen[LAST] = us

    def _use(self, page: SeenPage | None) -> None:
        """Count in this page from now on, with what was counted before."""
        if page is None:
            return
        earlier = self.seen
        before = earlier[FIRST:].tolist()
        page.take_over(earlier)
        self.page, self.seen = page, page.cells
        for place, count in enumerate(earlier[FIRST:].tolist()):  # what another thread counted meanwhile
            if count != before[place]:
                page.cells[FIRST + place] += count - before[place]

    def declared(self, calls: int) -> None:
        """So many calls more stand in tallies that were delivered."""
        if self.page is not None:
            self.page.declare(calls)

    def keep_page(self) -> None:
        """Make the page again when its file, or its folder, was removed."""
        page = self.page
        if page is None or page.in_place or self.open_page is None:
            return
        fresh = self.open_page(self, page.cells[1])
        if fresh is not None:
            fresh.remade()
            self._use(fresh)
            page.close(remove=False)

    def close_page(self) -> None:
        """The end: the page goes when every call of it is declared, else it stays for the drain to declare them."""
        page, self.page = self.page, None
        if page is not None:
            page.close(remove=page.settled)

    def fail(self, rows: int = 1) -> None:
        """The agent failed: these calls count, without their record."""
        self.agent_errors += rows
        self.tick(rows, self.seen[LAST] if self.clock is not None else time.time_ns() // 1000)

    def set_rate(self, rate: float) -> None:
        """From now on this share of calls is chosen: those whose id's `hash64` is below `rate` times 2**64."""
        self.rate = rate
        self.bar = None if rate >= 1.0 else int(rate * (1 << 64)).to_bytes(8, "big")

    def chooses(self, identifier: str) -> bool:
        """Whether the call of that id is described. (`hash64` is the number that these eight bytes are.)"""
        bar = self.bar
        return bar is None or blake2b(identifier.encode(), digest_size=8).digest() < bar

    def now_us(self) -> int:
        """The agent's time, microseconds since 1970."""
        clock = self.clock
        return time.time_ns() // 1000 if clock is None else to_us(clock())

    def skip(self, us: int, cpu: float, ref: ModelRef) -> None:
        """Hand over a call that was not chosen."""
        if len(self.skipped) < _BOUND:
            self.skipped.append((us, cpu, ref))
        else:
            self.worker_starved += 1  # no worker, or one that gets no turn: keep the number, not the moment
        try:
            seen = self.seen
            seen[self._mine.place] += 1
            seen[LAST] = us
        except Exception as error:
            self._tick_first(1, us, error)
        if self.worker is None:
            self.start()
        elif len(self.skipped) >= _RELIEF:
            self.nudge()

    def push(self, call: Call) -> None:
        """Hand over a call to be described, or count it as lost when the bounds are reached."""
        if self.worker is None:
            self.start()
        reason = self.full(call)
        if reason and not (self.block_when_full and self._room_comes(call)):
            self.count(Skipped(call.us, call.cpu, call.site.ref, reason, call.rows))
            return
        if len(self.queue) * 4 >= self.room:
            self.nudge()
        self.queued_bytes += call.size
        self.queue.append(call)
        try:
            seen = self.seen
            seen[self._mine.place] += call.rows
            seen[LAST] = call.us
        except Exception as error:
            self._tick_first(call.rows, call.us, error)

    def count(self, skipped: Skipped) -> None:
        """Hand over calls that only their number is left of."""
        if len(self.lost) < _BOUND:
            self.lost.append(skipped)
        else:
            self.agent_errors += skipped.rows
        self.tick(skipped.rows, skipped.us)
        if self.worker is None:
            self.start()

    @property
    def skip_reason(self) -> str:
        """Why calls that were not chosen are not described."""
        return "sampled" if self.has_destination else "no_destination"

    def full(self, call: Call) -> str | None:
        """The reason why a call cannot wait in line; None when it can."""
        if len(self.queue) >= self.room:
            return "queue_full"
        return "queue_bytes" if self.queued_bytes + call.size > self.limit_bytes else None

    def _room_comes(self, call: Call) -> bool:
        """Wait, as long as the worker makes progress."""
        worker = self.worker
        if worker is None or worker.is_current_thread():
            return False
        patience = time.monotonic() + _PATIENCE_S
        while not self.stalled and self.live and time.monotonic() < patience:
            self.nudge()
            time.sleep(0.001)
            if self.full(call) is None:
                return True
        return False

    def nudge(self) -> None:
        """Wake the worker; safe in signal handlers and destructors (SimpleQueue.put is re-entrant)."""
        if self.control.empty():
            self.control.put(None)

    @property
    def waiting(self) -> bool:
        """Whether anything has been handed over that no worker took yet."""
        return bool(self.queue or self.skipped or self.lost or self.labels or self.agent_errors or self.worker_starved)

    def start(self, *, at_once: bool = False) -> None:
        """Start the worker, lazily: no thread before the first call. A refusal is tried again after a second."""
        now = time.monotonic()
        if self.make_worker is None or not self.live or (now < self._restart_at and not at_once):
            return
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self.worker is None:
                self._restart_at = now + 1.0
                self.worker = self.make_worker(self)
                self.worker.begin()
        except Exception as error:
            self.worker = None
            self.faults.note("worker_not_started", error)
        finally:
            self._starting.release()

    def wait_for_start(self, timeout: float) -> None:
        """Let another thread that is just starting the worker finish; not for long, for this may be a signal handler in it."""
        if self._starting.acquire(timeout=max(0.0, min(timeout, 0.1))):
            self._starting.release()
