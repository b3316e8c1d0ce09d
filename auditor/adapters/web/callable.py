"""Plain, async and generating callables, and objects that are called or that predict.

Whatever breaks in the agent's statements around the host's call, the host gets its own result or its own exception.
A thread's CPU clock counts only while this call runs: coroutines and generators are timed step by step.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Generator
from time import perf_counter
from typing import Any

from auditor.adapters.proxy import make_proxy
from auditor.agent.site import Site
from auditor.agent.stream import LATER, Watch, async_generator, awaited, drive, handed_on, started
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
        watched = async_generator(function, site)
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
                recorder.fail()
            raise
        try:
            if type(result) in LATER:
                return handed_on(result, Watch(site, call, began))
            finish(call, began, result)
        except Exception:
            recorder.fail()
        return result

    return watched


def _async(function: Callable[..., Any], site: Site) -> Callable[..., Any]:
    async def watched(*args: Any, **kwargs: Any) -> Any:
        return await awaited(function(*args, **kwargs), started(site, args, kwargs))

    return watched


def _generator(function: Callable[..., Any], site: Site) -> Callable[..., Any]:
    def watched(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return (yield from drive(function(*args, **kwargs), started(site, args, kwargs).streaming()))

    return watched
