"""A14: a hundred agents, a service that goes away and comes back: no storm, no loss, and its wishes are met."""

from __future__ import annotations

import itertools
import random
import time
from typing import Any

import pytest

from auditor.agent.sender import Sender
from auditor.agent.shield import Faults
from auditor.agent.transport import DeliveryError, MemorySegments, MemoryTransport


class Clock:
    """Simulated seconds in place of `time.monotonic`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Away:
    """A service that is away between two moments; notes every try."""

    kinds = frozenset({"record"})

    def __init__(self, clock: Clock, start: float, stop: float, wish: float | None) -> None:
        self.clock, self.start, self.stop, self.wish = clock, start, stop, wish
        self.tries: list[float] = []
        self.frames = 0

    def bodies(self, frames: Any) -> list[list[int]]:
        return [list(range(len(frames)))]

    def send(self, frames: Any) -> None:
        if self.start <= self.clock.now < self.stop:
            self.tries.append(self.clock.now)
            raise DeliveryError("http_503", "away", retry_after_s=self.wish)
        self.frames += len(frames)


@pytest.mark.parametrize("wish", [None, 7.0], ids=["own-pauses", "retry-after"])
def test_a_hundred_agents_over_ten_minutes_away(monkeypatch: pytest.MonkeyPatch, wish: float | None) -> None:
    clock = Clock()
    for module in ("transport", "sender"):
        monkeypatch.setattr(f"auditor.agent.{module}.time", clock)
    random.seed(4)
    services = [Away(clock, 1010.0, 1610.0, wish) for _ in range(100)]
    agents = [Sender(MemorySegments(1 << 20), service, Faults()) for service in services]  # type: ignore[arg-type]
    back: list[float] = []
    for tick in range(7000):  # 700 s
        clock.now = 1000.0 + tick / 10
        for sender in agents:
            if tick % 50 == 0:
                sender.own.send([("record", b"{}")])
                sender.own.seal()
            failing = sender.backoff.failures > 0
            if sender.backoff.remaining == 0.0 and (tick % 50 == 0 or failing):
                sender.send_all()
                if failing and not sender.behind:
                    back.append(clock.now)
    tries = [service.tries for service in services]
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
    assert [service.frames for service in services] == [140] * 100
    assert not any(sender.own.measure() for sender in agents)


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
