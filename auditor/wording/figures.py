"""A figure in words: its clause, its value, its doubt; a verdict's place and title."""

from __future__ import annotations

from datetime import timedelta

from auditor.core.measurement import How, Measurement, Status
from auditor.core.verdict import Ref, Verdict
from auditor.wording.clauses import figure as said_by
from auditor.wording.clauses import limit as limit
from auditor.wording.metrics import metric_name, subject
from auditor.wording.numbers import chance, number, quantity, span_of
from auditor.wording.reasons import reason
from auditor.wording.times import length
from auditor.wording.vocabulary import FRAMEWORKS, HOW


def finding(m: Measurement) -> str:
    """What a figure says about the model, as a clause without a full stop; its uncertainty comes from `how_sure`."""
    if m.value is None:
        about = subject(m.attributes)
        return f"the {metric_name(m.metric)}{f' ({about})' if about else ''} is not known: {reason(m.reason)}"
    return said_by(m)


def reach(m: Measurement, step: timedelta) -> str:
    """` over 7 days`, when a figure is about more than one window; else nothing."""
    return "" if m.span.duration == step else f" over {length(m.span.duration)}"


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


UNBIASED = ("drift.frechet", "drift.kid", "drift.mmd2")
"""Distances from which what chance alone adds is taken off, so that they can fall below 0."""


def value(m: Measurement) -> str:
    """The bare value, for tables whose other columns tell its doubt; why there is none, when there is none."""
    if m.value is None:
        return reason(m.reason)
    shown = quantity(m.value, m.unit, m.metric)
    return f"{shown}, less than chance alone: no change" if m.value < 0 and m.metric in UNBIASED else shown


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


def how_sure(m: Measurement | None) -> str:
    """One sentence about the doubt behind a figure: interval, p-value as a frequency, and n."""
    if m is None:
        return "The figure behind this verdict is not in the chosen period."
    if m.value is None:
        return f"Nothing can be said: {reason(m.reason)}{count_of(m)}."
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
    sentence = "; ".join(parts)
    return sentence[0].upper() + sentence[1:] + "."


def title_of(control: str) -> str:
    """A control's id as a heading.

    >>> title_of("drift-image")
    'Drift image'
    """
    plain = control.replace("-", " ").replace("_", " ").strip()
    return plain[:1].upper() + plain[1:]


def where(item: Verdict) -> str:
    """What part of the traffic a verdict speaks of."""
    parts = [f"input {item.input}"] if item.input else []
    if item.slice != "overall":
        parts.append(item.slice.replace("&", " and ").replace("=", " = "))
    return ", ".join(parts) or "all traffic"


def framework(src: str) -> str:
    """The full name of a source of rules."""
    return FRAMEWORKS.get(src, src)


def provision(ref: Ref) -> str:
    """`Art. 15(1)` with its framework's short key."""
    return f"{ref.at} ({ref.src})"
