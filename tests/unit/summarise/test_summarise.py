"""What a state says about its rows, counted by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from auditor.audit.summarise import fit_frame, summarise, summarise_hours
from auditor.core.codec import encode_state
from auditor.core.frame import Frame
from auditor.core.identity import digest, hash64
from auditor.core.record import CaptureTally, EnergyReading, ModelRef
from auditor.core.rows import Rows
from auditor.core.state import Presence, merge_all
from auditor.core.window import DAY, HOUR, Span
from auditor.testing.factories import START
from auditor.testing.synthetic import make_rows

SPAN = Span(START, START + DAY)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return make_rows(300, 5, missing=0.1, labelled=0.8)


@pytest.fixture(scope="module")
def frame(rows: Rows) -> Frame:
    return fit_frame(rows)


def test_counts_and_moments_are_those_of_the_rows(rows: Rows, frame: Frame) -> None:
    (state,) = summarise(rows, frame, SPAN)
    assert (state.n, state.described) == (300, 300)
    assert state.labelled == sum(truth is not None for truth in rows.truth)
    level = rows.numeric["inputs.clip.descriptors.level_dbfs"]
    known = level[np.isfinite(level)]
    moments = state.numeric["inputs.clip.descriptors.level_dbfs"].moments
    assert moments.n == len(known)
    assert moments.mean == pytest.approx(known.mean(), rel=1e-13)
    assert moments.variance == pytest.approx(known.var(ddof=1), rel=1e-12)
    assert (moments.low, moments.high) == (known.min(), known.max())
    assert state.categorical["output.label"].counts == Counter(rows.categorical["output.label"])
    missing = int((rows.presence["clip"] == 2).sum())
    assert state.presence["clip"] == Presence(present=300 - missing, missing=missing)
    assert state.describers["photo"] == {"image/1|": 300}
    assert state.modality == {"photo": "image", "clip": "audio", "note": "text"}


def test_derived_columns_follow_from_the_scores(rows: Rows, frame: Frame) -> None:
    (state,) = summarise(rows, frame, SPAN)
    photo = rows.vectors["inputs.photo.scores"].astype(float)
    clip = rows.vectors["inputs.clip.scores"].astype(float)
    there = np.isfinite(clip).all(axis=1)
    assert state.numeric["inputs.photo.confidence"].moments.mean == pytest.approx(photo.max(axis=1).mean(), rel=1e-6)
    pair = state.numeric["pairs.photo~clip.concordance"]
    assert pair.n == int(there.sum())
    assert pair.moments.mean == pytest.approx((photo * clip)[there].sum(axis=1).mean(), rel=1e-5)
    assert state.numeric["pairs.note~photo.cosine"].n == 300
    assert state.numeric["labels.delay_s"].moments.mean == 7200.0
    assert state.numeric["output.entropy"].moments.low >= 0


def test_errors_of_a_regression_are_columns(rows: Rows) -> None:
    value = np.arange(300.0)
    truth = np.where(np.arange(300) % 3 == 0, np.nan, value + 2)
    numbers = replace(rows, numeric={**rows.numeric, "output.value": value}, truth_value=truth)
    (state,) = summarise(numbers, Frame(rows.model), SPAN)
    assert state.numeric["output.error"].n == 200
    assert state.numeric["output.error"].moments.mean == -2.0
    assert state.numeric["output.error_abs"].moments.mean == 2.0


def test_the_default_frame_takes_columns_as_they_come(rows: Rows) -> None:
    (state,) = summarise(rows, Frame(rows.model), SPAN)
    assert "pairs.photo~clip.concordance" in state.numeric
    assert not state.vectors


def test_cells_hold_groups_truth_and_prediction(rows: Rows, frame: Frame) -> None:
    (state,) = summarise(rows, frame, SPAN)
    assert state.cells.features == ("site", "speaker")
    expected = Counter(
        ((site, speaker), truth, answer)
        for site, speaker, truth, answer in zip(
            rows.groups["site"], rows.groups["speaker"], rows.truth, rows.categorical["output.label"], strict=True
        )
    )
    assert state.cells.counts == expected


def test_the_sample_holds_truth_groups_and_columns(rows: Rows, frame: Frame) -> None:
    (state,) = summarise(rows, frame, SPAN)
    assert state.sample.n == 300
    assert (np.diff(state.sample.hashes.astype(object)) > 0).all()
    place = {identifier: i for i, identifier in enumerate(rows.ids)}
    order = [place[identifier] for identifier in state.sample.ids]
    assert state.sample.categorical["truth"].tolist() == rows.truth[order].tolist()
    assert state.sample.categorical["groups.site"].tolist() == rows.groups["site"][order].tolist()
    assert np.array_equal(
        state.sample.numeric["inputs.clip.descriptors.snr_db"],
        rows.numeric["inputs.clip.descriptors.snr_db"][order],
        equal_nan=True,
    )


def test_hours_and_versions_stand_apart(rows: Rows, frame: Frame) -> None:
    mixed = replace(rows, version=np.where(np.arange(300) % 4 == 0, "2", "1").astype(object))
    states = summarise_hours(mixed, frame, [START + i * HOUR for i in range(24)])
    assert [(state.start, state.version) for state in states] == sorted((s.start, s.version) for s in states)
    assert {state.version for state in states} == {"1", "2"}
    assert all(state.end - state.start == HOUR for state in states)
    assert sum(state.n for state in states) == 300
    both = merge_all(states)
    assert both.version is None


def test_hours_that_were_not_asked_for_are_left_out(rows: Rows, frame: Frame) -> None:
    states = summarise_hours(rows, frame, [START + 3 * HOUR, START + HOUR])
    assert [state.start for state in states] == [START + HOUR, START + 3 * HOUR]
    inside = (rows.time_us >= states[0].start.timestamp() * 1e6) & (rows.time_us < states[0].end.timestamp() * 1e6)
    assert states[0].n == int(inside.sum())


def test_no_rows_no_states(rows: Rows, frame: Frame) -> None:
    assert summarise(rows.take(np.empty(0, np.int64)), frame, SPAN) == []
    assert summarise(rows, frame, Span(START + 30 * DAY, START + 31 * DAY)) == []


def _reading(end_minutes: float, **changes: object) -> EnergyReading:
    end = START + timedelta(minutes=end_minutes)
    plain = {
        "model": ModelRef(name="digit-reader", version="1.0.0"),
        "start": end - timedelta(minutes=1),
        "end": end,
        "joules": {"cpu": 3.0, "ram": 1.0},
        "active": 2.5,
        "idle": 1.5,
        "requests": 10,
        "cpu_s": 0.2,
        "cpu_total_s": 0.3,
        "method": "modelled",
        "meter": "codecarbon",
        "country": "DEU",
        "kg_co2e": 1e-6,
    }
    return EnergyReading(**{**plain, **changes})  # type: ignore[arg-type]


def test_a_reading_belongs_to_the_hour_before_its_end(frame: Frame, rows: Rows) -> None:
    """A reading that ends on the hour belongs to the hour that is over."""
    states = summarise_hours(rows, frame, [START, START + HOUR], [_reading(60), _reading(61), _reading(30)])
    first, second = states
    assert first.energy["modelled"].requests == 20
    assert first.energy["modelled"].by_component == {"cpu": 6.0, "ram": 2.0}
    assert second.energy["modelled"].active == 2.5
    assert first.energy["modelled"].kg_co2e == 2e-6


def test_a_meter_wins_over_what_records_say_of_themselves(frame: Frame, rows: Rows) -> None:
    plain = summarise_hours(rows, frame, [START])[0]
    assert plain.energy["modelled"].requests == plain.n
    metered = summarise_hours(rows, frame, [START], [_reading(30)])[0]
    assert metered.energy["modelled"].requests == 10
    assert metered.energy["modelled"].active == 2.5


def test_readings_and_tallies_without_records_make_a_state(frame: Frame, rows: Rows) -> None:
    tally = CaptureTally(
        model=ModelRef(name="digit-reader", version="9"),
        session="s",
        fork=0,
        start=START,
        end=START + timedelta(minutes=5),
        seen=7,
        described=5,
        delivered=4,
        dropped={"queue_full": 3},
    )
    states = summarise_hours(rows, frame, [START], [], [tally])
    assert [state.version for state in states] == ["1.0.0", "9"]
    assert (states[1].n, states[1].tally.seen, states[1].tally.dropped) == (
        0,
        7,
        {"queue_full": 3, "lost_after_delivery": 4},
    )


def test_failures_are_counted_by_code_and_are_no_column(rows: Rows) -> None:
    codes = np.array(["decode_failed" if i < 7 else None for i in range(300)], object)
    failing = replace(rows, categorical={**rows.categorical, "inputs.photo.error": codes, "output.error": codes})
    (state,) = summarise(failing, Frame(rows.model), SPAN)
    assert state.errors == {"decode_failed": 14}
    assert "inputs.photo.error" not in state.categorical


def test_a_frame_is_deterministic_and_survives_json(rows: Rows) -> None:
    frame = fit_frame(rows)
    again = fit_frame(rows.take(np.arange(rows.n)))
    assert frame.digest == again.digest
    back = Frame.from_json(frame.as_json())
    assert back.digest == frame.digest
    assert [encode_state(s) for s in summarise(rows, back, SPAN)] == [
        encode_state(s) for s in summarise(rows, frame, SPAN)
    ]


def test_a_frame_knows_its_columns(frame: Frame) -> None:
    spec = frame.columns["inputs.photo.descriptors.brightness"]
    assert (spec.kind, spec.view, spec.input, spec.modality, spec.short) == (
        "numeric",
        "signal",
        "photo",
        "image",
        "brightness",
    )
    assert frame.columns["inputs.photo.confidence"].view == "output"
    assert frame.columns["inputs.photo.entropy"].view == "uncertainty"
    assert frame.columns["inputs.photo.embedding"].kind == "vector"
    assert frame.columns["output.confidence"].attributes() == {"column": "output.confidence"}
    assert frame.columns["latency_s"].view == "service"
    assert frame.columns["pairs.photo~clip.concordance"].attributes() == {
        "column": "concordance",
        "pair": "photo~clip",
    }
    assert frame.pairs == (("note", "photo"), ("photo", "clip"))
    assert frame.describers == {"clip": "audio/1|", "note": "text/1|", "photo": "image/1|"}


def test_counting_many_rows_densely_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large segment is counted by itself, with a counter for every bin; the state is the same to the last byte."""
    from auditor.audit import summarise as module
    from auditor.core.codec import encode_state

    rows = make_rows(600, 12, missing=0.2)
    frame = fit_frame(make_rows(500, 13))
    hours = [SPAN.start + i * (SPAN.end - SPAN.start) / 24 for i in range(24)]
    sparse = [encode_state(state) for state in module.summarise_hours(rows, frame, hours)]
    monkeypatch.setattr(module, "_MANY_ROWS", 1)
    assert [encode_state(state) for state in module.summarise_hours(rows, frame, hours)] == sparse


