"""Keras 3 models on the torch backend: calls and predictions become records by row, named by the input structure."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from auditor.core.errors import ConfigurationError
from auditor.core.gate import parse_record

pytest.importorskip("torch", reason="torch, the backend of these tests, is not installed")
os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", reason="keras is not installed")
if keras.backend.backend() != "torch":
    pytest.skip("these tests need Keras on the torch backend", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own, on torch
Make = Callable[..., Any]
INPUTS = {"image": "image", "audio": {"modality": "series", "rate": 100}}
BRANCHES = {"image": "image_branch", "audio": {"embedding": "audio_branch"}, "fused": "fusion"}
RNG = np.random.default_rng(0)
DATA = {
    "image": RNG.random((70, 14, 14, 1), dtype=np.float32),
    "audio": RNG.random((70, 20, 13), dtype=np.float32),
}


def rows(count: int) -> dict[str, Any]:
    return {name: values[:count].copy() for name, values in DATA.items()}


def by_name(record: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry for entry in record["inputs"]}


def build(structure: Callable[[Any, Any], Any] = lambda image, audio: {"image": image, "audio": audio}) -> Any:
    keras.utils.set_random_seed(0)
    image = keras.Input((14, 14, 1), name="image")
    audio = keras.Input((20, 13), name="audio")
    seen = keras.layers.Dense(16, activation="relu", name="image_branch")(keras.layers.Flatten()(image))
    heard = keras.layers.GlobalAveragePooling1D(name="pool")(audio)
    heard = keras.layers.Dense(16, activation="relu", name="audio_branch")(heard)
    fused = keras.layers.Concatenate(name="fusion")([seen, heard])
    return keras.Model(structure(image, audio), keras.layers.Dense(10, activation="softmax", name="head")(fused))


@pytest.fixture(scope="module")
def model() -> Any:
    return build()


@pytest.fixture(scope="module")
def expected(model: Any) -> dict[str, Any]:
    probe = keras.Model(
        model.inputs, {name: model.get_layer(name).output for name in ("image_branch", "audio_branch", "head")}
    )
    return {name: np.asarray(value.detach()) for name, value in probe(DATA).items()}


def test_predict_gives_a_record_for_each_row_over_all_batches(
    make_agent: Make, records: Any, model: Any, expected: Any
) -> None:
    agent = make_agent()
    watched = agent.watch(model, inputs=INPUTS, output="label", branches=BRANCHES)
    result = watched.predict(rows(70), verbose=0, batch_size=32)
    assert np.allclose(result, expected["head"], atol=1e-6)
    found = records(agent)
    agent.unwatch(watched)
    assert len(found) == 70
    for index in (0, 31, 32, 69):
        record, inputs = found[index], by_name(found[index])
        parse_record(record)
        assert record["output"]["label"] == str(result[index].argmax())
        assert record["output"]["scores"] == pytest.approx(result[index].tolist())
        assert inputs["image"]["embedding"] == pytest.approx(expected["image_branch"][index].tolist(), abs=1e-5)
        assert inputs["audio"]["embedding"] == pytest.approx(expected["audio_branch"][index].tolist(), abs=1e-5)
        assert len(inputs["fused"]["embedding"]) == 32
        assert inputs["audio"]["descriptors"]["mean"] == pytest.approx(DATA["audio"][index].mean(), abs=1e-4)
        assert inputs["image"]["encoder"].startswith("Functional#")


def test_call_and_predict_on_batch(make_agent: Make, records: Any, model: Any, expected: Any) -> None:
    agent = make_agent()
    watched = agent.watch(model, inputs=INPUTS, output="label", classes=[f"digit-{n}" for n in range(10)])
    called = watched(rows(2))
    assert type(called) is type(model(rows(2)))
    batch = watched.predict_on_batch(rows(3))
    assert np.allclose(batch, expected["head"][:3], atol=1e-6)
    found = records(agent)
    assert len(found) == 5
    assert found[4]["output"]["label"] == f"digit-{batch[2].argmax()}"


def test_names_come_from_the_structure_never_from_the_position(make_agent: Make, records: Any) -> None:
    agent = make_agent()
    listed = agent.watch(build(lambda image, audio: [image, audio]))
    listed.predict_on_batch([rows(1)["image"], rows(1)["audio"]])
    named = agent.watch(build(), inputs=INPUTS)
    named.predict_on_batch(dict(reversed(rows(1).items())))
    first, second = (by_name(record) for record in records(agent))
    assert first.keys() == second.keys() == {"image", "audio"}
    assert "error" not in second["audio"]
    assert second["audio"]["descriptors"]["length"] == 20
    single = keras.Sequential([keras.Input((3,), name="form"), keras.layers.Dense(1)])
    agent.watch(single).predict(np.ones((2, 3), np.float32), verbose=0)
    record = records(agent)[-1]
    assert by_name(record)["form"]["descriptors"]["x0"] == 1.0
    assert "value" in record["output"]


def test_a_subclassed_model_is_read_by_the_arguments_of_call(make_agent: Make, records: Any) -> None:
    class Late(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.head = keras.layers.Dense(2)

        def call(self, photo: Any = None, clip: Any = None, training: bool = False) -> Any:
            return self.head(photo if clip is None else photo + clip)

    agent = make_agent()
    late = agent.watch(Late(), inputs={"photo": "embedding", "clip": "embedding"})
    late(np.ones((2, 3), np.float32))
    late(np.ones((2, 3), np.float32), clip=np.ones((2, 3), np.float32))
    found = [by_name(record) for record in records(agent)]
    assert [entry["clip"].get("missing", False) for entry in found] == [True, True, False, False]
    assert found[0]["photo"]["embedding"] == [1.0, 1.0, 1.0]


def test_a_data_set_is_counted_by_its_answers(make_agent: Make, records: Any, model: Any) -> None:
    import torch

    agent = make_agent()
    watched = agent.watch(model, inputs=INPUTS, output="label")
    items = [({name: values[index] for name, values in DATA.items()}, 0) for index in range(9)]
    result = watched.predict(torch.utils.data.DataLoader(items, batch_size=4), verbose=0)
    found = records(agent)
    assert [record["output"]["label"] for record in found] == [str(row.argmax()) for row in result]
    assert {entry["error"] for record in found for entry in record["inputs"]} == {"unreadable"}


def test_the_watched_model_passes_for_the_original(make_agent: Make, records: Any, tmp_path: Any) -> None:
    model = build()
    hooks = {layer.name: len(layer._forward_hooks) for layer in model.layers}
    agent = make_agent()
    watched = agent.watch(model, inputs=INPUTS, branches=BRANCHES)
    assert isinstance(watched, keras.Model)
    assert watched.__class__ is type(model)
    assert watched.layers is not None
    assert watched.count_params() == model.count_params()
    assert watched.get_layer("head") is model.get_layer("head")
    assert watched.eval() is watched
    watched.compile("adam", "sparse_categorical_crossentropy")
    watched.fit(rows(8), np.zeros(8), epochs=1, verbose=0)
    watched.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert np.allclose(loaded.predict(rows(2), verbose=0), model.predict(rows(2), verbose=0), atol=1e-5)
    twin = pickle.loads(pickle.dumps(watched))
    assert np.allclose(twin.predict(rows(2), verbose=0), model.predict(rows(2), verbose=0), atol=1e-5)
    assert type(copy.deepcopy(watched)) is type(model)
    assert records(agent) == []
    assert agent.unwatch(watched) is model
    assert {layer.name: len(layer._forward_hooks) for layer in model.layers} == hooks


def test_a_model_built_from_the_watched_one_is_no_inference(make_agent: Make, records: Any, model: Any) -> None:
    agent = make_agent()
    watched = agent.watch(model, inputs=INPUTS)
    image, audio = keras.Input((14, 14, 1)), keras.Input((20, 13))
    larger = keras.Model([image, audio], keras.layers.Dense(2)(watched({"image": image, "audio": audio})))
    assert larger.predict_on_batch([rows(2)["image"], rows(2)["audio"]]).shape == (2, 2)
    assert records(agent) == []


def test_exceptions_are_the_model_s_own(make_agent: Make, records: Any, model: Any) -> None:
    agent = make_agent()
    watched = agent.watch(model, inputs=INPUTS)
    with pytest.raises(ValueError, match="incompatible with the layer"):
        watched({"image": rows(2)["image"], "audio": rows(2)["image"]})
    assert [record["output"] for record in records(agent)] == [{"error": "ValueError"}] * 2


def test_backends_that_cannot_be_listened_to_run_the_branches_again(
    make_agent: Make, records: Any, model: Any, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auditor.adapters.neural import keras as adapter

    monkeypatch.setattr(adapter, "hooks_reach", lambda model: False)
    agent = make_agent()
    watched = agent.watch(model, inputs=INPUTS, branches=BRANCHES)
    agent._recorder.set_rate(0.5)
    watched.predict(rows(70), verbose=0)
    found = records(agent)
    assert 10 < len(found) < 60
    for record in found:
        index = int(record["id"].rpartition("-")[2])
        embedding = by_name(record)["image"]["embedding"]
        assert embedding == pytest.approx(expected["image_branch"][index].tolist(), abs=1e-5)


def test_options_that_name_nothing_are_refused(make_agent: Make, model: Any) -> None:
    agent = make_agent()
    for options, code in (
        ({"branches": {"image": "image_brunch"}}, "unknown_branch"),
        ({"inputs": {"picture": "image"}}, "unknown_input"),
        ({"batch": False}, "unknown_option"),
    ):
        with pytest.raises(ConfigurationError) as refused:
            agent.watch(model, **options)
        assert refused.value.code == code
