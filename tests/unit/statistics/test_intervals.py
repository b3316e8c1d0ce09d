"""Intervals against published tables, and what must hold for every count."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from auditor.statistics.intervals import (
    mean_interval,
    quantile_ranks,
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
    for call in (lambda: wilson(0, 0), lambda: wilson(3, 2)):
        with pytest.raises(ValueError, match="not a proportion"):
            call()
    with pytest.raises(ValueError, match="no interval"):
        mean_interval(1, 3.0, 0.0)
    with pytest.raises(ValueError, match="confidence level"):
        wilson(1, 2, level=1.0)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(counts)
def test_an_interval_holds_its_estimate_and_mirrors_that_of_the_rest(counted):
    k, n = counted
    interval, mirrored = wilson(k, n), wilson(n - k, n)
    assert 0.0 <= interval.lower <= k / n <= interval.upper <= 1.0
    assert interval.lower == pytest.approx(1 - mirrored.upper, abs=1e-12)


def test_small_slices_keep_their_coverage():
    """Five observations at a rate of 5 %: Wilson covers .98, where a percentile bootstrap covers .23."""
    for n, p in ((5, 0.05), (20, 0.05), (50, 0.2)):
        covered = sum(stats.binom.pmf(k, n, p) for k in range(n + 1) if wilson(k, n).lower <= p <= wilson(k, n).upper)
        assert covered > 0.91


def test_simultaneous_level_makes_all_hold_together():
    assert simultaneous_level(0.95, 6) ** 6 == pytest.approx(0.95)
    assert simultaneous_level(0.95, 1) == pytest.approx(0.95)
