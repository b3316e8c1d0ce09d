"""Payload to Input: modalities, errors, commitments; never an exception."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.core.errors import DescribeError, PluginError
from auditor.core.gate import parse_record
from auditor.core.record import ModelRef, Record
from auditor.core.window import from_us
from auditor.descriptors.describe import (
    Payload,
    commitment,
    describe_input,
    describe_text,
    infer_modality,
)


class Plugin:
    modality = "text"
    version = "3"
    columns = ()

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def describe(self, value: Any, *, rate: float | None = None) -> Mapping[str, Any]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Missing(dict):
    def __getitem__(self, key: str) -> Any:
        raise PluginError("library_missing", "no library")


@pytest.mark.parametrize(
    ("value", "modality"),
    [
        ("words", "text"),
        ({"age": 3}, "tabular"),
        (np.zeros((4, 5), np.uint8), "image"),
        (np.zeros((4, 5, 3), np.uint8), "image"),
        (np.zeros((4, 5, 7), np.uint8), None),
        (np.zeros((4, 5)), None),
        (np.zeros(9, np.uint8), None),
        (b"bytes", None),
        (3.5, None),
        ([1, 2], None),
        (None, None),
    ],
)
def test_modality_is_inferred_as_the_contract_says(value: Any, modality: str | None) -> None:
    assert infer_modality(value) == modality


def test_a_pil_image_is_an_image() -> None:
    image = pytest.importorskip("PIL.Image")
    assert infer_modality(image.new("L", (3, 3))) == "image"


def test_numbers_leave_finite_and_describer_is_named() -> None:
    found = describe_input(
        Payload(name="note", value="hi"), {"text": Plugin({"chars": np.float64(2), "bad": float("nan"), "lang": "en"})}
    )
    assert found.descriptors == {"chars": 2.0, "bad": None, "lang": "en"}
    assert found.describer == "text/3"
    assert found.error is None


@pytest.mark.parametrize(
    ("descriptors", "payload", "code"),
    [
        ({}, Payload(name="x", value=3.5), "modality_unknown"),
        ({}, Payload(name="x", value="hi"), "no_descriptor"),
        (Missing(), Payload(name="x", value="hi"), "extra_missing"),
        ({"text": Plugin(DescribeError("decode_failed", "broken"))}, Payload(name="x", value="hi"), "decode_failed"),
        ({"text": Plugin(ZeroDivisionError())}, Payload(name="x", value="hi"), "describe_failed"),
        ({"text": Plugin({})}, Payload(name="x", value="hi", embedding=[1.0, float("inf")]), "bad_vector"),
        ({"text": Plugin({})}, Payload(name="x", value="hi", scores="abc"), "bad_vector"),
        ({}, Payload(name="x", modality="image", error="too_large"), "too_large"),
    ],
)
def test_what_cannot_be_described_says_why(descriptors: Any, payload: Payload, code: str) -> None:
    found = describe_input(payload, descriptors)
    assert found.error == code
    assert not found.missing


def test_missing_is_missing_and_not_an_error() -> None:
    found = describe_input(Payload(name="x", modality="audio"), {})
    assert found.missing
    assert found.error is None


def test_an_embedding_payload_is_its_own_vector() -> None:
    plugin = Plugin({})
    found = describe_input(
        Payload(name="e", value=np.ones((1, 3), np.float32), modality="embedding", encoder="clip"),
        {"embedding": plugin},
    )
    assert found.embedding == (1.0, 1.0, 1.0)
    assert found.encoder == "clip"


def test_generated_text_is_kept_as_figures_only() -> None:
    assert describe_text("secret", {"text": Plugin({"chars": 6})}).descriptors == {"chars": 6.0}
    assert describe_text("secret", {}).descriptors == {}


def test_commitments_join_equals_and_need_the_salt() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert commitment(image, b"s") == commitment(image.copy(), b"s")
    assert commitment(image, b"s") != commitment(image, b"t")
    assert commitment(image, b"s") != commitment(image.reshape(4, 3), b"s")
    assert commitment("1", b"s") != commitment(b"1", b"s")
    assert commitment({"a": 1, "b": np.float64(2)}, b"s") == commitment({"b": np.float64(2), "a": 1}, b"s")
    assert commitment(object(), b"s") is None
    assert commitment(np.array([object()]), b"s") is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(values, st.sampled_from([None, "text", "image", "audio", "tabular", "embedding", "nonsense"]), values, values)
def test_any_payload_becomes_an_input_that_the_gate_accepts(
    value: Any, modality: Any, scores: Any, vector: Any
) -> None:
    from auditor.agent.building import Describers

    payload = Payload(name="x", value=value, modality=modality, scores=scores, embedding=vector)
    inputs = (describe_input(payload, Describers(), salt=b"s"),)
    record = Record(id="1", time=from_us(1), model=ModelRef(name="m"), inputs=inputs)
    assert parse_record(record.as_json()).inputs[0].name == "x"
