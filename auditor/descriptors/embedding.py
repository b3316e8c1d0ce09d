"""Embeddings: the vector's own figures; its direction is compared elsewhere, on the frame's projection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from auditor.core.errors import DescribeError
from auditor.core.record import Scalar
from auditor.descriptors._common import array_of, figure, number
from auditor.ports import DescriptorColumn

MAX_DIMENSIONS = 1_000_000
_ZERO = 1e-12


class EmbeddingDescriptor:
    """Describes a vector (d,) or (1, d). One with NaN or infinity keeps its size and the share of such entries alone."""

    modality = "embedding"
    title = "Embeddings"
    headline = "Embeddings changed"
    advice = "Check whether the encoder was updated; if not, look at the payloads nearest to the change."
    arrays = True
    version = "1"
    columns: tuple[DescriptorColumn, ...] = (
        number("norm", "1", "Euclidean norm."),
        number("mean", "1", "Mean of the entries."),
        number("std", "1", "Standard deviation of the entries."),
        number("largest", "1", "Largest magnitude of an entry."),
        number("sparsity", "1", "Share of entries that are zero."),
        number("dims", "{dimension}", "Dimensions."),
        number("nan_share", "1", "Share of entries that are NaN or infinite."),
    )

    def describe(self, value: Any, *, rate: float | None = None) -> Mapping[str, Scalar]:
        """Figures by column; DescribeError for what is no vector."""
        vector = array_of(value, "a vector")
        if vector.ndim == 2 and vector.shape[0] == 1:
            vector = vector[0]
        if vector.ndim != 1:
            raise DescribeError("bad_shape", f"shape {vector.shape} is not a vector", fix="give shape (d,)")
        if not 0 < len(vector) <= MAX_DIMENSIONS:
            code = "too_large" if len(vector) else "empty"
            raise DescribeError(code, f"a vector of {len(vector)} dimensions", fix=f"give 1 to {MAX_DIMENSIONS}")
        with np.errstate(all="ignore"):
            x = vector.astype(np.float64)
            finite = np.count_nonzero(np.isfinite(x))
            found: dict[str, float | None] = dict.fromkeys(("norm", "mean", "std", "largest", "sparsity"))
            if finite == len(x):
                magnitude = np.abs(x)
                found = {
                    "norm": float(np.sqrt(x @ x)),
                    "mean": float(x.mean()),
                    "std": float(x.std()),
                    "largest": float(magnitude.max()),
                    "sparsity": np.count_nonzero(magnitude < _ZERO) / len(x),
                }
            found.update(dims=len(x), nan_share=1 - finite / len(x))
        return {name: figure(number) for name, number in found.items()}


PLUGIN = EmbeddingDescriptor()
