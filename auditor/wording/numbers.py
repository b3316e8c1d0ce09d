"""Numbers as a reader writes them: one form for each quantity, in alerts, verdicts, reports and on pages."""

from __future__ import annotations

import math
from collections.abc import Sequence

from auditor.registry import vocabulary

_UNITS = {"kg{CO2e}": "kg CO2e", "g{CO2e}/{R}": "g CO2e per answer", "{inference}": "calls", "1": ""}
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
            return f"{number(value)} times"
    if unit == "s" and 0 < abs(value) < 1:
        return f"{number(1000 * value)} ms"
    if unit == "kg{CO2e}" and abs(value) < 1:
        return f"{number(1000 * value)} g CO2e"
    if unit == "g{CO2e}/{R}" and 0 < abs(value) < 0.01:
        return f"{number(1000 * value)} mg CO2e per answer"
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


def chance(p: float, of: str = "comparison") -> str:
    """A p-value as a frequency: how often unchanged data would show as much.

    >>> chance(0.04)
    'about once in 25 comparisons'
    >>> chance(2e-11, "window")
    'less than once in a billion windows'
    >>> chance(0.7)
    'in most comparisons'
    """
    if p > 0.5:
        return f"in most {of}s"
    for limit, word in ((1e-9, "a billion"), (1e-6, "a million")):
        if p < limit:
            return f"less than once in {word} {of}s"
    times = 1 / p
    if times > 100:
        times = round(times, 1 - math.floor(math.log10(times)))
    return f"about once in {times:,.0f} {of}s"


def plural(count: int, word: str, many: str = "") -> str:
    """`1 alert`, `3 alerts`, `no alerts`.

    >>> plural(1, "alert"), plural(0, "alert"), plural(2, "verdict")
    ('1 alert', 'no alerts', '2 verdicts')
    """
    return f"{count:,} {word}" if count == 1 else f"{f'{count:,}' if count else 'no'} {many or word + 's'}"


def rarity(won: float) -> str:
    """What bets have won as a bound on how often they win as much while nothing changes (one unit of capital a window).

    >>> rarity(2001.0), rarity(3e20)
    ('at most once in 2,000 windows', 'less than once in a billion windows')
    """
    return chance(1 / max(won, 1.0), "window").replace("about", "at most")
