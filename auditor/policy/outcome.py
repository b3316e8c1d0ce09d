"""From the series of one slice and input to one outcome: all of them must hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from auditor.core.catalogue import HEAD
from auditor.core.measurement import Measurement, Status
from auditor.core.window import Span
from auditor.policy.budget import Allowance
from auditor.policy.decision import Finding, Truth, chance, decide, is_e_value
from auditor.policy.schema import Condition, Control, MetricEvidence

_NO_FIGURE = ("below_min_samples", "labels_not_due")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the evidence of one slice and input says, before anyone remembers the past.

    Attributes
    ----------
    report, alert : Truth
        Deciding the word, moving the state machine.
    deciding : Measurement or None
        The figure it hangs on.
    e_value : Measurement or None
        What bets on that figure's series have won, where the control asks for it.
    beyond : tuple of Measurement
        All figures that break the rule, the deciding one first.
    missing : tuple of Measurement
        Series without a usable figure.
    silent : bool
        There was no usable figure at all.
    current : bool
        The evidence belongs to this window (older evidence is shown, but moves no state).
    cleared, in_warn_band : bool
    """

    report: Truth
    alert: Truth
    reason: str
    deciding: Measurement | None = None
    e_value: Measurement | None = None
    series: tuple[Measurement, ...] = ()
    beyond: tuple[Measurement, ...] = ()
    missing: tuple[Measurement, ...] = ()
    silent: bool = False
    current: bool = True
    cleared: bool = False
    in_warn_band: bool = False
    allowance: Allowance | None = None
    tested: int = 0
    """Series whose figures spent a part of the allowance."""


def unknown(reason: str) -> Outcome:
    """The outcome of no evidence at all."""
    return Outcome(Truth.UNKNOWN, Truth.UNKNOWN, reason, silent=True)


def judge_series(
    control: Control,
    evidence: MetricEvidence,
    series: Sequence[Measurement],
    e_values: Mapping[str, Measurement],
    span: Span,
    now: datetime,
    *,
    sliced: bool,
    allowance: Allowance | None,
    silence: Measurement | None,
) -> Outcome:
    """Decide every series and join them.

    A breach anywhere is a breach; else an error is an error; else a figure that cannot decide leaves it unknown; else as
    many series as the quorum asks for must have a figure. Series that do not apply count only when nothing else is there;
    `silence` speaks where there is no series at all.
    """
    condition = control.condition
    series = series or ([silence] if silence is not None else [])
    if condition is None or not series:
        return unknown("no_data")
    apply = [m for m in series if m.status is not Status.NOT_APPLICABLE] or list(series)
    least = control.window.per_slice if sliced else control.window.total
    due = span.end + control.window.label_delay if control.window.label_delay is not None else None
    alpha = allowance.alpha if control.budgeted and allowance is not None else None
    judged = partial(_decide_all, apply, e_values, least, alpha, due, now)
    findings = judged(condition)
    figures = [f for f in findings if not _lacks_figure(f)]
    missing = tuple(f.measurement for f in findings if _lacks_figure(f))
    report, reason, deciding = _join(findings, figures, evidence.quorum, lambda f: f.report)
    alert = _join(findings, figures, evidence.quorum, lambda f: f.alert)[0]
    beyond = sorted((f for f in figures if f.report is Truth.FALSE or f.alert is Truth.FALSE), key=_worst_first)
    clear = condition if control.clear.value is None else _moved(condition, control.clear.value)
    return Outcome(
        report,
        alert,
        reason,
        deciding=deciding.measurement if deciding else None,
        e_value=deciding.e_value if deciding else None,
        series=tuple(series),
        beyond=tuple(f.measurement for f in beyond),
        missing=missing,
        silent=not figures,
        current=any(f.measurement.end == span.end for f in findings),
        cleared=all(f.alert is Truth.TRUE for f in judged(clear) if not _lacks_figure(f)),
        in_warn_band=control.warn is not None
        and any(
            f.report is not Truth.TRUE and not _lacks_figure(f)
            for f in _decide_all(apply, {}, least, None, due, now, control.warn)
        ),
        allowance=allowance if control.budgeted else None,
        tested=tested(series, e_values),
    )


def tested(series: Sequence[Measurement], e_values: Mapping[str, Measurement]) -> int:
    """How many series can be held against a level."""
    return sum(m.status is Status.OK and chance(m, e_values.get(m.series)) is not None for m in series)


def _decide_all(
    series: Sequence[Measurement],
    e_values: Mapping[str, Measurement],
    least: int,
    alpha: float | None,
    due: datetime | None,
    now: datetime,
    condition: Condition,
) -> list[Finding]:
    return [
        decide(m, condition, least, alpha=alpha, e_value=e_values.get(m.series), labels_due=due, now=now)
        for m in series
    ]


def _lacks_figure(finding: Finding) -> bool:
    return finding.measurement.value is None or finding.reason in _NO_FIGURE


def _join(
    findings: Sequence[Finding], figures: Sequence[Finding], quorum: float, of: Callable[[Finding], Truth]
) -> tuple[Truth, str, Finding | None]:
    for truth in (Truth.FALSE, Truth.ERROR, Truth.UNKNOWN):
        among = findings if truth is Truth.ERROR else figures
        hits = sorted((f for f in among if of(f) is truth), key=_worst_first)
        if hits:
            return truth, hits[0].reason, hits[0]
    if len(figures) < quorum * len(findings):
        reasons = Counter(f.reason for f in findings if _lacks_figure(f))
        reason = min(reasons, key=lambda word: (-reasons[word], word))
        return Truth.UNKNOWN, reason, min(figures, key=_worst_first, default=None)
    return Truth.TRUE, "", min(figures, key=_worst_first)


def _worst_first(finding: Finding) -> tuple[bool, float, float, str]:
    """The least likely first; of those that broke the rule, what the payload shows before what the model makes of it."""
    level = finding.chance
    broken = finding.report is Truth.FALSE
    inner = broken and finding.measurement.attributes.get("column", "").startswith(HEAD)
    weight = (level if level is not None else 1.0) if broken or is_e_value(finding.measurement) else 0.0
    return inner, weight, -finding.excess, finding.measurement.series


def _moved(condition: Condition, value: float) -> Condition:
    return replace(
        condition, low=None if condition.low is None else value, high=None if condition.high is None else value
    )
