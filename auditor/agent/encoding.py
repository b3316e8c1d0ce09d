"""Encoders that the deployment named, opened and run in the agent's thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from auditor.agent.shield import Faults
from auditor.core.errors import AuditorError, ConfigurationError, DescribeError

if TYPE_CHECKING:
    from auditor.ports import Encoder


def check_encoders(said: Mapping[str, Any] | None) -> dict[str, Any]:
    """The `encoders=` of an agent; ConfigurationError `bad_encoder` for what is no encoder. Nothing is opened."""
    if not said:
        return {}
    from auditor.encoders import is_named, ways

    for name, encoder in said.items():
        if isinstance(encoder, str):
            known = is_named(encoder)
        else:
            known = callable(getattr(encoder, "encode", None)) and bool(getattr(encoder, "version", None))
        if not known:
            raise ConfigurationError(
                "bad_encoder",
                f"{encoder!r} is not an encoder",
                where=f"encoders[{name!r}]",
                fix=f"give {ways()}, or an object with version and encode(value)",
            )
    return dict(said)


def open_encoders(
    said: Mapping[str, Any], faults: Faults, owe: Callable[[float], None] | None = None
) -> dict[str, Encoder]:
    """The encoders by input, ready to run; one that does not open fails on every payload with its code, and is said once.

    Parameters
    ----------
    owe : callable, optional
        Told the CPU seconds that threads beside the agent's own may have spent on an encoding.
    """
    opened: dict[str, Encoder] = {}
    if not said:
        return opened
    from auditor.encoders import open_encoder

    for name, encoder in said.items():
        try:
            made = open_encoder(encoder) if isinstance(encoder, str) else encoder
        except Exception as error:
            faults.note("encoder_not_opened", error)
            code = error.code if isinstance(error, AuditorError) else "encoder_unusable"
            made = Unusable("extra_missing" if code == "library_missing" else code)
        threads = getattr(made, "threads", 1)
        opened[name] = made if owe is None or threads <= 1 else Metered(made, threads, owe)
    return opened


class Unusable:
    """Stands where an encoder could not be opened."""

    version = ""

    def __init__(self, code: str) -> None:
        self.code = code

    def encode(self, value: Any) -> Any:
        raise DescribeError(self.code, "the encoder could not be opened")


class Metered:
    """An encoder of several threads: at most `threads` times its time counts against the agent's budget."""

    def __init__(self, encoder: Encoder, threads: int, owe: Callable[[float], None]) -> None:
        self.version = encoder.version
        self._encoder = encoder
        self._threads = threads
        self._owe = owe

    def encode(self, value: Any) -> Any:
        began, own = time.perf_counter(), time.thread_time()
        try:
            return self._encoder.encode(value)
        finally:
            whole = self._threads * (time.perf_counter() - began)
            self._owe(max(0.0, whole - (time.thread_time() - own)))
