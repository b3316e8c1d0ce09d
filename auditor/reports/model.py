"""What a report is, before anyone decides whether it becomes HTML, JSON or CSV."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Any

from auditor.core.measurement import Measurement
from auditor.core.verdict import Alert, Verdict
from auditor.core.window import Span, format_time
from auditor.wording.vocabulary import STATEMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something that is not known, and what that leaves open.

    Attributes
    ----------
    code : str
        The reason code, stable.
    text : str
        One sentence for a reader.
    fix : str
        What would close the gap, when that is known.
    articles : tuple of (source, provision)
        Provisions left without evidence; empty when the gap is not about one.
    """

    code: str
    text: str
    fix: str = ""
    articles: tuple[tuple[str, str], ...] = ()
    control: str | None = None
    title: str = ""
    """Title of the control."""
    slice: str | None = None
    input: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "reason": self.code,
            "text": self.text,
            "fix": self.fix,
            "article": self.articles[0][1] if self.articles else None,
            "articles": [{"framework": source, "article": at} for source, at in self.articles],
            "control": self.control,
            "slice": self.slice,
            "input": self.input,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """An alert as a reader needs it: what changed, since when, how sure, what to do next."""

    alert: Alert
    title: str
    what: str
    plainly: str
    """What the deciding figure's value says, where it is one of change; else empty."""
    since: str
    sure: str
    next: str
    is_open: bool
    also: tuple[Alert, ...] = ()
    """Alerts of other controls that the same figure decided."""
    verdict: Verdict | None = None
    measurements: tuple[Measurement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text under column names; `numeric` names the columns that are set to the right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    numeric: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """One series over the windows of the period; None where there is no number. Values are in the unit of the label."""

    label: str
    values: tuple[float | None, ...]
    last: str
    limit: float | None = None
    marks: tuple[int, ...] = ()
    """Places in `values` to mark: windows in which a control was firing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trends:
    """Small multiples that share the period's windows."""

    title: str
    windows: tuple[Span, ...]
    rows: tuple[Trend, ...]
    shared: bool = False
    """Whether all rows have one scale, so that calm and loud series can be told apart."""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A figure with its interval; `value` is None where there is no number, and `text` then says why."""

    label: str
    value: float | None
    lower: float | None
    upper: float | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """Figures side by side on one scale."""

    title: str
    bars: tuple[Bar, ...]
    low: float
    high: float
    line: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Alerts over the period: (label, opened, resolved or None, open at the end)."""

    title: str
    span: Span
    rows: tuple[tuple[str, datetime, datetime | None], ...]


Drawing = Trends | Intervals | Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A figure beside the same figure of earlier windows that are as long and were measured in the same way."""

    figure: Measurement
    earlier: tuple[Measurement, ...]
    """Those with a value, by window."""
    begun: Mapping[str, datetime] = field(default_factory=dict)
    """Model versions first seen among them: a range over two versions is the measure of neither."""

    @property
    def values(self) -> list[float]:
        return [m.value for m in self.earlier if m.value is not None]

    def as_json(self) -> dict[str, Any]:
        values = self.values
        return {
            "measurement": self.figure.id,
            "windows": len(values),
            "median": median(values) if values else None,
            "lowest": min(values, default=None),
            "highest": max(values, default=None),
            "unit": self.figure.unit,
            "how": str(self.figure.how),
            "begun": {version: format_time(at) for version, at in self.begun.items()},
            "earlier": [m.id for m in self.earlier],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a report. `text` are paragraphs; measurements and verdicts are what they rest on."""

    id: str
    title: str
    text: tuple[str, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    stories: tuple[Story, ...] = ()
    tables: tuple[Table, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    spreads: tuple[Spread, ...] = ()
    """Figures beside those of earlier windows."""
    brief: bool = False
    """Whether resolved alerts are told in a line each."""
    cards: bool = True
    """Whether its verdicts are told one by one, or only carried."""
    conclusion: bool = False
    """Whether the section is an empty box that a person fills in."""

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "title": self.title,
            "text": list(self.text),
            "measurements": [m.as_json() for m in self.measurements],
            "verdicts": [v.as_json() for v in self.verdicts],
            "spreads": [s.as_json() for s in self.spreads],
            "alerts": [
                {
                    "alert": s.alert.as_json(),
                    "also": [alert.as_json() for alert in s.also],
                    "title": s.title,
                    "what_changed": s.what,
                    "in_plain_words": s.plainly,
                    "since_when": s.since,
                    "how_sure": s.sure,
                    "next": s.next,
                }
                for s in self.stories
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Evidence about one model over one period. `generated` is handed in: nothing here reads a clock."""

    kind: str
    title: str
    question: str
    model: str
    span: Span
    generated: datetime
    engine: str
    first_seen: Mapping[str, datetime]
    """Model versions of the period, oldest first, each with the hour in which it was first seen."""
    baseline: str
    """The baseline in words."""
    baseline_id: str | None
    run: str
    """The newest audit run of the period; empty when there was none."""
    records: int
    windows: int
    digests: Mapping[str, str] = field(default_factory=dict)
    freshness: tuple[str, ...] = ()
    """Sentences about the age of the data, where they are old."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """By id of a current verdict that passes: in how many windows of the period its control was broken, where it was."""
    gaps: tuple[Gap, ...] = ()
    summary: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    method: tuple[str, ...] = ()

    @property
    def measurements(self) -> list[Measurement]:
        """Every measurement that a section rests on, once, in order."""
        return list({m.id: m for section in self.sections for m in section.measurements}.values())

    def as_json(self) -> dict[str, Any]:
        """The contract's JSON."""
        return {
            "schema": "auditor.report/1",
            "kind": self.kind,
            "title": self.title,
            "statement": STATEMENT,
            "model": self.model,
            "versions": list(self.first_seen),
            "first_seen": {version: format_time(at) for version, at in self.first_seen.items()},
            "start": format_time(self.span.start),
            "end": format_time(self.span.end),
            "baseline": self.baseline,
            "records": self.records,
            "windows": self.windows,
            "engine": self.engine,
            "generated": format_time(self.generated),
            "digests": dict(self.digests),
            "freshness": list(self.freshness),
            "broken": dict(self.broken),
            "gaps": [gap.as_json() for gap in self.gaps],
            "summary": list(self.summary),
            "sections": [section.as_json() for section in self.sections],
            "method": list(self.method),
        }
