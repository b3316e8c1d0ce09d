"""Payloads that the host may change afterwards, frozen while it still stands in the call."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

MAX_PAYLOAD = 16 << 20
"""Bytes of one payload that are copied at most; a larger one is recorded as `too_large`."""
_MAX_ITEMS = 1_000_000
_MAX_DEPTH = 4
_ATOMS = frozenset({int, float, bool, complex, type(None), bytes, str})


class TooLarge(Exception):  # noqa: N818 - a signal inside this room
    """The payload does not fit the bound."""


def freeze(value: Any, depth: int = 0) -> tuple[Any, int]:
    """(a value that no longer changes with the host's, its size in bytes).

    Immutable values are kept by reference; arrays, images, buffers and small containers are copied; what is none of
    these (a path, an open file, an object of the user's) is kept by reference and not read.

    Raises
    ------
    TooLarge
        When a copy would take more than `MAX_PAYLOAD` bytes.
    """
    kind = type(value)
    if kind in _ATOMS:
        return value, len(value) if kind is str or kind is bytes else 16
    if issubclass(kind, str):
        return str.__str__(value), str.__len__(value)
    if issubclass(kind, (bytes, bytearray, memoryview)):
        return _buffer(value)
    if issubclass(kind, Mapping):
        return _mapping(value, depth)
    if issubclass(kind, (list, tuple)):
        return _items(value, depth)
    for base in kind.__mro__:
        if base.__module__ == "numpy" and base.__name__ == "ndarray":
            return _array(value)
        if base.__module__.startswith("PIL.") and base.__name__ == "Image":
            return _image(value)
    return value, 64


def _buffer(value: Any) -> tuple[bytes, int]:
    size = value.nbytes if isinstance(value, memoryview) else len(value)
    if size > MAX_PAYLOAD:
        raise TooLarge
    return bytes(value), size


def _array(value: Any) -> tuple[Any, int]:
    size = value.nbytes
    if size > MAX_PAYLOAD:
        raise TooLarge
    return sys.modules["numpy"].array(value, copy=True, subok=False), size


def _image(value: Any) -> tuple[Any, int]:
    width, height = value.size
    size = width * height * max(1, len(value.getbands()))
    if size > MAX_PAYLOAD:
        raise TooLarge
    return value.copy(), size


def _mapping(value: Mapping[Any, Any], depth: int) -> tuple[dict[str, Any], int]:
    if depth >= _MAX_DEPTH or len(value) > _MAX_ITEMS:
        raise TooLarge
    frozen, total = {}, 64
    for key, entry in value.items():
        frozen[str(key)], size = freeze(entry, depth + 1)
        total += size + 64
        if total > MAX_PAYLOAD:
            raise TooLarge
    return frozen, total


def _items(value: Any, depth: int) -> tuple[Any, int]:
    if depth >= _MAX_DEPTH or len(value) > _MAX_ITEMS:
        raise TooLarge
    if type(value) in (list, tuple) and set(map(type, value)) <= _ATOMS - {str, bytes}:
        return value[:], 16 * len(value)
    frozen, total = [], 64
    for entry in value:
        kept, size = freeze(entry, depth + 1)
        frozen.append(kept)
        total += size + 16
        if total > MAX_PAYLOAD:
            raise TooLarge
    return frozen, total
