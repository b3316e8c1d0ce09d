"""Joules are shared out by CPU time: conserved, bounded, by version; the meter is read at flush."""

from __future__ import annotations

import json
import math
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.core.errors import DescribeError
from auditor.core.gate import parse_energy_reading
from auditor.core.record import EnergyReading, ModelRef
from auditor.energy.attribution import share, split
from auditor.ports import MeterReading
from auditor.testing import FrozenClock

START = datetime(2026, 1, 1, tzinfo=UTC)
M = ModelRef(name="m", version="1")


def reading(joules: dict[str, float], cpu_s: float) -> MeterReading:
    return MeterReading(
        duration_s=1.0, joules=joules, cpu_s=cpu_s, method="modelled", meter="fake", scope="process", kg_co2e=0.5
    )


def attribute(joules: dict[str, float], cpu_total_s: float, cpu_s: float, requests: int = 1) -> EnergyReading:
    return share(reading(joules, cpu_total_s), cpu_s, requests, model=M, start=START, end=START + timedelta(seconds=1))


def test_half_the_cpu_time_is_half_the_cpu_joules() -> None:
    found = attribute({"cpu": 10.0, "ram": 4.0, "gpu": 6.0}, 2.0, 1.0)
    assert (found.active, found.idle) == (5.0, 15.0)
    assert (found.cpu_s, found.cpu_total_s, found.method) == (1.0, 2.0, "modelled")


@pytest.mark.parametrize(
    ("total", "calls", "active"), [(1.0, 3.0, 10.0), (0.0, 1.0, 10.0), (0.0, 0.0, 0.0), (2.0, 0.0, 0.0)]
)
def test_the_share_is_at_most_one_and_nothing_for_nothing(total: float, calls: float, active: float) -> None:
    assert attribute({"cpu": 10.0}, total, calls).active == active


@pytest.mark.parametrize("bad", [({"cpu": -1.0}, 1.0), ({"cpu": math.nan}, 1.0), ({"cpu": 1.0}, math.inf)])
def test_readings_that_are_no_amounts_are_refused(bad: tuple[dict[str, float], float]) -> None:
    with pytest.raises(DescribeError):
        attribute(bad[0], bad[1], 1.0)


amounts = st.floats(0, 1e6)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["cpu", "ram", "gpu"]), amounts),
    amounts,
    st.dictionaries(st.sampled_from(["1", "2", "3"]), st.tuples(amounts, st.integers(1, 1000)), max_size=3),
)
def test_joules_are_conserved(
    joules: dict[str, float], cpu_total_s: float, parts: dict[str, tuple[float, int]]
) -> None:
    by_ref = {ModelRef(name="m", version=version): part for version, part in parts.items()}
    cpu_s = math.fsum(seconds for seconds, _ in parts.values())
    whole = attribute(joules, cpu_total_s, cpu_s, sum(count for _, count in parts.values()))
    total = math.fsum(joules.values())
    assert whole.active >= 0
    assert whole.idle >= 0
    assert whole.active + whole.idle == pytest.approx(total)
    assert whole.active <= joules.get("cpu", 0.0)
    found = split(whole, by_ref)
    assert math.fsum(part.active + part.idle for part in found) == pytest.approx(total)
    assert sum(part.requests for part in found) == whole.requests
    assert math.fsum(part.cpu_s for part in found) == pytest.approx(cpu_s)


class FakeMeter:
    """One joule for each CPU second of the process since the last reading, as the process clock says."""

    def __init__(self) -> None:
        self.started = self.stopped = 0
        self._mark = 0.0

    def start(self) -> None:
        self.started += 1
        self._mark = time.process_time()

    def read(self) -> MeterReading | None:
        now = time.process_time()
        spent, self._mark = now - self._mark, now
        return reading({"cpu": spent, "ram": 1.0}, spent)

    def stop(self) -> None:
        self.stopped += 1


