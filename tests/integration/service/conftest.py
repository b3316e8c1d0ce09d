"""A real `auditor serve` on a home of its own, and clients that talk to it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from auditor.cli import main


class Running:
    """One `auditor serve` process."""

    def __init__(self, home: Path, *, command: tuple[str, ...] = (), environment: dict[str, str] | None = None) -> None:
        self.home = home
        self.keys: dict[str, str] = {}
        self._command = command
        self._environment = {
            **os.environ,
            "AUDITOR_MLFLOW_ENABLED": "false",
            "AUDITOR_AUDIT_EVIDENTLY": "false",
            "AUDITOR_SERVICE_DRAIN_S": "0.3",
            **(environment or {}),
        }
        self.process: subprocess.Popen[str] | None = None
        self.url = ""

    def cli(self, *arguments: str, code: int = 0) -> Any:
        """What a command prints with --json; it runs in this process, which is a writer of its own."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            assert main([*arguments, "--home", str(self.home), "--json"]) == code
        return json.loads(printed.getvalue())

    def key(self, role: str, *models: str) -> str:
        name = "/".join((role, *models))
        if name not in self.keys:
            named = [part for model in models for part in ("--model", model)]
            self.keys[name] = self.cli("key", "create", "--role", role, *named)["key"]
        return self.keys[name]

    def start(self) -> Running:
        with (self.home / "serve.log").open("a") as log:
            self.process = self._spawn(log)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (self.home / "serve.log").read_text()
        self.url = json.loads(line)["url"]
        return self

    def _spawn(self, log: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                *self._command,
                sys.executable,
                "-m",
                "auditor",
                "serve",
                "--port",
                "0",
                "--home",
                str(self.home),
                "--json",
            ],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=self._environment,
        )

    def client(self, role: str = "admin", *models: str) -> httpx.Client:
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.key(role, *models)}"},
            timeout=30,
            trust_env=False,
        )

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        try:
            return self.process.wait(30)
        finally:
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def wait(self, what: Any, seconds: float = 15.0) -> Any:
        """The first true answer of `what`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = what()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"did not come about within {seconds} s; log:\n{(self.home / 'serve.log').read_text()}")


def make(folder: Path, **settings: Any) -> Running:
    from auditor.bootstrap import init_home

    init_home(folder)
    return Running(folder, **settings)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service for the tests of a module."""
    running = make(tmp_path_factory.mktemp("served") / "home")
    running.key("admin")
    running.start()
    yield running
    if running.process is not None:
        running.stop()


@pytest.fixture
def home_for_service(tmp_path: Path) -> Iterator[Any]:
    """Makes services of a test's own, and ends them."""
    made: list[Running] = []

    def build(**settings: Any) -> Running:
        made.append(make(tmp_path / f"home{len(made)}", **settings))
        return made[-1]

    yield build
    for running in made:
        if running.process is not None:
            running.stop(signal.SIGKILL)


def row(identifier: str, model: str = "m", **more: Any) -> dict[str, Any]:
    return {
        "id": identifier,
        "time": "2026-01-05T09:00:00Z",
        "model": {"name": model, "version": "1"},
        "inputs": [{"name": "form", "modality": "tabular", "descriptors": {"age": 41.0}}],
        **more,
    }


@pytest.fixture
def make_row() -> Any:
    return row
