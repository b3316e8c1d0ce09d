"""Spans of one call are one record, in whatever order and in however many exports they arrive."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest

from auditor.intake.calls import settle
from auditor.intake.otlp import Span
from auditor.intake.traces import TraceBook

TRACE = "0af7651916cd43dd8448eb211c80319c"
CONTENT = {"gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "hi"}]}])}
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}


def span(identifier: str, parent: str = "", trace: str = TRACE, **more: Any) -> Span:
    return Span(trace, identifier, "s", 10, 20, more.get("at", {}), parent=parent)


def call(identifier: str, parent: str = "", *, content: bool = False, **more: Any) -> Span:
    return span(identifier, parent, at={**CHAT, **(CONTENT if content else {}), **more})


def standing(exports: list[list[Span]]) -> set[str]:
    """The spans that have a record after these exports."""
    book, records = TraceBook(), set[str]()
    for export in exports:
        kept, superseded, refusals = settle(export, book)
        assert not refusals
        records |= {identifier.rpartition("-")[2] for identifier in kept}
        records -= {other.id for other in superseded}
    return records


CASES: dict[str, tuple[list[Span], set[str]]] = {
    "a framework around a client, contents inside": ([call("a"), call("b", "a", content=True)], {"b"}),
    "a framework around a client, contents outside": ([call("a", content=True), call("b", "a")], {"a"}),
    "both with contents": ([call("a", content=True), call("b", "a", content=True)], {"b"}),
    "none with contents": ([call("a"), call("b", "a")], {"b"}),
    "three deep": ([call("a"), call("b", "a", content=True), call("c", "b")], {"b"}),
    "siblings with one response": (
        [
            span("root"),
            call("a", "root", **{"gen_ai.response.id": "r1"}),
            call("b", "root", content=True, **{"gen_ai.response.id": "r1"}),
        ],
        {"b"},
    ),
    "siblings with two responses": (
        [call("a", "root", **{"gen_ai.response.id": "r1"}), call("b", "root", **{"gen_ai.response.id": "r2"})],
        {"a", "b"},
    ),
    "other operations": (
        [
            span("a", at={"gen_ai.operation.name": "retrieval", "gen_ai.request.model": "m"}),
            span("b", "a", at={"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "m"}),
        ],
        {"a", "b"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_call_is_one_record_in_any_order(name: str) -> None:
    spans, expected = CASES[name]
    for order in permutations(spans):
        assert standing([list(order)]) == expected
        assert standing([[one] for one in order]) == expected, [one.id for one in order]


def test_spans_between_two_calls_connect_them() -> None:
    spans = [call("a"), span("chain", "a"), span("http", "chain"), call("b", "http", content=True)]
    assert standing([spans]) == {"b"}
    assert standing([[one] for one in reversed(spans)]) == {"b"}


def test_a_span_around_several_calls_is_none_itself() -> None:
    spans = [call("b", "a", content=True), call("c", "a", content=True), call("a", content=True)]
    for order in permutations(spans):
        assert standing([[one] for one in order]) == {"b", "c"}


def test_calls_one_after_the_other_are_two_whatever_their_response_ids() -> None:
    response = {"gen_ai.response.id": "always-the-same"}
    later = Span(TRACE, "b", "s", 30, 40, {**CHAT, **response}, parent="root")
    assert standing([[call("a", "root", **response), later]]) == {"a", "b"}


def test_an_export_that_is_sent_again_changes_nothing() -> None:
    spans = [call("a"), call("b", "a", content=True)]
    assert standing([spans, spans, list(reversed(spans))]) == {"b"}


def test_other_traces_are_other_calls() -> None:
    response = {"gen_ai.response.id": "r1"}
    other = Span("f" * 32, "b", "s", 10, 20, {**CHAT, **response})
    assert standing([[call("a", **response), other]]) == {"a", "b"}


def test_vercel_and_completions_carry_their_contents() -> None:
    from auditor.intake.dialects import read_call

    vercel = read_call(
        span(
            "a",
            at={
                "gen_ai.request.model": "gpt-4o",
                "ai.prompt.messages": json.dumps([{"role": "user", "content": [{"type": "text", "text": "hi"}]}]),
                "ai.response.text": "hello",
                "ai.response.finishReason": "stop",
            },
        )
    )
    assert vercel is not None
    assert (vercel.captured, vercel.finish, vercel.answer[0].value) == (True, "stop", "hello")
    assert vercel.messages[0][1][0].value == "hi"
    for prompts in (["hi"], json.dumps(["hi"])):
        found = read_call(span("a", at={"llm.request.type": "completion", "llm.prompts": prompts}))
        assert found is not None
        assert (found.captured, found.messages[0][1][0].value) == (True, "hi")
    flat = {"openinference.span.kind": "LLM", "llm.model_name": "m", "llm.prompts.0.prompt.text": "hi"}
    found = read_call(span("a", at={**flat, "llm.choices.0.completion.text": "hello"}))
    assert found is not None
    assert (found.captured, found.messages[0][1][0].value, found.answer[0].value) == (True, "hi", "hello")
