"""Traffic of one day, drawn from the pool with that day's incident planted in it: a function of seed and day alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from auditor.core.window import DAY
from auditor.demo import plants
from auditor.demo.sources import Source, hint

CALLS_A_DAY = 400
SITES = ("north", "south")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the deployed model, with its truth."""

    id: str
    time: datetime
    photo: NDArray[np.uint8]
    clip: NDArray[np.float32] | None
    hint: str
    groups: dict[str, str | None]
    truth: str


class ReplayClock:
    """The replay's time: the agent and the pipeline are told what it is, they never ask the wall clock."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def day_of_calls(
    source: Source, start: datetime, number: int, seed: int, incident: str, calls: int = CALLS_A_DAY
) -> Iterator[Call]:
    """The calls of one day, in the order of their times.

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
    pool = source.pool
    by_digit = [np.flatnonzero(pool.spoken == digit) for digit in range(10)]
    photos = rng.integers(0, len(pool.images), calls)
    clips = np.array([rng.choice(by_digit[digit]) for digit in pool.digits[photos]])
    if incident == "pairs-mixed-up":
        moved = np.flatnonzero(rng.random(calls) < plants.REPAIRED)
        clips[moved] = clips[rng.permutation(moved)]
    silent = rng.random(calls) < (plants.SILENT if incident == "microphone-fails" else plants.USUALLY_SILENT)
    times = np.sort(rng.random(calls)) * DAY.total_seconds()
    sites = rng.integers(0, len(SITES), calls)
    for i in range(calls):
        photo, clip = pool.images[photos[i]], pool.clips[clips[i]]
        speaker, truth = str(pool.speakers[clips[i]]), int(pool.digits[photos[i]])
        if incident == "camera-darkens":
            photo = plants.darken(photo)
        elif incident == "new-microphone":
            clip = plants.other_microphone(clip, rng)
        elif incident == "wrong-rate-for-one-speaker" and speaker == plants.wronged(source.name):
            clip = plants.too_fast(clip)
        yield Call(
            id=f"s{seed}-d{number:02d}-{i:04d}",
            time=start + timedelta(seconds=round(float(times[i]), 3)),
            photo=photo,
            clip=None if silent[i] else clip,
            hint=hint(truth, rng),
            groups={"speaker": speaker, "site": SITES[sites[i]]},
            truth=str(truth),
        )
