"""The one way to a service: days without a network, a bounded disk, restarts in between; then everything, in order, once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from auditor.agent.http import HttpTransport
from auditor.agent.sender import Sender
from auditor.agent.shield import Faults
from auditor.agent.transport import DeliveryError, MemorySegments, SegmentFolder, session_name
from auditor.agent.transport import numbered as folders
from auditor.core.errors import ConfigurationError
from auditor.segments import SegmentWriter


class Service:
    """A service that can be away: then it answers 503, or what `answer` says."""

    def __init__(self) -> None:
        self.up = True
        self.answer: tuple[int, dict[str, Any]] | None = None
        self.tries = 0
        self.records: list[dict[str, Any]] = []
        self.labels: list[dict[str, Any]] = []
        self.tallies: list[dict[str, Any]] = []
        self.energy: list[dict[str, Any]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                service.tries += 1
                status, answer = service.answer or ((200, {"refused": []}) if service.up else (503, {}))
                if status == 200:
                    service.records += body.get("records", [])
                    service.labels += body.get("labels", [])
                    service.tallies += body.get("tallies", [])
                    service.energy += body.get("energy", [])
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def ids(self) -> list[str]:
        return [record["id"] for record in self.records]


@pytest.fixture
def service() -> Iterator[Service]:
    found = Service()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of hundredths of a second."""
    monkeypatch.setattr("auditor.agent.transport._FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr("auditor.agent.transport._LONGEST_PAUSE_S", 0.05)


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    patience = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < patience, "it did not come"
        time.sleep(0.01)


def calls(agent: Any, start: int, stop: int) -> None:
    model = agent.watch(lambda note: "cat", inputs={"note": "text"}, output="label")
    for index in range(start, stop):
        with agent.context(id=f"c{index}"):
            model("hello")


def numbered(start: int, stop: int) -> list[str]:
    return [f"c{index}" for index in range(start, stop)]


def waiting(outbox: Path) -> list[Path]:
    return sorted(path for folder in outbox.iterdir() if folder.is_dir() for path in folder.iterdir())


class Session:
    """A session's own segments in an outbox and their sender, as an agent has them."""

    def __init__(self, service: Service, outbox: Path, session: str = "s") -> None:
        self.own = SegmentFolder(outbox, session_name(outbox, session), 1 << 30)
        self.service = HttpTransport(service.url)
        self.sender = Sender(self.own, self.service, Faults())

    def send(self, frames: Any) -> None:
        self.own.send(frames)
        self.own.seal()
        if not self.sender._thread.is_alive():
            self.sender.start()
        self.sender.wake()

    def close(self) -> None:
        self.own.close()
        assert self.sender.finish(time.monotonic() + 5.0, 0)


def frame(index: int, size: int = 0) -> tuple[str, bytes]:
    return "record", json.dumps({"id": f"c{index}", "pad": "x" * size}).encode()


def test_what_is_reachable_is_sent_and_leaves_nothing_behind(service: Service, make_agent: Any, tmp_path: Path) -> None:
    agent = make_agent(endpoint=service.url, outbox=tmp_path / "out")
    calls(agent, 0, 5)
    agent.label("c1", "cat")
    assert agent.close(5)
    assert service.ids == numbered(0, 5)
    assert [label["id"] for label in service.labels] == ["c1"]
    assert service.tallies[-1]["closed"]
    assert sum(tally["delivered"] for tally in service.tallies) == 5
    assert agent.stats()["outbox"]["refused"] == agent.stats()["outbox"]["damaged"] == 0
    assert waiting(tmp_path / "out") == []


def test_an_outage_over_two_restarts_ends_in_order(
    service: Service, make_agent: Any, balanced: Any, tmp_path: Path
) -> None:
    service.up = False
    for start in (0, 40):
        agent = make_agent(endpoint=service.url, outbox=tmp_path)
        calls(agent, start, start + 40)
        assert agent.flush(5)  # durable is delivered: nobody waits for the network
        assert agent.stats()["delivered"] == 40
        assert agent.close(5)
        balanced(agent.stats())
    assert service.records == []
    assert service.tries >= 2
    agent = make_agent(endpoint=service.url, outbox=tmp_path)
    calls(agent, 80, 100)
    assert agent.flush(5)
    service.up = True
    until(lambda: agent.stats()["outbox"]["sent"] >= 80)
    assert agent.close(5)
    assert service.ids == numbered(0, 100)
    assert sum(tally["delivered"] for tally in service.tallies) == 100
    assert [tally["closed"] for tally in service.tallies if tally.get("closed")] == [True] * 3
    assert waiting(tmp_path) == []


def test_a_full_outbox_keeps_the_oldest_and_counts_the_rest(
    service: Service, make_agent: Any, balanced: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDITOR_AGENT_SPOOL_BYTES", "20000")
    service.up = False
    agent = make_agent(endpoint=service.url, outbox=tmp_path)
    for start in range(0, 200, 20):
        calls(agent, start, start + 20)
        assert agent.flush(5)
    stats = agent.stats()
    balanced(stats)
    kept = stats["delivered"]
    assert 0 < kept < 200
    assert stats["dropped"] == {"spool_full": 200 - kept}
    assert sum(path.stat().st_size for path in waiting(tmp_path)) < 20_000 + (4 << 20)
    service.up = True
    until(lambda: agent.stats()["outbox"]["sent"] >= kept)
    assert service.ids == numbered(0, kept)
    assert agent.close(5)
    assert sum(tally.get("dropped", {}).get("spool_full", 0) for tally in service.tallies) == 200 - kept


def test_a_killed_process_leaves_its_calls_to_the_next(service: Service, make_agent: Any, tmp_path: Path) -> None:
    code = (
        "import auditor, os\n"
        f"agent = auditor.Agent('m', '1', endpoint='http://127.0.0.1:9', outbox={str(tmp_path)!r}, describe='all')\n"
        "for index in range(7):\n"
        "    with agent.inference(id=f'c{index}') as record: record.output(label='cat')\n"
        "agent.flush(5)\nos.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == -signal.SIGKILL, done.stderr
    agent = make_agent(endpoint=service.url, outbox=tmp_path)
    calls(agent, 7, 9)
    assert agent.close(5)
    assert service.ids == numbered(0, 9)


def test_what_a_living_process_writes_is_its_own_to_send(service: Service, tmp_path: Path) -> None:
    other = SegmentWriter(tmp_path / "00000001-other")
    other.append([frame(0)])
    other.seal()
    mine = Session(service, tmp_path)
    mine.send([frame(1)])
    mine.close()
    assert service.ids == ["c1"]
    other.close()
    later = Session(service, tmp_path, "later")
    later.send([frame(2)])
    later.close()
    assert service.ids == ["c1", "c0", "c2"]


def test_an_interruption_repeats_one_request_at_most(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditor.agent.http._MAX_BODY", 500)
    box = SegmentFolder(tmp_path, "00000001-dead", 1 << 20)
    box.send([frame(index, 100) for index in range(20)])
    box.close()
    mine = Session(service, tmp_path)
    sends = mine.service.send
    fails = iter([False, False, True, False, True])

    def sometimes(frames: Any) -> None:
        if next(fails, False):
            raise DeliveryError("unreachable", "no answer")
        sends(frames)

    monkeypatch.setattr(mine.service, "send", sometimes)
    mine.send([frame(20)])
    until(lambda: mine.sender.state()["sent"] == 20)
    mine.close()
    assert service.ids == numbered(0, 21)


def test_what_is_sent_again_is_the_same_to_the_byte(service: Service, tmp_path: Path) -> None:
    """The service keeps records by id, tallies and energy readings by digest: so nothing counts twice."""
    mine = Session(service, tmp_path)
    sends, lost = mine.service.send, iter([True, True])

    def unheard(frames: Any) -> None:
        sends(frames)
        if next(lost, False):
            raise DeliveryError("unreachable", "the answer is lost")

    mine.service.send = unheard  # type: ignore[method-assign]
    mine.send([frame(0), ("tally", b'{"seen":1}'), ("energy", b'{"joules":2.5}')])
    until(lambda: mine.sender.state()["sent"] == 3)
    mine.close()
    assert service.ids == ["c0"] * 3
    assert service.tallies == [{"seen": 1}] * 3
    assert service.energy == [{"joules": 2.5}] * 3


def test_what_the_service_refuses_and_the_disk_damages_is_counted(service: Service, tmp_path: Path) -> None:
    box = SegmentFolder(tmp_path, "00000001-dead", 1 << 20)
    box.send([frame(index) for index in range(5)])
    box.close()
    (path,) = (tmp_path / "00000001-dead").glob("*.seg")
    data = bytearray(path.read_bytes())
    data[data.index(b'"c2"') + 1] ^= 1
    path.write_bytes(bytes(data))
    service.answer = (200, {"refused": [{"index": 0, "id": "c0", "code": "x", "message": ""}]})
    mine = Session(service, tmp_path)
    mine.send([])
    until(lambda: mine.sender.state()["sent"] == 3)
    assert {key: mine.sender.state()[key] for key in ("refused", "damaged")} == {"refused": 1, "damaged": 1}
    mine.close()


def test_a_server_that_never_answers_holds_neither_the_flush_nor_the_close(make_agent: Any, tmp_path: Path) -> None:
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(5)
        agent = make_agent(endpoint=f"http://127.0.0.1:{server.getsockname()[1]}", outbox=tmp_path)
        calls(agent, 0, 10)
        assert agent.flush(2)
        assert agent.close(2)
    until(lambda: all(thread.name != "auditor-sender" for thread in threading.enumerate()))
    assert waiting(tmp_path)


def test_a_forked_child_has_a_folder_and_a_sender_of_its_own(service: Service, make_agent: Any, tmp_path: Path) -> None:
    agent = make_agent(endpoint=service.url, outbox=tmp_path)
    calls(agent, 0, 3)
    assert agent.flush(5)
    child = os.fork()
    if child == 0:
        calls(agent, 3, 5)
        os._exit(0 if agent.close(5) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert agent.close(5)
    assert sorted(service.ids) == numbered(0, 5)
    assert {record["source"]["fork"] for record in service.records} == {0, 1}


def test_an_outbox_that_cannot_be_made_is_tried_again(
    service: Service, make_agent: Any, tmp_path: Path, swallowed: Any
) -> None:
    swallowed.expect()  # the salt cannot be shared either
    place = tmp_path / "file"
    place.write_text("in the way")
    agent = make_agent(endpoint=service.url, outbox=place)
    calls(agent, 0, 2)
    assert not agent.flush(0.3)
    place.unlink()
    assert agent.flush(5)
    assert agent.close(5)
    assert service.ids == numbered(0, 2)


def test_an_outbox_needs_a_service(make_agent: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDITOR_ENDPOINT", raising=False)
    with pytest.raises(ConfigurationError, match="there is none"):
        make_agent(outbox=tmp_path, home=tmp_path)
    monkeypatch.setenv("AUDITOR_ENDPOINT", "http://127.0.0.1:9")
    assert make_agent(outbox=tmp_path, transport=None)._destination.place == tmp_path


def test_folders_go_by_number_and_not_by_the_clock(tmp_path: Path) -> None:
    for name in ("00000002-b", "00000010-a", "notes", "00000001-z"):
        (tmp_path / name).mkdir()
    (tmp_path / "00000099-file").touch()
    assert [path.name for _, path in sorted(folders(tmp_path))] == ["00000001-z", "00000002-b", "00000010-a"]
    assert session_name(tmp_path, "s") == "00000011-s"


ENDS = {
    "kill": "calls(12); os.kill(os.getpid(), 9)",
    "kill-after-flush": "calls(7); agent.flush(20); calls(5); os.kill(os.getpid(), 9)",
    "kill-before-the-worker": "agent._recorder.make_worker = None; calls(12); os._exit(0)",
    "kill-later": "calls(12); import time; time.sleep(1.5); os.kill(os.getpid(), 9)",
    "return": "calls(12)",
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("up", [True, False], ids=["up", "away"])
def test_every_call_of_a_dead_process_is_sent_or_declared_by_the_next(
    service: Service, make_agent: Any, tmp_path: Path, end: str, up: bool
) -> None:
    """Also where the dead process's own sender had sent a part of it."""
    code = (
        "import auditor, os\n"
        f"agent = auditor.Agent('m', '1', endpoint={service.url if up else 'http://127.0.0.1:9'!r},"
        f" outbox={str(tmp_path)!r}, describe='all')\n"
        "def calls(number):\n"
        "    for index in range(number):\n"
        "        with agent.inference() as record: record.output(label='cat')\n" + ENDS[end]
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, timeout=60)
    agent = make_agent(name="m", version="1", endpoint=service.url, outbox=tmp_path)
    calls(agent, 0, 1)
    assert agent.flush(10)
    mine = agent._recorder.session
    until(lambda: all(path.name.endswith(mine) for path in tmp_path.iterdir() if path.is_dir()))
    assert agent.close(10)
    until(lambda: not any(path.is_dir() for path in tmp_path.iterdir()))
    sessions = {tally["session"] for tally in service.tallies} - {agent._recorder.session}
    assert len(sessions) == 1
    theirs = {json.dumps(t, sort_keys=True): t for t in service.tallies if t["session"] in sessions}.values()
    found = {record["id"] for record in service.records if record["source"]["session"] in sessions}
    lost = sum(sum(tally.get("dropped", {}).values()) for tally in theirs)
    assert sum(tally["seen"] for tally in theirs) == 12
    assert len(found) + lost == 12
    assert sum(tally["delivered"] for tally in theirs) == len(found)


def test_without_an_outbox_nothing_stays_behind(
    service: Service, make_agent: Any, balanced: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    agent = make_agent(endpoint=service.url, key="secret-key")
    calls(agent, 0, 9)
    assert agent.flush(10)
    (place,) = tmp_path.iterdir()
    assert place.stat().st_mode & 0o777 == 0o700
    assert not any(b"secret-key" in path.read_bytes() for path in place.rglob("*") if path.is_file())
    assert service.ids == numbered(0, 9)  # taken by the service, not only written
    calls(agent, 9, 12)
    assert agent.close(10)
    assert service.ids == numbered(0, 12)
    assert sum(tally["delivered"] for tally in service.tallies) == 12
    balanced(agent.stats())
    assert agent.stats()["delivered"] == 12
    assert list(tmp_path.iterdir()) == []


def test_where_no_folder_can_be_made_segments_wait_in_memory(
    service: Service, make_agent: Any, balanced: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    monkeypatch.setenv("AUDITOR_AGENT_QUEUE_BYTES", "20000")
    service.up = False
    agent = make_agent(endpoint=service.url)
    for start in range(0, 200, 20):
        calls(agent, start, start + 20)
        agent.flush(0.2)
    assert isinstance(agent._sender.own, MemorySegments)
    stats = agent.stats()
    balanced(stats)
    lost = stats["dropped"]["spool_full"]
    assert 0 < lost < 200
    assert stats["delivered"] == 0
    service.up = True
    assert agent.flush(10)
    assert service.ids == numbered(0, 200 - lost)
    assert agent.stats()["outbox"]["waiting_bytes"] == 0
    assert agent.close(10)
    balanced(agent.stats())
    assert sum(tally.get("dropped", {}).get("spool_full", 0) for tally in service.tallies) == lost


def test_what_a_service_refuses_is_declared_lost(service: Service, make_agent: Any, balanced: Any) -> None:
    service.answer = (200, {"refused": [{"index": 1, "id": "c1", "code": "x", "message": ""}]})
    agent = make_agent(endpoint=service.url)
    calls(agent, 0, 3)
    agent.flush(0.5)
    service.answer = None
    assert agent.close(10)
    stats = agent.stats()
    balanced(stats)
    assert stats["dropped"] == {"refused": 1}
    assert sum(tally["seen"] for tally in service.tallies) == 3
    assert sum(tally.get("dropped", {}).get("refused", 0) for tally in service.tallies) == 1


def test_private_folders_of_killed_agents_are_removed_later(
    service: Service, make_agent: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    live = SegmentWriter(tmp_path / "auditor-outbox-live" / "00000001-s")
    live.append([frame(0)])
    for name in ("dead", "live"):
        (tmp_path / f"auditor-outbox-{name}" / "00000001-s").mkdir(parents=True, exist_ok=True)
        os.utime(tmp_path / f"auditor-outbox-{name}", (0, 0))
    (tmp_path / "auditor-outbox-new" / "00000001-s").mkdir(parents=True)
    agent = make_agent(endpoint=service.url)
    calls(agent, 0, 1)
    assert agent.close(10)
    live.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["auditor-outbox-live", "auditor-outbox-new"]
