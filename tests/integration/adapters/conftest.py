"""Agents for the adapters' tests; every error that an agent swallows fails its test, unless the test expects it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import auditor
from auditor.agent.transport import MemoryTransport

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside the tests


@pytest.fixture(autouse=True)
def nothing_swallowed(swallowed: Any) -> None:
    """Every test here watches what the agent swallows, from before its agents are made until they are closed."""


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
