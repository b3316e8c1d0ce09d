"""Canaries: rounds on a schedule, answers as classes, failures and silence recorded, the host never hurt."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import auditor
from auditor.core.canary import canary_of
from auditor.core.errors import ConfigurationError
from auditor.core.gate import parse_record
from auditor.core.record import Record

PROMPTS = {"capital": "What is the capital of France?", "sum": "2 + 2?"}


@pytest.fixture
def make(transport: Any) -> Iterator[Callable[..., auditor.Canaries]]:
    made: list[auditor.Canaries] = []

    def canaries(answer: Any, prompts: Any = PROMPTS, every: Any = None, **options: Any) -> auditor.Canaries:
        if not {"home", "endpoint"} & options.keys():
            options.setdefault("transport", transport)
        made.append(auditor.Canaries("assistant", answer, prompts, every, **options))
        return made[-1]

    yield canaries
    for one in made:
        one.close(5)


def records(canaries: auditor.Canaries, transport: Any) -> list[Record]:
    assert canaries.flush(10)
    return [parse_record(json.loads(payload)) for payload in transport.of("record")]


def test_each_answer_is_a_record_of_a_model_of_its_own(make: Any, transport: Any) -> None:
    canaries = make(
        lambda prompt: {"text": "Paris.", "tokens": {"input": 7, "output": 2}, "finish": "stop"}, version="3"
    )
    assert canaries.run_once() == {"capital": None, "sum": None}
    first, second = records(canaries, transport)
    assert (first.model.name, first.model.version) == ("assistant.canary", "3")
    assert [entry.name for entry in first.inputs] == ["prompt"]
    assert first.inputs[0].descriptors["chars"] == len(PROMPTS["capital"])
    output = first.output
    assert output is not None
    assert output.text is not None
    assert (output.tokens, output.finish, output.text.descriptors["chars"]) == ({"input": 7, "output": 2}, "stop", 6)
    assert canary_of(output.label or "") == "capital"
    assert second.output is not None
    assert canary_of(second.output.label or "") == "sum"
    assert first.latency_s is not None
    assert b"Paris" not in b"".join(payload for _, payload in transport.frames)


def test_equal_answers_have_equal_classes_however_they_are_spaced(make: Any, transport: Any) -> None:
    answers = iter(["Paris, France", " paris,\n FRANCE ", "Lyon"])
    canaries = make(lambda prompt: next(answers), {"capital": "?"})
    for _ in range(3):
        canaries.run_once()
    one, same, other = [record.output.label for record in records(canaries, transport)]  # type: ignore[union-attr]
    assert one == same != other


def test_classes_outlive_the_process_where_anything_does(make: Any, tmp_path: Path) -> None:
    """The home's salt, or what follows from the key of a service: not those of another home or key."""

    def label(**options: Any) -> str | None:
        return make(lambda prompt: "", **options)._label("a", "Paris")  # type: ignore[no-any-return]

    homes = [{"home": tmp_path / name} for name in ("one", "one", "two")]
    keys = [{"endpoint": "http://127.0.0.1:9", "key": key} for key in ("k1", "k1", "k2")]
    for options in (homes, keys, [{"salt": "x"}, {"salt": "x"}, {"salt": "y"}]):
        first, again, other = [label(**each) for each in options]
        assert first == again != other


def test_a_prompt_may_have_several_inputs(make: Any, transport: Any) -> None:
    seen = []
    picture = np.zeros((4, 4), np.uint8)
    canaries = make(
        lambda photo, question: seen.append(question) or "a sign", {"sign": {"photo": picture, "question": "?"}}
    )
    assert canaries.run_once() == {"sign": None}
    assert seen == ["?"]
    (record,) = records(canaries, transport)
    assert [(entry.name, entry.modality) for entry in record.inputs] == [("photo", "image"), ("question", "text")]


