"""What figures of change compare and what a value of them says, in plain words: one home for these sentences, by metric."""

from __future__ import annotations

import math
from collections.abc import Iterable

from auditor.core.measurement import Measurement
from auditor.registry import vocabulary
from auditor.wording.details import detail
from auditor.wording.numbers import chance, number, percent, rarity, span_of


def name(metric: str) -> str:
    """What tables call the metric.

    >>> name("drift.ks"), name("drift.new_one")
    ('KS', 'new one')
    """
    spec = vocabulary().metric(metric)
    return (spec.short if spec is not None else "") or metric.partition(".")[2].replace("_", " ")


def says(m: Measurement) -> str:
    """One sentence about the figure's value, with what its ends would mean; empty for what is no figure of change."""
    spec = vocabulary().metric(
        m.metric if m.metric != "drift.evidently" else f"drift.{m.attributes.get('component', '')}"
    )
    if spec is None or m.value is None:
        return ""
    template = next((text for top, text in spec.reads if top is None or m.value <= top), "")
    text = template.format(**_fields(m.value, m)) if template else ""
    return f"{text[0].upper()}{text[1:]}." if text else ""


def explained(measurements: Iterable[Measurement]) -> list[str]:
    """What each metric of these figures compares, one sentence each."""
    there = {m.metric for m in measurements if m.value is not None}
    known = [spec.compares for name, spec in vocabulary().metrics.items() if name in there]
    return list(dict.fromkeys(text for text in known if text))


def share_moved_psi(psi: float) -> float:
    """The most that two distributions can differ (total variation) at a population stability index: sqrt(psi) / 2.

    Pinsker's inequality, both ways; psi is the sum of both Kullback-Leibler divergences, in nats.
    """
    return min(1.0, math.sqrt(max(psi, 0.0)) / 2)


def share_moved_jensen_shannon(distance: float) -> tuple[float, float]:
    """The least and the most that two distributions can differ (total variation) at a Jensen-Shannon distance, base 2.

    d^2 <= TV (Lin 1991, theorem 3) and TV <= d sqrt(2 ln 2) (Pinsker's inequality to the mixture).
    """
    return distance**2, min(1.0, distance * math.sqrt(2 * math.log(2)))


def _fields(value: float, m: Measurement) -> dict[str, str]:
    """What templates of `MetricSpec.reads` may name."""
    low, high = (f"{percent(share)} %" for share in share_moved_jensen_shannon(value))
    often = (
        "" if m.p_value is None else f": what counts is how often chance alone makes as much, here {chance(m.p_value)}"
    )
    return {
        "number": number(value),
        "percent": percent(value),
        "hundredfold": f"{100 * value:.0f}",
        "lost": percent(1 - max(value, 0.0)),
        "rarity": rarity(value),
        "often": often,
        "beside": f"; of the raw distance, {detail(m)}" if m.facts else "",
        "moved_by_psi": percent(share_moved_psi(value)),
        "moved_by_jensen_shannon": low if low == high else span_of(low, high),
    }
