"""A figure in words: its value and its doubt."""

from __future__ import annotations

from auditor.core.measurement import How, Measurement, Status
from auditor.registry import vocabulary
from auditor.wording.numbers import capital, chance, number, quantity, span_of
from auditor.wording.reasons import reason
from auditor.wording.vocabulary import HOW


def figure(m: Measurement) -> str:
    """The figure with its doubt, or why there is none; never a bare number, never a zero for an absence."""
    if m.value is None:
        return f"not known: {reason(m.reason)}{count_of(m)}"
    shown = value(m)
    doubts = [interval_text(m), count_of(m).removeprefix(" (").removesuffix(")")]
    if m.how is not How.MEASURED:
        doubts.append(HOW[m.how])
    if not m.exact and m.bound:
        doubts.append(f"approximate within {number(m.bound, 2)}")
    inside = "; ".join(part for part in doubts if part)
    return f"{shown} ({inside})" if inside else shown


def value(m: Measurement) -> str:
    """The bare value, for tables whose other columns show its doubt; why there is none, when there is none."""
    if m.value is None:
        return reason(m.reason)
    shown, spec = quantity(m.value, m.unit, m.metric), vocabulary().metric(m.metric)
    return (
        f"{shown}, less than chance alone: no change" if m.value < 0 and spec is not None and spec.unbiased else shown
    )


def interval_text(m: Measurement) -> str:
    """`95 % interval 61 to 78 %`, or nothing."""
    if m.interval is None:
        return ""
    low, high = (quantity(edge, m.unit, m.metric) for edge in (m.interval.lower, m.interval.upper))
    return f"{100 * m.interval.level:g} % interval {span_of(low, high)}"


def count_of(m: Measurement) -> str:
    """` (n = 400, baseline n = 2,800)`, or nothing where no record was counted."""
    if not m.n and m.status is not Status.OK:
        return ""
    base = f", baseline n = {m.n_baseline:,}" if m.n_baseline else ""
    return f" (n = {m.n:,}{base})"


def how_sure(m: Measurement) -> str:
    """The doubt behind a figure as a clause: interval, p-value as a frequency, and n."""
    if m.value is None:
        return f"Not known: {reason(m.reason)}{count_of(m)}"
    parts = []
    if m.p_value is not None:
        null = "the groups did not differ" if m.metric.startswith("fairness.") else "nothing had changed"
        parts.append(f"if {null}: {chance(m.p_value)}")
    if text := interval_text(m):
        parts.append(text)
    base = f" in the window, {m.n_baseline:,} in the baseline" if m.n_baseline else ""
    parts.append(f"{m.n:,} records{base}")
    if m.how is not How.MEASURED:
        parts.append(HOW[m.how])
    return capital("; ".join(parts))
