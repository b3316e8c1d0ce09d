"""Components through the other half's fold: exact products, no flattering of the baseline, canonical pairs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from auditor.statistics.folds import agreement, canonical, coarse, components, exact_product, fit_folds, fit_heads


@pytest.mark.parametrize("d", [1, 3, 64, 700, 4096])
def test_products_are_right_and_do_not_depend_on_the_batch(d: int) -> None:
    rng = np.random.default_rng(d)
    x = (rng.normal(size=(57, d)) * 10.0 ** rng.integers(-20, 20, (57, 1))).astype(np.float32)
    matrix = coarse(np.linalg.qr(rng.normal(size=(d, min(d, 7))))[0])
    whole = exact_product(x, matrix)
    order = rng.permutation(57)
    assert np.array_equal(exact_product(x[order], matrix), whole[order])
    assert all(np.array_equal(exact_product(x[i : i + 1], matrix)[0], whole[i]) for i in range(57))
    size = np.abs(x.astype(np.float64)).max(axis=1, keepdims=True)
    assert (np.abs(whole - x.astype(np.float64) @ matrix) <= 1e-5 * size).all()
    assert exact_product(np.zeros((2, d), np.float32), matrix).tolist() == np.zeros((2, matrix.shape[1])).tolist()


def test_the_baseline_looks_like_later_rows_even_where_there_is_nothing_to_find() -> None:
    """Isotonic noise of 200 dimensions and 400 rows: components fitted in sample would look far too strong."""
    rng = np.random.default_rng(1)
    x, later = (rng.normal(size=(n, 200)).astype(np.float32) for n in (400, 400))
    odd, odd_later = rng.random(400) < 0.5, rng.random(400) < 0.5
    folds = fit_folds(x, odd)
    assert folds is not None
    (y, rest), (z, rest_later) = components(x, odd, folds), components(later, odd_later, folds)
    p = [stats.ks_2samp(y[:, k], z[:, k]).pvalue for k in range(y.shape[1])]
    assert min([*p, stats.ks_2samp(rest, rest_later).pvalue]) > 1e-3
    flattering = components(x, ~odd, folds)[1]
    assert stats.ks_2samp(flattering, rest_later).pvalue < 1e-6


def test_both_folds_mean_the_same_by_a_component() -> None:
    rng = np.random.default_rng(2)
    x = (rng.normal(size=(2000, 40)) * np.linspace(3, 0.1, 40)).astype(np.float32)
    odd = np.arange(2000) % 2 == 1
    folds = fit_folds(x, odd)
    assert folds is not None
    a, b = components(x, odd, folds)[0], components(x, ~odd, folds)[0]
    assert min(np.corrcoef(a[:, k], b[:, k])[0, 1] for k in range(8)) > 0.95


def test_absent_rows_and_few_rows() -> None:
    x = np.random.default_rng(3).normal(size=(100, 5)).astype(np.float32)
    odd = np.arange(100) % 2 == 1
    assert fit_folds(x[:50], odd[:50]) is None
    folds = fit_folds(x, odd)
    assert folds is not None
    assert not folds[0].residual  # all five dimensions are components
    x[7] = np.nan
    y, rest = components(x, odd, folds)
    assert np.isnan(y[7]).all()
    assert np.isfinite(np.delete(y, 7, axis=0)).all()
    assert np.isnan(rest).all()


def test_canonical_correlations_are_scikit_learns() -> None:
    from sklearn.cross_decomposition import CCA

    rng = np.random.default_rng(4)
    shared = rng.normal(size=(1500, 2))
    a = np.concatenate([shared, rng.normal(size=(1500, 2))], axis=1) @ rng.normal(size=(4, 4))
    b = np.concatenate([shared + 0.5 * rng.normal(size=(1500, 2)), rng.normal(size=(1500, 1))], axis=1)
    head = canonical(a, b, ridge=1e-9)
    u, v = (a - a.mean(0)) @ head.left, (b - b.mean(0)) @ head.right
    x, y = CCA(2, max_iter=2000, tol=1e-10).fit_transform(a, b)
    for k in range(2):
        assert np.corrcoef(u[:, k], v[:, k])[0, 1] == pytest.approx(np.corrcoef(x[:, k], y[:, k])[0, 1], abs=1e-3)


def test_pairs_without_a_shared_space_agree_until_they_are_mixed_up() -> None:
    rng = np.random.default_rng(5)
    concept = rng.normal(size=(1200, 6))
    a = concept @ rng.normal(size=(6, 9)) + rng.normal(size=(1200, 9))
    b = concept @ rng.normal(size=(6, 7)) + rng.normal(size=(1200, 7))
    odd = np.arange(1200) % 2 == 1
    heads = fit_heads(a[:800], b[:800], odd[:800])
    assert heads is not None
    then, now = agreement(a[:800], b[:800], odd[:800], heads), agreement(a[800:], b[800:], odd[800:], heads)
    assert then.mean() > 0.5
    assert stats.ks_2samp(then, now).pvalue > 0.01
    mixed = agreement(a[800:], np.roll(b[800:], 1, axis=0), odd[800:], heads)
    assert stats.ks_2samp(then, mixed).pvalue < 1e-30
    assert fit_heads(a[:60], b[:60], odd[:60]) is None
