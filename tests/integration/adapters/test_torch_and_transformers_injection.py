"""An error at any executed line of these adapters reaches no caller of a model."""

from __future__ import annotations

import itertools
import linecache
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import auditor
from auditor.agent.transport import MemoryTransport

torch = pytest.importorskip("torch", reason="torch is not installed")
ROOM = str(Path(auditor.__file__).parent / "adapters")
"""The rest of the capture room has the same test of its own."""
PLAIN = ("try:", "raise", "return result", "session: Session | None = None")
HOSTS = (
    "result = method(*args, **kwargs)",
    "result = next(source)",
    "for index, item in enumerate(source):",
    "yield item",
    '"__iter__": lambda: (iter(result), proxy)[1],',
    '"__next__": lambda: self._next(result),',
    "return methods[name]",
    "if name in methods:",
    "result = getattr(target, name)(*(original(value) for value in args), **kwargs)",
    'target = _original(self, "_auditor_original")',
    "return self if result is target else result  # `with watched as it`, `watched += 1`",
    'return _original(watched, "_auditor_original") if isinstance(_true_type(watched), _ProxyType) else watched',
    "return type(value)",
)
"""Statements in which the host's own code runs, or a stand-in passes on."""
SHELTERED = (
    "self.note(index, item)",
    "self._step_in()",
    "self._step_out()",
    "self._end(result, None)",
    "self._end_all(error)",
)
"""Calls of methods that never raise, and are tried line by line themselves."""
EXEMPT = frozenset((*PLAIN, *HOSTS, *SHELTERED))


class Injector:
    """Raises at the N-th line event in the adapters, on the thread that it traces."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.lines = 0
        self.where = ""
        self.first: dict[tuple[str, int], int] = {}

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(ROOM):
            return None
        if event == "line":
            source = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            if source not in EXEMPT and not source.startswith(("@", "except ")):
                self.lines += 1
                self.first.setdefault((frame.f_code.co_filename, frame.f_lineno), self.lines)
                if self.lines == self.at:
                    self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}: {source}"
                    raise RuntimeError("injected")
        return self


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

    def attempt(at: int) -> Injector:
        injector = Injector(at)
        sys.settrace(injector)
        try:
            result = call()
        except BaseException as escaped:
            raise AssertionError(f"{injector.where} reached the host") from escaped
        finally:
            sys.settrace(None)
        assert same(result), injector.where
        return injector

    calls = 1
    for line in sorted(attempt(-1).first.values()):
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
