"""Records acknowledged after fsync, against FastAPI + pydantic that stores nothing, in one run.

    python benchmarks/service.py [--rounds 5] [--seconds 4]

Each server is one process with one worker, pinned to one core; the client, pinned to another, keeps four connections busy
with batches of 100 records of 25 numbers (90 kB of JSON), every batch new. Servers take turns within a round; ratios are
taken within a round, and the median over rounds is reported. The yardstick is the faster of two: `flat`, rows of 25 named
numbers and nothing else, the least that pydantic can be asked for; `nested`, the contract's record. `with drain`: the
scheduler takes everything into archive, index and store meanwhile, in the same process; `acknowledged only`: afterwards.
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
class Flat(Part):
    id: str
    time: datetime
    model: str
FLAT
class Flats(Part):
    records: list[Flat]
app = FastAPI()
@app.post("/flat")
async def flat(batch: Flats):
    return {"accepted": len(batch.records)}
@app.post("/v1/records")
async def records(batch: Batch):
    return {"accepted": len(batch.records)}
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
"""


def batches(n: int, seed: int, which: str) -> list[bytes]:
    """Bodies as `json`, `msgpack` or `flat` JSON; no two rows of any run have the same id."""
    rng = random.Random(seed)
    found = []
    for batch in range(n):
        rows = []
        flat = []
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
            columns = {f"c{i:02d}": value for i, value in enumerate(values)}
            flat.append({"id": rows[-1]["id"], "time": rows[-1]["time"], "model": "bench", **columns})
        if which == "msgpack":
            found.append(msgspec.msgpack.encode({"records": rows}))
        else:
            found.append(json.dumps({"records": flat if which == "flat" else rows}).encode())
    return found


def drive(port: int, path: str, key: str, bodies: list[bytes], media: str, seconds: float) -> tuple[int, float]:
    """Records acknowledged, and how many per second, over four connections, each with one request in flight."""
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
            connection.request("POST", path, body, headers)
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
    return sum(done), sum(done) / (time.perf_counter() - began)


class Server:
    """A process that listens, pinned to core 0."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            ["taskset", "-c", "0", *command], env={**os.environ, **environment}, stdout=subprocess.DEVNULL
        )

    def wait(self, port: int) -> None:
        for _ in range(600):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
                connection.request("GET", "/healthz")
                connection.getresponse().read()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("the server did not start")

    def cpu(self) -> float:
        """CPU seconds that the process has used: what other work on the machine does not change much."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGKILL)  # its home is thrown away
        self.process.wait(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    args = parser.parse_args()
    os.sched_setaffinity(0, {1})
    python = sys.executable
    rows: dict[str, list[tuple[float, float]]] = {}
    serve = [python, "-m", "auditor", "serve", "--port", "8612"]
    with tempfile.TemporaryDirectory() as folder:
        peer = Path(folder) / "peer.py"
        peer.write_text(PEER.replace("FLAT\n", "".join(f"    c{i:02d}: float\n" for i in range(25))))
        variants = [("peer flat", "flat", "/flat", ""), ("peer nested", "json", "/v1/records", "")]
        for name, drain in (("acknowledged only", "3600"), ("with drain", "2")):
            variants += [(f"{which} {name}", which, "/v1/records", drain) for which in ("json", "msgpack")]
        for seed in range(args.rounds * len(variants)):
            label, which, path, drain = variants[seed % len(variants)]
            bodies = batches(int(args.seconds * 900) + 40, seed, which)
            media = "application/msgpack" if which == "msgpack" else "application/json"
            key = ""
            command, port = [python, str(peer), "8611"], 8611
            if drain:
                home = str(Path(folder) / f"home{seed}")
                key = make_home(home)
                command, port = [*serve, "--home", home], 8612
            server = Server(command, {"AUDITOR_SERVICE_DRAIN_S": drain or "2"})
            try:
                server.wait(port)
                drive(port, path, key, bodies[:40], media, 1.0)
                cpu = server.cpu()
                done, rate = drive(port, path, key, bodies[40:], media, args.seconds)
                by_cpu = done / (server.cpu() - cpu)
            finally:
                server.stop()
            rows.setdefault(label, []).append((rate, by_cpu))
            said = f"{rate:10,.0f} records/s {by_cpu:10,.0f} records/CPU s"
            print(f"round {seed // len(variants) + 1}: {label:28s} {said}", flush=True)
    report(rows)


def make_home(home: str) -> str:
    """A home, and a key for it."""
    run = [sys.executable, "-m", "auditor"]
    subprocess.run([*run, "init", home], check=True, stdout=subprocess.DEVNULL)
    made = subprocess.run(
        [*run, "key", "create", "--role", "ingest", "--json", "--home", home], check=True, capture_output=True
    )
    return str(json.loads(made.stdout)["key"])


def report(rows: dict[str, list[tuple[float, float]]]) -> None:
    """Print medians and ratios within rounds, and keep them; by wall clock, and by the CPU time of the servers."""
    results: dict[str, Any] = {"rounds": {label: [round(rate) for rate, _ in pairs] for label, pairs in rows.items()}}
    print()
    for label, pairs in rows.items():
        figures: dict[str, Any] = {}
        for place, unit in enumerate(("records/s", "records/CPU s")):
            mine = [pair[place] for pair in pairs]
            peers = zip(rows["peer flat"], rows["peer nested"], strict=True)
            best = [max(flat[place], nested[place]) for flat, nested in peers]
            figures[unit] = statistics.median(mine)
            figures[f"over FastAPI and pydantic, {unit}"] = statistics.median(
                one / other for one, other in zip(mine, best, strict=True)
            )
        by_clock, by_cpu = (figures[f"over FastAPI and pydantic, {unit}"] for unit in ("records/s", "records/CPU s"))
        target = TARGETS.get(label.split()[0]) if label.endswith("acknowledged only") else None
        results[label] = {**figures, "target": target}
        said = f" (target {target}: {'met' if by_clock >= target else 'missed'})" if target else ""
        print(f"{label:28s} {figures['records/s']:10,.0f} records/s   x{by_clock:.2f}, by CPU x{by_cpu:.2f}{said}")
    print(keep("service", results))


if __name__ == "__main__":
    main()
