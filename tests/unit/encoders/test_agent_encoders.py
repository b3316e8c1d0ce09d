"""Encoders that a deployment names: embeddings in the records, on the agent's thread, failures counted by input."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditor.agent.budget import Budget
from auditor.agent.encoding import open_encoders
from auditor.agent.shield import Faults
from auditor.core.errors import ConfigurationError
from auditor.core.gate import parse_record
from auditor.core.record import Input

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "use-an-encoder.md"


class Lengths:
    """Where an encoder runs, and how often."""

    version = "lengths-1"

    def __init__(self, fail: Any = None) -> None:
        self.threads_seen: list[str] = []
        self.values: list[Any] = []
        self.fail = fail

    def encode(self, value: Any) -> list[float]:
        self.threads_seen.append(threading.current_thread().name)
        self.values.append(value)
        if isinstance(self.fail, Exception):
            raise self.fail
        return self.fail if self.fail is not None else [float(len(value)), 1.0]


def inputs_of(agent: Any, transport: Any) -> list[dict[str, Input]]:
    assert agent.flush(20)
    found = [parse_record(json.loads(payload)) for payload in transport.of("record")]
    return [{entry.name: entry for entry in record.inputs} for record in found]


def test_the_embedding_is_made_on_the_agents_thread_and_named(make_agent: Any, transport: Any) -> None:
    encoder = Lengths()
    agent = make_agent(encoders={"note": encoder})
    agent.watch(lambda note, other: 1)("four", other="words")
    (found,) = inputs_of(agent, transport)
    assert (found["note"].embedding, found["note"].encoder) == ((4.0, 1.0), "lengths-1")
    assert found["note"].descriptors["chars"] == 4
    assert (found["other"].embedding, found["other"].encoder) == (None, None)
    assert encoder.threads_seen == ["auditor"]


def test_a_models_own_embedding_goes_before(make_agent: Any, transport: Any) -> None:
    encoder = Lengths()
    agent = make_agent(encoders={"note": encoder})
    with agent.inference() as record:
        record.input("note", "four", embedding=[1.0, 2.0], encoder="own")
    with agent.inference() as record:
        record.input("note", None, modality="text")
    first, second = inputs_of(agent, transport)
    assert (first["note"].embedding, first["note"].encoder) == ((1.0, 2.0), "own")
    assert second["note"].missing
    assert encoder.values == []


def test_it_sees_what_redaction_left(make_agent: Any, transport: Any) -> None:
    encoder = Lengths()
    agent = make_agent(encoders={"note": encoder}, redact=lambda name, modality, value: "***")
    agent.watch(lambda note: 1)("secret")
    inputs_of(agent, transport)
    assert encoder.values == ["***"]


@pytest.mark.parametrize(
    ("fail", "code"), [(RuntimeError("x"), "encode_failed"), ([float("nan")], "bad_vector"), ("no", "bad_vector")]
)
def test_a_failure_is_an_error_of_that_input_alone(make_agent: Any, transport: Any, fail: Any, code: str) -> None:
    agent = make_agent(encoders={"note": Lengths(fail)})
    agent.watch(lambda note, other: 1)("four", "words")
    (found,) = inputs_of(agent, transport)
    assert (found["note"].error, found["note"].embedding, found["note"].encoder) == (code, None, None)
    assert found["note"].descriptors["chars"] == 4
    assert found["other"].error is None


def test_a_missing_library_or_file_is_counted_and_said_once(
    make_agent: Any, transport: Any, swallowed: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None)
    agent = make_agent(encoders={"note": "transformers:bert"})
    watched = agent.watch(lambda note: 1)
    assert [watched("a"), watched("b")] == [1, 1]
    assert [found["note"].error for found in inputs_of(agent, transport)] == ["extra_missing"] * 2
    assert agent.stats()["internal_errors"] == {"encoder_not_opened": 1}
    swallowed.expect()


def test_an_encoder_that_does_not_load_costs_only_its_embeddings(
    make_agent: Any, transport: Any, swallowed: Any
) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    agent = make_agent(encoders={"photo": "onnx:/nowhere/encoder.onnx"})
    agent.watch(lambda photo: 1)(np.zeros((4, 4), np.uint8))
    (found,) = inputs_of(agent, transport)
    assert (found["photo"].error, found["photo"].descriptors["brightness"]) == ("encoder_unusable", 0.0)
    swallowed.expect()


@pytest.mark.parametrize("said", ["onnx", "onnx:", "magic:x", 3, object()])
def test_what_is_no_encoder_is_refused_at_once(make_agent: Any, said: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_agent(encoders={"note": said})
    assert caught.value.code == "bad_encoder"


def test_threads_beside_the_agents_own_count_against_its_budget() -> None:
    class Busy(Lengths):
        threads = 3

        def encode(self, value: Any) -> list[float]:
            time.sleep(0.02)  # the others work meanwhile
            return [1.0]

    budget = Budget(0.01)
    opened = open_encoders({"note": Busy()}, Faults(), budget.owe)
    assert opened["note"].version == "lengths-1"
    opened["note"].encode("x")
    budget.spend(0.001)
    assert 0.05 < budget.cost_s < 1.0


def test_the_pages_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    import tiny_onnx

    tiny_onnx.picture_encoder(tmp_path / "encoder.onnx")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    exec(compile("\n".join(blocks), PAGE.name, "exec"), {"__name__": "page"})
