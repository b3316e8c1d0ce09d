"""Memory of `auditor serve` over millions of records: what is resident while it acknowledges and drains, million by million.

    python benchmarks/memory.py [--millions 5] [--minutes 60] [--store URL] [--dry]

One service with its defaults (a drain every two seconds) on a new home takes batches of 500 records of eight numbers, a label
and a group over two connections; 100 000 records make an hour of traffic, so that days close and their files are merged on the
way. Where more than a million records wait for a drain, the client waits for the service, as an agent's spool would. Resident memory is
read from /proc five times a second. What grows: the median of a million against the median of the first. A record counts
once it was drained. With `--store`, an empty PostgreSQL database; else SQLite.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from common import keep

from auditor.core.window import format_time, parse_time

TARGET_MIB = 64.0
ROWS = 500
HOUR = 100_000
AHEAD = 1_000_000
START = parse_time("2026-03-02")
_ID, _TIME = "@@@@@@@@", "2026-01-01T00"


def template() -> bytes:
    """A body; its ids and its hour are put in place of marks."""
    rows = [
        {
            "id": f"{_ID}-{row:04d}",
            "time": f"{_TIME}:{row * 60 // ROWS:02d}:{row % 60:02d}.{row:06d}Z",
            "model": {"name": "bench", "version": "1"},
            "inputs": [
                {
                    "name": "form",
                    "modality": "tabular",
                    "descriptors": {f"c{place}": f"{row:03d}{place}" for place in range(8)},
                }
            ],
            "output": {"label": str(row % 10)},
            "groups": {"site": "north" if row % 3 else "south"},
        }
        for row in range(ROWS)
    ]
    # Figures that occur once, as real ones do: 0.<row><column><batch>.
    return re.sub(rb'("c\d": )"(\d+)"', rb"\g<1>0.\2" + _ID.encode(), json.dumps({"records": rows}).encode())


class Memory:
    """Resident memory of a process, sampled; MiB."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._samples: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._stop.wait(0.2):
            self._samples.append(self.now())

    def now(self, field: str = "VmRSS:") -> float:
        line = next(line for line in self._status.read_text().splitlines() if line.startswith(field))
        return int(line.split()[1]) / 1024

    def taken(self) -> list[float]:
        """Samples since the last call."""
        samples, self._samples = self._samples, []
        return samples or [self.now()]

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


class Index:
    """How many records were drained."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._query = "SELECT sum(records) FROM indexed_models"

    def count(self) -> int:
        if self._url.startswith("postgresql"):
            import psycopg

            with psycopg.connect(self._url) as connection:
                row = connection.execute(self._query).fetchone()
        else:
            with closing(sqlite3.connect(f"file:{self._url}?mode=ro", uri=True, timeout=60)) as connection:
                row = connection.execute(self._query).fetchone()
        return int(row[0] or 0) if row else 0


def send(port: int, key: str, numbers: range, step: int, failures: list[str]) -> None:
    """Every batch of `numbers`, in order; `step` connections share the batches."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    body = template()

    def client(place: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        for number in numbers[place::step]:
            hour = format_time(START + timedelta(hours=number * ROWS // HOUR))[:13]
            mine = body.replace(_ID.encode(), b"%08d" % number).replace(_TIME.encode(), hour.encode())
            connection.request("POST", "/v1/records", mine, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
            if response.status != 200 or answer["accepted"] != ROWS:
                failures.append(f"{response.status}: {answer}")
            if failures:
                break
        connection.close()

    threads = [threading.Thread(target=client, args=(place,)) for place in range(step)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def fed(memory: Memory, index: Index, port: int, key: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Figures of each million."""
    found: list[dict[str, Any]] = []
    failures: list[str] = []
    began = last = time.perf_counter()
    per = 100_000 // ROWS
    batches = 0
    while len(found) < args.millions and last - began < 60 * args.minutes:
        send(port, key, range(batches, batches + per), 2, failures)
        if failures:
            raise RuntimeError(failures[0])
        batches += per
        whole = batches * ROWS % 1_000_000 == 0
        while index.count() < batches * ROWS - (0 if whole else AHEAD):
            time.sleep(0.2)
        if whole:
            samples, now = memory.taken(), time.perf_counter()
            row = {
                "records": batches * ROWS,
                "median, MiB": statistics.median(samples),
                "highest, MiB": max(samples),
                "records/s": 1_000_000 / (now - last),
            }
            last = now
            found.append(row)
            print("  ".join(f"{name} {value:,.0f}" for name, value in row.items()), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no further million after this")
    parser.add_argument("--store", default="")
    parser.add_argument("--dry", action="store_true", help="print figures without keeping them")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "home"
        run = [sys.executable, "-m", "auditor"]
        environment = {**os.environ, **({"AUDITOR_STORE_URL": args.store} if args.store else {})}
        subprocess.run([*run, "init", str(home)], check=True, stdout=subprocess.DEVNULL)
        if args.store:
            subprocess.run([*run, "db", "upgrade", "--home", str(home)], check=True, env=environment)
        create = [*run, "key", "create", "--role", "ingest", "--json", "--home", str(home)]
        made = subprocess.run(create, check=True, capture_output=True, env=environment)
        serve = [*run, "serve", "--port", "0", "--home", str(home), "--json"]
        process = subprocess.Popen(serve, stdout=subprocess.PIPE, env=environment, text=True)
        memory = Memory(process.pid)
        try:
            assert process.stdout is not None
            port = int(json.loads(process.stdout.readline())["url"].rsplit(":", 1)[1])
            index = Index(args.store or str(home / "store" / "auditor.db"))
            key = json.loads(made.stdout)["key"]
            begin = memory.now()
            found = fed(memory, index, port, key, args)
            highest = memory.now("VmHWM:")
        finally:
            memory.stop()
            process.send_signal(signal.SIGKILL)  # its home is thrown away
            process.wait(60)
    growth = max(row["median, MiB"] for row in found) - found[0]["median, MiB"]
    print(
        f"{found[-1]['records']:,} records: {begin:.0f} MiB at the start, {highest:.0f} MiB at the most; medians grew by "
        f"{growth:.0f} MiB (at most {TARGET_MIB:.0f}: {'met' if growth <= TARGET_MIB else 'missed'})"
    )
    results = {
        "start, MiB": begin,
        "highest, MiB": highest,
        "growth of medians, MiB": growth,
        "target, MiB": TARGET_MIB,
    }
    if not args.dry:
        keep("memory", {**results, "store": "PostgreSQL" if args.store else "SQLite", "millions": found})


if __name__ == "__main__":
    main()
