"""Makes the small writer of ONNX files importable, and fails a test in which an agent swallows an error unexpectedly."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def nothing_swallowed(swallowed: Any) -> None:
    """Every test here watches what the agent swallows."""
