"""The only place that swallows errors: it counts each one and says so once per reason.

`Exception` is swallowed, `BaseException` is not: a KeyboardInterrupt or a cancellation belongs to the host.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])
log = logging.getLogger("auditor")

observers: list[Callable[[str, BaseException], None]] = []
"""Called with every swallowed error; tests use it to make any of them a failure."""


class Faults:
    """Errors of the agent itself, by reason. Safe to note from any thread, signal handler or destructor."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.delays: dict[str, int] = {}

    def note(self, reason: str, error: BaseException) -> None:
        """Count one; the first of each reason is logged with its type (never its text: that may quote a payload)."""
        try:
            first = reason not in self.counts
            self.counts[reason] = self.counts.get(reason, 0) + 1
            for observer in observers:
                observer(reason, error)
            if first:
                log.warning(
                    "auditor: %s (%s); the model is not affected, further ones are only counted",
                    reason,
                    type(error).__name__,
                )
        except Exception:
            self.counts["fault_unreported"] = self.counts.get("fault_unreported", 0) + 1

    def outside(self, reason: str, error: BaseException, *, lost: bool) -> None:
        """Say once that something outside (a disk, a server) is in the way; nothing of the agent's own broke."""
        if reason not in self.delays:
            what = "records are lost, and counted" if lost else "it is tried again"
            log.warning("auditor: %s (%s); %s", reason, error, what)
        self.delays[reason] = self.delays.get(reason, 0) + 1

    @property
    def total(self) -> int:
        return sum(self.counts.copy().values())


def sheltered(reason: str, fallback: Callable[..., Any]) -> Callable[[F], F]:
    """A method that never raises an Exception: it is noted in the object's `faults`, and `fallback` answers.

    `fallback` gets the same arguments; its answer is what the host gets instead.
    """

    def decorate(method: F) -> F:
        @functools.wraps(method)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return method(self, *args, **kwargs)
            except Exception as error:
                self.faults.note(reason, error)
            return fallback(self, *args, **kwargs)

        return cast(F, call)

    return decorate


def nothing(*args: Any, **kwargs: Any) -> None:
    """The fallback of methods that return nothing."""


class shield:  # noqa: N801 - reads as a statement: with shield(faults, "energy_failed"):
    """Run a block that must never raise into the host.

    >>> faults = Faults()
    >>> with shield(faults, "example"):
    ...     raise ValueError("swallowed")
    >>> faults.counts
    {'example': 1}
    """

    __slots__ = ("failed", "faults", "reason")

    def __init__(self, faults: Faults, reason: str) -> None:
        self.faults = faults
        self.reason = reason
        self.failed = False

    def __enter__(self) -> shield:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        self.failed = True
        self.faults.note(self.reason, error)
        return True
