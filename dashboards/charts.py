"""Measurements and alerts as Altair charts. Pure functions: no Streamlit, no store, no clock.

Colours are mid-tones that read on light and on dark, and colour is never the only sign. Times are drawn in UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import altair as alt

from auditor import wording
from auditor.core.measurement import Measurement
from auditor.core.run import AuditRun
from auditor.core.verdict import Alert
from auditor.core.window import Span, format_time
from auditor.reports.discoveries import LASTING, ONCE
from auditor.reports.evidence import affected
from auditor.reports.model import Story
from auditor.wording import vocabulary

ACCENT, ALARM, QUIET = "#2f86a6", "#d1495b", "#8a94a6"
STACK = ("#2f86a6", "#b7c3cd", "#8a7ab8", "#c9822b")
PALETTE = ("#2f86a6", "#c9822b", "#7a5ea8", "#4f9d69", "#b8577f", "#8a7f3d", "#5577c9", "#9a6a4f")

Drawn = Any  # an Altair chart: its own types differ between layers and releases
Label = Callable[[Measurement], str]
Json = dict[str, Any]


def _data(rows: Iterable[Json]) -> Any:
    return alt.Data(values=list(rows))  # type: ignore[no-untyped-call]


def _x(span: Span, field: str = "start:T", *, grid: bool = False) -> alt.X:
    return alt.X(
        field,
        title=None,
        scale=alt.Scale(type="utc", domain=[format_time(span.start), format_time(span.end)]),
        axis=alt.Axis(format="%d %b", labelOverlap=True, grid=grid, tickCount=8),
    )


def _legend() -> alt.Legend:
    return alt.Legend(orient="top", labelLimit=240, symbolOpacity=1)


def row(m: Measurement, label: Label | None = None) -> Json:
    """One measurement as a flat row, with the texts that a tooltip shows."""
    name = (label(m) if label else wording.subject(m.attributes)) or wording.metric_name(m.metric)
    return {
        "start": format_time(m.start),
        "end": format_time(m.end),
        "middle": format_time(m.start + (m.end - m.start) / 2),
        "window": wording.window(Span(m.start, m.end)),
        "series": name,
        "value": m.value,
        "lower": m.interval.lower if m.interval else None,
        "upper": m.interval.upper if m.interval else None,
        "n": m.n,
        "figure": wording.figure(m),
        "sure": wording.chance(m.p_value) if m.p_value is not None else "no p-value",
        "note": wording.detail(m),
        "how": vocabulary.HOW[m.how],
    }


TOOLTIP = [
    alt.Tooltip("series:N", title="series"),
    alt.Tooltip("window:N", title="window (UTC)"),
    alt.Tooltip("figure:N", title="figure"),
    alt.Tooltip("sure:N", title="by chance alone"),
    alt.Tooltip("note:N", title="in figures"),
    alt.Tooltip("how:N", title="how obtained"),
]


def column_name(m: Measurement) -> str:
    """What a heat map calls a column."""
    return wording.column(m.attributes.get("column", "")) or wording.subject(m.attributes) or "all columns"


def heatmap(
    measurements: Sequence[Measurement],
    broken: set[tuple[str, datetime]],
    found: Mapping[tuple[str, datetime], str],
    span: Span,
    *,
    top: float,
    legend: bool = True,
    most: int = 10,
) -> Drawn:
    """Columns by windows: distance as colour, discoveries as dots, broken controls as frames, absence as a dash.

    Parameters
    ----------
    measurements : sequence of Measurement
        One metric of one input.
    broken : set of (series, end)
        Windows in which a control of that series failed.
    found : mapping of (series, end) to str
        Marks of `reports.discoveries`.
    top : float
        Distance that takes the full colour: one scale for all inputs.
    most : int
        Columns to show, the furthest from the baseline first; those with a dot or a frame are always shown.
    """
    rows = []
    for m in measurements:
        made = row(m, column_name)
        made["broken"] = (m.series, m.end) in broken
        made["found"] = found.get((m.series, m.end))
        rows.append(made)
    best: dict[str, float] = {}
    for made in rows:
        best[made["series"]] = max(best.get(made["series"], 0.0), made["value"] or 0.0)
    order = sorted(best, key=lambda name: -best[name])
    marked = {made["series"] for made in rows if made["broken"] or made["found"]}
    order = [name for place, name in enumerate(order) if place < most or name in marked]
    data = _data(made for made in rows if made["series"] in set(order))
    y = alt.Y("series:N", title=None, sort=order, axis=alt.Axis(labelLimit=230, labelOverlap=False))
    cells = (
        alt.Chart(data)
        .transform_filter("isValid(datum.value)")
        .mark_rect()
        .encode(
            x=_x(span),
            x2="end:T",
            y=y,
            color=alt.Color(
                "value:Q",
                title="distance",
                scale=alt.Scale(domain=[0, max(top, 0.5)], range=["rgba(209,73,91,0.03)", "rgba(209,73,91,1)"]),
                legend=alt.Legend(orient="top", gradientLength=120, format=".1f") if legend else None,
            ),
            tooltip=TOOLTIP,
        )
    )
    absent = (
        alt.Chart(data)
        .transform_filter("!isValid(datum.value)")
        .mark_text(text="–", color=QUIET)
        .encode(x=_x(span, "middle:T"), y=y, tooltip=TOOLTIP)
    )
    dots = (
        alt.Chart(data)
        .transform_filter("isValid(datum.found)")
        .mark_circle(fill="#ffffff", stroke="#33272b", strokeWidth=1.2, opacity=1)
        .encode(
            x=_x(span, "middle:T"),
            y=y,
            size=alt.Size(
                "found:N",
                title="dots",
                scale=alt.Scale(domain=[ONCE, LASTING], range=[14, 46]),
                legend=alt.Legend(orient="top") if legend else None,
            ),
            tooltip=TOOLTIP,
        )
    )
    frames = (
        alt.Chart(data)
        .transform_filter("datum.broken")
        .mark_rect(fillOpacity=0, stroke=QUIET, strokeWidth=2)
        .encode(x=_x(span), x2="end:T", y=y, tooltip=TOOLTIP)
    )
    return alt.layer(cells, frames, dots, absent).properties(height=24 * max(len(order), 1) + (110 if legend else 50))


def trend(
    measurements: Sequence[Measurement],
    span: Span,
    *,
    label: Label | None = None,
    title: str = "",
    limit: float | None = None,
    alerts: Sequence[Alert] = (),
    intervals: bool = True,
    zero: bool = True,
    factor: float = 1.0,
    noise: float | None = None,
    height: int = 220,
) -> Drawn:
    """A line for each series with its intervals, the control's limit and the windows of alerts.

    A window without a number interrupts the line. `factor` converts values to the unit of `title`;
    below `noise` lie 95 % of windows when nothing changed.
    """
    rows = [row(m, label) for m in measurements]
    for made in rows:
        made.update({key: made[key] * factor for key in ("value", "lower", "upper") if made[key] is not None})
    names = list(dict.fromkeys(made["series"] for made in rows))
    percent = bool(measurements) and wording.is_share(measurements[0].metric)
    y_axis = alt.Axis(format=".0%") if percent else alt.Axis()
    if percent and measurements[0].metric.endswith(".difference"):
        y_axis, title = alt.Axis(labelExpr="format(100 * datum.value, '.0f')"), title or "percentage points"
    y = alt.Y("value:Q", title=title or None, axis=y_axis, scale=alt.Scale(zero=zero))
    colour = alt.Color(
        "series:N",
        title=None,
        scale=alt.Scale(domain=names, range=list(PALETTE)),
        legend=_legend() if len(names) > 1 else None,
    )
    step = measurements[-1].end - measurements[-1].start if measurements else timedelta(0)
    layers: list[Any] = [*([_noise(noise)] if noise is not None else []), *_bands(alerts, span, step)]
    known = _data(rows)
    base = alt.Chart(known).encode(x=_x(span, "middle:T"), color=colour)
    if intervals and any(made["lower"] is not None for made in rows):
        layers.append(
            base.transform_filter("isValid(datum.lower)")
            .mark_area(opacity=0.16)
            .encode(y=alt.Y("lower:Q"), y2="upper:Q")
        )
    layers.append(base.mark_line(strokeWidth=2).encode(y=y))
    layers.append(
        base.transform_filter("isValid(datum.value)").mark_circle(size=26, opacity=1).encode(y=y, tooltip=TOOLTIP)
    )
    if limit is not None:
        layers.append(_rule(limit, "the control's limit"))
    return alt.layer(*layers).properties(height=height)


def _rule(value: float, text: str) -> Drawn:
    return (
        alt.Chart(_data([{"value": value, "text": text}]))
        .mark_rule(color=ALARM, strokeDash=[4, 4])
        .encode(y="value:Q", tooltip=[alt.Tooltip("text:N", title="line"), alt.Tooltip("value:Q")])
    )


def _bands(alerts: Sequence[Alert], span: Span, step: timedelta) -> list[Any]:
    joined: list[tuple[datetime, datetime]] = []  # alerts that overlap are one band, however many controls fail
    for start, end in sorted(affected(alert, span, step) for alert in alerts):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    if not joined:
        return []
    rows = [{"start": format_time(start), "end": format_time(end)} for start, end in joined]
    chart = alt.Chart(_data(rows)).mark_rect(color=ALARM, opacity=0.12).encode(x=_x(span), x2="end:T")
    return [chart]


def timeline(told: Sequence[Story], span: Span, step: timedelta) -> Drawn:
    """A bar for each finding over the windows it is about; one that is still open ends in an arrow.

    Findings of one headline share a row.
    """
    rows = []
    for story in sorted(told, key=lambda s: (s.is_open, s.alert.opened, s.alert.kind)):
        start, end = affected(story.alert, span, step)
        rows.append(
            {
                "start": format_time(start),
                "end": format_time(end),
                "windows": f"{wording.moment(start)} to {wording.moment(end)}",
                "alert": story.title,
                "state": "open" if story.is_open else "resolved",
                "severity": story.alert.severity,
                "controls": wording.listing([alert.control for alert in (story.alert, *story.also)]),
            }
        )
    order = list(dict.fromkeys(made["alert"] for made in sorted(rows, key=lambda made: made["start"])))
    tooltip = [alt.Tooltip(f"{key}:N") for key in ("alert", "state", "severity", "controls", "windows")]
    y = alt.Y("alert:N", title=None, sort=order, axis=alt.Axis(labelLimit=380, labelPadding=8, labelOverlap=False))
    colour = alt.Color(
        "state:N",
        title=None,
        scale=alt.Scale(domain=["open", "resolved"], range=[ALARM, ACCENT]),
        legend=alt.Legend(orient="top"),
    )
    base = alt.Chart(_data(rows))
    bars = base.mark_bar(height=14, cornerRadius=2).encode(
        x=_x(span, grid=True), x2="end:T", y=y, color=colour, tooltip=tooltip
    )
    arrows = (
        base.transform_filter("datum.state == 'open'")
        .mark_point(shape="triangle-right", size=150, filled=True, opacity=1)
        .encode(x=_x(span, "end:T", grid=True), y=y, color=colour)
    )
    return alt.layer(bars, arrows).properties(height=26 * max(len(order), 1) + 90)


def records(runs: Sequence[AuditRun], span: Span) -> Drawn:
    """Records of each window, with and without ground truth."""
    rows = []
    for run in runs:
        window = {
            "start": format_time(run.span.start),
            "end": format_time(run.span.end),
            "window": wording.window(run.span),
        }
        rows.append({**window, "part": "with ground truth", "low": 0, "high": run.labelled, "count": run.labelled})
        unknown = run.records - run.labelled
        rows.append({**window, "part": "without", "low": run.labelled, "high": run.records, "count": unknown})
    tooltip = [
        alt.Tooltip("window:N", title="window (UTC)"),
        alt.Tooltip("part:N"),
        alt.Tooltip("count:Q", title="records"),
    ]
    return _blocks(rows, span, "records", tooltip, height=200)


def _blocks(rows: Sequence[Json], span: Span, title: str, tooltip: list[alt.Tooltip], *, height: int) -> Drawn:
    """Parts of a total stacked over each window; rows carry start, end, part, low and high."""
    parts = list(dict.fromkeys(made["part"] for made in rows))
    return (
        alt.Chart(_data(rows))
        .mark_rect(strokeWidth=0)
        .encode(
            x=_x(span),
            x2="end:T",
            y=alt.Y("low:Q", title=title),
            y2="high:Q",
            color=alt.Color("part:N", title=None, scale=alt.Scale(domain=parts, range=list(STACK)), legend=_legend()),
            tooltip=tooltip,
        )
        .properties(height=height)
    )


def group_intervals(measurements: Sequence[Measurement]) -> Drawn:
    """Groups of one window side by side; one without a figure stands at the edge with its reason."""
    rows = []
    for m in measurements:
        made = row(m, lambda item: item.attributes.get("group", "all"))
        made["why"] = f"{wording.reason(m.reason)} (n = {m.n})" if m.value is None else f"n = {m.n:,}"
        rows.append(made)
    order = [made["series"] for made in rows]
    known = [edge for made in rows for edge in (made["value"], made["lower"], made["upper"]) if edge is not None]
    low = max(0.0, min([*known, 1.0]) - 0.08)
    percent = bool(measurements) and wording.is_share(measurements[0].metric)
    high = max([*known, low + 0.1])

    def x(field: str) -> alt.X:
        axis = alt.Axis(format=".0%") if percent else alt.Axis()
        return alt.X(f"{field}:Q", title=None, scale=alt.Scale(domain=[low, high], nice=False, zero=False), axis=axis)

    y = alt.Y("series:N", title=None, sort=order, axis=alt.Axis(labelOverlap=False))
    base = alt.Chart(_data(rows)).encode(y=y)
    whiskers = (
        base.transform_filter("isValid(datum.lower)")
        .mark_rule(strokeWidth=2, color=ACCENT)
        .encode(x=x("lower"), x2="upper:Q")
    )
    ticks = [
        base.transform_filter("isValid(datum.lower)").mark_tick(thickness=2, size=10, color=ACCENT).encode(x=x(edge))
        for edge in ("lower", "upper")
    ]
    dots = (
        base.transform_filter("isValid(datum.value)")
        .mark_circle(size=90, opacity=1, color=ACCENT)
        .encode(x=x("value"), tooltip=TOOLTIP)
    )
    counts = (
        base.transform_filter("isValid(datum.value)")
        .mark_text(align="center", dy=-12, fontSize=11, color=QUIET)
        .encode(x=x("value"), text="why:N")
    )
    absent = (
        base.transform_filter("!isValid(datum.value)")
        .mark_text(align="left", dx=4, color=QUIET, fontSize=12)
        .encode(x=alt.value(0), text="why:N", tooltip=TOOLTIP)
    )
    return alt.layer(whiskers, *ticks, dots, counts, absent).properties(height=44 * max(len(order), 1) + 40)


def stacked(measurements: Sequence[Measurement], span: Span, *, label: Label, title: str, height: int = 240) -> Drawn:
    """Shares of a total, window by window; a share without a number is left out, not drawn as zero."""
    reached: dict[datetime, float] = {}
    rows = []
    for m in measurements:
        if m.value is not None:
            low = reached.get(m.start, 0.0)
            reached[m.start] = low + m.value
            rows.append({**row(m, label), "part": label(m), "low": low, "high": low + m.value})
    return _blocks(rows, span, title, TOOLTIP, height=height)


def noise_edge(n: int, n_baseline: int | None) -> float | None:
    """What a Kolmogorov-Smirnov distance stays under in 95 % of windows when nothing changed: 1.358 sqrt((n+m)/(nm)).

    >>> round(noise_edge(400, 2800), 4)
    0.0726
    """
    if not n or not n_baseline:
        return None
    return float(1.358 * ((n + n_baseline) / (n * n_baseline)) ** 0.5)


def _noise(edge: float) -> Drawn:
    return (
        alt.Chart(_data([{"low": 0.0, "value": edge, "text": "95 % of unchanged windows lie in this band"}]))
        .mark_rect(color=QUIET, opacity=0.18)
        .encode(y="low:Q", y2="value:Q", tooltip=[alt.Tooltip("text:N", title="grey")])
    )


def limits_of(verdicts: Iterable[Any], by_id: Mapping[str, Measurement]) -> dict[str, float]:
    """Newest limit for each metric that a control looked at, by metric and input."""
    found: dict[str, float] = {}
    for verdict in verdicts:
        m = by_id.get(verdict.evidence[0]) if verdict.evidence else None
        if m is not None and verdict.limit is not None:
            found[f"{m.metric}|{m.attributes.get('input', m.attributes.get('feature', ''))}"] = verdict.limit
    return found
