"""Homes for the dashboard's tests: one filled with the made-up history, one that is empty."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from auditor.bootstrap import init_home
from auditor.core.artifact import Artifact
from auditor.core.identity import digest
from auditor.core.measurement import Method
from auditor.core.window import HOUR, Span

HERE = Path(__file__).parent


def load(name: str):
    """A helper file of this folder as a module: tests are no package."""
    key = f"auditor_tests_browser_{name}"
    if key not in sys.modules:
        spec = importlib.util.spec_from_file_location(key, HERE / f"{name}.py")
        sys.modules[key] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[key]


def fill(folder: Path) -> Path:
    """A home that holds the history: store, baseline and one Evidently-like file for each window."""
    from dataclasses import replace

    from auditor.core.frame import Frame
    from auditor.core.state import empty_state
    from auditor.settings import load_settings
    from auditor.store.sql import SqlStore

    history = load("history")
    home = init_home(folder)
    page = b"<!DOCTYPE html><title>Evidently</title><p>drift</p>"
    file = Artifact(
        sha256=digest(page), extension="html", title="Data drift", made_by=Method("evidently", "1"), model=history.MODEL,
        start=history.START, end=history.START + history.DAY, run="", size=len(page),
    )  # fmt: skip
    (home.artifacts / file.filename).write_bytes(page)
    store = SqlStore(load_settings(folder).store_url)
    frame = Frame(history.MODEL)
    baseline = replace(history.baseline(), frame=frame.digest)
    store.pin(baseline, frame, empty_state(history.MODEL, baseline.span, baseline.frame))
    for version, start in (("1.4.0", baseline.span.start), ("1.5.0", history.START + 24 * history.DAY)):
        hours = [start + day * history.DAY for day in range(4 * 7)] if version == "1.4.0" else [start]
        seen = [
            replace(empty_state(history.MODEL, Span(at, at + HOUR), frame.digest), version=version, n=1) for at in hours
        ]
        store.put_states(history.MODEL, hours, frame.digest, seen)
    for audit in history.audits(evidently=file):
        store.commit(audit)
    store.close()
    return folder


@pytest.fixture(scope="session")
def history():
    return load("history")


@pytest.fixture(scope="session")
def filled_home(tmp_path_factory) -> Path:
    return fill(tmp_path_factory.mktemp("dashboard") / "home")


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory) -> Path:
    return init_home(tmp_path_factory.mktemp("empty") / "home").root


@contextmanager
def serving(home: Path):
    """The dashboard as `auditor dashboard` starts it; the address while it runs, its output in the home."""
    from auditor.cli.dashboard import command, environment
    from auditor.settings import load_settings

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = home / "dashboard.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            command("127.0.0.1", port), env=environment(load_settings(home)), stdout=out, stderr=out, cwd=home
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/_stcore/health", server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def wait_for(url: str, server: subprocess.Popen, log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.poll() is not None:
            raise RuntimeError(f"the dashboard ended: {log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"the dashboard did not answer in {seconds} s: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def dashboard(filled_home):
    with serving(filled_home) as url:
        yield url


@pytest.fixture
def no_home_elsewhere(monkeypatch):
    for name in [key for key in os.environ if key.startswith("AUDITOR_")]:
        monkeypatch.delenv(name)
