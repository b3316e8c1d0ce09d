"""Frames over HTTP to `auditor serve`: the standard library's client, one connection, no redirects followed."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from auditor.agent.transport import DeliveryError, Frames
from auditor.core.errors import ConfigurationError

_MAX_ANSWER = 1 << 20
_MAX_BODY = 4 << 20
_LONGEST_WAIT_S = 3600.0
_KEY_STATUS = frozenset({401, 403, 404})
_PARTS = {"record": "records", "energy": "energy", "tally": "tallies"}


class HttpTransport:
    """Sends records to `POST /v1/records` and labels to `POST /v1/labels`.

    Energy readings and tallies travel in the records' body as `energy` and `tallies`. A delivery is done when the
    service has answered 200, which it does after fsync; a batch that is sent twice is settled there by id.

    Parameters
    ----------
    endpoint : str
        `http://host:port` or `https://...`, with an optional path before `/v1`.
    key : str or None
        Bearer key.
    timeout_s : float
        Of connecting, and of each read.
    """

    kinds = frozenset({*_PARTS, "label"})

    def __init__(self, endpoint: str, key: str | None = None, timeout_s: float = 5.0) -> None:
        address = urlsplit(endpoint)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ConfigurationError(
                "bad_endpoint", f"{endpoint!r} is not an address", where="endpoint", fix="give http://host:port"
            )
        self._address = address
        self._base = address.path.rstrip("/")
        self._timeout_s = timeout_s
        self._headers = {"Content-Type": "application/json", "User-Agent": "auditor-agent"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._connection: http.client.HTTPConnection | None = None
        self._over = False

    def send(self, frames: Frames) -> None:
        """Deliver frames; DeliveryError says whether, when and what to try again."""
        refused: list[int] = []
        for indices in self.bodies(frames):
            refused += self._post(frames, indices)
        if refused:
            raise DeliveryError(
                "refused",
                f"the service refused {len(refused)} of {len(frames)} frames",
                reason="refused",
                permanent=True,
                refused=tuple(refused),
            )

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def interrupt(self) -> None:
        """From another thread, for good: an exchange that waits for an answer ends now, as failed."""
        self._over = True
        connection = self._connection
        sock = None if connection is None else connection.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def bodies(self, frames: Frames) -> list[list[int]]:
        """Indices of the frames that go into one request: one route, a bounded size, in order."""
        found: list[list[int]] = []
        size = 0
        for index, (kind, payload) in enumerate(frames):
            together = found and (frames[found[-1][-1]][0] == "label") == (kind == "label")
            if not together or size + len(payload) > _MAX_BODY:
                found.append([])
                size = 0
            found[-1].append(index)
            size += len(payload)
        return found

    def _post(self, frames: Frames, indices: Sequence[int]) -> list[int]:
        """Post one body; indices of refused frames. A body that is too large is halved."""
        if frames[indices[0]][0] == "label":
            path, parts = "/v1/labels", {"labels": list(indices)}
        else:
            path, parts = "/v1/records", {"records": []}
            for index in indices:
                parts.setdefault(_PARTS[frames[index][0]], []).append(index)
        body = b",".join(
            json.dumps(name).encode() + b":[" + b",".join(frames[index][1] for index in part) + b"]"
            for name, part in parts.items()
        )
        status, answer, asked_s = self._exchange(self._base + path, b"{" + body + b"}")
        # Too large, or more refusals than are listed: ask again in halves. What was accepted is a duplicate there.
        unlisted = status == 200 and answer.get("refused_count", 0) > len(answer.get("refused", []))
        if (status == 413 or unlisted) and len(indices) > 1:
            half = len(indices) // 2
            return self._post(frames, indices[:half]) + self._post(frames, indices[half:])
        if status != 200:
            raise DeliveryError(
                f"http_{status}",
                f"the service answered {status}",
                reason="too_large" if status == 413 else "transport_failed",
                permanent=status in (400, 413, 415, 422),
                retry_after_s=_LONGEST_WAIT_S / 60 if status in _KEY_STATUS else asked_s,
            )
        rows = parts.get("records") or parts.get("labels") or []
        return [rows[entry["index"]] for entry in answer.get("refused", []) if 0 <= entry.get("index", -1) < len(rows)]

    def _exchange(self, path: str, body: bytes) -> tuple[int, dict[str, Any], float | None]:
        """One request: status, answer, and the seconds that the service asks to wait.

        A connection that the other side had closed is opened again once.
        """
        for fresh in (False, True):
            connection = self._connect(fresh)
            try:
                connection.request("POST", path, body, self._headers)
                response = connection.getresponse()
                text = response.read(_MAX_ANSWER)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if fresh or self._over or not isinstance(error, (ConnectionError, http.client.BadStatusLine)):
                    raise DeliveryError("unreachable", f"no answer: {type(error).__name__}") from error
                continue
            if response.will_close:
                self.close()
            answer: Any = None
            with contextlib.suppress(ValueError):
                answer = json.loads(text)
            asked_s = retry_after(response.headers.get("Retry-After"), time.time())
            return response.status, answer if isinstance(answer, dict) else {}, asked_s
        raise DeliveryError("unreachable", "no answer")

    def _connect(self, fresh: bool) -> http.client.HTTPConnection:
        if fresh or self._connection is None:
            self.close()
            kind = http.client.HTTPSConnection if self._address.scheme == "https" else http.client.HTTPConnection
            self._connection = kind(str(self._address.hostname), self._address.port, timeout=self._timeout_s)
        return self._connection


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for (a number or an HTTP date), at most an hour; None without one.

    >>> retry_after("7", 0.0), retry_after("Thu, 01 Jan 1970 00:00:09 GMT", 4.0), retry_after("soon", 0.0)
    (7.0, 5.0, None)
    """
    if header is None:
        return None
    text = header.strip()
    try:
        wait = float(text) if text.isdigit() else parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError):
        return None
    return min(_LONGEST_WAIT_S, max(0.0, wait))
