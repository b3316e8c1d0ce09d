"""What is acknowledged is on disk: read from a trace of system calls; and the store may go away meanwhile."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from auditor.core.window import Span, parse_time
from auditor.intake.archive import ParquetArchive
from auditor.settings import Home

CALL = re.compile(r"^(\d+) +([\d.]+) (?:<\.\.\. )?(\w+)(?: resumed>|\()(.*)$")


def events(trace: Path) -> list[tuple[str, str]]:
    """(call, line) in the order in which calls returned: an unfinished call counts where it is resumed."""
    found = []
    begun: dict[tuple[str, str], str] = {}
    for line in trace.read_text(errors="replace").splitlines():
        match = CALL.match(line)
        if match is None:
            continue
        thread, _, call, rest = match.groups()
        if rest.endswith("<unfinished ...>"):
            begun[thread, call] = rest
            continue
        found.append((call, begun.pop((thread, call), "") + rest))
    return found


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("requests", [60, pytest.param(10_000, marks=pytest.mark.soak)])
def test_every_acknowledgement_follows_its_fsync(
    home_for_service: Any, make_row: Any, tmp_path: Path, requests: int
) -> None:
    """D3: for each 200, the segment's bytes were synced before, and its folder after the segment was made."""
    trace = tmp_path / "trace"
    strace = ("strace", "-D", "-f", "--seccomp-bpf", "-ttt", "-y", "-s", "400", "-o", str(trace))
    strace += ("-e", "trace=openat,write,writev,sendto,sendmsg,fsync,fdatasync", "-e", "signal=none")
    running = home_for_service(command=strace, environment={"AUDITOR_SERVICE_DRAIN_S": "3600"})
    running.key("ingest")
    running.start()
    with running.client("ingest") as client:
        for number in range(requests):
            rows = [make_row(f"trace-{number}-{i}") for i in range(3)]
            assert client.post("/v1/records", json={"records": rows}).json()["accepted"] == 3
    pid = running.process.pid
    assert running.stop(signal.SIGTERM) == 0
    running.wait(
        lambda: f"{pid} " in (text := trace.read_text(errors="replace")) and "+++ exited with 0 +++" in text[-400:]
    )
    synced_folder = False
    waiting = 0  # bytes written to the segment and not yet synced
    acknowledged = 0
    written: set[str] = set()
    durable: set[str] = set()
    for call, line in events(trace):
        if "/journal/serve-" in line and ".open" in line:
            if call == "openat":
                synced_folder = False
            elif call == "write":
                waiting += 1
                written |= set(re.findall(r"trace-(\d+)-", line))
            elif call in ("fsync", "fdatasync") and line.rstrip().endswith("= 0"):
                waiting = 0
                durable |= written
        elif call == "fsync" and re.search(r"/journal/serve-[^/]+>\)", line):
            synced_folder = True
        elif call in ("write", "writev", "sendto", "sendmsg") and "HTTP/1.1 200" in line:
            assert synced_folder, line
            assert waiting == 0, line
            acknowledged += 1
            assert len(durable) >= acknowledged, line
    assert acknowledged == requests
    assert durable == {str(number) for number in range(requests)}


