"""The drift report: what changed against the baseline, by input and between inputs."""

from __future__ import annotations

from datetime import datetime

from auditor import wording
from auditor.core.measurement import Measurement
from auditor.core.window import Span
from auditor.ports import Queries
from auditor.reports import parts
from auditor.reports.evidence import Evidence, gather
from auditor.reports.model import Report, Section, Table
from auditor.reports.rules import Rules
from auditor.reports.stories import stories
from auditor.wording import distances, periods

FAMILIES = ("drift", "input", "alignment", "capture")
HEADLINE = "drift.ks"
"""The distance that stands for a column in drawings; others are in the tables."""


def build(queries: Queries, model: str, span: Span, *, generated: datetime, rules: Rules | None = None) -> Report:
    """The report about one model over one period; only what is stored, nothing recomputed."""
    return tell(gather(queries, model, span, rules), generated=generated)


def tell(evidence: Evidence, *, generated: datetime) -> Report:
    """The report from evidence that was gathered already."""
    return parts.report(
        evidence,
        kind="drift",
        title="Drift report",
        question="Do inputs and outputs still match the baseline? If not, where and since when?",
        generated=generated,
        families=FAMILIES,
        summary=_summary(evidence),
        sections=[
            parts.alerts_section(evidence, parts.drift_alerts(evidence)),
            *(_input_section(evidence, name) for name in inputs(evidence)),
            _missing(evidence),
            _alignment(evidence),
            parts.capture_section(evidence),
        ],
        method=(
            "Chance alone keeps a KS, Jensen-Shannon or Wasserstein distance and a PSI above 0: with few records, more so.",
        ),
    )


def inputs(evidence: Evidence) -> list[str]:
    """Names of inputs with drift figures, in alphabetical order; `` stands for the model's own output and service."""
    found = {m.attributes.get("input", "") for m in evidence.of("drift.") if "pair" not in m.attributes}
    return sorted(found - {""}) + ([""] if "" in found else [])


def modality_of(evidence: Evidence, name: str) -> str:
    """The modality of an input, or ``."""
    return next((m.attributes["modality"] for m in evidence.of("drift.", input=name) if "modality" in m.attributes), "")


def _summary(evidence: Evidence) -> list[str]:
    told = stories(evidence, parts.drift_alerts(evidence))
    standing = [story.title for story in told if story.is_open]
    figures = evidence.latest(HEADLINE)
    known = [m for m in figures if m.value is not None]
    sentences = [
        f"{wording.plural(len(evidence.runs), 'window')} of {evidence.model} "
        f"{'was' if len(evidence.runs) == 1 else 'were'} compared with {periods.baseline(evidence.baseline)}.",
        parts.findings_or_calm(evidence, told, "drift alert"),
    ]
    if standing:
        sentences.append(f"Open: {wording.listing(standing)}.")
    if known:
        top = max(known, key=lambda m: m.value or 0.0)
        sentences.append(
            f"In the last window ({parts.last_window(evidence)}) {wording.plural(len(known), 'column')} had a figure; the "
            f"furthest from its baseline is {wording.subject(top.attributes)}, {wording.figure(top)}. {distances.says(top)}"
        )
    elif figures:
        sentences.append(f"In the last window no column had a figure: {wording.reason(figures[0].reason)}.")
    return sentences


def _input_section(evidence: Evidence, name: str) -> Section | None:
    figures = [m for m in evidence.of("drift.") if m.attributes.get("input", "") == name and "pair" not in m.attributes]
    main = [m for m in figures if m.metric == HEADLINE]
    marks, limits = parts.firing(evidence)
    modality = modality_of(evidence, name) if name else ""
    title = f"Input {name} ({modality.replace('_', ' ')})" if modality else f"Input {name}" if name else "Outputs"
    drawing = parts.trends(
        evidence,
        main,
        "Distance to the baseline, window by window (Kolmogorov-Smirnov)",
        label=lambda m: wording.column(m.attributes.get("column", "")) or wording.metric_name(m.metric),
        marks=marks,
        limits=limits,
        shared=True,
    )
    return Section(
        id=f"input-{name}" if name else "output",
        title=title,
        drawings=(drawing,) if drawing else (),
        tables=(_table(evidence, figures),) if evidence.last else (),
        measurements=tuple(m for m in figures if evidence.last and m.end == evidence.last.end) + tuple(main),
    )


