"""Frozen payloads: what the host does afterwards is not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from auditor.agent import snapshot
from auditor.agent.snapshot import Pool, TooLarge, freeze, release


def test_arrays_lists_buffers_and_mappings_are_copied() -> None:
    array = np.arange(6)
    value: dict[str, Any] = {"a": array, "b": [1, 2, [3]], "c": bytearray(b"xyz")}
    frozen, size = freeze(value)
    array[:] = 0
    value["b"][2].append(4)
    value["c"][0] = 0
    value["d"] = 1
    assert frozen["a"].tolist() == [0, 1, 2, 3, 4, 5]
    assert frozen["b"] == [1, 2, [3]]
    assert frozen["c"] == b"xyz"
    assert "d" not in frozen
    assert size > array.nbytes


def test_a_pil_image_is_copied() -> None:
    image_module = pytest.importorskip("PIL.Image")
    image = image_module.new("L", (4, 4), 7)
    frozen, size = freeze(image)
    image.putpixel((0, 0), 200)
    assert frozen.getpixel((0, 0)) == 7
    assert size == 16


def test_immutables_and_unknown_objects_are_kept_by_reference() -> None:
    thing = object()
    assert freeze("text")[0] == "text"
    assert freeze(thing)[0] is thing

    class Loud(str):
        def __str__(self) -> str:
            raise RuntimeError

    assert freeze(Loud("ab")) == ("ab", 2)


@pytest.mark.parametrize(
    "value",
    [memoryview(bytearray(snapshot.MAX_PAYLOAD + 1)), {"a": {"b": {"c": {"d": {"e": 1}}}}}, [[[[[1]]]]]],
    ids=["buffer", "deep mapping", "deep list"],
)
def test_what_is_too_large_or_too_deep_is_refused(value: Any) -> None:
    with pytest.raises(TooLarge):
        freeze(value)


def test_cyclic_values_end() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(TooLarge):
        freeze(loop)


def test_buffers_come_back_only_when_nobody_holds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "pool", Pool())
    image = np.full((64, 300), 5, np.uint8)
    first, _ = freeze(image)
    address = first.ctypes.data
    held = [first]
    del first
    release(held)
    again, _ = freeze(np.full((64, 300), 6, np.uint8))
    assert again.ctypes.data == address
    assert again.min() == again.max() == 6
    release([again])  # still held by this test
    other, _ = freeze(image)
    assert other is not again
    assert again.max() == 6


class Image(np.ndarray):
    """A host's own kind of array."""


@pytest.mark.parametrize("kind", ["u1", ">i4", "u8", "f2", "f4", "?", "c8"])
def test_a_kept_buffer_takes_the_same_bits(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "pool", Pool())
    bits = np.random.default_rng(0).integers(0, 2 if kind == "?" else 256, (3, 8 * 9 * 1024), np.uint8)
    one, two, three = (row.view(kind).reshape(-1, 9, 8) for row in bits)
    first, _ = freeze(one)
    place = first.ctypes.data
    for value in (two, three.view(Image), np.asfortranarray(one), one[:, ::-1]):
        held = [first]
        del first
        release(held)
        first, _ = freeze(value)
        assert first.ctypes.data == place
        assert type(first) is np.ndarray
        assert first.tobytes() == value.tobytes()


def test_the_pool_is_bounded_and_lets_new_shapes_in() -> None:
    pool = Pool(limit=100_000)
    for _ in range(10):
        pool.give_back(np.zeros(40_000, np.uint8))
    assert pool._bytes <= 100_000
    pool.give_back(np.zeros(90_000, np.uint8))
    assert pool.take((90_000,), np.dtype(np.uint8)) is not None
