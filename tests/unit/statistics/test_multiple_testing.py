"""Adjusted p-values and e-values against the papers' definitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from auditor.statistics.multiple_testing import benjamini_hochberg, bonferroni, e_benjamini_hochberg


def test_benjamini_hochberg_is_scipys() -> None:
    rng = np.random.default_rng(0)
    for m in (1, 2, 15, 200):
        p = rng.random(m) ** 3
        assert np.allclose(benjamini_hochberg(p), stats.false_discovery_control(p))


def test_the_example_of_the_1995_paper() -> None:
    """Fifteen p-values of the thrombolysis study: four are rejected at 5 %, three by Bonferroni."""
    p = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
        0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000,
    ]  # fmt: skip
    assert int((benjamini_hochberg(p) <= 0.05).sum()) == 4
    assert int((bonferroni(p) <= 0.05).sum()) == 3


def test_e_values_are_rejected_by_rank() -> None:
    # m = 4 at 10 %: the k-th largest needs 40 / k.
    assert e_benjamini_hochberg([40.0, 19.0, 14.0, 1.0], 0.1).tolist() == [True, True, True, False]
    assert e_benjamini_hochberg([39.0, 19.0, 13.0, 1.0], 0.1).tolist() == [False] * 4
    assert not e_benjamini_hochberg([], 0.1).size


def test_what_is_no_p_value_is_refused() -> None:
    with pytest.raises(ValueError, match="p-values"):
        bonferroni([0.5, 1.2])
    with pytest.raises(ValueError, match="p-values"):
        benjamini_hochberg([float("nan")])
    with pytest.raises(ValueError, match="e-values"):
        e_benjamini_hochberg([-1.0], 0.1)
