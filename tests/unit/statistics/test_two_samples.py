"""Domain classifier and kernels against scikit-learn, scipy and the plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from auditor.statistics.calibration import fit_calibration
from auditor.statistics.two_samples import (
    density_ratio,
    domain_auc,
    feature_distance_p,
    gaussian_features,
    kernel_distance,
    logistic_weights,
    mann_whitney,
    standardised,
)


def test_weights_are_those_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    y = rng.random(400) < 1 / (1 + np.exp(-x @ [1.0, -0.5, 0.0]))
    share = np.where(y, 0.5 / y.sum(), 0.5 / (~y).sum())
    # C is the weight of the losses against |w|^2 / 2: ours is 1 to 0.01.
    expected = LogisticRegression(C=100.0, tol=1e-10, max_iter=1000).fit(x, y, sample_weight=share)
    assert logistic_weights(x, y) == pytest.approx([*expected.coef_[0], *expected.intercept_], abs=1e-5)


def test_area_is_scipys_mann_whitney_with_ties() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.poisson(3, 60).astype(float), rng.poisson(4, 80).astype(float)
    area, spread = mann_whitney(a, b)
    expected = stats.mannwhitneyu(b, a, alternative="greater", method="asymptotic", use_continuity=False)
    assert area == pytest.approx(expected.statistic / (60 * 80))
    assert stats.norm.sf((area - 0.5) / spread) == pytest.approx(expected.pvalue)


def test_the_domain_classifier_keeps_its_level_and_finds_what_single_columns_hide() -> None:
    rng = np.random.default_rng(2)
    p = [domain_auc(rng.normal(size=(400, 8)), rng.normal(size=(120, 8))).p_value for _ in range(300)]
    for level in (0.05, 0.01):
        assert np.mean(np.array(p) <= level) <= stats.binom.ppf(1 - 1e-4, 300, level) / 300
    # Each column moves by a little: together they tell.
    found = domain_auc(rng.normal(size=(1000, 8)), rng.normal(size=(1000, 8)) + 0.25)
    assert found.area == pytest.approx(stats.norm.cdf(0.25 * np.sqrt(8) / np.sqrt(2)), abs=0.04)
    assert found.p_value < 1e-12
    same = rng.normal(size=(200, 4))
    assert domain_auc(same, same).p_value > 0.5


def test_the_strongest_column_is_the_one_that_moved() -> None:
    rng = np.random.default_rng(3)
    then, now = rng.normal(size=(300, 5)), rng.normal(size=(300, 5))
    now[:, 3] += 2
    assert domain_auc(*standardised(then, now)).strongest == 3


def test_absent_values_and_still_columns_do_not_break_the_scale() -> None:
    then = np.array([[1.0, np.nan], [1.0, np.nan], [1.0, np.nan]])
    now = np.array([[1.0, np.nan], [3.0, np.nan]])
    a, b = standardised(then, now)
    assert a.tolist() == [[0, 0], [0, 0], [0, 0]]
    assert b.tolist() == [[0, 0], [1, 0]]


def test_the_kernel_distance_is_the_plain_formula_and_torchmetrics_definition() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=(20, 4)) + 0.5
    k = lambda a, b: (a @ b.T / 4 + 1) ** 3  # noqa: E731
    within = sum((kk.sum() - np.trace(kk)) / (len(kk) * (len(kk) - 1)) for kk in (k(x, x), k(y, y)))
    assert kernel_distance(x, y).value == pytest.approx(within - 2 * k(x, y).mean())


def test_permutation_tests_keep_their_level_and_have_power() -> None:
    rng = np.random.default_rng(5)
    kid, mmd = [], []
    for _ in range(120):
        x, y = rng.gamma(2, size=(60, 3)), rng.gamma(2, size=(40, 3))
        kid.append(kernel_distance(x, y, 99).p_value)
        mmd.append(feature_distance_p(gaussian_features(x, x), gaussian_features(y, x), 99))
    for p in (kid, mmd):
        assert np.mean(np.array(p) <= 0.05) <= stats.binom.ppf(1 - 1e-4, 120, 0.05) / 120
        assert 0.3 < np.mean(p) < 0.7
    x, y = rng.normal(size=(200, 3)), 1.6 * rng.normal(size=(200, 3))
    assert kernel_distance(x, y).p_value == 1 / 200
    assert feature_distance_p(gaussian_features(x, x), gaussian_features(y, x)) == 1 / 500


def test_identical_samples_are_not_different() -> None:
    x = np.random.default_rng(6).normal(size=(50, 3))
    assert kernel_distance(x, x).p_value > 0.5
    assert feature_distance_p(gaussian_features(x, x), gaussian_features(x, x)) == 1.0


def test_the_density_ratio_is_that_of_two_normals() -> None:
    rng = np.random.default_rng(7)
    then, now = rng.normal(size=(3000, 1)), rng.normal(size=(3000, 1)) + 0.7
    ratio = density_ratio(then, now)
    exact = np.exp(0.7 * then[:, 0] - 0.245)
    assert ratio.mean() == pytest.approx(1)
    assert np.corrcoef(np.log(ratio), np.log(exact))[0, 1] > 0.99
    assert np.abs(np.log(ratio / exact)).mean() < 0.1


def test_weighted_calibration_is_scikit_learns() -> None:
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(8)
    x, weights = rng.random(300).round(2), rng.random(300) + 0.1
    y = rng.random(300) < x
    expected = IsotonicRegression().fit(x, y, sample_weight=weights).predict(x)
    assert np.allclose(fit_calibration(x, y * weights, weights)(x), expected)
