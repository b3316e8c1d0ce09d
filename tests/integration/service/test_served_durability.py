"""What is acknowledged is on disk: read from a trace of system calls; and the store may go away meanwhile."""

from __future__ import annotations

import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

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
def test_every_acknowledgement_follows_its_fsync(home_for_service: Any, make_row: Any, tmp_path: Path) -> None:
    """D3: for each 200, the segment's bytes were synced before, and its folder after the segment was made."""
    trace = tmp_path / "trace"
    strace = ("strace", "-D", "-f", "--seccomp-bpf", "-ttt", "-y", "-s", "400", "-o", str(trace))
    strace += ("-e", "trace=openat,write,writev,sendto,sendmsg,fsync,fdatasync", "-e", "signal=none")
    running = home_for_service(command=strace, environment={"AUDITOR_SERVICE_DRAIN_S": "3600"})
    running.key("ingest")
    running.start()
    with running.client("ingest") as client:
        for number in range(60):
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
    assert acknowledged == 60
    assert durable == {str(number) for number in range(60)}


def test_the_store_goes_away_and_intake_goes_on(
    home_for_service: Any, make_row: Any, postgres_server: str, tmp_path: Path
) -> None:
    """D9, short: connections are cut and refused for a while; every batch is acknowledged, and drained once it is back."""
    import psycopg
    from sqlalchemy.engine import make_url

    name = f"auditor_outage_{int(time.time() * 1e6) % 10**9}"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        url = make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
        running = home_for_service(environment={"AUDITOR_STORE_URL": url})
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AUDITOR_STORE_URL", url)
            running.cli("db", "upgrade")
            running.key("ingest")
            running.key("viewer")
        running.start()
        sent = 0
        try:
            with running.client("ingest") as client, running.client("viewer") as viewer:

                def send() -> None:
                    nonlocal sent
                    began = time.monotonic()
                    answer = client.post("/v1/records", json={"records": [make_row(f"o{sent}")]})
                    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
                    assert time.monotonic() - began < 5
                    sent += 1

                send()
                running.wait(lambda: viewer.get("/v1/models").json().get("items"), 20)
                for _ in range(2):
                    admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
                    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
                    for _ in range(5):
                        send()
                        time.sleep(0.1)
                    away = viewer.get("/v1/models")
                    assert (away.status_code, away.headers["retry-after"]) == (503, "5")
                    assert viewer.get("/metrics").status_code == 200
                    admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
                    send()

                def all_drained() -> bool:
                    items = viewer.get("/v1/models").json().get("items") or [{}]
                    return items[0].get("records") == sent

                running.wait(all_drained, 30)
        finally:
            running.stop(signal.SIGKILL)
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
