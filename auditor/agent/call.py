"""One watched call, from its beginning to the worker: plain slots, filled on the caller's thread."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import Any, Protocol

from auditor.agent.shield import Faults, sheltered
from auditor.core.record import ModelRef


class CallSite(Protocol):
    """What a call needs of its site: the model that it is a call of."""

    ref: ModelRef


class Call:
    """A call that will be described.

    Attributes
    ----------
    us : int
        When it began, microseconds since 1970 by the agent's clock.
    process_token : object
        The process the call began in; a forked child drops its parent's calls.
    rate : float
        Share of calls that was being described when this one was chosen.
    payloads : list of tuple
        Frozen inputs: name, value, modality, rate, scores, embedding, encoder, error (the fields of `Payload`).
    size : int
        Bytes that they hold.
    found : mapping
        What the model answered, frozen: label, value, text, scores, tokens, finish, refused, inputs.
    cpu : float
        CPU seconds of the calling thread while the call ran (before: the thread's clock at the beginning).
    rows : int
        Records that it becomes; more than one for a batch, which `split` takes apart in the worker.
    """

    __slots__ = (
        "cpu",
        "error",
        "finish",
        "first_token_s",
        "found",
        "groups",
        "id",
        "latency_s",
        "payloads",
        "process_token",
        "rate",
        "rows",
        "site",
        "size",
        "split",
        "subject",
        "us",
    )

    def __init__(self, identifier: str, us: int, site: CallSite, rate: float, process_token: object) -> None:
        self.id = identifier
        self.us = us
        self.site = site
        self.rate = rate
        self.process_token = process_token
        self.payloads: list[tuple[Any, ...]] = []
        self.size = 256
        self.groups: Mapping[str, Any] | None = None
        self.subject: str | None = None
        self.found: Mapping[str, Any] | None = None
        self.error: str | None = None
        self.finish: str | None = None
        self.latency_s: float | None = None
        self.first_token_s: float | None = None
        self.cpu = 0.0
        self.rows = 1
        self.split: Any = None


class Skipped:
    """A call that is counted and not described: when, its CPU seconds, whose, why, and how many records."""

    __slots__ = ("cpu", "reason", "ref", "rows", "us")

    def __init__(self, us: int, cpu: float, ref: ModelRef, reason: str, rows: int = 1) -> None:
        self.us = us
        self.cpu = cpu
        self.ref = ref
        self.reason = reason
        self.rows = rows


class CallContext:
    """Groups, subject and id of the calls inside a `with agent.context(...)`."""

    __slots__ = ("_token", "faults", "groups", "id", "subject")

    def __init__(self, groups: Mapping[str, Any] | None, subject: str | None, identifier: Any, faults: Faults) -> None:
        self.groups = groups
        self.subject = subject
        self.id = identifier
        self.faults = faults
        self._token: Token[CallContext | None] | None = None

    def take_id(self) -> Any:
        """The id, once: a second call inside the same context gets its own."""
        identifier, self.id = self.id, None
        return identifier

    @sheltered("context_failed", lambda self: self)
    def __enter__(self) -> CallContext:
        self._token = call_context.set(self)
        return self

    @sheltered("context_failed", lambda self, *error: call_context.set(None) and None)
    def __exit__(self, *error: object) -> None:
        token, self._token = self._token, None
        if token is not None:
            call_context.reset(token)


call_context: ContextVar[CallContext | None] = ContextVar("auditor_call_context", default=None)
