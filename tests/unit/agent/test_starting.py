"""Beside a model that computes without a pause, the agent's worker still starts soon; the host's interval comes back."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from auditor.agent import lifecycle


def test_turns_are_short_while_a_worker_starts_and_as_before_afterwards() -> None:
    before = sys.getswitchinterval()
    with lifecycle.starting():
        assert sys.getswitchinterval() == pytest.approx(lifecycle.TURN_S, abs=2e-6)
        with lifecycle.starting():  # two agents at once
            assert sys.getswitchinterval() == pytest.approx(lifecycle.TURN_S, abs=2e-6)
        assert sys.getswitchinterval() == pytest.approx(lifecycle.TURN_S, abs=2e-6)
    assert sys.getswitchinterval() == pytest.approx(before, abs=2e-6)


def test_an_interval_that_the_host_sets_meanwhile_stays() -> None:
    before = sys.getswitchinterval()
    try:
        with lifecycle.starting():
            sys.setswitchinterval(0.02)
        assert sys.getswitchinterval() == pytest.approx(0.02, abs=2e-6)
    finally:
        sys.setswitchinterval(before)


def test_a_shorter_interval_of_the_host_is_kept() -> None:
    before = sys.getswitchinterval()
    try:
        sys.setswitchinterval(1e-4)
        with lifecycle.starting():
            assert sys.getswitchinterval() == pytest.approx(1e-4, abs=2e-6)
        assert sys.getswitchinterval() == pytest.approx(1e-4, abs=2e-6)
    finally:
        sys.setswitchinterval(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_forked_meanwhile_has_the_interval_of_before() -> None:
    before = sys.getswitchinterval()
    with lifecycle.starting():
        child = os.fork()
        if child == 0:
            lifecycle._renew_in_child()
            os._exit(0 if abs(sys.getswitchinterval() - before) < 5e-6 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_threads_that_start_workers_together_leave_nothing_behind() -> None:
    before = sys.getswitchinterval()

    def start() -> None:
        for _ in range(200):
            with lifecycle.starting():
                pass

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sys.getswitchinterval() == pytest.approx(before, abs=2e-6)
