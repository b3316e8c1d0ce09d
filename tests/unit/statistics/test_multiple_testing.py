"""Adjusted p-values against the paper's definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from auditor.statistics.multiple_testing import benjamini_hochberg


def test_benjamini_hochberg_is_scipys() -> None:
    rng = np.random.default_rng(0)
    for m in (1, 2, 15, 200):
        p = rng.random(m) ** 3
        assert np.allclose(benjamini_hochberg(p), stats.false_discovery_control(p))


def test_the_example_of_the_1995_paper() -> None:
    """Fifteen p-values of the thrombolysis study: four are rejected at 5 %."""
    p = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
        0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000,
    ]  # fmt: skip
    assert int((benjamini_hochberg(p) <= 0.05).sum()) == 4


def test_what_is_no_p_value_is_refused() -> None:
    with pytest.raises(ValueError, match="p-values"):
        benjamini_hochberg([float("nan")])
