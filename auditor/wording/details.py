"""What a figure rests on, as one clause made of its facts.

A name that is not listed here, from a plugin of anyone's, reads `name value`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from auditor.core.measurement import Measurement
from auditor.core.window import parse_time
from auditor.wording.numbers import listing, number, percent, plural, quantity
from auditor.wording.times import day

ASSUMPTIONS = {
    "same_calibration": "assumes that a confidence means what it meant in the baseline; only labels can confirm it",
    "same_accuracy_by_input": "assumes the baseline's accuracy for inputs of each kind; only labels can confirm it",
}
P_VALUES = {
    "bound": "the p-value is an upper bound",
    "permutation": "p-value by permutation of the samples, or its bound",
}


def detail(m: Measurement, *, past: bool = False) -> str:
    """The facts behind a figure as a clause, empty when there are none; `past` for a window that is over.

    A fact that a plugin left empty, or in a form that no clause expects, is left out.
    """
    facts = dict(m.facts)
    clauses = []
    for names, made in _CLAUSES:
        if names[0] in facts:
            taken = {name: facts.pop(name) for name in names if name in facts}
            try:
                clauses.append(made(taken, m, "then" if past else "now"))
            except (TypeError, ValueError, KeyError, AttributeError):  # a name of ours in a shape of someone else's
                facts.update({f"{name} ": value for name, value in taken.items()})
    clauses += [_any(name.strip(), value) for name, value in facts.items()]
    return "; ".join(clause for clause in clauses if clause)


def _any(name: str, value: Any) -> str:
    if value is None or value == "" or isinstance(value, Mapping):
        return ""
    shown = number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    if isinstance(value, list):
        shown = listing([str(item) for item in value])
    return f"{name.replace('_', ' ')} {shown}"


def _counts(facts: Mapping[str, Any], m: Measurement, when: str) -> str:
    here = f"{facts['count']:,} of {facts['of']:,}"
    if facts.get("baseline_of"):
        before, size = facts["baseline_count"], facts["baseline_of"]
        return f"{here} {when}, {before:,} of {size:,} in the baseline ({percent(before / size)} %)"
    return here


def _beside(name: str, unit: str = "") -> Callable[[Mapping[str, Any], Measurement, str], str]:
    def made(facts: Mapping[str, Any], m: Measurement, when: str) -> str:
        before, here = (number(facts[key], 4) + unit for key in (f"baseline_{name}", name))
        return f"{'' if unit else name + ' '}{here} {when}, {before} in the baseline"

    return made


def _category(facts: Mapping[str, Any], m: Measurement, when: str) -> str:
    before, here = percent(facts["baseline_share"]), percent(facts["share"])
    return f"“{facts['category']}” {here} % {when}, {before} % in the baseline"


def _baseline(facts: Mapping[str, Any], m: Measurement, when: str) -> str:
    return f"baseline {quantity(facts['baseline'], m.unit, m.metric)}"


def _rising(facts: Mapping[str, Any], m: Measurement, when: str) -> str:
    return f"rising since {day(parse_time(facts['rising_since']))}, {facts['values']:,} values"


def _expected(facts: Mapping[str, Any], m: Measurement, when: str) -> str:
    of = f" of {number(facts['raw'])}" if "raw" in facts else ""
    spread = f", give or take {number(facts['chance_spread'], 2)}" if "chance_spread" in facts else ""
    return f"{number(facts['expected_by_chance'])}{of} expected by chance{spread}"


def _lead(facts: Mapping[str, Any], m: Measurement, when: str) -> str:
    view = f"{facts['view']}: " if "view" in facts else "most by "
    views = f" in {facts['views']} views" if "views" in facts else ""
    return f"{view}{facts['leading_column']}, of {plural(facts['columns'], 'column')}{views}"


def _extremes(facts: Mapping[str, Any], m: Measurement, when: str) -> str:
    shown = (
        f"{name} {facts[name]['group']} {percent(facts[name]['value'])} % (n = {facts[name]['n']:,})"
        for name in ("lowest", "highest")
    )
    return ", ".join(shown)


def _new_values(facts: Mapping[str, Any], m: Measurement, when: str) -> str:
    names = [f"“{name}”" for name in facts["new_values"]]
    more = facts.get("new_values_total", len(names)) - len(names)
    return f"new: {listing([*names, *([f'{more:,} more'] if more > 0 else [])])}"


def _range(facts: Mapping[str, Any], m: Measurement, when: str) -> str:
    here, before = (
        f"{number(facts[f'{part}low'], 4)} to {number(facts[f'{part}high'], 4)}" for part in ("", "baseline_")
    )
    return f"{here} {when}, {before} in the baseline"


def _left_out(facts: Mapping[str, Any], m: Measurement, when: str) -> str:
    return f"{plural(facts['groups_left_out'], 'group')} below n = {facts['least_n']:,} left out"


def _samples(facts: Mapping[str, Any], m: Measurement, when: str) -> str:
    times = f", {facts['permutations']} permutations" if "permutations" in facts else ""
    return f"on samples of {facts['rows']:,} and {facts['baseline_rows']:,} records{times}"


def _components(facts: Mapping[str, Any], m: Measurement, when: str) -> str:
    return ", ".join(f"{name} {quantity(joules, 'J')}" for name, joules in facts["components"].items())


def _embodied(facts: Mapping[str, Any], m: Measurement, when: str) -> str:
    grams = facts["embodied_g"]
    return f"embodied {number(grams)} g an inference" if grams else "embodied emissions not counted"


def grid(facts: Mapping[str, Any]) -> str:
    """`grid of DEU 2023`; empty, where no country is named."""
    year = f" {facts['grid_year']}" if facts.get("grid_year") else ""
    return f"grid of {facts['country']}{year}" if facts.get("country") else ""


_CLAUSES: tuple[tuple[tuple[str, ...], Callable[[Mapping[str, Any], Measurement, str], str]], ...] = (
    (("text",), lambda facts, m, when: str(facts["text"])),  # of a store from before facts were kept
    (("lowest", "highest"), _extremes),
    (("groups_left_out", "least_n"), _left_out),
    (("count", "of", "baseline_count", "baseline_of"), _counts),
    (("positive",), lambda facts, m, when: f"positive class: {facts['positive']}"),
    (("leading_column", "view", "columns", "views"), _lead),
    (("mean", "baseline_mean"), _beside("mean")),
    (("length", "baseline_length"), _beside("length")),
    (("joules", "baseline_joules"), _beside("joules", " J")),
    (("category", "share", "baseline_share"), _category),
    (("baseline",), _baseline),
    (("new_values", "new_values_total"), _new_values),
    (("low", "high", "baseline_low", "baseline_high"), _range),
    (("rising_since", "values"), _rising),
    (("expected_by_chance", "raw", "chance_spread"), _expected),
    (("changed",), lambda facts, m, when: f"new outputs for {listing(facts['changed'])}"),
    (("without_baseline",), lambda facts, m, when: f"without a baseline: {listing(facts['without_baseline'])}"),
    (("effective",), lambda facts, m, when: f"worth {facts['effective']:,.0f} independent observations"),
    (("classes",), lambda facts, m, when: f"over {plural(facts['classes'], 'class', 'classes')}"),
    (("rows", "baseline_rows", "permutations"), _samples),
    (("features",), lambda facts, m, when: f"{facts['features']} random Fourier features"),
    (("p_value_by",), lambda facts, m, when: P_VALUES[facts["p_value_by"]]),
    (("assumes",), lambda facts, m, when: ASSUMPTIONS[facts["assumes"]]),
    (("components",), _components),
    (("country", "grid_year"), lambda facts, m, when: grid(facts)),
    (("embodied_g",), _embodied),
    (("meter",), lambda facts, m, when: f"meter {facts['meter']}" if facts["meter"] else ""),
)
"""The first name decides whether a clause is made; the others go into it."""
