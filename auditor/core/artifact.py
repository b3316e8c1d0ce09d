"""A content-addressed file (Evidently's HTML, a report) with what made it."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime

from auditor.core.measurement import Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file in `HOME/artifacts/<sha256>.<extension>`."""

    sha256: str
    extension: str
    title: str
    made_by: Method
    model: str
    start: datetime
    end: datetime
    run: str
    size: int

    @property
    def filename(self) -> str:
        return f"{self.sha256}.{self.extension}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """A file's bytes on their way to becoming an artifact."""

    title: str
    extension: str
    data: bytes
    made_by: Method

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


_SCRIPT = re.compile(rb"<script\b[^>]*>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE)
_HEAD = re.compile(rb"<head\b[^>]*>", re.IGNORECASE)
_DOCTYPE = re.compile(rb"\s*<!doctype[^>]*>", re.IGNORECASE)


def sealed(page: bytes) -> bytes:
    """The HTML page with a content security policy: no request to anywhere, and no script but those that stand in it now.

    Scripts are allowed by their SHA-256, so that handlers in attributes and scripts added by a script do not run. UTF-8.

    >>> b"script-src 'none'" in sealed(b"<html><head></head><body onload=alert(1)></body></html>")
    True
    """
    # A browser hashes a script's text after it has read line ends as one character.
    texts = (match[1].replace(b"\r\n", b"\n").replace(b"\r", b"\n") for match in _SCRIPT.finditer(page))
    hashes = dict.fromkeys(b64encode(hashlib.sha256(text).digest()).decode() for text in texts)
    scripts = " ".join(f"'sha256-{value}'" for value in hashes) or "'none'"
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    meta = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'.encode()
    head = _HEAD.search(page) or _DOCTYPE.match(page)
    at = head.end() if head else 0
    return page[:at] + meta + page[at:]
