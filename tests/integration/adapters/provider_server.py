"""A model provider on loopback: OpenAI's and Gemini's wire formats, with answers that tests know beforehand.

What the answer is depends on the last text that was sent: `refuse ...` is refused, `overload ...` is answered with 429,
`echo ...` comes back, anything else is answered `two cats`.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
import struct
import threading
import time
import wave
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

VERSIONS = {"gpt-4o": "gpt-4o-2024-08-06", "gemini-flash": "gemini-flash-002", "embed-small": "embed-small-1"}
VECTORS = ([0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0])
USAGE = {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}


def png(width: int = 4, height: int = 3, grey: int = 128) -> bytes:
    """A grey PNG, by hand."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + bytes([grey]) * width for _ in range(height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def wav(seconds: float = 0.1, rate: int = 8000) -> bytes:
    """A quiet square wave."""
    target = io.BytesIO()
    with wave.open(target, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(
            b"".join(struct.pack("<h", 3000 if n // 10 % 2 else -3000) for n in range(int(seconds * rate)))
        )
    return target.getvalue()


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def data_uri(data: bytes, mime: str) -> str:
    return f"data:{mime};base64,{base64_of(data)}"


class Provider:
    """The application, and what it was sent.

    Attributes
    ----------
    seen : list of (path, body)
        A file in a multipart body is (name, media type, size).
    chunk_s : float
        Seconds between the chunks of a stream.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.url = ""
        self.chunk_s = 0.0
        openai = {
            "chat/completions": self.chat,
            "responses": self.responses,
            "completions": self.completions,
            "images/generations": self.images,
            "images/edits": self.images,
            "audio/transcriptions": self.transcribe,
            "audio/speech": self.speak,
            "embeddings": self.embed,
        }
        routes = [Route(f"/v1/{path}", handler, methods=["POST"]) for path, handler in openai.items()]
        routes += [
            Route("/v1/models", self.models),
            Route("/v1/models/{call:path}", self.gemini, methods=["POST"]),
            Route("/v1beta/models/{call:path}", self.gemini, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes)

    async def body(self, request: Request) -> dict[str, Any]:
        if request.headers.get("content-type", "").startswith("multipart"):
            form = await request.form()
            found: dict[str, Any] = {}
            for key, value in form.multi_items():
                found[key] = (
                    value if isinstance(value, str) else (value.filename, value.content_type, len(await value.read()))
                )
            await form.close()
        else:
            found = await request.json()
        self.seen.append((request.url.path, found))
        return found

    def stream(self, items: list[dict[str, Any]], *, named: bool = False, done: bool = True) -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            for item in items:
                yield (f"event: {item['type']}\n" if named else "") + f"data: {json.dumps(item)}\n\n"
                await asyncio.sleep(self.chunk_s)
            if done:
                yield "data: [DONE]\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")

    # -- OpenAI -------------------------------------------------------------------------------------------------------

    async def chat(self, request: Request) -> Response:
        body = await self.body(request)
        asked = last_text(body["messages"][-1]["content"])
        if asked.startswith("overload"):
            return JSONResponse({"error": {"message": "slow down", "code": "rate_limited"}}, 429)
        refused = asked.startswith("refuse")
        head = {"id": "c1", "created": 1, "model": VERSIONS.get(body["model"], body["model"])}
        text = "I cannot help with that." if refused else answer_to(asked)
        if body.get("stream"):
            first, rest = text[:3], text[3:]
            key = "refusal" if refused else "content"
            deltas = [
                ({"role": "assistant", "content": ""}, None),
                ({key: first}, None),
                ({key: rest}, None),
                ({}, "stop"),
            ]
            chunks: list[dict[str, Any]] = [
                {**head, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": d, "finish_reason": f}]}
                for d, f in deltas
            ]
            if (body.get("stream_options") or {}).get("include_usage"):
                chunks.append({**head, "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
            return self.stream(chunks)
        message = {"role": "assistant", "content": None if refused else text, "refusal": text if refused else None}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": USAGE})

    async def completions(self, request: Request) -> Response:
        body = await self.body(request)
        choice = {"index": 0, "text": answer_to(body["prompt"]), "finish_reason": "length", "logprobs": None}
        head = {"id": "t1", "object": "text_completion", "created": 1, "model": body["model"]}
        return JSONResponse({**head, "choices": [choice], "usage": USAGE})

    async def responses(self, request: Request) -> Response:
        body = await self.body(request)
        given = body["input"]
        asked = given if isinstance(given, str) else last_text(given[0]["content"])
        part: dict[str, Any] = {"type": "output_text", "text": answer_to(asked), "annotations": []}
        if asked.startswith("refuse"):
            part = {"type": "refusal", "refusal": "I cannot help with that."}
        whole = {
            "id": "r1",
            "object": "response",
            "created_at": 1,
            "model": VERSIONS.get(body["model"], body["model"]),
            "status": "completed",
            "output": [{"id": "m1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": 9,
                "output_tokens": 2,
                "total_tokens": 11,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": 0},
            },
        }
        if not body.get("stream"):
            return JSONResponse(whole)
        place = {"item_id": "m1", "output_index": 0, "content_index": 0, "logprobs": []}
        item = {"id": "m1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        events = [
            {"type": "response.created", "response": {**whole, "status": "in_progress", "output": [], "usage": None}},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
            {"type": "response.output_text.delta", **place, "delta": "two"},
            {"type": "response.output_text.delta", **place, "delta": " cats"},
            {"type": "response.completed", "response": whole},
        ]
        numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
        return self.stream(numbered, named=True, done=False)

    async def images(self, request: Request) -> Response:
        body = await self.body(request)
        usage = {
            "input_tokens": 3,
            "output_tokens": 9,
            "total_tokens": 12,
            "input_tokens_details": {"text_tokens": 3, "image_tokens": 0},
        }
        if body.get("response_format") == "url":
            return JSONResponse({"created": 1, "data": [{"url": "https://pictures.example/1.png"}]})
        if body.get("stream"):
            picture = {"b64_json": base64_of(png(8, 8)), "created_at": 1, "output_format": "png", "quality": "low"}
            events = [
                {"type": "image_generation.partial_image", "partial_image_index": 0, **picture},
                {"type": "image_generation.completed", "usage": usage, **picture},
            ]
            return self.stream(events, named=True, done=False)
        data = [{"b64_json": base64_of(png(8, 8, 40 * n))} for n in range(1, int(body.get("n", 1)) + 1)]
        return JSONResponse({"created": 1, "data": data, "usage": usage})

    async def transcribe(self, request: Request) -> Response:
        body = await self.body(request)
        if body.get("stream") == "true":
            events = [
                {"type": "transcript.text.delta", "delta": "se"},
                {"type": "transcript.text.delta", "delta": "ven"},
                {"type": "transcript.text.done", "text": "seven"},
            ]
            return self.stream(events)
        if body.get("response_format") == "text":
            return Response("seven", media_type="text/plain")
        if body.get("response_format") == "verbose_json":
            return JSONResponse({"text": "seven", "language": "en", "duration": 0.5, "segments": []})
        usage = {"type": "tokens", "input_tokens": 14, "output_tokens": 1, "total_tokens": 15}
        return JSONResponse({"text": "seven", "usage": usage})

    async def speak(self, request: Request) -> Response:
        await self.body(request)
        return Response(wav(), media_type="audio/wav")

    async def embed(self, request: Request) -> Response:
        body = await self.body(request)
        count = len(body["input"]) if isinstance(body["input"], list) else 1
        vectors: list[Any] = [VECTORS[n % 2] for n in range(count)]
        if body.get("encoding_format") == "base64":
            vectors = [base64_of(struct.pack("<4f", *vector)) for vector in vectors]
        data = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)]
        model = VERSIONS.get(body["model"], body["model"])
        usage = {"prompt_tokens": 2, "total_tokens": 2}
        return JSONResponse({"object": "list", "model": model, "data": data, "usage": usage})

    async def models(self, request: Request) -> Response:
        return JSONResponse(
            {"object": "list", "data": [{"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "x"}]}
        )

    # -- Gemini -------------------------------------------------------------------------------------------------------

    async def gemini(self, request: Request) -> Response:
        body = await self.body(request)
        model, verb = request.path_params["call"].rsplit(":", 1)
        if verb in ("embedContent", "batchEmbedContents"):
            count = len(body.get("requests", [1]))
            return JSONResponse({"embeddings": [{"values": VECTORS[n % 2]} for n in range(count)]})
        asked = last_text(body["contents"][-1]["parts"])
        if asked.startswith("overload"):
            return JSONResponse({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}, 429)
        if asked.startswith("refuse"):
            return JSONResponse(
                {
                    "promptFeedback": {"blockReason": "SAFETY"},
                    "usageMetadata": {"promptTokenCount": 5},
                    "modelVersion": VERSIONS.get(model, model),
                }
            )

        def piece(parts: list[dict[str, Any]], finish: str | None = None) -> dict[str, Any]:
            candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
            usage = {"promptTokenCount": 5, "candidatesTokenCount": 2, "thoughtsTokenCount": 3, "totalTokenCount": 10}
            head = {"modelVersion": VERSIONS.get(model, model), "responseId": "g1", "usageMetadata": usage}
            return {"candidates": [candidate | ({"finishReason": finish} if finish else {})], **head}

        if (
            asked.startswith("call")
            and "tools" in body
            and not any("functionResponse" in str(c) for c in body["contents"])
        ):
            return JSONResponse(piece([{"functionCall": {"name": "count_cats", "args": {"where": "roof"}}}], "STOP"))
        thought = {"text": "hm", "thought": True}
        if asked.startswith("draw"):
            picture = {"inlineData": {"mimeType": "image/png", "data": base64_of(png(8, 8))}}
            return JSONResponse(piece([{"text": "here"}, picture], "STOP"))
        if verb == "streamGenerateContent":
            return self.stream(
                [piece([thought]), piece([{"text": "two"}]), piece([{"text": " cats"}], "STOP")], done=False
            )
        return JSONResponse(piece([thought, {"text": answer_to(asked)}], "STOP"))


def last_text(said: Any) -> str:
    if isinstance(said, str):
        return said
    return next((part["text"] for part in reversed(said or []) if isinstance(part.get("text"), str)), "")


def answer_to(asked: str) -> str:
    return asked.removeprefix("echo ") if asked.startswith("echo ") else "two cats"


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The application on a port of loopback, in a thread; its address."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", ws="none", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