@pytest.mark.parametrize("restarts", [1, pytest.param(20, marks=pytest.mark.soak)])
def test_the_database_goes_away_and_comes_back_and_nothing_is_lost(
    home_for_service: Any, make_row: Any, postgres_of_its_own: Any, restarts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D9: the server crashes or is shut down, now before, now during a drain; intake goes on, and every record is there once."""
    monkeypatch.setenv("AUDITOR_STORE_URL", postgres_of_its_own.url)
    running = home_for_service(environment={"AUDITOR_SERVICE_DRAIN_S": "0.05"})
    running.cli("db", "upgrade")
    running.key("ingest")
    running.key("viewer")
    running.start()
    acknowledged: list[str] = []
    stop = threading.Event()

    def send() -> None:
        with running.client("ingest") as client:
            while not stop.is_set():
                rows = [make_row(f"p{len(acknowledged) + place}") for place in range(20)]
                answer = client.post("/v1/records", json={"records": rows})
                assert (answer.status_code, answer.json()["accepted"]) == (200, 20), answer.text
                acknowledged.extend(entry["id"] for entry in rows)
                stop.wait(0.01)

    with ThreadPoolExecutor(1) as pool, running.client("viewer") as viewer:
        sending = pool.submit(send)
        try:
            for number in range(restarts):
                time.sleep(0.3 + 0.11 * (number % 5))
                postgres_of_its_own.stop(signal.SIGINT if number % 3 == 2 else signal.SIGQUIT)
                before = len(acknowledged)
                if number == 0:
                    away = viewer.get("/v1/models")
                    assert (away.status_code, away.headers["retry-after"]) == (503, "5")
                    assert viewer.get("/metrics").status_code == 200
                time.sleep(0.1 + 0.37 * (number % 4))
                assert len(acknowledged) > before, "intake went on"
                postgres_of_its_own.start()
        finally:
            stop.set()
        sending.result(30)
    with running.client("viewer") as viewer:

        def drained() -> int:
            items = viewer.get("/v1/models").json().get("items") or [{}]
            return items[0].get("records", 0)

        running.wait(lambda: drained() >= len(acknowledged), 60)
        assert drained() == len(acknowledged), "none twice"
    place = Home(running.home)
    day = Span(parse_time("2026-01-05"), parse_time("2026-01-06"))
    running.wait(lambda: ParquetArchive(place.archive, place.quarantine).read("m", day).n >= len(acknowledged))
    found = ParquetArchive(place.archive, place.quarantine).read("m", day).ids.tolist()
    assert sorted(found) == sorted(acknowledged)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB where the first home of `home_for_service` will lie."""
    place = tmp_path / "home0"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "auditor-test", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("file systems may not be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.soak
def test_a_full_disk_is_said_and_what_follows_is_whole(small_disk: Path, home_for_service: Any, make_row: Any) -> None:
    """D6: nothing is acknowledged while it cannot be kept, reading goes on, and it resumes by itself."""
    running = home_for_service()
    assert running.home == small_disk
    running.key("ingest")
    running.key("viewer")
    running.start()
    acknowledged: list[str] = []
    with running.client("ingest") as client, running.client("viewer") as viewer:

        def send(number: int) -> int:
            rows = [make_row(f"f{number}-{place}") for place in range(200)]
            answer = client.post("/v1/records", json={"records": rows})
            if answer.status_code == 200:
                acknowledged.extend(entry["id"] for entry in rows)
            else:
                assert answer.headers["retry-after"]
            return int(answer.status_code)

        assert send(0) == 200
        running.wait(lambda: viewer.get("/v1/models").json().get("items"))
        filler = small_disk / "filler"
        for fill in range(3):
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 12))
            begin = 1000 * (fill + 1)
            answers = [send(begin + number) for number in range(60)]
            assert set(answers) <= {200, 503, 507}
            assert answers[-1] in (503, 507)
            for _ in range(10):
                assert viewer.get("/v1/models").json()["items"][0]["records"] > 0
                assert viewer.get("/healthz").status_code == 200
                time.sleep(0.3)
            filler.unlink()
            running.wait(lambda begin=begin: send(begin + 999) == 200, 10)
        running.wait(lambda: viewer.get("/v1/models").json()["items"][0]["records"] >= len(set(acknowledged)), 60)
    assert running.stop() == 0
    place = Home(running.home)
    day = Span(parse_time("2026-01-05"), parse_time("2026-01-06"))
    archive = ParquetArchive(place.archive, place.quarantine)
    found = archive.read("m", day).ids.tolist()
    assert len(found) == len(set(found))
    assert set(acknowledged) <= set(found)
    assert archive.damage() == []
    assert running.cli("db", "check")


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_memory_stays_flat_over_five_million_records() -> None:
    script = Path(__file__).parents[3] / "benchmarks" / "memory.py"
    done = subprocess.run([sys.executable, str(script), "--dry"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "(at most 64: met)" in done.stdout, done.stdout
