"""What watching costs a model call, against an OpenTelemetry span around the same call, in one process.

    python benchmarks/agent.py [--rounds 7] [--calls 3000] [--only PART ...] [--peer-python NAME=INTERPRETER ...]

Parts: `calls` (the table of single calls), `torch` (a call of a torch module that is not chosen), `drained`, `blackhole`, `peers`; what is not measured this time is kept from the
results file, with its versions. Peers run one after the other in processes of their own (`benchmarks/agent_peers.py`).

Each call is timed alone; variants take turns within a round; a round's figure is its median (p50) or 99th percentile
minus the bare call's, and the ratio is taken to the span's figure of the same round. Reported: the median over rounds.

Drained: calls a second until every one of them is where it should be: the agent's on the spool, described and fsynced; the
span's at a local sink, by its real OTLP exporter. Black hole: 10 000 calls/s are offered to two agents in turn, one whose
server answers and one whose server accepts and is silent; the figure is the host's p99 of a call.

The span: OpenTelemetry SDK, BatchSpanProcessor, an exporter that throws everything away. The agent: a real spool on
disk, its worker running, so that the cost of sharing the interpreter with it is in the figures.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
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
from auditor.agent.transport import MemoryTransport

TARGETS = {
    "small, not chosen": {"p50": 0.20, "p99": 0.25},
    "small, not chosen, metered": {"p50": 0.20},
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


def uncounted(agent: Any) -> None:
    """Calls that are not chosen are handed over as always, and not counted in the counter page: what that costs is the difference."""
    recorder = agent._recorder

    def skip(us: int, cpu: float, ref: Any) -> None:
        if len(recorder.skipped) < 200_000:
            recorder.skipped.append((us, cpu, ref))
        else:
            recorder.worker_starved += 1
        if recorder.worker is None:
            recorder.start()
        elif len(recorder.skipped) >= 50_000:
            recorder.nudge()

    recorder.skip = skip


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
        free, freer = watched(Path(folder, "free"), chosen=False)
        uncounted(freer)
        metered, meterer = watched(Path(folder, "metered"), chosen=False, energy=True)
        keep, keeper = watched(Path(folder, "keep"), chosen=True)
        variants: dict[str, tuple[Callable[..., Any], tuple[Any, Any], Callable[[], None], int]] = {
            "bare": (model, small, nothing, calls),
            "span": (span, small, nothing, calls),
            "small, not chosen": (skip, small, lambda: hold(skipper, False), calls),
            "small, not chosen, not counted": (free, small, lambda: hold(freer, False), calls),
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
        for agent in (skipper, keeper, meterer, freer):
            agent.close(10)
    provider.shutdown()
    page = [
        (counted[0] - free[0]) / (span[0] - bare[0])
        for counted, free, span, bare in zip(
            *(figures[name] for name in ("small, not chosen", "small, not chosen, not counted", "span", "bare")),
            strict=True,
        )
    ]
    counter_page = {"ratio_p50": round(statistics.median(page), 4), "target_p50": 0.025}
    return {"rows": rows(figures), "counter_page": counter_page, "dropped": losses}


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


def torch_modules(rounds: int, calls: int) -> dict[str, Any]:
    """p50, microseconds, that watching adds to a module that does nothing; beside it, two hooks that do nothing."""
    import torch

    class Module(torch.nn.Module):
        def forward(self, photo: Any) -> Any:
            return photo

    hooked, bare = Module(), Module()
    hooked.register_forward_pre_hook(lambda *given: None, prepend=True, with_kwargs=True)
    hooked.register_forward_hook(lambda *given: None, with_kwargs=True, always_call=True)
    agents = {
        name: auditor.Agent("bench", "1", transport=MemoryTransport(), energy=energy)
        for name, energy in (("watched", None), ("watched, metered", NullMeter()))
    }
    modules = {name: agent.watch(Module(), inputs={"photo": "image"}) for name, agent in agents.items()}
    photo = torch.zeros(1, 3, 224, 224)
    found: dict[str, list[float]] = {"empty hooks": [], **{name: [] for name in modules}}

    def restrained() -> None:
        for agent in agents.values():
            hold(agent, False)

    for _ in range(rounds):
        floor = measure(lambda photo, note: bare(photo), photo, None, calls, nothing)[0]
        for name, module in {"empty hooks": hooked, **modules}.items():
            taken = measure(lambda photo, note, module=module: module(photo), photo, None, calls, restrained)
            found[name].append(taken[0] - floor)
    for agent in agents.values():
        agent.close(10)
    added = {f"{name}_added_p50_us": round(statistics.median(taken), 3) for name, taken in found.items()}
    return {"rounds": rounds, "torch": torch.__version__, **added}


FORM = {"age": 41.0, "income": 3.2, "site": "north"}
SINK = """
import http.server, json
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = b'{"refused": []}' if self.path.startswith("/v1/records") else b""
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *args): ...
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""
"""A server that takes everything; in a process of its own, so that it takes nothing from whoever is measured."""


