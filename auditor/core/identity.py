"""Ids and digests: canonical JSON, SHA-256, time-ordered ids, and the one hash that replaces chance."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # numpy stays out of the agent's import
    import numpy as np
    from numpy.typing import NDArray

_HASHED_AT_ONCE = 1024
_SLUG = re.compile(r"[^A-Za-z0-9_.-]+")


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys, no spaces and no NaN: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value` (of the bytes themselves, if bytes), 64 hex digits."""
    data = value if isinstance(value, bytes) else canonical_json(value)
    return hashlib.sha256(data).hexdigest()


def uuid7(time_ms: int | None = None) -> str:
    """A time-ordered UUID (RFC 9562 version 7): 48 bits of Unix milliseconds, 74 random bits.

    Parameters
    ----------
    time_ms : int, optional
        Unix time in milliseconds; now, when absent.
    """
    ms = time.time_ns() // 1_000_000 if time_ms is None else time_ms
    noise = int.from_bytes(os.urandom(10), "big")
    value = (ms & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (noise >> 68) << 64 | 0b10 << 62 | noise & ((1 << 62) - 1)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def uuid7_ms(text: str) -> int:
    """The Unix milliseconds of the version 7 UUID that a text ends with; 0 where it ends with none.

    >>> uuid7_ms("day-" + uuid7(1_700_000_000_000))
    1700000000000
    """
    digits = text[-36:].replace("-", "")
    try:
        return int(digits[:12], 16) if len(digits) == 32 and digits[12] == "7" else 0
    except ValueError:
        return 0


def hash64(identifier: str) -> int:
    """64 bits of BLAKE2b of an id, uniform over [0, 2**64).

    Everything that would be left to chance (which calls are described, which rows a sample keeps) follows from it,
    so that two machines, or two runs, agree.
    """
    return int.from_bytes(hashlib.blake2b(identifier.encode(), digest_size=8).digest(), "big")


def hash64_all(identifiers: Sequence[str]) -> NDArray[np.uint64]:
    """`hash64` of each, shape (n,)."""
    import numpy as np

    found = np.empty(len(identifiers), np.uint64)
    empty = hashlib.blake2b(digest_size=8)
    for start in range(0, len(identifiers), _HASHED_AT_ONCE):
        digests = []
        for data in map(str.encode, identifiers[start : start + _HASHED_AT_ONCE]):
            hashed = empty.copy()  # cheaper than making one with its parameters
            hashed.update(data)
            digests.append(hashed.digest())
        found[start : start + len(digests)] = np.frombuffer(b"".join(digests), ">u8")
    return found


def slug(name: str) -> str:
    """`name` as a safe part of a path: other characters become `-`; a digest tail keeps different names apart.

    >>> slug("digit-reader")
    'digit-reader'
    >>> slug("ward/a") == slug("ward:a")
    False
    """
    safe = _SLUG.sub("-", name).strip(".-")
    if safe == name:
        return safe
    return f"{safe or 'x'}-{digest(name.encode())[:8]}"
