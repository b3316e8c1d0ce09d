"""The one question about time that waivers and attestations share: does it hold at this moment?"""

from __future__ import annotations

from datetime import datetime


def standing(at: datetime, start: datetime, *ends: datetime | None) -> str:
    """`future`, `active` or `expired`: half-open from `start` to the earliest of the ends that are given."""
    if at < start:
        return "future"
    return "expired" if any(end is not None and at >= end for end in ends) else "active"
