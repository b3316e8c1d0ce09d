"""What other ways of watching a call cost, each against an OpenTelemetry span in its own process. Prints one JSON line.

    python benchmarks/agent_peers.py PEER [--rounds 5]

A process of its own for each peer: they patch, configure and start threads. `langfuse`, `openinference` and `whylogs` want
libraries that would change this project's pins: run them with the interpreter of an environment that has the peer,
`opentelemetry-sdk` and numpy; `benchmarks/agent.py --peer-python INTERPRETER` does so and keeps the figures with versions.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

Call = Callable[[dict[str, Any]], float]
FORM = {"age": 41.0, "income": 3.2, "site": "north"}


def model(form: dict[str, Any]) -> float:
    return 1.0


class NullExporter(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def span(tracer: Any) -> Call:
    def call(form: dict[str, Any]) -> float:
        with tracer.start_as_current_span("model"):
            return model(form)

    return call


def mlflow_tracing(folder: Path, *, background: bool) -> Call:
    os.environ["MLFLOW_ENABLE_ASYNC_TRACE_LOGGING"] = "true" if background else "false"
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.set_experiment("bench")
    traced: Call = mlflow.trace(model)
    return traced


def codecarbon_tasks(folder: Path) -> Call:
    from codecarbon import OfflineEmissionsTracker

    tracker = OfflineEmissionsTracker(
        country_iso_code="FRA",
        save_to_file=False,
        log_level="critical",
        allow_multiple_runs=True,
        output_dir=str(folder),
    )
    number = iter(range(1 << 60))

    def call(form: dict[str, Any]) -> float:
        name = f"task-{next(number)}"
        tracker.start_task(name)
        try:
            return model(form)
        finally:
            tracker.stop_task(name)

    return call


def langfuse_observation(folder: Path) -> Call:
    from langfuse import Langfuse

    client = Langfuse(public_key="pk", secret_key="sk", base_url=sink(), tracer_provider=TracerProvider())

    def call(form: dict[str, Any]) -> float:
        with client.start_as_current_observation(name="model", as_type="generation", input=form) as seen:
            result = model(form)
            seen.update(output=result)
            return result

    return call


def openinference_chain(folder: Path) -> Call:
    from openinference.instrumentation import TracerProvider as OpenInferenceProvider

    provider = OpenInferenceProvider()
    provider.add_span_processor(BatchSpanProcessor(NullExporter()))
    chained: Call = provider.get_tracer("bench").chain(model)
    return chained


def whylogs_rolling(folder: Path) -> Call:
    import whylogs

    logger = whylogs.logger(mode="rolling", interval=1, when="H", base_name="bench")

    def call(form: dict[str, Any]) -> float:
        result = model(form)
        logger.log({**form, "output": result})
        return result

    return call


PEERS: dict[str, tuple[Callable[[Path], Call], tuple[str, ...], int]] = {
    "MLflow tracing, sync": (lambda folder: mlflow_tracing(folder, background=False), ("mlflow",), 25),
    "MLflow tracing, async": (lambda folder: mlflow_tracing(folder, background=True), ("mlflow",), 100),
    "CodeCarbon task": (codecarbon_tasks, ("codecarbon",), 50),
    "Langfuse observation": (langfuse_observation, ("langfuse",), 300),
    "OpenInference chain": (openinference_chain, ("openinference-instrumentation",), 500),
    "whylogs rolling logger": (whylogs_rolling, ("whylogs",), 300),
}
"""How to make the watched call, whose versions to keep, and calls a round."""


def sink() -> str:
    """Address of a server that takes everything."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def times(call: Call, calls: int) -> tuple[float, float]:
    """(p50, p99) of single calls, microseconds."""
    clock = time.perf_counter_ns
    taken = np.empty(calls)
    for index in range(calls):
        start = clock()
        call(FORM)
        taken[index] = clock() - start
    return float(np.percentile(taken, 50)) / 1000, float(np.percentile(taken, 99)) / 1000


def compare(peer: str, rounds: int) -> dict[str, Any]:
    """Added time and its ratio to the span's of the same round, medians over rounds."""
    make, packages, calls = PEERS[peer]
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(NullExporter()))
    spanned = span(provider.get_tracer("bench"))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        watched = make(Path(folder))
        for call in (model, spanned, watched):
            times(call, 10)
        found: list[tuple[float, float, float, float]] = []
        for _ in range(rounds):
            bare, its, mine = times(model, 1000), times(spanned, 1000), times(watched, calls)
            added = (mine[0] - bare[0], mine[1] - bare[1])
            found.append((*added, added[0] / (its[0] - bare[0]), added[1] / (its[1] - bare[1])))
        os.chdir("/")
    middle = [statistics.median(column) for column in zip(*found, strict=True)]
    names = ("added_p50_us", "added_p99_us", "ratio_p50", "ratio_p99")
    versions = {name: importlib.metadata.version(name) for name in (*packages, "opentelemetry-sdk")}
    return {
        "variant": peer,
        "rounds": rounds,
        "calls": calls,
        **{name: round(value, 3) for name, value in zip(names, middle, strict=True)},
        "versions": versions,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", choices=sorted(PEERS))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(json.dumps(compare(options.peer, options.rounds)), flush=True)
    sys.stdout.flush()
    os._exit(0)  # some peers' threads do not end by themselves


if __name__ == "__main__":
    main()
