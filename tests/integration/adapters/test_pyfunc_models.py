"""MLflow pyfunc models, saved and loaded by the real library."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest

pd = pytest.importorskip("pandas", reason="pandas is not installed")
pytest.importorskip("mlflow", reason="mlflow is not installed")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlflow.pyfunc

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow warns about type hints, signatures and requirements

SHAPE = (8, 8)


def kinds() -> dict[str, Any]:
    """The models' classes; made inside a test, where MLflow's request for type hints is no error."""

    class LateFusion(mlflow.pyfunc.PythonModel):
        """An image column and a sound column; two heads, one answer a row."""

        def predict(self, context, model_input: pd.DataFrame, params=None):
            image = np.stack([np.asarray(cell, float).mean() for cell in model_input["image"]])
            sound = np.stack([np.abs(np.asarray(cell, float)).mean() for cell in model_input["sound"]])
            if (image > 1000).any():
                raise RuntimeError("a sensor is broken")
            return pd.DataFrame({"label": np.where(image + sound > 100, "loud", "quiet"), "image_mean": image})

    class Echo(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input: pd.Series, params=None):
            return [f"you said {text}" for text in model_input]

        def predict_stream(self, context, model_input, params=None):
            yield from ("two", " cats")

    class Numbers(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input: np.ndarray, params=None):
            return np.asarray(model_input, float).sum(axis=1)

    return {"LateFusion": LateFusion, "Echo": Echo, "Numbers": Numbers}


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pyfunc")
    made: dict[str, Any] = {}

    def get(name: str) -> Any:
        if name not in made:
            mlflow.pyfunc.save_model(folder / name, python_model=kinds()[name](), pip_requirements=["mlflow"])
            made[name] = mlflow.pyfunc.load_model(str(folder / name))
        return made[name]

    return get


@pytest.fixture
def agent(make_agent):
    return make_agent()


def frame(count: int = 3) -> Any:
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "image": [rng.integers(0, 255, 64).tolist() for _ in range(count)],
            "sound": [rng.normal(0, 0.2, 400) for _ in range(count)],
            "note": [f"call number {index}" for index in range(count)],
            "age": np.arange(count) + 30,
        }
    )


INPUTS = {"image": {"modality": "series", "rate": 1.0}, "sound": {"modality": "audio", "rate": 8000}, "note": "text"}


def inputs(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in record["inputs"]}


def test_it_passes_for_the_original(agent, load) -> None:
    model = load("LateFusion")
    watched = agent.watch(model)
    assert isinstance(watched, mlflow.pyfunc.PyFuncModel)
    assert watched.metadata is model.metadata
    assert type(watched.unwrap_python_model()).__name__ == "LateFusion"
    assert repr(watched) == repr(model)
    assert agent.unwatch(watched) is model


def test_each_row_is_a_record(agent, load, records) -> None:
    model, data = load("LateFusion"), frame()
    with agent.context(id=["a", "b", "c"], groups={"site": ["north", "south", "north"], "lane": 1}):
        result = agent.watch(model, inputs=INPUTS).predict(data)
    assert result.equals(model.predict(data))
    found = records(agent)
    assert [record["id"] for record in found] == ["a", "b", "c"]
    assert [record["groups"]["site"] for record in found] == ["north", "south", "north"]
    assert [record["output"]["label"] for record in found] == result["label"].tolist()
    assert set(inputs(found[0])) == {"image", "sound", "note"}
    assert inputs(found[0])["sound"]["descriptors"]["duration_s"] == pytest.approx(0.05)
    assert not any("error" in entry for entry in inputs(found[0]).values())


def test_undeclared_columns_are_told_by_their_values(agent, load, records) -> None:
    data = frame(2).assign(image=[np.full(SHAPE, 10, np.uint8), np.full(SHAPE, 20, np.uint8)])
    agent.watch(load("LateFusion")).predict(data)
    found = inputs(records(agent)[1])
    assert {name: entry["modality"] for name, entry in found.items() if name != "sound"} == {
        "image": "image",
        "note": "text",
        "features": "tabular",
    }
    assert found["sound"]["error"] == "modality_unknown"  # an array of floats may be anything
    assert found["image"]["descriptors"]["brightness"] == pytest.approx(20 / 255, rel=1e-3)


def test_a_missing_cell_is_a_missing_input(agent, load, records) -> None:
    data = frame(2)
    data.loc[1, "note"] = None
    agent.watch(load("LateFusion"), inputs=INPUTS).predict(data)
    first, second = map(inputs, records(agent))
    assert "missing" not in first["note"]
    assert second["note"]["missing"] is True


def test_the_host_may_overwrite_its_cells(agent, load, records) -> None:
    data = frame(1).assign(image=[np.full(SHAPE, 200, np.uint8)])
    agent.watch(load("LateFusion")).predict(data)
    data["image"][0][:] = 0
    assert inputs(records(agent)[0])["image"]["descriptors"]["brightness"] > 0.7


def test_the_models_exception_is_the_callers(agent, load, records) -> None:
    data = frame(2).assign(image=[[5000.0] * 64] * 2)
    with pytest.raises(RuntimeError, match="sensor"):
        agent.watch(load("LateFusion"), inputs=INPUTS).predict(data)
    assert [record["output"] for record in records(agent)] == [{"error": "RuntimeError"}] * 2


def test_texts_in_texts_out(agent, load, records) -> None:
    watched = agent.watch(load("Echo"))
    assert watched.predict(["hello", "good morning"]) == ["you said hello", "you said good morning"]
    _, second = records(agent)
    assert inputs(second)["input"]["modality"] == "text"
    assert second["output"]["text"]["descriptors"]["words"] == 4
    assert "morning" not in json.dumps(second)


def test_a_stream_is_one_record(agent, load, records) -> None:
    assert list(agent.watch(load("Echo")).predict_stream(["hello"])) == ["two", " cats"]
    (record,) = records(agent)
    assert inputs(record)["input"]["modality"] == "text"
    assert record["output"]["text"]["descriptors"]["words"] == 2
    assert record["first_token_s"] <= record["latency_s"]


@pytest.mark.parametrize("form", ["array", "frame", "columns"])
def test_numbers_are_features(form: str, agent, load, records) -> None:
    array = np.array([[1.0, 2.0], [3.0, 4.0]])
    data: Any = {"array": array, "frame": pd.DataFrame(array, columns=["a", "b"]), "columns": array}[form]
    watched = agent.watch(load("Numbers"))
    assert watched.predict(data).tolist() == [3.0, 7.0]
    found = records(agent)
    assert [record["output"]["value"] for record in found] == [3.0, 7.0]
    assert inputs(found[0])["features"]["modality"] == "tabular"


def test_only_chosen_rows_are_described(make_agent, load, transport) -> None:
    agent = make_agent()
    agent._recorder.set_rate(0.5)
    agent.watch(load("Numbers")).predict(np.ones((200, 2)))
    assert agent.flush(10)
    stats = agent.stats()
    assert stats["seen"] == 200
    assert 60 < stats["described"] < 140
    assert stats["dropped"] == {"sampled": 200 - stats["described"]}
    record = json.loads(transport.of("record")[0])
    assert record["sampling"] == 0.5


def test_extract_gives_columns(agent, load, records) -> None:
    watched = agent.watch(
        load("LateFusion"),
        inputs=INPUTS,
        extract=lambda result: {"label": result["label"], "value": result["image_mean"]},
    )
    result = watched.predict(frame(2))
    found = records(agent)
    assert [record["output"]["value"] for record in found] == pytest.approx(result["image_mean"].tolist())


def test_the_original_and_unwatched_models_are_not_seen(agent, load, records) -> None:
    model = load("Numbers")
    watched = agent.watch(model)
    predict = watched.predict
    model.predict(np.ones((1, 2)))
    agent.unwatch(watched)
    predict(np.ones((1, 2)))
    assert records(agent) == []


# -- tables -----------------------------------------------------------------------------------------------------------


def rows(data: Any, specs: Any = None) -> list[dict[str, Any]]:
    from auditor.adapters.tables.pyfunc import Table

    table = Table(data, specs)
    return [{part.name: part.value for part in parts} for parts in table.parts(range(table.count))]


def test_a_table_of_columns_goes_by_rows() -> None:
    found = rows({"a": [1, 2], "b": np.array([3.0, 4.0]), "c": ["x", "y"]})
    assert found == [{"c": "x", "features": {"a": 1, "b": 3.0}}, {"c": "y", "features": {"a": 2, "b": 4.0}}]


def test_a_mapping_of_scalars_is_one_row_and_a_list_of_mappings_is_many() -> None:
    assert rows({"age": 41, "note": "hi"}) == [{"note": "hi", "features": {"age": 41}}]
    assert rows([{"age": 41}, {"age": 42}]) == [{"features": {"age": 41}}, {"features": {"age": 42}}]


def test_a_chat_request_is_one_row_of_named_parts() -> None:
    assert rows({"messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]}) == [
        {"prompt": ("b",), "system": ("a",)}
    ]


def test_columns_of_the_same_name_and_single_things() -> None:
    assert rows(pd.DataFrame([[1, 2]], columns=["a", "a"])) == [{"features": {"a": 2}}]
    assert rows("hello") == [{"input": "hello"}]
    assert rows(np.zeros((2, 3, 4), np.uint8))[1]["input"].shape == (3, 4)
    sparse = pytest.importorskip("scipy.sparse", reason="scipy is not installed").csr_matrix(np.eye(2))
    assert rows(sparse)[1] == {"features": {"x0": 0.0, "x1": 1.0}}
