"""Intervals against published tables, and what must hold for every count."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from auditor.statistics.intervals import (
    jeffreys,
    mean_interval,
    newcombe,
    quantile_ranks,
    ratio_interval,
    simultaneous_level,
    wilson,
)

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("k", "n", "lower", "upper"),
    [  # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_equals_the_published_table(k, n, lower, upper):
    interval = wilson(k, n)
    assert (round(interval.lower, 4), round(interval.upper, 4)) == (lower, upper)
    assert (interval.level, interval.method) == (0.95, "wilson")


@pytest.mark.parametrize(
    ("counts", "lower", "upper"),
    [  # Newcombe 1998, Statistics in Medicine 17:873, table II, method 10
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((6, 7, 2, 7), 0.0582, 0.8062),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 10, 0, 20), -0.1611, 0.2775),
        ((10, 10, 0, 10), 0.6075, 1.0),
    ],
)
def test_newcombe_equals_the_published_table(counts, lower, upper):
    interval = newcombe(*counts)
    assert (round(interval.lower, 4), round(interval.upper, 4)) == (lower, upper)


def test_koopman_equals_his_published_example():
    interval = ratio_interval(36, 40, 16, 80)
    assert (round(interval.lower, 2), round(interval.upper, 2)) == (2.94, 7.15)


def test_jeffreys_is_the_beta_quantile_with_the_edge_rule():
    interval = jeffreys(3, 20)
    assert interval.lower == pytest.approx(stats.beta.ppf(0.025, 3.5, 17.5))
    assert interval.upper == pytest.approx(stats.beta.ppf(0.975, 3.5, 17.5))
    assert jeffreys(0, 20).lower == 0.0
    assert jeffreys(20, 20).upper == 1.0


def test_mean_interval_is_students():
    interval = mean_interval(4, 2.5, 5.0)  # of 1, 2, 3, 4
    expected = stats.t.interval(0.95, 3, 2.5, stats.sem([1, 2, 3, 4]))
    assert (interval.lower, interval.upper) == pytest.approx(expected)


@pytest.mark.parametrize(("n", "q"), [(20, 0.5), (100, 0.5), (100, 0.95), (400, 0.95), (60, 0.1)])
def test_quantile_ranks_cover_at_least_as_often_as_asked(n, q):
    lower, upper = quantile_ranks(n, q)
    covered = stats.binom.cdf(upper, n, q) - stats.binom.cdf(lower, n, q)
    assert 0.95 <= covered < 1.0
    narrower = stats.binom.cdf(upper - 1, n, q) - stats.binom.cdf(lower + 1, n, q)
    assert narrower < 0.95


def test_no_interval_without_observations():
    for call in (lambda: wilson(0, 0), lambda: jeffreys(0, 0), lambda: newcombe(0, 0, 1, 2), lambda: wilson(3, 2)):
        with pytest.raises(ValueError, match="not a proportion"):
            call()
    with pytest.raises(ValueError, match="no finite upper limit"):
        ratio_interval(3, 10, 0, 10)
    with pytest.raises(ValueError, match="no interval"):
        mean_interval(1, 3.0, 0.0)
    with pytest.raises(ValueError, match="confidence level"):
        wilson(1, 2, level=1.0)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(counts, counts)
def test_intervals_hold_their_estimate_and_their_mirror(first, second):
    (k1, n1), (k2, n2) = first, second
    for interval in (wilson(k1, n1), jeffreys(k1, n1)):
        assert 0.0 <= interval.lower <= k1 / n1 <= interval.upper <= 1.0
    mirrored = wilson(n1 - k1, n1)
    assert wilson(k1, n1).lower == pytest.approx(1 - mirrored.upper, abs=1e-12)
    gap = newcombe(k1, n1, k2, n2)
    assert gap.lower - 1e-12 <= k1 / n1 - k2 / n2 <= gap.upper + 1e-12
    assert newcombe(k2, n2, k1, n1).lower == pytest.approx(-gap.upper, abs=1e-12)
    if k2:
        ratio = ratio_interval(k1, n1, k2, n2)
        assert ratio.lower - 1e-9 <= (k1 / n1) / (k2 / n2) <= ratio.upper + 1e-9
        if k1:
            assert math.log(ratio.lower) == pytest.approx(-math.log(ratio_interval(k2, n2, k1, n1).upper), abs=1e-6)


def test_small_slices_keep_their_coverage():
    """Five observations at a rate of 5 %: Wilson covers .98, where a percentile bootstrap covers .23."""
    for n, p in ((5, 0.05), (20, 0.05), (50, 0.2)):
        covered = sum(stats.binom.pmf(k, n, p) for k in range(n + 1) if wilson(k, n).lower <= p <= wilson(k, n).upper)
        assert covered > 0.91


def test_simultaneous_level_makes_all_hold_together():
    assert simultaneous_level(0.95, 6) ** 6 == pytest.approx(0.95)
    assert simultaneous_level(0.95, 1) == pytest.approx(0.95)
