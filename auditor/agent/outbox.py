"""Frames on their way: batched, tried again with jittered pauses, dropped only by name and number."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from auditor.agent.accounts import Accounts
from auditor.agent.shield import Faults
from auditor.agent.transport import Backoff, DeliveryError
from auditor.core.identity import canonical_json
from auditor.core.record import CaptureTally, ModelRef

_INTERRUPTED_S = 0.1
"""Seconds that an interrupted delivery has to end."""


@dataclass(slots=True)
class Envelope:
    """A payload of one kind; a record's also has its time and version, a tally's the calls it declares, for the books."""

    kind: str
    payload: bytes
    us: int = 0
    ref: ModelRef | None = None
    calls: int = 0


class Outbox:
    """What is described and not yet delivered, oldest first.

    Attributes
    ----------
    records : int
        Records among the pending frames.
    sending : int
        Records that were taken out of line and whose fate is not known yet: a courier has them.
    backoff : Backoff
        Deliveries that failed since the last one that succeeded, and when the next is tried.
    labels : Counter
        Labels by what became of them: `delivered`, or the reason why not.
    tallies : list of Envelope
        Declared, and not delivered. They stay the same bytes however often they are sent: the other side knows one that
        came before by its digest, also when its answer was lost on the way back.
    posted : list of Envelope or None
        What a courier has in hand.
    unsealed : bool
        Something was sent since the last `seal`.
    """

    def __init__(
        self,
        transport: Any,
        accounts: Accounts,
        faults: Faults,
        declared: Callable[[int], None] | None = None,
        *,
        batch: int = 4096,
    ) -> None:
        self.transport = transport
        self.declared = declared
        self.accounts = accounts
        self.faults = faults
        self.batch = batch
        self.pending: deque[Envelope] = deque()
        self.records = 0
        self.sending = 0
        self.bytes = 0
        self.oldest = 0.0
        self.labels: Counter[str] = Counter()
        self.backoff = Backoff()
        self.tallies: list[Envelope] = []
        self.posted: list[Envelope] | None = None
        self.unsealed = False
        self._post = getattr(transport, "post", None)
        self._set_aside = False
        self._cut_off = False
        self._added = 0

    def add(self, frame: Envelope) -> None:
        """Put a frame at the end of the line."""
        self._added += 1
        if not self.pending:
            self.oldest = time.monotonic()
        self.pending.append(frame)
        self._weigh((frame,), 1)

    @property
    def waiting(self) -> int:
        """Records that were described and whose fate is not known."""
        return self.records + self.sending

    @property
    def end(self) -> int:
        """Where the line ends: all before it is settled once `settled` has come that far."""
        return self._added

    @property
    def settled(self) -> int:
        """Frames that are no longer in line, whatever became of them."""
        posted = self.posted or ()
        return self._added - len(self.pending) - sum(frame.kind != "tally" for frame in posted)

    @property
    def telling(self) -> bool:
        """Tallies are on their way."""
        return bool(self.tallies) and not self._set_aside

    def deliver(self, *, last: bool = False, until: float = 0.0) -> bool:
        """Send the tallies and all that is pending, batch by batch; False when the rest has to wait.

        Parameters
        ----------
        last : bool
            Do not wait for the end of a pause that nobody asked for: there is no later. What a courier has not
            delivered by then is interrupted.
        until : float
            With `last`, how long it may take, as monotonic time.
        """
        while True:
            if self._cut_off or not self.collect(until if last else 0.0):
                return False
            frames = self._take(self.batch)
            if not frames:
                return True
            if not self._may_send(last):
                self._put_back(frames)
                return False
            if not self._send(frames):
                return False

    def collect(self, until: float = 0.0) -> bool:
        """Settle what a courier has delivered; False while it is under way, and when it has to be sent again."""
        if self.posted is None:
            return True
        outcome = self.transport.outcome(until - time.monotonic())
        if outcome is None and until > 0.0:
            self._cut_off = True
            self.transport.interrupt()
            outcome = self.transport.outcome(_INTERRUPTED_S)
        if outcome is None:
            return False
        frames, self.posted = self.posted, None
        return self._sent(frames, outcome.error)

    def declare(self, tallies: Sequence[CaptureTally]) -> None:
        """Queue tallies of everything delivered and dropped so far."""
        self.tallies += [Envelope("tally", canonical_json(tally.as_json()), calls=tally.seen) for tally in tallies]
        self.accounts.settle()
        self._set_aside = False

    def retry_rejected_tallies(self) -> None:
        """Retry tallies the server rejected."""
        self._set_aside = False

    def seal(self) -> None:
        """Let the other side take what was sent, where the transport knows such a thing."""
        seal = getattr(self.transport, "seal", None)
        if self.unsealed and seal is not None:
            seal()
        self.unsealed = False

    def abandon(self, reason: str) -> None:
        """Give up what is pending, and what a courier still has, under that reason."""
        posted, self.posted = self.posted or [], None
        self._settle(posted, frozenset(range(len(posted))), reason)
        self._set_aside = True
        frames = self._take(len(self.pending))
        self._settle(frames, frozenset(range(len(frames))), reason)

    def recount(self) -> None:
        """After an error of our own: of what was being sent, only what a courier has is still known of."""
        self.sending = sum(frame.kind == "record" for frame in self.posted or ())

    def _take(self, most: int) -> list[Envelope]:
        """The next batch: the tallies, which stay in line until they are delivered, else what is pending."""
        if self.telling:
            return list(self.tallies)
        frames = [self.pending.popleft() for _ in range(min(most, len(self.pending)))]
        before = self.records
        self._weigh(frames, -1)
        self.sending = before - self.records
        return frames

    def _may_send(self, last: bool) -> bool:
        return self.backoff.remaining == 0.0 or (last and not self.backoff.asked)

    def _send(self, frames: list[Envelope]) -> bool:
        """Deliver, or let a courier begin to."""
        payloads = [(frame.kind, frame.payload) for frame in frames]
        try:
            if self._post is not None:
                self.posted = frames
                self._post(payloads)
                return True
            self.transport.send(payloads)
        except Exception as error:
            self.posted = None
            return self._sent(frames, error)
        return self._sent(frames, None)

    def _sent(self, frames: list[Envelope], error: BaseException | None) -> bool:
        """What follows from a delivery; False when it has to be tried again."""
        tallies = frames[0].kind == "tally"
        if error is None:
            self._settle(frames, frozenset(), "")
            if tallies:
                del self.tallies[: len(frames)]
                if self.declared is not None:
                    self.declared(sum(frame.calls for frame in frames))
            self.backoff.succeeded()
            self.unsealed = True
            self.oldest = time.monotonic()
            return True
        if not isinstance(error, DeliveryError) or not error.permanent:
            self._put_back(frames)
            self.faults.outside("transport_failed", error, lost=False)
            self.backoff.failed(error)
            return False
        if tallies:
            self._set_aside = True  # for a later try; nothing waits for them
            return True
        if error.reason != "no_destination":
            self.faults.outside(error.reason, error, lost=True)
        everything = frozenset(range(len(frames)))
        self._settle(frames, everything if error.refused is None else frozenset(error.refused), error.reason)
        return True

    def _put_back(self, frames: list[Envelope]) -> None:
        if frames[0].kind != "tally":
            self.pending.extendleft(reversed(frames))
            self.sending = 0
            self._weigh(frames, 1)

    def _settle(self, frames: Sequence[Envelope], refused: frozenset[int], reason: str) -> None:
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

    def _weigh(self, frames: Sequence[Envelope], sign: int) -> None:
        for frame in frames:
            self.bytes += sign * len(frame.payload)
            self.records += sign * (frame.kind == "record")
