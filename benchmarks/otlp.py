"""OTLP spans until they are durable and can be asked for, against MLflow's server and Phoenix, in one run.

    python benchmarks/otlp.py [--rounds 3] [--spans 40000] [--phoenix PYTHON]

A request holds 100 spans of 26 attributes, each span a trace of its own, in protobuf; every span is new. Four connections (MLflow:
one, with which it is faster) are kept busy, and the clock stops when the server's own SQLite file shows every span (for auditor: when every record is in the
archive, read back from there, and in the index). `figures`: calls of a model by the GenAI conventions, contents not captured.
`messages`: two of the attributes are the messages, about 40 words each, which auditor describes on arrival. Servers run as
they come, with all cores, and take turns within a round; each begins anew with an empty folder and is warmed up. Ratios are
taken within a round, and the median over rounds is reported, of spans a second and of spans a CPU second of the server's processes
(which other work on the machine disturbs less). Phoenix lives in an environment of its own: `--phoenix` names the
interpreter of one that has `arize-phoenix`.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from common import keep
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from auditor.core.window import Span, parse_time
from auditor.intake.archive import ParquetArchive
from auditor.settings import Home

TARGETS = {"mlflow": 30.0, "phoenix": 60.0}
SHARE = {"auditor": 1.0, "mlflow": 0.025, "phoenix": 0.015}
"""Of the spans that auditor gets: peers are slower, and a round should end."""
EACH = 100
WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "while",
    "seven",
    "cats",
    "watch",
    "from",
    "an",
    "old",
    "grey",
    "wall",
]


def requests(n: int, *, seed: int, messages: bool) -> list[bytes]:
    """Bodies of 100 spans, of traces that no other seed has."""
    rng = random.Random(seed)
    begin = int(parse_time("2026-03-02T08:00Z").timestamp() * 1e9)
    found = []
    for body in range(n // EACH):
        export = ExportTraceServiceRequest()
        group = export.resource_spans.add()
        _put(group.resource.attributes, {"service.name": "bench", "auditor.model": "bench"})
        scope = group.scope_spans.add()
        for place in range(EACH):
            span = scope.spans.add()
            span.trace_id = rng.getrandbits(128).to_bytes(16, "big")
            span.span_id = rng.getrandbits(64).to_bytes(8, "big")
            span.name, span.kind = "chat gpt-4o", 3
            span.start_time_unix_nano = begin + (body * EACH + place) * 10_000_000
            span.end_time_unix_nano = span.start_time_unix_nano + rng.randrange(10**9)
            _put(span.attributes, _attributes(rng, messages=messages))
        found.append(export.SerializeToString())
    return found


def _attributes(rng: random.Random, *, messages: bool) -> dict[str, Any]:
    said: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": f"chatcmpl-{rng.getrandbits(64):016x}",
        "gen_ai.request.temperature": rng.random(),
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.max_tokens": 800,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": rng.randrange(2000),
        "gen_ai.usage.output_tokens": rng.randrange(800),
        "gen_ai.conversation.id": f"{rng.getrandbits(64):016x}",
        "server.address": "api.example.org",
        "server.port": 443,
        "auditor.group.site": rng.choice(("north", "south")),
    }
    if messages:
        for name, role in (("input", "user"), ("output", "assistant")):
            text = " ".join(rng.choice(WORDS) for _ in range(40))
            message = [{"role": role, "parts": [{"type": "text", "content": text}]}]
            said[f"gen_ai.{name}.messages"] = json.dumps(message)
    while len(said) < 26:
        said[f"app.figure_{len(said)}"] = rng.random()
    return said


def _put(target: Any, attributes: dict[str, Any]) -> None:
    for key, value in attributes.items():
        pair = target.add(key=key)
        if isinstance(value, list):
            for entry in value:
                pair.value.array_value.values.add(string_value=entry)
        elif isinstance(value, str):
            pair.value.string_value = value
        elif isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.double_value = value


class Server:
    """A process tree that takes traces, in a folder of its own.

    Attributes
    ----------
    headers : dict of str to str
        Of every request.
    connections : int
        With which it is fastest.
    """

    headers: dict[str, str]
    table: str
    connections = 4

    def __init__(self, folder: Path, port: int, command: list[str], **environment: str) -> None:
        self.folder, self.port = folder, port
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, **environment}, stdout=log, stderr=log, start_new_session=True
            )

    def count(self) -> int:
        """Spans that can be asked for."""
        for file in self.folder.rglob("*.db"):
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as connection:
                return int(connection.execute(f"SELECT count(*) FROM {self.table}").fetchone()[0])
        return 0

    def wait(self, path: str) -> None:
        for _ in range(900):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
                connection.request("GET", path)
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(f"the server did not start: {(self.folder / 'log').read_text()[-2000:]}")

    def cpu(self) -> float:
        """CPU seconds of all of its processes, those that ended included."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[2]) == self._process.pid:  # its process group
                    ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)  # its folder is thrown away
        self._process.wait(60)


