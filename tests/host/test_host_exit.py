"""A9, A3: the end of a process is never held up, and never loses what could be delivered."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auditor.segments import adoptable, read_segment

WAYS = {
    "return": "",
    "sys.exit": "import sys; sys.exit(3)",
    "exception": "raise RuntimeError('the host failed')",
    "handled SIGTERM": (
        "import signal, sys, os\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "import time; time.sleep(30)"
    ),
    "in a thread": (
        "import threading\nthreading.Thread(target=lambda: [model('from a thread') for _ in range(10)]).start()"
    ),
}
HOST = """
import auditor
agent = auditor.Agent("m", "1", describe="all", {where})
model = agent.watch(lambda note: 1)
for index in range({calls}):
    model("words")
{way}
"""


HANGS_S = 60.0
"""The bounds in seconds are for a quiet machine; beside other work a host that ends at all passes."""


def host(where: str, way: str, calls: int = 20) -> tuple[float, subprocess.CompletedProcess[str]]:
    """(seconds, result) of a process that ends that way."""
    code = HOST.format(where=where, way=way, calls=calls)
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANGS_S)
    return time.monotonic() - began, done


def delivered(home: Path) -> list[dict[str, Any]]:
    found = []
    for folder in (home / "spool").iterdir():
        if folder.is_dir():
            for path in adoptable(folder):
                found += [json.loads(frame.payload) for frame in read_segment(path).frames if frame.kind == "record"]
    return found


@pytest.fixture
def black_hole() -> Iterator[str]:
    """A server that accepts and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(5)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("way", WAYS, ids=[name.replace(" ", "-") for name in WAYS])
def test_nothing_is_lost_when_the_spool_is_there(tmp_path: Path, way: str) -> None:
    _, done = host(f"home={str(tmp_path)!r}", WAYS[way])
    assert len(delivered(tmp_path)) == (30 if way == "in a thread" else 20)
    assert "auditor" not in done.stderr
    assert done.returncode == {"return": 0, "exception": 1, "in a thread": 0}.get(way, 3)


@pytest.mark.parametrize("most", [HANGS_S, pytest.param(2.5, marks=pytest.mark.soak)])
def test_a_server_that_never_answers_delays_the_exit_by_two_seconds_at_most(black_hole: str, most: float) -> None:
    quick, _ = host("home='/nonexistent/auditor-test'", "agent.close(0)", calls=0)
    seconds, done = host(f"endpoint={black_hole!r}", "")
    assert done.returncode == 0
    assert seconds - quick < most
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("most", [HANGS_S, pytest.param(5.0, marks=pytest.mark.soak)])
def test_a_server_that_is_not_there_delays_the_exit_by_two_seconds_at_most(most: float) -> None:
    seconds, done = host("endpoint='http://127.0.0.1:9'", "")
    assert done.returncode == 0
    assert seconds < most
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("most", [HANGS_S, pytest.param(2.0, marks=pytest.mark.soak)])
def test_os_exit_is_immediate(black_hole: str, most: float) -> None:
    seconds, done = host(f"endpoint={black_hole!r}", "import os; os._exit(7)")
    assert done.returncode == 7
    assert seconds < most


def test_a_killed_host_leaves_what_was_flushed(tmp_path: Path) -> None:
    _, done = host(f"home={str(tmp_path)!r}", "agent.flush(5)\nimport os; os.kill(os.getpid(), 9)")
    assert done.returncode == -9
    assert len(delivered(tmp_path)) == 20


def test_two_interrupts_end_a_host_at_once(tmp_path: Path) -> None:
    way = "print('up', flush=True)\nimport time\ntime.sleep(30)"
    code = HOST.format(where=f"home={str(tmp_path)!r}", way=way, calls=5)
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # A shell that runs the tests in the background ignores interrupts, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGINT)
        assert process.wait(25) != 0, "before its sleep is over"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_belongs_to_the_host(make_agent: Any, balanced: Any, kind: type[BaseException]) -> None:
    agent = make_agent()

    def model(note: str) -> None:
        raise kind

    with pytest.raises(kind):
        agent.watch(model)("x")
    with pytest.raises(kind), agent.inference():
        raise kind

    def clock() -> Any:
        raise kind  # inside the agent's own code

    interrupted = make_agent(clock=clock)
    with pytest.raises(kind):
        interrupted.watch(lambda note: 1)("x")
    assert agent.flush(5)
    balanced(agent.stats())
    assert agent.stats()["delivered"] == 2
