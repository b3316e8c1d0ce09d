"""The `openai` clients, and with `base_url` any endpoint that speaks their language: one record for each request.

The watched client is of a subclass of the original's class, made on the spot, that looks at the one method through which
every resource sends (`request`). It shares the original's attributes, and `copy` and `with_options` make watched clients
because they make clients of its class. Streams and raw responses that come back are looked at in the same way.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
from collections.abc import AsyncIterator, Iterator
from time import perf_counter
from typing import Any

from auditor.adapters.apis.openai_endpoints import ENDPOINTS, Endpoint
from auditor.adapters.apis.request_site import RequestSite
from auditor.agent.shield import nothing, sheltered
from auditor.agent.site import Site
from auditor.agent.stream import Steps, Watch, awaited


def watch(model: Any, site: Site) -> Any:
    """The watched form of an `OpenAI` or `AsyncOpenAI` client."""
    kind = type(model)
    sites = {path: RequestSite(site, endpoint) for path, endpoint in ENDPOINTS.items()}
    ask = _async_request if inspect.iscoroutinefunction(kind.request) else _sync_request
    body: dict[str, Any] = {
        "__slots__": ("_auditor_original", "_auditor_resources"),
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__auditor_site__": site,
        "__wrapped__": property(lambda self: getattr(self, "_auditor_original", self)),
        "request": ask(kind, sites),
    }
    for base in reversed(kind.__mro__):
        for name, found in vars(base).items():
            if isinstance(found, functools.cached_property):
                body[name] = _own(name, found.func, site)
    watched: Any = object.__new__(type(kind.__name__, (kind,), body))
    watched.__dict__ = model.__dict__
    watched._auditor_original = model
    return watched


def _own(name: str, make: Any, site: Site) -> property:
    """A resource that the watched client keeps for itself: the attributes that it shares hold the original's."""

    def resources(client: Any) -> dict[str, Any]:
        try:
            found: dict[str, Any] = client._auditor_resources
        except AttributeError:
            found = client._auditor_resources = {}
        return found

    def read(client: Any) -> Any:
        try:
            own = resources(client)
            found = own.get(name)
        except Exception as error:
            site.recorder.faults.note("attribute_failed", error)
            own, found = {}, None
        if found is None:
            found = own[name] = make(client)
        return found

    def write(client: Any, value: Any) -> None:
        resources(client)[name] = value

    return property(read, write)


def _sync_request(kind: Any, sites: dict[str, RequestSite]) -> Any:
    @functools.wraps(kind.request)
    def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        watch = _begun(sites, options)
        if watch is None:
            return kind.request(self, cast_to, options, *args, **kwargs)
        watch.step_in()
        try:
            result = kind.request(self, cast_to, options, *args, **kwargs)
        except BaseException as error:
            watch.step_out()
            watch.end(error=error)
            raise
        watch.step_out()
        return watch.returned(result)

    return request


def _async_request(kind: Any, sites: dict[str, RequestSite]) -> Any:
    @functools.wraps(kind.request)
    async def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        watch = _begun(sites, options)
        if watch is None:
            return await kind.request(self, cast_to, options, *args, **kwargs)
        return await awaited(kind.request(self, cast_to, options, *args, **kwargs), watch)

    return request


def _begun(sites: dict[str, RequestSite], options: Any) -> _RequestWatch | None:
    """The watch of a request to a model; None for any other request (files, lists of models, ...)."""
    try:
        site = sites.get(options.url) if str(options.method).lower() == "post" else None
        return None if site is None else _RequestWatch(site, site.begin((options,), {}), perf_counter())
    except Exception as error:
        blind = sites.get(options.url) or sites["/chat/completions"]
        blind.recorder.faults.note("begin_failed", error)
    return _RequestWatch(blind, None, 0.0)


