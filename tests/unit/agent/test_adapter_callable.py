"""Callables of every kind: same results, same exceptions, same kind; one record each."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import json
import pickle
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest

from auditor.core.errors import ConfigurationError
from auditor.core.gate import parse_record
from auditor.core.record import Record


def records(agent: Any, transport: Any) -> list[Record]:
    assert agent.flush(10)
    return [parse_record(json.loads(payload)) for payload in transport.of("record")]


class Scaler:
    """A model of the user's own, with state."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, note: str, times: int = 2) -> int:
        return len(note) * self.factor * times

    def __len__(self) -> int:
        return self.factor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scaler) and other.factor == self.factor

    __hash__ = None  # type: ignore[assignment]


class Slotted:
    __slots__ = ("bias",)

    def __init__(self) -> None:
        self.bias = 3

    def predict(self, note: str) -> int:
        return self.bias


def test_a_function_keeps_name_signature_result_and_defaults(make_agent: Any, transport: Any) -> None:
    agent = make_agent()
    answer = {"label": "cat", "scores": [0.25, 0.75], "other": object()}

    def read(photo: Any, note: str | None = None) -> Any:
        """Reads."""
        return answer

    model = agent.watch(read, inputs={"photo": "image", "note": "text"})
    assert model(np.zeros((4, 4), np.uint8)) is answer
    assert (model.__name__, model.__doc__) == ("read", "Reads.")
    assert inspect.signature(model) == inspect.signature(read)
    (record,) = records(agent, transport)
    assert [(i.name, i.modality, i.missing) for i in record.inputs] == [
        ("photo", "image", False),
        ("note", "text", True),
    ]
    assert record.output is not None
    assert (record.output.label, record.output.scores) == ("cat", (0.25, 0.75))
    assert record.latency_s is not None
    assert record.latency_s > 0.0


def test_both_decorator_forms(make_agent: Any, transport: Any) -> None:
    agent = make_agent()

    @agent.watch
    def plain(note: str) -> str:
        return note.upper()

    @agent.watch(inputs={"clip": {"modality": "audio", "rate": "hertz"}}, output="value", version="9")
    def fancy(clip: Any, hertz: int) -> float:
        return 0.5

    assert plain("hello") == "HELLO"
    assert fancy(np.zeros(800, np.float32), 8000) == 0.5
    first, second = records(agent, transport)
    assert first.output is not None
    assert first.output.text is not None
    assert first.output.label is None
    assert first.output.text.descriptors["chars"] == 5
    assert (second.model.version, second.inputs[0].modality) == ("9", "audio")
    assert second.output is not None
    assert second.output.value == 0.5
    assert second.inputs[0].descriptors["rate_hz"] == 8000


def test_exceptions_are_the_models_own_and_recorded_by_type_only(make_agent: Any, transport: Any) -> None:
    agent = make_agent()
    problem = ValueError("secret payload text")

    @agent.watch
    def broken(note: str) -> None:
        raise problem

    with pytest.raises(ValueError) as caught:
        broken("x")
    assert caught.value is problem
    assert [entry.name for entry in caught.traceback][-1] == "broken"
    assert records(agent, transport)[0].output.error == "ValueError"  # type: ignore[union-attr]
    assert b"secret" not in transport.of("record")[0]


def test_an_object_keeps_its_type_and_behaviour(make_agent: Any, transport: Any) -> None:
    agent = make_agent()
    scaler = Scaler(3)
    before = dict(vars(scaler))
    model = agent.watch(scaler)
    assert isinstance(model, Scaler)
    assert model("ab") == 12
    assert model("ab", times=1) == 6
    assert (len(model), model.factor, model == Scaler(3), scaler == model) == (3, 3, True, True)
    assert vars(scaler) == before
    assert vars(model) is vars(scaler)
    assert callable(model)
    for twin in (pickle.loads(pickle.dumps(model)), copy.copy(model), copy.deepcopy(model)):
        assert type(twin) is Scaler
        assert twin == scaler
    with pytest.raises(TypeError):
        hash(model)
    model.factor = 4
    assert scaler.factor == 4
    assert len(records(agent, transport)) == 2
    assert agent.unwatch(model) is scaler
    model("unseen")
    assert len(records(agent, transport)) == 2


