"""Grids, projections and score figures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from auditor.core.grid import GRID_BINS, Grid, LogGrid
from auditor.core.state import VectorState
from auditor.statistics.grids import fit_grid
from auditor.statistics.projections import fit_projection
from auditor.statistics.scores import concordance, confidence, cosine, entropy, probabilities

NUMBERS = st.floats(-1e300, 1e300)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(x=arrays(np.float64, st.integers(1, 200), elements=NUMBERS), bins=st.sampled_from([100, 128, GRID_BINS]))
def test_a_grid_is_strictly_rising_finite_and_holds_every_value(x: np.ndarray, bins: int) -> None:
    grid = fit_grid(x, bins)
    assert np.isfinite(grid.edges).all()
    assert np.isfinite(grid.values).all()
    assert (np.diff(grid.edges) > 0).all()
    assert len(grid.values) == len(grid.edges) + 1 <= bins
    bins_of = grid.index(x)
    assert ((bins_of >= 0) & (bins_of < len(grid.values))).all()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(x=arrays(np.float64, st.integers(1, 60), elements=st.integers(-20, 20).map(float)))
def test_few_distinct_values_each_have_a_bin(x: np.ndarray) -> None:
    grid = fit_grid(x)
    distinct = np.unique(x)
    assert len(set(grid.index(distinct).tolist())) == len(distinct)
    assert np.allclose(grid.value(grid.index(x)), x, atol=1e-12)


def test_many_values_get_bins_of_equal_mass() -> None:
    x = np.random.default_rng(0).normal(size=200_000)
    grid = fit_grid(x)
    mass = np.bincount(grid.index(x), minlength=len(grid.values)) / len(x)
    assert mass.max() < 1.2 / (GRID_BINS - 96)


def test_values_far_beyond_the_baseline_keep_their_size() -> None:
    grid = fit_grid(np.linspace(0, 1, 1000))
    for value in (1.5, 7.0, 60.0, -20.0):
        assert grid.value(grid.index(np.array([value])))[0] == pytest.approx(value, rel=0.15)


def test_neighbouring_floats_are_told_apart() -> None:
    x = np.array([1.0, np.nextafter(1.0, 2.0)])
    grid = fit_grid(x)
    assert len(set(grid.index(x).tolist())) == 2


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: rng.normal(size=n),
        lambda rng, n: rng.normal(0, 2, n).round(1),
        lambda rng, n: rng.standard_cauchy(n),
        lambda rng, n: np.where(rng.random(n) < 0.5, 0.0, rng.lognormal(3, 3, n)),
        lambda rng, n: np.where(rng.random(n) < 0.5, 1e-8, 1e8) + rng.normal(size=n),
        lambda rng, n: rng.choice([-1e300, 1e300], n) * rng.random(n),
        lambda rng, n: rng.random(n) * 5e-322,
        lambda rng, n: rng.random(n) * 1e-300,
        lambda rng, n: 1.7e9 + rng.random(n) * 1e-3,
        lambda rng, n: rng.integers(0, 50_000, n).astype(float),
        lambda rng, n: 2.0**53 + 2 * rng.integers(0, 5_000, n),
    ],
    ids=[
        "normal",
        "rounded",
        "heavy tails",
        "half zero",
        "two scales",
        "huge",
        "subnormal",
        "tiny",
        "far off",
        "whole",
        "neighbours",
    ],
)
def test_looking_bins_up_finds_what_searching_finds(draw: Callable[[np.random.Generator, int], np.ndarray]) -> None:
    """Values on an edge, next to one, zeros of both signs and values beyond the grid among them."""
    rng = np.random.default_rng(4)
    grid = fit_grid(draw(rng, 20_000))
    near = [np.nextafter(grid.edges, away) for away in (-np.inf, np.inf)]
    x = np.concatenate([draw(rng, 40_000), grid.edges, *near, [0.0, -0.0, 1e308, -1e308, 5e-324]])
    expected = np.searchsorted(grid.edges, x, side="right")
    assert np.array_equal(grid.index(x), expected)
    assert np.array_equal(grid.count(x), np.bincount(expected, minlength=len(grid.values)))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    number=st.integers(110, 700),
    centre=st.sampled_from([0.0, 1.0, -1e8, 1e300]) | NUMBERS,
    spread=st.sampled_from([0.0, 1e-3, 1.0, 30.0]),
    width=st.sampled_from([5e-324, 1e-290, 1e-12, 1.0, 1e12, 1e307]),
    ulps=st.integers(0, 40),
)
def test_any_edges_are_looked_up_as_they_are_searched(
    seed: int, number: int, centre: float, spread: float, width: float, ulps: int
) -> None:
    """Edges from evenly spaced to spread over many orders of magnitude, and values a few floats away from them."""
    rng = np.random.default_rng(seed)
    with np.errstate(over="ignore"):
        edges = np.unique(centre + width * rng.normal(size=number) * 10 ** (spread * rng.normal(size=number)))
    edges = edges[np.isfinite(edges)]
    if len(edges) < 110:
        edges = np.unique(np.concatenate([edges, np.arange(110.0)]))
    grid = Grid(edges, np.zeros(len(edges) + 1))
    close = edges[rng.integers(0, len(edges), 5000)]
    for _ in range(ulps):
        close = np.nextafter(close, np.where(rng.random(len(close)) < 0.5, -np.inf, np.inf))
    x = np.concatenate([close[np.isfinite(close)], edges, edges / 2, [0.0, -0.0, 5e-324, 1.8e308 / 2, -1.7e308]])
    expected = np.searchsorted(edges, x, side="right")
    assert np.array_equal(grid.index(x), expected)
    assert np.array_equal(grid.count(x), np.bincount(expected, minlength=len(edges) + 1))


def test_looking_bins_up_takes_none_one_or_many_blocks_of_values() -> None:
    rng = np.random.default_rng(6)
    grid = fit_grid(rng.normal(size=20_000))
    for n in (0, 1, 4095, 4096, 65_536, 65_537, 200_000):
        x = rng.normal(size=n)
        expected = np.searchsorted(grid.edges, x, side="right")
        assert np.array_equal(grid.index(x), expected)
        assert np.array_equal(grid.count(x), np.bincount(expected, minlength=len(grid.values)))


def test_an_empty_column_has_no_grid() -> None:
    with pytest.raises(ValueError, match="at least one"):
        fit_grid(np.empty(0))
    with pytest.raises(ValueError, match="at least one"):
        fit_projection(np.empty((0, 3), np.float32))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(x=st.floats(1e-8, 1e12) | st.floats(-1e12, -1e-8))
def test_the_log_grid_recovers_values_within_its_accuracy(x: float) -> None:
    grid = LogGrid()
    assert grid.value(grid.index(np.array([x])))[0] == pytest.approx(x, rel=0.0051)


def test_components_are_those_of_the_covariance() -> None:
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(500, 6)) * [5, 3, 2, 1, 0.5, 0.1]).astype(np.float32)
    projection = fit_projection(x)
    y = projection.project(x)
    expected = np.sort(np.linalg.eigvalsh(np.cov(x.T.astype(float))))[::-1]
    assert np.allclose(y.var(axis=0, ddof=1), expected, rtol=1e-6)
    assert np.allclose(np.cov(y.T), np.diag(expected), atol=1e-8)
    assert projection.frequencies.shape == (6, 256)


def test_fewer_rows_than_dimensions_give_the_same_directions() -> None:
    x = np.random.default_rng(2).normal(size=(20, 90)).astype(np.float32)
    projection = fit_projection(x)
    assert projection.matrix.shape == (90, 19)
    assert np.allclose(projection.matrix.T @ projection.matrix, np.eye(19), atol=1e-8)


def test_a_constant_vector_still_projects() -> None:
    projection = fit_projection(np.ones((30, 4), np.float32))
    assert np.isfinite(projection.features(projection.project(np.ones((2, 4), np.float32)))).all()


def test_random_features_approximate_the_gaussian_kernel() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    projection = fit_projection(x, seed=4)
    y = projection.project(x)
    features = projection.features(y)
    distance = ((y[:, None] - y[None]) ** 2).sum(axis=2)
    median = np.median(np.sqrt(distance[np.triu_indices(300, 1)]))
    error = features @ features.T - np.exp(-distance / (2 * median**2))
    assert np.abs(error).mean() < 0.06


def test_random_features_are_cosines() -> None:
    """Small and large angles alike; rows in any number."""
    rng = np.random.default_rng(5)
    projection = fit_projection(rng.normal(size=(300, 4)).astype(np.float32))
    y = rng.normal(size=(300, 4)) * np.geomspace(1e-9, 1e4, 300)[:, None]
    expected = np.sqrt(2 / 256) * np.cos(y @ projection.frequencies + projection.phases)
    assert np.allclose(projection.features(y)[:200], expected[:200], rtol=0, atol=1e-15)
    assert np.allclose(projection.features(y), expected, rtol=0, atol=1e-11)
    assert projection.features(y[:0]).shape == (0, 256)


def test_a_vector_column_of_many_rows_is_what_it_is_in_one_piece() -> None:
    rng = np.random.default_rng(6)
    x = (rng.normal(size=(10_001, 6)) + 3).astype(np.float32)
    projection = fit_projection(x)
    y = projection.project(x)
    state, features = VectorState.of(x, projection), projection.features(y)
    assert state.n == len(x)
    assert np.allclose(state.mean, y.mean(axis=0), rtol=0, atol=1e-12)
    assert np.allclose(state.scatter, (y - y.mean(axis=0)).T @ (y - y.mean(axis=0)), rtol=1e-12, atol=1e-7)
    assert np.allclose(state.features, features.sum(axis=0), rtol=1e-12, atol=1e-9)
    assert state.square == pytest.approx(float((features**2).sum()), rel=1e-12)


def test_scores_that_are_no_probabilities_have_no_entropy() -> None:
    scores = np.array([[0.7, 0.3], [2.0, -1.0], [0.9, 0.8], [np.nan, np.nan]])
    p = probabilities(scores)
    assert np.isnan(p[1:]).all()
    assert np.allclose(entropy(p)[0], -(0.7 * np.log2(0.7) + 0.3 * np.log2(0.3)))
    assert np.isnan(entropy(p)[1:]).all()
    assert np.array_equal(confidence(scores), [0.7, 2.0, 0.9, np.nan], equal_nan=True)
    assert concordance(p[:1], p[:1])[0] == pytest.approx(0.58)


def test_cosine_of_a_zero_row_is_absent() -> None:
    found = cosine(np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[-2.0, 0.0], [1.0, 0.0]]))
    assert np.array_equal(found, [-1.0, np.nan], equal_nan=True)


@pytest.mark.parametrize("shape", ["normal", "lognormal", "cauchy", "rounded", "huge", "tiny", "offset"])
def test_many_values_are_placed_exactly_where_a_search_places_them(shape: str) -> None:
    """Cells speed the search up and change nothing: at every edge, beside it, and far outside."""
    rng = np.random.default_rng(3)
    x = {
        "normal": rng.normal(size=20_000),
        "lognormal": rng.lognormal(0, 3, 20_000),
        "cauchy": rng.standard_cauchy(20_000),
        "rounded": rng.normal(size=20_000).round(1),
        "huge": rng.normal(size=5000) * 1e300,
        "tiny": rng.normal(size=5000) * 1e-310,
        "offset": 1e9 + rng.normal(size=9000),
    }[shape]
    grid = fit_grid(x)
    beside = [np.nextafter(grid.edges, side) for side in (-np.inf, np.inf)]
    y = np.concatenate([rng.permutation(x)[:4000], grid.edges, *beside, [-1e308, 0.0, 1e308]])
    y = y[np.isfinite(y)]
    assert np.array_equal(grid.index(y), np.searchsorted(grid.edges, y, side="right"))
    assert np.array_equal(grid.index(y[:9]), grid.index(y)[:9])
