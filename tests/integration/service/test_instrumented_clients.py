"""OpenAI's own client under three instrumentations, exporting as the how-to page says: what was asked is there as records."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditor.core.window import Span, floor_to
from auditor.intake.archive import ParquetArchive
from auditor.settings import Home

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "howto" / "send-opentelemetry-traces.md"
EXPORTS, CHECK = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
NEEDED = {
    "openinference": "openinference.instrumentation.openai",
    "opentelemetry": "opentelemetry.instrumentation.openai_v2",
    "traceloop": "opentelemetry.instrumentation.openai",
}
CONTENTS = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only",
}
SECRETS = (b"cats are there", b"three dogs", b"two cats", b"Be brief", b"overload it", b"a cat", b"slow down")


@pytest.fixture(scope="module")
def addressed(served: Any) -> Callable[[str], str]:
    """Commands of the page, with this service's address and keys of its own."""

    def fill(commands: str) -> str:
        keys = f"KEY={served.key('ingest')} VIEWER_KEY={served.key('viewer')}\n"
        return keys + commands.replace("http://127.0.0.1:8321", served.url)

    return fill


@pytest.fixture(scope="module")
def exported(served: Any, addressed: Callable[[str], str]) -> dict[str, list[Any]]:
    """What the program was answered, by instrumentation; it is a process of its own, as users' programs are."""
    sys.path.insert(0, str(HERE.parent / "adapters"))
    for module in ("openai", "python_multipart", *NEEDED.values()):
        pytest.importorskip(module, reason=f"{module} is not installed")
    from provider_server import Provider, serving

    with serving(Provider().app) as url:
        script = f'{addressed(EXPORTS)}exec "{sys.executable}" "{HERE / "instrumented_client.py"}"'
        environment = {**os.environ, **CONTENTS, "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "none"}
        done = subprocess.run(["sh", "-ec", script], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", NEEDED)
def test_calls_of_an_instrumented_client_are_records(
    served: Any, exported: dict[str, list[Any]], name: str, addressed: Callable[[str], str]
) -> None:
    assert exported[name] == ["two cats", "three dogs", "RateLimitError", 2], "the program notices nothing"
    place = Home(served.home)
    begin = floor_to(datetime.now(UTC), timedelta(days=1)) - timedelta(days=1)
    archive = ParquetArchive(place.archive, place.quarantine)
    span = Span(begin, begin + timedelta(days=2))
    served.wait(lambda: archive.read("helpdesk", span).n >= 4 * len(NEEDED))
    rows = archive.read("helpdesk", span)
    assert rows.n == 4 * len(NEEDED), "the span around the calls is no call"
    (mine,) = np.nonzero(rows.groups["instrumentation"] == name)
    chat, stream, failed, embedding = mine[np.argsort(rows.time_us[mine])]

    def text(column: str, row: int) -> Any:
        return rows.categorical[column].tolist()[row]

    def number(column: str, row: int) -> float:
        return float(rows.numeric[column][row])

    assert [rows.version.tolist()[row] for row in (chat, stream, failed, embedding)] == [
        "gpt-4o-2024-08-06",
        "gpt-4o-2024-08-06",
        "gpt-4o",
        "embed-small-1",
    ]
    assert number("output.tokens.input", chat) == 11
    assert number("output.tokens.output", chat) == 2
    assert number("output.text.descriptors.words", chat) == 2
    assert number("inputs.prompt.descriptors.words", stream) == 3
    assert number("inputs.system.descriptors.words", chat) == 2
    assert text("output.finish", chat) == "stop"
    assert text("output.error", failed) in ("RateLimitError", "openai.RateLimitError")
    assert number("latency_s", chat) > 0
    if name != "opentelemetry":  # which leaves pictures, sound and the texts of embeddings out
        assert number("inputs.prompt.descriptors.words", chat) == 5
        assert number("inputs.image.descriptors.width", chat) == 4
        assert number("inputs.audio.descriptors.duration_s", chat) == pytest.approx(0.1)
        together = 4 if name == "traceloop" else 2  # one conversation of two texts, or two inputs
        assert number("inputs.prompt.descriptors.words", embedding) == together
        assert number("first_token_s", stream) > 0
    if shutil.which("curl"):
        listed = subprocess.run(["sh", "-ec", addressed(CHECK)], capture_output=True, text=True, check=True)
        assert ("helpdesk", rows.n) in [(item["name"], item["records"]) for item in json.loads(listed.stdout)["items"]]


def test_contents_are_nowhere_in_the_home(served: Any, exported: dict[str, list[Any]]) -> None:
    for folder, _, names in os.walk(served.home):  # the service takes folders away meanwhile
        for path in (Path(folder, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                data = path.read_bytes()
                assert not [secret for secret in SECRETS if secret in data], path
