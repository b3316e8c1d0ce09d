"""What watching costs a model call, against an OpenTelemetry span around the same call, in one process.

    python benchmarks/agent.py [--rounds 7] [--calls 3000] [--out benchmarks/results/agent.json]

Each call is timed alone; variants take turns within a round; a round's figure is its median (p50) or 99th percentile
minus the bare call's, and the ratio is taken to the span's figure of the same round. Reported: the median over rounds.

The span: OpenTelemetry SDK, BatchSpanProcessor, an exporter that throws everything away. The agent: a real spool on
disk, its worker running, so that the cost of sharing the interpreter with it is in the figures.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import auditor

TARGETS = {
    "small, not chosen": {"p50": 0.20, "p99": 0.25},
    "image 224 + text, not chosen": {"p50": 0.20, "p99": 0.25},
    "image 224 + text, chosen, snapshot": {"p50": 1.5},
}


class NullExporter(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def model(photo: Any, note: Any) -> int:
    return 7


def spanned(tracer: Any) -> Callable[[Any, Any], int]:
    def call(photo: Any, note: Any) -> int:
        with tracer.start_as_current_span("model"):
            return model(photo, note)

    return call


def watched(home: Path, *, chosen: bool, energy: bool = False) -> tuple[Callable[..., Any], Any]:
    """A watched model whose calls are all (or none) chosen, in the production mode of describing."""
    agent = auditor.Agent("bench", "1", home=home, energy=NullMeter() if energy else None)
    call = agent.watch(model, inputs={"photo": "image", "note": "text"}, output="label")
    hold(agent, chosen)
    return call, agent


def nothing() -> None:
    """What is done before calls that need nothing."""


def hold(agent: Any, chosen: bool) -> None:
    """Pin the rate, which would otherwise follow the traffic of the benchmark: 0.02 % of calls, or all."""
    if chosen:
        agent.flush(30)
    agent._recorder.set_rate(1.0 if chosen else 2e-4)


class NullMeter:
    def start(self) -> None: ...
    def read(self) -> None: ...
    def stop(self) -> None: ...


def measure(
    call: Callable[..., Any], photo: Any, note: Any, calls: int, before: Callable[[], None]
) -> tuple[float, float]:
    """(p50, p99) in microseconds of single calls."""
    before()
    clock = time.perf_counter_ns
    taken = np.empty(calls)
    for index in range(calls):
        if index % 25 == 0:
            before()
        start = clock()
        call(photo, note)
        taken[index] = clock() - start
    return float(np.percentile(taken, 50)) / 1000, float(np.percentile(taken, 99)) / 1000


def run(rounds: int, calls: int) -> dict[str, Any]:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(NullExporter()))
    span = spanned(provider.get_tracer("bench"))
    small = (np.zeros((8, 8), np.uint8), "ok")
    real = (np.zeros((224, 224, 3), np.uint8), "word " * 50)
    large = (np.zeros((1024, 1024, 3), np.uint8), "word " * 50)
    with tempfile.TemporaryDirectory() as folder:
        skip, skipper = watched(Path(folder, "skip"), chosen=False)
        metered, meterer = watched(Path(folder, "metered"), chosen=False, energy=True)
        keep, keeper = watched(Path(folder, "keep"), chosen=True)
        variants: dict[str, tuple[Callable[..., Any], tuple[Any, Any], Callable[[], None], int]] = {
            "bare": (model, small, nothing, calls),
            "span": (span, small, nothing, calls),
            "small, not chosen": (skip, small, lambda: hold(skipper, False), calls),
            "small, not chosen, metered": (metered, small, lambda: hold(meterer, False), calls),
            "image 224 + text, not chosen": (skip, real, lambda: hold(skipper, False), calls),
            "image 1024 + text, not chosen": (skip, large, lambda: hold(skipper, False), calls),
            # in bursts of 25, after which the worker catches up: chosen calls are rare in production
            "image 224 + text, chosen, snapshot": (keep, real, lambda: hold(keeper, True), min(calls, 500)),
        }
        for call, payload, before, number in variants.values():
            measure(call, *payload, min(number, 200), before)
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
        for _ in range(rounds):
            for name, (call, payload, before, number) in variants.items():
                figures[name].append(measure(call, *payload, number, before))
                keeper.flush(30)
        losses = {name: agent.stats()["dropped"] for name, agent in (("skip", skipper), ("keep", keeper))}
        for agent in (skipper, keeper, meterer):
            agent.close(10)
    provider.shutdown()
    return {"rows": rows(figures), "dropped": losses}


def rows(figures: dict[str, list[tuple[float, float]]]) -> list[dict[str, Any]]:
    found = []
    for name, rounds in figures.items():
        added = [(p50 - bare[0], p99 - bare[0]) for (p50, p99), bare in zip(rounds, figures["bare"], strict=True)]
        spans = [
            (p50 - bare[0], p99 - bare[0]) for (p50, p99), bare in zip(figures["span"], figures["bare"], strict=True)
        ]
        ratios = [(mine[0] / its[0], mine[1] / its[1]) for mine, its in zip(added, spans, strict=True)]
        row: dict[str, Any] = {"variant": name, "rounds": len(rounds)}
        for index, what in enumerate(("p50", "p99")):
            row[f"added_{what}_us"] = round(statistics.median(pair[index] for pair in added), 3)
            row[f"ratio_{what}"] = round(statistics.median(pair[index] for pair in ratios), 4)
            target = TARGETS.get(name, {}).get(what)
            if target is not None:
                row[f"target_{what}"] = target
                row[f"met_{what}"] = row[f"ratio_{what}"] <= target
        found.append(row)
    return found


def drained(calls: int) -> dict[str, float]:
    """Calls a second that are described, durable in the spool and sealed: every call chosen, nothing lost."""
    note = {"age": 41.0, "income": 3.2, "site": "north"}
    with tempfile.TemporaryDirectory() as folder:
        agent = auditor.Agent("bench", "1", home=folder, describe="all")
        call = agent.watch(lambda form: 1.0, inputs={"form": "tabular"}, output="value")
        call(note)
        agent.flush(30)
        began = time.perf_counter()
        for _ in range(calls):
            call(note)
        agent.flush(60)
        seconds = time.perf_counter() - began
        stats = agent.stats()
        agent.close(10)
    assert stats["delivered"] == calls + 1, stats
    return {"calls_per_s": round(calls / seconds, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "agent.json")
    options = parser.parse_args()
    result = run(options.rounds, options.calls)
    result["drained"] = drained(5000)
    result["versions"] = {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("opentelemetry-sdk", "numpy")},
        "auditor": auditor.__version__,
    }
    result["machine"] = {"cpus": os.cpu_count(), "system": platform.system(), "load": round(os.getloadavg()[0], 2)}
    result["at"] = datetime.now(UTC).isoformat(timespec="seconds")
    print(f"{'variant':38} {'added p50 us':>13} {'p99 us':>9} {'x span p50':>11} {'x span p99':>11}")
    for row in result["rows"]:
        print(
            f"{row['variant']:38} {row['added_p50_us']:13.2f} {row['added_p99_us']:9.2f} "
            f"{row['ratio_p50']:11.3f} {row['ratio_p99']:11.3f}"
        )
    print(
        f"drained to the spool, every call described: {result['drained']['calls_per_s']} calls/s; lost {result['dropped']}"
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
