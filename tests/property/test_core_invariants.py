"""What core refuses, for any input: numbers without status, NaN, naive times, unknown keys; and what is deterministic."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.core.errors import AuditorError, ConfigurationError, RecordError
from auditor.core.gate import parse_label, parse_record
from auditor.core.identity import canonical_json, digest, hash64, slug, uuid7
from auditor.core.measurement import Interval, Measurement, Method, Reading, Status, place
from auditor.core.window import (
    DAY,
    HOUR,
    Span,
    floor_to,
    format_duration,
    format_time,
    from_us,
    parse_duration,
    parse_time,
    to_us,
)

settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=100)
settings.load_profile("fixed")

MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
BAD_NUMBERS = st.sampled_from([math.nan, math.inf, -math.inf])
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=40)
DAY_ONE = Span(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))


def placed(reading: Reading, **overrides: object) -> Measurement:
    context = {
        "unit": "1",
        "method": Method("test", "1"),
        "model": "m",
        "version": None,
        "span": DAY_ONE,
        "revision": 1,
        "run": "r",
        "baseline": None,
        "recorded": DAY_ONE.end,
    }
    return place(reading, **{**context, **overrides})


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([s for s in Status if s is not Status.OK]))
def test_a_value_goes_with_status_ok_alone(value: float, status: Status) -> None:
    with pytest.raises(RecordError, match="value"):
        Reading(metric="drift.ks", value=value, status=status, reason="no_data")
    with pytest.raises(RecordError):
        Reading(metric="drift.ks", value=None, status=Status.OK)
    with pytest.raises(RecordError, match="reason"):
        Reading(metric="drift.ks", status=status)


@pytest.mark.parametrize("bad", [10**400, -(10**400)])
def test_a_whole_number_too_large_for_a_float_is_refused(bad: int) -> None:
    record = {"time": "2026-01-01T00:00:00Z", "model": {"name": "m"}, "inputs": [], "latency_s": bad}
    with pytest.raises(RecordError) as caught:
        parse_record(record)
    assert caught.value.code == "not_finite"


@given(BAD_NUMBERS)
def test_no_number_is_nan_or_infinite(bad: float) -> None:
    with pytest.raises(RecordError):
        Reading(metric="drift.ks", value=bad)
    with pytest.raises(RecordError):
        Interval(bad, 1.0, 0.95, "wilson")
    with pytest.raises(RecordError):
        Reading(metric="drift.ks", value=0.1, p_value=bad)
    record = {"time": "2026-01-01T00:00:00Z", "model": {"name": "m"}, "inputs": [], "latency_s": bad}
    with pytest.raises(RecordError) as caught:
        parse_record(record)
    assert caught.value.code == "not_finite"


def test_a_naive_time_is_refused_everywhere() -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(ConfigurationError) as caught:
        Span(naive, naive + DAY)
    assert caught.value.code == "naive_time"
    with pytest.raises(RecordError):
        placed(Reading(metric="drift.ks", value=0.1), recorded=naive)
    with pytest.raises(RecordError) as refused:
        parse_record({"time": "2026-01-01T00:00:00", "model": {"name": "m"}, "inputs": []})
    assert refused.value.code == "naive_time"


@given(MOMENTS)
def test_times_survive_text_and_microseconds(moment: datetime) -> None:
    assert parse_time(format_time(moment)) == moment
    assert from_us(to_us(moment)) == moment
    elsewhere = moment.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert format_time(elsewhere) == format_time(moment)


@given(MOMENTS, st.integers(1, 10_000_000), st.sampled_from([HOUR, 6 * HOUR, DAY, 7 * DAY]))
def test_windows_tile_without_gap_or_overlap(start: datetime, seconds: int, step: timedelta) -> None:
    span = Span(start, start + timedelta(seconds=seconds))
    tiles = list(span.tiles(step)) if span.duration / step < 200 else []
    wide = span.widen(step)
    assert wide.covers(span)
    assert floor_to(wide.start, step) == wide.start
    if tiles:
        assert tiles[0].start == wide.start
        assert tiles[-1].end == wide.end
        assert all(a.end == b.start for a, b in pairwise(tiles))
        assert wide.widen(step) == wide


@given(st.integers(1, 10_000_000))
def test_durations_survive_text(seconds: int) -> None:
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(WORDS, children, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_equal_values_have_equal_digests(value: object) -> None:
    again = json.loads(canonical_json(value))
    assert digest(again) == digest(value)
    assert len(digest(value)) == 64


@given(st.lists(WORDS, min_size=2, max_size=20, unique=True))
def test_different_names_have_different_slugs(names: list[str]) -> None:
    slugs = [slug(name) for name in names]
    assert len(set(slugs)) == len(slugs)
    assert all("/" not in text and text not in ("", ".", "..") for text in slugs)


def test_uuid7_is_ordered_by_time_and_well_formed() -> None:
    ids = [uuid7(ms) for ms in range(1_700_000_000_000, 1_700_000_000_050)]
    assert ids == sorted(ids)
    assert all(text[14] == "7" and text[19] in "89ab" and len(text) == 36 for text in ids)


def test_hash64_is_uniform_and_fixed() -> None:
    shares = [hash64(f"id-{i}") / 2**64 for i in range(20_000)]
    tenths = [sum(1 for share in shares if share * 10 // 1 == k) for k in range(10)]
    assert max(abs(count - 2000) for count in tenths) < 5 * math.sqrt(2000 * 0.9)


@given(
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.dictionaries(st.sampled_from(["input", "column", "group"]), WORDS),
)
def test_a_measurement_survives_json_and_its_id_names_its_series(value: float, attributes: dict[str, str]) -> None:
    measurement = placed(Reading(metric="drift.ks", value=value, n=3, attributes=attributes))
    assert Measurement.from_json(json.loads(json.dumps(measurement.as_json()))) == measurement
    again = placed(Reading(metric="drift.ks", value=value + 1.0, n=9, attributes=attributes))
    assert again.id == measurement.id
    assert placed(Reading(metric="drift.ks", value=value, attributes=attributes), revision=2).id != measurement.id


RECORD = {
    "id": "r-1",
    "time": "2026-01-01T00:00:00Z",
    "model": {"name": "m", "version": "1"},
    "inputs": [
        {
            "name": "photo",
            "modality": "image",
            "descriptors": {"brightness": 0.5, "script": "latin", "gap": None},
            "scores": [0.1, 0.9],
        },
        {"name": "clip", "modality": "audio", "missing": True},
    ],
    "output": {"label": 7, "scores": [0.2, 0.8]},
    "groups": {"site": "north", "age": None},
    "sampling": 0.5,
    "latency_s": 0.01,
    "energy": {"joules": 1.5, "method": "modelled", "by": {"photo": 1.0}},
    "source": {"session": "s", "fork": 0, "seq": 4},
}


def test_a_record_survives_json() -> None:
    record = parse_record(RECORD)
    assert parse_record(json.loads(json.dumps(record.as_json()))) == record
    assert record.output is not None
    assert record.output.label == "7"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"colour": 1}, "unknown_key"),
        ({"id": ""}, "bad_id"),
        ({"id": "x" * 65}, "bad_id"),
        ({"time": "yesterday"}, "bad_time"),
        ({"model": {}}, "missing_key"),
        ({"inputs": [{"name": "a", "modality": ""}]}, "unknown_modality"),
        ({"inputs": [{"name": "a", "modality": "text"}] * 2}, "duplicate_input"),
        ({"inputs": {"a": 1}}, "bad_type"),
        ({"sampling": 0}, "bad_sampling"),
        ({"sampling": 1.5}, "bad_sampling"),
        ({"latency_s": -1}, "out_of_range"),
        ({"sensitive": {"sex": "f"}}, "no_vault"),
        ({"energy": {"joules": 1}}, "missing_key"),
        ({"energy": {"joules": 1, "method": "guessed"}}, "bad_energy"),
        ({"groups": {"site": 3}}, "bad_type"),
        ({"output": {"scores": [1, None]}}, "bad_vector"),
    ],
)
def test_a_bad_record_is_refused_with_a_code_and_a_place(change: dict[str, object], code: str) -> None:
    with pytest.raises(RecordError) as caught:
        parse_record({**RECORD, **change})
    assert caught.value.code == code
    assert caught.value.line().startswith(f"error[{code}]: ")


@given(JSON)
def test_whatever_arrives_is_a_record_or_a_coded_refusal(value: object) -> None:
    for gate in (parse_record, partial(parse_label, now=DAY_ONE.end)):
        try:
            outcome = gate(value)
        except AuditorError as error:
            outcome = error.code
        assert outcome


def test_a_label_is_one_of_label_or_value() -> None:
    assert parse_label({"id": "r", "label": 7.0}, now=DAY_ONE.end).label == "7"
    assert parse_label({"id": "r", "value": 0.5}, now=DAY_ONE.end).value == 0.5
    for bad in ({"id": "r"}, {"id": "r", "label": "a", "value": 1}):
        with pytest.raises(RecordError) as caught:
            parse_label(bad, now=DAY_ONE.end)
        assert caught.value.code == "bad_label"
