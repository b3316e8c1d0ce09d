"""A15: importing does nothing, and the agent itself needs numpy alone, when it needs it."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys

import pytest

INERT = """
import json, sys, threading, logging, socket
opened = []
sys.addaudithook(lambda event, args: opened.append((event, str(args[0]))) if event in ("open", "socket.__new__") and (
    event != "open" or (len(args) > 1 and isinstance(args[1], str) and set(args[1]) & set("wax+"))) else None)
before = set(sys.modules)
import auditor
lazy = sorted({name.split(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names) - {"auditor"})
lazy += sorted(name for name in sys.modules if name.startswith("auditor."))
import auditor.agent
agent_only = sorted({name.split(".")[0] for name in sys.modules} - set(sys.stdlib_module_names))
print(json.dumps({"lazy": lazy, "agent": agent_only, "threads": threading.active_count(), "opened": opened,
    "handlers": len(logging.getLogger().handlers) + len(logging.getLogger("auditor").handlers)}))
"""

WITHOUT_NUMPY = """
import sys
sys.modules["numpy"] = None
import auditor
from auditor.agent.transport import MemoryTransport
memory = MemoryTransport()
agent = auditor.Agent("m", transport=memory, describe="all")
assert agent.watch(lambda note: 5)("words") == 5
assert agent.flush(20)
stats = agent.stats()
assert stats["delivered"] == 1, stats
agent.close(5)
"""


def run(code: str, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env={**os.environ, **environ}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_makes_no_thread_no_file_no_socket_and_loads_no_library() -> None:
    found = json.loads(run(INERT))
    assert found["lazy"] == []
    assert set(found["agent"]) <= {"__main__", "auditor", "_distutils_hack", "sitecustomize", "usercustomize"}, found
    assert (found["threads"], found["handlers"]) == (1, 0)
    assert [name for event, name in found["opened"] if not name.endswith((".pyc", "__pycache__"))] == []


def test_a_host_without_numpy_is_still_counted() -> None:
    run(WITHOUT_NUMPY)


def cpu_of_children() -> float:
    """CPU seconds: what else the machine does meanwhile is not the import's."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.soak
def test_the_import_costs_no_more_than_one_and_a_half_opentelemetrys() -> None:
    pytest.importorskip("opentelemetry.sdk.trace")
    ratios = []
    for _ in range(5):
        taken = []
        for module in ("opentelemetry.sdk.trace", "auditor.agent", "sys"):
            began = cpu_of_children()
            run(f"import {module}")
            taken.append(cpu_of_children() - began)
        ratios.append((taken[1] - taken[2]) / (taken[0] - taken[2]))
    assert statistics.median(ratios) <= 1.5
