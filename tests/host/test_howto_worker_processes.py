"""The page on worker processes, run: in each of its hosts every call is at rest or declared lost."""

from __future__ import annotations

import importlib.util
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.host.identity import counted

PAGE = Path(__file__).parents[2] / "docs/howto/watch-in-worker-processes.md"
LIBRARY = {"joblib": "joblib", "gunicorn": "gunicorn", "uvicorn": "uvicorn", "Celery": "celery", "Jupyter": "ipykernel"}
CALLS = {"gunicorn": 4, "uvicorn": 4, "Celery": 5}


def sections() -> dict[str, str]:
    """Title to text, of the sections with a command."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {title: text for title, text in zip(parts[1::2], parts[2::2], strict=True) if "```bash" in text}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def answering(port: int, calls: int) -> None:
    done, until = 0, time.monotonic() + 60
    while done < calls:
        assert time.monotonic() < until, "the server does not answer"
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=15).read()
            done += 1
        except OSError:
            time.sleep(0.1)


@pytest.mark.parametrize("title", sections())
def test_every_call_is_accounted_for(title: str, tmp_path: Path) -> None:
    if title in LIBRARY and importlib.util.find_spec(LIBRARY[title]) is None:
        pytest.skip(f"{LIBRARY[title]} is not installed")
    page = PAGE.read_text(encoding="utf-8")
    for block in blocks(page, "python"):
        (tmp_path / block.split("\n", 1)[0].removeprefix("# ")).write_text(block)
    command = [sys.executable, *shlex.split(blocks(sections()[title], "bash")[0])[1:]]
    if title in CALLS:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [part.replace("8000", str(port)) for part in command]
        server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if title == "Celery":
                send = "import tasks; [tasks.work.delay(70 + index) for index in range(5)]"
                subprocess.run([sys.executable, "-c", send], cwd=tmp_path, check=True, capture_output=True, timeout=60)
                until = time.monotonic() + 60
                while list((tmp_path / "box").glob("*.celery.msg")) and time.monotonic() < until:
                    time.sleep(0.2)
                time.sleep(1.0)
            else:
                answering(port, CALLS[title])
        finally:
            stop(server)
    else:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    found = counted(tmp_path / "home", "triage")
    assert found.holds, found
    assert found.seen == CALLS.get(title, 20), found
