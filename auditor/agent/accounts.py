"""What became of every call, by hour, reason and model version: the worker's books. One thread only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from auditor.core.record import CaptureTally, ModelRef
from auditor.core.window import from_us

HOUR_US = 3_600_000_000


@dataclass(slots=True)
class Account:
    """Calls of one hour and one model version since the last tally that was delivered."""

    described: int = 0
    delivered: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    first_us: int = 0
    last_us: int = -1

    def touch(self, us: int) -> None:
        if self.last_us < 0:
            self.first_us = self.last_us = us
        elif us > self.last_us:
            self.last_us = us
        elif us < self.first_us:
            self.first_us = us

    @property
    def seen(self) -> int:
        return self.delivered + sum(self.dropped.values())


class Accounts:
    """Totals of the session, and what the next tally has to say.

    Attributes
    ----------
    taken : int
        Calls that the worker took from the callers' queues; the number after the last one's sequence number.
    described, delivered : int
    dropped : Counter of str
    """

    def __init__(self, session: str, fork: int) -> None:
        self.session = session
        self.fork = fork
        self.taken = 0
        self.described = 0
        self.delivered = 0
        self.dropped: Counter[str] = Counter()
        self._open: dict[tuple[int, ModelRef], Account] = {}
        self._latest: tuple[int, ModelRef | None, Account] = (0, None, Account())

    def take(self, count: int = 1) -> int:
        """Give out `count` sequence numbers; the first of them."""
        first = self.taken
        self.taken += count
        return first

    def drop(self, reason: str, us: int, ref: ModelRef, count: int = 1) -> None:
        self.dropped[reason] += count
        account = self._account(us, ref)
        account.dropped[reason] += count

    def describe(self, us: int, ref: ModelRef) -> None:
        self.described += 1
        self._account(us, ref).described += 1

    def deliver(self, us: int, ref: ModelRef) -> None:
        self.delivered += 1
        self._account(us, ref).delivered += 1

    def tallies(self, *, closed: bool, now_us: int, ref: ModelRef) -> list[CaptureTally]:
        """One for each hour and version with news; on closing always at least one."""
        found = [
            CaptureTally(
                model=version,
                session=self.session,
                fork=self.fork,
                start=from_us(account.first_us),
                end=from_us(account.last_us + 1),
                seen=account.seen,
                described=account.described,
                delivered=account.delivered,
                dropped=dict(account.dropped),
                last_seq=self.taken - 1,
            )
            for (_, version), account in sorted(self._open.items(), key=lambda item: (item[0][0], item[0][1].version))
        ]
        if closed:
            found.append(
                CaptureTally(
                    model=ref,
                    session=self.session,
                    fork=self.fork,
                    start=from_us(now_us),
                    end=from_us(now_us + 1),
                    seen=0,
                    described=0,
                    delivered=0,
                    dropped={},
                    closed=True,
                    last_seq=self.taken - 1,
                )
            )
        return found

    @property
    def news(self) -> bool:
        return bool(self._open)

    def settle(self) -> None:
        """The tallies were delivered."""
        self._open = {}
        self._latest = (0, None, Account())

    def _account(self, us: int, ref: ModelRef) -> Account:
        hour, last, account = self._latest
        if last is not ref or us // HOUR_US != hour:  # else the same as the call before, as nearly always
            hour = us // HOUR_US
            account = self._open.setdefault((hour, ref), Account())
            self._latest = (hour, ref, account)
        account.touch(us)
        return account
