"""The fairness report: outcomes by group with their intervals. It assesses; it does not call anything fair."""

from __future__ import annotations

from datetime import datetime

from auditor import wording
from auditor.core.measurement import Measurement, Status
from auditor.core.verdict import Verdict, Word
from auditor.core.window import Span
from auditor.ports import Queries
from auditor.reports import parts
from auditor.reports.evidence import Evidence, gather
from auditor.reports.model import Bar, Intervals, Report, Section, Table
from auditor.reports.rules import Rules
from auditor.reports.stories import stories

FAMILIES = ("fairness", "quality", "labels")


def build(queries: Queries, model: str, span: Span, *, generated: datetime, rules: Rules | None = None) -> Report:
    """The report about one model over one period."""
    return tell(gather(queries, model, span, rules), generated=generated)


def tell(evidence: Evidence, *, generated: datetime) -> Report:
    """The report from evidence that was gathered already."""
    return parts.report(
        evidence,
        kind="fairness",
        title="Fairness report",
        question="How do the model's outcomes differ between groups, and how sure can one be with so many records?",
        generated=generated,
        families=FAMILIES,
        summary=_summary(evidence),
        sections=[
            parts.alerts_section(evidence, [alert for alert in evidence.alerts if alert.kind == "bias"]),
            *(_feature_section(evidence, feature) for feature in features(evidence)),
            _unfeatured(evidence),
        ],
        method=(
            "Rates of groups carry Wilson intervals. A group with fewer records than the control asks for is listed with its "
            "n and left out of the gap: it is too small to judge, which is not the same as unharmed.",
            "The largest difference between groups is above zero even where all groups are treated alike; its p-value says "
            "how often a difference this large would appear by chance.",
            "There is no single definition of fairness. Which rate matters, and which difference is acceptable, depends on "
            "who is harmed by which error.",
        ),
    )


def features(evidence: Evidence) -> list[str]:
    """Features whose groups have figures, in alphabetical order."""
    return sorted({m.attributes["feature"] for m in evidence.of("fairness.") if "feature" in m.attributes})


def rates(evidence: Evidence, feature: str) -> list[str]:
    """Metrics that have a figure by group of this feature: accuracy first."""
    found = {m.metric for m in evidence.of("fairness.", feature=feature) if "group" in m.attributes}
    return sorted(found, key=lambda name: (name != "fairness.accuracy", name))


def groups(measurements: list[Measurement]) -> list[Measurement]:
    """Those of groups: figures first, lowest at the top, then groups that are too small, then `unknown`."""
    by_group = [m for m in measurements if "group" in m.attributes]
    return sorted(by_group, key=lambda m: (m.value is None, m.value or 0.0, m.attributes["group"]))


def gap_sentence(m: Measurement) -> str:
    """The gap of a feature in one paragraph."""
    name = wording.metric_name(m.metric)
    start = f"{name[0].upper()}{name[1:]} ({wording.subject(m.attributes)})"
    if m.value is None:
        return f"{start} is not known: {wording.reason(m.reason)}."
    told = wording.detail(m)
    note = f" {told[0].upper()}{told[1:]}." if told else ""
    return f"{start}: {wording.quantity(m.value, m.unit, m.metric)}.{note} {wording.how_sure(m)}."


def compared(evidence: Evidence, feature: str) -> list[tuple[str, str, str]]:
    """Each outcome in the last window: what was compared, with which result, and the figure or why there is none.

    No difference beyond a limit, one that no control is about, one that could not be judged, one that does not apply and one that
    nobody measured are five things.
    """
    rows = []
    for m in evidence.latest("fairness.", feature=feature):
        if not m.metric.endswith(".difference"):
            continue
        verdicts = [v for v in evidence.verdicts if v.end == m.end and m.id in v.evidence]
        outcome = wording.metric_name(m.metric.removesuffix(".difference"))
        told = wording.detail(m) if m.value is not None else ""
        said = f"{wording.value(m)}; {told}" if told else wording.value(m)
        rows.append((outcome[0].upper() + outcome[1:], _result(m, verdicts), said))
    order = list(RESULTS)
    return sorted(rows, key=lambda row: (order.index(row[1]), row[0] != "Accuracy", row[0]))


RESULTS = (
    "difference beyond the limit",
    "could not be judged",
    "no control is about it",
    "no difference beyond the limit",
    "not measured",
    "does not apply",
)


