"""What hostile requests cost a served process: CPU seconds, peak memory added, and the answer.

    python benchmarks/attacks.py [--only TEXT]

Each attack meets an `auditor serve` process that has answered one good request of every route. Memory is the peak of the
resident set during the attack, beyond what the process held at rest when it was new; one that holds more than 8 MiB
beyond that after an attack makes room for another. CPU time is that of the whole process until it rests again: refusing,
writing, and a drain of what was taken in. Wanted: at most 1 s and 64 MiB each.

A body that is taken because it keeps within every limit is work like any other, in proportion to its rows; such rows are
marked `taken`.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

from common import RESULTS, keep
from hostile_bodies import MSGPACK, bodies, export, prompt

MOST_CPU_S, MOST_MIB = 1.0, 64.0
JSON = "application/json"
MEDIA = {"packed": ("records", MSGPACK), "protobuf": ("traces", "application/x-protobuf"), "otlp": ("traces", JSON)}
QUESTION = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
TICK = os.sysconf("SC_CLK_TCK")
KEPT_MIB = 8.0
RUN = [sys.executable, "-m", "auditor"]
ENVIRONMENT = {
    **os.environ,
    "AUDITOR_MLFLOW_ENABLED": "false",
    "AUDITOR_AUDIT_EVIDENTLY": "false",
    "AUDITOR_SERVICE_DRAIN_S": "0.5",
}


class Victim:
    """One served process and its key."""

    def __init__(self, home: Path, key: str) -> None:
        self.key = key
        self.process = subprocess.Popen(
            [*RUN, "serve", "--port", "0", "--home", str(home), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
        )
        assert self.process.stdout is not None
        self.port = int(json.loads(self.process.stdout.readline())["url"].rpartition(":")[2])
        self.warm()
        self.rest()
        self.new_mib = self.memory_mib("VmRSS")

    def post(self, route: str, media: str, body: bytes, *, packed: bool = False) -> str:
        """The status and the error's code, or how many rows were refused."""
        made = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": media}
        if packed:
            headers["Content-Encoding"] = "gzip"
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # answered before it was all sent
                made.request("POST", f"/v1/{route}", body, headers)
            answer = made.getresponse()
            data = answer.read()
        except (http.client.HTTPException, OSError) as error:
            return type(error).__name__
        finally:
            made.close()
        said = json.loads(data) if answer.headers.get_content_type() == JSON else {}
        if answer.status != 200:
            return f"{answer.status} {said['error']['code']}"
        if "accepted" not in said:
            return f"200 taken{f', {refused} refused' if (refused := said.get('partialSuccess')) else ''}"
        sides = [said, *(said[side] for side in ("energy", "tallies") if side in said)]
        taken, refused = (sum(side[name] for side in sides) for name in ("accepted", "refused_count"))
        return f"200 {taken} taken, {refused} refused"

    def connect(self, buffer: int | None = None) -> socket.socket:
        made = socket.socket()
        if buffer is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        made.settimeout(5)
        made.connect(("127.0.0.1", self.port))
        return made

    def warm(self) -> None:
        """One good request of every route, and their drain."""
        row = {"id": "1", "time": "2026-01-05T09:00:00Z", "model": {"name": "w"}, "inputs": []}
        self.post("records", JSON, json.dumps({"records": [row]}).encode())
        self.post("labels", JSON, b'{"labels":[{"id":"1","label":"a"}]}')
        self.post("traces", JSON, export(prompt(0, b"hello")))
        self.post("traces", "application/x-protobuf", b"")
        self.rest()

    def rest(self) -> float:
        """CPU seconds of the process, once it has used next to none for two seconds."""
        before, quiet = self.cpu_s(), 0
        while quiet < 4:
            time.sleep(0.5)
            now = self.cpu_s()
            quiet = quiet + 1 if now - before <= 0.02 else 0
            before = now
        return before

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory_mib(self, what: str) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", encoding="ascii")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()


def make_home(home: Path) -> tuple[Path, str]:
    """A new home, and a key to it."""
    subprocess.run([*RUN, "init", str(home), "--json"], check=True, capture_output=True, env=ENVIRONMENT)
    create = [*RUN, "key", "create", "--role", "admin", "--home", str(home), "--json"]
    return home, json.loads(subprocess.run(create, check=True, capture_output=True, env=ENVIRONMENT).stdout)["key"]


def attacks() -> Iterator[tuple[str, Callable[[Victim], str]]]:
    """Name and act of each; the act gives the answer in words."""
    for name, (kind, body) in bodies().items():
        kind, _, packing = kind.partition("+")
        route, media = MEDIA.get(kind, (kind, JSON))
        yield (
            name,
            lambda victim, route=route, media=media, body=body, packed=bool(packing): victim.post(
                route, media, body, packed=packed
            ),
        )
    yield "40 slow heads", slow_heads
    yield "40 slow bodies", slow_bodies
    yield "pipelining: 20 000 requests", pipelining
    yield "40 pipelining clients that never read", slow_readers
    yield "1 000 connections", many_connections
    yield "trailers: 20 000", trailers
    yield "chunks of one byte", small_chunks
    yield "a header of 1 MiB", lambda victim: raw(victim, QUESTION[:-2] + b"X-A: " + b"a" * (1 << 20) + b"\r\n\r\n")
    yield "20 000 headers", lambda victim: raw(victim, QUESTION[:-2] + b"a: b\r\n" * 20_000 + b"\r\n")
    yield "a target of 1 MiB", lambda victim: raw(victim, QUESTION.replace(b"healthz", b"a" * (1 << 20)))
    yield "a foreign Host", lambda victim: raw(victim, QUESTION.replace(b"localhost", b"evil.example"))
    yield "1 000 bad keys", bad_keys


