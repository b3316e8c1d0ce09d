"""Base of the adapters that watch methods of a model in this process: the calls of a method, before and after.

Nothing here gets in the way of the host: whatever breaks in the agent, the host gets its own result or its own exception.
Hooks on modules, which see a call while it runs, are in `neural.hooks`.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from threading import get_ident
from types import FrameType
from typing import Any

from auditor.adapters.proxy import make_proxy
from auditor.adapters.rows import Answers, Described, Flight, begin
from auditor.agent.site import Site
from auditor.core.errors import ConfigurationError

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
"""Methods of torch modules that return the module itself."""


class Entry:
    """An open call of one thread.

    Attributes
    ----------
    depth : int
        Calls of the same thing inside it: they are part of it.
    frame : frame
        Of the host's call: an entry whose frame is no longer on the stack was left without its end being seen.
    handled : exception or None
        What the host was already handling when it called.
    """

    __slots__ = ("depth", "flight", "frame", "handled")

    def __init__(self, flight: Flight | None, frame: FrameType | None) -> None:
        self.flight = flight
        self.frame = frame
        self.depth = 0
        self.handled = sys.exception()


class Open:
    """The open call of each thread."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}

    @property
    def entry(self) -> Entry | None:
        """The calling thread's."""
        return self._entries.get(get_ident())

    @entry.setter
    def entry(self, entry: Entry | None) -> None:
        if entry is None:
            self._entries.pop(get_ident(), None)
        else:
            self._entries[get_ident()] = entry

    def __bool__(self) -> bool:
        """Whether any thread has one."""
        return bool(self._entries)

    def running(self) -> Entry | None:
        """The entry, if its call still runs."""
        entry = self.entry
        if entry is None or entry.frame is None:
            return entry
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if frame is entry.frame:
                return entry
            frame = frame.f_back
        return None

    @property
    def described(self) -> Flight | None:
        """The open call, if any row of it is described."""
        entry = self.entry
        return entry.flight if entry is not None and entry.flight is not None and entry.flight.rows else None


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
"""What happens before a call; None for a call that is none of ours."""


class Watching:
    """One watched model.

    Parameters
    ----------
    inputs : collection of str
        Names of the inputs that the model has; empty when any name may be declared.

    Attributes
    ----------
    open : Open
        Where hooks find the call while it runs.
    methods : dict of str to callable
        What the stand-in has in place of the model's methods.
    proxy : object
        The stand-in, once `stand_in` made it.

    Raises
    ------
    ConfigurationError
        `unknown_input` for a declared input that the model does not have.
    """

    proxy: Any = None

    def __init__(self, model: Any, site: Site, inputs: Collection[str] = ()) -> None:
        self.model = model
        self.site = site
        self.open = Open()
        for name in site.inputs or ():
            if inputs and name not in inputs:
                raise ConfigurationError(
                    "unknown_input",
                    f"a {type(model).__name__} has no input {name!r}",
                    where="inputs",
                    fix=f"name one of {', '.join(inputs)}",
                )

    def session(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        count: int,
        columns: Callable[[], Iterable[Described]],
        read: Callable[[Flight, Any], Answers],
    ) -> Session:
        """The session of a call of `count` rows: `columns` gives its inputs, `read` its answers."""
        return Session(args, kwargs, begin(self.site, count, columns, args, kwargs), read)

    def stand_in(self, methods: Mapping[str, Enter], giving_itself: Iterable[str] = ()) -> None:
        """Make a proxy of the model with these methods watched; where a method gives the model itself, it gives the proxy."""
        model = self.model
        self.methods = {name: self._around(self._method(name), enter) for name, enter in methods.items()}
        self.methods |= {name: self._own(name) for name in giving_itself if callable(getattr(type(model), name, None))}
        self.proxy = make_proxy(model, self.methods, self.site)

    def _method(self, name: str) -> Callable[..., Any]:
        """The model's method, looked up at each call: one that this model lacks fails as it does without us."""
        model: Any = self.model
        if name == "__call__":
            return model  # type: ignore[no-any-return]

        @functools.wraps(getattr(type(model), name))
        def call(*args: Any, **kwargs: Any) -> Any:
            return getattr(model, name)(*args, **kwargs)

        return call

    def _own(self, name: str) -> Callable[..., Any]:
        original = getattr(self.model, name)

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            return self.proxy if result is self.model else result

        return call

    def _begun(self, enter: Enter, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Session | None:
        session = enter(args, kwargs) if self.site.live else None
        if session is not None:
            session.outer, self.open.entry = self.open.entry, Entry(session.flight, None)
        return session

    def _ended(self, session: Session | None, result: Any, error: BaseException | None) -> Any:
        if session is None:
            return result
        self.open.entry = session.outer
        return session.leave(result, error)

    def _around(self, method: Callable[..., Any], enter: Enter) -> Callable[..., Any]:
        # Every statement of ours stands in a `try`: whatever breaks, the host gets its own result or its own exception.
        @functools.wraps(method)
        def watched(*args: Any, **kwargs: Any) -> Any:
            session: Session | None = None
            try:
                session = self._begun(enter, args, kwargs)
                if session is not None:
                    args, kwargs = session.args, session.kwargs
            except Exception as fault:
                self._not_counted(None, "begin_failed", fault)
            try:
                result = method(*args, **kwargs)
            except BaseException as error:
                try:
                    self._ended(session, None, error)
                except Exception as fault:
                    self._not_counted(session, "finish_failed", fault)
                raise
            try:
                return self._ended(session, result, None)
            except Exception as fault:
                self._not_counted(session, "finish_failed", fault)
            return result

        return watched

    def _not_counted(self, session: Session | None, reason: str, fault: Exception) -> None:
        """The agent failed around a call: it counts, without its record."""
        self.site.recorder.faults.note(reason, fault)
        if session is None:
            self.site.recorder.fail()
        elif session.flight is not None:
            session.flight.give_up()
