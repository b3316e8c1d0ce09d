"""A8: children start clean, whatever the parent was doing; nothing of the parent's is sent twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

import auditor
from auditor.agent import lifecycle
from auditor.core.gate import parse_record, parse_tally
from auditor.segments import adoptable, read_segment

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def frames(home: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """(session, kind, payload) of everything in the spool."""
    found = []
    for folder in sorted(path for path in (home / "spool").iterdir() if path.is_dir()):
        for path in adoptable(folder):
            found += [(folder.name, frame.kind, json.loads(frame.payload)) for frame in read_segment(path).frames]
    return found


def fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 and later warn of threads: that is the point here
        return os.fork()


def reap(pid: int, seconds: float) -> int:
    """The child's exit code; a child that hangs is killed and fails the test."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    raise AssertionError("the child hangs")


def test_a_child_delivers_its_own_and_nothing_of_its_parents(tmp_path: Path, make_agent: Any, balanced: Any) -> None:
    agent = make_agent(home=tmp_path)
    model = agent.watch(lambda note: 1)
    for index in range(20):
        with agent.context(id=f"parent-{index}"):
            model("x")
    pid = fork()
    if pid == 0:
        code = 1
        try:
            with agent.context(id="child"):
                model("y")
            sent = agent.flush(5)
            stats = agent.stats()
            code = 0 if sent and stats["seen"] == stats["delivered"] == 1 else 3
        finally:
            os._exit(code)
    assert reap(pid, 10) == 0
    assert agent.flush(10)
    balanced(agent.stats())
    agent.close(5)
    records = [parse_record(data) for _, kind, data in frames(tmp_path) if kind == "record"]
    assert sorted(record.id for record in records) == sorted(["child", *(f"parent-{index}" for index in range(20))])
    by_fork = {record.source.fork: record.source.session for record in records if record.source is not None}
    assert by_fork.keys() == {0, 1}
    assert by_fork[0] != by_fork[1]


@pytest.mark.parametrize("count", [50, pytest.param(1000, marks=pytest.mark.soak)])
def test_forks_at_any_moment_of_a_busy_parent_hang_nobody(tmp_path: Path, make_agent: Any, count: int) -> None:
    agent = make_agent(home=tmp_path)
    model = agent.watch(lambda note: 1)
    stop = threading.Event()

    def traffic() -> None:
        while not stop.is_set():
            model("words of the parent")
            agent.label("x", "y")
            agent.flush(0.01)

    threads = [threading.Thread(target=traffic, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for index in range(count):
            pid = fork()
            if pid == 0:
                code = 1
                try:
                    model("words of the child")
                    code = 0 if index % 10 or agent.flush(5) else 3
                finally:
                    os._exit(code)
            assert reap(pid, 10) == 0, index
    finally:
        stop.set()
    for thread in threads:
        thread.join()
    assert agent.flush(20)
    stats = agent.stats()
    assert stats["delivered"] == stats["seen"]


EARLY = """
import os, auditor
agent = auditor.Agent("m", home={home!r}, describe="all")
model = agent.watch(lambda form: 1, inputs={{"form": "tabular"}})
model({{"age": 4.0}})
children = []
for index in range(12):  # while the parent's worker loads what it needs
    pid = os.fork()
    if pid == 0:
        model({{"age": 4.0}})
        os._exit(0 if agent.flush(10) and not agent.stats()["internal_errors"] else 1)
    children.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 12
assert agent.close(10)
"""


def test_forks_while_the_worker_loads_its_modules(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", EARLY.format(home=str(tmp_path))],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


HALF = """
import importlib.abc, os, sys, threading, time
inside = threading.Event()
class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {slow!r} and os.getpid() == {parent}:
            inside.set()
            time.sleep(4.0)
sys.meta_path.insert(0, Slow())
import auditor
from auditor.agent import lifecycle
lifecycle.LOADING_S = 0.5
agent = auditor.Agent("m", home={home!r}, describe="all")
model = agent.watch(lambda form: 1, inputs={{"form": "tabular"}})
model({{"age": 4.0}})
assert inside.wait(30)
children = []
for index in range(6):
    pid = os.fork()
    if pid == 0:
        model({{"age": 4.0}})
        good = agent.flush(20) and agent.stats()["delivered"] == 1 and not agent.stats()["internal_errors"]
        os._exit(0 if good else 1)
    children.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 6
assert agent.close(10)
"""


@pytest.mark.parametrize("slow", ["numpy.linalg", "numpy.lib._utils_impl"])
def test_children_load_again_what_was_half_loaded_at_their_fork(tmp_path: Path, slow: str) -> None:
    code = HALF.replace("{parent}", "PARENT").format(home=str(tmp_path), slow=slow)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import os; PARENT = os.getpid()\n" + code],
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr


def test_a_call_that_was_running_at_the_fork_is_its_parents(tmp_path: Path, make_agent: Any) -> None:
    agent = make_agent(home=tmp_path)
    inside = agent.watch(lambda note: fork())
    with agent.context(id="once"):
        pid = inside("x")
    if pid == 0:
        code = 1
        try:
            agent.flush(5)
            code = 0 if agent.stats()["seen"] == 0 else 3
        finally:
            os._exit(code)
    assert reap(pid, 10) == 0
    assert agent.close(10)
    assert [data["id"] for _, kind, data in frames(tmp_path) if kind == "record"] == ["once"]


def test_a_fork_of_a_fork_has_its_own_generation(tmp_path: Path, make_agent: Any) -> None:
    agent = make_agent(home=tmp_path)
    model = agent.watch(lambda note: 1)
    pid = fork()
    if pid == 0:
        code = 1
        try:
            grandchild = fork()
            model("x")
            code = 0 if agent.flush(5) else 3
            if grandchild:
                code = code or reap(grandchild, 8)
        finally:
            os._exit(code)
    assert reap(pid, 10) == 0
    sources = [parse_record(data).source for _, kind, data in frames(tmp_path) if kind == "record"]
    assert sorted(source.fork for source in sources if source is not None) == [1, 2]
    assert len({source.session for source in sources if source is not None}) == 2


AGENT: Any = None


def work(index: int) -> int:
    return int(AGENT.watch(lambda note: index)("x"))


@pytest.mark.parametrize("method", ["fork"])
def test_children_of_multiprocessing_deliver_before_they_leave(tmp_path: Path, method: str) -> None:
    global AGENT
    AGENT = auditor.Agent("m", home=tmp_path, describe="all")
    context = multiprocessing.get_context(method)
    children = [context.Process(target=work, args=(index,)) for index in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for child in children:
            child.start()
    for child in children:
        child.join(15)
    assert [child.exitcode for child in children] == [0, 0, 0]
    AGENT.close(5)
    found = frames(tmp_path)
    assert sum(kind == "record" for _, kind, _ in found) == 3
    assert sum(parse_tally(data).closed for _, kind, data in found if kind == "tally") == 3


def test_an_agent_that_loads_for_ever_holds_up_no_other_one(make_agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "LOADING_S", 0.05)
    go_on, inside = threading.Event(), threading.Event()

    def stuck() -> None:
        with lifecycle.loading():
            inside.set()
            go_on.wait(20)

    other = threading.Thread(target=stuck)
    other.start()
    try:
        assert inside.wait(5)
        agent = make_agent()
        assert agent.watch(lambda text: text)("x") == "x"
        assert agent.flush(5)
    finally:
        go_on.set()
        other.join()
    with lifecycle.loading():
        pass
