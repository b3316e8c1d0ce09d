"""The two gates agree, and what they refuse carries its code."""

import json
import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.core.errors import RecordError
from auditor.core.gate import parse_record
from auditor.core.identity import canonical_json
from auditor.intake.records import (
    content_digest,
    decode,
    encode_record,
    label_from,
    read_label,
    read_record,
    record_from,
    to_struct,
    without_sensitive,
)
from auditor.testing.factories import make_record

numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
words = st.text(max_size=8)
names = st.text("abcé.:_ ", min_size=1, max_size=8)
scalars = st.one_of(numbers, words, st.none(), st.integers(-5, 5), st.booleans())
vectors = st.one_of(st.none(), st.lists(numbers, max_size=3))
times = st.sampled_from(
    ["2026-01-05T09:00:00Z", "2026-01-05T09:00:00.25+02:00", "2026-01-05", "2026-01-05T09:00:00", "1960-01-01", 7, None]
)
inputs = st.fixed_dictionaries(
    {"name": names, "modality": st.sampled_from(["text", "image", "smell"])},
    optional={
        "missing": st.booleans(),
        "descriptors": st.dictionaries(names, scalars, max_size=3),
        "embedding": vectors,
        "scores": vectors,
        "error": st.one_of(words, st.none()),
    },
)
documents = st.fixed_dictionaries(
    {
        "id": st.one_of(words, st.integers()),
        "time": times,
        "model": st.fixed_dictionaries({"name": names}, optional={"version": st.one_of(words, st.none())}),
        "inputs": st.lists(inputs, max_size=3),
    },
    optional={
        "output": st.fixed_dictionaries(
            {},
            optional={
                "label": st.one_of(words, st.integers(0, 9), st.just(7.0), st.booleans(), st.just(2.5)),
                "value": st.one_of(numbers, st.booleans()),
                "scores": vectors,
                "tokens": st.fixed_dictionaries({"input": st.one_of(st.integers(0, 9), words)}),
                "refused": st.booleans(),
            },
        ),
        "groups": st.dictionaries(names, st.one_of(words, st.none(), st.integers()), max_size=2),
        "sampling": st.floats(-1, 2),
        "energy": st.fixed_dictionaries({"joules": numbers, "method": st.sampled_from(["measured", "guessed"])}),
        "colour": words,
        "sensitive": st.dictionaries(names, words, max_size=1),
    },
)


@given(documents)
@settings(max_examples=300, derandomize=True, deadline=None)
def test_bytes_mappings_and_the_core_gate_agree(data):
    payload = json.dumps(data).encode()
    outcomes = []
    for read in (lambda: read_record(payload), lambda: record_from(data), lambda: to_struct(parse_record(data))):
        try:
            outcomes.append(encode_record(read()))
        except RecordError as error:
            outcomes.append(error.code)
    assert outcomes[0] == outcomes[1] == outcomes[2]
    if isinstance(outcomes[0], bytes):
        record = read_record(payload)
        assert read_record(encode_record(record)) == record
        assert to_struct(parse_record(record_as_plain(record))) == record


def record_as_plain(record):
    return json.loads(msgspec.json.encode(record))


@given(st.recursive(scalars, lambda inner: st.one_of(st.lists(inner), st.dictionaries(words, inner)), max_leaves=8))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_any_document_is_refused_with_a_code_and_nothing_else(data):
    for gate in (record_from, label_from):
        with pytest.raises(RecordError) as caught:
            gate(data)
        assert caught.value.code
    json.dumps(without_sensitive(data), allow_nan=False)


@given(st.binary(max_size=60))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_any_bytes_are_refused_with_a_code_and_nothing_else(data):
    for read in (read_record, read_label, decode, lambda body: decode(body, "application/msgpack")):
        try:
            read(data)
        except RecordError as error:
            assert error.code  # noqa: PT017


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"inputs": [{"name": f"i{i}", "modality": "text"} for i in range(65)]}, "over_limit"),
        ({"inputs": [{"name": "x" * 201, "modality": "text"}]}, "over_limit"),
        ({"inputs": [{"name": "x", "modality": "text", "embedding": [1e39]}]}, "over_limit"),
        (
            {"inputs": [{"name": "x", "modality": "text", "descriptors": {str(i): 1 for i in range(1001)}}]},
            "over_limit",
        ),
        ({"groups": {"site": "s" * 2001}}, "over_limit"),
        ({"source": {"session": "s", "fork": 0, "seq": 2**63}}, "over_limit"),
        ({"output": {"tokens": {"input": "many"}}}, "bad_type"),
        ({"inputs": [{"name": "x", "modality": "smell"}]}, "unknown_modality"),
        ({"time": "2200-01-01T00:00:00Z"}, "over_limit"),
        ({"time": "1969-12-31T23:59:59Z"}, "over_limit"),
        ({"latency_s": math.inf}, "not_finite"),
        ({"inputs": [{"name": "x", "modality": "text", "scores": [math.nan]}]}, "not_finite"),
        ({"groups": {"site": "\ud800"}}, "bad_text"),
        ({"inputs": [{"name": "x", "modality": "text"}] * 2}, "duplicate_input"),
        ({"energy": {"joules": 1, "method": "measured", "by": [1]}}, "bad_type"),
        ({"sensitive": {"sex": "f"}}, "no_vault"),
    ],
)
def test_limits(changes, code):
    with pytest.raises(RecordError) as caught:
        record_from({**make_record().as_json(), **changes})
    assert caught.value.code == code


def test_nesting_has_an_end():
    for body, media in ((b"[" * 100_000, "application/json"), (b"\x91" * 100_000, "application/msgpack")):
        with pytest.raises(RecordError) as caught:
            decode(body, media)
        assert caught.value.code == "too_deep"


def test_msgpack_carries_the_same_record():
    data = make_record().as_json()
    assert record_from(decode(msgspec.msgpack.encode(data), "application/msgpack")) == read_record(canonical_json(data))


def test_the_digest_is_of_the_content_and_not_of_its_spelling():
    data = make_record().as_json()
    other = {**dict(reversed(data.items())), "time": "2026-01-05T11:00:00+02:00", "sampling": 1}
    assert content_digest(record_from(data)) == content_digest(record_from(other))
    assert content_digest(record_from(data)) != content_digest(record_from({**data, "latency_s": 0.005}))


def test_labels():
    assert read_label(b'{"id": "a", "label": 7.0, "time": "2026-01-05T00:00:00Z"}').label == "7"
    for body in (
        b'{"id": "", "label": "x", "time": "2026-01-05"}',
        b'{"id": "a", "label": "x", "value": 1, "time": "2026-01-05"}',
        b'{"id": "a", "label": "x"}',
        b'{"id": "a", "label": "x", "time": "1900-01-05"}',
    ):
        with pytest.raises(RecordError):
            read_label(body)
