"""The dashboard as a web application: Streamlit's, with headers that keep a page from loading anything from elsewhere.

`auditor dashboard` runs it. A text that got into a page as markup could load no script, send nothing and frame nothing.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import streamlit
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.starlette import App

_INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def policy() -> str:
    """The content security policy: this server alone, and Streamlit's own inline script by its digest.

    Styles are set by script (`unsafe-inline`), as Streamlit's parts do.
    """
    page = (Path(streamlit.__file__).parent / "static" / "index.html").read_bytes()
    own = (base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _INLINE.findall(page))
    scripts = " ".join(f"'sha256-{digest}'" for digest in own)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {scripts}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "media-src 'self'",
            "manifest-src 'self'",
            "worker-src 'self' blob:",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


class Headers:
    """ASGI middleware that adds the headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._headers = [
            (b"content-security-policy", policy().encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        await self.app(scope, receive, sent)


app = App(Path(__file__).with_name("app.py"), middleware=[Middleware(Headers)])
