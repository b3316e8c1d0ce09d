"""The image-text scenario: a small dual encoder that checks photos against their captions, with four planted incidents.

Newsrooms and shops let such a model look at every upload. Both embeddings lie in one shared space and are recorded with
the encoder's name, so that the pair itself is watched: swapped captions leave every photo and every caption as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from auditor import Agent
from auditor.core.window import DAY
from auditor.demo import dual_encoder, photos, scenario
from auditor.demo.dual_encoder import DOUBT, ENCODER, MATCH, VERSION, Answer, CaptionMatcher
from auditor.demo.plants import Plant, darken
from auditor.demo.scenario import Data, Outcome, Scenario

MODEL = "caption-matcher"
PROFILE = f"""\
apiVersion: auditor/v1
kind: SystemProfile
metadata: {{name: caption-matcher}}
spec:
  models: [caption-matcher]
  roles: [provider, deployer]
  route: not_high_risk
  modalities: [image, text]
  placedOnMarket: 2026-03-02
  modelVersion: {VERSION}
"""
CALLS_A_DAY = 400
SITES = ("north", "south")
USUALLY_WRONG = 0.03
"""Share of uploads whose caption belongs to another photo on any day."""
USUALLY_MISSING = 0.01
MISSING = 0.3
"""Share of uploads without their photo while the upload fails."""


def swapped(data: str) -> float:
    """Share of captions exchanged with another upload's during the alignment incident, by the data's name.

    On pictures that it was made for, the encoder tells one swapped caption well, and a third of them is enough. On unseen
    real photos it prefers the right caption in two of three cases only: there the join is off by one for every upload.
    """
    return 0.35 if data == "built-in" else 1.0


def plants_for(data: str) -> tuple[Plant, ...]:
    """The incidents, by the data's name."""
    captions = "every caption belongs" if swapped(data) == 1 else f"{100 * swapped(data):.0f} % of captions belong"
    return (
        Plant(id="camera-darkens", kind="image", input="photo", first=2, days=2, affects=("image", "quality", "alignment"),
              story="the camera keeps 80 % of its brightness"),
        Plant(id="captions-swapped", kind="alignment", input=None, first=7, days=2, affects=("alignment", "quality"),
              story=f"{captions} to another photo; each input looks as always"),
        Plant(id="captions-as-hashtags", kind="text", input="caption", first=12, days=2, affects=("text", "alignment", "quality"),
              story="captions come as hashtags instead of sentences"),
        Plant(id="photos-missing", kind="missing", input="photo", first=17, days=2, affects=("missing", "quality"),
              story="30 % of uploads arrive without their photo"),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Upload:
    """One call of the matcher, with its truth."""

    id: str
    time: datetime
    photo: photos.Photo | None
    caption: str
    groups: dict[str, str | None]
    truth: str


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


def day_of_uploads(
    pairs: photos.Pairs, start: datetime, number: int, seed: int, incident: str, calls: int = CALLS_A_DAY
) -> Iterator[Upload]:
    """The uploads of one day, in the order of their times: a function of seed and day, with that day's incident.

    Parameters
    ----------
    start : datetime
        First moment of the day.
    number : int
        The day's number, which names its random stream.
    incident : str
        Id of the plant in effect; empty on a quiet day.
    """
    rng = np.random.default_rng([seed, number])
    shown = pairs.subjects(calls, rng)
    told = list(shown)
    share = swapped(pairs.name) if incident == "captions-swapped" else USUALLY_WRONG
    moved = np.flatnonzero(rng.random(calls) < share)
    for place, source in zip(moved.tolist(), np.roll(moved, 1).tolist(), strict=True):
        told[place] = shown[source]
    gone = rng.random(calls) < (MISSING if incident == "photos-missing" else USUALLY_MISSING)
    times = np.sort(rng.random(calls)) * DAY.total_seconds()
    sites = rng.integers(0, len(SITES), calls)
    for i in range(calls):
        photo, caption = pairs.photo(shown[i], rng), pairs.caption(told[i], rng)
        if incident == "camera-darkens":
            photo = darken(photo)
        elif incident == "captions-as-hashtags":
            caption = photos.hashtags(caption)
        yield Upload(
            id=f"s{seed}-d{number:02d}-{i:04d}",
            time=start + timedelta(seconds=round(float(times[i]), 3)),
            photo=None if gone[i] else photo,
            caption=caption,
            groups={"site": SITES[sites[i]]},
            truth=MATCH if shown[i] == told[i] else DOUBT,
        )


@dataclass(frozen=True, slots=True)
class Deployment:
    """The matcher in production: one version throughout."""

    pairs: photos.Pairs
    model: CaptionMatcher

    def version(self, incident: str) -> str:
        return VERSION

    def watch(self, agent: Agent, version: str) -> Callable[[Upload], Answer]:
        watched: Callable[..., Answer] = agent.watch(
            inputs={"photo": "image", "caption": "text"}, extract=_said, encoder=ENCODER
        )(self.model.read)
        return lambda call: watched(call.photo, call.caption)

    def calls(self, start: datetime, number: int, seed: int, incident: str) -> Iterator[Upload]:
        return day_of_uploads(self.pairs, start, number, seed, incident)


def _said(answer: Answer) -> dict[str, Any]:
    return {
        "label": answer.label,
        "scores": answer.scores,
        "inputs": {name: {"embedding": vector, "encoder": ENCODER} for name, vector in answer.embeddings.items()},
    }


def _read(folder: Path | None) -> Data:
    if folder is None:
        return Data(
            "built-in", "no photos: pictures of coloured shapes and their captions are synthesised", photos.Drawn()
        )
    found = photos.captioned(folder)
    said = (
        f"read {len(found.photos)} real photos with {sum(map(len, found.captions))} captions; "
        f"{len(found.pool)} of them, which the encoder never saw, are what calls bring, each as a crop of its own"
    )
    return Data(found.name, said, found, found.damage)


def _deploy(data: Data) -> Deployment:
    pairs: photos.Pairs = data.source
    return Deployment(pairs, dual_encoder.train(pairs.training(np.random.default_rng(20260102))))


SCENARIO = Scenario(
    model=MODEL,
    profile=PROFILE,
    deployed="small dual encoder (colours, edges and hashed words; no CLIP)",
    plants=plants_for,
    read=_read,
    deploy=_deploy,
)