def _result(m: Measurement, verdicts: list[Verdict]) -> str:
    if m.status is Status.NOT_APPLICABLE:
        return "does not apply"
    if m.value is None:
        return "not measured" if m.reason in ("no_data", "unlabelled", "not_measured") else "could not be judged"
    broken = [v for v in verdicts if v.underlying in (Word.FAIL, Word.WARN)]
    if any(v.evidence[0] == m.id or (v.limit is not None and m.value > v.limit) for v in broken):
        return "difference beyond the limit"
    said = {v.underlying for v in verdicts}
    if said & {Word.INSUFFICIENT_EVIDENCE, Word.ERROR}:
        return "could not be judged"
    return "no difference beyond the limit" if broken or Word.PASS in said else "no control is about it"


def _summary(evidence: Evidence) -> list[str]:
    names = features(evidence)
    if not names:
        return ["No feature was given with the records, so outcomes cannot be compared between groups."]
    sentences = [f"Outcomes were compared between groups of {wording.listing(names)}."]
    told = stories(evidence, [alert for alert in evidence.alerts if alert.kind == "bias"])
    sentences.append(parts.findings_or_calm(evidence, told, "alert about groups"))
    if standing := [story.title for story in told if story.is_open]:
        sentences.append(f"Open: {wording.listing(standing)}.")
    gaps = [m for m in evidence.latest("fairness.") if m.metric.endswith(".difference") and m.value is not None]
    if gaps:
        widest = max(gaps, key=lambda m: m.value or 0.0)
        sentences.append(f"Widest in the last window ({parts.last_window(evidence)}): {gap_sentence(widest)}")
    small = [m for m in evidence.latest("fairness.") if m.reason == "below_min_samples" and "group" in m.attributes]
    if small:
        unique = sorted({f"{wording.subject(m.attributes)} (n = {m.n})" for m in small})
        sentences.append(f"Too small to judge in the last window: {wording.listing(unique)}.")
    return sentences


def _feature_section(evidence: Evidence, feature: str) -> Section:
    mine = evidence.of("fairness.", feature=feature)
    marks, limits = parts.firing(evidence)
    latest = [m for m in mine if evidence.last is not None and m.end == evidence.last.end]
    drawings = [
        chart
        for metric in rates(evidence, feature)
        if (chart := group_intervals([m for m in latest if m.metric == metric], parts.last_window(evidence)))
    ]
    known = {m.series for m in mine if m.value is not None}
    gaps = [m for m in mine if m.metric.endswith(".difference") and m.series in known]
    over_time = parts.trends(
        evidence,
        gaps,
        "Largest difference between groups, window by window",
        label=lambda m: m.metric.removeprefix("fairness.").removesuffix(".difference").replace("_", " "),
        marks=marks,
        limits=limits,
    )
    rows = tuple(
        (m.attributes["group"], wording.metric_name(m.metric), wording.figure(m))
        for metric in rates(evidence, feature)
        for m in groups([m for m in latest if m.metric == metric])
    )
    return Section(
        id=f"feature-{feature}",
        title=f"By {feature.replace('_', ' ')}",
        text=tuple(gap_sentence(m) for m in latest if m.metric.endswith(".difference") and m.value is not None),
        drawings=(*drawings, *([over_time] if over_time else [])),
        tables=(
            Table(
                caption=f"What was compared, {parts.last_window(evidence)}",
                columns=("Outcome", "Result", "Largest difference between groups"),
                rows=tuple(compared(evidence, feature)),
            ),
            *((Table(columns=("Group", "Outcome", "Last window"), rows=rows),) if rows else ()),
        ),
        measurements=tuple(mine),
    )


def group_intervals(measurements: list[Measurement], when: str) -> Intervals | None:
    """Groups side by side, each with its interval; one without a figure shows why."""
    chosen = groups(measurements)
    if not chosen:
        return None
    bars = tuple(
        Bar(
            label=m.attributes["group"],
            value=m.value,
            lower=m.interval.lower if m.interval else None,
            upper=m.interval.upper if m.interval else None,
            text=f"{wording.quantity(m.value, m.unit, m.metric)}, n = {m.n:,}"
            if m.value is not None
            else f"{'too few records' if m.reason == 'below_min_samples' else wording.reason(m.reason)}, n = {m.n:,}",
        )
        for m in chosen
    )
    edges = [edge for bar in bars for edge in (bar.value, bar.lower, bar.upper) if edge is not None]
    low = min([*edges, 1.0])
    return Intervals(
        title=f"{wording.metric_name(chosen[0].metric).capitalize()} by group, {when}, with intervals",
        bars=bars,
        low=max(0.0, low - 0.05),
        high=max([*edges, 0.0]) or 1.0,
        note="Dots: the rate of each group. Whiskers: its 95 % interval.",
    )


def _unfeatured(evidence: Evidence) -> Section | None:
    if features(evidence):
        return None
    return Section(
        id="features",
        title="Groups",
        text=('Name features on each record (`record.group(site="north")`) to compare outcomes between their groups.',),
    )
