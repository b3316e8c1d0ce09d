"""Figures of score vectors and embeddings, row by row: confidence, entropy, and how two inputs agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from auditor.core.rows import Floats

TOLERANCE = 1e-3
"""How far the sum of a row of probabilities may be from 1 (float32, rounded logs)."""


def probabilities(scores: NDArray) -> Floats:
    """Rows that are probability distributions, normalised; NaN rows for the others (logits, several labels at once).

    Shape (n, k) in and out.
    """
    p = scores.astype(np.float64)
    with np.errstate(invalid="ignore"):
        total = p.sum(axis=1)
        proper = (p >= 0).all(axis=1) & (np.abs(total - 1) <= TOLERANCE)
        found: Floats = np.where(proper[:, None], p / np.where(proper, total, 1.0)[:, None], np.nan)
    return found


def confidence(scores: NDArray) -> Floats:
    """Largest score of each row, shape (n,); NaN where absent."""
    found: Floats = scores.max(axis=1).astype(np.float64)
    return found


def entropy(p: Floats) -> Floats:
    """Shannon entropy of each row relative to its largest possible value, in [0, 1], shape (n,).

    >>> entropy(np.array([[0.5, 0.5], [1.0, 0.0]])).tolist()
    [1.0, 0.0]
    """
    if p.shape[1] < 2:
        return np.where(np.isnan(p[:, 0]), np.nan, 0.0)
    terms = p * np.log(np.where(p > 0, p, 1.0))
    found: Floats = np.maximum(-terms.sum(axis=1) / np.log(p.shape[1]), 0.0)
    return found


def concordance(p: Floats, q: Floats) -> Floats:
    """Chance that two heads name the same class when each draws from its scores: sum_k p_k q_k, in [0, 1], shape (n,).

    >>> concordance(np.array([[0.9, 0.1]]), np.array([[0.5, 0.5]])).tolist()
    [0.5]
    """
    found: Floats = (p * q).sum(axis=1)
    return found


def cosine(a: NDArray, b: NDArray) -> Floats:
    """Cosine of the angle between the rows, in [-1, 1], shape (n,); NaN where a row is absent or zero."""
    left, right = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        norm = np.sqrt((left**2).sum(axis=1)) * np.sqrt((right**2).sum(axis=1))
        found: Floats = np.clip((left * right).sum(axis=1) / norm, -1.0, 1.0)
    return np.where(np.isfinite(found), found, np.nan)
