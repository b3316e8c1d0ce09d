"""Fitting what a vector column is reduced to: principal components, and random Fourier features of a Gaussian kernel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from auditor.core.projection import Projection
from auditor.core.rows import Floats

COMPONENTS = 64
FEATURES = 256
FIT_ROWS = 4096
"""Rows that components are fitted on; more do not change 64 directions of any use."""
MEDIAN_ROWS = 500


def fit_projection(x: NDArray[np.float32], seed: int = 0) -> Projection:
    """Principal components of the rows, at most 64, and 256 random Fourier features on them.

    The kernel is exp(-|a - b|^2 / (2 s^2)) with s the median distance between rows (median heuristic); its features are
    cosines at normal frequencies of standard deviation 1 / s (Rahimi and Recht 2007).

    Parameters
    ----------
    x : ndarray of float32, shape (n, d)
        Finite rows, n >= 1.
    seed : int
        Of the frequencies, and of which rows are looked at when there are many.
    """
    if not len(x):
        raise ValueError("a projection needs at least one row")
    rng = np.random.default_rng(seed)
    rows = x[np.sort(rng.choice(len(x), FIT_ROWS, replace=False))] if len(x) > FIT_ROWS else x
    rows = rows.astype(np.float64)
    center = rows.mean(axis=0)
    matrix = leading_components(rows - center, COMPONENTS)
    y = (rows - center) @ matrix
    scale = median_distance(y[rng.permutation(len(y))[:MEDIAN_ROWS]])
    frequencies = rng.normal(size=(matrix.shape[1], FEATURES)) / scale
    return Projection(center, matrix, frequencies, rng.uniform(0, 2 * np.pi, FEATURES))


def leading_components(centered: Floats, most: int) -> Floats:
    """Orthonormal directions of most variance, shape (d, k), k at most `most`, the strongest first.

    Each points where its largest entry does.
    """
    n, d = centered.shape
    if n >= d:
        values, vectors = np.linalg.eigh(centered.T @ centered)
    else:
        # The same directions from the smaller of the two products.
        values, inner = np.linalg.eigh(centered @ centered.T)
        vectors = centered.T @ (inner / np.sqrt(np.maximum(values, np.finfo(float).tiny)))
    order = np.argsort(values)[::-1][:most]
    keep = order[values[order] > max(float(values.max()), 0.0) * 1e-10]
    if not len(keep):
        return np.eye(d, 1)
    matrix = vectors[:, keep]
    matrix = matrix / np.linalg.norm(matrix, axis=0)
    sign = np.sign(matrix[np.abs(matrix).argmax(axis=0), np.arange(matrix.shape[1])])
    directed: Floats = matrix * sign
    return directed


def median_distance(y: Floats) -> float:
    """Median distance between different rows; 1 when they are all the same."""
    square = (y**2).sum(axis=1)
    upper = np.triu_indices(len(y), 1)
    distance = np.sqrt(np.maximum(square[:, None] + square - 2 * (y @ y.T), 0))[upper]
    median = float(np.median(distance)) if len(distance) else 0.0
    return median or float(distance.mean() if len(distance) else 0.0) or 1.0
