"""Plain words for figures, times, doubts and verdicts; dashboard and reports say the same thing the same way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from auditor.core.catalogue import REASONS
from auditor.core.measurement import How, Measurement, Status
from auditor.core.verdict import Ref, Verdict
from auditor.core.window import DAY, Span, utc
from auditor.policy.explain import WHY
from auditor.reports.vocabulary import FRAMEWORKS, HOW, METRICS, MORE_REASONS, SHARES, UNITS


def number(value: float, digits: int = 3) -> str:
    """`value` to so many significant digits, thousands set apart, powers of ten only where zeros would not be read.

    >>> number(0.61874), number(12345), number(3.2e-12), number(0.0)
    ('0.619', '12,345', '3.2e-12', '0')
    """
    if value == 0:
        return "0"
    size = abs(value)
    if size < 1e-4 or size >= 1e9:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    if size >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    places = digits - 1 - math.floor(math.log10(size))
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text and places > digits - 1 else text


def is_share(metric: str) -> bool:
    """Whether readers expect the metric as a percentage."""
    return metric in SHARES or (metric.startswith("fairness.") and not metric.endswith(".ratio"))


def quantity(value: float, unit: str, metric: str = "") -> str:
    """A figure with its unit as a reader writes it.

    >>> quantity(0.0425, "1", "input.missing_rate"), quantity(0.31, "1", "fairness.accuracy.difference")
    ('4.2 %', '31 percentage points')
    >>> quantity(0.0021, "J"), quantity(0.2, "s"), quantity(4.5e-5, "kg{CO2e}")
    ('0.0021 J', '200 ms', '0.045 g CO2e')
    """
    if is_share(metric):
        shown = _percent(value)
        return f"{shown} percentage points" if metric.endswith(".difference") else f"{shown} %"
    if unit == "s" and 0 < abs(value) < 1:
        return f"{number(1000 * value)} ms"
    if unit == "kg{CO2e}" and abs(value) < 1:
        return f"{number(1000 * value)} g CO2e"
    return " ".join(part for part in (number(value), UNITS.get(unit, unit)) if part)


def _percent(share: float) -> str:
    """100 x share; never rounded to 0 or 100 unless it is exactly that."""
    percent = 100 * share
    for places in (1, 2, 3, 4):
        text = f"{percent:.{places}f}"
        if float(text) not in (0.0, 100.0) or percent in (0.0, 100.0):
            return text.removesuffix(".0")
    return "under 0.0001" if share < 0.5 else "over 99.9999"


def reason(code: str) -> str:
    """A reason code in words."""
    return REASONS.get(code) or MORE_REASONS.get(code) or WHY.get(code) or code.replace("_", " ")


def metric_name(metric: str) -> str:
    """What a reader calls the metric."""
    if metric in METRICS:
        return METRICS[metric]
    family, _, rest = metric.partition(".")
    if family == "fairness":
        stem, _, kind = rest.partition(".")
        plain = stem.replace("_", " ")
        return {
            "difference": f"largest difference in {plain} between groups",
            "ratio": f"smallest over largest {plain} of the groups",
        }.get(kind, plain)
    return rest.replace("_", " ").replace(".", ", ") if family == "quality" else metric


def column(name: str) -> str:
    """A column as a reader calls it.

    >>> column("snr_db"), column("output.entropy")
    ('snr db', 'entropy of the answer')
    """
    plain = name.replace("_", " ")
    return f"{plain.removeprefix('output.')} of the answer" if plain.startswith("output.") else plain


def subject(attributes: Mapping[str, str]) -> str:
    """Which series, in words: `brightness of photo`, `photo with clip`, `site = north`; empty for the whole model."""
    parts = []
    if "pair" in attributes:
        parts.append(attributes["pair"].replace("~", " with "))
    if "column" in attributes:
        of = f" of {attributes['input']}" if "input" in attributes else ""
        parts.append(column(attributes["column"]) + of)
    elif "input" in attributes:
        parts.append(attributes["input"])
    if "feature" in attributes:
        group = f" = {attributes['group']}" if "group" in attributes else ""
        parts.append(attributes["feature"] + group)
    known = {"pair", "column", "input", "modality", "feature", "group"}
    parts += [f"{key} {value}" for key, value in sorted(attributes.items()) if key not in known]
    return ", ".join(parts)


def finding(m: Measurement) -> str:
    """What a figure says about the model, as a clause without a full stop; its doubt is told apart, by `how_sure`."""
    about, name = subject(m.attributes), metric_name(m.metric)
    if m.value is None:
        return f"the {name}{f' ({about})' if about else ''} is not known: {reason(m.reason)}"
    shown = quantity(m.value, m.unit, m.metric)
    family, _, rest = m.metric.partition(".")
    if family == "drift" and "distance" in name:
        return f"the distribution of {about or 'the records'} has moved: {name} {shown}, where 0 is no change"
    if m.metric == "input.missing_rate":
        return f"{shown} of the records lack the input {about}"
    if m.metric.endswith(".ratio") and family in ("alignment", "energy"):
        what = f"{about} agree" if family == "alignment" else "an answer uses"
        return f"{what} {shown} times as much {'energy ' if family == 'energy' else ''}as in the baseline"
    if family == "fairness" and rest.endswith(".difference"):
        return f"{metric_name(m.metric.removesuffix('.difference'))} differs by {shown} between groups of {about}"
    return f"the {name}{f' of {about}' if about else ''} is {shown}"


def figure(m: Measurement) -> str:
    """The figure with its doubt, or why there is none; never a bare number, never a zero for an absence."""
    if m.value is None:
        return f"not known: {reason(m.reason)}{count_of(m)}"
    shown = quantity(m.value, m.unit, m.metric)
    doubts = [interval_text(m), count_of(m).removeprefix(" (").removesuffix(")")]
    if m.how is not How.MEASURED:
        doubts.append(HOW[m.how])
    if not m.exact and m.bound:
        doubts.append(f"approximate within {number(m.bound, 2)}")
    inside = "; ".join(part for part in doubts if part)
    return f"{shown} ({inside})" if inside else shown


def interval_text(m: Measurement) -> str:
    """`95 % interval 61 to 78 %`, or nothing."""
    if m.interval is None:
        return ""
    low, high = (quantity(edge, m.unit, m.metric) for edge in (m.interval.lower, m.interval.upper))
    unit = low.partition(" ")[2]
    if unit and high.endswith(unit):
        low = low.removesuffix(unit).rstrip()
    return f"{100 * m.interval.level:g} % interval {low} to {high}"


def count_of(m: Measurement) -> str:
    """` (n = 400, baseline n = 2,800)`, or nothing where no record was counted."""
    if not m.n and m.status is not Status.OK:
        return ""
    base = f", baseline n = {m.n_baseline:,}" if m.n_baseline else ""
    return f" (n = {m.n:,}{base})"


def chance(p: float) -> str:
    """A p-value as a frequency: how often unchanged data would show as much.

    >>> chance(0.04)
    'about once in 25 comparisons'
    >>> chance(2e-11)
    'less than once in a billion comparisons'
    >>> chance(0.7)
    'in most comparisons'
    """
    if p > 0.5:
        return "in most comparisons"
    for limit, word in ((1e-9, "a billion"), (1e-6, "a million")):
        if p < limit:
            return f"less than once in {word} comparisons"
    times = 1 / p
    if times > 100:
        times = round(times, 1 - math.floor(math.log10(times)))
    return f"about once in {times:,.0f} comparisons"


def how_sure(m: Measurement | None) -> str:
    """One sentence about the doubt behind a figure: interval, p-value as a frequency, and n."""
    if m is None:
        return "The figure behind this verdict is not in the chosen period."
    if m.value is None:
        return f"Nothing can be said: {reason(m.reason)}{count_of(m)}."
    parts = []
    if m.p_value is not None:
        parts.append(
            f"if nothing had changed, a difference this large would appear {chance(m.p_value)} (p = {number(m.p_value, 2)})"
            if not m.metric.startswith("fairness.")
            else f"if the groups did not differ, a difference this large would appear {chance(m.p_value)} "
            f"(p = {number(m.p_value, 2)})"
        )
    if text := interval_text(m):
        parts.append(text)
    base = f" in the window, {m.n_baseline:,} in the baseline" if m.n_baseline else ""
    parts.append(f"{m.n:,} records{base}")
    if m.how is not How.MEASURED:
        parts.append(HOW[m.how])
    sentence = "; ".join(parts)
    return sentence[0].upper() + sentence[1:] + "."


def moment(at: datetime) -> str:
    """A time in UTC, said so.

    >>> from datetime import UTC
    >>> moment(datetime(2026, 11, 3, 4, 5, tzinfo=UTC))
    '3 Nov 2026, 04:05 UTC'
    """
    at = utc(at)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def day(at: datetime) -> str:
    """A date.

    >>> from datetime import UTC
    >>> day(datetime(2026, 11, 3, tzinfo=UTC))
    '3 Nov 2026'
    """
    return f"{utc(at).day} {utc(at):%b %Y}"


def window(span: Span) -> str:
    """One window: the day itself where it is one, else its two ends."""
    midnight = (span.start - span.start.replace(hour=0, minute=0, second=0, microsecond=0)) == timedelta(0)
    if midnight and span.duration == DAY:
        return day(span.start)
    if midnight and span.duration % DAY == timedelta(0):
        return f"{day(span.start)} to {day(span.end - DAY)}"
    return f"{moment(span.start)} to {moment(span.end)}"


def window_ending(end: datetime, windows: Sequence[Span]) -> str:
    """The window that ended at `end`, as a reader names it; the end itself where no such window is known."""
    return next((window(span) for span in reversed(windows) if span.end == end), f"the window up to {moment(end)}")


def title_of(control: str) -> str:
    """A control's id as a heading.

    >>> title_of("drift-image")
    'Drift image'
    """
    plain = control.replace("-", " ").replace("_", " ").strip()
    return plain[:1].upper() + plain[1:]


def untitled(explanation: str, title: str) -> str:
    """An explanation without the rule's title in front of it, where a heading says the title already.

    >>> untitled("Audio drift (input clip): the distribution moved.", "Audio drift")
    'The distribution moved.'
    """
    if not explanation.startswith(title):
        return explanation
    rest = explanation[len(title) :].partition(": ")[2]
    return rest[:1].upper() + rest[1:] or explanation


def where(item: Verdict) -> str:
    """What part of the traffic a verdict speaks of."""
    parts = [f"input {item.input}"] if item.input else []
    if item.slice != "overall":
        parts.append(item.slice.replace("&", " and ").replace("=", " = "))
    return ", ".join(parts) or "all traffic"


def framework(src: str) -> str:
    """The full name of a source of rules."""
    return FRAMEWORKS.get(src, src)


def provision(ref: Ref) -> str:
    """`Art. 15(1)` with its framework's short key."""
    return f"{ref.at} ({ref.src})"


def plural(count: int, word: str, many: str = "") -> str:
    """`1 alert`, `3 alerts`, `no alerts`.

    >>> plural(1, "alert"), plural(0, "alert"), plural(2, "verdict")
    ('1 alert', 'no alerts', '2 verdicts')
    """
    return f"{count:,} {word}" if count == 1 else f"{f'{count:,}' if count else 'no'} {many or word + 's'}"


def listing(items: Sequence[str], most: int = 6) -> str:
    """`a, b and c`, cut with a count where it is long.

    >>> listing(["a", "b", "c"]), listing(["a", "b", "c"], most=2)
    ('a, b and c', 'a, b and 1 more')
    """
    shown = list(items[:most])
    if len(items) > most:
        shown.append(f"{len(items) - most} more")
    return " and ".join((", ".join(shown[:-1]), shown[-1])) if len(shown) > 1 else "".join(shown)
