"""ASGI applications, watched: FastAPI and Starlette behind a real server, and bare callables."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from typing import Any

import pytest

fastapi = pytest.importorskip("fastapi", reason="fastapi is not installed")
httpx = pytest.importorskip("httpx", reason="httpx is not installed")
pytest.importorskip("python_multipart", reason="python-multipart is not installed")

from provider_server import base64_of, data_uri, png, serving, wav  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.background import BackgroundTask  # noqa: E402
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse  # noqa: E402
from starlette.routing import Route  # noqa: E402

from auditor.adapters.web import asgi, bodies  # noqa: E402
from auditor.core.errors import ConfigurationError  # noqa: E402


def inputs(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in record["inputs"]}


async def upload(request: Any) -> Response:
    form = await request.form()
    sizes = {name: len(await part.read()) if hasattr(part, "read") else part for name, part in form.multi_items()}
    await form.close()
    return JSONResponse({"label": "cat", "scores": [0.9, 0.1], "sizes": sizes})


async def predict(request: Any) -> Response:
    body = await request.json()
    return JSONResponse({"label": "cat", "got": sorted(body)})


async def measure(request: Any) -> Response:
    digest, count = hashlib.sha256(), 0
    async for chunk in request.stream():
        digest.update(chunk)
        count += len(chunk)
    return JSONResponse({"count": count, "digest": digest.hexdigest()})


async def tell(request: Any) -> Response:
    await request.body()

    async def events() -> Any:
        for word in ("two", " cats", " sleep"):
            yield f"data: {word}\n\n"
            await asyncio.sleep(0.05)
        yield "data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def chat(request: Any) -> Response:
    await request.body()

    async def events() -> Any:
        for delta, finish in (({"content": "two"}, None), ({"content": " cats"}, "stop")):
            yield f"data: {json.dumps({'choices': [{'delta': delta, 'finish_reason': finish}]})}\r\n\r\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def ignore(request: Any) -> Response:
    return JSONResponse({"label": "none"})


async def fail(request: Any) -> Response:
    raise ValueError("the handler's own")


async def refuse(request: Any) -> Response:
    await request.body()
    return JSONResponse({"detail": "no"}, 422)


async def later(request: Any) -> Response:
    await request.body()
    return JSONResponse({"label": "cat"}, background=BackgroundTask(asyncio.sleep, 1.0))


async def draw(request: Any) -> Response:
    await request.body()
    return Response(png(8, 8), media_type="image/png")


async def say(request: Any) -> Response:
    return PlainTextResponse("seven" if await request.body() else "nothing")


HANDLERS = (upload, predict, measure, tell, chat, ignore, fail, refuse, later, draw, say)


def make_app() -> Starlette:
    return Starlette(routes=[Route(f"/{handler.__name__}", handler, methods=["POST", "GET"]) for handler in HANDLERS])


@pytest.fixture
def agent(make_agent):
    return make_agent()


@contextlib.contextmanager
def calling(app: Any):
    with serving(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


# -- the application is the application -------------------------------------------------------------------------------


def test_it_passes_for_the_original(agent) -> None:
    app = fastapi.FastAPI(title="reader")
    watched = agent.watch(app)
    assert isinstance(watched, fastapi.FastAPI)
    assert watched.title == "reader"
    assert watched.state is app.state

    @watched.post("/read")
    def read(body: dict[str, Any]) -> dict[str, Any]:
        return {"label": "cat"}

    assert any(getattr(route, "path", "") == "/read" for route in app.routes)
    assert agent.unwatch(watched) is app


def test_fastapi_behind_a_server(agent, records) -> None:
    app = agent.watch(fastapi.FastAPI(), inputs={"photo": "image", "note": "text"}, groups={"site": "north"})

    @app.post("/read")
    async def read(photo: fastapi.UploadFile, note: str = fastapi.Form()) -> dict[str, Any]:
        return {"label": "cat", "scores": [0.9, 0.1], "size": len(await photo.read())}

    with calling(app) as client:
        answer = client.post("/read", files={"photo": ("a.png", png(6, 5), "image/png")}, data={"note": "my cat"})
        assert answer.json()["size"] == len(png(6, 5))
        assert client.get("/docs").status_code == 200
    (record,) = records(agent)
    found = inputs(record)
    assert found["photo"]["descriptors"]["width"] == 6
    assert found["note"]["descriptors"]["words"] == 2
    assert record["output"] == {"label": "cat", "scores": [0.9, 0.1]}
    assert record["groups"] == {"site": "north"}
    assert record["latency_s"] > 0


def test_as_a_middleware(agent, records) -> None:
    app = fastapi.FastAPI()
    app.add_middleware(asgi.Watch, agent=agent, paths=["/read", "/v2/*"])
    for path in ("/read", "/v2/read", "/other"):

        @app.post(path)
        async def read(body: dict[str, Any]) -> dict[str, Any]:
            return {"label": "cat"}

    with calling(app) as client:
        for path in ("/read", "/v2/read", "/other"):
            assert client.post(path, json={"note": "hi"}).json() == {"label": "cat"}
    assert len(records(agent)) == 2


def test_paths_must_be_a_list(agent) -> None:
    with pytest.raises(ConfigurationError, match="list of paths"):
        agent.watch(make_app(), paths="/read")
    with pytest.raises(ConfigurationError, match="branches"):
        agent.watch(make_app(), branches={})


def test_other_scopes_pass_untouched(agent, records) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["type"], receive, send))

    watched = asgi.Watch(app, agent)
    for kind in ("lifespan", "websocket"):
        asyncio.run(watched({"type": kind}, "receive", "send"))
    assert [entry[:2] for entry in seen] == [("lifespan", "receive"), ("websocket", "receive")]
    assert records(agent) == []


# -- what goes in -----------------------------------------------------------------------------------------------------


def test_parts_of_a_form_by_name_and_content_type(agent, records) -> None:
    files = {
        "photo": ("a.png", png(6, 5), "image/png"),
        "clip": ("a.wav", wav(0.25), "application/octet-stream"),
        "paper": ("a.pdf", b"%PDF", "application/pdf"),
    }
    with calling(agent.watch(make_app())) as client:
        answer = client.post("/upload", files=files, data={"note": "two cats", "age": "41"})
    assert answer.json()["sizes"] == {
        "photo": len(png(6, 5)),
        "clip": len(wav(0.25)),
        "paper": 4,
        "note": "two cats",
        "age": "41",
    }
    found = inputs(records(agent)[0])
    assert {name: entry["modality"] for name, entry in found.items()} == {
        "photo": "image",
        "clip": "audio",
        "note": "text",
        "features": "tabular",
    }
    assert found["clip"]["descriptors"]["duration_s"] == pytest.approx(0.25)
    assert not any("error" in entry for entry in found.values())


def test_json_by_keys(agent, records) -> None:
    body = {"note": "hi", "age": 41, "form": {"a": 1}, "photo": data_uri(png(6, 5), "image/png"), "list": [1, 2]}
    with calling(agent.watch(make_app())) as client:
        client.post("/predict", json=body)
    found = inputs(records(agent)[0])
    assert {name: entry["modality"] for name, entry in found.items()} == {
        "note": "text",
        "features": "tabular",
        "form": "tabular",
        "photo": "image",
    }
    assert found["photo"]["descriptors"]["width"] == 6


def test_declared_inputs_of_json(agent, records) -> None:
    said = {
        "data.photo": "image",
        "data.clip": {"modality": "audio", "rate": 8000},
        "data.vector": "embedding",
        "note": "text",
    }
    body = {"data": {"photo": base64_of(png(6, 5)), "clip": [0.1, -0.1] * 400, "vector": [1.0, 2.0]}}
    with calling(agent.watch(make_app(), inputs=said)) as client:
        client.post("/predict", json=body)
        client.post("/predict", json={"data": {"photo": "https://pictures.example/1.png"}})
    first, second = map(inputs, records(agent))
    assert first["data.photo"]["descriptors"]["width"] == 6
    assert first["data.clip"]["descriptors"]["duration_s"] == pytest.approx(0.1)
    assert first["data.vector"]["embedding"] == [1.0, 2.0]
    assert first["note"]["missing"] is True
    assert second["data.photo"]["error"] == "remote"


def test_a_chat_body_and_a_chat_stream(agent, records) -> None:
    parts = [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": data_uri(png(), "image/png")}},
    ]
    with calling(agent.watch(make_app())) as client:
        client.post("/chat", json={"model": "m", "messages": [{"role": "user", "content": parts}]})
    (record,) = records(agent)
    assert set(inputs(record)) == {"prompt", "image"}
    assert record["output"]["finish"] == "stop"
    assert record["output"]["text"]["descriptors"]["chars"] == 8


def test_a_file_as_the_body_and_a_file_as_the_answer(agent, records) -> None:
    with calling(agent.watch(make_app())) as client:
        assert client.post("/draw", content=wav(), headers={"content-type": "audio/wav"}).content == png(8, 8)
    found = inputs(records(agent)[0])
    assert found["body"]["modality"] == "audio"
    assert found["generated"]["descriptors"]["width"] == 8


def test_an_url_encoded_form_and_plain_text(agent, records) -> None:
    with calling(agent.watch(make_app())) as client:
        client.post("/say", data={"note": "a b", "age": "41"})
    (record,) = records(agent)
    assert set(inputs(record)) == {"note", "features"}
    assert record["output"]["text"]["descriptors"]["chars"] == 5


def test_requests_without_inputs_are_no_inference(agent, records) -> None:
    with calling(agent.watch(make_app())) as client:
        client.get("/ignore")
        client.post("/ignore")
        client.post("/measure", content=b"x", headers={"content-type": "application/octet-stream"})
    assert records(agent) == []


def test_a_large_upload_passes_whole_and_only_its_beginning_is_kept(agent, records) -> None:
    big = b"x" * (5 << 20)
    app = agent.watch(make_app(), max_body=1 << 20)
    with calling(app) as client:
        answer = client.post(
            "/measure",
            files=[("photo", ("a.png", png(6, 5), "image/png")), ("film", ("a.mp4", big, "video/mp4"))],
        ).json()
    assert answer["count"] > len(big)
    found = inputs(records(agent)[0])
    assert found["photo"]["descriptors"]["width"] == 6
    assert found["film"]["error"] == "too_large"


def test_a_streamed_body_is_intact_and_not_delayed(agent, records) -> None:
    """The handler sees the first chunk before the client has sent the last one."""
    order: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            order.append("seen")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> dict[str, Any]:
        order.append("sent")
        return {"type": "http.request", "body": b"{}", "more_body": order.count("sent") < 3}

    async def send(message: Any) -> None:
        order.append(message["type"])

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", b"application/json")]}
    asyncio.run(asgi.Watch(app, agent)(scope, receive, send))
    assert order == ["sent", "seen", "sent", "seen", "sent", "http.response.start", "http.response.body"]
    assert len(records(agent)) == 1


def test_a_body_that_the_handler_ignores_is_not_seen(agent, records) -> None:
    with calling(agent.watch(make_app(), inputs={"note": "text"})) as client:
        assert client.post("/ignore", json={"note": "hi"}).json() == {"label": "none"}
    (record,) = records(agent)
    assert inputs(record)["note"]["error"] == "unread"
    assert record["output"]["label"] == "none"


# -- what comes out ---------------------------------------------------------------------------------------------------


def test_server_sent_events_are_not_held_back(agent, records) -> None:
    with calling(agent.watch(make_app())) as client:
        began, times = time.perf_counter(), []
        with client.stream("POST", "/tell", json={"note": "hi"}) as answer:
            for _ in answer.iter_raw():
                times.append(time.perf_counter() - began)
    assert len(times) >= 3
    assert times[-1] - times[0] > 0.08
    (record,) = records(agent)
    assert record["output"]["text"]["descriptors"]["words"] == 3
    assert 0 < record["first_token_s"] < record["latency_s"]
    assert record["latency_s"] > 0.1


def test_a_client_that_hangs_up_is_seen(agent, records) -> None:
    with calling(agent.watch(make_app())) as client:
        with client.stream("POST", "/tell", json={"note": "hi"}) as answer:
            next(answer.iter_raw())
        time.sleep(0.3)
    (record,) = records(agent)
    assert record["output"]["finish"] == "abandoned"
    assert record["output"]["text"]["descriptors"]["words"] >= 1


def test_the_handlers_exception_stays_its_own(agent, records) -> None:
    app = agent.watch(make_app())

    async def call() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await client.post("/fail", json={"note": "hi"})

    with pytest.raises(ValueError, match="the handler's own"):
        asyncio.run(call())
    assert "error" in records(agent)[0]["output"]


def test_a_refused_request_is_an_error(agent, records) -> None:
    with calling(agent.watch(make_app())) as client:
        assert client.post("/refuse", json={"note": "hi"}).status_code == 422
    assert records(agent)[0]["output"] == {"error": "http_422"}


def test_background_work_is_no_latency(agent, records) -> None:
    with calling(agent.watch(make_app())) as client:
        client.post("/later", json={"note": "hi"})
        time.sleep(1.1)
    assert records(agent)[0]["latency_s"] < 1.0, "what the background takes"


def test_extract_sees_the_answer(agent, records) -> None:
    app = agent.watch(make_app(), extract=lambda answer: {"value": len(answer["got"])})
    with calling(app) as client:
        client.post("/predict", json={"a": "x", "b": "y"})
    assert records(agent)[0]["output"] == {"value": 2.0}


def test_requests_at_the_same_time_keep_apart(agent, records) -> None:
    app = agent.watch(make_app())

    async def call() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await asyncio.gather(*(client.post("/predict", json={"note": "x" * n}) for n in range(1, 21)))

    asyncio.run(call())
    assert sorted(inputs(record)["note"]["descriptors"]["chars"] for record in records(agent)) == list(range(1, 21))


def test_requests_that_are_not_chosen_are_only_counted(make_agent) -> None:
    agent = make_agent()
    agent._recorder.set_rate(0.0)
    with calling(agent.watch(make_app())) as client:
        assert client.post("/predict", json={"note": "hi"}).json()["got"] == ["note"]
    assert agent.flush(10)
    assert agent.stats()["dropped"] == {"sampled": 1}


def test_a_failing_reader_never_reaches_the_client(agent, monkeypatch, swallowed) -> None:
    swallowed.expect()

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise ValueError("broken")

    for place in ("is_read", "request_parts", "answer_of"):
        with monkeypatch.context() as patched:
            patched.setattr(asgi, place, broken)
            with calling(agent.watch(make_app())) as client:
                assert client.post("/predict", json={"note": "hi"}).status_code == 200
            assert agent.flush(10)
    stats = agent.stats()
    assert stats["seen"] == stats["delivered"] + stats["queued"] + sum(stats["dropped"].values()) == 3


# -- bodies -----------------------------------------------------------------------------------------------------------


def multipart(*sections: bytes) -> bytes:
    return b"".join(b"--xx\r\n" + section + b"\r\n" for section in sections) + b"--xx--\r\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (multipart(b'Content-Disposition: form-data; name="a"\r\n\r\nhello'), {"a": "hello"}),
        (multipart(b'content-disposition: form-data; name="a b"\r\n\r\none\r\n\r\ntwo'), {"a b": "one\r\n\r\ntwo"}),
        (multipart(b'Content-Disposition: form-data; name="f"; filename="x.txt"\r\n\r\n--yy\r\n'), {"f": b"--yy\r\n"}),
        (multipart(b"Content-Disposition: form-data\r\n\r\nnameless"), {}),
        (multipart(b"no blank line"), {}),
        (b"", {}),
        (b"--xx--\r\n", {}),
    ],
)
def test_multipart_sections(body: bytes, expected: dict[str, Any]) -> None:
    parts = bodies.request_parts("multipart/form-data; boundary=xx", body, None, None)
    assert {part.name: part.value for part in parts} == expected


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"text"', b"\xff", b"null", b"[" * 100_000])
def test_json_that_is_none_or_no_mapping(body: bytes) -> None:
    parts = bodies.request_parts("application/json", body, None, None)
    assert [part.value for part in parts] == (["text"] if body == b'"text"' else [])


def test_bytes_that_a_binary_file_may_hold_survive_the_form() -> None:
    value = bytes(range(256)) * 40 + b"\r\n--x\r\n\r\n"
    section = b'Content-Disposition: form-data; name="f"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n' + value
    (part,) = bodies.request_parts("multipart/form-data; boundary=xx", multipart(section), None, None)
    assert part.value == value


def test_the_end_of_an_application_waits_for_what_is_left(make_agent: Any) -> None:
    """Servers answer a stop signal with the lifespan's end, and die by that signal afterwards."""
    agent = make_agent()
    heard: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.shutdown.complete"})
            return
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def send(message: Any) -> None:
        heard.append(message["type"])
        if message["type"] == "lifespan.shutdown.complete":
            assert agent.stats()["delivered"] == 1
            assert agent.stats()["queued"] == 0

    async def receive() -> Any:
        return {"type": "http.request", "body": b'{"text": "x"}', "more_body": False}

    served = asgi.Watch(application, agent)
    headers = [(b"content-type", b"application/json")]
    asyncio.run(served({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive, send))
    asyncio.run(served({"type": "lifespan"}, receive, send))
    assert heard[-1] == "lifespan.shutdown.complete"
