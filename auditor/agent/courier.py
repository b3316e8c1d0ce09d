"""Deliveries in a thread of their own: whoever describes calls never waits for a network."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from auditor.agent.transport import Frames


@dataclass(frozen=True, slots=True)
class Outcome:
    """A delivery is over; `error` is what the transport raised."""

    error: BaseException | None = None


class Courier:
    """Sends one batch at a time through a transport that may wait.

    `post` and `outcome` belong to one thread, and every `post` to one `outcome`.

    Parameters
    ----------
    transport : HttpTransport
        Used by the courier's thread alone, but for `interrupt`.
    wake : callable
        Called, from that thread, when a delivery is over.
    """

    def __init__(self, transport: Any, wake: Callable[[], None]) -> None:
        self._transport = transport
        self._wake = wake
        self._jobs: SimpleQueue[Frames | None] = SimpleQueue()
        self._outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def post(self, frames: Frames) -> None:
        """Begin a delivery. Where no thread can be started any more (the interpreter ends), it is done at once."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="auditor-courier", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                self._outcomes.put(self._attempt(frames))
                return
            self._thread = thread
        self._jobs.put(frames)

    def outcome(self, timeout_s: float = 0.0) -> Outcome | None:
        """How the delivery ended; None while it is under way, after `timeout_s` seconds of waiting for it."""
        try:
            return self._outcomes.get(timeout=timeout_s) if timeout_s > 0.0 else self._outcomes.get_nowait()
        except Empty:
            return None

    def interrupt(self) -> None:
        """End the delivery that is under way, as failed; there will be no other."""
        self._transport.interrupt()

    def close(self) -> None:
        """Let go, after the delivery that is under way."""
        if self._thread is None:
            self._transport.close()
        else:
            self._jobs.put(None)

    def _run(self) -> None:
        while (frames := self._jobs.get()) is not None:
            self._outcomes.put(self._attempt(frames))
            self._wake()
        self._transport.close()

    def _attempt(self, frames: Frames) -> Outcome:
        try:
            self._transport.send(frames)
        except BaseException as error:  # our own thread, or one of ours that has no other: it is the outcome
            return Outcome(error)
        return Outcome()
