"""What monitoring in order keeps between windows: for each series the capital of its bets and what they are laid against.

Everything else is a function of a *set* of records; this is a fold over batches of records: closed windows in the order of
time, and records that arrived after their window was bet on. Each record is bet on once. The log of batches says in which
order, so that a replay gives the same figures.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from auditor.core.errors import StoreError
from auditor.core.identity import canonical_json
from auditor.core.rows import Floats, Ints
from auditor.core.spread import Spread
from auditor.core.window import Span, format_time, parse_time

_MAGIC = b"AMS2"
_READABLE = (b"AMS1", _MAGIC)
LOGGED = 800
"""Batches that the log keeps; records of a window before them are bet on no more."""
LARGEST_LOG = 700.0
"""Wealth is reported up to exp of this, the last that is a finite number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bets:
    """One series: its capital, and what the next bets rest on.

    Attributes
    ----------
    capital : ndarray of float64, shape (k,)
        Natural logarithm of the capital of each bet; before the first window all are -inf.
    bag : ndarray of int64, shape (g,)
        How many values of the baseline, and of windows that looked like it, each group holds. Empty for a series that is
        held against a mean or bet on by window.
    ranks : ndarray of float64, shape (b,)
        How often each coarse group was seen lately. Empty as `bag` is.
    by_subject : bool
        Whether one row of each subject and window is bet on, instead of all.
    limit : float or None
        The mean that a series is expected to keep.
    spread : Spread or None
        Means of the baseline's windows, and of those that looked like them, of a series that is bet on once a window.
    n : int
        Values bet on so far.
    score : float
        Logarithm of what the capital grew by since `since`; 0 while it does not grow.
    since : datetime or None
        Start of the window in which the present rise began.
    rows : int
        Values bet on since then.
    peak, peak_rows : float, int
        The highest score of the rise, and the values it took.
    """

    capital: Floats
    bag: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    ranks: Floats = field(default_factory=lambda: np.empty(0))
    by_subject: bool = False
    limit: float | None = None
    spread: Spread | None = None
    n: int = 0
    score: float = 0.0
    since: datetime | None = None
    rows: int = 0
    peak: float = 0.0
    peak_rows: int = 0

    @property
    def log_wealth(self) -> float:
        """Logarithm of all capital together; -inf before the first bet."""
        most = float(self.capital.max())
        return most if math.isinf(most) else most + math.log(float(np.exp(self.capital - most).sum()))

    @property
    def e_value(self) -> float:
        """All capital together, as a finite number."""
        return math.exp(min(self.log_wealth, LARGEST_LOG))


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that were bet on together: those of `span` up to drain `sequence` that were in no batch before."""

    span: Span
    sequence: int
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorState:
    """All series of one model against one baseline.

    Attributes
    ----------
    baseline, frame : str
        Id of the baseline and digest of its frame; another baseline begins another monitor.
    start, until : datetime
        The windows bet on lie between; nothing before `until` is ever bet on again.
    bets : mapping of str to Bets
        By column of the frame.
    batches : tuple of Batch
        In the order in which they were bet on, the last `LOGGED` of them.
    late : int
        Records that arrived after their window had been bet on, and were in no batch.
    """

    model: str
    baseline: str
    frame: str
    start: datetime
    until: datetime
    bets: Mapping[str, Bets] = field(default_factory=dict)
    batches: tuple[Batch, ...] = ()
    late: int = 0

    def sequence(self, span: Span) -> int | None:
        """Drain sequence up to which the records of a window were bet on; None where the log has no batch of it."""
        return max((batch.sequence for batch in self.batches if batch.span == span), default=None)

    def accepts(self, span: Span, sequence: int) -> bool:
        """Whether records of `span` up to drain `sequence` can still be bet on.

        They can be in a new window, in a known one when they arrived later, and in one that was passed over since the log
        begins and shares no time with another.
        """
        last = self.sequence(span)
        if last is not None:
            return sequence > last
        if span.start >= self.until:
            return True
        shared = any(span.start < batch.span.end and batch.span.start < span.end for batch in self.batches)
        return bool(self.batches) and span.start >= self.batches[0].span.end and not shared

    def logged(self, span: Span, sequence: int, n: int, bets: Mapping[str, Bets]) -> MonitorState:
        """The state after a batch, with these bets."""
        return replace(
            self,
            until=max(self.until, span.end),
            bets=bets,
            batches=(*self.batches, Batch(span, sequence, n))[-LOGGED:],
        )

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; floats survive exactly (shortest round-trip form), -inf as null."""
        return {
            "model": self.model,
            "baseline": self.baseline,
            "frame": self.frame,
            "start": format_time(self.start),
            "until": format_time(self.until),
            "late": self.late,
            "batches": [[format_time(b.span.start), format_time(b.span.end), b.sequence, b.n] for b in self.batches],
            "bets": {name: _plain(bets) for name, bets in sorted(self.bets.items())},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MonitorState:
        """The state that `as_json` wrote."""
        return cls(
            model=data["model"],
            baseline=data["baseline"],
            frame=data["frame"],
            start=parse_time(data["start"]),
            until=parse_time(data["until"]),
            late=data["late"],
            batches=tuple(
                Batch(Span(parse_time(start), parse_time(end)), sequence, n)
                for start, end, sequence, n in data.get("batches", ())
            ),
            bets={name: _bets(plain) for name, plain in data["bets"].items()},
        )


def _plain(bets: Bets) -> dict[str, Any]:
    return {
        "capital": [None if math.isinf(log) else log for log in bets.capital.tolist()],
        "bag": bets.bag.tolist(),
        "ranks": bets.ranks.tolist(),
        "by_subject": bets.by_subject,
        "limit": bets.limit,
        "spread": bets.spread and bets.spread.as_json(),
        "n": bets.n,
        "score": bets.score,
        "since": bets.since and format_time(bets.since),
        "rows": bets.rows,
        "peak": [bets.peak, bets.peak_rows],
    }


def _bets(plain: Mapping[str, Any]) -> Bets:
    return Bets(
        capital=np.array([-math.inf if log is None else log for log in plain["capital"]], np.float64),
        bag=np.array(plain["bag"], np.int64),
        ranks=np.array(plain["ranks"], np.float64),
        by_subject=plain.get("by_subject", False),
        limit=plain["limit"],
        spread=Spread.from_json(plain["spread"]) if plain.get("spread") else None,
        n=plain["n"],
        score=plain["score"],
        since=parse_time(plain["since"]) if plain["since"] else None,
        rows=plain["rows"],
        peak=plain["peak"][0],
        peak_rows=plain["peak"][1],
    )


def encode_monitor(state: MonitorState) -> bytes:
    """The state as bytes."""
    return _MAGIC + zlib.compress(canonical_json(state.as_json()), 6)


def decode_monitor(data: bytes) -> MonitorState:
    """The state that `encode_monitor` wrote, or StoreError `bad_monitor`."""
    if data[:4] in _READABLE:
        try:
            return MonitorState.from_json(json.loads(zlib.decompress(data[4:])))
        except (zlib.error, ValueError, KeyError, TypeError) as error:
            raise _bad(f"{type(error).__name__}: {error}") from error
    raise _bad("it does not begin like one")


def _bad(why: str) -> StoreError:
    return StoreError("bad_monitor", f"a stored monitor cannot be read: {why}", fix="pin the baseline again")