def busy(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_calls_cpu_time_is_metered_and_read_at_flush(make_agent: Any, transport: Any) -> None:
    meter, clock = FakeMeter(), FrozenClock(START)
    agent = make_agent(energy=meter, clock=clock)
    assert agent.flush(10)  # the meter runs before the first call
    assert (meter.started, transport.of("energy")) == (1, [])
    model = agent.watch(lambda note: busy(0.02))
    slow = agent.watch(lambda note: busy(0.04), version="2")
    for _ in range(3):
        model("x")
    slow("x")
    clock.advance("1h")
    assert agent.flush(10)
    found = {e.model.version: e for e in map(parse_energy_reading, map(json.loads, transport.of("energy")))}
    assert (found["1.0"].requests, found["2"].requests) == (3, 1)
    assert found["1.0"].cpu_s == pytest.approx(0.06, rel=0.25)
    assert found["2"].cpu_s == pytest.approx(0.04, rel=0.25)
    assert (found["2"].start, found["2"].end) == (START, START + timedelta(hours=1))
    total = sum(reading.active for reading in found.values())
    assert 0.08 < total <= sum(reading.joules["cpu"] for reading in found.values()) + 1e-9
    assert agent.flush(10)
    assert len(transport.of("energy")) == 2  # nothing was called since
    agent.close(5)
    deadline = time.monotonic() + 2
    while not meter.stopped and time.monotonic() < deadline:
        time.sleep(0.01)
    assert meter.stopped == 1


class SlowMeter(FakeMeter):
    """A meter that runs only once the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.let = threading.Event()

    def start(self) -> None:
        assert self.let.wait(20)
        super().start()


@pytest.mark.parametrize("describe", ["budget", "all"])
def test_calls_from_before_the_meter_ran_share_no_joules(make_agent: Any, transport: Any, describe: str) -> None:
    meter = SlowMeter()
    agent = make_agent(energy=meter, describe=describe)
    model = agent.watch(lambda note: busy(0.01))
    for _ in range(5):
        model("early")
    meter.let.set()
    assert agent.flush(10)
    for _ in range(2):
        model("later")
    assert agent.flush(10)
    found = [parse_energy_reading(json.loads(payload)) for payload in transport.of("energy")]
    assert sum(reading.requests for reading in found) == 2
    assert sum(reading.cpu_s for reading in found) == pytest.approx(0.02, rel=0.3)
    assert len(transport.of("record")) == 7


def test_calls_that_are_not_described_are_metered_all_the_same(make_agent: Any, transport: Any) -> None:
    agent = make_agent(energy=FakeMeter(), describe="budget")
    agent._budget_share = None
    assert agent.flush(10)
    agent._recorder.set_rate(1e-6)
    model = agent.watch(lambda note: busy(0.005))
    for _ in range(4):
        model("x")
    assert agent.flush(10)
    (found,) = map(parse_energy_reading, map(json.loads, transport.of("energy")))
    assert found.requests == 4
    assert found.cpu_s == pytest.approx(0.02, rel=0.3)


def test_a_coroutines_waiting_is_not_its_cpu_time(make_agent: Any, transport: Any) -> None:
    import asyncio

    agent = make_agent(energy=FakeMeter())
    assert agent.flush(10)

    @agent.watch
    async def ask(note: str) -> None:
        await asyncio.sleep(0.02)
        busy(0.01)

    async def main() -> None:
        waiting = asyncio.gather(*(ask("x") for _ in range(3)))
        busy(0.05)  # another task's work while the calls wait
        await waiting

    asyncio.run(main())
    assert agent.flush(10)
    (found,) = map(parse_energy_reading, map(json.loads, transport.of("energy")))
    assert found.cpu_s == pytest.approx(0.03, abs=0.012)


def test_a_broken_meter_costs_the_energy_only(make_agent: Any, transport: Any, swallowed: Any, balanced: Any) -> None:
    swallowed.expect()

    class Broken:
        def start(self) -> None:
            raise RuntimeError

    for energy in (Broken(), "no-such-meter"):
        agent = make_agent(energy=energy)
        assert agent.watch(lambda note: 5)("x") == 5
        assert agent.flush(10)
        balanced(agent.stats())
        assert agent.stats()["internal_errors"] == {"meter_failed": 1}
    assert transport.of("energy") == []
