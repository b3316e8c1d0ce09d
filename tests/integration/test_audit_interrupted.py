"""An audit that is cut short and repeated leaves exactly what one in peace leaves: every figure, verdict and alert once."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from auditor.bootstrap import init_home, open_app
from auditor.core.identity import canonical_json
from auditor.core.window import DAY, Span
from auditor.segments import SegmentWriter
from auditor.settings import load_settings
from auditor.store.database import Database
from auditor.testing.factories import MODEL, START
from auditor.testing.synthetic import make_records

sys.path.insert(0, str(Path(__file__).parent))
from audit_worker import NOW, SINCE, audit

STRACE = shutil.which("strace")
WORKER = Path(__file__).with_name("audit_worker.py")
CHANGES = (
    "openat,rename,renameat,renameat2,link,linkat,write,pwrite64,fsync,fdatasync,ftruncate,unlink,unlinkat,mkdir,rmdir"
)


def kept(home: Path) -> dict[str, list[Any]]:
    """Every row of every table."""
    with closing(sqlite3.connect(home / "store" / "auditor.db")) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in names}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a pinned week and a day that gives alerts, not yet audited."""
    root = tmp_path_factory.mktemp("filled") / "home"
    home = init_home(root)
    plain = '[audit]\ndrift = ["univariate", "sequential", "missingness"]\n'  # quick, and enough for an alert
    home.settings.write_text(plain + '[policy]\npacks = ["starter"]\n')
    writer = SegmentWriter(home.spool / "session")
    week = make_records(280, 1, start=START, span=7 * DAY)
    day = make_records(120, 2, start=SINCE, span=DAY, darken=0.4, missing=0.5)
    for records, labels in (week, day):
        writer.append([("record", canonical_json(record.as_json())) for record in records])
        writer.append([("label", canonical_json(label.as_json())) for label in labels])
    writer.close()
    with open_app(load_settings(root), figures_only=True) as app:
        app.pipeline.take_in()
        app.pipeline.pin(MODEL, Span(START, SINCE), by="t", at=SINCE)
    return root


@pytest.fixture(scope="module")
def whole(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What an audit in peace leaves."""
    home = tmp_path_factory.mktemp("whole") / "home"
    shutil.copytree(filled, home)
    audit(home)
    found = kept(home)
    assert len(found["alerts"]) >= 1
    assert len(found["measurements"]) > 50
    return found


class _CutError(BaseException):
    """The process would be gone here."""


def test_cut_short_at_every_transaction_it_ends_the_same(
    filled: Path, whole: dict[str, list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D12, short: cut before and after the first commit, then the second, ...; each time it is begun anew."""
    home = tmp_path / "home"
    shutil.copytree(filled, home)
    writing = Database.writing
    left = made = 0
    after = False

    @contextmanager
    def cut(database: Database) -> Iterator[Any]:
        nonlocal left, made
        left -= 1
        made += 1
        with writing(database) as connection:
            yield connection
            if left == 0 and not after:
                raise _CutError
        if left == 0:
            raise _CutError

    monkeypatch.setattr(Database, "writing", cut)
    cuts = 0
    while True:
        left, after = cuts // 2 + 1, cuts % 2 == 1
        try:
            audit(home)
            break
        except _CutError:
            cuts += 1
    assert cuts >= 3
    assert kept(home) == whole
    shutil.rmtree(home)
    shutil.copytree(filled, home)
    left = made = 0
    audit(home)
    shutil.rmtree(home)
    shutil.copytree(filled, home)
    left, after = made, True  # all is there, and nobody was told
    with pytest.raises(_CutError):
        audit(home)
    audit(home)
    assert kept(home) == whole


def test_a_clock_that_jumps_repeats_nothing_and_makes_no_window_of_its_own(
    filled: Path, whole: dict[str, list[Any]], tmp_path: Path
) -> None:
    """D11: windows follow from the records' times; a clock that goes back audits nothing twice and deletes nothing."""
    home = tmp_path / "home"
    shutil.copytree(filled, home)
    with open_app(load_settings(home), figures_only=True) as app:
        pipeline = app.pipeline
        assert [entry.run.span for entry in pipeline.audit(now=NOW, since=SINCE).audits] == [Span(SINCE, SINCE + DAY)]
        for now in (NOW - DAY, NOW - timedelta(hours=1), NOW - 400 * DAY, NOW):
            assert not pipeline.audit(now=now).audits
        ahead = pipeline.audit(now=NOW + DAY).audits
        assert [(entry.run.span.duration, entry.run.records) for entry in ahead] == [(DAY, 0)]
        assert not ahead[0].alerts.resolved, "no evidence is no recovery"
    found = kept(home)
    for table in ("measurements", "verdicts", "audit_runs", "hours", "states", "alerts"):
        assert set(map(repr, whole[table])) <= set(map(repr, found[table])), table


def _worker(home: Path, *strace: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [str(STRACE), "-f", "-qq", *strace, sys.executable, str(WORKER), str(home)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def _changes(log: Path, home: Path) -> list[tuple[str, int]]:
    """(call, its number among the calls of that name) for each of the first thread's that touches the home."""
    seen: Counter[str] = Counter()
    found = []
    main = None
    for line in log.read_text(errors="replace").splitlines():
        match = re.match(r"(\d+)\s+(\w+)\(", line)
        main = main or (match and match[1])
        if match and match[1] == main:
            seen[match[2]] += 1
            if str(home) in line and not (match[2] == "openat" and "O_RDONLY" in line):
                found.append((match[2], seen[match[2]]))
    return found


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
@pytest.mark.parametrize(("fault", "step"), [("signal=KILL", 1), ("error=EIO", 5), ("error=ENOSPC", 5)])
def test_a_fault_at_every_system_call_ends_the_same(
    filled: Path, whole: dict[str, list[Any]], tmp_path: Path, fault: str, step: int
) -> None:
    """D2 and D12, long: a kill at each of some seven hundred calls, a failing disk at each fifth."""
    home = tmp_path / "home"
    shutil.copytree(filled, home)
    assert _worker(home, "-y", "-e", f"trace={CHANGES}", "-o", str(tmp_path / "log")).returncode == 0
    calls = _changes(tmp_path / "log", home)
    assert len(calls) > 10
    for call, number in calls[::step]:
        shutil.rmtree(home)
        shutil.copytree(filled, home)
        inject = f"inject={call}:{fault}:when={number}"
        done = _worker(home, "-o", os.devnull, "-e", f"trace={call}", "-e", inject)
        where = f"{call} #{number} {fault}: exit {done.returncode} {done.stderr[-300:]}"
        assert done.returncode != 0 or "KILL" not in fault, f"{where}: the fault did not happen"
        assert "Traceback" not in done.stderr or "error[" in done.stderr, where
        audit(home)
        assert kept(home) == whole, where
