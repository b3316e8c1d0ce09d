"""Plain, async and generating callables, and objects that are called or that predict.

Whatever breaks in the agent's statements around the host's call, the host gets its own result or its own exception.
A thread's CPU clock counts only while this call runs: coroutines and generators are timed step by step.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import AsyncGenerator, Callable, Generator
from time import perf_counter
from typing import Any

from auditor.capture.adapters.proxy import make_proxy
from auditor.capture.site import Site
from auditor.capture.stream import Steps, Watch, started
from auditor.core.errors import ConfigurationError

METHODS = ("__call__", "predict", "generate")
"""What is watched of an object that is no function: the first that it has."""


def watch(model: Any, site: Site) -> Any:
    """A function's wrapper, or a stand-in for an object; ConfigurationError for what cannot be called."""
    if isinstance(model, type):
        raise ConfigurationError(
            "not_watchable", f"{model.__name__} is a class", where="watch", fix="watch an instance of it"
        )
    if isinstance(model, types.FunctionType):
        return wrap(model, site.bound_to(model))
    for name in METHODS:
        method = getattr(model, name, None) if hasattr(type(model), name) else None
        if callable(method):
            return make_proxy(model, {name: wrap(method, site.bound_to(model if name == "__call__" else method))}, site)
    raise ConfigurationError(
        "not_watchable",
        f"a {type(model).__name__} cannot be called and does not predict",
        where="watch",
        fix=f"watch a callable, or an object with one of {', '.join(METHODS)}",
    )


def wrap(function: Callable[..., Any], site: Site) -> Callable[..., Any]:
    """The function with its calls watched, of the same kind (sync, async, generator, async generator)."""
    if inspect.iscoroutinefunction(function):
        watched = _async(function, site)
    elif inspect.isasyncgenfunction(function):
        watched = _async_generator(function, site)
    elif inspect.isgeneratorfunction(function):
        watched = _generator(function, site)
    else:
        watched = _sync(function, site)
    watched = functools.wraps(function)(watched)
    watched.__auditor_site__ = site  # type: ignore[attr-defined]
    return watched


def _sync(function: Callable[..., Any], site: Site) -> Callable[..., Any]:
    begin, finish, recorder = site.begin, site.finish, site.recorder

    def watched(*args: Any, **kwargs: Any) -> Any:
        try:
            call = begin(args, kwargs)
            began = perf_counter()
        except Exception:
            call, began = None, 0.0
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            try:
                finish(call, began, None, error)
            except Exception:
                recorder.blind += 1
            raise
        try:
            if type(result) in _LATER:
                return handed_on(result, Watch(site, call, began))
            finish(call, began, result)
        except Exception:
            recorder.blind += 1
        return result

    return watched


def _async(function: Callable[..., Any], site: Site) -> Callable[..., Any]:
    async def watched(*args: Any, **kwargs: Any) -> Any:
        return await awaited(function(*args, **kwargs), started(site, args, kwargs))

    return watched


def _generator(function: Callable[..., Any], site: Site) -> Callable[..., Any]:
    def watched(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return (yield from _drive(function(*args, **kwargs), started(site, args, kwargs).streaming()))

    return watched


def _async_generator(function: Callable[..., Any], site: Site, given: Watch | None = None) -> Callable[..., Any]:
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


def _drive(source: Any, watch: Steps) -> Generator[Any, Any, Any]:
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


awaited = types.coroutine(_drive)
"""`await awaited(coroutine, steps)`: the coroutine's result, with each of its steps timed."""


async def _coroutine(source: Any, watch: Watch) -> Any:
    return await awaited(source, watch)


def handed_on(result: Any, watch: Watch) -> Any:
    """A result that goes on working after it was returned, watched to its end."""
    if isinstance(result, types.CoroutineType):
        return _coroutine(result, watch)
    if isinstance(result, types.AsyncGeneratorType):
        return _async_generator(lambda: result, watch.site, watch.streaming())()
    return _drive(result, watch.streaming())


_LATER = frozenset({types.GeneratorType, types.AsyncGeneratorType, types.CoroutineType})
