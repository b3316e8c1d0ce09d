"""ASGI applications (FastAPI, Starlette, any other): one record for each request that carries inputs.

The middleware passes every message on as it comes. Of a request that was chosen it keeps a bounded copy of what the
application itself reads and sends, and the worker takes that copy apart: a body that the handler ignores is not seen,
and nothing waits for anything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from auditor.adapters.parts import generated, payload_of, payloads
from auditor.adapters.proxy import make_proxy
from auditor.adapters.web.bodies import answer_of, is_read, request_parts
from auditor.agent.call import Call
from auditor.agent.shield import nothing, sheltered, shield
from auditor.agent.site import Site
from auditor.agent.stream import Watch as Steps
from auditor.agent.stream import awaited
from auditor.core.errors import ConfigurationError

if TYPE_CHECKING:
    from auditor.agent.agent import Agent

OPTIONS = frozenset({"paths", "max_body"})
MAX_BODY = 8 << 20
"""Bytes of a request that are copied at most."""
MAX_ANSWER = 1 << 20
FLUSH_S = 2.0
"""Seconds that the end of an application waits for what is left."""
_METHODS = ("POST", "PUT", "PATCH")

Message = dict[str, Any]


def watch(model: Any, site: Site) -> Any:
    """The application's stand-in, for the server to run; routes may still be added to it, or to the original."""
    return make_proxy(model, {"__call__": _Served(model, site).__call__}, site)


class _Served:
    """An application, each of whose requests passes by the site."""

    def __init__(self, app: Any, site: Site) -> None:
        self.app = app
        self.site = site
        self.faults = site.recorder.faults
        self.paths = _paths(site.options.get("paths"))
        self.max_body = int(site.options.get("max_body", MAX_BODY))

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        if self._is_lifespan(scope):
            await self.app(scope, receive, self._last(send))
            return
        watch = self._begun(scope)
        if watch is None:
            await self.app(scope, receive, send)
        elif watch.exchange is None:  # counted, not described
            await awaited(self._run(scope, receive, send), watch)
        else:
            exchange = watch.exchange
            await awaited(self._run(scope, exchange.receiver(receive), exchange.sender(send, watch)), watch)

    def _last(self, send: Callable[[Message], Any]) -> Callable[[Message], Any]:
        """Flush before the server hears that the application is shut down: many servers end the process by a signal then."""

        async def sent(message: Message) -> None:
            self._flushed_at(message)
            await send(message)

        return sent

    @sheltered("flush_failed", nothing)
    def _flushed_at(self, message: Message) -> None:
        flush = self.site.recorder.flush
        if flush is not None and message["type"].startswith("lifespan.shutdown."):
            flush(FLUSH_S)  # nothing else runs in this application any more

    @sheltered("begin_failed", lambda self, scope: False)
    def _is_lifespan(self, scope: Message) -> bool:
        return bool(scope["type"] == "lifespan")

    async def _run(self, scope: Message, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)

    def _begun(self, scope: Message) -> _Watch | None:
        """The watch of a request that carries inputs; None for any other."""
        try:
            site = self.site
            if scope["type"] != "http" or scope["method"] not in _METHODS or not self._is_meant(scope["path"]):
                return None
            headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
            if not is_read(headers.get("content-type", "")):
                return None
            call = site.begin((), {})
            exchange = None
            if type(call) is Call:
                exchange = call.split = _Exchange(site, headers.get("content-type", ""), self.max_body)
                self._group(call, headers)
            return _Watch(site, call, perf_counter(), exchange)
        except Exception as error:
            self.site.recorder.faults.note("begin_failed", error)
        return _Watch(self.site, None, 0.0, None)

    def _is_meant(self, path: str) -> bool:
        if self.paths is None:
            return True
        return any(path.startswith(said[:-1]) if said.endswith("*") else path == said for said in self.paths)

    def _group(self, call: Call, headers: Mapping[str, str]) -> None:
        groups = self.site.groups
        if groups is not None:
            with shield(self.site.recorder.faults, "groups_unreadable"):
                known = {name.replace("-", "_"): value for name, value in headers.items()}
                call.groups = {**(groups(**known) if callable(groups) else groups), **(call.groups or {})}


