"""Frames on their way: batched, tried again with jittered pauses, dropped only by name and number."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from auditor.capture.accounts import Accounts
from auditor.capture.shield import Faults
from auditor.capture.transport import Backoff, DeliveryError
from auditor.core.identity import canonical_json
from auditor.core.record import CaptureTally, ModelRef


@dataclass(slots=True)
class Frame:
    """A payload of one kind; a record's also has its time and version, for the books."""

    kind: str
    payload: bytes
    us: int = 0
    ref: ModelRef | None = None


class Outbox:
    """What is described and not yet delivered, oldest first.

    Attributes
    ----------
    records : int
        Records among the pending frames.
    sending : int
        Records that were taken out of line and whose fate is not known yet.
    backoff : Backoff
        Deliveries that failed since the last one that succeeded, and when the next is tried.
    labels : Counter
        Labels by what became of them: `delivered`, or the reason why not.
    unsealed : bool
        Something was sent since the last `seal`.
    """

    def __init__(self, transport: Any, accounts: Accounts, faults: Faults, *, batch: int = 4096) -> None:
        self.transport = transport
        self.accounts = accounts
        self.faults = faults
        self.batch = batch
        self.pending: deque[Frame] = deque()
        self.records = 0
        self.sending = 0
        self.bytes = 0
        self.oldest = 0.0
        self.labels: Counter[str] = Counter()
        self.backoff = Backoff()
        self.unsealed = False

    def add(self, frame: Frame) -> None:
        """Put a frame at the end of the line."""
        if not self.pending:
            self.oldest = time.monotonic()
        self.pending.append(frame)
        self._weigh((frame,), 1)

    def deliver(self, *, last: bool = False) -> bool:
        """Send all that is pending, batch by batch; False when the rest has to wait.

        `last` does not wait for the end of a pause that nobody asked for: there is no later.
        """
        while self.pending:
            if not self._may_send(last):
                return False
            frames = self._take(self.batch)
            if not self._send(frames):
                return False
        return True

    def declare(self, tallies: Sequence[CaptureTally], *, last: bool = False) -> bool:
        """Send the tallies of everything delivered and dropped so far, kept until that succeeds; False when it has to wait."""
        if not tallies:
            return True
        if not self._may_send(last):
            return False
        try:
            self.transport.send([("tally", canonical_json(tally.as_json())) for tally in tallies])
        except Exception as error:
            if getattr(error, "permanent", False):
                return True  # kept for a later try; nothing waits for it
            self._pause(error)
            return False
        self.accounts.settle()
        self._sent()
        return True

    def seal(self) -> None:
        """Let the other side take what was sent, where the transport knows such a thing."""
        seal = getattr(self.transport, "seal", None)
        if self.unsealed and seal is not None:
            seal()
        self.unsealed = False

    def abandon(self, reason: str) -> None:
        """Give up what is pending, under that reason."""
        frames = self._take(len(self.pending))
        self._settle(frames, frozenset(range(len(frames))), reason)

    def _take(self, most: int) -> list[Frame]:
        frames = [self.pending.popleft() for _ in range(min(most, len(self.pending)))]
        before = self.records
        self._weigh(frames, -1)
        self.sending = before - self.records
        return frames

    def _may_send(self, last: bool) -> bool:
        return self.backoff.remaining == 0.0 or (last and not self.backoff.asked)

    def _send(self, frames: list[Frame]) -> bool:
        nobody: frozenset[int] = frozenset()
        try:
            self.transport.send([(frame.kind, frame.payload) for frame in frames])
        except DeliveryError as error:
            if not error.permanent:
                return self._keep(frames, error)
            if error.reason != "no_destination":
                self.faults.outside(error.reason, error, lost=True)
            everything = frozenset(range(len(frames)))
            self._settle(frames, everything if error.refused is None else frozenset(error.refused), error.reason)
            return True
        except Exception as error:
            return self._keep(frames, error)
        self._settle(frames, nobody, "")
        self._sent()
        return True

    def _keep(self, frames: list[Frame], error: Exception) -> bool:
        self.pending.extendleft(reversed(frames))
        self.sending = 0
        self._weigh(frames, 1)
        self._pause(error)
        return False

    def _pause(self, error: Exception) -> None:
        self.faults.outside("transport_failed", error, lost=False)
        self.backoff.failed(error)

    def _sent(self) -> None:
        self.backoff.succeeded()
        self.unsealed = True
        self.oldest = time.monotonic()

    def _settle(self, frames: Sequence[Frame], refused: frozenset[int], reason: str) -> None:
        for index, frame in enumerate(frames):
            lost = index in refused
            if frame.kind == "record" and frame.ref is not None:
                self.sending -= 1
                if lost:
                    self.accounts.drop(reason, frame.us, frame.ref)
                else:
                    self.accounts.deliver(frame.us, frame.ref)
            elif frame.kind == "label":
                self.labels[reason if lost else "delivered"] += 1

    def _weigh(self, frames: Sequence[Frame], sign: int) -> None:
        for frame in frames:
            self.bytes += sign * len(frame.payload)
            self.records += sign * (frame.kind == "record")