def test_large_and_small_segments_side_by_side_are_each_what_they_are_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from auditor.audit import summarise as module

    rows, frame = make_rows(600, 12, missing=0.2), fit_frame(make_rows(500, 13))
    versions = np.array(["2", "1"], object)[(np.arange(rows.n) % 9 == 0).astype(int)]
    rows = replace(rows, version=versions)
    hours = [SPAN.start + i * HOUR for i in range(24)]
    expected = [encode_state(state) for state in summarise_hours(rows, frame, hours)]
    monkeypatch.setattr(module, "_MANY_ROWS", 15)
    shuffled = rows.take(np.random.default_rng(3).permutation(rows.n))
    assert [encode_state(state) for state in summarise_hours(shuffled, frame, hours)] == expected


@pytest.mark.parametrize("spoiled", ["sha256:" + "g" * 64, "sha256:" + "a" * 62 + " b", "other"])
def test_a_commitment_that_is_no_digest_leaves_the_others_what_they_were(rows: Rows, spoiled: str) -> None:
    whole = [f"sha256:{digest(str(i))}" for i in range(rows.n)]
    mixed = np.array([spoiled, None, *whole[2:]], object)
    (state,) = summarise(replace(rows, commitment={"photo": mixed}), Frame(rows.model), SPAN)
    expected = {hash64(spoiled), *(int(name[-16:], 16) for name in whole[2:])}
    assert set(state.payloads["photo"].hashes.tolist()) == expected
    assert state.payloads["photo"].n == rows.n - 1
