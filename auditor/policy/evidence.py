"""Which measurements a control looks at, and how they fall into slices and inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from auditor.core.measurement import Measurement, Status
from auditor.core.verdict import Verdict
from auditor.core.window import DAY, Span
from auditor.policy.decision import is_e_value
from auditor.policy.schema import ANY, Control, MetricEvidence

Group = tuple[str, str | None]
"""Slice and input: what gets one verdict."""
OVERALL = "overall"
RETIRED_AFTER = 28 * DAY
"""How long a slice that is well may be silent before nobody asks for it any more."""


@dataclass(slots=True)
class Gathered:
    """A control's evidence in one window.

    Attributes
    ----------
    groups : dict of Group to list of Measurement
        Series by slice and input; a group that was judged before and has nothing now has an empty list.
    silence : Measurement or None
        An absent figure of the metric as a whole (no baseline, a plugin that failed): it speaks for empty groups.
    e_values : dict of str to Measurement
        By series, its e-value, where the control asks for one and a monitor follows the series.
    """

    groups: dict[Group, list[Measurement]] = field(default_factory=dict)
    silence: Measurement | None = None
    e_values: dict[str, Measurement] = field(default_factory=dict)


def gather(
    control: Control,
    evidence: MetricEvidence,
    measurements: Sequence[Measurement],
    before: Sequence[Verdict],
    span: Span,
) -> Gathered:
    """Select, window and group a control's measurements.

    Parameters
    ----------
    before : sequence of Verdict
        The control's last verdicts of this model: groups that were judged are asked for again.
    """
    found = Gathered()
    for measurement in _windowed(
        [m for m in measurements if m.metric == evidence.metric and m.version is None], control, span
    ):
        if measurement.status is not Status.OK and not measurement.attributes:
            found.silence = measurement
        elif matches(measurement, evidence):
            slice_ = slice_of(measurement, evidence)
            if slice_ is not None:
                found.groups.setdefault((slice_, measurement.attributes.get("input")), []).append(measurement)
    if control.significance == "e-value":
        bets = [m for m in measurements if is_e_value(m) and m.value is not None and m.version is None]
        series = (m for group in found.groups.values() for m in group)
        found.e_values = {m.series: bet for m in series if (bet := _bet_on(m, bets)) is not None}
    for verdict in before:
        if not retired(verdict, control, span):
            found.groups.setdefault((verdict.slice, verdict.input), [])
    if not found.groups:
        found.groups[OVERALL, None] = []
    return found


def _bet_on(measurement: Measurement, bets: Sequence[Measurement]) -> Measurement | None:
    attributes = bet_attributes(measurement)
    return next((m for m in bets if m.end == measurement.end and m.attributes == attributes), None)


def bet_attributes(measurement: Measurement) -> dict[str, str]:
    """Attributes of the e-value of the same column, or of the same pair by the score that the metric is named after."""
    return {"column": measurement.metric.split(".")[1], **measurement.attributes}


def matches(measurement: Measurement, evidence: MetricEvidence) -> bool:
    """Whether the attributes are what `where` asks for.

    None asks for an attribute's absence, `ANY` for its presence, `!value` for its presence with another value.
    """
    at = measurement.attributes
    return all(
        name not in at if wanted is None else name in at and _fits(at[name], wanted)
        for name, wanted in evidence.wanted().items()
    )


def _fits(value: str, wanted: Sequence[str]) -> bool:
    refused = [word[1:] for word in wanted if word.startswith("!")]
    return value not in refused if refused else wanted == ANY or value in wanted


def slice_of(measurement: Measurement, evidence: MetricEvidence) -> str | None:
    """`overall`, or `feature=value` (crossed features sorted and joined by `&`); None when `sliceBy` does not ask for it."""
    feature, group = measurement.attributes.get("feature"), measurement.attributes.get("group")
    asked = evidence.slice_by
    if group is None or feature is None:
        wanted = not asked or OVERALL in asked or (feature is not None and (feature in asked or "*" in asked))
        return OVERALL if wanted else None
    if feature not in asked and "*" not in asked:
        return None
    names, values = feature.split("&"), group.split("&")
    if len(names) != len(values):
        return f"{feature}={group}"
    return "&".join(sorted(f"{name}={value}" for name, value in zip(names, values)))


def modality_of(measurements: Sequence[Measurement], evidence: MetricEvidence) -> str | None:
    """The modality that all series share, else the only one that `where` allows."""
    seen = Counter(m.attributes.get("modality") for m in measurements)
    if len(seen) == 1:
        return next(iter(seen))
    wanted = evidence.wanted().get("modality")
    named = wanted and wanted != ANY and not wanted[0].startswith("!")
    return wanted[0] if wanted and named and len(wanted) == 1 and not seen else None


def _windowed(measurements: Sequence[Measurement], control: Control, span: Span) -> list[Measurement]:
    """The newest figure of each series inside the control's window: best the one over exactly that window.

    A window shorter than the audited one cannot be told apart afterwards: the audited window's figures are used.
    """
    reach = max(control.window.duration or timedelta(0), span.duration)
    exact = Span(span.end - reach, span.end)
    best: dict[str, Measurement] = {}
    for m in measurements:
        if m.start < exact.start or m.end > exact.end or (control.window.duration is None and m.span != span):
            continue
        held = best.get(m.series)
        if held is None or _rank(m, exact) > _rank(held, exact):
            best[m.series] = m
    return [best[series] for series in sorted(best)]


def _rank(measurement: Measurement, exact: Span) -> tuple[bool, float, float, int]:
    ends = measurement.end.timestamp()
    return measurement.span == exact, ends, -measurement.start.timestamp(), measurement.revision


def retired(verdict: Verdict, control: Control, span: Span) -> bool:
    """Whether a group that was judged before need not be asked for again: it never had evidence, or it is long gone."""
    if verdict.held_since is None:
        return True
    keep = max(RETIRED_AFTER, control.window.max_staleness or RETIRED_AFTER)
    return verdict.slice != OVERALL and verdict.state == "ok" and span.end - verdict.held_since > keep
