"""How good the answers probably are while their labels have not arrived."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from auditor.core.blocks import NumericState
from auditor.core.catalogue import MetricSpec
from auditor.core.frame import Frame
from auditor.core.measurement import How, Interval, Reading, Status
from auditor.core.rows import Floats
from auditor.core.state import WindowState
from auditor.drift.compared import MIN_SAMPLES, compared
from auditor.statistics.calibration import fit_calibration
from auditor.statistics.two_samples import density_ratio, domain_auc, standardised

COLUMN = "output.confidence"
METRIC = "quality.estimated_accuracy"
WEIGHTED = "quality.estimated_accuracy.weighted"
Z = 1.959963984540054
ASSUMES = "same_calibration"
"""A confidence means what it meant in the baseline; nothing checks that without labels."""
ASSUMES_WEIGHTED = "same_accuracy_by_input"
"""Inputs of one kind are answered as rightly as in the baseline; nothing checks that without labels."""
LEAST_EFFECTIVE = 50.0
"""Baseline answers that have to be left after weighting: below that the window is a place the baseline never was."""
APART = 0.98
"""Area under the curve from which the window and the baseline have nothing in common that could be weighted."""


class Performance:
    """`quality.estimated_accuracy`: mean calibrated confidence of a window (confidence-based performance estimation).

    The baseline's labelled answers, all of them counted by confidence, give the share that was right at each confidence
    (isotonic); the window's confidences, counted on the same grid, are weighted with that. It follows shifts of the inputs that the model notices. It
    is blind where inputs keep their looks and change their meaning, so it never replaces labels.

    `quality.estimated_accuracy.weighted`: the same, from the baseline's sample, its answers weighted by how much likelier their inputs
    are in the window than in the baseline (odds of a domain classifier over all columns), so that what a confidence is
    worth may differ between kinds of input.
    """

    version = "3"
    by_slice = True
    needs_baseline = True
    metrics = (
        MetricSpec(
            METRIC,
            "1",
            "Accuracy that the window's confidences suggest, without labels.",
            "lower",
            (),
            0,
            1,
            label="accuracy, estimated without ground truth",
            format="percent",
            alert="quality",
        ),
        MetricSpec(
            WEIGHTED,
            "1",
            "The same, from baseline answers weighted to look like the window's.",
            "lower",
            (),
            0,
            1,
            label="accuracy, estimated from weighted baseline answers",
            alert="quality",
        ),
    )

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterable[Reading]:
        """Both estimates, for models that say how confident they are."""
        if baseline is None or COLUMN not in baseline.numeric:
            return
        grid = frame.grids.get(COLUMN)
        answers, counted = _labelled(baseline), baseline.reliability
        if COLUMN not in current.numeric or grid is None:
            yield from _neither("absent_in_window", 0)
            return
        now = current.numeric[COLUMN]
        if answers is None or counted.n < MIN_SAMPLES:
            # A baseline from before answers were counted has labelled answers in its sample alone.
            yield from _neither("unlabelled" if answers is None else "baseline_outdated", now.n, ASSUMES)
            return
        if now.n < MIN_SAMPLES:
            yield from _neither("below_min_samples", now.n)
            return
        places, confidence, right = answers
        exact = fit_calibration(counted.bins, counted.right, counted.right + counted.wrong)
        yield _estimate(METRIC, exact(now.bins), now, counted.n, float(counted.n), ASSUMES)
        then, rows = _samples(current, baseline, frame)
        weights = density_ratio(then, rows)[places]
        effective = float(weights.sum() ** 2 / (weights**2).sum())
        if effective < LEAST_EFFECTIVE or domain_auc(then, rows).area > APART:
            yield Reading(
                metric=WEIGHTED,
                status=Status.INSUFFICIENT_DATA,
                reason="no_overlap",
                n=now.n,
                n_baseline=len(right),
            )
            return
        rates = fit_calibration(confidence, right * weights, weights)(grid.value(now.bins))
        yield _estimate(WEIGHTED, rates, now, len(right), effective, ASSUMES_WEIGHTED)


def _neither(reason: str, n: int, assumes: str = "") -> Iterator[Reading]:
    for metric in (METRIC, WEIGHTED):
        yield Reading(metric=metric, status=Status.INSUFFICIENT_DATA, reason=reason, n=n, facts=_facts(assumes))


def _facts(assumes: str) -> dict[str, str]:
    return {"assumes": assumes} if assumes else {}


def _estimate(
    metric: str, rates: Floats, now: NumericState, n_baseline: int, effective: float, assumes: str
) -> Reading:
    """From the share of right answers in each of the window's bins."""
    value = float((rates * now.counts).sum() / now.n)
    return Reading(
        metric=metric,
        value=min(max(value, 0.0), 1.0),
        n=now.n,
        n_baseline=n_baseline,
        interval=_interval(value, now.n, effective),
        how=How.MODELLED,
        exact=False,
        facts=_facts(assumes),
    )


def _samples(current: WindowState, baseline: WindowState, frame: Frame) -> tuple[Floats, Floats]:
    """The baseline's sample and the window's, by all columns of inputs and answers that compare, standardised."""
    names = [
        column.spec.name for column in compared("numeric", current, baseline, frame, details=True) if not column.reason
    ]
    then, now = (
        np.stack([state.sample.numeric.get(name, np.full(state.sample.n, np.nan)) for name in names], axis=1)
        for state in (baseline, current)
    )
    return standardised(then, now)


def _labelled(baseline: WindowState) -> tuple[NDArray[np.intp], Floats, NDArray[np.bool_]] | None:
    """Places in the baseline's sample where truth is known, their confidence, and whether they were right."""
    sample = baseline.sample
    if not {"truth", "output.label"} <= set(sample.categorical) or COLUMN not in sample.numeric:
        return None
    truth, answer, confidence = sample.categorical["truth"], sample.categorical["output.label"], sample.numeric[COLUMN]
    known = np.isfinite(confidence) & np.array(
        [a is not None and b is not None for a, b in zip(truth, answer, strict=True)], bool
    )
    if int(known.sum()) < MIN_SAMPLES:
        return None
    return np.flatnonzero(known), confidence[known], np.asarray(truth[known] == answer[known], bool)


def _interval(value: float, n: int, n_calibration: float) -> Interval:
    """Sampling error of the answers and of the calibration together; not of the assumption."""
    half = Z * math.sqrt(max(value * (1 - value), 0.0) * (1 / n + 1 / n_calibration))
    return Interval(max(0.0, value - half), min(1.0, value + half), 0.95, "normal, given the calibration's assumption")


PLUGIN = Performance()
