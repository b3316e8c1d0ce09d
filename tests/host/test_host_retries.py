"""A14: a hundred agents, a service that goes away and comes back: no storm, no loss, and its wishes are met."""

from __future__ import annotations

import itertools
import random
import time
from typing import Any

import pytest

from auditor.agent.accounts import Accounts
from auditor.agent.outbox import Envelope, Outbox
from auditor.agent.shield import Faults
from auditor.agent.transport import DeliveryError, MemoryTransport
from auditor.core.record import ModelRef

REF = ModelRef(name="m")


class Clock:
    """Simulated seconds in place of `time.monotonic`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Away(MemoryTransport):
    """Away between two moments; notes every try."""

    def __init__(self, clock: Clock, start: float, stop: float, wish: float | None) -> None:
        super().__init__()
        self.clock, self.start, self.stop, self.wish = clock, start, stop, wish
        self.tries: list[float] = []

    def send(self, frames: Any) -> None:
        if self.start <= self.clock.now < self.stop:
            self.tries.append(self.clock.now)
            raise DeliveryError("http_503", "away", retry_after_s=self.wish)
        super().send(frames)


@pytest.mark.parametrize("wish", [None, 7.0], ids=["own-pauses", "retry-after"])
def test_a_hundred_agents_over_ten_minutes_away(monkeypatch: pytest.MonkeyPatch, wish: float | None) -> None:
    clock = Clock()
    for module in ("transport", "outbox"):
        monkeypatch.setattr(f"auditor.agent.{module}.time", clock)
    random.seed(4)
    agents = [Outbox(Away(clock, 1010.0, 1610.0, wish), Accounts("s", 0), Faults()) for _ in range(100)]
    back: list[float] = []
    for tick in range(7000):  # 700 s
        clock.now = 1000.0 + tick / 10
        for box in agents:
            if tick % 50 == 0:
                box.accounts.take()
                box.add(Envelope("record", b"{}", 0, REF))
            failing = box.backoff.failures > 0
            if box.pending and box.deliver() and failing:
                back.append(clock.now)
    tries = [box.transport.tries for box in agents]
    assert sum(map(len, tries)) <= 100 * 600  # at most one a second of each agent
    pauses = [later - earlier for one in tries for earlier, later in itertools.pairwise(one)]
    if wish is None:
        assert max(map(len, tries)) < 60
        assert max(pauses) <= 30.2
        assert max(back) <= 1641.0
        seconds = [int(moment) for moment in back]
        assert max(seconds.count(second) for second in set(seconds)) <= 20  # they come back one after the other
    else:
        assert min(pauses) >= wish - 1e-6
    assert all(box.accounts.delivered == 140 and box.records == 0 for box in agents)


def test_a_pause_that_was_asked_for_is_kept_by_a_real_agent(make_agent: Any) -> None:
    tries: list[float] = []

    class Busy(MemoryTransport):
        def send(self, frames: Any) -> None:
            tries.append(time.monotonic())
            if len(tries) == 1:
                raise DeliveryError("http_429", "busy", retry_after_s=0.5)
            super().send(frames)

    agent = make_agent(transport=Busy())
    agent.watch(lambda note: 1)("words")
    assert agent.flush(5)
    assert tries[1] - tries[0] >= 0.5
