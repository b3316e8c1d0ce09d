"""What refused records cost their sessions, as counts: the same wherever they were refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from auditor.core.record import CaptureTally, ModelRef
from auditor.core.window import HOUR, floor_to, from_us, to_us

REFUSED = "refused"


class RefusedCall(NamedTuple):
    """A refused record, as far as it names itself.

    Attributes
    ----------
    seq : int
        Its number in the session; -1 where it has none.
    """

    model: str
    version: str
    session: str
    fork: int
    time: datetime
    seq: int


def refused_tallies(calls: Iterable[RefusedCall]) -> list[CaptureTally]:
    """One tally for each session and hour: `dropped` without `seen`, for the calls are counted as delivered."""
    found: dict[tuple[str, str, str, int, datetime], list[RefusedCall]] = defaultdict(list)
    for call in calls:
        found[call.model, call.version, call.session, call.fork, floor_to(call.time, HOUR)].append(call)
    return [
        CaptureTally(
            model=ModelRef(name=name, version=version),
            session=session,
            fork=fork,
            start=from_us(min(to_us(call.time) for call in those)),
            end=from_us(max(to_us(call.time) for call in those) + 1),
            seen=0,
            described=0,
            delivered=0,
            dropped={REFUSED: len(those)},
            last_seq=max(call.seq for call in those),
        )
        for (name, version, session, fork, _), those in sorted(found.items())
    ]
