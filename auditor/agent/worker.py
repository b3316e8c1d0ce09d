"""The agent's one thread: takes calls out of the queues, describes, delivers, counts, meters."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty
from typing import TYPE_CHECKING, Any

from auditor.agent import lifecycle
from auditor.agent.accounts import Accounts
from auditor.agent.budget import Budget
from auditor.agent.building import Builder, RedactionError, label_text
from auditor.agent.call import Call, Skipped
from auditor.agent.metering import Metering
from auditor.agent.pending import Envelope, Pending
from auditor.agent.recorder import Recorder
from auditor.agent.shield import shield
from auditor.agent.snapshot import release
from auditor.core.errors import RecordError
from auditor.core.gate import over_limit
from auditor.core.identity import canonical_json
from auditor.core.record import Label
from auditor.core.window import from_us

if TYPE_CHECKING:
    from auditor.agent.sender import Sender

_AFTER_FAULT_S, _IDLE_S = 0.01, 0.25
_SLICE_S = 0.05
"""Longest stretch of describing before the other duties have their turn."""
_WRITE_AFTER_S = 0.5
_SEAL_EVERY_S = 10.0
_LOOK_EVERY_S = 1.0
"""How often it is seen to that the session's folder is still there."""
_STEP_S = 0.2
_RESERVE_S = 0.25
"""Seconds of a close reserved for the last delivery."""
_SPARE_S = 0.15
"""Seconds reserved to abort a request that got no response."""


@dataclass(slots=True)
class Request:
    """A caller waits for everything queued so far to be delivered, or for the end."""

    deadline: float
    closing: bool = False
    reason: str = "closed"
    target: int = -1
    end: int = -1
    mark: int = -1
    declared: bool = False
    done: threading.Event = field(default_factory=threading.Event)
    ok: bool = False


@dataclass(slots=True)
class Parts:
    """What a worker works with; made in its own thread, where files may be opened and libraries loaded."""

    builder: Builder
    pending: Pending
    sender: Sender | None
    metering: Metering | None
    budget: Budget | None


