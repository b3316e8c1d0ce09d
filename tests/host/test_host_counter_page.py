"""A process may end in any way: the calls it made are at rest, or declared as lost with it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from auditor.segments import SEEN, page_alive, read_seen, seen
from tests.host.identity import counted

SLOW = """
import importlib.abc, sys, time
class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "numpy.linalg":
            time.sleep(5)
sys.meta_path.insert(0, Slow())
"""
HOST = """
import os, signal, sys, time
import auditor
agent = auditor.Agent("m", "1", home={home!r}, describe={describe!r})
model = agent.watch(lambda form: 1, inputs={{"form": "tabular"}})
def calls(number):
    for index in range(number):
        model({{"age": float(index)}})
{body}
"""
ENDINGS = {
    "kill": "calls(40); os.kill(os.getpid(), signal.SIGKILL)",
    "_exit": "calls(40); os._exit(0)",
    "exec": "calls(40); os.execv(sys.executable, [sys.executable, '-c', ''])",
    "terminate": "calls(40); os.kill(os.getpid(), signal.SIGTERM)",
    "kill-after-delivery": "calls(25); agent.flush(30); calls(15); os.kill(os.getpid(), signal.SIGKILL)",
    "threads": (
        "import threading\nts = [threading.Thread(target=calls, args=(10,)) for _ in range(4)]\n"
        "[t.start() for t in ts]; [t.join() for t in ts]; os._exit(1)"
    ),
    "return": "calls(40)",
}


def run(home: Path, body: str, *, slow: bool = False, describe: str = "all") -> subprocess.CompletedProcess[str]:
    code = (SLOW if slow else "") + HOST.format(home=str(home), body=body, describe=describe)
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=90)


@pytest.mark.parametrize(("ending", "describe"), [*((ending, "all") for ending in ENDINGS), ("kill", "budget")])
def test_every_call_is_at_rest_or_declared_whatever_the_ending(tmp_path: Path, ending: str, describe: str) -> None:
    run(tmp_path, ENDINGS[ending], describe=describe)
    found = counted(tmp_path)
    assert found.holds, found
    assert found.seen == 40
    assert counted(tmp_path) == found, "taking in again changes nothing"
    assert [entry.name for entry in (tmp_path / "spool").iterdir() if entry.is_dir()] == []


def test_a_process_that_ends_before_its_worker_is_ready_is_counted(tmp_path: Path) -> None:
    run(tmp_path, "calls(7)", slow=True)
    assert counted(tmp_path) == (7, 0, {"process_ended": 7})


def test_children_that_end_at_once_are_counted_each_by_its_own_page(tmp_path: Path) -> None:
    body = (
        "calls(3)\n"
        "for child in range(4):\n"
        "    if os.fork() == 0:\n"
        "        calls(child)\n"
        "        os._exit(0)\n"
        "for _ in range(4): os.wait()\n"
        "calls(2)\n"
    )
    run(tmp_path, body)
    found = counted(tmp_path)
    assert found.holds
    assert found.seen == 3 + 0 + 1 + 2 + 3 + 2


def test_records_at_rest_that_no_tally_counts_are_not_lost(tmp_path: Path) -> None:
    """Killed after the records were written, before the next declaration."""
    run(tmp_path, "calls(30)\ntime.sleep(2)\nos.kill(os.getpid(), signal.SIGKILL)")
    found = counted(tmp_path)
    assert found == (30, 30, {})


def test_a_live_process_is_left_alone(tmp_path: Path, make_agent: Any) -> None:
    agent = make_agent(name="m", home=tmp_path)
    model = agent.watch(lambda note: 1)
    for _ in range(5):
        model("x")
    assert agent.flush(10)
    assert counted(tmp_path).seen == 5
    folder = next(path.parent for path in (tmp_path / "spool").glob(f"*/{SEEN}"))
    assert page_alive(folder)
    model("x")
    assert agent.close(10)
    assert not page_alive(folder)
    assert counted(tmp_path) == (6, 6, {})


@pytest.mark.parametrize("part", ["session", "spool"])
def test_a_folder_that_was_removed_is_made_again_with_what_was_in_the_open_segment(
    tmp_path: Path, make_agent: Any, part: str
) -> None:
    agent = make_agent(name="m", home=tmp_path)
    model = agent.watch(lambda note: 1)
    for _ in range(5):
        model("x")
    until = time.monotonic() + 10
    while agent.stats()["delivered"] < 5 and time.monotonic() < until:
        time.sleep(0.01)
    spool = tmp_path / "spool"
    shutil.rmtree(next(spool.glob("*/")) if part == "session" else spool)
    for _ in range(5):
        model("x")
    time.sleep(1.2)
    assert agent.close(10)
    assert counted(tmp_path) == (10, 10, {})


def test_what_went_with_a_removed_folder_is_declared_at_the_end(tmp_path: Path, make_agent: Any) -> None:
    agent = make_agent(name="m", home=tmp_path)
    model = agent.watch(lambda note: 1)
    for _ in range(5):
        model("x")
    assert agent.flush(10)  # sealed: the records and their tally
    shutil.rmtree(tmp_path / "spool")
    model("x")
    time.sleep(1.2)
    assert agent.close(10)
    assert counted(tmp_path) == (6, 1, {"process_ended": 5})


def test_a_damaged_page_is_kept_aside_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "spool" / "s"
    folder.mkdir(parents=True)
    (folder / SEEN).write_bytes(b"nonsense")
    counted(tmp_path)
    assert (tmp_path / "quarantine" / f"s.{SEEN}").read_bytes() == b"nonsense"
    assert not folder.exists()


def test_without_room_or_on_a_network_filesystem_there_is_no_page_and_it_is_noted(
    tmp_path: Path, make_agent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "filesystem", lambda folder: "nfs4")
    agent = make_agent(name="m", home=tmp_path)
    agent.watch(lambda note: 1)("x")
    assert agent.flush(10)
    assert agent.stats()["notes"] == {"no_counter_page": 1}
    assert agent.close(10)
    assert counted(tmp_path) == (1, 1, {})


def test_many_threads_lose_no_count(tmp_path: Path, make_agent: Any) -> None:
    agent = make_agent(name="m", home=tmp_path, describe="budget")
    model = agent.watch(lambda note: 1)
    threads = [threading.Thread(target=lambda: [model("x") for _ in range(20)]) for _ in range(seen.COUNTERS // 16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    folder = next(path.parent for path in (tmp_path / "spool").glob(f"*/{SEEN}"))
    page = read_seen(folder)
    assert page is not None
    assert page.total == 20 * len(threads)
    assert (folder / SEEN).stat().st_blocks * 512 >= (folder / SEEN).stat().st_size, "no hole to fall into"
