"""Fork and exit: two hooks for the whole process, installed with the first agent, never at import."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditor.agent.agent import Agent

EXIT_S = 1.75
"""What all agents together wait at the end of a process: two seconds, less what threads take to start and to end."""

LOADING_S = 1.0
"""What a fork, or another agent's worker, waits at most for modules that are just being loaded."""

_loading = threading.RLock()
_agents: dict[int, weakref.ref[Agent]] = {}
_installed = False
_finalized_pid = 0
_waited: list[bool] = []


def register(agent: Agent) -> None:
    """Remember an agent, weakly."""
    global _installed
    key = id(agent)
    _agents[key] = weakref.ref(agent, lambda _: _agents.pop(key, None))
    if not _installed:
        _installed = True
        os.register_at_fork(before=_wait_for_loading, after_in_parent=_go_on, after_in_child=_renew_in_child)
        atexit.register(_close_at_exit)


def watch_child_exit() -> None:
    """Children of multiprocessing leave without atexit: close with their own finalizers (asked for once a process)."""
    global _finalized_pid
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is None or process is None or _finalized_pid == os.getpid():
        return
    if process.parent_process() is not None:
        _finalized_pid = os.getpid()
        util.Finalize(None, _close_at_exit, exitpriority=10)


@contextmanager
def loading() -> Iterator[None]:
    """For the time that a worker loads modules: a child that is forked meanwhile would find them half loaded, for good.

    Whoever waits for another one's modules does not wait for ever, and loads its own beside them then.
    """
    let_go = _hold()
    try:
        yield
    finally:
        let_go()


def _hold() -> Callable[[], None]:
    return _loading.release if _loading.acquire(timeout=LOADING_S) else _nothing


def _nothing() -> None: ...


def living() -> list[Agent]:
    """The agents that still exist."""
    return [agent for agent in (reference() for reference in list(_agents.values())) if agent is not None]


def _wait_for_loading() -> None:
    _waited.append(_loading.acquire(timeout=LOADING_S))


def _go_on() -> None:
    if _waited.pop():
        _loading.release()


def _renew_in_child() -> None:
    """A child starts with empty queues, new locks and a session of its own."""
    global _loading
    _loading = threading.RLock()
    _waited.clear()
    for agent in living():
        agent._renew()


def _close_at_exit() -> None:
    deadline = time.monotonic() + EXIT_S
    for agent in living():
        agent._close(max(0.0, deadline - time.monotonic()), reason="at_exit")
