"""The drift figures themselves find values that the baseline never had, and other shares of those it had, in every view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from auditor.audit.summarise import summarise
from auditor.core.rows import Rows
from auditor.core.window import DAY, Span, to_us
from auditor.drift.sequential import PLUGIN
from auditor.drift.univariate import PLUGIN as UNIVARIATE
from auditor.statistics.framing import fit_frame
from auditor.testing.factories import START

Draw = Callable[[np.random.Generator, int], Any]
WHOLE = Span(START, START + 14 * DAY)
N = 100
LEVEL, FLOOR = 13.1, 0.07
"""Log e-value and distance from which the starter pack alerts, for 20 columns."""


def constant(value: float) -> Draw:
    return lambda rng, n: np.full(n, float(value))


def numbers(values: list[float], shares: list[float]) -> Draw:
    return lambda rng, n: rng.choice(np.array(values, float), n, p=shares)


def words(values: list[str], shares: list[float]) -> Draw:
    return lambda rng, n: np.array(values, object)[rng.choice(len(values), n, p=shares)]


def normal(mean: float, sd: float = 1.0) -> Draw:
    return lambda rng, n: rng.normal(mean, sd, n)


def table(first: int, days: int, draw: Draw, rng: np.random.Generator, path: str) -> Rows:
    n = days * N
    values = draw(rng, n)
    numeric = values.dtype != object
    return Rows(
        model="m",
        ids=np.array([f"{first}-{i}" for i in range(n)], object),
        time_us=to_us(START + first * DAY) + np.arange(n) * (86_400_000_000 // N),
        version=np.full(n, "1", object),
        sampling=np.ones(n),
        described=np.ones(n, bool),
        numeric={path: values} if numeric else {},
        categorical={} if numeric else {path: values},
        presence={"form": np.ones(n, np.int8)},
        modality={"form": "tabular"},
        describer={"form": np.full(n, "tabular/1|", object)},
        truth=np.full(n, None, object),
        truth_value=np.full(n, np.nan),
        labelled_us=np.full(n, -1),
    )


def days_to_alert(before: Draw, after: Draw, path: str, most: int) -> int | None:
    """First day on which the e-value and the distance are both beyond what the pack asks for."""
    rng = np.random.default_rng(4)
    rows = table(0, 14, before, rng, path)
    frame = fit_frame(rows, span=WHOLE)
    reference = summarise(rows, frame, WHOLE)[0]
    state = PLUGIN.begin(reference, frame, pinned="b", at=WHOLE.end)
    for day in range(most):
        span = Span(WHOLE.end + day * DAY, WHOLE.end + (day + 1) * DAY)
        window = summarise(table(14 + day, 1, after, rng, path), frame, span)[0]
        state = PLUGIN.bet(state, window, reference, frame, span)
        distance = max(
            (r.value or 0.0) for r in UNIVARIATE.measure(window, reference, frame) if r.metric == "drift.jensen_shannon"
        )
        if path in state.bets and state.bets[path].log_wealth >= LEVEL and distance > FLOOR:
            return day + 1
    return None


FLAG, YES = numbers([0, 1], [0.5, 0.5]), words(["yes", "no"], [0.3, 0.7])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(constant(5), constant(7), id="a constant above itself"),
        pytest.param(constant(5), constant(4.9), id="a constant just below itself"),
        pytest.param(constant(0), constant(1e9), id="zero becomes enormous"),
        pytest.param(constant(5), normal(5, 1e-3), id="a constant begins to tremble"),
        pytest.param(FLAG, numbers([0, 99], [0.5, 0.5]), id="above both values"),
        pytest.param(FLAG, numbers([0, 0.5], [0.5, 0.5]), id="between both values"),
        pytest.param(FLAG, numbers([-1, 1], [0.5, 0.5]), id="below both values"),
        pytest.param(FLAG, numbers([0, 1], [0.2, 0.8]), id="other shares of both values"),
        pytest.param(numbers([0, 1], [0.98, 0.02]), numbers([0, 1], [0.6, 0.4]), id="a rare value becomes frequent"),
        pytest.param(
            numbers([0, 1, 2], [0.4, 0.2, 0.4]), numbers([0, 1.5, 2], [0.4, 0.2, 0.4]), id="one of three moves"
        ),
        pytest.param(normal(0), normal(20), id="beyond a continuous range"),
        pytest.param(words(["a", "b"], [0.5, 0.5]), words(["x", "y"], [0.5, 0.5]), id="all categories new"),
        pytest.param(words(["a"], [1.0]), words(["b"], [1.0]), id="one category becomes another"),
        pytest.param(words(["a", "b"], [0.5, 0.5]), words(["a", "b"], [0.2, 0.8]), id="other shares of categories"),
        pytest.param(YES, words(["Yes", "No"], [0.3, 0.7]), id="another spelling"),
    ],
)
def test_a_column_of_a_table_is_found_within_two_days(before: Draw, after: Draw) -> None:
    assert days_to_alert(before, after, "inputs.form.descriptors.a", 2) is not None


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("output.label", words(["a", "b"], [0.5, 0.5]), words(["a", "b"], [0.2, 0.8])),
        ("output.label", words(["a"], [1.0]), words(["c"], [1.0])),
        ("output.finish", words(["stop", "length"], [0.95, 0.05]), words(["stop", "length"], [0.5, 0.5])),
        ("output.tokens.output", normal(50, 7), normal(80, 7)),
        ("output.value", normal(0), normal(1)),
        ("output.refused", numbers([0, 1], [0.98, 0.02]), numbers([0, 1], [0.7, 0.3])),
        ("inputs.form.descriptors.language", words(["en", "de"], [0.9, 0.1]), words(["en", "de"], [0.3, 0.7])),
    ],
)
def test_columns_of_every_view_are_found_within_two_days(path: str, before: Draw, after: Draw) -> None:
    assert days_to_alert(before, after, path, 2) is not None


@pytest.mark.parametrize(
    "same", [constant(5), FLAG, YES, words(["a"], [1.0]), normal(0), numbers([0, 1], [0.98, 0.02])]
)
def test_the_same_values_again_are_nothing(same: Draw) -> None:
    assert days_to_alert(same, same, "inputs.form.descriptors.a", 10) is None