def raw(victim: Victim, sent: bytes) -> str:
    """The first line of the answer."""
    with victim.connect() as made:
        with contextlib.suppress(OSError):
            made.sendall(sent)
        return first_line(made)


def first_line(made: socket.socket) -> str:
    try:
        found = made.recv(1 << 16).split(b"\r\n")[0].decode("latin-1").removeprefix("HTTP/1.1 ")
    except TimeoutError:
        return "no answer"
    except OSError:
        return "cut off"
    return found or "cut off"


def served_beside(victim: Victim) -> str:
    """Whether a client with a key is served meanwhile."""
    status = victim.post("records", JSON, b'{"records":[]}').partition(" ")[0]
    return f"a client with a key beside: {status}"


def slow_heads(victim: Victim) -> str:
    opened = [victim.connect() for _ in range(40)]
    for made in opened:
        made.sendall(QUESTION[:-2] + b"X-A: ")
    for _ in range(12):
        for made in opened:
            with contextlib.suppress(OSError):
                made.sendall(b"a")
        time.sleep(1)
    said = served_beside(victim)
    cut = sum(first_line(made) == "cut off" for made in opened)
    for made in opened:
        made.close()
    return f"{cut} cut off; {said}"


def slow_bodies(victim: Victim) -> str:
    head = b"POST /v1/records HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n" % victim.key.encode()
    head += b"Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
    opened = [victim.connect() for _ in range(40)]
    for made in opened:
        made.sendall(head)
    for _ in range(10):
        for made in opened:
            with contextlib.suppress(OSError):
                made.sendall(b" ")
        time.sleep(0.5)
    said = served_beside(victim)
    for made in opened:
        made.close()
    return said


def pipelining(victim: Victim) -> str:
    with victim.connect() as made:
        with contextlib.suppress(OSError):
            made.sendall(QUESTION * 20_000)
        found = b""
        with contextlib.suppress(OSError):
            while part := made.recv(1 << 16):
                found += part
    return f"{found.count(b'HTTP/1.1 200')} answered"


def slow_readers(victim: Victim) -> str:
    opened = []
    for _ in range(40):
        made = victim.connect(4096)
        made.settimeout(0.2)
        with contextlib.suppress(OSError):
            made.sendall(QUESTION * 50_000)
        opened.append(made)
    said = served_beside(victim)
    for made in opened:
        made.close()
    return said


def many_connections(victim: Victim) -> str:
    opened = []
    for _ in range(1000):
        with contextlib.suppress(OSError):
            opened.append(victim.connect())
    said = served_beside(victim)
    for made in opened:
        made.close()
    return said


def chunked(victim: Victim, body: bytes) -> str:
    head = b"POST /v1/records HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n" % victim.key.encode()
    return raw(victim, head + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + body)


def trailers(victim: Victim) -> str:
    return chunked(victim, b'e\r\n{"records":[]}\r\n0\r\n' + b"x: y\r\n" * 20_000 + b"\r\n")


def small_chunks(victim: Victim) -> str:
    return chunked(victim, b"1\r\n \r\n" * 1_000_000 + b'e\r\n{"records":[]}\r\n0\r\n\r\n')


def bad_keys(victim: Victim) -> str:
    made = http.client.HTTPConnection("127.0.0.1", victim.port, timeout=60)
    found = set()
    for number in range(1000):
        made.request("GET", "/v1/models", headers={"Authorization": f"Bearer adt_{number}_{'x' * 40}"})
        answer = made.getresponse()
        answer.read()
        found.add(answer.status)
    made.close()
    return ", ".join(map(str, sorted(found)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="attacks whose name contains this; their rows replace those kept")
    options = parser.parse_args()
    rows: dict[str, dict[str, Any]] = {}
    print(f"{'':40} {'CPU s':>7} {'MiB':>7}  answer")
    victim: Victim | None = None
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as end:
        for name, act in attacks():
            if options.only not in name:
                continue
            if victim is not None and victim.memory_mib("VmRSS") - victim.new_mib > KEPT_MIB:
                victim.close()
                victim = None
            if victim is None:
                victim = Victim(*make_home(Path(tempfile.mkdtemp(dir=folder)) / "home"))
                end.callback(victim.close)
            victim.forget_peak()
            cpu = victim.cpu_s()
            answer = act(victim)
            cpu_s, mib = victim.rest() - cpu, victim.memory_mib("VmHWM") - victim.new_mib
            within = cpu_s <= MOST_CPU_S and mib <= MOST_MIB
            rows[name] = {"cpu_s": round(cpu_s, 2), "peak_mib": round(mib, 1), "answer": answer, "within": within}
            print(f"{name:40} {cpu_s:7.2f} {mib:7.1f}  {answer}{'' if within else '  BEYOND'}", flush=True)
    beyond = [name for name, row in rows.items() if not row["within"]]
    print(f"{len(rows) - len(beyond)} of {len(rows)} within {MOST_CPU_S:.0f} s of CPU and {MOST_MIB:.0f} MiB")
    if options.only and (RESULTS / "attacks.json").exists():
        before = json.loads((RESULTS / "attacks.json").read_text(encoding="utf-8"))["results"]["attacks"]
        rows = before | rows
    print(keep("attacks", {"most cpu_s": MOST_CPU_S, "most MiB": MOST_MIB, "attacks": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
