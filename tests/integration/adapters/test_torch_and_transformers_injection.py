"""An error at any executed line of these adapters reaches no caller of a model."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from injection import Injector

import auditor
from auditor.agent.transport import MemoryTransport

torch = pytest.importorskip("torch", reason="torch is not installed")


def of_torch(agent: auditor.Agent) -> tuple[Callable[[], Any], Callable[[Any], bool]]:
    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branch = torch.nn.Linear(4, 3)

        def forward(self, photo: Any, clip: Any = None) -> Any:
            return self.branch(photo)

    model, data = Model(), torch.ones(2, 4)
    expected = model(data)
    inputs = {"photo": "embedding", "clip": "text"}
    agent.watch(model, inputs=inputs, branches={"photo": "branch"}, output="label", groups={"site": "north"})
    return lambda: model(data), lambda result: torch.equal(result, expected)


def of_stream(agent: auditor.Agent) -> tuple[Callable[[], Any], Callable[[Any], bool]]:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    import tiny_models as tiny

    model, tokenizer = tiny.text_classifier()
    pipeline = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer)
    expected = [*pipeline(["a cat"]), *pipeline(["no"])]
    watched = agent.watch(pipeline)
    return lambda: [*watched(["a cat"]), *watched(word for word in ["no"])], lambda result: result == expected


def of_generation(agent: auditor.Agent) -> tuple[Callable[[], Any], Callable[[Any], bool]]:
    pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    import tiny_models as tiny

    model, processor = tiny.blip_captioner()
    batch = processor(images=tiny.picture(), return_tensors="pt")
    expected = model.generate(**batch, max_new_tokens=1)
    watched = agent.watch(model, processor=processor)
    return lambda: watched.generate(**batch, max_new_tokens=1), lambda result: torch.equal(result, expected)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scenario", [of_torch, of_stream, of_generation])
def test_no_error_reaches_the_host(scenario: Any, swallowed: Any) -> None:
    swallowed.expect()
    torch.set_num_threads(1)
    agent = auditor.Agent("m", transport=MemoryTransport(), describe="all")
    call, same = scenario(agent)

    def attempt(at: Any) -> Injector:
        injector = Injector(at, rooms=("adapters",))
        try:
            with injector.tracing():
                result = call()
        except BaseException as escaped:
            raise AssertionError(f"{injector.where} reached the host") from escaped
        assert same(result), injector.where
        return injector

    calls = 2
    attempt(-1)  # what only a first call does is over
    for line in attempt(-1).first:
        assert attempt(line).where
        calls += 1
    assert agent.flush(20)
    stats = agent.stats()
    assert stats["seen"] == stats["delivered"] + stats["queued"] + sum(stats["dropped"].values())
    assert calls * 0.9 <= stats["seen"] <= calls * 2.1
    before = stats["described"]
    for _ in itertools.repeat(None, 3):
        assert same(call())
    assert agent.flush(20)
    assert agent.stats()["described"] >= before + 3
    agent.close(5)
