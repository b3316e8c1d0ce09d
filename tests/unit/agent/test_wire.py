"""Frames say what `as_json` says, to the byte."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.agent.wire import Wire
from auditor.core.identity import canonical_json
from auditor.core.record import Input, ModelRef, Output, Record, Source, TextOutput
from auditor.core.window import to_us

names = st.text(min_size=1, max_size=4)
numbers = st.floats(allow_nan=False, allow_infinity=False)
vectors = st.none() | st.lists(numbers, min_size=1, max_size=3).map(tuple)
scalars = st.none() | numbers | names
columns = st.dictionaries(names, scalars, max_size=3)
inputs = st.builds(
    Input,
    name=names,
    modality=names,
    missing=st.booleans(),
    error=st.none() | names,
    descriptors=columns,
    embedding=vectors,
    encoder=st.none() | names,
    scores=vectors,
    commitment=st.none() | names,
    describer=st.none() | names,
)
outputs = st.builds(
    Output,
    label=st.none() | names,
    value=st.none() | numbers,
    text=st.none() | st.builds(TextOutput, descriptors=columns, embedding=vectors),
    scores=vectors,
    tokens=st.none() | st.dictionaries(st.sampled_from(["input", "output"]), st.integers(0, 9)),
    finish=st.none() | names,
    refused=st.none() | st.booleans(),
    error=st.none() | names,
)
records = st.builds(
    Record,
    id=names,
    time=st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    model=st.builds(ModelRef, name=names, version=st.text(max_size=2), encoder=st.none() | names),
    inputs=st.lists(inputs, max_size=2).map(tuple),
    output=st.none() | outputs,
    source=st.builds(Source, session=names, fork=st.integers(0, 3), seq=st.integers(0, 9)),
    groups=st.dictionaries(names, st.none() | names, max_size=2),
    subject=st.none() | names,
    sampling=st.sampled_from([1.0, 0.5]),
    latency_s=st.none() | numbers,
    first_token_s=st.none() | numbers,
    energy=st.none(),
)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(records, min_size=1, max_size=3))
def test_frames_are_the_canonical_json_of_records(found: list[Record]) -> None:
    source = found[0].source
    assert source is not None
    wire = Wire(source.session, source.fork)
    for record in found:
        frame = wire.record(
            id=record.id,
            us=to_us(record.time),
            model=record.model,
            inputs=record.inputs,
            output=record.output,
            seq=source.seq,
            groups=record.groups,
            subject=record.subject,
            sampling=record.sampling,
            latency_s=record.latency_s,
            first_token_s=record.first_token_s,
        )
        assert frame == canonical_json(replace(record, source=source).as_json())


@pytest.mark.parametrize("field", ["latency_s", "first_token_s", "sampling"])
def test_what_is_not_finite_is_no_frame(field: str) -> None:
    known: dict[str, Any] = {"latency_s": None, "first_token_s": None, "sampling": 1.0, field: float("nan")}
    with pytest.raises(ValueError, match="not JSON compliant"):
        Wire("s", 0).record(
            id="1", us=0, model=ModelRef(name="m"), inputs=(), output=None, seq=0, groups={}, subject=None, **known
        )
