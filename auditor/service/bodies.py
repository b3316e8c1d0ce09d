"""The bytes of a request, bounded before they are held: size, decompressed size, time, and all requests together."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect, Request

from auditor.service.refusals import RequestError, too_large

BODY_S = 30.0
"""How long a body may take to arrive."""
TOGETHER = 64 << 20
"""Bytes of bodies that are held at once, by all requests; beyond it clients are asked to come back."""
_STEP = 1 << 20


class Held:
    """Counts the bytes that requests hold; for the event loop's thread only."""

    def __init__(self, limit: int = TOGETHER) -> None:
        self.limit = limit
        self.bytes = 0

    def take(self, size: int) -> None:
        """Count `size` more, or raise 429."""
        if self.bytes + size > self.limit:
            raise RequestError(
                429, "busy", "too many bodies are being taken in at once", fix="send again later", retry_after=1
            )
        self.bytes += size

    @contextmanager
    def share(self) -> Iterator[Share]:
        """A request's share, given back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.bytes -= share.bytes


class Share:
    """What one request holds."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self.bytes = 0

    def grow(self, size: int) -> None:
        """Hold at least `size` bytes."""
        if size > self.bytes:
            self._held.take(size - self.bytes)
            self.bytes = size


def media_type(request: Request, allowed: tuple[str, ...]) -> str:
    """The media type of the body, or 415."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in allowed:
        raise RequestError(
            415,
            "bad_media_type",
            f"{media[:80] or 'no content type'} is not taken here",
            where="Content-Type",
            fix=f"send {' or '.join(allowed)}",
        )
    return media


async def read_body(request: Request, share: Share, limit: int) -> bytes:
    """The whole body, decompressed.

    Raises
    ------
    RequestError
        413 `too_large`, 415 `bad_encoding`, 429 `busy`, 503 `too_slow`, 400 `bad_gzip` or `cut_short`.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", ""):
        raise RequestError(
            415,
            "bad_encoding",
            f"{encoding[:80]} is not taken here",
            where="Content-Encoding",
            fix="send it plain or gzip",
        )
    declared = request.headers.get("content-length")
    if declared is not None:
        if int(declared) > limit:
            raise too_large(f"the body is {declared[:20]} bytes long", limit)
        share.grow(int(declared))
    try:
        async with asyncio.timeout(BODY_S):
            body = await _collect(request, share, limit)
    except TimeoutError as error:
        raise RequestError(
            503,
            "too_slow",
            f"the body did not arrive within {BODY_S:.0f} s",
            where="body",
            fix="send again",
            retry_after=1,
        ) from error
    except ClientDisconnect as error:
        raise RequestError(400, "cut_short", "the body ended early", where="body") from error
    if encoding != "gzip":
        return body
    share.grow(len(body) + min(limit, 64 * len(body)))
    if len(body) < _STEP // 16:
        return gunzip(body, limit)
    return await asyncio.to_thread(gunzip, body, limit)


async def _collect(request: Request, share: Share, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        if len(body) + len(chunk) > limit:
            raise too_large(f"the body is longer than {limit} bytes", limit)
        body += chunk
        share.grow(len(body))
    return bytes(body)


def gunzip(body: bytes, limit: int) -> bytes:
    """The decompressed bytes; never holds more than `limit` of them.

    >>> import gzip
    >>> gunzip(gzip.compress(b"abc"), 10)
    b'abc'
    """
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = reader.decompress(body, limit + 1)
    except zlib.error as error:
        raise RequestError(400, "bad_gzip", f"it does not decompress: {error}", where="body") from error
    if len(plain) > limit:
        raise too_large(f"the body is longer than {limit} bytes when decompressed", limit)
    if not reader.eof or reader.unused_data:
        raise RequestError(400, "bad_gzip", "the gzip stream is cut, or something follows it", where="body")
    return plain
