"""A2: an error raised at the N-th executed line of the agent, for every N, never reaches the host."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from injection import Injector

import auditor
from auditor.agent.transport import MemoryTransport

ROOMS = ("agent", "adapters")
RESULT, PROBLEM = object(), KeyError("the model's own")


def answer(note: str, photo: Any = None) -> Any:
    return RESULT


def failing(note: str) -> Any:
    raise PROBLEM


def stream(note: str) -> Iterator[Any]:
    yield RESULT
    yield note


async def ask(note: str) -> Any:
    await asyncio.sleep(0)
    return RESULT


def scenario(agent: Any, injector: Injector, loop: asyncio.AbstractEventLoop) -> None:
    """What a host does; every result and exception has to be the model's own."""
    calm, failed, streamed, asked = map(agent.watch, (answer, failing, stream, ask))
    photo = np.zeros((3, 3), np.uint8)
    with injector.tracing():
        with agent.context(groups={"site": "n"}):
            assert calm("x", photo=photo) is RESULT
        with pytest.raises(KeyError) as caught:
            failed("x")
        assert caught.value is PROBLEM
        items = list(streamed("x"))
        assert items[0] is RESULT
        assert len(items) == 2
        assert loop.run_until_complete(asked("x")) is RESULT
        with agent.inference() as record:
            record.input("note", "words")
            record.output(label="cat", scores=[0.5, 0.5])
            record.group(site="north")
            record.subject("s")
            record.sensitive(sex="f")
        assert len(record.id) == 36
        agent.label(record.id, "dog")
        agent.stats()


def attempt(at: Any, error: Callable[[], Exception], loop: asyncio.AbstractEventLoop, balanced: Any) -> Injector:
    """One run with one error; the agent still works afterwards."""
    transport = MemoryTransport()
    agent = auditor.Agent("m", transport=transport, describe="all")
    injector = Injector(at, error, rooms=ROOMS)
    try:
        scenario(agent, injector, loop)
    except BaseException as escaped:
        raise AssertionError(f"line {at} ({injector.where}) reached the host") from escaped
    later = agent.watch(answer)
    with agent.context(id="afterwards"):
        later("x")
    assert agent.flush(10), injector.where
    assert any(b"afterwards" in payload for payload in transport.of("record")), injector.where
    stats = agent.stats()
    balanced(stats)
    if injector.where:
        noticed = sum(stats["internal_errors"].values()) + stats["dropped"].get("internal_error", 0)
        noticed += sum(b'"unreadable"' in payload for payload in transport.of("record"))
        assert noticed, f"{injector.where} left no trace"
    agent.close(5)
    return injector


ERRORS = (RuntimeError, MemoryError, RecursionError, lambda: OSError(28, "no space"))


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    found = asyncio.new_event_loop()
    yield found
    found.close()


def test_an_error_at_any_line_on_the_callers_side_stays_inside(loop: Any, balanced: Any, swallowed: Any) -> None:
    """Every executed line once, the kinds of error in turn."""
    swallowed.expect()
    seen = attempt(0, RuntimeError, loop, balanced).first
    assert len(seen) > 150
    for number, at in enumerate(seen):
        attempt(at, ERRORS[number % len(ERRORS)], loop, balanced)


@pytest.mark.soak
@pytest.mark.parametrize("error", ERRORS)
def test_an_error_at_any_execution_of_any_line_stays_inside(
    error: Callable[[], Exception], loop: Any, balanced: Any, swallowed: Any
) -> None:
    swallowed.expect()
    for at in range(1, attempt(0, error, loop, balanced).lines + 1):
        attempt(at, error, loop, balanced)


@pytest.mark.parametrize("step", [31, pytest.param(1, marks=pytest.mark.soak)])
def test_an_error_at_any_line_of_the_worker_stays_inside(step: int, balanced: Any, swallowed: Any) -> None:
    swallowed.expect()
    for at in itertools.count(1, step):
        transport = MemoryTransport()
        agent = auditor.Agent("m", transport=transport, describe="all")
        model = agent.watch(answer)
        injector = Injector(at, rooms=ROOMS)
        threading.settrace(injector)
        try:
            with agent.context(id="first"):
                assert model("x") is RESULT
            agent.flush(5)
        finally:
            threading.settrace(None)  # type: ignore[arg-type]
        found = injector.where
        injector.at = -1
        with agent.context(id="second"):
            model("y")
        done = agent.flush(5)
        stats = agent.stats()
        agent.close(5)
        balanced({"where": found, **agent.stats()})
        assert stats["seen"] == 2, (found, stats)
        assert done, (found, stats)
        if not found:
            break
