"""What the kernel sees: nothing is acknowledged before it was synced, and a kill or a failing disk at any call loses nothing.

Short forms take a few of the calls, evenly spread; `make soak` takes every one.
"""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from auditor.core.window import DAY, Span
from auditor.intake.archive import ParquetArchive
from auditor.intake.drain import HomeIntake
from auditor.segments import read_segment
from auditor.settings import Home
from auditor.store.sql import SqlStore
from auditor.testing.factories import MODEL, START
from auditor.testing.synthetic import make_records

STRACE = shutil.which("strace")
WORKER = Path(__file__).with_name("drain_worker.py")
CHANGES = (
    "openat,rename,renameat,renameat2,link,linkat,write,pwrite64,fsync,fdatasync,ftruncate,unlink,unlinkat,mkdir,rmdir"
)
IDS = {record.id for record in make_records(4, seed=2)[0]}
SPAN = Span(START, START + DAY)

pytestmark = pytest.mark.skipif(STRACE is None, reason="strace is not installed")


def worker(home, verb, *strace):
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [STRACE, "-f", "-qq", *strace, sys.executable, str(WORKER), str(home), verb]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module", autouse=True)
def may_trace(tmp_path_factory):
    if STRACE and subprocess.run([STRACE, "-qq", "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace here")


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A home whose spool holds four acknowledged records; a copy of it is drained each time."""
    home = tmp_path_factory.mktemp("filled") / "home"
    done = worker(home, "append", "-e", "trace=none")
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"acked (\S+)", done.stdout)) == IDS
    return home


@pytest.fixture(scope="module")
def calls(filled, tmp_path_factory):
    """How often a drain makes each changing call on the home's files."""
    home = tmp_path_factory.mktemp("counted") / "home"
    shutil.copytree(filled, home)
    log = home.parent / "log"
    assert worker(home, "drain", "-y", "-e", f"trace={CHANGES}", "-o", str(log)).returncode == 0
    return occurrences(log, home)


def occurrences(log, home):
    """(call, its number among the calls of that name in the process) for each that touches the home.

    strace counts a call when it injects by thread, so that only calls of the first thread are named.
    """
    seen = Counter()
    found = []
    main = None
    for line in log.read_text(errors="replace").splitlines():
        match = re.match(r"(\d+)\s+(\w+)\(", line)
        if not match:
            continue
        main = main or match[1]
        if match[1] != main:
            continue
        seen[match[2]] += 1
        if str(home) in line and not (match[2] == "openat" and "O_RDONLY" in line):
            found.append((match[2], seen[match[2]]))
    return found


def test_nothing_is_acknowledged_before_it_was_synced(tmp_path):
    log = tmp_path / "log"
    home = tmp_path / "home"
    done = worker(home, "append", "-y", "-e", "trace=openat,write,fsync,fdatasync", "-o", str(log))
    assert done.returncode == 0, done.stderr
    unsynced, folder_synced, acked = set(), False, 0
    for line in log.read_text(errors="replace").splitlines():
        call = re.match(r"\d+\s+(\w+)\((\d+<([^>]*)>|AT_FDCWD)", line)
        if not call:
            continue
        if call[1] == "openat" and "O_CREAT" in line and ".open" in line:
            folder_synced = False
        elif call[1] == "write" and call[3] and call[3].endswith(".open"):
            unsynced.add(call[3])
        elif call[1] in ("fsync", "fdatasync") and line.rstrip().endswith("= 0"):
            unsynced.discard(call[3])
            folder_synced |= call[3] == str(home / "spool" / "session")
        elif '"acked ' in line:
            acked += 1
            assert not unsynced, f"acknowledged before fsync: {unsynced}"
            assert folder_synced, "acknowledged before the segment's name was durable"
    assert acked == 4


def interrupted(filled, tmp_path, call, number, fault):
    """Drain with one fault, then in peace: every acknowledged record is at rest once."""
    home = tmp_path / f"{call}-{number}-{fault.replace('=', '-')}"
    shutil.copytree(filled, home)
    done = worker(home, "drain", "-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={number}")
    where = f"{call} #{number} {fault}: exit {done.returncode} {done.stderr[-300:]}"
    assert done.returncode != 0 or "KILL" not in fault, f"{where}: the fault did not happen"
    assert "Traceback" not in done.stderr or "error[" in done.stderr, where
    for damaged in Home(home).quarantine.glob("*.seg") if Home(home).quarantine.is_dir() else ():
        assert not read_segment(damaged).damage, where
    store = SqlStore(f"sqlite:///{home}/store/auditor.db")
    archive = ParquetArchive(home / "archive", home / "quarantine", checksums=store)
    intake = HomeIntake(Home(home), archive, store)
    intake.drain()
    assert archive.read(MODEL, SPAN).ids.tolist() == sorted(IDS), where
    assert sum(summary.records for summary in store.models()) == len(IDS), where
    assert intake.drain().accepted == 0, where
    assert archive.damage() == [], where
    store.close()
    shutil.rmtree(home)


FAULTS = ("signal=KILL", "error=EIO", "error=ENOSPC", "error=EDQUOT")


def test_a_fault_at_some_system_calls_loses_nothing(filled, calls, tmp_path):
    assert len(calls) > 20
    for index in range(3):
        call, number = calls[(2 * index + 1) * len(calls) // 6]
        interrupted(filled, tmp_path, call, number, FAULTS[index % 2])


@pytest.mark.soak
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_every_system_call_loses_nothing(filled, calls, tmp_path, fault):
    for call, number in calls:
        interrupted(filled, tmp_path, call, number, fault)