class Watch(_Served):
    """The same as a middleware: `app.add_middleware(Watch, agent=agent)`, or `Watch(app, agent)` for any ASGI callable.

    Parameters
    ----------
    app : ASGI application
    agent : Agent
    paths : collection of str, optional
        Which requests are inferences, by path; a last `*` stands for any ending. Absent: every POST, PUT and PATCH with
        a JSON, form or media body.
    max_body : int
        Bytes of a request that are copied at most; what is beyond is recorded as `too_large`.
    inputs, output, version, encoder, scores, groups, extract
        As in `agent.watch`. Inputs are named after parts of a form or keys (dotted paths) of a JSON body; `groups` as a
        callable gets the request's headers as keyword arguments, with `_` for `-`; `extract` gets the decoded JSON of
        the answer, and runs in the worker.
    """

    def __init__(
        self,
        app: Any,
        agent: Agent,
        *,
        paths: Collection[str] | None = None,
        max_body: int = MAX_BODY,
        **options: Any,
    ) -> None:
        super().__init__(app, agent.site(options={"paths": paths, "max_body": max_body}, **options))


def _paths(said: Any) -> tuple[str, ...] | None:
    if said is None:
        return None
    if isinstance(said, str) or not all(isinstance(path, str) for path in said):
        raise ConfigurationError("bad_paths", f"{said!r} is no list of paths", where="paths", fix='give ["/predict"]')
    return tuple(said)


class _Watch(Steps):
    """One request, until its answer is sent: what the application still does then is not the model's latency."""

    __slots__ = ("exchange",)

    def __init__(self, site: Site, call: Any, began: float, exchange: _Exchange | None) -> None:
        super().__init__(site, call, began)
        self.exchange = exchange

    @sheltered("step_failed", lambda self, *args, **kwargs: self.given_up(None))
    def end(self, result: Any = None, error: BaseException | None = None) -> None:
        if self.exchange is not None and not self._ended:
            self.exchange.settle(self.call, error)
        super().end(result, error)

    def answered(self) -> None:
        """The last byte is sent, inside a step."""
        self.step_out()
        self.end()
        self.step_in()


class _Exchange:
    """Bounded copies of a request and its answer; `Call.split` of the request's call."""

    def __init__(self, site: Site, header: str, limit: int) -> None:
        self.faults = site.recorder.faults
        self._site = site
        self._header = header
        self._limit = limit
        self._room = MAX_ANSWER
        self._asked: list[bytes] = []
        self._answered: list[bytes] = []
        self._ended = False  # the request: the application has read it all
        self._cut = False
        self._complete = False  # the answer: its last byte was handed over
        self._gone = False
        self._first: float | None = None
        self._status = 0
        self._type = ""

    # -- on the caller's event loop -----------------------------------------------------------------------------------

    def receiver(self, receive: Callable[[], Any]) -> Callable[[], Any]:
        async def received() -> Message:
            message: Message = await receive()
            self._asks(message)
            return message

        return received

    def sender(self, send: Callable[[Message], Any], watch: _Watch) -> Callable[[Message], Any]:
        async def sent(message: Message) -> None:
            await send(message)
            self._answers(message, watch)

        return sent

    @sheltered("step_failed", nothing)
    def _asks(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            self._gone = self._gone or not self._complete
        elif message["type"] == "http.request":
            body = message.get("body", b"")
            self._ended = not message.get("more_body", False)
            if body and self._limit > 0:
                self._asked.append(bytes(body[: self._limit]))
            self._limit -= len(body)
            self._cut = self._limit < 0

    @sheltered("step_failed", nothing)
    def _answers(self, message: Message, watch: _Watch) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            types = [value for key, value in message.get("headers", ()) if key.lower() == b"content-type"]
            self._type = types[0].decode("latin-1") if types else ""
        elif message["type"] == "http.response.body":
            body = message.get("body", b"")
            more = message.get("more_body", False)
            if self._first is None and body and more:
                self._first = perf_counter() - watch.began
            if body and self._room > 0:
                self._answered.append(bytes(body[: self._room]))
            self._room -= len(body)
            if not more:
                self._complete = True
                watch.answered()

    def settle(self, call: Call, error: BaseException | None) -> None:
        """What can be said at once, before the call is handed over."""
        call.found = {}
        call.size += sum(map(len, self._asked)) + sum(map(len, self._answered))
        call.first_token_s = self._first
        if not self._complete and (self._gone or error is None):
            call.finish = "abandoned"
        if self._status >= 400:
            call.error = f"http_{self._status}"

    # -- in the worker ------------------------------------------------------------------------------------------------

    def __call__(self, call: Call) -> list[Call]:
        """The call, with what the request held and what the answer said."""
        specs = self._site.inputs
        lacking = "too_large" if self._cut else None if self._ended else "unread"
        call.payloads = payloads(request_parts(self._header, b"".join(self._asked), lacking, specs), specs)
        if call.error is None:
            with shield(self.faults, "answer_unreadable"):
                whole = self._complete and self._room >= 0
                found = answer_of(self._type, b"".join(self._answered), whole, self._site.answer)
                call.payloads += [payload_of(part) for part in generated(found.pop("generated", None) or ())]
                call.found = {key: value for key, value in found.items() if value is not None}
        return [call]
