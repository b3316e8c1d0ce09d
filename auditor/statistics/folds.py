"""Components of embeddings that every row sees through the other half of the baseline, computed without rounding.

A column of components is counted on a grid, and a state has to be the same whatever the partition of its rows: so the
products must not depend on how many rows are multiplied at once. Both factors are therefore rounded to so few bits that
every sum of their products is an integer below 2**53, which floating point adds exactly in any order.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from auditor.core.projection import Fold, Head
from auditor.core.rows import Floats
from auditor.statistics.projections import FIT_ROWS, leading_components

COMPONENTS = 16
LEAST_ROWS = 40
"""Rows in each half below which no components are fitted."""
MATRIX_BITS = 20
DIRECTIONS = 8
_CHUNK = 8192


def exact_product(x: NDArray[np.float32], matrix: Floats) -> Floats:
    """X @ matrix, shape (n, k): each row the same to the last bit, whichever rows stand beside it.

    Entries of `matrix` are multiples of 2**-20 and at most 1 in size (`coarse`). Each row of x is kept to 32 - log2(d) bits
    below the power of two above its largest entry: as good as float32 up to 256 dimensions, a relative 1e-6 at 4096.
    """
    bits = 52 - MATRIX_BITS - math.ceil(math.log2(max(x.shape[1], 2)))
    whole = matrix * 2.0**MATRIX_BITS
    found = np.empty((len(x), matrix.shape[1]))
    for start in range(0, len(x), _CHUNK):
        part = x[start : start + _CHUNK].astype(np.float64)
        largest = np.maximum(part.max(axis=1, initial=0.0), -part.min(axis=1, initial=0.0))
        exponent = np.frexp(largest)[1][:, None]
        part *= np.ldexp(1.0, bits - exponent)
        product = np.rint(part, out=part) @ whole
        found[start : start + _CHUNK] = product * np.ldexp(1.0, exponent - bits - MATRIX_BITS)
    return found


def coarse(matrix: Floats) -> Floats:
    """The matrix rounded to multiples of 2**-20."""
    found: Floats = np.rint(matrix * 2.0**MATRIX_BITS) / 2.0**MATRIX_BITS
    return found


def fit_folds(x: NDArray[np.float32], odd: NDArray[np.bool_]) -> tuple[Fold, Fold] | None:
    """Components for even rows (fitted on the odd ones) and for odd rows; None where there are too few rows.

    The second is turned within its own span to lie as close to the first as it can (Procrustes), so that a component means
    nearly the same in both.

    Parameters
    ----------
    x : ndarray of float32, shape (n, d)
        Finite rows.
    odd : ndarray of bool, shape (n,)
        Which half each belongs to.
    """
    halves = [x[odd][:FIT_ROWS].astype(np.float64), x[~odd][:FIT_ROWS].astype(np.float64)]
    if min(map(len, halves)) < LEAST_ROWS:
        return None
    centers = [half.mean(axis=0).astype(np.float32).astype(np.float64) for half in halves]
    size = max(1, min(COMPONENTS, min(map(len, halves)) // 4))
    bases = [leading_components(half - center, size) for half, center in zip(halves, centers, strict=True)]
    size = min(basis.shape[1] for basis in bases)
    first, second = (basis[:, :size] for basis in bases)
    u, _, v = np.linalg.svd(second.T @ first)
    second = second @ (u @ v)
    even_fold, odd_fold = (
        Fold(center, coarse(basis), _has_rest(half - center, basis))
        for half, center, basis in zip(halves, centers, (first, second), strict=True)
    )
    rest = even_fold.residual and odd_fold.residual
    return Fold(even_fold.center, even_fold.matrix, rest), Fold(odd_fold.center, odd_fold.matrix, rest)


def _has_rest(centered: Floats, basis: Floats) -> bool:
    total = float((centered**2).sum())
    return total > 0 and 1 - float(((centered @ basis) ** 2).sum()) / total > 1e-4


def components(x: NDArray[np.float32], odd: NDArray[np.bool_], folds: tuple[Fold, Fold]) -> tuple[Floats, Floats]:
    """Components of each row, shape (n, k), and the size of what they leave out, shape (n,); NaN for absent rows.

    Both are rounded to float32, which is what they are worth.
    """
    found = np.full((len(x), folds[0].matrix.shape[1]), np.nan)
    rest = np.full(len(x), np.nan)
    finite = np.asarray(np.isfinite(x).all(axis=1))
    for fold, chosen in zip(folds, (finite & ~odd, finite & odd), strict=True):
        own = x[chosen]
        if not len(own):
            continue
        y = exact_product(own, fold.matrix) - exact_product(fold.center[None].astype(np.float32), fold.matrix)
        found[chosen] = y.astype(np.float32)
        if fold.residual:
            size = ((own - fold.center) ** 2).sum(axis=1) - (y**2).sum(axis=1)
            rest[chosen] = np.sqrt(np.maximum(size, 0)).astype(np.float32)
    return found, rest


# -- pairs without a shared space ---------------------------------------------------------------------------------------


def fit_heads(a: Floats, b: Floats, odd: NDArray[np.bool_]) -> tuple[Head, Head] | None:
    """Canonical directions for even rows (fitted on the odd ones) and for odd rows; None where there are too few rows.

    Parameters
    ----------
    a, b : ndarray, shapes (n, k1) and (n, k2)
        Components as `components` gives them: an even row's come from the odd rows' fold, which is why the directions for
        even rows are fitted on odd rows seen through their own fold.
    """
    heads = []
    for half in (odd, ~odd):
        if int(half.sum()) < max(LEAST_ROWS, 2 * (a.shape[1] + b.shape[1])):
            return None
        heads.append(canonical(a[half], b[half]))
    return heads[0], heads[1]


def canonical(a: Floats, b: Floats, ridge: float = 1e-3) -> Head:
    """Canonical correlation analysis (Hotelling 1936): at most 8 directions of each, scaled by their correlation.

    `ridge` is added to the variances, relative to their mean.
    """
    x, y = a - a.mean(axis=0), b - b.mean(axis=0)
    left, right = (_whitener(part.T @ part / len(part), ridge) for part in (x, y))
    u, strength, v = np.linalg.svd(left.T @ (x.T @ y / len(x)) @ right, full_matrices=False)
    keep = slice(0, DIRECTIONS)
    weight = np.clip(strength[keep], 0, 1)
    return Head(left @ u[:, keep] * weight, right @ v.T[:, keep] * weight)


def _whitener(covariance: Floats, ridge: float) -> Floats:
    values, vectors = np.linalg.eigh(covariance)
    floor = ridge * max(float(values.mean()), np.finfo(float).tiny)
    found: Floats = vectors / np.sqrt(np.maximum(values, 0) + floor)
    return found


def agreement(a: Floats, b: Floats, odd: NDArray[np.bool_], heads: tuple[Head, Head]) -> Floats:
    """Cosine of the rows' canonical variates, in [-1, 1], shape (n,); NaN where either is absent."""
    found = np.full(len(a), np.nan)
    for head, chosen in zip(heads, (~odd, odd), strict=True):
        u, v = _turned(a[chosen], head.left), _turned(b[chosen], head.right)
        with np.errstate(invalid="ignore", divide="ignore"):
            found[chosen] = (u * v).sum(axis=1) / np.sqrt((u**2).sum(axis=1) * (v**2).sum(axis=1))
    return np.where(np.isfinite(found), np.clip(found, -1, 1), np.nan)


def _turned(y: Floats, matrix: Floats) -> Floats:
    """Y @ matrix, added up column by column: the same for a row whichever rows stand beside it."""
    total = np.zeros((len(y), matrix.shape[1]))
    for j in range(matrix.shape[0]):
        total += y[:, j, None] * matrix[j]
    return total