class Auditor(Server):
    def __init__(self, folder: Path, port: int) -> None:
        home = folder / "home"
        run = [sys.executable, "-m", "auditor"]
        subprocess.run([*run, "init", str(home)], check=True, stdout=subprocess.DEVNULL)
        create = [*run, "key", "create", "--role", "ingest", "--json", "--home", str(home)]
        key = json.loads(subprocess.run(create, check=True, capture_output=True).stdout)["key"]
        self.headers = {"Authorization": f"Bearer {key}"}
        super().__init__(folder, port, [*run, "serve", "--port", str(port), "--home", str(home)])
        self.wait("/healthz")
        self._place = Home(home)
        self._span = Span(parse_time("2026-03-02"), parse_time("2026-03-09"))

    def count(self) -> int:
        database = self._place.root / "store" / "auditor.db"
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
            row = connection.execute("SELECT records FROM indexed_models WHERE model = 'bench'").fetchone()
        # Only what is in the index is worth reading the archive for.
        if row is None or row[0] < self.wanted:
            return 0
        archive = ParquetArchive(self._place.archive, self._place.quarantine)
        return int(archive.scan("bench", self._span, ["id"]).num_rows)

    wanted = 1


class Mlflow(Server):
    table = "spans"
    connections = 1  # four keep each other from its database: half as fast

    def __init__(self, folder: Path, port: int) -> None:
        self.headers = {"x-mlflow-experiment-id": "0"}
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(port)]
        command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        super().__init__(folder, port, command, **quiet)
        self.wait("/health")


class Phoenix(Server):
    table = "spans"
    python = ""

    def __init__(self, folder: Path, port: int) -> None:
        self.headers = {}
        ports = {"PHOENIX_PORT": str(port), "PHOENIX_GRPC_PORT": str(port + 1), "PHOENIX_HOST": "127.0.0.1"}
        quiet = {"PHOENIX_TELEMETRY_ENABLED": "false", "PHOENIX_ENABLE_PROMETHEUS": "false"}
        command = [self.python, "-m", "phoenix.server.main", "serve"]
        super().__init__(folder, port, command, PHOENIX_WORKING_DIR=str(folder), **ports, **quiet)
        self.wait("/healthz")


def drive(server: Server, bodies: list[bytes]) -> tuple[float, float]:
    """Send them; seconds until all were answered, and until all can be asked for."""
    headers = {"Content-Type": "application/x-protobuf", **server.headers}
    waiting: Iterator[bytes] = iter(bodies)
    mutex = threading.Lock()
    failures: list[str] = []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
        while not failures:
            with mutex:
                body = next(waiting, None)
            if body is None:
                break
            connection.request("POST", "/v1/traces", body, headers)
            response = connection.getresponse()
            said = response.read()
            if response.status != 200:
                failures.append(f"{response.status}: {said[:500]!r}")
        connection.close()

    before = server.count()
    wanted = before + EACH * len(bodies)
    if isinstance(server, Auditor):
        server.wanted = wanted
    threads = [threading.Thread(target=client) for _ in range(server.connections)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answered = time.perf_counter() - began
    if failures:
        raise RuntimeError(f"{type(server).__name__}: {failures[0]}")
    while (seen := server.count()) < wanted:
        if time.perf_counter() - began > 300:
            raise RuntimeError(f"{type(server).__name__}: {seen} of {wanted} spans after five minutes")
        time.sleep(0.05)
    if seen != wanted:
        raise RuntimeError(f"{type(server).__name__}: {seen} spans of {wanted}")
    return answered, time.perf_counter() - began


def measured(kind: type[Server], spans: int, *, seed: int, messages: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = kind(Path(folder), 8630)
        try:
            drive(server, requests(8 * EACH, seed=seed, messages=messages))
            bodies = requests(spans, seed=seed + 1, messages=messages)
            before = server.cpu()
            answered, visible = drive(server, bodies)
            busy = server.cpu() - before
        finally:
            server.stop()
    n = EACH * len(bodies)
    return {"spans": n, "answered, spans/s": n / answered, "visible, spans/s": n / visible, "spans/CPU s": n / busy}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--spans", type=int, default=40_000)
    parser.add_argument("--phoenix", metavar="PYTHON", default="")
    args = parser.parse_args()
    kinds: dict[str, type[Server]] = {"auditor": Auditor, "mlflow": Mlflow}
    if args.phoenix:
        Phoenix.python = str(Path(args.phoenix).absolute())
        kinds["phoenix"] = Phoenix
    rounds: list[dict[str, Any]] = []
    for number in range(args.rounds):
        found: dict[str, Any] = {}
        for shape in ("figures", "messages"):
            for place, (name, kind) in enumerate(kinds.items()):
                spans = max(4 * EACH, int(args.spans * SHARE[name]))
                seed = 2 * (place + 10 * number) + 1000 * (shape == "messages")
                found[f"{name} {shape}"] = figures = measured(kind, spans, seed=seed, messages=shape == "messages")
                shown = "  ".join(f"{figure:10,.0f} {what}" for what, figure in figures.items())
                print(f"round {number + 1}: {name:8} {shape:9} {shown}", flush=True)
        rounds.append(found)
    results: dict[str, Any] = {"rounds": rounds, "targets": TARGETS}
    for shape in ("figures", "messages"):
        for peer in [name for name in kinds if name != "auditor"]:
            for what in ("visible, spans/s", "spans/CPU s"):
                ratio = statistics.median(
                    found[f"auditor {shape}"][what] / found[f"{peer} {shape}"][what] for found in rounds
                )
                results[f"{what} over {peer}, {shape}"] = ratio
                verdict = "met" if ratio >= TARGETS[peer] else "missed"
                print(f"{shape:9} {what:18} over {peer:8} x{ratio:.1f} (target {TARGETS[peer]:g}: {verdict})")
    if not args.phoenix:
        print("Phoenix was not run: --phoenix names the interpreter of an environment that has it")
    keep("otlp", results)


if __name__ == "__main__":
    main()
