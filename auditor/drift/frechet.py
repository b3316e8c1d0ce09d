"""Fréchet distance of embeddings and score vectors, with what sampling alone would give taken off."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from auditor.core.catalogue import OWN_MODALITY, MetricSpec
from auditor.core.frame import Frame
from auditor.core.measurement import Reading
from auditor.core.rows import Floats
from auditor.core.state import VectorState, WindowState
from auditor.drift.compared import compared
from auditor.statistics.distances import frechet
from auditor.statistics.nulls import hotelling_p


class FrechetDistance:
    """`drift.frechet`: Fréchet embedding distance of each vector column, less its bias under equality.

    On at most 64 principal components of the baseline. Around zero when nothing changed; the facts hold how far sampling
    alone reaches. The p-value is Hotelling's test of the means alone, so that a change of spread by itself leaves it large.
    """

    version = "2"
    needs_baseline = True
    metrics = (
        MetricSpec(
            "drift.frechet",
            "1",
            "Fréchet distance of a vector column from its baseline, null bias removed.",
            "higher",
            ("column", "input", "modality"),
            label="distance to the baseline (Frechet)",
            short="Fréchet",
            alert=OWN_MODALITY,
            unbiased=True,
            clause="the {metric} of {column} is {value}",
            compares=(
                "A Fréchet distance compares centre and spread of vectors (embeddings or scores), less what chance "
                "adds: about 0, and as often below, when nothing changed; its scale is that of the embedding, "
                "without upper end, so it is held against the range of chance beside it."
            ),
            reads=(
                (0.0, "not above 0, so no more than chance alone gives"),
                (None, "above what chance alone gives, by {number} squared units of the embedding{beside}"),
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
                metric="drift.frechet",
                n=column.n,
                n_baseline=column.n_baseline,
                attributes=column.spec.attributes(),
            )
            if column.reason:
                yield reading(status=column.status, reason=column.reason)
                continue
            now, then = current.vectors[column.spec.name], baseline.vectors[column.spec.name]
            found = frechet(then.mean, _covariance(then), then.n, now.mean, _covariance(now), now.n)
            pooled = (then.scatter + now.scatter) / (then.n + now.n - 2)
            yield reading(
                value=found.value - found.bias,
                p_value=hotelling_p(now.mean - then.mean, pooled, column.effective, column.effective_baseline),
                facts={"raw": found.value, "expected_by_chance": found.bias, "chance_spread": 2 * found.spread},
            )


def _covariance(state: VectorState) -> Floats:
    covariance: Floats = state.scatter / (state.n - 1)
    return covariance


PLUGIN = FrechetDistance()
