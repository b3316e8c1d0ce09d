"""What holds of every distance, whatever the counts."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from auditor.statistics import distances
from auditor.statistics.multiple_testing import benjamini_hochberg
from auditor.statistics.nulls import chi_square_p, fisher_exact, ks_p

SIZE = 12
COUNTS = arrays(np.int64, SIZE, elements=st.integers(0, 50)).filter(lambda x: x.sum() > 0)
QUICK = settings(max_examples=80, deadline=None, derandomize=True)


@QUICK
@given(a=COUNTS, b=COUNTS)
def test_distances_are_symmetric_bounded_and_zero_for_the_same_counts(a: np.ndarray, b: np.ndarray) -> None:
    values = np.arange(SIZE, dtype=float)
    for distance in (
        lambda x, y: distances.ks(x, y)[0],
        distances.jensen_shannon,
        distances.total_variation,
        lambda x, y: distances.wasserstein(x, y, values) / (SIZE - 1),
    ):
        assert distance(a, b) == distance(b, a) or abs(distance(a, b) - distance(b, a)) < 1e-12
        assert -1e-12 <= distance(a, b) <= 1 + 1e-12
        assert distance(a, a) < 1e-7
    assert distances.psi(a, b) >= 0
    assert distances.psi(a, a) == 0


@QUICK
@given(a=COUNTS, b=COUNTS, cut=st.integers(1, SIZE - 1))
def test_merging_neighbouring_bins_brings_samples_closer(a: np.ndarray, b: np.ndarray, cut: int) -> None:
    groups = (np.arange(SIZE) >= cut).astype(np.int64)
    x, y = distances.grouped(a, groups), distances.grouped(b, groups)
    assert distances.ks(x, y)[0] <= distances.ks(a, b)[0] + 1e-12
    assert distances.jensen_shannon(x, y) <= distances.jensen_shannon(a, b) + 1e-7
    # What the coarse grid cannot see is inside its bound.
    assert distances.ks(a, b)[0] <= sum(distances.ks(x, y)) + 1e-12


@QUICK
@given(a=COUNTS, b=COUNTS)
def test_p_values_are_probabilities_and_do_not_mind_the_order(a: np.ndarray, b: np.ndarray) -> None:
    p = chi_square_p(a, b)
    assert 0 <= p <= 1
    assert abs(p - chi_square_p(b, a)) < 1e-9
    order = np.random.default_rng(0).permutation(SIZE)
    assert abs(p - chi_square_p(a[order], b[order])) < 1e-9 or len(set((a + b).tolist())) < SIZE


@QUICK
@given(d=st.floats(0, 1), n=st.integers(1, 10_000), m=st.integers(1, 10_000))
def test_larger_distances_are_less_likely(d: float, n: int, m: int) -> None:
    assert ks_p(d, n, m) <= ks_p(d * 0.9, n, m) + 1e-15


@QUICK
@given(data=st.data(), n1=st.integers(1, 60), n2=st.integers(1, 60))
def test_the_sides_of_fishers_test_fit_together(data: st.DataObject, n1: int, n2: int) -> None:
    k1, k2 = data.draw(st.integers(0, n1)), data.draw(st.integers(0, n2))
    more, less = (fisher_exact(k1, n1, k2, n2, side) for side in ("greater", "less"))
    assert more + less >= 1 - 1e-9
    assert abs(more - fisher_exact(k2, n2, k1, n1, "less")) < 1e-9
    assert min(more, less) - 1e-9 <= fisher_exact(k1, n1, k2, n2) <= 1


@QUICK
@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusting_keeps_the_order_and_is_milder_than_bonferroni(p: list[float]) -> None:
    adjusted, strict = benjamini_hochberg(p), np.minimum(np.array(p) * len(p), 1.0)
    assert (adjusted >= np.array(p) - 1e-12).all()
    assert (adjusted <= strict + 1e-12).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= -1e-15).all()
