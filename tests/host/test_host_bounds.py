"""A1, A5, A10-A13: hostile payloads, bounds, event loops, re-entrancy, lifecycles, leaks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import json
import logging
import os
import random
import signal
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import auditor
from auditor.agent.transport import DeliveryError, MemoryTransport
from auditor.core.gate import parse_record

HOOKS = (
    *("__repr__", "__str__", "__format__", "__bytes__", "__hash__", "__eq__", "__bool__", "__reduce__", "__call__"),
    *("__len__", "__iter__", "__getitem__", "__contains__", "__getattr__", "__array__"),
    *("__index__", "__float__", "__int__", "keys", "items", "tolist", "item"),
)


def hostile(kind: type, error: BaseException) -> Any:
    """An instance of a subclass of `kind` whose every hook raises."""

    def bite(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise error

    body: dict[str, Any] = {name: bite for name in HOOKS if not (kind is not object and name in ("__getitem__",))}
    return type("Hostile", (kind,), body)()


def lazy_truncated_image() -> Any:
    image_module = pytest.importorskip("PIL.Image")
    whole = io.BytesIO()
    image_module.effect_noise((64, 64), 50).save(whole, "PNG")
    return image_module.open(io.BytesIO(whole.getvalue()[:300]))


def deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def object_array() -> Any:
    found = np.empty(2, dtype=object)
    found[0] = hostile(object, ValueError())
    return found


closed_file = io.StringIO()
closed_file.close()
NASTY: dict[str, Any] = {
    "object": lambda: hostile(object, RuntimeError()),
    "recursing": lambda: hostile(object, RecursionError()),
    "str": lambda: hostile(str, ValueError()),
    "dict": lambda: hostile(dict, MemoryError()),
    "list": lambda: hostile(list, ValueError()),
    "float": lambda: hostile(float, ValueError()),
    "truncated image": lazy_truncated_image,
    "deep": lambda: deep(10_000),
    "nan array": lambda: np.full(9, np.nan),
    "object array": object_array,
    "empty array": lambda: np.zeros((0, 0), np.uint8),
    "huge view": lambda: memoryview(np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (1 << 30,), (0,))),
    "closed file": lambda: closed_file,
    "generator": lambda: (n for n in range(3)),
    "lone surrogate": lambda: "\ud800",
    "nul": lambda: "\x00" * 10,
    "class": lambda: int,
    "module": lambda: sys,
}


@pytest.mark.parametrize("name", NASTY)
def test_hostile_values_in_any_place_reach_neither_host_nor_books(
    name: str, make_agent: Any, transport: Any, balanced: Any, swallowed: Any
) -> None:
    swallowed.expect()
    agent = make_agent()
    value = NASTY[name]()
    for options in (
        {},
        {"output": "label"},
        {"output": "value"},
        {"output": "text"},
        {"scores": lambda result: result},
    ):
        result = agent.watch(lambda note: note, **options)(value)
        if result is not value:  # a stream is handed on item by item
            assert list(result) == [0, 1, 2][: 3 if not options else 0]
    for modality in (None, "text", "image", "audio", "tabular", "embedding", "point_cloud", "video", "series", "wrong"):
        with agent.inference(id=value if modality is None else None) as record:
            record.input("x", value, modality=modality, rate=value, scores=value, embedding=value, encoder="e")
            record.output(label=value, value=value, text=value, scores=value, tokens=value, finish=value)
            record.group(site=value)
            record.subject(value)
    agent.label(value, value)
    agent.label("x", value=value)
    agent.unwatch(value)
    with agent.context(groups=value, subject=value, id=value), contextlib.suppress(ZeroDivisionError):
        agent.watch(lambda note: 1 / 0)("x")
    assert agent.flush(20)
    balanced(agent.stats())
    for payload in transport.of("record"):
        parse_record(json.loads(payload))


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from([object(), int]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def test_any_arguments_and_any_answer_pass_through_untouched(transport: Any) -> None:
    agent = auditor.Agent("m", transport=transport, describe="all")

    @settings(max_examples=300, derandomize=True, deadline=None)
    @given(anything, anything)
    def check(argument: Any, answer: Any) -> None:
        model = agent.watch(lambda note, extra=None: answer)
        assert model(argument, extra=argument) is answer

    check()
    assert agent.flush(20)
    stats = agent.stats()
    agent.close(5)
    assert stats["seen"] == stats["delivered"] >= 300
    for payload in transport.of("record"):
        parse_record(json.loads(payload))


class Away(MemoryTransport):
    def send(self, frames: Any) -> None:
        raise DeliveryError("unreachable", "away")


def test_what_waits_is_bounded_in_number_and_bytes(make_agent: Any, balanced: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("AUDITOR_AGENT_QUEUE_RECORDS", "100")
    monkeypatch.setenv("AUDITOR_AGENT_QUEUE_BYTES", str(4 << 20))
    agent = make_agent(transport=Away(), describe="budget")
    agent._budget_share = None
    model = agent.watch(lambda photo: 1, inputs={"photo": "image"})
    big, small = np.zeros((1000, 1000), np.uint8), np.zeros((8, 8), np.uint8)
    threads = threading.active_count()
    for index in range(1500):
        model(big if index % 10 == 0 else small)
    assert threading.active_count() <= threads + 1
    recorder = agent._recorder
    assert len(recorder.queue) <= 100
    assert recorder.queued_bytes <= 4 << 20
    assert not agent.flush(0.3)
    stats = agent.stats()
    balanced(stats)
    assert stats["queued"] <= 200
    assert stats["dropped"].keys() <= {"queue_full", "queue_bytes"}
    assert sum(stats["dropped"].values()) >= 1300
    agent.close(1)
    stats = agent.stats()
    balanced(stats)
    assert stats["dropped"]["transport_failed"] + stats["dropped"].get("closed", 0) > 0


def test_a_loop_full_of_calls_keeps_contexts_apart(make_agent: Any, transport: Any) -> None:
    agent = make_agent()

    @agent.watch
    async def ask(note: str) -> str:
        await asyncio.sleep(0.001 * random.random())
        return note

    async def one(index: int) -> None:
        with agent.context(groups={"n": str(index)}, id=f"call-{index}"):
            assert await ask(f"note {index}") == f"note {index}"

    async def main() -> None:
        for start in range(0, 1000, 50):
            await asyncio.gather(*(one(index) for index in range(start, start + 50)))
            await asyncio.sleep(0.002)

    asyncio.run(main(), debug=False)
    assert agent.flush(20)
    found = [parse_record(json.loads(payload)) for payload in transport.of("record")]
    assert {record.id: record.groups["n"] for record in found} == {f"call-{i}": str(i) for i in range(1000)}


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class Echo(logging.Handler):
    """A host that logs through the very model it watches."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def emit(self, record: logging.LogRecord) -> None:
        self.model(record.getMessage())


