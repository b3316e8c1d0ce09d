"""Calls that end later than they return: coroutines and streams, timed step by step.

Every method here is sheltered: the drivers below call them between the steps of the host's own code.
"""

from __future__ import annotations

import types
from collections.abc import AsyncGenerator, Callable, Generator
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any

from auditor.agent.call import Call
from auditor.agent.shield import Faults, nothing, sheltered

if TYPE_CHECKING:
    from auditor.agent.site import Site

_MOST_ITEMS = 100_000
"""Items of one stream that are kept for the answer."""


class Steps:
    """CPU seconds of the steps of something that runs in steps.

    Parameters
    ----------
    faults : Faults
    total : Watch, optional
        Whose CPU seconds the steps add to; absent: its own.
    """

    __slots__ = ("_step", "_total", "cpu", "faults")

    def __init__(self, faults: Faults, total: Watch | None = None) -> None:
        self.faults = faults
        self.cpu = 0.0
        self._step = 0.0
        self._total = total

    @sheltered("step_failed", nothing)
    def step_in(self) -> None:
        """The call's own code is about to run on this thread."""
        self._step = thread_time()

    @sheltered("step_failed", nothing)
    def step_out(self) -> None:
        """It stopped, for now."""
        spent = thread_time() - self._step
        self.cpu += spent
        if self._total is not None:
            self._total.cpu += spent

    def item(self, value: Any) -> None:
        """A step gave something."""

    def returned(self, result: Any) -> Any:
        """The last step returned: what the caller gets."""
        return result

    def end(self, result: Any = None, error: BaseException | None = None) -> None:
        """Nothing more comes."""

    def leave(self) -> None:
        """The caller wants no more."""


class Watch(Steps):
    """One watched call that runs in steps.

    Attributes
    ----------
    first : float or None
        Seconds to the first item of a stream.
    items : list or None
        The stream's items, for the answer; None for a coroutine.
    left : bool
        The caller closed the stream before its end.
    """

    __slots__ = ("_ended", "began", "call", "first", "items", "left", "site")

    def __init__(self, site: Site, call: Any, began: float) -> None:
        super().__init__(site.recorder.faults)
        self.site = site
        self.call = call
        self.began = began
        self.first: float | None = None
        self.items: list[Any] | None = None
        self.left = False
        self._ended = False

    @sheltered("step_failed", lambda self: self)
    def streaming(self) -> Watch:
        """The same watch, for a call whose items are the answer."""
        self.items = []
        return self

    @sheltered("step_failed", nothing)
    def item(self, value: Any) -> None:
        if self.items is None:  # what a coroutine hands to its event loop
            return
        if self.first is None:
            self.first = perf_counter() - self.began
        if type(self.call) is Call and len(self.items) < _MOST_ITEMS:
            self.items.append(value)

    @sheltered("step_failed", lambda self, result: self.given_up(result))
    def returned(self, result: Any) -> Any:
        if self.items is None and type(result) in (types.GeneratorType, types.AsyncGeneratorType):
            return handed_on(result, self)
        self.end(result)
        return result

    @sheltered("step_failed", lambda self, *args, **kwargs: self.given_up(None))
    def end(self, result: Any = None, error: BaseException | None = None) -> None:
        if self._ended:
            return
        self._ended = True
        self.site.finish(self.call, self.began, result, error, self)

    @sheltered("step_failed", lambda self: self.given_up(None))
    def leave(self) -> None:
        self.left = True
        self.end(error=None if self.items is not None else GeneratorExit())

    def given_up(self, result: Any) -> Any:
        """The agent failed at the end of the call: it counts, without its record."""
        self._ended = True
        self.site.recorder.fail()
        return result


def started(site: Site, args: tuple[Any, ...], kwargs: Any) -> Watch:
    """The watch of a call that begins now."""
    try:
        return Watch(site, site.begin(args, kwargs), perf_counter())
    except Exception as error:
        site.recorder.faults.note("begin_failed", error)
    return Watch(site, None, 0.0)


def async_generator(function: Callable[..., Any], site: Site, given: Watch | None = None) -> Callable[..., Any]:
    """An async generator function with its calls watched; `given` is the watch of one whose call has begun."""

    async def watched(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        watch = given or started(site, args, kwargs).streaming()
        stream = function(*args, **kwargs)
        step, value = stream.asend, None
        while True:
            try:
                item = await awaited(step(value), Steps(watch.faults, watch))
            except StopAsyncIteration:
                watch.end()
                return
            except BaseException as error:
                watch.end(error=error)
                raise
            watch.item(item)
            try:
                value = yield item
                step = stream.asend
            except GeneratorExit:
                watch.leave()
                await stream.aclose()
                raise
            except BaseException as error:
                step, value = stream.athrow, error

    return watched


def drive(source: Any, watch: Steps) -> Generator[Any, Any, Any]:
    """Run a generator or coroutine step by step, timed; items, results and exceptions pass through untouched."""
    step, value = source.send, None
    while True:
        watch.step_in()
        try:
            item = step(value)
        except StopIteration as stop:
            watch.step_out()
            return watch.returned(stop.value)
        except BaseException as error:
            watch.step_out()
            watch.end(error=error)
            raise
        watch.step_out()
        watch.item(item)
        try:
            value = yield item
            step = source.send
        except GeneratorExit:
            watch.leave()
            source.close()
            raise
        except BaseException as error:
            step, value = source.throw, error


awaited = types.coroutine(drive)
"""`await awaited(coroutine, steps)`: the coroutine's result, with each of its steps timed."""


async def _coroutine(source: Any, watch: Watch) -> Any:
    return await awaited(source, watch)


def handed_on(result: Any, watch: Watch) -> Any:
    """A result that goes on working after it was returned, watched to its end."""
    if isinstance(result, types.CoroutineType):
        return _coroutine(result, watch)
    if isinstance(result, types.AsyncGeneratorType):
        return async_generator(lambda: result, watch.site, watch.streaming())()
    return drive(result, watch.streaming())


LATER = frozenset({types.GeneratorType, types.AsyncGeneratorType, types.CoroutineType})
"""Results that are still at work when a call returns."""
