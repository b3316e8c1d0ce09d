"""Memory that a drain needed at its widest goes back to the system: glibc and Arrow would keep it for a next time."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import pyarrow as pa

_trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None  # glibc alone has it


def release() -> None:
    """Hand freed memory back; a few milliseconds."""
    pa.default_memory_pool().release_unused()
    if _trim is not None:
        _trim(0)
