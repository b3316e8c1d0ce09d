"""A6, A7: whatever happens, every call is delivered, queued or dropped by reason, and every gap is declared."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

import auditor
from auditor.agent.transport import DeliveryError, MemoryTransport
from auditor.core.gate import parse_record, parse_tally


class Moody(MemoryTransport):
    """Delivers, fails for now, or refuses, as it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.moods: list[str] = []

    def send(self, frames: Any) -> None:
        mood = self.moods.pop() if self.moods else "well"
        if mood == "away":
            raise DeliveryError("unreachable", "away", retry_after_s=0.01)
        if mood == "refuses":
            raise DeliveryError("refused", "no", reason="refused", permanent=True)
        if mood == "picky":
            kept = [frame for index, frame in enumerate(frames) if index % 2]
            super().send(kept)
            refused = tuple(range(0, len(frames), 2))
            raise DeliveryError("refused", "half", reason="refused", permanent=True, refused=refused)
        super().send(frames)


def gaps(frames: list[tuple[str, bytes]]) -> tuple[int, int]:
    """(sequence numbers without a record, losses that tallies own up to), as an intake would count them."""
    records = [parse_record(json.loads(payload)) for kind, payload in frames if kind == "record"]
    tallies = [parse_tally(json.loads(payload)) for kind, payload in frames if kind == "tally"]
    last = max((tally.last_seq for tally in tallies if tally.last_seq is not None), default=-1)
    arrived = {record.source.seq for record in records if record.source is not None}
    assert len(arrived) == len(records)
    return last + 1 - len(arrived), sum(sum(tally.dropped.values()) for tally in tallies)


class Accounting(RuleBasedStateMachine):
    """Random hosts and random transports; the books balance after every step."""

    @initialize(budget=st.booleans())
    def begin(self, budget: bool) -> None:
        self.transport = Moody()
        self.agent = auditor.Agent("m", transport=self.transport, describe="budget" if budget else "all")
        self.agent._budget_share = None
        self.model = self.agent.watch(lambda note: 1)
        self.calls = 0
        self.closed = False

    @rule(count=st.integers(1, 30))
    def call(self, count: int) -> None:
        for _ in range(count):
            assert self.model("words") == 1
        self.calls += count

    @rule(rate=st.sampled_from([1.0, 0.5, 0.01]))
    def rate(self, rate: float) -> None:
        self.agent._recorder.set_rate(rate)

    @rule(limit=st.sampled_from([1, 5, 10_000]), size=st.sampled_from([300, 1 << 20]))
    def bounds(self, limit: int, size: int) -> None:
        recorder = self.agent._recorder
        recorder.block_when_full = False
        recorder.limit = recorder.room = limit
        recorder.limit_bytes = size

    @rule(moods=st.lists(st.sampled_from(["away", "refuses", "picky", "well"]), max_size=3))
    def moods(self, moods: list[str]) -> None:
        self.transport.moods[:] = moods

    @rule()
    def label(self) -> None:
        self.agent.label("x", "y")

    @rule()
    def flush(self) -> None:
        assert self.agent.flush(10) or self.closed

    @rule()
    def close(self) -> None:
        self.transport.moods.clear()
        self.agent.close(10)
        self.closed = True

    @invariant()
    def balanced_and_complete(self) -> None:
        if not hasattr(self, "agent"):
            return
        if self.agent.flush(10):
            stats = self.agent.stats()
            assert stats["seen"] == stats["delivered"] + stats["queued"] + sum(stats["dropped"].values()), stats
            assert stats["seen"] == self.calls
            assert stats["queued"] == 0
            assert stats["delivered"] == len(self.transport.of("record"))

    def teardown(self) -> None:
        if not hasattr(self, "agent"):
            return
        self.transport.moods.clear()
        self.agent.flush(10)
        self.agent.close(10)
        missing, declared = gaps(self.transport.frames)
        assert missing == declared


Accounting.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=12,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestAccounting = Accounting.TestCase


@pytest.mark.soak
def test_a_thousand_hosts_and_transports_balance() -> None:
    run_state_machine_as_test(Accounting, settings=settings(Accounting.TestCase.settings, max_examples=1000))


@pytest.mark.parametrize("seed", range(3))
def test_threads_that_call_label_and_flush_lose_nothing_undeclared(seed: int, make_agent: Any, balanced: Any) -> None:
    transport = Moody()
    agent = make_agent(transport=transport, describe="budget")
    agent._budget_share = None
    agent._recorder.set_rate(0.5)
    agent._recorder.limit = agent._recorder.room = 50
    model = agent.watch(lambda note: 1)
    made: Counter[int] = Counter()

    def host(number: int) -> None:
        chance = random.Random(1000 * seed + number)
        for _ in range(400):
            model("words")
            made[number] += 1
            if chance.random() < 0.02:
                transport.moods.append(chance.choice(["away", "refuses", "picky"]))
            if chance.random() < 0.01:
                agent.flush(0.005)

    threads = [threading.Thread(target=host, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    transport.moods.clear()
    assert agent.flush(20)
    stats = agent.stats()
    balanced(stats)
    assert stats["seen"] == sum(made.values()) == 1600
    missing, declared = gaps(transport.frames)
    assert missing == declared > 0
    tallies = [parse_tally(json.loads(payload)) for payload in transport.of("tally")]
    assert sum(tally.seen for tally in tallies) == 1600
    assert sum(tally.delivered for tally in tallies) == stats["delivered"]