class Worker:
    """See the module.

    Parameters
    ----------
    recorder : Recorder
    accounts : Accounts
    notes : dict
        Counts of what is worth knowing and no loss; written here only.
    assemble : callable
        Makes the `Parts`, in the worker's thread.
    """

    def __init__(
        self,
        recorder: Recorder,
        accounts: Accounts,
        notes: dict[str, int],
        assemble: Callable[[Recorder, Accounts], Parts],
    ) -> None:
        self.recorder = recorder
        self.accounts = accounts
        self.notes = notes
        self._hand: Any = None
        self._before = 0
        self._pooling = True
        self._assemble = assemble
        self._thread = threading.Thread(target=self._run, name="auditor", daemon=True)
        self._requests: list[Request] = []
        self._seal_at = time.monotonic() + _SEAL_EVERY_S
        self._stepped_at = self._looked_at = time.monotonic()
        self._stepped_calls = 0

    def begin(self) -> None:
        self._thread.start()

    def is_current_thread(self) -> bool:
        return threading.current_thread() is self._thread

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _now_us(self) -> int:
        """The agent's time; real time when the host's clock fails: the books must go on."""
        try:
            return self.recorder.now_us()
        except BaseException as error:
            self.recorder.faults.note("clock_failed", error)
            return time.time_ns() // 1000

    def note(self, name: str) -> None:
        """Count something that is worth knowing and is no loss."""
        self.notes[name] = self.notes.get(name, 0) + 1

    # -- the loop -----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        """The thread: should it ever end before it is asked to, the next call starts another one."""
        try:
            with lifecycle.working():
                self._work()
        except BaseException as error:
            self.recorder.faults.note("worker_failed", error)
        finally:
            if self.recorder.worker is self:
                self.recorder.worker = None
            self._listen(0.0)
            for request in tuple(self._requests):
                self._release(request, False)

    def _work(self) -> None:
        recorder = self.recorder
        with lifecycle.starting():
            parts = self._assemble(recorder, self.accounts)
            if parts.metering is not None:
                parts.metering.start(self._now_us)
        busy, closing = True, None
        while closing is None:
            try:
                self._listen(0.0 if busy else _IDLE_S)
                busy = self._turn(parts)
                closing = self._answer(parts)
            except BaseException as error:  # our own thread: nothing of the host's can pass through here
                recorder.faults.note("worker_failed", error)
                with shield(recorder.faults, "worker_failed"):
                    self._balance(parts)
                time.sleep(_AFTER_FAULT_S)
        if parts.metering is not None:
            parts.metering.stop()

    def _listen(self, pause_s: float) -> None:
        """Sleep until something is asked, at most `pause_s`."""
        control = self.recorder.control
        if self._requests:
            pause_s = min(pause_s, 0.005)
        try:
            asked = control.get(timeout=pause_s) if pause_s > 0.0 else control.get_nowait()
            while True:
                if asked is not None:
                    self._requests.append(asked)
                asked = control.get_nowait()
        except Empty:
            return

    def _turn(self, parts: Parts) -> bool:
        """One round of every duty; whether there is more to do at once."""
        recorder, pending, sender = self.recorder, parts.pending, parts.sender
        self._count_skipped(parts)
        paused = parts.budget is not None and parts.budget.exhausted and not self._requests
        if not paused and pending.records < recorder.limit:
            self._describe(parts)
        if not recorder.queue or len(recorder.labels) * 2 >= recorder.limit:  # a label follows its record
            self._take_labels(pending)
        full = len(pending.frames) >= pending.batch
        if pending.frames and (
            full or self._requests or time.monotonic() - pending.oldest >= _WRITE_AFTER_S or pending.backoff.failures
        ):
            pending.write()
        if sender is not None and not sender.behind:  # else the segment grows meanwhile
            self._seal(parts)
        recorder.stalled = pending.backoff.failures > 0
        recorder.room = max(0, recorder.limit - pending.records)
        self._step(parts)
        if parts.metering is not None and parts.metering.due:
            self._send_energy(parts)
        if time.monotonic() >= self._looked_at + _LOOK_EVERY_S:
            self._looked_at = time.monotonic()
            recorder.keep_page()
        if time.monotonic() >= self._seal_at:
            self._seal_at = time.monotonic() + _SEAL_EVERY_S
            self._declare(parts)
            pending.write()
            if sender is None:
                self._seal(parts)
        return bool(recorder.queue) and not paused and not recorder.stalled

    def _describe(self, parts: Parts) -> None:
        """Describe for at most a slice of time, one call after the other."""
        recorder = self.recorder
        until = time.monotonic() + _SLICE_S
        while recorder.queue and time.monotonic() < until:
            call: Call = self._take_in_hand(recorder.queue)
            for one in (call,) if call.split is None else self._split(call):
                self._describe_one(parts, one)
            self._hand = None
            recorder.queued_bytes = max(0, recorder.queued_bytes - call.size) if recorder.queue else 0
            if self._pooling:
                held = [part[1] for part in call.payloads]
                call.payloads.clear()
                release(held)
            if not recorder.block_when_full:
                time.sleep(0)  # whoever waits for the interpreter waits for one description at most

    def _take_in_hand(self, queue: Any) -> Any:
        """Take the next item of a queue; it counts as queued until it is processed."""
        self._before = self.accounts.taken
        self._hand = queue.popleft()
        return self._hand

    @property
    def in_hand(self) -> int:
        """Calls that were taken out of a queue and are not dealt with yet."""
        hand = self._hand
        if hand is None:
            return 0
        return 1 if isinstance(hand, tuple) else hand.rows

    def _balance(self, parts: Parts) -> None:
        """After an error of our own: whatever it left unaccounted for is lost to it, by that name."""
        accounts = self.accounts
        rows, self._hand = self.in_hand, None
        parts.pending.recount()
        accounts.take(max(0, rows - (accounts.taken - self._before)) if rows else 0)
        owed = accounts.taken - accounts.delivered - sum(accounts.dropped.values()) - parts.pending.records
        if owed > 0:
            accounts.drop("internal_error", self._now_us(), self.recorder.ref, owed)

    def _split(self, call: Call) -> list[Call]:
        """The rows of a batch that were chosen; the others are counted."""
        try:
            chosen: list[Call] = call.split(call)
        except Exception as error:
            self.recorder.faults.note("describe_failed", error)
            self.accounts.take(call.rows)
            self.accounts.drop("describe_failed", call.us, call.site.ref, call.rows)
            return []
        left = call.rows - len(chosen)
        if left:
            self.accounts.take(left)
            self.accounts.drop(self.recorder.skip_reason, call.us, call.site.ref, left)
        return chosen

    def _describe_one(self, parts: Parts, call: Call) -> None:
        began = 0.0 if parts.budget is None else time.thread_time()
        seq = self.accounts.take()
        ref = call.site.ref
        try:
            payload = parts.builder.build(call, seq)
        except BaseException as error:
            if isinstance(error, RecordError):
                reason = error.code
                # Its place alone: the text may quote what was sent.
                self.recorder.faults.outside(
                    reason, RecordError(reason, "the intake would refuse it", where=error.where), lost=True
                )
            else:
                reason = "redaction_failed" if isinstance(error, RedactionError) else "describe_failed"
                self.recorder.faults.note(reason, error)
            self.accounts.drop(reason, call.us, ref)
        else:
            self.accounts.describe(call.us, ref)
            parts.pending.add(Envelope("record", payload, call.us, ref))
        if parts.metering is not None:
            parts.metering.count(ref, call.us, call.cpu)
        if parts.budget is not None:
            parts.budget.spend(time.thread_time() - began)

    def _count_skipped(self, parts: Parts) -> None:
        """Calls that are counted and not described."""
        recorder, accounts, metering = self.recorder, self.accounts, parts.metering
        reason = recorder.skip_reason
        for _ in range(len(recorder.skipped)):
            us, cpu_s, ref = self._take_in_hand(recorder.skipped)
            accounts.take()
            accounts.drop(reason, us, ref)
            self._hand = None
            if metering is not None:
                metering.count(ref, us, cpu_s)
        for name, why in (("agent_errors", "internal_error"), ("worker_starved", reason)):
            number = getattr(recorder, name)
            if number:
                recorder.lost.append(Skipped(self._now_us(), 0.0, recorder.ref, why, number))
                setattr(recorder, name, getattr(recorder, name) - number)
        for _ in range(len(recorder.lost)):
            lost: Skipped = self._take_in_hand(recorder.lost)
            accounts.take(lost.rows)
            accounts.drop(lost.reason, lost.us, lost.ref, lost.rows)
            self._hand = None
            if metering is not None:
                metering.count(lost.ref, lost.us, lost.cpu, lost.rows)
        while recorder.notes:
            self.note(recorder.notes.popleft())

    def _take_labels(self, pending: Pending) -> None:
        labels = self.recorder.labels
        for _ in range(len(labels)):
            identifier, label, value, us = labels.popleft()
            try:
                text, model = label_text(label), self.recorder.ref.name
                found = Label(id=identifier, time=from_us(us), label=text, value=value, model=model)
                refused = over_limit(Label, {name: getattr(found, name) for name in ("id", "time", "label", "value")})
                if refused is not None:
                    pending.labels[refused.code] += 1
                    continue
                pending.add(Envelope("label", canonical_json(found.as_json())))
            except Exception as error:
                self.recorder.faults.note("label_failed", error)
                pending.labels["label_failed"] += 1

    def _step(self, parts: Parts) -> None:
        """Follow traffic and cost with the rate."""
        now = time.monotonic()
        elapsed = now - self._stepped_at
        if parts.budget is None or elapsed < _STEP_S:
            return
        recorder = self.recorder
        seen = self.accounts.taken + len(recorder.queue)
        rate = parts.budget.step(seen - self._stepped_calls, elapsed, len(recorder.queue) / max(1, recorder.limit))
        self._stepped_at, self._stepped_calls = now, seen
        if recorder.has_destination:
            recorder.set_rate(rate)

    # -- duties on request --------------------------------------------------------------------------------------------

    def _send_energy(self, parts: Parts) -> None:
        if parts.metering is None:
            return
        for reading in parts.metering.read(self._now_us(), self.recorder.ref):
            parts.pending.add(Envelope("energy", canonical_json(reading.as_json())))
        parts.pending.write()

    def _declare(self, parts: Parts, *, closed: bool = False) -> None:
        """Put tallies in line. While some wait the books stay open: there are never more than one declaration's."""
        accounts, pending = self.accounts, parts.pending
        if closed or (accounts.news and not pending.tallies):
            pending.declare(accounts.tallies(closed=closed, now_us=self._now_us(), ref=self.recorder.ref))
        else:
            pending.retry_rejected_tallies()

    def _seal(self, parts: Parts) -> bool:
        """Let the other side take what was written."""
        with shield(self.recorder.faults, "seal_failed") as guard:
            sealing = parts.pending.unsealed
            parts.pending.seal()
            if sealing and parts.sender is not None:
                parts.sender.wake()
        return not guard.failed

    def _served(self, parts: Parts, request: Request) -> bool:
        """Whether what was described when this was first asked is settled, declared and sealed, and sent where it cannot wait."""
        pending, sender = parts.pending, parts.sender
        if request.end < 0:
            if parts.metering is not None and parts.metering.news:
                self._send_energy(parts)
            request.end = pending.end
        pending.write()
        if not request.declared:
            if pending.settled < request.end or pending.declaring:
                return False
            request.declared = True
            self._declare(parts)
            pending.write()
        if request.mark < 0:
            if pending.declaring or not ((sender is not None and sender.private is None) or self._seal(parts)):
                return False
            request.mark = 0 if sender is None else pending.transport.sealed
        return sender is None or sender.private is None or sender.done >= request.mark

    def _answer(self, parts: Parts) -> Request | None:
        """Serve those who wait; the closing request, once it is served."""
        recorder = self.recorder
        for request in tuple(self._requests):
            if request.target < 0:
                request.target = self.accounts.taken + sum(call.rows for call in tuple(recorder.queue))
            late = time.monotonic() >= request.deadline - (_RESERVE_S if request.closing else 0.0)
            ready = self.accounts.taken >= request.target and not recorder.labels
            if request.closing and (late or (ready and not recorder.queue)):
                self._release(request, self._close(parts, request))
                return request
            if late:
                self._release(request, False)
            elif ready and not request.closing and self._served(parts, request):
                self._release(request, True)
        return None

    def _close(self, parts: Parts, request: Request) -> bool:
        """The end: what cannot be described or delivered in time is lost by name; whether nothing was."""
        recorder, pending = self.recorder, parts.pending
        recorder.live = False
        whole = not recorder.queue
        while recorder.queue:
            call = recorder.queue.popleft()
            self.accounts.take(call.rows)
            self.accounts.drop(request.reason, call.us, call.site.ref, call.rows)
        recorder.queued_bytes = 0
        self._count_skipped(parts)
        self._take_labels(pending)
        with shield(recorder.faults, "energy_failed"):
            if parts.metering is not None and parts.metering.news:
                self._send_energy(parts)
        if not pending.write(last=True):
            pending.abandon("transport_failed")
            whole = False
        if self.accounts.taken:
            self._declare(parts, closed=True)
            pending.write(last=True)
        self._seal(parts)
        with shield(recorder.faults, "transport_not_closed"):
            pending.transport.close()
        with shield(recorder.faults, "page_not_closed"):
            recorder.close_page()
        if parts.sender is not None:
            whole = parts.sender.finish(request.deadline - _SPARE_S, self.accounts.taken) and whole
        return whole

    def _release(self, request: Request, ok: bool) -> None:
        self._requests.remove(request)
        request.ok = ok
        request.done.set()
