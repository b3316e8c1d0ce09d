"""Many tests at once: which of them to believe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from auditor.core.rows import Floats


def benjamini_hochberg(p: Sequence[float] | Floats) -> Floats:
    """Adjusted p-values, shape (m,): rejecting those at most q keeps the expected share of false rejections below q.

    Benjamini and Hochberg 1995; for independent tests, or positively dependent ones.

    >>> benjamini_hochberg([0.01, 0.02, 0.03, 0.5]).tolist()
    [0.04, 0.04, 0.04, 0.5]
    """
    values = _probabilities(p)
    m = len(values)
    order = np.argsort(values, kind="stable")
    raised = values[order] * m / np.arange(1, m + 1)
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return adjusted


def _probabilities(p: Sequence[float] | Floats) -> Floats:
    values = np.asarray(p, np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("p-values lie in [0, 1]")
    return values
