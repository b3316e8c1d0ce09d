"""A method of the host's model with something of ours before and after it; nothing of ours gets in its way."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from auditor.capture.adapters._batch import Answers, Flight
from auditor.capture.adapters._hooks import Entry, Open
from auditor.capture.shield import shield
from auditor.capture.site import Site

OF_MODULES = (
    *(
        "apply",
        "bfloat16",
        "compile",
        "cpu",
        "cuda",
        "double",
        "eval",
        "float",
        "half",
        "ipu",
        "mtia",
        "requires_grad_",
    ),
    *("share_memory", "to", "to_empty", "train", "type", "xpu"),
)
"""Methods of torch modules that give the module itself."""


class Session:
    """One call through a watched method.

    Attributes
    ----------
    args, kwargs
        What the model is called with: the host's own, but for what has to be seen on its way (streams).
    """

    def __init__(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        flight: Flight | None,
        read: Callable[[Flight, Any], Answers],
    ) -> None:
        self.args = args
        self.kwargs = kwargs
        self.flight = flight
        self._read = read

    def leave(self, result: Any, error: BaseException | None) -> Any:
        """The call ended; what the host gets instead of the result (the result itself, but for lazy ones)."""
        flight = self.flight
        if flight is not None:
            flight.finish(lambda: self._read(flight, result), error)
        return result


Enter = Callable[[tuple[Any, ...], dict[str, Any]], Session | None]


def around(method: Callable[..., Any], site: Site, enter: Enter, open_calls: Open | None = None) -> Callable[..., Any]:
    """The method, watched; `enter` gives None for a call that is none of ours.

    Parameters
    ----------
    open_calls : Open, optional
        Where hooks find the call while it runs.
    """
    recorder = site.recorder

    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Session | None, Entry | None]:
        outer = None
        with shield(recorder.faults, "begin_failed"):
            if not site.live:
                return None, None
            session = enter(args, kwargs)
            if session is not None and open_calls is not None:
                outer, open_calls.entry = open_calls.entry, Entry(session.flight, None)
            return session, outer
        recorder.blind += 1
        return None, None

    def end(session: Session | None, outer: Entry | None, result: Any, error: BaseException | None) -> Any:
        if session is not None:
            if open_calls is not None:
                open_calls.entry = outer
            with shield(recorder.faults, "finish_failed"):
                return session.leave(result, error)
            recorder.blind += 1
        return result

    @functools.wraps(method)
    def watched(*args: Any, **kwargs: Any) -> Any:
        session, outer = begin(args, kwargs)
        try:
            result = method(*args, **kwargs) if session is None else method(*session.args, **session.kwargs)
        except BaseException as error:
            end(session, outer, None, error)
            raise
        return end(session, outer, result, None)

    return watched


def giving_itself(model: Any, proxy: Callable[[], Any], names: tuple[str, ...]) -> dict[str, Callable[..., Any]]:
    """Methods that return the model itself: of a watched model they return the watched one."""

    def method(name: str) -> Callable[..., Any]:
        original = getattr(model, name)

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            return proxy() if result is model else result

        return call

    return {name: method(name) for name in names if callable(getattr(type(model), name, None))}


def nothing_read(flight: Flight, result: Any) -> Mapping[str, Any]:
    """The answers of what gives none."""
    return {}
