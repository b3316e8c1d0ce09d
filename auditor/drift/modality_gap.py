"""How far apart the embeddings of two inputs lie in the space they share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from auditor.core.catalogue import MetricSpec
from auditor.core.frame import Frame
from auditor.core.measurement import Reading, Status
from auditor.core.state import WindowState
from auditor.drift.compared import Column, vector_pairs
from auditor.statistics.nulls import hotelling_p

METRICS = ("alignment.gap_norm", "alignment.gap_angle")


class ModalityGap:
    """Length of the mean difference of two inputs' embeddings, each at length 1 (Liang et al. 2022), and its turn.

    `alignment.gap_norm` is that length, in [0, 2]; `alignment.gap_angle` the angle in degrees between the gap now and the
    baseline's. Differences are followed along at most 64 components of the baseline; a move outside of these is not seen.
    The p-value of both is Hotelling's test that the mean difference moved at all.
    """

    version = "1"
    needs_baseline = True
    metrics = (
        MetricSpec(
            METRICS[0],
            "1",
            "Length of the mean difference of two inputs' unit embeddings.",
            "",
            ("pair",),
            0,
            2,
            label="distance between the means of the two embeddings",
            short="modality gap",
            alert="alignment",
            clause="the {metric} ({pair}) is {value}",
            compares=(
                "The modality gap is how far two inputs' embeddings lie apart on average: 0 means in one place, 2 "
                "opposite; no length is right or wrong, only a change from the baseline's counts."
            ),
            reads=(
                (
                    None,
                    (
                        "the two inputs' embeddings lie {number} apart (0: in one place, 2: opposite); only a change of that "
                        "counts"
                    ),
                ),
            ),
        ),
        MetricSpec(
            METRICS[1],
            "deg",
            "Angle between that difference now and in the baseline.",
            "higher",
            ("pair",),
            0,
            180,
            label="turn of the difference between the two embeddings since the baseline",
            short="gap angle",
            alert="alignment",
            clause="the {metric} ({pair}) is {value}",
            compares=(
                "The gap angle is how far the difference of two inputs' embeddings turned since the baseline: 0 "
                "degrees means not at all, 180 that it points the other way."
            ),
            reads=(
                (
                    None,
                    (
                        "the difference between the two inputs' embeddings turned by {number} degrees (0: not at all, 180: "
                        "round)"
                    ),
                ),
            ),
        ),
    )

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterable[Reading]:
        """Readings by pair: norm, then angle."""
        if baseline is None:
            return
        for column in vector_pairs(current, baseline, frame):
            yield from _gap(column, current, baseline, frame)


def _gap(column: Column, current: WindowState, baseline: WindowState, frame: Frame) -> Iterator[Reading]:
    attributes = {"pair": column.spec.pair or ""}
    if column.reason:
        for metric in METRICS:
            yield Reading(
                metric=metric,
                status=column.status,
                reason=column.reason,
                n=column.n,
                n_baseline=column.n_baseline,
                attributes=attributes,
            )
        return
    now, then = current.vectors[column.spec.name], baseline.vectors[column.spec.name]
    projection = frame.projections[column.spec.name]
    gap, before = (projection.center + projection.matrix @ side.mean for side in (now, then))
    length, length_before = float(np.linalg.norm(gap)), float(np.linalg.norm(before))
    pooled = (then.scatter + now.scatter) / (then.n + now.n - 2)
    p_value = hotelling_p(now.mean - then.mean, pooled, column.effective, column.effective_baseline)
    facts = {"length": length, "baseline_length": length_before}
    yield Reading(
        metric=METRICS[0],
        value=min(length, 2.0),
        n=now.n,
        n_baseline=then.n,
        attributes=attributes,
        p_value=p_value,
        exact=False,
        facts=facts,
    )
    both = length * length_before
    if both < 1e-12:
        yield Reading(
            metric=METRICS[1],
            status=Status.NOT_APPLICABLE,
            reason="undefined",
            n=now.n,
            n_baseline=then.n,
            attributes=attributes,
            facts=facts,
        )
        return
    yield Reading(
        metric=METRICS[1],
        value=float(np.degrees(np.arccos(np.clip(gap @ before / both, -1, 1)))),
        n=now.n,
        n_baseline=then.n,
        attributes=attributes,
        p_value=p_value,
        exact=False,
        facts=facts,
    )


PLUGIN = ModalityGap()
