"""A method of the host's model with something of ours before and after it; nothing of ours gets in its way."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from auditor.adapters._rows import Answers, Flight
from auditor.adapters.neural._hooks import Entry, Open
from auditor.agent.site import Site

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
        self.outer: Entry | None = None
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

    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Session | None:
        session = enter(args, kwargs) if site.live else None
        if session is not None and open_calls is not None:
            session.outer, open_calls.entry = open_calls.entry, Entry(session.flight, None)
        return session

    def end(session: Session | None, result: Any, error: BaseException | None) -> Any:
        if session is None:
            return result
        if open_calls is not None:
            open_calls.entry = session.outer
        return session.leave(result, error)

    # Every statement of ours stands in a `try`: whatever breaks, the host gets its own result or its own exception.
    @functools.wraps(method)
    def watched(*args: Any, **kwargs: Any) -> Any:
        session: Session | None = None
        try:
            session = begin(args, kwargs)
            if session is not None:
                args, kwargs = session.args, session.kwargs
        except Exception as fault:
            not_counted(site, None, "begin_failed", fault)
        try:
            result = method(*args, **kwargs)
        except BaseException as error:
            try:
                end(session, None, error)
            except Exception as fault:
                not_counted(site, session, "finish_failed", fault)
            raise
        try:
            return end(session, result, None)
        except Exception as fault:
            not_counted(site, session, "finish_failed", fault)
        return result

    return watched


def not_counted(site: Site, session: Session | None, reason: str, fault: Exception) -> None:
    """The agent failed around a call: it counts, without its record."""
    site.recorder.faults.note(reason, fault)
    if session is None:
        site.recorder.fail()
    elif session.flight is not None:
        session.flight.give_up()


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
