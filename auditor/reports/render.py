"""A report as one self-contained HTML file, as JSON, or as CSV of its measurements."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auditor import wording
from auditor.core.errors import ConfigurationError
from auditor.core.measurement import Measurement
from auditor.core.verdict import Word
from auditor.core.window import format_time
from auditor.reports import svg
from auditor.reports.gaps import shortened
from auditor.reports.model import Drawing, Intervals, Report, Timeline, Trends
from auditor.wording import vocabulary

FORMATS = ("html", "json", "csv")


def render(report: Report, format: str) -> str:
    """The report in one of `FORMATS`; ConfigurationError `unknown_format` for any other."""
    if format == "html":
        return to_html(report)
    if format == "json":
        return to_json(report)
    if format == "csv":
        return to_csv(report)
    raise ConfigurationError("unknown_format", f"{format!r} is not a format", fix=f"one of {', '.join(FORMATS)}")


def to_json(report: Report) -> str:
    """The contract's document; a NaN would be an error, never a silent null."""
    return json.dumps(report.as_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


_COLUMNS = (
    "kind", "model", "period_start", "period_end", "baseline", "run", "metric",
    "value", "unit", "status", "reason", "n", "n_baseline", "lower", "upper", "level", "p_value", "how", "exact",
    "bound", "version", "start", "end", "revision", "attributes", "method", "method_version", "note", "id",
)  # fmt: skip


def to_csv(report: Report) -> str:
    """The gap register, the versions, one row for each measurement that the report rests on, and ranges of earlier windows.

    Every row names the model, the period, the baseline and the audit run; the last two of the figure itself, where the row
    is one, else of the newest run of the period. Absent numbers are empty cells.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, _COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()

    def write(row: Mapping[str, Any], of: Measurement | None = None) -> None:
        about = {
            "model": _cell(report.model),
            "period_start": format_time(report.span.start),
            "period_end": format_time(report.span.end),
            "start": format_time(report.span.start),
            "end": format_time(report.span.end),
            "baseline": (of.baseline if of is not None else report.baseline_id) or "",
            "run": of.run if of is not None else report.run,
        }
        writer.writerow({**about, **row})

    write({"kind": "statement", "note": vocabulary.STATEMENT})
    for gap in report.gaps:
        write({"kind": "gap", "reason": gap.code, "note": _cell(gap.text)})
    for version, at in report.first_seen.items():
        write({"kind": "version", "version": _cell(version), "start": format_time(at), "end": "", "note": "first seen"})
    for m in report.measurements:
        interval = m.interval
        write(
            {
                "kind": "measurement",
                "metric": m.metric,
                "value": m.value,
                "unit": m.unit,
                "status": str(m.status),
                "reason": m.reason,
                "n": m.n,
                "n_baseline": m.n_baseline,
                "lower": interval and interval.lower,
                "upper": interval and interval.upper,
                "level": interval and interval.level,
                "p_value": m.p_value,
                "how": str(m.how),
                "exact": str(m.exact).lower(),
                "bound": m.bound,
                "version": m.version,
                "start": format_time(m.start),
                "end": format_time(m.end),
                "revision": m.revision,
                "attributes": json.dumps(dict(sorted(m.attributes.items())), ensure_ascii=False),
                "method": m.method.name,
                "method_version": m.method.version,
                "note": _cell(wording.detail(m)),
                "id": m.id,
            },
            m,
        )
    for spread in (spread for section in report.sections for spread in section.spreads):
        told, figure = spread.as_json(), spread.figure
        write(
            {
                "kind": "earlier_windows",
                "metric": figure.metric,
                "value": told["median"],
                "unit": figure.unit,
                "reason": "" if told["windows"] else "no_earlier_window",
                "n": told["windows"],
                "lower": told["lowest"],
                "upper": told["highest"],
                "how": str(figure.how),
                "start": format_time(spread.earlier[0].start) if spread.earlier else "",
                "end": format_time(spread.earlier[-1].end) if spread.earlier else "",
                "attributes": json.dumps(dict(sorted(figure.attributes.items())), ensure_ascii=False),
                "note": "median, lowest and highest of n earlier windows",
                "id": figure.id,
            },
            figure,
        )
    return out.getvalue()


def _cell(text: str) -> str:
    """Free text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def to_html(report: Report) -> str:
    """One file: styles and drawings inside, no script, no request to anywhere; it prints on A4."""
    return str(
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            gaps=shortened(report.gaps),
            wording=wording,
            vocabulary=vocabulary,
            Word=Word,
            quiet_words=(Word.PASS, Word.NOT_APPLICABLE),
        )
    )


def draw(drawing: Drawing) -> str:
    """The drawing as inline SVG."""
    if isinstance(drawing, Trends):
        return svg.trends(drawing)
    if isinstance(drawing, Intervals):
        return svg.intervals(drawing)
    assert isinstance(drawing, Timeline)
    return svg.timeline(drawing)


def _prose(text: str) -> str:
    """Text as markup: escaped, with `code` between back-ticks."""
    from markupsafe import Markup, escape

    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        return escape(text)
    marked = [Markup("<code>{}</code>").format(piece) if i % 2 else escape(piece) for i, piece in enumerate(pieces)]
    return Markup("").join(marked)


def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["draw"] = lambda drawing: Markup(draw(drawing))  # noqa: S704 - svg.py escapes its labels
    environment.filters["prose"] = _prose
    environment.filters["moment"] = wording.moment
    words = {name: str(word) for word, (name, _) in vocabulary.WORDS.items()}
    environment.globals["words_by_name"] = {**words, vocabulary.BROKEN_EARLIER: str(Word.WARN)}
    return environment
