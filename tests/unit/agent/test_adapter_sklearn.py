"""scikit-learn: one record a row, and nothing about the estimator changes."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.datasets import load_digits
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from auditor.core.errors import ConfigurationError
from auditor.core.gate import parse_record
from auditor.core.identity import hash64
from auditor.core.record import Record


def records(agent: Any, transport: Any) -> list[Record]:
    assert agent.flush(10)
    return [parse_record(json.loads(payload)) for payload in transport.of("record")]


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any]:
    X, y = load_digits(return_X_y=True)
    return (X[:300] * 15).astype(np.uint8), y[:300]


@pytest.fixture(scope="module")
def fitted(digits: tuple[Any, Any]) -> Any:
    return make_pipeline(StandardScaler(), GaussianNB()).fit(*digits)


def test_the_estimator_behaves_as_before(make_agent: Any, digits: Any, fitted: Any) -> None:
    model = make_agent().watch(fitted)
    X, y = digits
    assert isinstance(model, BaseEstimator)
    assert is_classifier(model)
    assert model.get_params().keys() == fitted.get_params().keys()
    assert repr(model) == repr(fitted)
    assert np.array_equal(model.predict(X), fitted.predict(X))
    assert model.score(X, y) == fitted.score(X, y)
    assert model[0] is fitted[0]
    assert model.named_steps.keys() == fitted.named_steps.keys()
    for twin in (clone(model), pickle.loads(pickle.dumps(model))):
        assert type(twin) is type(fitted)
    assert "_auditor" not in str(vars(fitted))


def test_fit_gives_back_the_watched_estimator(make_agent: Any, transport: Any, digits: Any) -> None:
    agent = make_agent()
    model = agent.watch(GaussianNB())
    assert model.fit(*digits) is model
    model.predict(digits[0][:1])
    assert len(records(agent, transport)) == 1
    assert agent.unwatch(model).__class__ is GaussianNB


def test_predictions_become_one_record_a_row(make_agent: Any, transport: Any, digits: Any, fitted: Any) -> None:
    agent = make_agent()
    model = agent.watch(fitted, inputs={"digit": {"modality": "image", "shape": [8, 8]}})
    X, _ = digits
    with agent.context(groups={"site": ["a", "b", "c"], "shift": "late"}, id=["r0", "r1", "r2"]):
        answers = model.predict(X[:3])
    scores = model.predict_proba(X[3:5])
    found = records(agent, transport)
    assert [record.id for record in found[:3]] == ["r0", "r1", "r2"]
    assert [record.output.label for record in found[:3]] == [str(answer) for answer in answers]  # type: ignore[union-attr]
    assert [record.groups["site"] for record in found[:3]] == ["a", "b", "c"]
    assert {record.groups["shift"] for record in found[:3]} == {"late"}
    assert all(record.inputs[0].descriptors["width"] == 8 for record in found)
    for record, row in zip(found[3:], scores, strict=True):
        assert record.output is not None
        assert record.output.scores == pytest.approx(tuple(row))
        assert record.output.label == str(fitted.classes_[row.argmax()])
    assert found[3].id.endswith("-0")
    assert found[4].id.endswith("-1")
    assert found[3].id[:-2] == found[4].id[:-2]


def test_tables_keep_their_column_names_and_texts_are_texts(make_agent: Any, transport: Any) -> None:
    pandas = pytest.importorskip("pandas")
    agent = make_agent()
    frame = pandas.DataFrame({"age": [20.0, 40.0, 60.0], "income": [1.0, 2.0, 3.5]})
    agent.watch(LinearRegression().fit(frame, [1.0, 2.0, 3.0])).predict(frame)
    texts = ["good thing", "bad thing", "good day"]
    agent.watch(make_pipeline(CountVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1])).predict(texts[:1])
    *rows, text = records(agent, transport)
    assert [row.inputs[0].descriptors["age"] for row in rows] == [20.0, 40.0, 60.0]
    assert all(row.output is not None and row.output.label is None for row in rows)
    assert rows[0].output.value == pytest.approx(1.0, abs=0.2)  # type: ignore[union-attr]
    assert (text.inputs[0].modality, text.output.label) == ("text", "1")  # type: ignore[union-attr]


def test_a_model_made_of_models_is_counted_once(make_agent: Any, transport: Any, digits: Any) -> None:
    agent = make_agent()
    voting = VotingClassifier([("a", GaussianNB()), ("b", GaussianNB())], voting="soft").fit(*digits)
    agent.watch(voting).predict(digits[0][:2])
    assert len(records(agent, transport)) == 2


def test_the_rows_of_a_batch_are_chosen_by_their_ids(
    make_agent: Any, transport: Any, balanced: Any, digits: Any, fitted: Any
) -> None:
    agent = make_agent(describe="budget")
    agent._budget_share = None
    agent._recorder.set_rate(0.2)
    model = agent.watch(fitted)
    for _ in range(3):
        model.predict(digits[0])
    model.predict(digits[0][:1])
    found = records(agent, transport)
    stats = agent.stats()
    balanced(stats)
    assert stats["seen"] == 901
    assert stats["dropped"] == {"sampled": 901 - len(found)}
    assert 110 < len(found) < 260
    assert all(hash64(record.id) < 0.2 * 2**64 for record in found)
    assert all(record.sampling == 0.2 for record in found)


def test_rows_overwritten_by_the_host_are_described_as_they_were(make_agent: Any, transport: Any, fitted: Any) -> None:
    agent = make_agent()
    model = agent.watch(fitted, inputs={"digit": {"modality": "image", "shape": [8, 8]}})
    buffer = np.full((2, 64), 200, np.uint8)
    model.predict(buffer)
    buffer[:] = 0
    assert [r.inputs[0].descriptors["brightness"] for r in records(agent, transport)] == pytest.approx([200 / 255] * 2)


def test_errors_are_the_estimators_own(make_agent: Any, transport: Any, balanced: Any, fitted: Any) -> None:
    agent = make_agent()
    model = agent.watch(fitted)
    with pytest.raises(ValueError, match="features"):
        model.predict(np.zeros((2, 3)))
    assert [r.output.error for r in records(agent, transport)] == ["ValueError"] * 2  # type: ignore[union-attr]
    balanced(agent.stats())


def test_a_watched_step_may_stand_in_other_tools(make_agent: Any, digits: Any) -> None:
    agent = make_agent()
    assert cross_val_score(agent.watch(GaussianNB()), *digits, cv=2).shape == (2,)


def test_a_transformer_is_not_watchable(make_agent: Any) -> None:
    with pytest.raises(ConfigurationError, match="does not predict"):
        make_agent().watch(StandardScaler())


def test_rows_of_a_long_id_have_ids_of_their_own(make_agent: Any, transport: Any, digits: Any, fitted: Any) -> None:
    agent = make_agent()
    model = agent.watch(fitted)
    for said in ("c" * 63, "c" * 64, "d" * 62):
        with agent.context(id=said):
            model.predict(digits[0][:12])
    ids = {record.id for record in records(agent, transport)}
    assert len(ids) == 36
    assert all(len(identifier) <= 64 for identifier in ids)
    with agent.context(id="batch"):
        model.predict(digits[0][:2])
    assert {record.id for record in records(agent, transport)} - ids == {"batch-0", "batch-1"}
