"""Agents that are closed after each test; every error that they swallow fails it, unless the test expects it."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def nothing_swallowed(swallowed: Any) -> None:
    """Every test here watches what the agent swallows, from before its agents are made until they are closed."""
