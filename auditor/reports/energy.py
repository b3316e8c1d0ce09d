"""The energy footprint report: joules, watt-hours and carbon, each with how it was obtained."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import median

from auditor import wording
from auditor.core.measurement import Measurement
from auditor.core.window import Span
from auditor.ports import Queries
from auditor.reports import parts
from auditor.reports.evidence import EARLIER, Evidence, gather
from auditor.reports.model import Report, Section, Spread, Table
from auditor.reports.rules import Rules
from auditor.wording import vocabulary

FAMILIES = ("energy", "carbon", "capture")
J_PER_WH = 3600.0


def build(queries: Queries, model: str, span: Span, *, generated: datetime, rules: Rules | None = None) -> Report:
    """The report about one model over one period."""
    return tell(gather(queries, model, span, rules), generated=generated)


def tell(evidence: Evidence, *, generated: datetime) -> Report:
    """The report from evidence that was gathered already."""
    return parts.report(
        evidence,
        kind="energy",
        title="Energy footprint report",
        question="How much energy and carbon does an inference use, and how sure is that?",
        generated=generated,
        families=FAMILIES,
        summary=_summary(evidence),
        sections=[
            _per_answer(evidence),
            _totals(evidence),
            _versions(evidence),
            _carbon(evidence),
            parts.alerts_section(evidence, [alert for alert in evidence.alerts if alert.kind == "energy"]),
        ],
        method=(
            "Active energy is the energy used by calls; idle energy is used by the same process or machine while no call runs. "
            "Energy per inference counts the active part alone.",
            "1 Wh = 3,600 J; per 1,000 inferences in Wh = joules per inference x 1,000 / 3,600.",
            "Carbon is location-based: energy times the yearly average intensity of the country's grid, bought certificates "
            "left aside. The Software Carbon Intensity adds the hardware's own share where one is set.",
        ),
    )


def wh_per_1000(joules: float) -> float:
    """Joules per inference as watt-hours per thousand inferences.

    >>> wh_per_1000(3.6)
    1.0
    """
    return joules * 1000.0 / J_PER_WH


def total(measurements: Sequence[Measurement]) -> tuple[float | None, int, int]:
    """Sum of the known values, with how many windows had one and how many had none; the sum of none is None."""
    known = [m.value for m in measurements if m.value is not None]
    return (sum(known) if known else None), len(known), len(measurements) - len(known)


def weighted_mean(measurements: Sequence[Measurement]) -> float | None:
    """Mean over the period, each window weighted by its n; None when no window has a figure.

    The windows' figures are means over their n calls, so this is the mean over all calls.
    """
    known = [(m.value, m.n) for m in measurements if m.value is not None and m.n > 0]
    count = sum(n for _, n in known)
    return sum(value * n for value, n in known) / count if count else None


def spread(evidence: Evidence, figure: Measurement) -> Spread:
    """The last window's energy per inference beside that of the windows before it.

    Only windows of the same meter and method, since other meters count other joules.
    """
    meters = {
        m.end: m.facts.get("meter") for m in (*evidence.before, *_per_call(evidence)) if "input" not in m.attributes
    }

    def same(m: Measurement) -> bool:
        mine, own = ((x.how, meters.get(x.end), x.method, dict(x.attributes)) for x in (figure, m))
        return m.value is not None and mine == own

    earlier = tuple(filter(same, evidence.before))
    begun = {v: at for v, at in evidence.first_seen.items() if earlier and earlier[0].start < at < figure.start}
    return Spread(figure=figure, earlier=earlier, begun=begun)


def spread_cells(spread: Spread) -> tuple[str, str, str, str]:
    """Of the earlier windows: their number, median, lowest and highest figure."""
    if not spread.earlier:
        return ("none measured in this way", "–", "–", "–")
    ordered = sorted(spread.earlier, key=lambda m: m.value or 0.0)
    low, high = (f"{wording.value(m)} ({wording.window(m.span)})" for m in (ordered[0], ordered[-1]))
    number = f"{len(ordered)}{_among(spread)}"
    return (number, wording.quantity(median(spread.values), spread.figure.unit), low, high)


def spread_text(spread: Spread) -> str:
    """Median, range and number of the earlier windows as a sentence."""
    if not spread.earlier:
        return "No earlier window of this length was measured in this way."
    _, middle, low, high = spread_cells(spread)
    count = wording.plural(len(spread.earlier), "earlier window")
    return f"In {count}: median {middle}, lowest {low}, highest {high}{_among(spread)}."


def _among(spread: Spread) -> str:
    return f"; among them {wording.versions(spread.begun)}" if spread.begun else ""


def _per_call(evidence: Evidence) -> list[Measurement]:
    return [m for m in evidence.of("energy.per_inference") if "input" not in m.attributes]


def _summary(evidence: Evidence) -> list[str]:
    figures = _per_call(evidence)
    mean = weighted_mean(figures)
    if mean is None:
        why = figures[-1].reason if figures else "not_measured"
        return [f"Energy per inference is not known: {wording.reason(why)}."]
    how = parts.how_words(figures)
    sentences = [
        f"Mean energy per inference in the period: {wording.quantity(mean, 'J')}; {wording.number(wh_per_1000(mean))} Wh per "
        f"1,000 inferences ({how})."
    ]
    last = figures[-1]
    if last.value is not None:
        sentences.append(
            f"In the last window ({parts.last_window(evidence)}) it was {wording.figure(last)}. "
            f"{spread_text(spread(evidence, last))}"
        )
    ratio = evidence.latest("energy.per_inference.ratio")
    if ratio and ratio[0].value is not None:
        sentences.append(f"Energy per inference in the last window is {wording.number(ratio[0].value)}× the baseline.")
    sentences.append(carbon_sentence(evidence))
    return sentences


def carbon_sentence(evidence: Evidence) -> str:
    """How the period's joules became grams: by the intensity of which grid, and what of it was measured.

    The intensity is that of the figures themselves, g CO2e over kWh of the windows that have both.
    """
    emitted = evidence.of("carbon.emitted")
    known = [m for m in emitted if m.value is not None]
    if not known:
        why = wording.reason(emitted[-1].reason if emitted else "no_country")
        return f"Carbon is not known: {why}."
    grams = 1000.0 * sum(m.value or 0.0 for m in known)
    ends = {m.end for m in known}
    joules = _joules([m for m in (*evidence.of("energy.active"), *evidence.of("energy.idle")) if m.end in ends])
    unknown = f" ({wording.plural(len(emitted) - len(known), 'window')} unknown)" if len(known) < len(emitted) else ""
    if not joules:
        return f"Carbon: {wording.number(grams)} g CO2e{unknown}."
    grid = wording.listing(sorted({wording.grid(m.facts) for m in known} - {""})) or "grid not named"
    meters = sorted({m.facts["meter"] for m in _per_call(evidence) if m.facts.get("meter")})
    table = f"the table of {wording.listing(meters)}" if meters else "the meter's table"
    kwh = joules / J_PER_WH / 1000.0
    return (
        f"Carbon: {wording.number(kwh * 1000.0)} Wh, active and idle, x {wording.number(grams / kwh)} g CO2e per kWh ({grid}: "
        f"the latest yearly average in {table}) = {wording.number(grams)} g CO2e{unknown}. "
        f"The joules are {parts.how_words(known)}; the grams per kWh are a published average, not measured here."
    )


def _joules(figures: Sequence[Measurement]) -> float:
    """Their sum, where a total is there that one; else the sum of its parts."""
    whole = [m for m in figures if not m.attributes]
    by_component = [m for m in figures if "component" in m.attributes and m.metric not in {x.metric for x in whole}]
    return sum(m.value or 0.0 for m in (*whole, *by_component))


def _per_answer(evidence: Evidence) -> Section:
    figures = [*evidence.of("energy.per_inference"), *evidence.of("energy.per_inference.ratio")]
    marks, limits = parts.firing(evidence)

    def label(m: Measurement) -> str:
        if m.metric.endswith(".ratio"):
            return "relative to the baseline"
        return f"for {m.attributes['input']}" if "input" in m.attributes else "joules per inference"

    drawing = parts.trends(
        evidence, figures, f"Energy per inference ({parts.how_words(figures)})", label=label, marks=marks, limits=limits
    )
    spreads = [spread(evidence, m) for m in evidence.latest("energy.per_inference") if m.value is not None]
    rows = tuple((label(s.figure), wording.value(s.figure), *spread_cells(s)) for s in spreads)
    table = Table(
        caption=f"Last window, {parts.last_window(evidence)}, beside at most {EARLIER} earlier windows of the same length, meter "
        "and method.",
        columns=("What", "Last window", "Earlier windows", "Median", "Lowest", "Highest"),
        rows=rows,
    )
    behind = {m.id: m for m in (*figures, *(m for s in spreads for m in s.earlier))}
    return Section(
        id="per-answer",
        title="Energy per inference",
        text=() if figures else ("No energy was counted in the period.",),
        tables=(table,) if rows else (),
        drawings=(drawing,) if drawing else (),
        spreads=tuple(spreads),
        measurements=tuple(behind.values()),
    )


def _totals(evidence: Evidence) -> Section | None:
    figures = [*evidence.of("energy.active"), *evidence.of("energy.idle")]
    if not figures:
        return None
    rows = []
    for key in sorted({(m.metric, m.attributes.get("component", ""), m.attributes.get("input", "")) for m in figures}):
        metric, component, name = key
        mine = [
            m for m in figures if (m.metric, m.attributes.get("component", ""), m.attributes.get("input", "")) == key
        ]
        joules, known, unknown = total(mine)
        what = ", ".join(part for part in (wording.metric_name(metric), component, name) if part)
        shown = f"{wording.number(joules / J_PER_WH)} Wh" if joules is not None else wording.reason(mine[-1].reason)
        rows.append((what, shown, f"{known} known, {unknown} unknown", parts.how_words(mine)))
    return Section(
        id="totals",
        title="Energy of the period",
        tables=(Table(columns=("What", "Energy", "Windows", "How obtained"), numeric=("Energy",), rows=tuple(rows)),),
        measurements=tuple(figures),
    )


def _versions(evidence: Evidence) -> Section | None:
    figures = [m for m in evidence.of("energy.per_inference", by_version=True) if "input" not in m.attributes]
    if not figures:
        return None
    rows = []
    for version in dict.fromkeys(m.version for m in figures):
        mine = [m for m in figures if m.version == version]
        mean = weighted_mean(mine)
        count = sum(m.n for m in mine if m.value is not None)
        shown = (
            (wording.quantity(mean, "J"), wording.number(wh_per_1000(mean)))
            if mean is not None
            else (wording.reason(mine[-1].reason), "not known")
        )
        rows.append((version or "unnamed", *shown, f"{count:,}", parts.how_words(mine)))
    columns = ("Version", "Per inference", "Wh per 1,000 inferences", "n", "How obtained")
    return Section(
        id="versions",
        title="By version",
        tables=(Table(columns=columns, numeric=columns[1:4], rows=tuple(rows)),),
        measurements=tuple(figures),
    )


def _carbon(evidence: Evidence) -> Section:
    figures = evidence.of("carbon.")
    rows = tuple(
        (wording.metric_name(m.metric), wording.figure(m), vocabulary.HOW[m.how]) for m in evidence.latest("carbon.")
    )
    known = [m for m in figures if m.value is not None]
    text = (carbon_sentence(evidence),)
    drawing = parts.trends(evidence, known, "Carbon, window by window", label=lambda m: wording.metric_name(m.metric))
    return Section(
        id="carbon",
        title="Carbon",
        text=text,
        tables=(Table(columns=("What", "Last window", "How obtained"), rows=rows),) if rows else (),
        drawings=(drawing,) if drawing else (),
        measurements=tuple(figures),
    )
