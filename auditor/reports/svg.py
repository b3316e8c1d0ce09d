"""Small drawings for reports: inline SVG that prints, scales, needs no script and says the same in its text.

Every function returns markup that is safe to place in a page: labels are escaped here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

from auditor import wording
from auditor.core.window import DAY, Span
from auditor.reports.model import Intervals, Timeline, Trends

INK, QUIET, FRAME, ACCENT, ALARM = "#1b2733", "#6b7785", "#d5dbe1", "#1f6f8b", "#b3261e"
_WIDTH = 720.0


def _root(height: float, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH:g} {height:g}" role="img" aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = INK, size: float = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size:g}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width:g}"{dashes}/>'


def trends(drawing: Trends) -> str:
    """One line a series over shared windows; a gap in the line is a window without a number."""
    left, right, row, top = 205.0, 560.0, 34.0, 8.0
    count = len(drawing.windows)
    step = (right - left) / max(count - 1, 1)
    parts: list[str] = []
    everything = [value for trend in drawing.rows for value in (*trend.values, trend.limit) if value is not None]
    for place, trend in enumerate(drawing.rows):
        base = top + place * row
        known = [value for value in trend.values if value is not None]
        scale = everything if drawing.shared else [*known, *([trend.limit] if trend.limit is not None else [])]
        low, high = min([0.0, *scale]), max([*scale, 1e-12])

        def y(value: float, base: float = base, low: float = low, high: float = high) -> float:
            return base + 28 - 24 * (value - low) / (high - low)

        parts.append(_text(left - 10, base + 20, _shorten(trend.label, 36), anchor="end"))
        parts.append(_line(left, base + 28, right, base + 28, FRAME))
        if trend.limit is not None:
            parts.append(_line(left, y(trend.limit), right, y(trend.limit), ALARM, dash="3 3"))
        for run in _runs(trend.values):
            points = " ".join(f"{left + i * step:.1f},{y(value):.1f}" for i, value in run)
            if len(run) == 1:
                parts.append(
                    f'<circle cx="{left + run[0][0] * step:.1f}" cy="{y(run[0][1]):.1f}" r="1.6" fill="{ACCENT}"/>'
                )
            else:
                parts.append(f'<polyline points="{points}" fill="none" stroke="{ACCENT}" stroke-width="1.6"/>')
        for mark in trend.marks:
            value = trend.values[mark]
            at = y(value) if value is not None else base + 28
            parts.append(f'<circle cx="{left + mark * step:.1f}" cy="{at:.1f}" r="2.8" fill="{ALARM}"/>')
        parts.append(_text(right + 10, base + 20, _shorten(trend.last, 26)))
    bottom = top + len(drawing.rows) * row + 14
    if drawing.windows:
        parts.append(_text(left, bottom, wording.day(drawing.windows[0].start), colour=QUIET, size=10))
        parts.append(_text(right, bottom, wording.window(drawing.windows[-1]), colour=QUIET, size=10, anchor="end"))
    return _root(bottom + 6, drawing.title, parts)


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Stretches of neighbouring windows that have a number."""
    found: list[list[tuple[int, float]]] = []
    for place, value in enumerate(values):
        if value is None:
            continue
        if found and found[-1][-1][0] == place - 1:
            found[-1].append((place, value))
        else:
            found.append([(place, value)])
    return found


def intervals(drawing: Intervals) -> str:
    """A dot and its interval for each figure, on one scale; where there is no number the reason stands in its place."""
    left, right, row, top = 190.0, 500.0, 24.0, 10.0
    span = drawing.high - drawing.low or 1.0

    def x(value: float) -> float:
        return left + (right - left) * min(max((value - drawing.low) / span, 0.0), 1.0)

    parts: list[str] = []
    bottom = top + len(drawing.bars) * row
    parts.append(_line(left, bottom, right, bottom, FRAME))
    if drawing.line is not None:
        parts.append(_line(x(drawing.line), top - 4, x(drawing.line), bottom, QUIET, dash="3 3"))
    for place, bar in enumerate(drawing.bars):
        middle = top + place * row + 12
        parts.append(_text(left - 10, middle + 4, _shorten(bar.label, 32), anchor="end"))
        if bar.value is None:
            parts.append(_line(left, middle, right, middle, FRAME, dash="1 5"))
            parts.append(_text(right + 10, middle + 4, _shorten(bar.text, 38), colour=QUIET))
            continue
        if bar.lower is not None and bar.upper is not None:
            parts.append(_line(x(bar.lower), middle, x(bar.upper), middle, ACCENT, width=2))
            parts += [_line(x(edge), middle - 4, x(edge), middle + 4, ACCENT) for edge in (bar.lower, bar.upper)]
        parts.append(f'<circle cx="{x(bar.value):.1f}" cy="{middle:.1f}" r="4" fill="{ACCENT}"/>')
        parts.append(_text(right + 10, middle + 4, _shorten(bar.text, 38)))
    return _root(bottom + 6, drawing.title, parts)


def timeline(drawing: Timeline) -> str:
    """A bar from opened to resolved for each alert; one that is still open runs to the end and ends in an arrow."""
    left, right, row, top = 310.0, 700.0, 22.0, 8.0
    total = drawing.span.duration.total_seconds()

    def x(at: datetime) -> float:
        share = (at - drawing.span.start).total_seconds() / total
        return left + (right - left) * min(max(share, 0.0), 1.0)

    parts: list[str] = []
    bottom = top + len(drawing.rows) * row
    for tick in _ticks(drawing.span):
        parts.append(_line(x(tick), top - 4, x(tick), bottom, FRAME))
        parts.append(_text(x(tick), bottom + 13, f"{tick.day} {tick:%b}", anchor="middle", colour=QUIET, size=10))
    for place, (label, opened, resolved) in enumerate(drawing.rows):
        y = top + place * row
        parts.append(_text(left - 10, y + 15, _shorten(label, 58), anchor="end"))
        end = right if resolved is None else x(resolved)
        width = max(end - x(opened), 3.0)
        colour = ALARM if resolved is None else ACCENT
        parts.append(
            f'<rect x="{x(opened):.1f}" y="{y + 6:.1f}" width="{width:.1f}" height="11" rx="2" fill="{colour}"/>'
        )
        if resolved is None:
            parts.append(f'<path d="M{right:.1f} {y + 3:.1f} l8 8.5 l-8 8.5 z" fill="{ALARM}"/>')
    return _root(bottom + 20, drawing.title, parts)


def _ticks(span: Span) -> list[datetime]:
    """Midnights to label, at most about eight."""
    days = max(int(span.duration / DAY), 1)
    every = max(1, -(-days // 8))
    return [
        window.start
        for place, window in enumerate(span.tiles(DAY))
        if place % every == 0 and window.start >= span.start
    ]


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
