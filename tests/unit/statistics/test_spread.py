"""Spreads between windows, groups of values, identifiers and counters, and when a frame is fitted again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.audit.baselines import again
from auditor.core.frame import Frame
from auditor.core.spread import ANY_SEASON, Spread
from auditor.core.window import DAY, Baseline, Span
from auditor.statistics.groups import FINE, category_groups, group_bins, numeric_groups
from auditor.statistics.spread import (
    COUNTER,
    IDENTIFIER,
    Tiling,
    fit_spread,
    share_variances,
    smallest_change,
    untested,
)
from auditor.testing import make_rows, make_state
from auditor.testing.factories import MODEL

W, N = 28, 100
START = datetime(2026, 3, 2, tzinfo=UTC)


def spread_of(x: np.ndarray) -> Spread:
    """Of values by window, shape (W, N)."""
    edges = np.quantile(x, np.linspace(0, 1, 41)[1:-1])
    bins = np.searchsorted(edges, x.ravel(), side="right")
    groups = numeric_groups(np.bincount(bins, minlength=40), np.empty(0, np.int64), FINE)
    found = fit_spread(groups, groups.bins[bins], Tiling(np.repeat(np.arange(W), N), np.full(W, ANY_SEASON, np.int64)))
    assert found is not None
    return found


def shared(spreads: list[Spread]) -> list[Spread]:
    named = {str(i): spread for i, spread in enumerate(spreads)}
    return list(share_variances(named, list(named)).values())


def test_rows_that_are_independent_stay_the_unit_of_evidence() -> None:
    rng = np.random.default_rng(0)
    found = shared([spread_of(rng.normal(size=(W, N))) for _ in range(200)])
    assert sum(spread.dependent for spread in found) <= 7  # 2 expected at a level of 0.01
    here, there = zip(*(spread.independent(N) for spread in found), strict=True)
    assert np.median(here) > 0.8
    assert all(0 < share <= 1 for share in (*here, *there))


@pytest.mark.parametrize("alike", [0.0, 0.8])
def test_windows_with_a_level_of_their_own_are_the_unit_instead(alike: float) -> None:
    rng = np.random.default_rng(1)

    def levels() -> np.ndarray:
        level = np.zeros(W)
        for i in range(1, W):
            level[i] = alike * level[i - 1] + rng.normal()
        return level

    found = shared([spread_of(rng.normal(size=(W, N)) + levels()[:, None]) for _ in range(20)])
    assert all(spread.dependent for spread in found)
    # Variance between windows about as large as within: a window counts for about two rows.
    assert np.median([spread.independent(N)[0] for spread in found]) * N < 6
    lags = np.array([spread.lag for spread in found])
    assert np.median(lags) > 4 if alike else np.median(lags) < 3


def test_one_column_that_varies_does_not_hide_among_steady_ones() -> None:
    rng = np.random.default_rng(2)
    steady = [spread_of(rng.normal(size=(W, N))) for _ in range(19)]
    wild = spread_of(rng.normal(size=(W, N)) + rng.normal(size=(W, 1)))
    assert shared([*steady, wild])[-1].dependent


def test_more_windows_and_steadier_ones_find_smaller_changes() -> None:
    rng = np.random.default_rng(3)
    steady, wild = (
        shared([spread_of(rng.normal(size=(W, N))) for _ in range(9)])[0],
        spread_of(rng.normal(size=(W, N)) + rng.normal(size=(W, 1))),
    )
    wild = replace(wild, dependent=True)
    for spread in (steady, wild):
        assert smallest_change(spread, 28, 13.0, "numeric") < smallest_change(spread, 7, 13.0, "numeric")
    assert smallest_change(steady, 7, 13.0, "numeric") < smallest_change(wild, 7, 13.0, "numeric")


@given(st.lists(st.integers(0, 20), min_size=3, max_size=40), st.data())
@settings(derandomize=True, max_examples=100, deadline=None)
def test_a_frequent_value_shares_its_group_with_nothing(counts: list[int], data: st.DataObject) -> None:
    """Nor do values between two such values share one with values beyond them."""
    size = len(counts)
    chosen = sorted(data.draw(st.sets(st.integers(0, size - 1), max_size=size)))
    table = np.array(counts)
    groups = group_bins(table, np.array(chosen, np.int64), 10)
    assert (np.diff(groups) >= 0).all()
    assert groups[0] == 0
    assert (np.diff(groups) <= 1).all()
    own = [bin_ for bin_ in chosen if table[bin_] * 20 >= table.sum()]
    for bin_ in own:
        assert (groups == groups[bin_]).sum() == 1


def test_categories_that_the_baseline_hardly_has_share_the_last_group() -> None:
    groups = category_groups({"a": 500, "b": 400, "c": 1})
    assert groups.of_code("a") != groups.of_code("b")
    assert groups.of_code("c") == groups.of_code("never seen") == len(groups.counts) - 1
    assert category_groups({"a": 10}).of_code("b") == 1


def test_identifiers_and_counters_are_recognised() -> None:
    rng = np.random.default_rng(4)
    n = 400
    time = np.arange(n, dtype=np.int64)
    order = rng.permutation(n)  # rows come in the order of their ids, not of time
    numeric = {
        "rising": 5.0 + 3 * time,
        "falling": -1.0 * time,
        "noisy counter": time + rng.normal(0, 3, n),
        "missing here and there": np.where(rng.random(n) < 0.3, np.nan, time),
        "age": rng.normal(size=n),
        "trend in noise": rng.normal(size=n) + time / n,
        "two values": (time > n / 2).astype(float),
        "constant": np.ones(n),
    }
    words = {
        "ticket": np.array([f"t{i}" for i in range(n)], object),
        "ticket, often missing": np.array([f"t{i}" if i % 3 else None for i in range(n)], object),
        "kind": np.array(["ab"[i % 2] for i in range(n)], object),
        "user": np.array([f"u{i % 40}" for i in range(n)], object),
        "few": np.array([f"t{i}" if i < 20 else None for i in range(n)], object),
    }
    found = untested(
        {name: x[order] for name, x in numeric.items()}, {name: x[order] for name, x in words.items()}, time[order]
    )
    counters = {"rising", "falling", "noisy counter", "missing here and there"}
    assert {name for name, kind in found.items() if kind == COUNTER} == counters
    assert {name for name, kind in found.items() if kind == IDENTIFIER} == {"ticket", "ticket, often missing"}


class Shelf:
    """An archive that has so many rows of any span."""

    def __init__(self, n: int) -> None:
        self.n = n

    def read(self, model: str, span: Span) -> object:
        return make_rows(self.n, 1)


@pytest.mark.parametrize(
    ("edition", "step", "rows", "refitted"),
    [(1, DAY, 50, True), (2, DAY, 50, False), (2, DAY / 4, 50, True), (1, DAY, 40, False)],
)
def test_a_frame_of_before_is_fitted_again_from_the_archive(
    edition: int, step: object, rows: int, refitted: bool
) -> None:
    """Not where the archive lost records of it: then `baseline_outdated` is shown instead."""
    frame = replace(Frame(MODEL), edition=edition)
    span = Span(START, START + DAY)
    baseline = Baseline(
        id="b", model=MODEL, span=span, frame=frame.digest, n=50, versions=("1",), by="Ada", at=span.end
    )
    command = again((baseline, frame, make_state(n=50)), Shelf(rows), step)  # type: ignore[arg-type]
    assert (command is not None) == refitted
    if command is not None:
        assert (command.by, command.payload["since"]) == ("Ada", "2026-03-02T00:00:00Z")
