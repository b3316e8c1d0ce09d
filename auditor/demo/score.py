"""What was found of what was planted: the matching rules of the contract, and the demo's result file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from auditor.core.verdict import Alert
from auditor.demo.plants import Planned


@dataclass(frozen=True, slots=True)
class Score:
    """Alerts matched with plants.

    Attributes
    ----------
    found_by : mapping of str to tuple of Alert
        By plant: alerts of its own kind (and input) opened in [start, end + 1 window).
    explained_by : mapping of str to str
        By alert: the plant in whose [start, end + 2 windows) it opened and whose `affects` holds its kind.
    """

    found_by: Mapping[str, tuple[Alert, ...]]
    explained_by: Mapping[str, str]
    missed: tuple[str, ...]
    false_alarms: tuple[str, ...]


def match(planned: Sequence[Planned], alerts: Sequence[Alert], window: timedelta) -> Score:
    """Match alerts with plants, by kind, input and the time they opened."""
    found_by: dict[str, tuple[Alert, ...]] = {}
    explained: dict[str, str] = {}
    for entry in planned:
        plant = entry.plant
        found_by[plant.id] = tuple(
            alert
            for alert in alerts
            if alert.kind == plant.kind
            and plant.input in (None, alert.input)
            and entry.start <= alert.opened < entry.end + window
        )
        for alert in alerts:
            if alert.kind in plant.affects and entry.start <= alert.opened < entry.end + 2 * window:
                explained.setdefault(alert.id, plant.id)
        # What found an incident is explained by it, before any other that overlaps.
        explained.update({alert.id: plant.id for alert in found_by[plant.id]})
    return Score(
        found_by,
        explained,
        missed=tuple(plant for plant, alerts_ in found_by.items() if not alerts_),
        false_alarms=tuple(alert.id for alert in alerts if alert.id not in explained),
    )


def result(
    *,
    seed: int,
    days: int,
    data: str,
    model: str,
    baseline: str,
    planned: Sequence[Planned],
    alerts: Sequence[Alert],
    score: Score,
    figures: Mapping[str, float | None],
    damaged: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """`HOME/demo/result.json`."""
    return {
        "schema": "auditor.demo/1",
        "seed": seed,
        "days": days,
        "data": data,
        "model": model,
        "baseline": baseline,
        "planted": [
            {
                **entry.as_json(),
                "found_by": [alert.id for alert in score.found_by[entry.plant.id]],
                "delay_s": min(
                    ((alert.opened - entry.start).total_seconds() for alert in score.found_by[entry.plant.id]),
                    default=None,
                ),
            }
            for entry in planned
        ],
        "alerts": [{**alert.as_json(), "explained_by": score.explained_by.get(alert.id)} for alert in alerts],
        "missed": list(score.missed),
        "false_alarms": list(score.false_alarms),
        "figures": dict(figures),
        "damaged": list(damaged),
    }
