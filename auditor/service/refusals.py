"""Errors that answer a whole request: the contract's error object with a status and, where it helps, Retry-After."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from auditor.core.errors import AuditorError, ConfigurationError, RecordError, StoreError

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
]
"""Of every answer: nothing in it is a page, and nothing of it is kept."""
_UNREAD = {"too_large", "bad_media_type", "bad_encoding", "busy", "too_slow", "journal_full"}
"""Codes of answers that go out before the body has been read: the connection ends with them."""


class RequestError(AuditorError):
    """A request that is answered with an error.

    Parameters
    ----------
    status : int
        HTTP status.
    retry_after : int, optional
        Seconds after which trying again makes sense.
    allow : str, optional
        Methods, for 405.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        where: str = "",
        fix: str = "",
        retry_after: int | None = None,
        allow: str | None = None,
    ) -> None:
        super().__init__(code, message, where=where, fix=fix)
        self.status = status
        self.retry_after = retry_after
        self.allow = allow

    def headers(self) -> dict[str, str]:
        """The headers that belong to it."""
        found = {}
        if self.status == 401:
            found["www-authenticate"] = "Bearer"
        if self.retry_after is not None:
            found["retry-after"] = str(self.retry_after)
        if self.allow is not None:
            found["allow"] = self.allow
        return found


FAULT = RequestError(500, "internal", "the service has a fault; its log says which", fix="report it")


def as_response(refusal: RequestError, *, close: bool = False) -> Response:
    """The error object. `close` ends the connection: the rest of a refused body is not read."""
    headers = refusal.headers()
    if close or refusal.code in _UNREAD:
        headers["connection"] = "close"
    return JSONResponse(refusal.as_json(), refusal.status, headers)


def too_large(what: str, limit: int) -> RequestError:
    """413."""
    return RequestError(413, "too_large", what, where="body", fix=f"send at most {limit} bytes, in several requests")


def as_refusal(error: AuditorError) -> RequestError:
    """Any error of ours as the answer to a request."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, StoreError):
        return RequestError(
            503, error.code, "the store cannot be asked", fix="try again; intake is not affected", retry_after=5
        )
    status = 400 if isinstance(error, (RecordError, ConfigurationError)) else 503
    return RequestError(
        status,
        error.code,
        error.message,
        where=error.where,
        fix=error.fix,
        retry_after=5 if status == 503 else None,
    )