def _table(evidence: Evidence, figures: list[Measurement]) -> Table:
    assert evidence.last is not None
    latest = [m for m in figures if m.end == evidence.last.end]
    by_column: dict[str, list[Measurement]] = {}
    for m in latest:
        by_column.setdefault(m.attributes.get("column", ""), []).append(m)
    lines = [(_headline(mine), mine) for mine in by_column.values()]
    lines.sort(key=lambda line: (line[0].p_value if line[0].p_value is not None else 2.0, -(line[0].value or 0.0)))
    rows = tuple(
        (
            wording.column_of(main.attributes) or "all columns together",
            f"{wording.value(main)} ({distances.name(main.metric)})" if main.value is not None else wording.value(main),
            wording.chance(main.p_value) if main.p_value is not None else "no p-value",
            "; ".join(f"{distances.name(m.metric)} {wording.value(m)}" for m in mine if _beside(m, main)) or "–",
            f"{main.n:,}",
            wording.detail(main) or "–",
        )
        for main, mine in lines
    )
    return Table(
        caption=f"Last window, {parts.last_window(evidence)}. By chance alone: the p-value. "
        "What each figure compares: at the end of this report.",
        columns=("Column", "Distance", "By chance alone", "Other figures", "n", "In figures"),
        numeric=("n",),
        rows=rows,
    )


def _beside(m: Measurement, main: Measurement) -> bool:
    """Whether the table names it beside the headline: not without a figure, nor Evidently's, which has a report of its own."""
    return m is not main and m.value is not None and m.metric != "drift.evidently"


def _headline(figures: list[Measurement]) -> Measurement:
    """The figure that stands for a column: the distance of the drawings, else one with a p-value, else the first."""
    return min(figures, key=lambda m: (m.metric != HEADLINE, m.p_value is None))


def _missing(evidence: Evidence) -> Section | None:
    figures = evidence.of("input.missing_rate")
    if not figures:
        return None
    marks, limits = parts.firing(evidence)
    drawing = parts.trends(
        evidence, figures, "Share of records without the input", marks=marks, limits=limits, shared=True
    )
    rows = tuple((wording.subject(m.attributes), wording.figure(m)) for m in evidence.latest("input.missing_rate"))
    return Section(
        id="missing",
        title="Missing inputs",
        text=("An input counts as missing when the baseline has it and a record lacks it.",),
        drawings=(drawing,) if drawing else (),
        tables=(Table(columns=("Input", "Last window"), rows=rows),),
        measurements=tuple(figures),
    )


def _alignment(evidence: Evidence) -> Section | None:
    figures = evidence.of("alignment.")
    if not figures:
        return None
    marks, limits = parts.firing(evidence)

    def label(m: Measurement) -> str:
        return f"{wording.subject(m.attributes)}: {m.metric.removeprefix('alignment.')}"

    drawing = parts.trends(evidence, figures, "Agreement between inputs", label=label, marks=marks, limits=limits)
    rows = tuple(
        (
            wording.subject(m.attributes),
            wording.metric_name(m.metric),
            wording.figure(m),
            distances.says(m),
            wording.how_sure(m),
        )
        for m in evidence.latest("alignment.")
    )
    return Section(
        id="alignment",
        title="Do the inputs still belong together?",
        text=(
            "Each input can be unchanged while the pairs no longer match: for example, images and texts of different cases. "
            "These figures compare the pairs.",
        ),
        drawings=(drawing,) if drawing else (),
        tables=(Table(columns=("Pair", "Figure", "Last window", "In plain words", "How sure"), rows=rows),),
        measurements=tuple(figures),
    )
