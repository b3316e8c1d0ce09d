"""The digits scenario: a late-fusion reader of handwritten and spoken digits, with six planted incidents."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from auditor import Agent
from auditor.demo import plants, reader, scenario, sources
from auditor.demo.replay import Call, day_of_calls
from auditor.demo.scenario import Data, Outcome, Scenario

MODEL = "digit-reader"
VERSION, HEAVIER = "1.4.0", "2.0.0"
PROFILE = """\
apiVersion: auditor/v1
kind: SystemProfile
metadata: {name: digit-reader}
spec:
  models: [digit-reader]
  roles: [provider, deployer]
  route: annex_iii
  modalities: [image, audio, text]
  placedOnMarket: 2026-03-02
  modelVersion: 1.4.0
"""


def run(
    folder: Path,
    *,
    data: Path | None = None,
    days: int = 21,
    seed: int = 1,
    figures_only: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run the whole job in `folder`; see `scenario.run`."""
    return scenario.run(SCENARIO, folder, data=data, days=days, seed=seed, figures_only=figures_only, tell=tell)


def _read(folder: Path | None) -> Data:
    source = sources.recordings(folder) if folder else sources.built_in()
    audio = "real recordings" if folder else "synthesised tones"
    said = f"read {len(source.pool.images)} real handwritten digits and {len(source.pool.clips)} clips ({audio})"
    return Data(source.name, said, source, source.damage)


@dataclass(frozen=True, slots=True)
class Deployment:
    """The digit reader in production; the heavier version ships with its incident."""

    source: sources.Source
    model: reader.DigitReader

    def version(self, incident: str) -> str:
        return HEAVIER if incident == "heavier-version" else VERSION

    def watch(self, agent: Agent, version: str) -> Callable[[Call], reader.Answer]:
        model = self.model.heavier(plants.HEAVIER) if version == HEAVIER else self.model
        inputs = {"photo": "image", "clip": {"modality": "audio", "rate": sources.RATE}, "hint": "text"}
        watched: Callable[..., reader.Answer] = agent.watch(inputs=inputs, extract=_heads)(model.read)
        return lambda call: watched(call.photo, call.clip, call.hint)

    def calls(self, start: datetime, number: int, seed: int, incident: str) -> Iterable[Call]:
        return day_of_calls(self.source, start, number, seed, incident)


def _heads(answer: reader.Answer) -> dict[str, Any]:
    return {
        "label": answer.label,
        "scores": answer.scores,
        "inputs": {name: {"scores": scores} for name, scores in answer.heads.items()},
    }


def _deploy(data: Data) -> Deployment:
    return Deployment(data.source, reader.train(data.source.train))


SCENARIO = Scenario(
    model=MODEL,
    profile=PROFILE,
    deployed="late-fusion reader",
    plants=lambda _: plants.PLANTS,
    read=_read,
    deploy=_deploy,
)
