"""Distances: against scipy on the same data, within the bound they state, and against theory."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import spatial, stats

from auditor.statistics.distances import (
    KernelMean,
    collapse,
    displacement,
    frechet,
    grouped,
    jensen_shannon,
    ks,
    mmd2,
    mmd_p,
    psi,
    total_variation,
    wasserstein,
)
from auditor.statistics.grids import fit_grid
from auditor.statistics.projections import fit_projection


def _counted(rng: np.random.Generator, kind: str) -> tuple[np.ndarray, np.ndarray]:
    draw = {
        "normal": lambda n, by: rng.normal(by, 1 + by / 4, n),
        "heavy": lambda n, by: rng.standard_t(2, n) * (1 + by),
        "integer": lambda n, by: rng.poisson(6 + 2 * by, n).astype(float),
        "atom": lambda n, by: np.where(rng.random(n) < 0.6, 0.0, rng.gamma(2, 1 + by, n)),
        "beyond": lambda n, by: rng.normal(30 * by, 1, n),
    }[kind]
    return draw(9000, 0.0), draw(1500, 0.4)


KINDS = ("normal", "heavy", "integer", "atom", "beyond")


@pytest.mark.parametrize("kind", KINDS)
def test_ks_on_the_grid_is_scipys_within_the_bound(kind: str) -> None:
    then, now = _counted(np.random.default_rng(7), kind)
    grid = fit_grid(then)
    a, b = (np.bincount(grid.index(x), minlength=len(grid.values)) for x in (then, now))
    found, bound = ks(a, b)
    exact = stats.ks_2samp(then, now).statistic
    assert found - 1e-12 <= exact <= found + bound + 1e-12
    assert exact - found < 0.002


@pytest.mark.parametrize("kind", KINDS)
def test_wasserstein_on_the_grid_is_scipys_within_the_bound(kind: str) -> None:
    then, now = _counted(np.random.default_rng(8), kind)
    grid = fit_grid(then)
    a, b = (np.bincount(grid.index(x), minlength=len(grid.values)) for x in (then, now))
    exact = stats.wasserstein_distance(then, now)
    bound = sum(displacement(counts, grid.edges, grid.values, x.min(), x.max()) for counts, x in ((a, then), (b, now)))
    found = max(wasserstein(a, b, grid.values), abs(then.mean() - now.mean()))
    assert abs(found - exact) <= bound + 1e-9
    assert abs(found - exact) < {"heavy": 0.03, "beyond": 0.1}.get(kind, 0.01) * exact


def test_jensen_shannon_is_scipys() -> None:
    rng = np.random.default_rng(9)
    for _ in range(20):
        a, b = rng.integers(0, 30, 12) + np.eye(12, dtype=int)[0], rng.integers(0, 30, 12) + np.eye(12, dtype=int)[1]
        assert jensen_shannon(a, b) == pytest.approx(spatial.distance.jensenshannon(a, b, base=2), abs=1e-9)
    assert jensen_shannon(np.array([3, 1]), np.array([3, 1])) == 0.0
    assert total_variation(np.array([1, 1]), np.array([2, 0])) == 0.5


def test_psi_by_hand_and_with_an_empty_bin() -> None:
    assert psi(np.array([50, 50]), np.array([60, 40])) == pytest.approx(0.1 * np.log(1.2) - 0.1 * np.log(0.8))
    assert np.isfinite(psi(np.array([50, 50, 0]), np.array([50, 0, 50])))


def test_groups_share_the_mass_and_keep_the_order() -> None:
    counts = np.array([0, 10, 10, 0, 60, 5, 5, 10, 0])
    groups = collapse(counts, 4)
    assert (np.diff(groups) >= 0).all()
    assert groups[0] == 0
    assert set(groups) == set(range(groups[-1] + 1))
    assert grouped(counts, groups).sum() == counts.sum()
    assert (grouped(counts, groups) > 0).all()
    one = collapse(np.array([0, 7, 0]), 10)
    assert set(one.tolist()) == {0}


def test_ten_groups_of_a_smooth_column_are_even() -> None:
    counts = np.full(4096, 3)
    shares = grouped(counts, collapse(counts, 10)) / counts.sum()
    assert np.abs(shares - 0.1).max() < 0.001


@pytest.mark.parametrize(("n", "measured"), [(200, 11.1), (5000, 0.443)])
def test_frechet_bias_is_the_published_one(n: int, measured: float) -> None:
    """Identity covariance, 64 dimensions: about 11.1 at 200 rows a side and 0.443 at 5000, by simulation and by theory."""
    rng = np.random.default_rng(10)
    values = []
    for _ in range(8):
        x, y = rng.normal(size=(n, 64)), rng.normal(size=(n, 64))
        found = frechet(x.mean(axis=0), np.cov(x.T), n, y.mean(axis=0), np.cov(y.T), n)
        values.append(found.value)
    assert np.mean(values) == pytest.approx(measured, rel=0.03)
    c = 2 / n
    known = frechet(np.zeros(64), np.eye(64), n, np.zeros(64), np.eye(64), n)
    assert known.bias == pytest.approx(c * (64 + 64 * 65 / 4))
    assert known.value == pytest.approx(0.0, abs=1e-9)
    if n >= 5 * 64:
        assert np.mean(values) == pytest.approx(found.bias, rel=0.1)
        assert np.std(values, ddof=1) < 3 * found.spread


def test_frechet_of_shifted_normals_is_the_closed_form() -> None:
    mean, cov = np.array([3.0, 4.0]), np.diag([4.0, 9.0])
    found = frechet(np.zeros(2), np.diag([1.0, 1.0]), 10**9, mean, cov, 10**9)
    assert found.value == pytest.approx(25 + (2 - 1) ** 2 + (3 - 1) ** 2)


def _kernel_means(shift: float, n: int, seed: int) -> tuple[KernelMean, KernelMean, float]:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(1000, 8)), rng.normal(shift, 1, (n, 8))
    projection = fit_projection(x.astype(np.float32), seed=1)
    sides = []
    for rows in (x, y):
        features = projection.features(projection.project(rows.astype(np.float32)))
        sides.append(KernelMean(len(rows), features.sum(axis=0), float((features**2).sum())))
    u, v = (projection.project(rows.astype(np.float32)) for rows in (x, y))
    scale = 1 / projection.frequencies.std()

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.exp(-((a[:, None] - b[None]) ** 2).sum(axis=2) / (2 * scale**2))

    exact = (kernel(u, u).sum() - len(u)) / (len(u) * (len(u) - 1))
    exact += (kernel(v, v).sum() - len(v)) / (len(v) * (len(v) - 1)) - 2 * kernel(u, v).mean()
    return sides[0], sides[1], float(exact)


def test_mmd_from_random_features_is_near_the_exact_kernel() -> None:
    then, now, exact = _kernel_means(0.7, 400, 11)
    assert mmd2(then, now) == pytest.approx(exact, rel=0.25)
    assert mmd2(then, now) == pytest.approx(mmd2(now, then))
    assert mmd_p(then, now) < 0.01
    null = [_kernel_means(0.0, 300, seed) for seed in range(20, 26)]
    assert abs(np.mean([mmd2(a, b) for a, b, _ in null])) < 0.002
    assert all(mmd_p(a, b) > 0.05 for a, b, _ in null)