class _RequestWatch(Watch):
    """One request, until its answer, its stream or its raw response is read."""

    __slots__ = ()

    @sheltered("step_failed", lambda self, result: self.given_up(result))
    def returned(self, result: Any) -> Any:
        held = getattr(result, "__dict__", ())  # asking a pydantic model for what it lacks is slow
        if "_iterator" in held:
            return _watched_stream(result, self)
        if "http_response" in held and "_parsed_by_type" in held:
            return self._raw(result)
        self.end(result)
        return result

    def _raw(self, response: Any) -> Any:
        """A raw response: parsed here when that reads nothing from the network, else when the caller does."""
        if not hasattr(response, "close"):  # `with_raw_response`: the body is here; parsed objects are kept by it
            try:
                parsed = response.parse()
            except Exception:  # the caller's own `parse` will say so; the call counts, without its answer
                parsed = None
            if "_iterator" in getattr(parsed, "__dict__", ()):
                _watched_stream(parsed, self)
            else:
                self.end(parsed)
            return response
        response._auditor_watch = self
        response.__class__ = _watched_response(type(response))  # type: ignore[arg-type]
        return response

    @sheltered("step_failed", nothing)
    def item(self, value: Any) -> None:
        first = self.first
        super().item(value)
        endpoint = self.site.reader if isinstance(self.site, RequestSite) else None
        if first is None and isinstance(endpoint, Endpoint) and not endpoint.speaks(value):
            self.first = None  # the head of a stream is no token


def _watched_stream(stream: Any, watch: Watch) -> Any:
    """The same stream: its items pass by the watch, and closing it ends the call."""
    if isinstance(stream._iterator, (_Items, _AsyncItems)):
        return stream
    watch.streaming()
    is_async = hasattr(stream._iterator, "__anext__")
    stream._iterator = (_AsyncItems if is_async else _Items)(stream._iterator, watch)
    stream.__class__ = _closing(type(stream))  # type: ignore[arg-type]
    return stream


class _Items:
    """The items of a stream, untouched. One that is dropped half-way is over."""

    def __init__(self, source: Iterator[Any], watch: Watch) -> None:
        self._source = source
        self.watch = watch

    def __iter__(self) -> _Items:
        return self

    def __next__(self) -> Any:
        self.watch.step_in()
        try:
            item = next(self._source)
        except StopIteration:
            self.watch.step_out()
            self.watch.end()
            raise
        except BaseException as error:
            self.watch.step_out()
            self.watch.end(error=error)
            raise
        self.watch.step_out()
        self.watch.item(item)
        return item

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # one that was never quite made
            self.watch.leave()


class _AsyncItems:
    """The same for an asynchronous stream."""

    def __init__(self, source: AsyncIterator[Any], watch: Watch) -> None:
        self._source = source
        self.watch = watch

    def __aiter__(self) -> _AsyncItems:
        return self

    async def __anext__(self) -> Any:
        try:
            item = await awaited(self._source.__anext__(), Steps(self.watch.faults, self.watch))
        except StopAsyncIteration:
            self.watch.end()
            raise
        except BaseException as error:
            self.watch.end(error=error)
            raise
        self.watch.item(item)
        return item

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # one that was never quite made
            self.watch.leave()


@functools.cache  # one class for each of the library's
def _closing(kind: Any) -> Any:
    """The stream's class, whose `close` also ends the call."""

    def close(self: Any) -> None:
        self._iterator.watch.leave()
        kind.close(self)

    async def async_close(self: Any) -> None:
        self._iterator.watch.leave()
        await kind.close(self)

    return _subclass(kind, close=async_close if inspect.iscoroutinefunction(kind.close) else close)


@functools.cache
def _watched_response(kind: Any) -> Any:
    """The class of a streamed raw response: parsing it gives the answer, closing it ends the call."""

    def parsed(self: Any, result: Any) -> Any:
        watch: Watch = self._auditor_watch
        return watch.returned(result)

    def parse(self: Any, **kwargs: Any) -> Any:
        return parsed(self, kind.parse(self, **kwargs))

    def close(self: Any) -> None:
        kind.close(self)
        self._auditor_watch.end()

    async def async_parse(self: Any, **kwargs: Any) -> Any:
        return parsed(self, await kind.parse(self, **kwargs))

    async def async_close(self: Any) -> None:
        await kind.close(self)
        self._auditor_watch.end()

    if inspect.iscoroutinefunction(kind.parse):
        return _subclass(kind, parse=async_parse, close=async_close)
    return _subclass(kind, parse=parse, close=close)


def _subclass(kind: type, **methods: Any) -> type:
    def fill(body: dict[str, Any]) -> None:
        body.update(
            {name: functools.wraps(getattr(kind, name))(method) for name, method in methods.items()},
            __module__=kind.__module__,
            __qualname__=kind.__qualname__,
            __doc__=kind.__doc__,
        )

    return types.new_class(kind.__name__, (kind,), exec_body=fill)