def test_failures_are_records_of_failed_calls(make: Any, transport: Any) -> None:
    class Quits(BaseException):
        pass

    def answer(prompt: str) -> Any:
        raise {"a": OSError("down"), "b": Quits()}[prompt] if prompt in "ab" else TypeError

    canaries = make(answer, {"one": "a", "two": "b", "three": "c"})
    assert canaries.run_once() == {"one": "OSError", "two": "RuntimeError", "three": "TypeError"}
    found = records(canaries, transport)
    assert [record.output.error for record in found] == ["OSError", "RuntimeError", "TypeError"]  # type: ignore[union-attr]
    assert canaries.stats()["seen"] == 3


def test_an_answer_that_nobody_can_read_is_a_failed_call(make: Any, transport: Any) -> None:
    canaries = make(lambda prompt: 5, {"one": "a"})
    assert canaries.run_once() == {"one": "TypeError"}
    assert [record.output.error for record in records(canaries, transport)] == ["TypeError"]  # type: ignore[union-attr]


def test_silence_ends_after_its_time_and_no_second_call_joins_the_first(make: Any, transport: Any) -> None:
    come, asked = threading.Event(), []
    canaries = make(lambda prompt: (asked.append(prompt), come.wait(60), "late")[-1], timeout=0.05)
    assert canaries.run_once() == {"capital": "TimeoutError", "sum": "TimeoutError"}
    assert canaries._asking.is_alive()
    assert len(asked) == 1
    come.set()
    canaries._asking.join(5)
    assert canaries.run_once() == {"capital": None, "sum": None}


def test_rounds_come_by_themselves_and_end_with_close(make: Any, transport: Any) -> None:
    canaries = make(lambda prompt: "4", {"sum": "2 + 2?"}, every=0.02)
    assert canaries._thread is None  # nothing runs before it is asked to
    state = random.getstate()
    with canaries:
        deadline = time.monotonic() + 20
        while canaries.stats()["seen"] < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert canaries.stats()["seen"] >= 3
    assert not canaries._thread.is_alive()
    assert random.getstate() == state
    assert canaries.run_once() == {}
    assert canaries.start()._thread is canaries._thread


def test_closing_does_not_wait_for_an_answer(make: Any) -> None:
    come = threading.Event()
    canaries = make(lambda prompt: come.wait(60), every=0.001).start()
    deadline = time.monotonic() + 20
    while canaries._asking is None and time.monotonic() < deadline:
        time.sleep(0.005)
    canaries.close(1.0)
    assert canaries._asking.is_alive()
    come.set()


def test_one_round_at_a_time(make: Any) -> None:
    come, inside = threading.Event(), threading.Event()
    canaries = make(lambda prompt: (inside.set(), come.wait(60), "4")[-1], {"sum": "?"})
    other = threading.Thread(target=canaries.run_once)
    other.start()
    assert inside.wait(20)
    assert canaries.run_once() == {}
    come.set()
    other.join(20)


@pytest.mark.parametrize(
    ("prompts", "every"),
    [({}, None), ({"a=b": "x"}, None), ({"": "x"}, None), ({"a": ""}, None), ({"a": 5}, None), ({"a": "x"}, 0),
     ({"a": "x"}, "soon"), ({str(n): "x" for n in range(101)}, None)],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_at_once(make: Any, prompts: Any, every: Any) -> None:
    with pytest.raises(ConfigurationError):
        make(lambda prompt: "", prompts, every)


def test_redaction_comes_before_the_class(make: Any, transport: Any) -> None:
    canaries = make(lambda prompt: prompt, {"a": "x", "b": "y"}, redact=lambda name, modality, value: "***")
    canaries.run_once()
    one, two = [(record.output.label or "").partition("=")[2] for record in records(canaries, transport)]  # type: ignore[union-attr]
    assert one == two


def test_a_process_ends_although_an_answer_hangs(tmp_path: Path) -> None:
    code = (
        "import time, auditor\n"
        f"canaries = auditor.Canaries('m', lambda prompt: time.sleep(60), {{'a': 'x'}}, 0.01, home={str(tmp_path)!r})\n"
        "canaries.start()\n"
        "while canaries._asking is None: time.sleep(0.01)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)
