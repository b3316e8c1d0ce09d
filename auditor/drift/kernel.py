"""Kernel two-sample distance of embeddings and score vectors, from their mean random Fourier features."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from auditor.core.catalogue import OWN_MODALITY, MetricSpec
from auditor.core.frame import Frame
from auditor.core.measurement import Reading
from auditor.core.state import VectorState, WindowState
from auditor.drift.compared import MIN_SAMPLES, compared, sampled_vectors
from auditor.statistics.distances import KernelMean, mmd2, mmd_p
from auditor.statistics.two_samples import feature_distance_p, gaussian_features

MOST_ROWS = 1000
"""Rows of each sample that are permuted."""


class Kernel:
    """`drift.mmd2`: unbiased squared maximum mean discrepancy of each vector column.

    Gaussian kernel with the baseline's median distance, on at most 64 principal components, approximated by 256 random
    Fourier features: about 12 % relative error at 1000 rows. Around zero, and often below it, when nothing changed. The
    p-value is twice the smaller of two: a permutation test on the samples' classes or first 16 components, each payload
    once, which cannot fall below 1 / 500; and an upper bound that holds for any distribution and gets small for large
    changes only.
    """

    version = "2"
    needs_baseline = True
    metrics = (
        MetricSpec(
            "drift.mmd2",
            "1",
            "Unbiased squared maximum mean discrepancy of a vector column.",
            "higher",
            ("column", "input", "modality"),
            label="distance to the baseline (kernel MMD, squared)",
            short="MMD²",
            alert=OWN_MODALITY,
            unbiased=True,
            clause="the {metric} of {column} is {value}",
            compares=(
                "MMD² compares whole vectors (embeddings or scores) by how alike they are: about 0, and as often "
                "below, when nothing changed, and larger the more they differ; it has no scale of its own, so only "
                "how rarely chance makes as much counts."
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
            reading = partial(
                Reading,
                metric="drift.mmd2",
                n=column.n,
                n_baseline=column.n_baseline,
                attributes=column.spec.attributes(),
            )
            if column.reason:
                yield reading(status=column.status, reason=column.reason)
                continue
            name = column.spec.name
            now, then = (_kernel_mean(state.vectors[name]) for state in (current, baseline))
            p_value = mmd_p(now, then, column.effective, column.effective_baseline)
            rows, before = (sampled_vectors(state, name, frame, MOST_ROWS) for state in (current, baseline))
            size = len(frame.projections[name].phases)
            facts = {"features": size, "p_value_by": "bound"}
            if min(len(rows), len(before)) >= MIN_SAMPLES:
                # The bound gets small for large changes only, the permutation never below 1 / 500: either may speak.
                permuted = feature_distance_p(gaussian_features(before, before), gaussian_features(rows, before))
                p_value = min(1.0, 2 * min(p_value, permuted))
                facts = {"features": size, "p_value_by": "permutation"}
            yield reading(value=mmd2(now, then), p_value=p_value, exact=False, facts=facts)


def _kernel_mean(state: VectorState) -> KernelMean:
    return KernelMean(state.n, state.features, state.square)


PLUGIN = Kernel()
