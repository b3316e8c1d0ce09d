"""States as bytes: exact, deterministic, small, and refused when damaged."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from auditor.audit.summarise import fit_frame, summarise, summarise_hours
from auditor.core.blocks import NumericBlock
from auditor.core.codec import decode_state, encode_state, state_digest
from auditor.core.errors import StoreError
from auditor.core.frame import Frame
from auditor.core.state import Energy, Tally, WindowState, empty_state
from auditor.core.window import DAY, HOUR, Span
from auditor.testing.factories import START
from auditor.testing.synthetic import make_rows


@pytest.fixture(scope="module")
def day() -> list[WindowState]:
    rows = make_rows(400, 1, missing=0.1)
    return summarise_hours(rows, fit_frame(rows), [START + i * HOUR for i in range(24)])


def test_every_part_survives_exactly(day: list[WindowState]) -> None:
    state = replace(
        day[3],
        version=None,
        energy={
            "modelled": Energy(17, 0.1 + 0.2, 1e-17, {"cpu": 1 / 3}, {"photo": 0.25}, 1e-9, 2.5, "codecarbon", "DEU")
        },
        tally=Tally(20, 18, 17, {"queue_full": 3}, 1),
        errors={"decode_failed": 2},
    )
    back = decode_state(encode_state(state))
    for name in ("model", "version", "start", "end", "frame", "n", "described", "labelled", "presence", "modality"):
        assert getattr(back, name) == getattr(state, name), name
    for name in ("describers", "cells", "energy", "tally", "errors"):
        assert getattr(back, name) == getattr(state, name), name
    assert {k: dict(v.counts) for k, v in back.categorical.items()} == {
        k: dict(v.counts) for k, v in state.categorical.items()
    }
    assert list(back.numeric) == list(state.numeric)
    for column, numeric in state.numeric.items():
        assert back.numeric[column].moments == numeric.moments
        assert (back.numeric[column].bins == numeric.bins).all()
        assert (back.numeric[column].counts == numeric.counts).all()
    for column, vector in state.vectors.items():
        for part in ("mean", "scatter", "features"):
            assert (getattr(back.vectors[column], part) == getattr(vector, part)).all()
        assert (back.vectors[column].n, back.vectors[column].square) == (vector.n, vector.square)
    assert back.sample.ids.tolist() == state.sample.ids.tolist()
    assert (back.sample.hashes == state.sample.hashes).all()
    for column, values in state.sample.numeric.items():
        assert np.array_equal(back.sample.numeric[column], values, equal_nan=True)
    for column, words in state.sample.categorical.items():
        assert back.sample.categorical[column].tolist() == words.tolist()


def test_same_state_gives_same_bytes(day: list[WindowState]) -> None:
    for state in day:
        data = encode_state(state)
        assert encode_state(decode_state(data)) == data
        assert encode_state(decode_state(data)) == data
        assert state_digest(decode_state(data)) == state_digest(state)


def test_order_of_mappings_does_not_matter(day: list[WindowState]) -> None:
    state = day[0]
    turned = replace(
        state,
        numeric=dict(reversed(list(state.numeric.items()))),
        categorical=dict(reversed(list(state.categorical.items()))),
        presence=dict(reversed(list(state.presence.items()))),
    )
    assert encode_state(turned) == encode_state(state)


def test_negative_bins_of_the_log_grid_survive() -> None:
    from auditor.core.frame import Frame

    rows = make_rows(50, 1)  # level_dbfs is negative
    state = summarise(rows, Frame(rows.model), Span(START, START + DAY))[0]
    back = decode_state(encode_state(state))
    column = "inputs.clip.descriptors.level_dbfs"
    assert (state.numeric[column].bins < 0).any()
    assert (back.numeric[column].bins == state.numeric[column].bins).all()


def test_the_state_of_nothing_survives() -> None:
    state = empty_state("m", Span(START, START + HOUR), "f")
    assert encode_state(decode_state(encode_state(state))) == encode_state(state)


@pytest.mark.parametrize("damage", ["head", "cut", "flip", "empty"])
def test_damage_is_refused(day: list[WindowState], damage: str) -> None:
    data = encode_state(day[0])
    broken = {
        "head": b"XXXX" + data[4:],
        "cut": data[:-7],
        "flip": data[:40] + bytes([data[40] ^ 0xFF]) + data[41:],
        "empty": b"",
    }[damage]
    with pytest.raises(StoreError) as error:
        decode_state(broken)
    assert error.value.code == "bad_state"


def test_an_hour_is_small(day: list[WindowState]) -> None:
    """About 17 records of 65 columns and 6 vectors: tens of kB at most."""
    assert max(len(encode_state(state)) for state in day) < 40_000


def test_what_engines_send_is_the_same_and_narrow(day: list[WindowState]) -> None:
    unfitted = summarise(make_rows(400, 2), Frame("digits"), Span(START, START + DAY))
    for state in [*day, *unfitted, empty_state("digits", Span(START, START + DAY), "f")]:
        sent = NumericBlock.of(state.numeric)
        back = pickle.loads(pickle.dumps(sent))
        assert back.names == sent.names
        for part in ("places", "counts", "n", "moments"):
            one, other = getattr(back, part), getattr(sent, part)
            assert one.dtype == other.dtype, part
            assert one.tobytes() == other.tobytes(), part
        assert encode_state(pickle.loads(pickle.dumps(state))) == encode_state(state)
    wide = sum(block.places.nbytes + block.counts.nbytes for block in (NumericBlock.of(state.numeric) for state in day))
    assert sum(len(pickle.dumps(NumericBlock.of(state.numeric))) for state in day) < wide / 2


def test_a_frame_is_sent_without_what_follows_from_it() -> None:
    rows = make_rows(400, 1)
    frame = fit_frame(rows)
    before = len(pickle.dumps(frame))
    for grid in frame.grids.values():
        assert grid._cells.edges is grid.edges
    assert len(pickle.dumps(frame)) == before
    assert pickle.loads(pickle.dumps(frame)).digest == frame.digest
