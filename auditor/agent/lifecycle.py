"""Fork and exit: two hooks for the whole process, installed with the first agent, never at import."""

from __future__ import annotations

import atexit
import importlib.util
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

EXIT_S = 1.75
"""What all agents together wait at the end of a process: two seconds, less what threads take to start and to end."""

LOADING_S = 3.0
"""Seconds that a fork, or another agent's worker, waits at most for modules that are being loaded."""

TURN_S = 0.0005
"""How long one thread may keep the interpreter while a worker starts (CPython's own choice is 5 ms)."""

_loading = threading.RLock()
_turns = threading.Lock()
_starting = 0
_turn_before_s = 0.0
_agents: dict[int, weakref.ref[Registered]] = {}
_installed = False
_finalized_pid = 0
_waited: list[bool] = []
_workers: set[int] = set()
_half_loaded: list[str] = []


class Registered(Protocol):
    """An agent, as forks and the end of the process see it."""

    def _renew(self) -> None:
        """A child was forked: begin anew."""

    def _close(self, timeout: float, *, reason: str) -> bool:
        """Close within `timeout` seconds."""


def register(agent: Registered) -> None:
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
    """While a worker loads modules a fork waits for it, for a while; a child forked all the same loads them again."""
    let_go = _hold()
    try:
        _load_again()
        yield
    finally:
        let_go()


@contextmanager
def starting() -> Iterator[None]:
    """While a worker starts, threads take short turns.

    Loading a library gives the interpreter up at every read of a file. Beside a model that computes in Python each of them
    would wait for a whole turn of the model's: CodeCarbon then takes 9 seconds to start, with short turns 3.
    """
    global _starting, _turn_before_s
    with _turns:
        _starting += 1
        if _starting == 1:
            _turn_before_s = sys.getswitchinterval()
            sys.setswitchinterval(min(TURN_S, _turn_before_s))
    try:
        yield
    finally:
        with _turns:
            _starting = max(0, _starting - 1)
            if _starting == 0:
                _long_turns()


def _long_turns() -> None:
    """The host's own interval again, unless the host has chosen another one since."""
    if abs(sys.getswitchinterval() - min(TURN_S, _turn_before_s)) < 5e-6:
        sys.setswitchinterval(_turn_before_s)


def _hold() -> Callable[[], None]:
    return _loading.release if _loading.acquire(timeout=LOADING_S) else _nothing


def _nothing() -> None: ...


@contextmanager
def working() -> Iterator[None]:
    """A worker's thread: a child drops the modules that this thread is loading at the fork."""
    me = threading.get_ident()
    _workers.add(me)
    try:
        yield
    finally:
        _workers.discard(me)


def _drop_half_loaded() -> None:
    """In a child: forget the modules that a worker of the parent was loading. Their locks belong to a thread that is gone."""
    locks = getattr(importlib._bootstrap, "_module_locks", {})  # type: ignore[attr-defined]
    for name, reference in list(locks.items()):
        lock = reference()
        owner = getattr(lock, "owner", None)
        if owner in _workers:
            locks.pop(name, None)
            if sys.modules.pop(name, None) is not None:
                _half_loaded.append(name)
    getattr(importlib._bootstrap, "_blocking_on", {}).clear()  # type: ignore[attr-defined]
    _workers.clear()


def _load_again() -> None:
    """Load what was dropped. Parts of a package that the parent had loaded whole are tied to it before its code runs."""
    while _half_loaded:
        name = min(_half_loaded, key=len)  # a package before its parts
        spec = None if name in sys.modules else importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            for part in [part for part in sys.modules if part.rpartition(".")[0] == name]:
                setattr(module, part.rpartition(".")[2], sys.modules[part])
            sys.modules[name] = module
            try:
                spec.loader.exec_module(module)
            except BaseException:
                sys.modules.pop(name, None)
                raise
            above, _, leaf = name.rpartition(".")
            if above:
                setattr(sys.modules[above], leaf, module)
        _half_loaded.remove(name)


def registered() -> list[Registered]:
    """The agents that still exist."""
    return [agent for agent in (reference() for reference in list(_agents.values())) if agent is not None]


def _wait_for_loading() -> None:
    _waited.append(_loading.acquire(timeout=LOADING_S))


def _go_on() -> None:
    if _waited.pop():
        _loading.release()


def _renew_in_child() -> None:
    """A child starts with empty queues, new locks and a session of its own."""
    global _loading, _turns, _starting
    _loading = threading.RLock()
    _turns = threading.Lock()
    if _starting:
        _starting = 0
        _long_turns()
    _waited.clear()
    _drop_half_loaded()
    for agent in registered():
        agent._renew()


def _close_at_exit() -> None:
    deadline = time.monotonic() + EXIT_S
    for agent in registered():
        agent._close(max(0.0, deadline - time.monotonic()), reason="at_exit")
