"""Frames that are described and not yet written: batched, tried again after pauses, dropped only by name and number."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from auditor.agent.accounts import Accounts
from auditor.agent.shield import Faults
from auditor.agent.transport import Backoff, DeliveryError
from auditor.core.identity import canonical_json
from auditor.core.record import CaptureTally, ModelRef


@dataclass(slots=True)
class Envelope:
    """A payload of one kind; a record's also has its time and version, a tally's the calls it declares, for the books."""

    kind: str
    payload: bytes
    us: int = 0
    ref: ModelRef | None = None
    calls: int = 0


class Pending:
    """What is described and not yet written, oldest first. A frame leaves when its fate is known.

    Attributes
    ----------
    records : int
        Records among the frames.
    backoff : Backoff
        Writes that failed since the last one that succeeded, and when the next is tried.
    labels : Counter
        Labels by what became of them: `delivered`, or the reason why not.
    tallies : list of Envelope
        Declared, and not written. They stay the same bytes however often they are sent: the other side knows one that
        came before by its digest, also when its answer was lost on the way back.
    unsealed : bool
        Something was written since the last `seal`.
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
        self.frames: deque[Envelope] = deque()
        self.records = 0
        self.oldest = 0.0
        self.labels: Counter[str] = Counter()
        self.backoff = Backoff()
        self.tallies: list[Envelope] = []
        self.unsealed = False
        self._set_aside = False
        self._added = 0

    def add(self, frame: Envelope) -> None:
        """Put a frame at the end."""
        self._added += 1
        if not self.frames:
            self.oldest = time.monotonic()
        self.frames.append(frame)
        self.records += frame.kind == "record"

    @property
    def end(self) -> int:
        """Number of the last frame: it is settled once `settled` has come that far."""
        return self._added

    @property
    def settled(self) -> int:
        """Frames that have left, whatever became of them."""
        return self._added - len(self.frames)

    @property
    def declaring(self) -> bool:
        """Tallies wait to be written."""
        return bool(self.tallies) and not self._set_aside

    def write(self, *, last: bool = False) -> bool:
        """Write the tallies and all frames, batch by batch; False when the rest has to wait.

        Parameters
        ----------
        last : bool
            Do not wait for the end of a pause that nobody asked for: there is no later.
        """
        while self.declaring or self.frames:
            if self.backoff.remaining > 0.0 and not (last and not self.backoff.asked):
                return False
            tallies = self.declaring
            batch = list(self.tallies if tallies else islice(self.frames, self.batch))
            refused: Sequence[int] = ()
            reason = ""
            try:
                self.transport.send([(frame.kind, frame.payload) for frame in batch])
            except Exception as error:
                if not isinstance(error, DeliveryError) or not error.permanent:
                    self.faults.outside("transport_failed", error, lost=False)
                    self.backoff.failed(error)
                    return False
                if tallies:
                    self._set_aside = True  # for a later try; nothing waits for them
                    continue
                reason = error.reason
                refused = range(len(batch)) if error.refused is None else error.refused
                if reason != "no_destination":
                    self.faults.outside(reason, error, lost=True)
            else:
                self.backoff.succeeded()
                self.unsealed = True
            if tallies:
                del self.tallies[: len(batch)]
                if self.declared is not None:
                    self.declared(sum(frame.calls for frame in batch))
            else:
                self._settle(len(batch), frozenset(refused), reason)
            self.oldest = time.monotonic()
        return True

    def declare(self, tallies: Sequence[CaptureTally]) -> None:
        """Queue tallies of everything written and dropped so far."""
        self.tallies += [Envelope("tally", canonical_json(tally.as_json()), calls=tally.seen) for tally in tallies]
        self.accounts.settle()
        self._set_aside = False

    def retry_rejected_tallies(self) -> None:
        """Try tallies again for which there was no room."""
        self._set_aside = False

    def seal(self) -> None:
        """Let the other side take what was written, where the transport knows such a thing."""
        seal = getattr(self.transport, "seal", None)
        if self.unsealed and seal is not None:
            seal()
        self.unsealed = False

    def abandon(self, reason: str) -> None:
        """Give up what is pending, under that reason."""
        self._set_aside = True
        self._settle(len(self.frames), frozenset(range(len(self.frames))), reason)

    def recount(self) -> None:
        """After an error of our own."""
        self.records = sum(frame.kind == "record" for frame in self.frames)

    def _settle(self, count: int, refused: frozenset[int], reason: str) -> None:
        for index in range(count):
            frame = self.frames.popleft()
            lost = index in refused
            if frame.kind == "record" and frame.ref is not None:
                self.records -= 1
                if lost:
                    self.accounts.drop(reason, frame.us, frame.ref)
                else:
                    self.accounts.deliver(frame.us, frame.ref)
            elif frame.kind == "label":
                self.labels[reason if lost else "delivered"] += 1
