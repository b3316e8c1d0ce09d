"""The page about the service, as it stands: its commands, its agent, its curl, its scrape job."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

import auditor
from auditor.cli import parser
from auditor.core.window import Span, parse_time
from auditor.intake.archive import ParquetArchive
from auditor.settings import Home

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "run-the-service.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)


def block(kind: str, containing: str = "") -> str:
    return next(text for name, text in BLOCKS if name == kind and containing in text)


def commands(containing: str) -> list[list[str]]:
    return [shlex.split(line, comments=True)[1:] for line in block("console", containing).splitlines()]


def test_the_commands_that_start_it_are_commands() -> None:
    for words in commands("auditor serve"):
        assert "home" in map(str, vars(parser().parse_args(words)).values())


def test_agents_and_curl_deliver(served: Any) -> None:
    address = "http://127.0.0.1:8321"
    scope: dict[str, Any] = {"auditor": auditor}
    exec(block("python").replace(address, served.url).replace("ak_...", served.key("ingest")), scope)
    agent = scope["agent"]
    with agent.inference() as record:
        record.input("form", {"age": 41})
        record.output(label="3")
    assert agent.flush(timeout=10)
    assert agent.stats()["delivered"] == 1
    agent.close()
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    script = f"KEY={served.key('ingest')}\n" + block("sh").replace(address, served.url)
    for accepted in (1, 0):
        said = json.loads(subprocess.run(["sh", "-ec", script], capture_output=True, check=True).stdout)
        assert (said["accepted"], said["duplicates"], said["refused"]) == (accepted, 1 - accepted, [])
    place, day = Home(served.home), Span(parse_time("2026-03-02"), parse_time("2026-03-03"))
    served.wait(lambda: ParquetArchive(place.archive, place.quarantine).read("triage", day).ids.tolist() == ["r1"])


def test_prometheus_scrapes_with_the_job(served: Any) -> None:
    (job,) = yaml.safe_load(block("yaml"))["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["127.0.0.1:8321"]}]
    credentials = job["authorization"]["credentials"].replace("ak_...", served.key("viewer"))
    answer = httpx.get(f"{served.url}/metrics", headers={"Authorization": f"Bearer {credentials}"}, trust_env=False)
    assert answer.status_code == 200
    for name in re.findall(r"`(auditor_service_\w+)`", PAGE.read_text(encoding="utf-8")):
        assert f"\n{name}" in f"\n{answer.text}", name


def test_keys_are_listed_and_revoked(served: Any) -> None:
    made = served.cli("key", "create", "--role", "viewer")
    for words in commands("key revoke"):
        words = [made["id"] if re.fullmatch(r"[0-9a-f]{16}", word) else word for word in words]
        assert words[-2:] == ["--home", "home"]
        served.cli(*words[:-2])
    listed = next(item for item in served.cli("key", "list")["items"] if item["id"] == made["id"])
    assert listed["revoked"]
