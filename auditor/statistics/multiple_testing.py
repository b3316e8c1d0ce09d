"""Many tests at once: which of them to believe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auditor.core.rows import Floats


def bonferroni(p: Sequence[float] | Floats) -> Floats:
    """P-values adjusted so that any false rejection at all has the level's probability, shape (m,)."""
    values = _probabilities(p)
    found: Floats = np.minimum(values * len(values), 1.0)
    return found


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


def e_benjamini_hochberg(e: Sequence[float] | Floats, level: float) -> NDArray[np.bool_]:
    """Which e-values to reject at false discovery rate `level`, under any dependence (Wang and Ramdas 2022), shape (m,).

    The k largest are rejected for the largest k whose k-th e-value is at least m / (level k).

    >>> e_benjamini_hochberg([100.0, 1.0, 50.0], 0.05).tolist()
    [True, False, True]
    """
    values = np.asarray(e, np.float64)
    if (values < 0).any() or np.isnan(values).any():
        raise ValueError("e-values are not negative")
    m = len(values)
    order = np.argsort(-values, kind="stable")
    enough = np.flatnonzero(values[order] >= m / (level * np.arange(1, m + 1)))
    found = np.zeros(m, bool)
    if len(enough):
        found[order[: enough[-1] + 1]] = True
    return found


def _probabilities(p: Sequence[float] | Floats) -> Floats:
    values = np.asarray(p, np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("p-values lie in [0, 1]")
    return values
