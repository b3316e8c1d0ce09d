"""Payloads that the host may change afterwards, frozen while it still stands in the call."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

MAX_PAYLOAD = 16 << 20
"""Bytes of one payload that are copied at most; a larger one is recorded as `too_large`."""
_MAX_ITEMS = 1_000_000
_MAX_DEPTH = 4
_KNOWN_TYPES = 256
_POOL_BYTES = 32 << 20
_POOLED_FROM = 16 << 10


class TooLarge(Exception):  # noqa: N818 - a signal inside this room
    """The payload does not fit the bound."""


Freezer = Callable[[Any, int], tuple[Any, int]]


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
    freezer = _freezers.get(kind)
    if freezer is None:
        freezer = _choose(kind)
        if len(_freezers) < _KNOWN_TYPES:
            _freezers[kind] = freezer
    return freezer(value, depth)


def _choose(kind: type) -> Freezer:
    for base, freezer in _BASES:
        if issubclass(kind, base):
            return freezer
    for base in kind.__mro__:
        if base.__module__ == "numpy" and base.__name__ == "ndarray":
            return _array
        if base.__module__.startswith("PIL.") and base.__name__ == "Image":
            return _image
    return _reference


def _atom(value: Any, depth: int) -> tuple[Any, int]:
    return value, 16


def _reference(value: Any, depth: int) -> tuple[Any, int]:
    return value, 64


def _text(value: Any, depth: int) -> tuple[str, int]:
    return str.__str__(value), str.__len__(value)


def _buffer(value: Any, depth: int) -> tuple[bytes, int]:
    size = value.nbytes if isinstance(value, memoryview) else len(value)
    if size > MAX_PAYLOAD:
        raise TooLarge
    return bytes(value), size


def _array(value: Any, depth: int) -> tuple[Any, int]:
    size = value.nbytes
    if size > MAX_PAYLOAD:
        raise TooLarge
    numpy = sys.modules["numpy"]
    if size >= _POOLED_FROM:
        dtype = value.dtype
        kept = pool.take(value.shape, dtype)
        if kept is not None:
            if dtype.kind in "ui" and type(value) is numpy.ndarray:
                # The C library's copy into memory that is in no cache takes up to twice as long when the two addresses
                # do not agree modulo 32; numpy's loop over integers does not mind.
                numpy.positive(value, kept)
            else:
                numpy.copyto(kept, value)
            return kept, size
    return numpy.array(value, copy=True, subok=False, order="C"), size


def _image(value: Any, depth: int) -> tuple[Any, int]:
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
    if type(value) in (list, tuple) and set(map(type, value)) <= _NUMBERS:
        return value[:], 16 * len(value)
    frozen, total = [], 64
    for entry in value:
        kept, size = freeze(entry, depth + 1)
        frozen.append(kept)
        total += size + 16
        if total > MAX_PAYLOAD:
            raise TooLarge
    return frozen, total


_NUMBERS = frozenset({int, float, bool, complex, type(None)})
_BASES: tuple[tuple[Any, Freezer], ...] = (
    (str, _text),
    ((bytes, bytearray, memoryview), _buffer),
    (Mapping, _mapping),
    ((list, tuple), _items),
)
_freezers: dict[type, Freezer] = {int: _atom, float: _atom, bool: _atom, complex: _atom, type(None): _atom}


class Pool:
    """Buffers of arrays that were described, kept for the next arrays of their kind.

    Fresh memory costs the caller more than the copy itself (the system hands it out page by page, zeroed); a model
    sees the same shapes again and again.
    """

    def __init__(self, limit: int = _POOL_BYTES) -> None:
        self.limit = limit
        self._free: dict[tuple[tuple[int, ...], Any], deque[Any]] = {}
        self._bytes = 0

    def take(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """A C-ordered buffer, or None."""
        free = self._free.get((shape, dtype))
        if not free:
            return None
        try:
            buffer = free.pop()
        except IndexError:  # another thread took it
            return None
        self._bytes -= buffer.nbytes
        return buffer

    def give_back(self, buffer: Any) -> None:
        """Offer a snapshot that nobody else holds; called in the worker."""
        size = buffer.nbytes
        if size < _POOLED_FROM or buffer.dtype.hasobject or not buffer.flags.c_contiguous:
            return
        free = self._free.setdefault((buffer.shape, buffer.dtype), deque())
        if self._bytes + size > self.limit:
            if free:
                return
            self.clear()  # shapes that are no longer seen must not keep this one out
            free = self._free.setdefault((buffer.shape, buffer.dtype), deque())
        free.append(buffer)
        self._bytes += size

    def clear(self) -> None:
        self._free = {}
        self._bytes = 0


pool = Pool()


def release(held: list[Any]) -> None:
    """Give the arrays among `held` back, where `held` is the only one to hold them; the list is emptied."""
    while held:
        value = held.pop()
        # two references: this name and the argument of getrefcount
        if type(value).__module__ == "numpy" and hasattr(value, "flags") and sys.getrefcount(value) == 2:
            pool.give_back(value)
