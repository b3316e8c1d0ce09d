"""Values that are missing, new or of another type, column by column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from auditor.audit.measure import measure
from auditor.audit.summarise import fit_frame
from auditor.core.measurement import Reading, Status
from auditor.core.rows import PRESENT, Rows
from auditor.core.window import DAY, Baseline, Span
from auditor.drift.columns import PLUGIN
from auditor.registry import available
from auditor.testing.checks import check_measurer
from auditor.testing.factories import START
from auditor.testing.synthetic import make_rows, make_state, make_window

PAY, KIND = "inputs.form.descriptors.pay", "inputs.form.descriptors.kind"
ALARM = 1e-6


def _form(n: int, seed: int, **columns: Any) -> Rows:
    """Rows of one table of two columns, and a class as output; `columns` are put in place of these."""
    rng = np.random.default_rng(seed)
    rows = make_rows(n, seed)
    numeric = {PAY: rng.normal(size=n)}
    kind = rng.choice(["a", "b", "c"], n).astype(object)
    words = {KIND: kind, "output.label": rng.choice(["x", "y"], n).astype(object)}
    for name, values in columns.items():
        place = {"pay": PAY, "kind": KIND, "label": "output.label"}[name.removesuffix("_text")]
        (words if values.dtype == object else numeric)[place] = values
        if name == "kind" and values.dtype != object:
            words.pop(KIND)
    return replace(
        rows,
        numeric=numeric,
        categorical=words,
        vectors={},
        presence={"form": np.full(n, PRESENT, np.int8)},
        modality={"form": "tabular"},
        describer={"form": np.full(n, "tabular/1|", object)},
        commitment={},
    )


def _read(day: Rows, week: Rows) -> Mapping[tuple[str, str], Reading]:
    frame = fit_frame(week)
    found = list(PLUGIN.measure(make_state(day, frame), make_state(week, frame), frame))
    return {(reading.metric, reading.attributes["column"]): reading for reading in found}


def _with_nulls(values: Any, share: float, seed: int = 1) -> Any:
    gone = np.random.default_rng(seed).random(len(values)) < share
    blank = None if values.dtype == object else np.nan
    return np.where(gone, blank, values)


def test_the_contract_of_measurers() -> None:
    check_measurer(PLUGIN, *make_window(200, 3))


@pytest.mark.parametrize("share", [0.3, 1.0])
@pytest.mark.parametrize("column", ["pay", "kind", "label"])
def test_a_column_that_loses_its_values_is_named(column: str, share: float) -> None:
    path = {"pay": PAY, "kind": KIND, "label": "output.label"}[column]

    def rows(n: int, seed: int, nulls: float) -> Rows:
        plain = _form(n, seed)
        return _form(n, seed, **{column: _with_nulls({**plain.numeric, **plain.categorical}[path], nulls)})

    found = _read(rows(300, 2, share), rows(2100, 1, 0.02))
    short = "output.label" if column == "label" else column
    reading = found["input.null_rate", short]
    assert reading.value == pytest.approx(share, abs=0.09)
    assert reading.p_value is not None
    assert reading.p_value < ALARM
    others = [r for (metric, name), r in found.items() if metric == "input.null_rate" and name != short]
    assert others
    assert all(
        r.value == 0.0 and r.p_value is not None and r.p_value > 0.5
        for r in others
        if "site" not in r.attributes["column"]
    )


def test_nulls_as_many_as_in_the_baseline_are_nothing_new() -> None:
    week, day = _form(2100, 1), _form(300, 2)
    week, day = (
        _form(rows.n, seed, pay=_with_nulls(rows.numeric[PAY], 0.4, seed)) for rows, seed in ((week, 1), (day, 2))
    )
    reading = _read(day, week)["input.null_rate", "pay"]
    assert reading.value == pytest.approx(0.4, abs=0.1)
    assert reading.p_value is not None
    assert reading.p_value > 0.05


def test_new_categories_and_numbers_out_of_range() -> None:
    week = _form(2100, 1)
    kinds = _form(300, 2).categorical[KIND].copy()
    kinds[:60] = "brand new"
    found = _read(_form(300, 2, kind=kinds, pay=np.r_[np.full(60, 1e6), np.zeros(240)]), week)
    for column in ("kind", "pay"):
        reading = found["input.unseen_rate", column]
        assert reading.value == pytest.approx(0.2)
        assert reading.p_value is not None
        assert reading.p_value < ALARM
    assert "brand new" in found["input.unseen_rate", "kind"].facts["new_values"]


def test_a_new_group_is_an_unseen_value_of_its_feature() -> None:
    day = _form(300, 2)
    site = day.groups["site"].copy()
    site[:100] = "east"
    reading = _read(replace(day, groups={"site": site}), _form(2100, 1))["input.unseen_rate", "groups.site"]
    assert reading.value is not None
    assert reading.value > 0.3
    assert reading.p_value is not None
    assert reading.p_value < ALARM


def test_a_column_of_ids_has_no_unseen_values() -> None:
    week, day = _form(2100, 1), _form(300, 2)
    found = _read(_form(300, 2, kind=day.ids), _form(2100, 1, kind=week.ids))
    reading = found["input.unseen_rate", "kind"]
    assert (reading.status, reading.reason) == (Status.NOT_APPLICABLE, "identifier")


def test_many_categories_are_told_apart_by_those_that_both_states_keep() -> None:
    rng = np.random.default_rng(5)
    words = np.array([f"w{i}" for i in range(1500)], object)
    week = _form(60_000, 1, kind=words[rng.integers(0, 1500, 60_000)])
    same = _read(_form(900, 2, kind=words[rng.integers(0, 1500, 900)]), week)["input.unseen_rate", "kind"]
    assert same.value == 0.0
    other = np.array([f"v{i}" for i in range(1500)], object)[rng.integers(0, 1500, 900)]
    new = _read(_form(900, 3, kind=other), week)["input.unseen_rate", "kind"]
    assert new.value == 1.0
    assert new.p_value is not None
    assert new.p_value < ALARM


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_texts_among_numbers_and_numbers_among_texts(share: float) -> None:
    week, day = _form(2100, 1), _form(300, 2)
    odd = np.random.default_rng(3).random(300) < share
    texts = np.where(odd, "n/a in source", None).astype(object)
    numbers = np.where(odd, 7.0, np.nan)
    mixed = replace(
        day,
        numeric={PAY: np.where(odd, np.nan, day.numeric[PAY]), KIND: numbers},
        categorical={
            **day.categorical,
            PAY: texts,
            KIND: np.where(odd, None, day.categorical[KIND]).astype(object),
        },
    )
    found = _read(mixed, week)
    for column in ("pay", "kind"):
        reading = found["input.type_changed", column]
        assert reading.value == pytest.approx(share, abs=0.1)
        assert reading.p_value is not None
        assert reading.p_value < ALARM
        assert found["input.null_rate", column].value == 0.0


@pytest.mark.parametrize("where", ["baseline", "window", "both", "new"])
def test_a_mixed_column_has_one_figure_a_series_with_every_plugin(where: str) -> None:
    """Numbers and texts in one column, wherever they come from, never give two measurements with one identity."""

    def rows(n: int, seed: int, mixed: bool) -> Rows:
        plain = _form(n, seed)
        text = np.arange(n) % 3 == 0
        name = "inputs.form.descriptors.late" if where == "new" else PAY
        if not mixed:
            return plain
        return replace(
            plain,
            numeric={**plain.numeric, name: np.where(text, np.nan, plain.numeric[PAY])},
            categorical={**plain.categorical, name: np.where(text, "n/a in source", None).astype(object)},
        )

    week, day = rows(700, 1, where in ("baseline", "both")), rows(200, 2, where != "baseline")
    frame = fit_frame(week)
    span = Span(START, START + DAY)
    pinned = Baseline(
        id="b", model=week.model, span=span, frame=frame.digest, n=week.n, versions=("1",), by="t", at=START
    )
    found = measure(
        make_state(day, frame),
        (pinned, frame, make_state(week, frame)),
        frame,
        available("drift", {"univariate", "columns", "union", "domain_classifier", "missingness"}),
        span=span,
        run="r",
        revision=1,
        recorded=START,
    )
    assert not [m for m in found if m.status is Status.ERROR]
    assert len({m.id for m in found}) == len(found)
    compared = [m for m in found if m.metric == "drift.ks" and m.attributes["column"] == "pay"]
    assert len(compared) == 1
    assert compared[0].value is not None


def test_clean_windows_are_quiet() -> None:
    """Columns with 0 to 30 % of nulls, rare categories and heavy tails: p-values are no smaller than chance makes them."""
    p = []
    for seed in range(40):
        rng = np.random.default_rng(100 + seed)

        def rows(n: int, rng: np.random.Generator = rng, seed: int = seed) -> Rows:
            kinds = np.minimum(rng.geometric(0.4, n), 12).astype(str).astype(object)
            pay = _with_nulls(rng.standard_t(2, n), 0.3 * seed / 40, int(rng.integers(1 << 30)))
            return _form(n, int(rng.integers(1 << 30)), kind=_with_nulls(kinds, 0.05, seed), pay=pay)

        found = _read(rows(300), rows(2100))
        p += [reading.p_value for reading in found.values() if reading.p_value is not None]
    values = np.array(p)
    assert len(values) > 400
    assert (values <= 0.05).mean() <= 0.05
    assert values.min() > ALARM


@pytest.mark.parametrize("step", [1.0, -0.5, 1e6])
def test_a_counter_has_no_range_to_leave(step: float) -> None:
    """A row number or a time of day is new in every window; it is recognised, and not judged."""
    week, day = _form(700, 1), _form(100, 2)
    place = np.argsort(np.argsort(week.time_us, kind="stable"), kind="stable")
    week = _form(700, 1, pay=place * step)
    found = _read(_form(100, 2, pay=(700.0 + np.arange(100)) * step), week)["input.unseen_rate", "pay"]
    assert (found.status, found.reason) == (Status.NOT_APPLICABLE, "counter")
    moved = _read(replace(day, numeric={PAY: day.numeric[PAY] + 50}), _form(700, 1))["input.unseen_rate", "pay"]
    assert moved.value == 1.0