def drained(rounds: int, calls: int) -> dict[str, Any]:
    """Drained rates of the agent and of spans, by turns; the ratio is the median of the rounds' ratios."""
    with subprocess.Popen([sys.executable, "-c", SINK], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        try:
            found: dict[str, list[float]] = {"agent": [], "span": [], "span with the same facts": []}
            for _ in range(rounds):
                found["agent"].append(drained_agent(calls))
                found["span"].append(drained_spans(url, calls, {}))
                found["span with the same facts"].append(drained_spans(url, calls, {**FORM, "output": 1.0}))
        finally:
            server.terminate()
    ratios = {
        f"ratio_to_{name.replace(' ', '_')}": round(
            statistics.median(a / b for a, b in zip(found["agent"], rates, strict=True)), 3
        )
        for name, rates in found.items()
        if name != "agent"
    }
    middle = {f"{name.replace(' ', '_')}_calls_per_s": round(statistics.median(rates)) for name, rates in found.items()}
    return {"rounds": rounds, "calls": calls, **middle, **ratios, "target_ratio_to_span": 1.0}


def drained_spans(url: str, calls: int, facts: dict[str, Any]) -> float:
    """Spans a second, from the first call to the exporter's last answer; none may be dropped on the way."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    provider = TracerProvider()
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces"), max_queue_size=2 * calls, max_export_batch_size=512)
    )
    tracer = provider.get_tracer("bench")
    began = time.perf_counter()
    for _ in range(calls):
        with tracer.start_as_current_span("model", attributes=facts):
            model(None, None)
    assert provider.force_flush(60_000)
    seconds = time.perf_counter() - began
    provider.shutdown()
    return calls / seconds


def blackhole(rounds: int, seconds: float, offered: int = 10_000) -> dict[str, Any]:
    """The host's p99 with a server that is silent, against one that answers: the same agent, by turns."""
    with (
        socket.socket() as silent,
        subprocess.Popen([sys.executable, "-c", SINK], stdout=subprocess.PIPE, text=True) as server,
    ):
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        assert server.stdout is not None
        ports = {"healthy": int(server.stdout.readline()), "silent": silent.getsockname()[1]}
        agents = {
            name: auditor.Agent("bench", "1", endpoint=f"http://127.0.0.1:{port}") for name, port in ports.items()
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in agents}
        reached: list[float] = []
        try:
            for turn in range(rounds + 1):
                names = list(agents) if turn % 2 else list(agents)[::-1]
                for name in names:
                    call = agents[name].watch(model, inputs={"photo": "image", "note": "text"}, output="label")
                    p50, p99, rate = offer(call, offered, seconds)
                    if turn:  # the first warms up
                        found[name].append((p50, p99))
                        reached.append(rate)
        finally:
            for agent in agents.values():
                agent.close(2)
            server.terminate()
    row: dict[str, Any] = {
        "rounds": rounds,
        "offered_per_s": offered,
        "reached_per_s": round(statistics.median(reached)),
    }
    for index, what in enumerate(("p50", "p99")):
        for name, pairs in found.items():
            row[f"{name}_{what}_us"] = round(statistics.median(pair[index] for pair in pairs), 3)
        ratios = [b[index] / a[index] for a, b in zip(found["healthy"], found["silent"], strict=True)]
        row[f"ratio_{what}"] = round(statistics.median(ratios), 3)
    return {**row, "target_ratio_p99": 1.1}


def offer(call: Callable[..., Any], per_s: int, seconds: float) -> tuple[float, float, float]:
    """(p50, p99 in microseconds, calls a second) of calls offered ten a millisecond, as a server's requests come."""
    clock = time.perf_counter_ns
    taken = []
    photo, note = np.zeros((32, 32, 3), np.uint8), "word " * 20
    began = clock()
    for tick in range(int(seconds * 1000)):
        for _ in range(per_s // 1000):
            start = clock()
            call(photo, note)
            taken.append(clock() - start)
        pause = began + (tick + 1) * 1_000_000 - clock()
        if pause > 0:
            time.sleep(pause / 1e9)
    rate = len(taken) / (clock() - began) * 1e9
    return float(np.percentile(taken, 50)) / 1000, float(np.percentile(taken, 99)) / 1000, rate


def peers(rounds: int, interpreters: dict[str, str]) -> list[dict[str, Any]]:
    """One process a peer; a peer that cannot run here is left out, and said."""
    script = Path(__file__).with_name("agent_peers.py")
    found = []
    for name in ("MLflow tracing, sync", "MLflow tracing, async", "CodeCarbon task", *interpreters):
        python = interpreters.get(name, sys.executable)
        done = subprocess.run(
            [python, "-W", "ignore", str(script), name, "--rounds", str(rounds)],
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode:
            print(f"{name}: not measured\n{done.stderr[-500:]}", file=sys.stderr)
        else:
            found.append({**json.loads(done.stdout.splitlines()[-1]), "at": now()})
    return found


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def drained_agent(calls: int) -> float:
    """Calls a second that are described, durable in the spool and sealed: every call chosen, nothing lost."""
    note = FORM
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
    return calls / seconds


PARTS = ("calls", "torch", "drained", "blackhole", "peers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--peer-python", nargs="*", default=[], metavar="NAME=INTERPRETER")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "agent.json")
    options = parser.parse_args()
    result: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    if "calls" in options.only:
        result.update(run(options.rounds, options.calls))
    if "torch" in options.only:
        result["torch"] = {**torch_modules(options.rounds, options.calls), "at": now()}
    if "drained" in options.only:
        result["drained"] = {**drained(max(5, options.rounds), 20_000), "at": now()}
    if "blackhole" in options.only:
        result["blackhole"] = {**blackhole(max(11, options.rounds), 0.7), "at": now()}
    if "peers" in options.only:
        measured = peers(max(5, options.rounds), dict(entry.split("=", 1) for entry in options.peer_python))
        kept = [
            row for row in result.get("peers", []) if row["variant"] not in {found["variant"] for found in measured}
        ]
        result["peers"] = kept + measured
    result["versions"] = {
        "python": platform.python_version(),
        **{
            name: importlib.metadata.version(name)
            for name in ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http", "numpy")
        },
        "auditor": auditor.__version__,
    }
    result["machine"] = {"cpus": os.cpu_count(), "system": platform.system(), "load": round(os.getloadavg()[0], 2)}
    result["at"] = now()
    show(result)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


def show(result: dict[str, Any]) -> None:
    print(f"{'variant':38} {'added p50 us':>13} {'p99 us':>10} {'x span p50':>11} {'x span p99':>11}")
    for row in (*result.get("rows", []), *result.get("peers", [])):
        print(
            f"{row['variant']:38} {row['added_p50_us']:13.2f} {row['added_p99_us']:10.2f} "
            f"{row['ratio_p50']:11.3f} {row['ratio_p99']:11.3f}"
        )
    for part in ("counter_page", "torch", "drained", "blackhole"):
        print(part, json.dumps(result.get(part)))
    print("lost", result.get("dropped"))


if __name__ == "__main__":
    main()
