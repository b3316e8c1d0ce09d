"""What only a person can say: pin, attest, waive, open an incident, create a key; written to the journal first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from auditor.core.window import format_time, parse_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Who said what, when; the single writer applies it, so that all three are on record."""

    id: str
    kind: str
    by: str
    at: datetime
    payload: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind,
            "by": self.by,
            "at": format_time(self.at),
            "payload": dict(self.payload),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Command:
        return cls(id=data["id"], kind=data["kind"], by=data["by"], at=parse_time(data["at"]), payload=data["payload"])
