"""Quality of numeric answers from the moments of prediction minus truth: mean error, mean absolute error, root mean square."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from scipy.special import stdtr

from auditor.core.catalogue import MetricSpec
from auditor.core.frame import Frame
from auditor.core.measurement import Reading, absent
from auditor.core.state import Moments, WindowState
from auditor.statistics.intervals import mean_interval

ERROR, ERROR_ABS = "output.error", "output.error_abs"
MIN_N = 10

_METRICS = (
    MetricSpec(
        "quality.mae",
        "1",
        "Mean absolute error, in the target's own unit.",
        "higher",
        (),
        0.0,
        label="mean absolute error",
        alert="quality",
    ),
    MetricSpec(
        "quality.bias",
        "1",
        "Mean of prediction minus truth, in the target's own unit.",
        "",
        (),
        label="mean signed error",
        alert="quality",
    ),
    MetricSpec(
        "quality.rmse",
        "1",
        "Root mean square error, in the target's own unit.",
        "higher",
        (),
        0.0,
        label="root mean squared error",
        alert="quality",
    ),
)


@dataclass(frozen=True)
class RegressionMeasurer:
    """Measurer of kind `quality`.

    Intervals are Student's. P-values compare with the baseline by Welch's t-test: of the absolute error one-sided ("not
    larger than there"), of the mean error two-sided. Both rest on the central limit theorem, so fewer than `MIN_N` labelled
    records give `below_min_samples`. The root mean square has neither; it is shown beside the mean absolute error.
    """

    version: str = "1"
    needs_baseline: bool = False

    @property
    def metrics(self) -> tuple[MetricSpec, ...]:
        return _METRICS

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterator[Reading]:
        """Mean absolute error, mean error, root mean square error; nothing for a model that answers no numbers."""
        error, size = _moments(current, ERROR), _moments(current, ERROR_ABS)
        error0 = _moments(baseline, ERROR) if baseline else None
        size0 = _moments(baseline, ERROR_ABS) if baseline else None
        if error is None or size is None:
            if "output.value" in current.numeric or error0 is not None:
                for spec in _METRICS:
                    yield absent(spec.name, "unlabelled" if current.n else "no_data")
            return
        if error.n < MIN_N:
            for spec in _METRICS:
                yield absent(spec.name, "below_min_samples", n=error.n)
            return
        yield _mean("quality.mae", size, size0, one_sided=True)
        yield _mean("quality.bias", error, error0, one_sided=False)
        yield Reading(
            metric="quality.rmse",
            value=_rms(error),
            n=error.n,
            n_baseline=error0.n if error0 else None,
            facts={"baseline": _rms(error0)} if error0 else {},
        )


def _moments(state: WindowState, column: str) -> Moments | None:
    return state.numeric[column].moments if column in state.numeric else None


def _mean(metric: str, now: Moments, before: Moments | None, *, one_sided: bool) -> Reading:
    return Reading(
        metric=metric,
        value=now.mean,
        n=now.n,
        n_baseline=before.n if before else None,
        interval=mean_interval(now.n, now.mean, now.m2),
        p_value=_welch(now, before, one_sided=one_sided) if before and before.n >= MIN_N else None,
        facts={"baseline": before.mean} if before else {},
    )


def _welch(now: Moments, before: Moments, *, one_sided: bool) -> float:
    """P-value of equal means, variances free (Welch 1947); one-sided against a larger mean now."""
    a, b = now.variance / now.n, before.variance / before.n
    difference = now.mean - before.mean
    if a + b == 0.0:
        return 1.0 if difference == 0.0 or (one_sided and difference < 0.0) else 0.0
    t = difference / math.sqrt(a + b)
    degrees = (a + b) ** 2 / (a * a / (now.n - 1) + b * b / (before.n - 1))
    return float(stdtr(degrees, -t)) if one_sided else min(1.0, 2 * float(stdtr(degrees, -abs(t))))


def _rms(moments: Moments) -> float:
    return math.sqrt(moments.mean**2 + moments.m2 / moments.n)


PLUGIN = RegressionMeasurer()
