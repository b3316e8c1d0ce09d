"""Kernel inception distance, on whatever embedding the model already makes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from auditor.core.catalogue import OWN_MODALITY, MetricSpec
from auditor.core.frame import Frame
from auditor.core.measurement import Reading, Status
from auditor.core.state import WindowState
from auditor.drift.compared import MIN_SAMPLES, compared, sampled_vectors
from auditor.statistics.two_samples import kernel_distance

METRIC = "drift.kid"
MOST_ROWS = 500
"""Rows of each sample: the kernel is computed for every pair."""


class KernelInceptionDistance:
    """`drift.kid`: unbiased squared discrepancy under the kernel (x . y / d + 1)^3 of each vector column.

    On at most 500 rows of each sample, each payload once: the classes of scores, or the first 16 components of an
    embedding, scaled so that the baseline's mean square is 1. Around zero, and often below it, when nothing changed; sees
    changes of mean, spread and skewness. The p-value comes from 199 permutations and does not fall below 1 / 200.
    """

    version = "1"
    needs_baseline = True
    metrics = (
        MetricSpec(
            METRIC,
            "1",
            "Kernel inception distance of a vector column.",
            "higher",
            ("column", "input", "modality"),
            label="distance to the baseline (KID)",
            short="KID",
            alert=OWN_MODALITY,
            unbiased=True,
            clause="the {metric} of {column} is {value}",
            compares=(
                "KID (kernel inception distance) compares centre, spread and skewness of vectors: about 0, and as "
                "often below, when nothing changed, and larger the more they differ; it has no scale of its own, so "
                "only how rarely chance makes as much counts."
            ),
            reads=(
                (0.0, "not above 0, so no more than chance alone gives"),
                (None, "above 0, which has no scale of its own{often}"),
            ),
        ),
    )

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterable[Reading]:
        """Readings by column."""
        if baseline is None:
            return
        for column in compared("vector", current, baseline, frame):
            name = column.spec.name
            now, then = (sampled_vectors(state, name, frame, MOST_ROWS) for state in (current, baseline))
            reading = partial(
                Reading, metric=METRIC, n=len(now), n_baseline=len(then), attributes=column.spec.attributes()
            )
            if column.reason:
                yield reading(status=column.status, reason=column.reason)
            elif min(len(now), len(then)) < MIN_SAMPLES:
                yield reading(status=Status.INSUFFICIENT_DATA, reason="below_min_samples")
            else:
                scale = float(np.sqrt((then**2).mean())) or 1.0
                found = kernel_distance(then / scale, now / scale)
                yield reading(
                    value=found.value,
                    p_value=found.p_value,
                    exact=False,
                    facts={"rows": len(now), "baseline_rows": len(then), "permutations": 199},
                )


PLUGIN = KernelInceptionDistance()
