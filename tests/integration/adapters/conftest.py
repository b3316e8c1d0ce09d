"""Agents for the adapters' tests; every error that an agent swallows fails its test, unless the test expects it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import auditor
from auditor.capture import shield
from auditor.capture.transport import MemoryTransport

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside the tests


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
def records(transport: MemoryTransport) -> Callable[[auditor.Agent], list[dict[str, Any]]]:
    """Flushes an agent; its records so far as plain JSON, once the books balance."""

    def read(agent: auditor.Agent) -> list[dict[str, Any]]:
        assert agent.flush(10)
        stats = agent.stats()
        assert stats["seen"] == stats["delivered"] + stats["queued"] + sum(stats["dropped"].values()), stats
        return [json.loads(payload) for payload in transport.of("record")]

    return read


@pytest.fixture(scope="session")
def provider() -> Iterator[Any]:
    """A model provider on loopback."""
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    pytest.importorskip("python_multipart", reason="python-multipart is not installed")
    from provider_server import Provider, serving

    made = Provider()
    with serving(made.app) as url:
        made.url = url
        yield made