def test_objects_without_a_dict_and_builtins_can_be_watched(make_agent: Any, transport: Any) -> None:
    agent = make_agent()
    slotted = agent.watch(Slotted())
    assert isinstance(slotted, Slotted)
    assert slotted.predict("x") == 3
    partial = agent.watch(functools.partial(int, base=2))
    assert isinstance(partial, functools.partial)
    assert (partial("101"), partial.keywords) == (5, {"base": 2})
    assert agent.watch(len)("abc") == 3
    assert agent.watch(Scaler(2).__call__)("ab") == 8
    assert len(records(agent, transport)) == 4


def test_what_cannot_be_watched_or_is_misdeclared_fails_at_once(make_agent: Any) -> None:
    agent = make_agent()
    for wrong in (3, object(), Scaler):
        with pytest.raises(ConfigurationError):
            agent.watch(wrong)
    with pytest.raises(ConfigurationError, match="not a modality"):
        agent.watch(lambda x: x, inputs={"x": "picture"})
    with pytest.raises(ConfigurationError, match="no argument"):
        agent.watch(lambda x: x, inputs={"y": "text"})
    with pytest.raises(ConfigurationError, match="kind of output"):
        agent.watch(lambda x: x, output="labels")


def test_unwatching_a_function_gives_it_back(make_agent: Any, transport: Any) -> None:
    agent = make_agent()

    def read(note: str) -> int:
        return 1

    model = agent.watch(read)
    model("a")
    assert agent.unwatch(model) is read
    assert model("b") == 1
    assert agent.unwatch(read) is read
    assert len(records(agent, transport)) == 1


def test_generators_give_the_same_items_and_take_what_is_sent(make_agent: Any, transport: Any) -> None:
    agent = make_agent()
    items = [object(), "wor", "ld"]

    @agent.watch
    def stream(note: str) -> Iterator[Any]:
        for item in items:
            got = yield item
            if got:
                yield got.upper()
        return "end"

    assert inspect.isgeneratorfunction(stream)
    source = stream("x")
    assert next(source) is items[0]
    assert source.send("more") == "MORE"
    assert list(source) == items[1:]

    def outer() -> Iterator[Any]:
        result = yield from stream("y")
        yield result

    assert list(outer())[-1] == "end"
    found = records(agent, transport)
    assert len(found) == 2
    assert found[0].first_token_s is not None
    assert found[0].latency_s is not None
    assert found[0].first_token_s <= found[0].latency_s


def test_a_text_stream_is_described_as_one_text(make_agent: Any, transport: Any) -> None:
    agent = make_agent()

    @agent.watch(output="text")
    def stream(note: str) -> Iterator[str]:
        yield from ("Hello", " ", "world")

    assert "".join(stream("x")) == "Hello world"
    (record,) = records(agent, transport)
    assert record.output is not None
    assert record.output.text is not None
    assert record.output.text.descriptors["chars"] == 11


def test_a_stream_that_is_left_is_recorded_as_left(make_agent: Any, transport: Any) -> None:
    agent = make_agent()
    closed = []

    @agent.watch
    def stream(note: str) -> Iterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            closed.append(True)

    source = stream("x")
    next(source)
    source.close()
    assert closed == [True]
    (record,) = records(agent, transport)
    assert record.output is not None
    assert (record.output.finish, record.output.error) == ("abandoned", None)


def test_errors_thrown_into_a_stream_arrive(make_agent: Any, transport: Any) -> None:
    agent = make_agent()

    @agent.watch
    def stream(note: str) -> Iterator[str]:
        try:
            yield "a"
        except KeyError:
            yield "caught"
        raise LookupError("own")

    source = stream("x")
    next(source)
    assert source.throw(KeyError("k")) == "caught"
    with pytest.raises(LookupError, match="own"):
        next(source)
    assert records(agent, transport)[0].output.error == "LookupError"  # type: ignore[union-attr]


def test_a_function_that_returns_a_generator_is_watched_to_its_end(make_agent: Any, transport: Any) -> None:
    agent = make_agent()
    model = agent.watch(lambda note: (letter for letter in note))
    source = model("abc")
    assert inspect.isgenerator(source)
    assert records(agent, transport) == []
    assert list(source) == ["a", "b", "c"]
    assert len(records(agent, transport)) == 1


