"""How good the answers probably are while their labels have not arrived."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from auditor.core.catalogue import MetricSpec
from auditor.core.frame import Frame
from auditor.core.measurement import How, Interval, Reading, Status
from auditor.core.state import WindowState
from auditor.drift.compared import MIN_SAMPLES
from auditor.statistics.calibration import Calibration, fit_calibration

COLUMN = "output.confidence"
METRIC = "quality.estimated_accuracy"
Z = 1.959963984540054
ASSUMES = "assumes that a confidence means what it meant in the baseline, which nobody can check without labels"


class Performance:
    """`quality.estimated_accuracy`: mean calibrated confidence of a window (confidence-based performance estimation).

    The baseline's labelled sample says how often an answer of each confidence was right (isotonic); the window's
    confidences, counted on their grid, are weighted with that. It follows shifts of the inputs that the model notices. It
    is blind where inputs keep their looks and change their meaning, so it never replaces labels.
    """

    version = "1"
    needs_baseline = True
    metrics = (
        MetricSpec(METRIC, "1", "Accuracy that the window's confidences suggest, without labels.", "lower", (), 0, 1),
    )

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterable[Reading]:
        """One reading, for models that say how confident they are."""
        if baseline is None or COLUMN not in baseline.numeric:
            return
        grid = frame.grids.get(COLUMN)
        calibration = _calibration(baseline)
        if COLUMN not in current.numeric or grid is None:
            yield Reading(metric=METRIC, status=Status.INSUFFICIENT_DATA, reason="absent_in_window", n=0)
            return
        now = current.numeric[COLUMN]
        if calibration is None:
            yield Reading(metric=METRIC, status=Status.INSUFFICIENT_DATA, reason="unlabelled", n=now.n, note=ASSUMES)
            return
        if now.n < MIN_SAMPLES:
            yield Reading(metric=METRIC, status=Status.INSUFFICIENT_DATA, reason="below_min_samples", n=now.n)
            return
        rates = calibration(grid.value(now.bins))
        value = float((rates * now.counts).sum() / now.n)
        yield Reading(
            metric=METRIC,
            value=value,
            n=now.n,
            n_baseline=calibration.n,
            interval=_interval(value, now.n, calibration.n),
            how=How.MODELLED,
            exact=False,
            note=ASSUMES,
        )


def _calibration(baseline: WindowState) -> Calibration | None:
    """From the baseline's sample, where truth is known; None when it is known of too few."""
    sample = baseline.sample
    if not {"truth", "output.label"} <= set(sample.categorical) or COLUMN not in sample.numeric:
        return None
    truth, answer, confidence = sample.categorical["truth"], sample.categorical["output.label"], sample.numeric[COLUMN]
    known = np.isfinite(confidence) & np.array(
        [a is not None and b is not None for a, b in zip(truth, answer, strict=True)], bool
    )
    if int(known.sum()) < MIN_SAMPLES:
        return None
    return fit_calibration(confidence[known], np.asarray(truth[known] == answer[known], bool))


def _interval(value: float, n: int, n_calibration: int) -> Interval:
    """Sampling error of the answers and of the calibration together; not of the assumption."""
    half = Z * math.sqrt(value * (1 - value) * (1 / n + 1 / n_calibration))
    return Interval(max(0.0, value - half), min(1.0, value + half), 0.95, "normal, given the calibration's assumption")


PLUGIN = Performance()
