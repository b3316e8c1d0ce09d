"""An error at the N-th executed line of the agent, for every N, reaches no caller of a client, model or application."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from injection import Injector

import auditor
from auditor.adapters.tables import pyfunc
from auditor.adapters.web import asgi
from auditor.agent.site import Site
from auditor.agent.transport import MemoryTransport

Scenario = Callable[[Any], list[Callable[[], None]]]
"""Prepares a watched thing; what it gives back is what the host does, one thing at a time."""


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


@functools.cache
def openai_clients() -> tuple[Any, Any]:
    """A client and an asynchronous one, with answers made in this process."""
    openai = pytest.importorskip("openai", reason="openai is not installed")
    httpx2 = pytest.importorskip("httpx2", reason="httpx2 is not installed")

    def handler(request: Any) -> Any:
        body = json.loads(request.content)
        head = {"id": "c", "created": 1, "model": "m-1"}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "two cats"}
            return httpx2.Response(
                200, json={**head, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
            )
        chunk = {**head, "choices": [{"index": 0, "delta": {"content": "two"}}]}
        return httpx2.Response(
            200,
            content=f"data: {json.dumps(chunk)}\n\n" * 2 + "data: [DONE]\n\n",
            headers={"content-type": "text/event-stream"},
        )

    options: dict[str, Any] = {"base_url": "http://test/v1", "api_key": "x"}
    return (
        openai.OpenAI(http_client=httpx2.Client(transport=httpx2.MockTransport(handler)), **options),
        openai.AsyncOpenAI(http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(handler)), **options),
    )


def openai_client(agent: Any) -> list[Callable[[], None]]:
    client, slow = openai_clients()
    watched, slow_watched = agent.watch(client, groups={"site": "n"}), agent.watch(slow)
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "hi"}]}]

    async def asked() -> None:
        answer = await slow_watched.chat.completions.create(model="m", messages=messages)
        assert answer.choices[0].message.content == "two cats"

    async def streamed() -> None:
        stream = await slow_watched.chat.completions.create(model="m", messages=messages, stream=True)
        assert len([chunk async for chunk in stream]) == 2

    def ask() -> None:
        answer = watched.chat.completions.create(model="m", messages=messages)
        assert answer.choices[0].message.content == "two cats"

    def stream() -> None:
        assert len(list(watched.chat.completions.create(model="m", messages=messages, stream=True))) == 2

    def leave() -> None:
        with watched.chat.completions.create(model="m", messages=messages, stream=True) as stream:
            next(stream)

    def raw() -> None:
        answer = watched.chat.completions.with_raw_response.create(model="m", messages=messages)
        assert answer.parse().choices[0].message.content == "two cats"

    return [ask, stream, leave, raw, lambda: run(asked()), lambda: run(streamed())]


def pyfunc_model(agent: Any) -> list[Callable[[], None]]:
    class Model:
        def predict(self, data: Any, params: Any = None) -> Any:
            return [entry["age"] > 40 for entry in data]

    watched = pyfunc.watch(Model(), Site(agent._recorder, output="label", groups={"site": "n"}))

    def host() -> None:
        assert watched.predict([{"age": 41, "note": "hi"}, {"age": 1, "note": None}]) == [True, False]
        with pytest.raises(TypeError):
            watched.predict(7)

    return [host]


def asgi_app(agent: Any) -> list[Callable[[], None]]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b'{"label": "cat"}'})

    watched = asgi.Watch(app, agent, groups=lambda **headers: {"kind": headers["content_type"]})
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", b"application/json")]}

    async def call() -> list[str]:
        sent: list[str] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b'{"note": "hi"}', "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await watched(scope, receive, send)
        return sent

    def host() -> None:
        assert run(call()) == ["http.response.start", "http.response.body"]

    return [host]


def genai_models(agent: Any) -> list[Callable[[], None]]:
    """The adapter on objects of the library's shapes: the real client takes too long for hundreds of runs."""
    from auditor.adapters.apis import genai

    class Models:
        def generate_content(self, *, model: str, contents: Any, config: Any = None) -> Any:
            part = SimpleNamespace(text="two cats", thought=None, inline_data=None)
            candidate = SimpleNamespace(content=SimpleNamespace(parts=[part]), finish_reason="STOP")
            return SimpleNamespace(
                candidates=[candidate], model_version="g-1", usage_metadata=None, prompt_feedback=None
            )

        def generate_content_stream(self, *, model: str, contents: Any, config: Any = None) -> Any:
            return [self.generate_content(model=model, contents=contents)]

        embed_content = generate_content

    class Chats:
        def __init__(self, modules: Any) -> None:
            self.modules = modules

    models = Models()
    client = SimpleNamespace(
        models=models, chats=Chats(models), aio=SimpleNamespace(models=models, chats=Chats(models))
    )
    watched = genai.watch(client, Site(agent._recorder))

    def host() -> None:
        answer = watched.models.generate_content(
            model="g", contents=["hi", {"inline_data": {"data": b"x", "mime_type": "image/png"}}]
        )
        assert answer.candidates[0].finish_reason == "STOP"

    return [host]


def attempt(scenario: Scenario, step: int, at: Any) -> Injector:
    """One run with one error; the books balance afterwards, and the agent still works."""
    transport = MemoryTransport()
    agent = auditor.Agent("m", transport=transport, describe="all")
    host = scenario(agent)[step]
    injector = Injector(at, ZeroDivisionError, rooms=("adapters",))
    try:
        with injector.tracing():
            host()
    except BaseException as escaped:
        raise AssertionError(f"line {at} ({injector.where}) reached the host") from escaped
    agent.watch(lambda note: "yes")("afterwards")
    assert agent.flush(10), injector.where
    stats = agent.stats()
    assert stats["seen"] == stats["delivered"] + stats["queued"] + sum(stats["dropped"].values()), injector.where
    if injector.where:
        noticed = sum(stats["internal_errors"].values()) + stats["dropped"].get("internal_error", 0)
        noticed += sum(b'"unreadable"' in payload for payload in transport.of("record"))
        assert noticed, f"{injector.where} left no trace"
    agent.close(5)
    return injector


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("scenario", [openai_client, pyfunc_model, asgi_app, genai_models])
def test_no_line_of_the_adapter_can_hurt_the_host(scenario: Scenario, swallowed: Any) -> None:
    swallowed.expect()
    seen: set[tuple[str, int]] = set()
    for step in range(len(scenario(auditor.Agent("m", transport=MemoryTransport())))):
        calm = attempt(scenario, step, 0)
        for place in calm.first.keys() - seen:  # each line once, at its first execution
            attempt(scenario, step, place)
        seen |= calm.first.keys()
    assert len(seen) > 20
