"""Agents that are closed after each test; every error that they swallow fails it, unless the test expects it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import auditor
from auditor.capture import shield
from auditor.capture.transport import MemoryTransport


class Swallowed(list):
    """(reason, error) pairs; a test that provokes errors says so with `expect`."""

    expected = False

    def expect(self) -> None:
        self.expected = True


@pytest.fixture(autouse=True)
def swallowed() -> Iterator[Swallowed]:
    found = Swallowed()

    def observe(reason: str, error: BaseException) -> None:
        found.append((reason, error))

    shield.observers.append(observe)
    yield found
    shield.observers.remove(observe)
    if found and not found.expected:
        raise AssertionError(f"the agent swallowed {found}") from found[0][1]


@pytest.fixture
def transport() -> MemoryTransport:
    return MemoryTransport()


@pytest.fixture
def make_agent(transport: MemoryTransport) -> Iterator[Callable[..., auditor.Agent]]:
    made: list[auditor.Agent] = []

    def make(**options: Any) -> auditor.Agent:
        options.setdefault("describe", "all")
        if not {"home", "endpoint", "transport"} & options.keys():
            options["transport"] = transport
        agent = auditor.Agent(options.pop("name", "reader"), options.pop("version", "1.0"), **options)
        made.append(agent)
        return agent

    yield make
    for agent in made:
        agent.close(5)


@pytest.fixture
def balanced() -> Callable[[dict[str, Any]], None]:
    def check(stats: dict[str, Any]) -> None:
        assert stats["seen"] == stats["delivered"] + stats["queued"] + sum(stats["dropped"].values()), stats

    return check