def test_coroutines_and_async_streams(make_agent: Any, transport: Any) -> None:
    agent = make_agent()
    answer = object()

    @agent.watch
    async def ask(note: str) -> Any:
        await asyncio.sleep(0.01)
        return answer

    @agent.watch
    async def stream(note: str) -> AsyncIterator[str]:
        for word in ("a", "b"):
            await asyncio.sleep(0)
            yield word

    async def streaming(note: str) -> Any:
        return stream.__wrapped__(note)

    async def main() -> None:
        assert await ask("x") is answer
        assert [word async for word in stream("y")] == ["a", "b"]
        watched = agent.watch(streaming)
        assert [word async for word in await watched("z")] == ["a", "b"]
        with pytest.raises(TypeError):
            await ask()

    assert inspect.iscoroutinefunction(ask)
    assert inspect.isasyncgenfunction(stream)
    asyncio.run(main(), debug=True)
    found = records(agent, transport)
    assert len(found) == 3
    assert found[0].latency_s is not None
    assert found[0].latency_s >= 0.009
    assert found[1].first_token_s is not None
    assert found[2].first_token_s is not None


def test_cancellation_belongs_to_the_host(make_agent: Any, transport: Any) -> None:
    agent = make_agent()

    @agent.watch
    async def slow(note: str) -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.ensure_future(slow("x"))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(slow("y"), 0.01)

    asyncio.run(main(), debug=True)
    assert [r.output.error for r in records(agent, transport)] == ["CancelledError"] * 2  # type: ignore[union-attr]


def test_an_async_stream_that_is_left_closes_its_source(make_agent: Any, transport: Any) -> None:
    agent = make_agent()
    closed = []

    @agent.watch
    async def stream(note: str) -> AsyncIterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    async def main() -> None:
        source = stream("x")
        assert await anext(source) == "a"
        await source.aclose()  # type: ignore[attr-defined]

    asyncio.run(main(), debug=True)
    assert closed == [True]
    assert records(agent, transport)[0].output.finish == "abandoned"  # type: ignore[union-attr]


def test_extract_gives_predictions_scores_and_what_each_branch_made(make_agent: Any, transport: Any) -> None:
    agent = make_agent(encoder="tower-2")

    def extract(result: Any) -> Any:
        return {
            "label": result["best"],
            "scores": result["p"],
            "inputs": {
                "photo": {"scores": [0.9, 0.1], "embedding": np.ones(3)},
                "note": {"embedding": [0.0, 1.0, 0.5]},
            },
        }

    model = agent.watch(
        lambda photo, note: {"best": 7, "p": np.array([[0.5, 0.5]])},
        inputs={"photo": "image", "note": "text"},
        extract=extract,
    )
    model(np.zeros((4, 4), np.uint8), "seven")
    (record,) = records(agent, transport)
    assert record.model.encoder == "tower-2"
    assert record.output is not None
    assert (record.output.label, record.output.scores) == ("7", (0.5, 0.5))
    photo, note = record.inputs
    assert (photo.scores, photo.embedding, note.embedding) == ((0.9, 0.1), (1.0, 1.0, 1.0), (0.0, 1.0, 0.5))


def test_an_extract_that_fails_costs_the_answer_not_the_record(make_agent: Any, transport: Any, swallowed: Any) -> None:
    swallowed.expect()
    agent = make_agent()
    assert agent.watch(lambda note: 5, extract=lambda result: 1 / 0)("x") == 5
    (record,) = records(agent, transport)
    assert record.output is None
    assert agent.stats()["internal_errors"] == {"answer_unreadable": 1}


def test_slices_subject_and_id_come_from_the_context_or_the_option(make_agent: Any, transport: Any) -> None:
    agent = make_agent()
    model = agent.watch(lambda note, site: 1, inputs={"note": "text"}, groups=lambda note, site: {"site": site, "n": 1})
    with agent.context(groups={"shift": True, "n": None}, subject="person-1", id="mine"):
        model("a", "north")
        model("b", "south")
    model("c", "west")
    first, second, third = records(agent, transport)
    assert (first.id, first.subject) == ("mine", "person-1")
    assert first.groups == {"site": "north", "n": None, "shift": "true"}
    assert second.id != "mine"
    assert second.groups["site"] == "south"
    assert (third.subject, third.groups) == (None, {"site": "west", "n": "1"})