def test_calls_from_destructors_signals_and_log_handlers_hang_nothing(
    make_agent: Any, balanced: Any, swallowed: Any
) -> None:
    swallowed.expect()
    agent = make_agent()
    model = agent.watch(lambda note: 1)
    broken = agent.watch(lambda note: 1, extract=lambda result: 1 / 0)
    handler = Echo(model)
    logging.getLogger("auditor").addHandler(handler)

    class Loud:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            model("from a destructor")

    def on_alarm(number: int, frame: Any) -> None:
        model("from a signal")
        agent.label("x", "y")
        agent.flush(0.001)

    before = signal.signal(signal.SIGALRM, on_alarm)
    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.002)
    try:
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            Loud()
            model("from the host")
            broken("said through the logger, once")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        gc.set_threshold(*thresholds)
        logging.getLogger("auditor").removeHandler(handler)
    gc.collect()
    assert agent.flush(30)
    balanced(agent.stats())


@pytest.mark.parametrize(("seed", "rounds"), [(1, 60), pytest.param(2, 5000, marks=pytest.mark.soak)])
def test_lives_in_any_order_crash_and_hang_nothing(seed: int, rounds: int, tmp_path: Path, balanced: Any) -> None:
    chance = random.Random(seed)
    agents: list[auditor.Agent] = []
    for _ in range(rounds):
        act = chance.choice(["make", "call", "call", "flush", "close", "collect", "fork", "forget"])
        if act == "make" or not agents:
            agents.append(
                auditor.Agent("m", home=tmp_path / str(len(agents)), describe=chance.choice(["all", "budget"]))
            )
        agent = chance.choice(agents)
        if act == "call":
            agent.watch(lambda note: 1)("x")
        elif act == "flush":
            assert agent.flush(10) or agent._closed
        elif act == "close":
            agent.close(10)
        elif act == "collect":
            gc.collect()
        elif act == "fork":
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
        elif act == "forget":
            agent.close(10)
            agents.remove(agent)
        assert agent.flush(10) or agent._closed  # the books are exact once everything handed over has arrived
        balanced(agent.stats())
    for agent in agents:
        agent.close(10)


def test_a_closed_agent_is_forgotten_with_its_thread_and_files(tmp_path: Path) -> None:
    def life(index: int) -> weakref.ref[auditor.Agent]:
        agent = auditor.Agent("m", home=tmp_path, describe="all")
        agent.watch(lambda note: 1)("x")
        assert agent.close(10)
        return weakref.ref(agent)

    life(0)
    threads, files = threading.active_count(), open_files()
    found = [life(index) for index in range(30)]
    gc.collect()
    assert [reference() for reference in found] == [None] * 30
    until = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() <= threads
    assert open_files() <= files
