"""Kernel two-sample distance of embeddings and score vectors, from their mean random Fourier features."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from auditor.core.catalogue import MetricSpec
from auditor.core.frame import Frame
from auditor.core.measurement import Reading
from auditor.core.state import VectorState, WindowState
from auditor.drift.compared import compared
from auditor.statistics.distances import KernelMean, mmd2, mmd_p


class Kernel:
    """`drift.mmd2`: unbiased squared maximum mean discrepancy of each vector column.

    Gaussian kernel with the baseline's median distance, on at most 64 principal components, approximated by 256 random
    Fourier features: about 12 % relative error at 1000 rows. Around zero, and often below it, when nothing changed. The
    p-value is an upper bound that holds for any distribution; it gets small for large changes only.
    """

    version = "1"
    needs_baseline = True
    metrics = (
        MetricSpec(
            "drift.mmd2",
            "1",
            "Unbiased squared maximum mean discrepancy of a vector column.",
            "higher",
            ("column", "input", "modality"),
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
            now = _kernel_mean(current.vectors[column.spec.name])
            then = _kernel_mean(baseline.vectors[column.spec.name])
            yield reading(
                value=mmd2(now, then),
                p_value=mmd_p(now, then),
                exact=False,
                note="256 random Fourier features; the p-value is an upper bound",
            )


def _kernel_mean(state: VectorState) -> KernelMean:
    return KernelMean(state.n, state.features, state.square)


PLUGIN = Kernel()
