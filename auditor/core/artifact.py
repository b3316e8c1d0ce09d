"""A content-addressed file (Evidently's HTML, a report) with what made it."""

from __future__ import annotations

import hashlib
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
