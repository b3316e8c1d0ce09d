"""The planted incidents: what is done to the traffic, when, and which kinds of alert it may honestly cause.

All of it is fixed before any replay: neither the plan nor `affects` looks at what was found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.core.window import DAY, format_time
from auditor.demo.sources import Clip

DARKER = 0.8
"""Share of its brightness that the camera keeps."""
WRONG_RATE = 1.3
"""How much faster the wrong sample rate plays one speaker's clips."""
REPAIRED = 0.25
"""Share of calls whose clip is exchanged with another call's."""
SILENT = 0.3
"""Share of calls that arrive without a clip while the microphone fails."""
USUALLY_SILENT = 0.01
HEAVIER = 4
"""Passes of the heavier version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """One incident.

    Attributes
    ----------
    kind, input : str
        The kind of alert that finds it, and the input it belongs to (None: any).
    first, days : int
        Day after the baseline week on which it begins (1 is the first), and how long it lasts; of a 21-day replay.
    affects : tuple of str
        Kinds of alert that it can cause: the darker image also lowers the answers' quality, and so on.
    """

    id: str
    kind: str
    input: str | None
    first: int
    days: int
    affects: tuple[str, ...]
    story: str
    stays: bool = False
    """Whether it lasts until the replay's end, as a version that shipped does."""


PLANTS = (
    Plant(id="camera-darkens", kind="image", input="photo", first=2, days=2, affects=("image", "quality", "alignment"),
          story="the camera keeps 80 % of its brightness"),
    Plant(id="new-microphone", kind="audio", input="clip", first=5, days=2, affects=("audio", "quality", "alignment", "bias"),
          story="a new microphone passes 150-3000 Hz with noise at 20 dB"),
    Plant(id="wrong-rate-for-one-speaker", kind="bias", input=None, first=8, days=3, affects=("bias", "audio", "quality", "alignment"),
          story="one speaker's clips are played 1.3 times too fast and are misread"),
    Plant(id="pairs-mixed-up", kind="alignment", input=None, first=12, days=2, affects=("alignment", "quality", "bias"),
          story="a quarter of the clips belong to another call; each input looks as always"),
    Plant(id="microphone-fails", kind="missing", input="clip", first=15, days=2, affects=("missing", "quality", "bias"),
          story="30 % of calls arrive without a clip"),
    Plant(id="heavier-version", kind="energy", input=None, first=19, days=3, affects=("energy", "quality"),
          story="version 2.0.0 does four times the work for the same answers", stays=True),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Planned:
    """A plant on the calendar of one replay."""

    plant: Plant
    start: datetime
    end: datetime

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.plant.id,
            "kind": self.plant.kind,
            "input": self.plant.input,
            "start": format_time(self.start),
            "end": format_time(self.end),
            "affects": list(self.plant.affects),
        }


def plan(begin: datetime, days: int, plants: Sequence[Plant] = PLANTS) -> list[Planned]:
    """The plants on the calendar: as written for 21 days and more, squeezed in order for 14 to 20."""
    found = []
    for plant in plants:
        first, length = plant.first, plant.days
        if days < 21:
            first = 1 + round((plant.first - 1) * (days - 2) / 19)
            length = max(1, plant.days - 1)
        start = begin + timedelta(days=first - 1)
        end = begin + days * DAY if plant.stays else start + timedelta(days=length)
        found.append(Planned(plant, start, end))
    return found


def active(planned: list[Planned], moment: datetime) -> str:
    """Id of the plant in effect at that time; empty on a quiet day."""
    return next((entry.plant.id for entry in planned if entry.start <= moment < entry.end), "")


def darken(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image at DARKER of its brightness."""
    return (image * DARKER).astype(np.uint8)


def other_microphone(clip: Clip, rng: np.random.Generator) -> Clip:
    """150-3000 Hz of the clip, with white noise 20 dB below it."""
    spectrum = np.fft.rfft(clip)
    frequency = np.fft.rfftfreq(len(clip), 1 / 8000)
    spectrum[(frequency < 150) | (frequency > 3000)] = 0
    heard = np.fft.irfft(spectrum, len(clip))
    noise = rng.normal(size=len(clip)) * np.sqrt((heard**2).mean() / 10**2)
    played: Clip = (heard + noise).astype(np.float32)
    return played


def too_fast(clip: Clip) -> Clip:
    """The clip as played WRONG_RATE times too fast."""
    n = int(len(clip) / WRONG_RATE)
    played: Clip = np.interp(np.linspace(0, len(clip) - 1, n), np.arange(len(clip)), clip).astype(np.float32)
    return played


WRONGED: Mapping[str, str] = {"built-in": "baritone"}
"""Whose clips are played too fast, by source; `theo` of the real recordings."""


def wronged(source: str) -> str:
    """The speaker of the bias plant."""
    return WRONGED.get(source, "theo")
