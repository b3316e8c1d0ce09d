"""Merging by hand: what each part of a state does."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from auditor.core.blocks import CodedColumns, MatrixColumns, NumericBlock, NumericState
from auditor.core.errors import StoreError
from auditor.core.sample import sample_order
from auditor.core.state import (
    MAX_CODES,
    OTHER,
    SAMPLE_SIZE,
    CategoricalState,
    Cells,
    Moments,
    Presence,
    Sample,
    empty_state,
    merge,
    merge_all,
)
from auditor.core.window import HOUR, Span
from auditor.testing.factories import START


def test_a_block_is_a_mapping_of_columns() -> None:
    one = NumericState(np.array([-3, 7]), np.array([2, 1]), Moments(3, 1.0, 2.0, -1.0, 4.0))
    two = NumericState(np.array([0]), np.array([5]), Moments(5, 0.0, 0.0, 0.0, 0.0))
    block = NumericBlock.of({"b": two, "a": one})
    assert list(block) == ["a", "b"]
    assert list(block.keys()) == ["a", "b"]
    assert block["a"].bins.tolist() == [-3, 7]
    assert block["a"].moments == one.moments
    assert block["b"].dense(3).tolist() == [5, 0, 0]
    assert "c" not in block
    assert block.get("c") is None


def test_an_input_only_one_side_knows_was_absent_from_the_other() -> None:
    span = Span(START, START + HOUR)
    from dataclasses import replace

    a = replace(empty_state("m", span, "f"), n=10, described=8, presence={"clip": Presence(present=8)})
    b = replace(empty_state("m", span, "f"), n=5, described=5, presence={"photo": Presence(missing=1, present=4)})
    both = merge(a, b)
    assert both.presence["clip"] == Presence(present=8, absent=5)
    assert both.presence["photo"] == Presence(present=4, missing=1, absent=8)


def test_cells_of_different_features_get_the_union() -> None:
    a = Cells(("site",), {(("north",), "1", "1"): 2})
    b = Cells(("age", "site"), {(("old", "north"), "1", "2"): 1})
    both = a.merge(b)
    assert both.features == ("age", "site")
    assert both.counts == {((None, "north"), "1", "1"): 2, (("old", "north"), "1", "2"): 1}


def test_too_many_codes_fold_the_same_way_in_any_order() -> None:
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in rng.integers(0, 3 * MAX_CODES, 20_000)]
    whole = CategoricalState.of(_counts(words))
    assert len(whole.counts) == MAX_CODES
    assert whole.counts[OTHER] > 0
    assert whole.n == len(words)
    for cuts in ([7, 9000], [1000, 1001, 15_000]):
        edges = [0, *cuts, len(words)]
        parts = [CategoricalState.of(_counts(words[a:b])) for a, b in itertools.pairwise(edges)]
        left = parts[0]
        for part in parts[1:]:
            left = left.merge(part)
        assert left == whole


def _counts(words: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return found


def test_samples_keep_the_smallest_hashes() -> None:
    rng = np.random.default_rng(1)
    hashes = np.sort(rng.integers(0, 2**63, 3000).astype(np.uint64))
    ids = np.array([f"id{i}" for i in range(3000)], object)
    words = np.array([str(i % 7) if i % 5 else None for i in range(3000)], object)

    def part(index: np.ndarray) -> Sample:
        return Sample(hashes[index], ids[index], {"x": index.astype(float)}, {"w": words[index]})

    mixed = rng.permutation(3000)
    both = part(np.sort(mixed[:1000])).merge(part(np.sort(mixed[1000:])))
    assert both.n == SAMPLE_SIZE
    assert (both.hashes == hashes[:SAMPLE_SIZE]).all()
    assert both.numeric["x"].tolist() == list(range(SAMPLE_SIZE))
    assert both.categorical["w"].tolist() == words[:SAMPLE_SIZE].tolist()


def test_equal_hashes_are_ordered_by_id() -> None:
    hashes = np.array([5, 5], np.uint64)

    def one(identifier: str) -> Sample:
        return Sample(hashes[:1], np.array([identifier], object), {}, {})

    assert one("b").merge(one("a")).ids.tolist() == one("a").merge(one("b")).ids.tolist() == ["a", "b"]


def test_a_sample_is_chosen_as_if_all_rows_had_been_sorted() -> None:
    """Ties at the last place included: of those the smallest ids stay."""
    rng = np.random.default_rng(2)
    hashes = rng.integers(0, 1500, 3 * SAMPLE_SIZE).astype(np.uint64)
    ids = np.array([f"id{i:05d}" for i in rng.permutation(len(hashes))], object)
    expected = sorted(range(len(hashes)), key=lambda i: (hashes[i], ids[i]))[:SAMPLE_SIZE]
    assert sample_order(hashes, ids).tolist() == expected


def test_packed_columns_fill_what_one_side_lacks() -> None:
    a = Sample(np.array([1], np.uint64), np.array(["a"], object), {"x": np.array([1.0])}, {})
    b = Sample(
        np.array([2], np.uint64), np.array(["b"], object), {"y": np.array([2.0])}, {"w": np.array(["q"], object)}
    )
    both = a.merge(b)
    assert isinstance(both.numeric, MatrixColumns)
    assert isinstance(both.categorical, CodedColumns)
    assert np.array_equal(both.numeric["x"], [1.0, np.nan], equal_nan=True)
    assert both.categorical["w"].tolist() == [None, "q"]


def test_states_of_other_frames_do_not_merge() -> None:
    span = Span(START, START + HOUR)
    with pytest.raises(StoreError) as error:
        merge(empty_state("m", span, "f"), empty_state("m", span, "g"))
    assert error.value.code == "frame_mismatch"
    with pytest.raises(StoreError) as error:
        merge_all([])
    assert error.value.code == "nothing_to_merge"
