"""P-values: against scipy, against exact enumeration, and against the level they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from auditor.statistics.distances import psi
from auditor.statistics.nulls import chi_square_p, fisher_exact, hotelling_p, ks_p, permutation_p


def _at_most(hits: int, runs: int, level: float) -> bool:
    """Whether that many rejections are believable for a test that keeps its level (one-sided, 1 in 10 000)."""
    return hits <= stats.binom.ppf(1 - 1e-4, runs, level)


def _at_least(hits: int, runs: int, level: float) -> bool:
    return hits >= stats.binom.ppf(1e-4, runs, level)


@pytest.mark.parametrize(
    ("distance", "exact"),
    [(0.07, 0.06247767), (0.09, 0.00655686), (0.11, 3.910396e-4), (0.13, 1.321689e-5), (0.15, 2.523393e-7)],
)
def test_ks_p_is_conservative_far_into_the_tail(distance: float, exact: float) -> None:
    """Exact p-values of 400 against 2800 values, from scipy's path counting (ks_2samp, method "exact")."""
    assert exact <= ks_p(distance, 400, 2800) <= 1.2 * exact


def test_ks_p_is_scipys_asymptotic_form() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=300), rng.normal(0.1, 1, 500)
    found = stats.ks_2samp(a, b, method="asymp")
    # scipy corrects for the finite size, which the limit does not: it is the larger of the two.
    assert found.pvalue <= ks_p(found.statistic, 300, 500) <= 1.1 * found.pvalue
    assert ks_p(0.0, 300, 500) == 1.0


def test_fisher_agrees_with_scipy_and_with_enumeration() -> None:
    rng = np.random.default_rng(1)
    for _ in range(60):
        n1, n2 = rng.integers(1, 60, 2).tolist()
        k1, k2 = int(rng.integers(0, n1 + 1)), int(rng.integers(0, n2 + 1))
        for side in ("two-sided", "greater", "less"):
            expected = stats.fisher_exact([[k1, n1 - k1], [k2, n2 - k2]], side).pvalue
            assert fisher_exact(k1, n1, k2, n2, side) == pytest.approx(expected, rel=1e-6)
    # The lady tasting tea: 3 of 4 right.
    assert fisher_exact(3, 4, 1, 4, "greater") == pytest.approx(17 / 70)
    with pytest.raises(ValueError, match="not one of"):
        fisher_exact(1, 2, 1, 2, "up")
    with pytest.raises(ValueError, match="not counts"):
        fisher_exact(3, 2, 1, 2)


def test_fisher_reaches_far_tails_and_large_counts() -> None:
    assert fisher_exact(120, 400, 28, 2800, "greater") < 1e-60
    assert 0.3 < fisher_exact(10_050, 1_000_000, 70_000, 7_000_000, "greater") < 0.35
    assert fisher_exact(0, 400, 0, 2800) == 1.0


def test_chi_square_is_pearsons_where_nothing_is_rare() -> None:
    a, b = np.array([50, 60, 90]), np.array([300, 250, 450])
    expected = stats.chi2_contingency(np.array([a, b]), correction=False).pvalue
    assert chi_square_p(a, b) == pytest.approx(expected, rel=1e-12)
    assert chi_square_p(np.array([7]), np.array([9])) == 1.0
    with pytest.raises(ValueError, match="at least one"):
        chi_square_p(np.array([0]), np.array([9]))


def test_chi_square_keeps_its_level_with_rare_categories() -> None:
    rng = np.random.default_rng(2)
    shares = np.array([0.5, 0.2, 0.1, 0.08, 0.05, 0.03, 0.02, 0.01, 0.007, 0.003])
    runs = 6000
    a, b = rng.multinomial(400, shares, runs), rng.multinomial(2800, shares, runs)
    p = np.array([chi_square_p(x, y) for x, y in zip(a, b, strict=True)])
    for level in (0.05, 0.01, 1e-3):
        assert _at_most(int((p <= level).sum()), runs, level), level
    assert _at_least(int((p <= 0.05).sum()), runs, 0.04)


def test_the_fixed_limit_of_psi_is_no_test() -> None:
    """100 against 100 values and ten bins: more than 80 % of clean windows exceed the customary 0.1."""
    rng = np.random.default_rng(4)
    a, b = rng.multinomial(100, np.full(10, 0.1), 2000), rng.multinomial(100, np.full(10, 0.1), 2000)
    values = np.array([psi(y, x) for x, y in zip(a, b, strict=True)])
    assert 0.80 < (values > 0.1).mean() < 0.90


def test_hotelling_is_a_t_test_in_one_dimension() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=40), rng.normal(0.4, 1, 60)
    pooled = (a.var(ddof=1) * 39 + b.var(ddof=1) * 59) / 98
    found = hotelling_p(np.array([a.mean() - b.mean()]), np.array([[pooled]]), 40, 60)
    assert found == pytest.approx(stats.ttest_ind(a, b).pvalue, rel=1e-9)


def test_hotelling_keeps_its_level_on_skewed_scores() -> None:
    rng = np.random.default_rng(6)
    runs, hits, deep = 1500, 0, 0
    for _ in range(runs):
        x, y = (rng.dirichlet(np.full(10, 0.2), n) for n in (200, 1400))
        scatter = sum((z - z.mean(axis=0)).T @ (z - z.mean(axis=0)) for z in (x, y))
        p = hotelling_p(x.mean(axis=0) - y.mean(axis=0), scatter / (len(x) + len(y) - 2), len(x), len(y))
        hits += p <= 0.05
        deep += p <= 1e-3
    assert _at_most(hits, runs, 0.05)
    assert _at_least(hits, runs, 0.04)
    assert _at_most(deep, runs, 1e-3)


def test_hotelling_without_enough_data_says_nothing() -> None:
    assert hotelling_p(np.ones(3), np.eye(3), 2, 2) == 1.0
    assert hotelling_p(np.ones(3), np.zeros((3, 3)), 20, 20) == 1.0


def test_permutation_p_is_never_zero() -> None:
    assert permutation_p(math.inf, np.zeros(99)) == 0.01
