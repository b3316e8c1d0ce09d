"""A state is a function of the set of its records: any partition merges to the single pass."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.audit.summarise import fit_frame, summarise, summarise_hours
from auditor.core.blocks import CodedColumns, MatrixColumns, NumericBlock
from auditor.core.codec import encode_state
from auditor.core.frame import Frame
from auditor.core.rows import ABSENT, Rows
from auditor.core.state import WindowState, empty_state, merge, merge_all
from auditor.core.window import DAY, HOUR, Span
from auditor.testing.factories import START
from auditor.testing.synthetic import make_rows

DAY_SPAN = Span(START, START + DAY)
HOURS = [START + i * HOUR for i in range(24)]


def _messy(n: int, seed: int) -> Rows:
    """Rows with everything that can be absent absent somewhere, two versions, failures and an input that comes late."""
    rows = make_rows(n, seed, missing=0.2, labelled=0.7)
    rng = np.random.default_rng(seed)
    version = np.where(rng.random(n) < 0.3, "2.0.0", "1.0.0").astype(object)
    errors = np.where(rng.random(n) < 0.1, "decode_failed", None).astype(object)
    note = rows.presence["note"].copy()
    note[: n // 2] = ABSENT
    words = rows.numeric["inputs.note.descriptors.words"].copy()
    words[: n // 2] = np.nan
    return Rows(
        **{
            **{name: getattr(rows, name) for name in Rows.__dataclass_fields__},
            "version": version,
            "described": rng.random(n) < 0.9,
            "categorical": {**rows.categorical, "inputs.clip.error": errors},
            "presence": {**rows.presence, "note": note},
            "numeric": {**rows.numeric, "inputs.note.descriptors.words": words},
        }
    )


ROWS = _messy(300, 3)
FRAME = fit_frame(make_rows(600, 9))


def _same(a: WindowState, b: WindowState) -> None:
    """Counts, codes and samples are identical; moments agree within 1e-12 of their scale."""
    assert (a.n, a.described, a.labelled) == (b.n, b.described, b.labelled)
    x, y = NumericBlock.of(a.numeric), NumericBlock.of(b.numeric)
    assert x.names == y.names
    assert np.array_equal(x.places, y.places)
    assert np.array_equal(x.counts, y.counts)
    assert np.array_equal(x.n, y.n)
    assert np.array_equal(x.moments[2:], y.moments[2:])
    scale = np.maximum(np.abs(y.moments[2]), np.abs(y.moments[3]))
    assert (np.abs(x.moments[0] - y.moments[0]) <= 1e-12 * scale + 1e-300).all()
    assert (np.abs(x.moments[1] - y.moments[1]) <= 1e-12 * scale**2 * y.n + 1e-300).all()
    assert a.categorical == b.categorical
    assert a.presence == b.presence
    assert a.describers == b.describers
    assert a.errors == b.errors
    assert a.modality == b.modality
    assert a.cells == b.cells
    assert a.sample.ids.tolist() == b.sample.ids.tolist()
    p, q = MatrixColumns.of(a.sample.numeric, a.sample.n), MatrixColumns.of(b.sample.numeric, b.sample.n)
    assert p.names == q.names
    assert np.array_equal(p.matrix, q.matrix, equal_nan=True)
    c, d = CodedColumns.of(a.sample.categorical, a.sample.n), CodedColumns.of(b.sample.categorical, b.sample.n)
    assert (c.names, c.book) == (d.names, d.book)
    assert np.array_equal(c.codes, d.codes)
    assert a.vectors.keys() == b.vectors.keys()
    for name, vector in a.vectors.items():
        other = b.vectors[name]
        assert vector.n == other.n
        for part in ("mean", "scatter", "features"):
            left, right = getattr(vector, part), getattr(other, part)
            assert np.abs(left - right).max() <= 1e-12 * max(1.0, float(np.abs(right).max())) * vector.n
    assert a.energy.keys() == b.energy.keys()
    for method, energy in a.energy.items():
        assert energy.requests == b.energy[method].requests
        assert np.isclose(energy.active, b.energy[method].active, rtol=1e-12)


def _whole(rows: Rows, frame: Frame) -> WindowState:
    return merge_all(summarise(rows, frame, DAY_SPAN))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(parts=st.integers(1, 12), seed=st.integers(0, 2**31), fitted=st.booleans())
def test_any_partition_is_the_single_pass(parts: int, seed: int, fitted: bool) -> None:
    frame = FRAME if fitted else Frame(ROWS.model)
    rng = np.random.default_rng(seed)
    shard = rng.integers(0, parts, ROWS.n)
    pieces = [ROWS.take(np.flatnonzero(shard == i)) for i in range(parts)]
    states = [state for piece in pieces for state in summarise(piece, frame, DAY_SPAN)]
    order = rng.permutation(len(states))
    left = states[order[0]]
    for index in order[1:]:
        left = merge(left, states[index])
    _same(left, _whole(ROWS, frame))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), cuts=st.lists(st.integers(0, 23), max_size=5))
def test_the_canonical_partition_is_byte_identical(seed: int, cuts: list[int]) -> None:
    """Rows in any order, hours summarised together or apart: the same bytes."""
    shuffled = ROWS.take(np.random.default_rng(seed).permutation(ROWS.n))
    together = [encode_state(state) for state in summarise_hours(ROWS, FRAME, HOURS)]
    edges = sorted({0, 24, *cuts})
    apart = [
        encode_state(state)
        for a, b in itertools.pairwise(edges)
        for state in summarise_hours(shuffled, FRAME, HOURS[a:b])
    ]
    assert apart == together


@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_one_pass_over_many_states_is_the_balanced_tree(data: st.DataObject) -> None:
    states = [state for state in summarise_hours(ROWS, FRAME, HOURS) if state.version == "1.0.0"]
    chosen = states[: data.draw(st.integers(1, len(states)))]
    layer = list(chosen)
    while len(layer) > 1:
        layer = [merge(*layer[i : i + 2]) if i + 1 < len(layer) else layer[i] for i in range(0, len(layer), 2)]
    assert encode_state(merge_all(chosen)) == encode_state(layer[0])


def test_an_empty_state_changes_nothing() -> None:
    state = summarise(ROWS, FRAME, DAY_SPAN)[0]
    nothing = empty_state(state.model, DAY_SPAN, state.frame)
    _same(merge(state, nothing), state)
    _same(merge(nothing, state), state)


def test_a_hundred_shards_equal_one_pass() -> None:
    rows = make_rows(5000, 4, missing=0.05)
    shards = [rows.take(np.arange(i, rows.n, 100)) for i in range(100)]
    states = [state for shard in shards for state in summarise(shard, FRAME, DAY_SPAN)]
    _same(merge_all(states), _whole(rows, FRAME))
