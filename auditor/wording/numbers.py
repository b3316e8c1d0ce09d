"""Numbers as a reader writes them: one form for each quantity, in alerts, verdicts, reports and on pages."""

from __future__ import annotations

import math
from collections.abc import Sequence

from auditor.registry import vocabulary

_UNITS = {"kg{CO2e}": "kg CO2e", "g{CO2e}/{R}": "g CO2e per inference", "{inference}": "inferences", "1": ""}
"""UCUM codes that readers would not take for a unit."""


def form(metric: str) -> str:
    """How values of the metric are written: one of `core.catalogue.FORMATS`."""
    spec = vocabulary().metric(metric)
    return "number" if spec is None else spec.format


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


def percent(share: float) -> str:
    """100 x share; never rounded to 0 or 100 unless it is exactly that."""
    hundredfold = 100 * share
    for places in (1, 2, 3, 4):
        text = f"{hundredfold:.{places}f}"
        if float(text) not in (0.0, 100.0) or hundredfold in (0.0, 100.0):
            return text.removesuffix(".0")
    return "under 0.0001" if share < 0.5 else "over 99.9999"


def listing(items: Sequence[str], most: int = 6) -> str:
    """`a, b and c`, cut with a count where it is long.

    >>> listing(["a", "b", "c"]), listing(["a", "b", "c"], most=2)
    ('a, b and c', 'a, b and 1 more')
    """
    shown = list(items[:most])
    if len(items) > most:
        shown.append(f"{len(items) - most} more")
    return " and ".join((", ".join(shown[:-1]), shown[-1])) if len(shown) > 1 else "".join(shown)


def is_share(metric: str) -> bool:
    """Whether readers expect the metric as a percentage."""
    return form(metric) in ("percent", "points")


def quantity(value: float, unit: str, metric: str = "") -> str:
    """A figure with its unit as a reader writes it.

    >>> quantity(0.0425, "1", "input.missing_rate"), quantity(0.31, "1", "fairness.accuracy.difference")
    ('4.2 %', '31 percentage points')
    >>> quantity(0.0021, "J"), quantity(0.2, "s"), quantity(4.5e-5, "kg{CO2e}")
    ('0.0021 J', '200 ms', '0.045 g CO2e')
    """
    match form(metric):
        case "percent":
            return f"{percent(value)} %"
        case "points":
            return f"{percent(value)} percentage points"
        case "times":
            return f"{number(value)}×"
    if unit == "s" and 0 < abs(value) < 1:
        return f"{number(1000 * value)} ms"
    if unit == "kg{CO2e}" and abs(value) < 1:
        return f"{number(1000 * value)} g CO2e"
    if unit == "g{CO2e}/{R}" and 0 < abs(value) < 0.01:
        return f"{number(1000 * value)} mg CO2e per inference"
    return " ".join(part for part in (number(value), _UNITS.get(unit, unit)) if part)


def span_of(low: str, high: str) -> str:
    """Two figures of one unit, the unit said once.

    >>> span_of("61 %", "78 %")
    '61 to 78 %'
    """
    unit = low.partition(" ")[2]
    if unit and high.endswith(unit):
        low = low.removesuffix(unit).rstrip()
    return f"{low} to {high}"


def chance(p: float) -> str:
    """A p-value, with the frequency that it stands for: how often unchanged data would show as much.

    >>> chance(0.04), chance(2e-11), chance(0.7)
    ('p = 0.04 (about 1 in 25 comparisons)', 'p < 1e-9', 'well within chance (p = 0.7)')
    """
    if p > 0.5:
        return f"well within chance (p = {p:.1f})"
    if p < 1e-9:
        return "p < 1e-9"
    return f"p = {number(p, 2)} (about 1 in {_one_in(p)} comparisons)"


def _one_in(p: float) -> str:
    times = 1 / p
    if times > 100:
        times = round(times, 1 - math.floor(math.log10(times)))
    return f"{times:,.0f}"


def capital(text: str) -> str:
    """The text with a capital letter first."""
    return text[:1].upper() + text[1:]


def plural(count: int, word: str, many: str = "") -> str:
    """`1 alert`, `3 alerts`, `no alerts`.

    >>> plural(1, "alert"), plural(0, "alert"), plural(2, "verdict")
    ('1 alert', 'no alerts', '2 verdicts')
    """
    return f"{count:,} {word}" if count == 1 else f"{f'{count:,}' if count else 'no'} {many or word + 's'}"


def rarity(won: float) -> str:
    """An e-value as a bound on how often chance alone reaches it, one unit of capital staked a window.

    >>> rarity(2001.0), rarity(3e20), rarity(0.8)
    ('at most 1 in 2,000 windows', 'less than 1 in 1e9 windows', 'in most windows')
    """
    if won < 2:
        return "in most windows"
    return "less than 1 in 1e9 windows" if won > 1e9 else f"at most 1 in {_one_in(1 / won)} windows"
