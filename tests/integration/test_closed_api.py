"""A model behind an API that changes without a word: found through its canaries, from the first call to the alert."""

from __future__ import annotations

import contextlib
import io
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import auditor
from auditor.cli import main

START = datetime(2026, 3, 2, tzinfo=UTC)
PROMPTS = {name: f"the prompt called {name}" for name in ("capital", "sum", "polite", "limit", "format")}


@pytest.fixture
def audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], dict[str, Any]]:
    monkeypatch.setenv("AUDITOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AUDITOR_MLFLOW_ENABLED", "false")
    monkeypatch.setenv("AUDITOR_AUDIT_EVIDENTLY", "false")

    def run(answer: Callable[[str, int], str]) -> dict[str, Any]:
        """A week of baseline and two days, asked every three hours; what the audit of the two days says."""
        assert main(["init", str(tmp_path / "home")]) == 0
        now = START
        canaries = auditor.Canaries(
            "assistant",
            lambda prompt: answer(prompt, (now - START).days),
            PROMPTS,
            every=None,
            home=tmp_path / "home",
            clock=lambda: now,
        )
        for hour in range(0, 9 * 24, 3):
            now = START + timedelta(hours=hour, minutes=30)
            canaries.run_once()
        assert canaries.close(30)
        model = ["--model", "assistant.canary"]
        assert main(["baseline", "pin", *model, "--since", "2026-03-02", "--until", "2026-03-09"]) == 0
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            main(["audit", "--since", "2026-03-09", "--until", "2026-03-11", "--json"])
        found: dict[str, Any] = json.loads(said.getvalue()[said.getvalue().index("{") :])
        return found

    return run


def test_a_silent_change_of_one_answer_in_five_is_found_on_its_day(audited: Any) -> None:
    found = audited(lambda prompt, day: f"{prompt}: {'new' if day == 8 and 'sum' in prompt else 'old'}")
    (alert,) = found["alerts"]["opened"]
    assert (alert["model"], alert["control"], alert["kind"]) == ("assistant.canary", "canary-answers", "quality")
    assert alert["opened"] == "2026-03-11T00:00:00Z"
    assert "sum" in alert["explanation"]


@pytest.mark.soak
def test_a_model_that_always_varies_raises_no_alarm(audited: Any) -> None:
    chance = random.Random(3)
    found = audited(lambda prompt, day: f"{prompt} {min(chance.randrange(60), chance.randrange(60))}")
    assert found["alerts"]["opened"] == []
