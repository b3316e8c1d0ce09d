"""What every report has: its head, the story of its alerts, the completeness of its record, its methods."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from auditor import __version__, wording
from auditor.core.catalogue import ALERTS
from auditor.core.measurement import How, Measurement
from auditor.core.verdict import Alert, Verdict, Word
from auditor.policy.lattice import all_of
from auditor.reports.evidence import Evidence, affected, series_of
from auditor.reports.gaps import find_gaps
from auditor.reports.model import Report, Section, Story, Table, Timeline, Trend, Trends
from auditor.reports.stories import beyond_with, stories
from auditor.wording import distances, periods, vocabulary

DRIFT_KINDS = ("alignment", "missing")
"""Kinds of alert that the page of drift shows beside those of the modalities."""


def report(
    evidence: Evidence,
    *,
    kind: str,
    title: str,
    question: str,
    generated: datetime,
    summary: Sequence[str],
    sections: Iterable[Section | None],
    families: tuple[str, ...] = (),
    method: Sequence[str] = (),
) -> Report:
    """The report around its own sections; sections that are None are left out."""
    kept = tuple(section for section in sections if section is not None)
    behind = [m for section in kept for m in section.measurements]
    return Report(
        kind=kind,
        title=title,
        question=question,
        model=evidence.model,
        span=evidence.span,
        generated=generated,
        engine=__version__,
        first_seen=evidence.first_seen,
        baseline=periods.baseline(evidence.baseline),
        baseline_id=evidence.baseline.id if evidence.baseline is not None else None,
        run=evidence.runs[-1].id if evidence.runs else "",
        records=sum(run.records for run in evidence.runs),
        windows=len(evidence.runs),
        digests=digests(evidence),
        freshness=tuple(evidence.freshness(generated)),
        broken={v.id: broken(evidence, [v]) for v in evidence.current if is_past_failure(evidence, [v])},
        gaps=find_gaps(evidence, families),
        summary=tuple(summary),
        sections=kept,
        method=(*method, *distances.explained(behind), *methods(behind), *_ALWAYS),
    )


_ALWAYS = (
    "Times are UTC. A window holds the records from its first moment up to, but not including, its last.",
    "A version is first seen in the earliest summarised hour that has a record of it; it may have served before.",
    "A p-value is the probability that unchanged data would look at least as different. It is not the probability that "
    "nothing changed, and it does not measure the size of a change.",
    "An interval covers the true value in the stated share of cases. n is the number of records behind a figure.",
    "Where a figure is absent, its reason stands in its place: an absence is never counted as a zero or as a pass.",
    "Every figure has an id, its method and the method's version in the JSON and CSV forms of this report.",
)


def methods(measurements: Iterable[Measurement]) -> list[str]:
    """One sentence for each method that made a figure of the report."""
    found: dict[tuple[str, str], set[str]] = {}
    for m in measurements:
        found.setdefault((m.method.name, m.method.version), set()).add(m.metric)
    return [
        f"{name} (version {version}) gave {wording.listing(sorted(metrics), most=8)}."
        for (name, version), metrics in sorted(found.items())
    ]


def digests(evidence: Evidence) -> dict[str, str]:
    """Digests of the policies, settings, frame and data that the last run stood on."""
    found: dict[str, str] = {}
    for run in evidence.runs:
        found.update({f"policy {name}": value for name, value in run.policies.items()})
    for verdict in evidence.current:
        found.setdefault(f"policy {verdict.policy}", verdict.policy_digest)
    if evidence.baseline is not None:
        found["frame"] = evidence.baseline.frame
    if evidence.runs:
        found["settings"] = evidence.runs[-1].settings
        found["last state"] = evidence.runs[-1].states
    return {name: value for name, value in found.items() if value}


def drift_alerts(evidence: Evidence) -> list[Alert]:
    """Alerts about change: of an input, between inputs, of what is missing, and of the answers."""
    return [
        alert
        for alert in evidence.alerts
        if alert.kind in DRIFT_KINDS
        or alert.kind not in ALERTS
        or ((m := evidence.deciding(evidence.verdict_of(alert))) is not None and m.metric.startswith("drift."))
    ]


def alerts_section(evidence: Evidence, chosen: Sequence[Alert], *, brief: bool = False) -> Section:
    """These alerts of the period, with their timeline; `brief` puts resolved ones into a table."""
    told = stories(evidence, chosen)
    if not told:
        text = periods.calm("alert of this kind", len(evidence.runs), evidence.empty)
        if any(v.verdict in (Word.INSUFFICIENT_EVIDENCE, Word.ERROR) for v in evidence.current):
            text += " Controls without evidence raise none: see the gaps above."
        return Section(id="alerts", title="Findings", text=(text,))
    behind = {m.id: m for story in told for m in story.measurements}
    return Section(
        id="alerts",
        title="Findings",
        text=(finding_counts(told), WHAT_A_FINDING_IS),
        stories=told,
        brief=brief,
        measurements=tuple(behind.values()),
        drawings=(timeline(evidence, told),),
    )


WHAT_A_FINDING_IS = "A finding is one figure beyond its limit. Each control that it breaks raises an alert."


def finding_counts(told: Sequence[Story]) -> str:
    """How many findings were open when the period ended, and how many were resolved during it, with their alerts."""
    standing, gone = ([story for story in told if story.is_open is state] for state in (True, False))
    counts = [(len(group), sum(1 + len(story.also) for story in group)) for group in (standing, gone)]
    return periods.findings(*counts[0], *counts[1])


def findings_or_calm(evidence: Evidence, told: Sequence[Story], what: str = "alert") -> str:
    """The counts; where there is none, that no alert was open, with the windows that could show none."""
    return finding_counts(told) if told else periods.calm(what, len(evidence.runs), evidence.empty)


def timeline(evidence: Evidence, told: Sequence[Story]) -> Timeline:
    """The findings as bars over the period, in the order in which they began."""
    rows: list[tuple[str, datetime, datetime | None]] = []
    for story in sorted(told, key=lambda s: (s.alert.opened, s.alert.kind)):
        start, end = affected(story.alert, evidence.span, evidence.step)
        rows.append((story.title, start, None if story.is_open else end))
    return Timeline(title="Windows in which it was seen (red: still open)", span=evidence.span, rows=tuple(rows))


def trends(
    evidence: Evidence,
    measurements: Sequence[Measurement],
    title: str,
    *,
    label: Callable[[Measurement], str] | None = None,
    limits: Mapping[str, float] | None = None,
    marks: Mapping[str, set[datetime]] | None = None,
    shared: bool = False,
    note: str = "",
) -> Trends | None:
    """Each series that has a figure as a row over the audited windows; None when there is nothing to draw.

    The note says how to read the drawing; `note` adds to it.
    """
    drawn = series_of(measurements)
    found = {key: series for key, series in drawn.items() if any(m.value is not None for m in series)}
    if not found or not evidence.windows:
        return None
    place = {window.end: i for i, window in enumerate(evidence.windows)}
    rows = []
    for key, series in found.items():
        values: list[float | None] = [None] * len(place)
        for m in series:
            if m.end in place:
                values[place[m.end]] = m.value
        last = series[-1]
        shown = wording.quantity(last.value, last.unit, last.metric) if last.value is not None else "not known"
        rows.append(
            Trend(
                label=label(last) if label else wording.subject(last.attributes) or wording.metric_name(last.metric),
                values=tuple(values),
                last=shown,
                limit=(limits or {}).get(key),
                marks=tuple(sorted(place[end] for end in (marks or {}).get(key, ()) if end in place)),
            )
        )
    rows.sort(key=lambda row: -max((value for value in row.values if value is not None), default=-1.0))
    read = [
        "Left to right: the audited windows; at the right: the last one.",
        "" if len(rows) < 2 else "One scale for all rows." if shared else "Each row has a scale of its own.",
        "Red dots: beyond the limit of a control that failed." if any(row.marks for row in rows) else "",
        "Dashed: the control's limit." if any(row.limit is not None for row in rows) else "",
        f"Without a figure, and left out: {len(drawn) - len(found)}." if len(found) < len(drawn) else "",
        note,
    ]
    return Trends(
        title=title,
        windows=evidence.windows,
        rows=tuple(rows),
        shared=shared,
        note=" ".join(part for part in read if part),
    )


def firing(evidence: Evidence) -> tuple[dict[str, set[datetime]], dict[str, float]]:
    """By series: ends of the windows in which it lay beyond the limit of a control that failed, and the newest such limit.

    Figures over longer stretches than a window are left out: they are no points of the drawings.
    """
    marks: dict[str, set[datetime]] = {}
    limits: dict[str, float] = {}
    for verdict in evidence.verdicts:
        first = evidence.deciding(verdict)
        if first is None or first.span not in evidence.windows:
            continue
        failed = Word.FAIL in (verdict.verdict, verdict.underlying)
        for m in evidence.evidence_of(verdict):
            if m.metric != first.metric or (verdict.limit is None and m is not first):
                continue
            if verdict.limit is not None:
                limits[m.series] = verdict.limit
            if failed and (m is first or beyond_with(m, first, verdict)):
                marks.setdefault(m.series, set()).add(verdict.end)
    return marks, limits


def capture_section(evidence: Evidence) -> Section:
    """How complete the record is: seen, described, lost, labelled."""
    rows = []
    for metric in ("capture.seen", "capture.described", "capture.dropped"):
        figures = [m for m in evidence.of(metric) if m.value is not None]
        total = sum(m.value or 0.0 for m in figures)
        shown = f"{total:,.0f}" if figures else "not known: nothing reported this figure"
        rows.append((wording.metric_name(metric).capitalize(), shown))
    rows.append(("Records in the audited windows", f"{sum(run.records for run in evidence.runs):,}"))
    rows.append(("Records with ground truth", f"{sum(run.labelled for run in evidence.runs):,}"))
    coverage = evidence.of("capture.coverage")
    drawing = trends(evidence, coverage, "Share of the calls seen that reached the archive")
    return Section(
        id="record",
        title="How complete the record is",
        text=(
            "Every figure rests on the records that arrived. The agent counts lost records by reason, so that loss and an idle "
            "model can be distinguished.",
        ),
        tables=(Table(columns=("In the period", "Count"), rows=tuple(rows), numeric=("Count",)),),
        drawings=(drawing,) if drawing else (),
        measurements=tuple(m for metric in ("capture.", "labels.coverage") for m in evidence.of(metric)),
    )


def how_words(measurements: Iterable[Measurement]) -> str:
    """How the figures were obtained, in words: `measured`, or `modelled, not metered`."""
    kinds = sorted({m.how for m in measurements if m.value is not None}, key=list(How).index)
    return wording.listing([vocabulary.HOW[how] for how in kinds]) or "not known"


def verdicts_where(evidence: Evidence, wanted: Callable[[Verdict], bool]) -> tuple[Verdict, ...]:
    """Current verdicts that satisfy `wanted`, gravest first."""
    return tuple(verdict for verdict in evidence.current if wanted(verdict))


HELD = ("recovering", "held_no_data", "held_error", "held_last")
WITHOUT_VERDICT = ("interval_straddles_threshold", "not_significant")


def _windows(evidence: Evidence, verdicts: Sequence[Verdict]) -> tuple[int, int, int]:
    """Of the windows with a verdict of these controls: broken ones, all, and those without a verdict.

    A window in which an alert merely stayed open, because nothing could be shown either way, is not one in which a control
    was broken. One in which the figure was too near the limit to say is not one in which it held.
    """
    keys = {verdict.key for verdict in verdicts}
    own = [verdict for verdict in evidence.verdicts if verdict.key in keys]
    failed = {v.start for v in own if v.underlying is Word.FAIL and v.reason not in (*HELD, *WITHOUT_VERDICT)}
    open_ = {v.start for v in own if v.reason in WITHOUT_VERDICT} - failed
    return len(failed), len({v.start for v in own}), len(open_)


def broken(evidence: Evidence, verdicts: Sequence[Verdict]) -> str:
    """The history that the newest verdict does not show: `7 of 21 windows broken, 2 without a verdict`."""
    return periods.broken(*_windows(evidence, verdicts))


def is_past_failure(evidence: Evidence, verdicts: Sequence[Verdict]) -> bool:
    """Whether these controls hold now and were broken in an earlier window of the period."""
    return all_of(v.verdict for v in verdicts) is Word.PASS and _windows(evidence, verdicts)[0] > 0


def standing(evidence: Evidence, verdicts: Sequence[Verdict]) -> tuple[str, Word]:
    """The word for controls together as readers see it, and the verdict whose colour it has: no green over a past failure."""
    if is_past_failure(evidence, verdicts):
        return vocabulary.BROKEN_EARLIER, Word.WARN
    word = all_of(v.verdict for v in verdicts) or Word.NOT_APPLICABLE
    return vocabulary.WORDS[word][0], word


def last_window(evidence: Evidence) -> str:
    """The last audited window in words."""
    return wording.window(evidence.last) if evidence.last is not None else "no audited window"
