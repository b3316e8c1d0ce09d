"""Records acknowledged after fsync, against FastAPI + pydantic that stores nothing, in one run.

    python benchmarks/service.py [--rounds 5] [--seconds 4]

Each server is one process with one worker, pinned to one core; the client, pinned to another, keeps four connections busy
with batches of 100 records of 25 numbers (90 kB of JSON), every batch new. Servers take turns within a round; ratios are
taken within a round, and the median over rounds is reported. `with drain`: the scheduler takes everything into archive,
index and store meanwhile, in the same process; `acknowledged only`: it does so after the measurement.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import msgspec
from common import keep

from auditor.core.window import format_time
from auditor.testing.factories import START

TARGETS = {"json": 1.5, "msgpack": 2.2}
CONNECTIONS = 4
PEER = """
import sys, uvicorn
from typing import Literal
from datetime import datetime
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict
class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
class Model(Part):
    name: str
    version: str = ""
class Input(Part):
    name: str
    modality: Literal["text", "image", "audio", "video", "tabular", "series", "point_cloud", "embedding"]
    descriptors: dict[str, float | str | None] = {}
class Output(Part):
    label: str | None = None
class Record(Part):
    id: str
    time: datetime
    model: Model
    inputs: list[Input]
    output: Output | None = None
    groups: dict[str, str | None] = {}
class Batch(Part):
    records: list[Record]
app = FastAPI()
@app.post("/v1/records")
async def records(batch: Batch):
    return {"accepted": len(batch.records)}
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
"""


def batches(n: int, seed: int) -> list[tuple[bytes, bytes]]:
    """(JSON, MessagePack) bodies; no two rows of any run have the same id."""
    rng = random.Random(seed)
    found = []
    for batch in range(n):
        rows = []
        for row in range(100):
            values = [rng.random() for _ in range(25)]
            rows.append(
                {
                    "id": f"{seed:04d}-{batch:06d}-{row:03d}-{rng.getrandbits(48):012x}",
                    "time": format_time(START + timedelta(milliseconds=10 * (batch * 100 + row))),
                    "model": {"name": "bench", "version": "1"},
                    "inputs": [
                        {
                            "name": "photo",
                            "modality": "image",
                            "descriptors": {f"c{i:02d}": values[i] for i in range(15)},
                        },
                        {
                            "name": "clip",
                            "modality": "audio",
                            "descriptors": {f"c{i:02d}": values[i] for i in range(15, 25)},
                        },
                    ],
                    "output": {"label": str(row % 10)},
                    "groups": {"site": "north"},
                }
            )
        found.append((json.dumps({"records": rows}).encode(), msgspec.msgpack.encode({"records": rows})))
    return found


def drive(port: int, key: str, bodies: list[bytes], media: str, seconds: float) -> float:
    """Records acknowledged per second over four connections, each with one request in flight."""
    headers = {"Content-Type": media, "Authorization": f"Bearer {key}"}
    iterator = iter(bodies)
    mutex = threading.Lock()
    done = [0] * CONNECTIONS
    end = time.perf_counter() + seconds

    def client(place: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while time.perf_counter() < end:
            with mutex:
                body = next(iterator, None)
            if body is None:
                break
            connection.request("POST", "/v1/records", body, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
            if response.status != 200 or answer["accepted"] != 100:
                raise RuntimeError(f"{response.status}: {answer}")
            done[place] += 100
        connection.close()

    threads = [threading.Thread(target=client, args=(place,)) for place in range(CONNECTIONS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - began)


class Server:
    """A process that listens, pinned to core 0."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            ["taskset", "-c", "0", *command], env={**os.environ, **environment}, stdout=subprocess.DEVNULL
        )

    def wait(self, port: int) -> None:
        for _ in range(300):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
                connection.request("GET", "/healthz")
                connection.getresponse().read()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("the server did not start")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    args = parser.parse_args()
    os.sched_setaffinity(0, {1})
    python = sys.executable
    rows: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = str(Path(folder) / "home")
        subprocess.run([python, "-m", "auditor", "init", home], check=True, stdout=subprocess.DEVNULL)
        made = subprocess.run(
            [python, "-m", "auditor", "key", "create", "--role", "ingest", "--json", "--home", home],
            check=True,
            capture_output=True,
        )
        key = json.loads(made.stdout)["key"]
        peer = Path(folder) / "peer.py"
        peer.write_text(PEER)
        seed = 0
        for number in range(args.rounds):
            variants: list[tuple[str, list[str], dict[str, str], str, int]] = [
                ("peer json", [python, str(peer), "8611"], {}, "application/json", 0),
            ]
            serve = [python, "-m", "auditor", "serve", "--home", home, "--port", "8612"]
            for name, drain in (("acknowledged only", "3600"), ("with drain", "2")):
                for media, which in (("application/json", 0), ("application/msgpack", 1)):
                    label = f"{media.rpartition('/')[2]} {name}"
                    variants.append((label, serve, {"AUDITOR_SERVICE_DRAIN_S": drain}, media, which))
            for label, command, environment, media, which in variants:
                seed += 1
                bodies = [pair[which] for pair in batches(int(args.seconds * 1200), seed)]
                server = Server(command, environment)
                port = 8611 if label.startswith("peer") else 8612
                try:
                    server.wait(port)
                    drive(port, key, bodies[:40], media, 1.0)
                    rate = drive(port, key, bodies[40:], media, args.seconds)
                finally:
                    server.stop()
                rows.setdefault(label, []).append(rate)
                print(f"round {number + 1}: {label:30s} {rate:10,.0f} records/s", flush=True)
    report(rows)


def report(rows: dict[str, list[float]]) -> None:
    """Print medians and ratios within rounds, and keep them."""
    peer = rows["peer json"]
    results: dict[str, Any] = {}
    print()
    for label, rates in rows.items():
        ratio = statistics.median(rate / other for rate, other in zip(rates, peer, strict=True))
        target = TARGETS.get(label.split()[0]) if label.endswith("acknowledged only") else None
        results[label] = {"records_per_s": statistics.median(rates), "over_fastapi_pydantic": ratio, "target": target}
        said = f" (target {target}: {'met' if ratio >= target else 'missed'})" if target else ""
        print(f"{label:30s} {statistics.median(rates):10,.0f} records/s   x{ratio:.2f}{said}")
    keep("service", results)


if __name__ == "__main__":
    main()
