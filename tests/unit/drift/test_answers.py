"""Rates of a closed model's answers against counts by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scipy import stats

from auditor.core.state import CategoricalState
from auditor.drift import answers
from auditor.testing import make_window


def test_invalid_answers_are_a_rate_with_its_interval_and_fishers_test() -> None:
    current, baseline, frame = make_window(60, 3)
    now = replace(current, categorical={"output.text.valid": CategoricalState({"false": 12, "true": 188})})
    then = replace(baseline, categorical={"output.text.valid": CategoricalState({"false": 4, "true": 996})})
    (found,) = answers.PLUGIN.measure(now, then, frame)
    assert (found.metric, found.value, found.n, found.n_baseline) == ("output.invalid_rate", 0.06, 200, 1000)
    assert found.interval is not None
    low, high = stats.binomtest(12, 200).proportion_ci(method="wilson")
    assert (found.interval.lower, found.interval.upper) == pytest.approx((low, high))
    assert found.p_value == pytest.approx(stats.fisher_exact([[12, 188], [4, 996]]).pvalue)
