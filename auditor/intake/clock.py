"""Which times are taken in: a producer's clock that is wrong would open windows in a future that nobody audits."""

from __future__ import annotations

from datetime import datetime

from auditor.core.errors import RecordError
from auditor.core.record import EARLIEST, LATEST
from auditor.core.window import Span

ALWAYS = Span(EARLIEST, LATEST)
"""Every time that a record can have."""


def check_time(moment: datetime, times: Span, where: str) -> None:
    """RecordError `time_out_of_range` for a time that a home does not take in (`[intake]` of its settings)."""
    if times.start <= moment < times.end:
        return
    early = moment < times.start
    raise RecordError(
        "time_out_of_range",
        f"the time {moment.isoformat()} lies "
        + (f"before {times.start.isoformat()}" if early else "too far ahead of the clock here"),
        where=where,
        fix="check the clock and the unit of the time, or set [intake] " + ("not_before" if early else "max_ahead"),
    )
