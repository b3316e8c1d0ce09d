"""Column by column: Kolmogorov-Smirnov, PSI, Jensen-Shannon and Wasserstein, from the counts of two states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from auditor.core.blocks import NumericState
from auditor.core.catalogue import OWN_MODALITY, MetricSpec
from auditor.core.frame import Frame
from auditor.core.grid import Grid
from auditor.core.measurement import Reading, Status
from auditor.core.rows import Ints
from auditor.core.state import WindowState
from auditor.drift.compared import Column, change_facts, compared
from auditor.statistics import distances
from auditor.statistics.groups import COARSE, numeric_groups
from auditor.statistics.nulls import chi_square_p, ks_p
from auditor.statistics.spread import window_p

_KEYS = ("column", "input", "modality")
NUMERIC = ("drift.ks", "drift.psi", "drift.jensen_shannon", "drift.wasserstein")
CATEGORICAL = ("drift.psi", "drift.jensen_shannon")


class Univariate:
    """Distances of each column from its baseline.

    - `drift.ks`: largest gap between distribution functions; asymptotic p-value, conservative for ties and for the grid.
    - `drift.psi`, `drift.jensen_shannon`: over ten groups of equal baseline mass, with a group of its own for each frequent
      value and for the values between two of them (numeric), or over categories; their p-value is Pearson's chi-square test
      on the same counts, to which PSI / (1/n + 1/m) converges and which keeps its level far into the tail, where the PSI
      form exceeds it.
    - `drift.wasserstein`: earth mover's distance in standard deviations of the baseline; no p-value.

    Rows without a value are not counted: a missing input is the business of `input.missing_rate`. Payloads that repeat
    count as fewer observations in every p-value. Where the baseline's windows vary more than their rows explain, p-values
    compare window means instead (Student's t). A column with one value everywhere, an identifier and a counter have no figure.
    """

    version = "3"
    needs_baseline = True
    by_slice = True
    metrics = (
        MetricSpec(
            "drift.ks",
            "1",
            "Largest gap between the column's distribution functions.",
            "higher",
            _KEYS,
            0,
            1,
            label="distance to the baseline (Kolmogorov-Smirnov)",
            short="KS",
            alert=OWN_MODALITY,
            clause="the distribution of {column} moved away from the baseline (KS distance {value}, maximum 1)",
            compares=(
                "A KS distance is the largest difference between the shares of records that lie under one value, in "
                "the window and in the baseline: 0 means the same distribution, 1 that they do not overlap."
            ),
            reads=(
                (
                    None,
                    (
                        "at the value where window and baseline differ most, the shares of records below it are {percent} "
                        "percentage points apart (0: the same distribution, 100: no overlap)"
                    ),
                ),
            ),
        ),
        MetricSpec(
            "drift.psi",
            "1",
            "Population stability index over ten bins or the categories.",
            "higher",
            _KEYS,
            0,
            label="population stability index",
            short="PSI",
            alert=OWN_MODALITY,
            clause="the distribution of {column} moved away from the baseline (PSI {value})",
            compares=(
                "PSI (population stability index) adds up how far the shares of ten bins, or of the categories, "
                "moved: 0 means not at all, and there is no upper end; 0.1 is often called small and 0.25 large, but "
                "with few records chance alone reaches that."
            ),
            reads=(
                (
                    None,
                    (
                        "at most about {moved_by_psi} % of the records would have to lie in another bin or category to give "
                        "the baseline's shares (0 %: no change)"
                    ),
                ),
            ),
        ),
        MetricSpec(
            "drift.jensen_shannon",
            "1",
            "Jensen-Shannon distance (base 2) over the same bins.",
            "higher",
            _KEYS,
            0,
            1,
            label="distance to the baseline (Jensen-Shannon)",
            short="Jensen-Shannon",
            alert=OWN_MODALITY,
            clause="the mix of {column} moved away from the baseline (Jensen-Shannon distance {value}, maximum 1)",
            compares=(
                "A Jensen-Shannon distance compares the shares of the same bins or categories: 0 means equal shares, "
                "1 that window and baseline have none in common."
            ),
            reads=(
                (
                    None,
                    (
                        "{moved_by_jensen_shannon} of the records would have to lie in another bin or category to give the "
                        "baseline's shares (0 %: no change, 100 %: nothing in common)"
                    ),
                ),
            ),
        ),
        MetricSpec(
            "drift.wasserstein",
            "1",
            "Earth mover's distance in standard deviations of the baseline.",
            "higher",
            _KEYS,
            0,
            label="distance to the baseline (Wasserstein)",
            short="Wasserstein",
            alert=OWN_MODALITY,
            clause="the distribution of {column} moved by {value} baseline standard deviations",
            compares=(
                "A Wasserstein distance is how far values would have to move on average to lie as in the baseline, "
                "counted in its standard deviations: 0 means not at all, 1 is far, and there is no upper end."
            ),
            reads=(
                (
                    None,
                    "values lie {number} standard deviations of the baseline away on average (0: no change; no upper end)",
                ),
            ),
        ),
    )

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterable[Reading]:
        """Readings by column, then metric."""
        if baseline is None:
            return
        for column in compared("numeric", current, baseline, frame, components=True):
            grid = frame.grids.get(column.spec.name)
            if column.reason or grid is None:
                yield from _without(column, NUMERIC)
            else:
                yield from _numeric(column, grid, current, baseline, frame)
        for column in compared("categorical", current, baseline, frame):
            if column.reason:
                yield from _without(column, CATEGORICAL)
            else:
                yield from _categorical(column, current, baseline, frame)


def _without(column: Column, metrics: tuple[str, ...]) -> Iterator[Reading]:
    for metric in metrics:
        yield Reading(
            metric=metric,
            status=column.status,
            reason=column.reason or "absent_in_baseline",
            n=column.n,
            n_baseline=column.n_baseline,
            attributes=column.spec.attributes(),
        )


def _numeric(
    column: Column, grid: Grid, current: WindowState, baseline: WindowState, frame: Frame
) -> Iterator[Reading]:
    now, then = current.numeric[column.spec.name], baseline.numeric[column.spec.name]
    size = len(grid.values)
    a, b = then.dense(size), now.dense(size)
    facts = {"mean": now.moments.mean, "baseline_mean": then.moments.mean}

    def reading(
        metric: str, value: float, p_value: float | None = None, bound: float | None = None, exact: bool = False
    ) -> Reading:
        return Reading(
            metric=metric,
            value=value,
            n=now.n,
            n_baseline=then.n,
            attributes=column.spec.attributes(),
            p_value=p_value,
            exact=exact,
            bound=bound,
            facts=facts,
        )

    distance, bound = distances.ks(a, b)
    by_window = window_p(column.spec.name, "numeric", current, baseline, frame)
    p_value = ks_p(distance, column.effective_baseline, column.effective) if by_window is None else by_window
    yield reading("drift.ks", distance, p_value, bound)
    groups = numeric_groups(a, grid.atoms, COARSE).bins
    coarse_a, coarse_b = distances.grouped(a, groups), distances.grouped(b, groups)
    if by_window is None:
        p_value = chi_square_p(coarse_a, coarse_b, (column.effective_baseline / then.n, column.effective / now.n))
    # The bins are part of these figures' definition, and their counts are exact.
    yield reading("drift.psi", distances.psi(coarse_a, coarse_b), p_value, exact=True)
    yield reading("drift.jensen_shannon", distances.jensen_shannon(coarse_a, coarse_b), p_value, exact=True)
    value, bound = _wasserstein(grid, then, a, now, b)
    scale = float(np.sqrt(then.moments.variance))
    if scale > 0:
        yield reading("drift.wasserstein", value / scale, None, bound / scale)
    else:
        yield Reading(
            metric="drift.wasserstein",
            status=Status.NOT_APPLICABLE,
            reason="undefined",
            n=now.n,
            n_baseline=then.n,
            attributes=column.spec.attributes(),
        )


def _wasserstein(grid: Grid, then: NumericState, a: Ints, now: NumericState, b: Ints) -> tuple[float, float]:
    """Distance and the bound of its error, both in the column's unit."""
    # The distance is never below the difference of the means, which are exact.
    on_grid = distances.wasserstein(a, b, grid.values)
    value = max(on_grid, abs(now.moments.mean - then.moments.mean))
    bound = sum(
        distances.displacement(counts, grid.edges, grid.values, side.moments.low, side.moments.high)
        for counts, side in ((a, then), (b, now))
    )
    return value, bound


def _categorical(column: Column, current: WindowState, baseline: WindowState, frame: Frame) -> Iterator[Reading]:
    now, then = current.categorical[column.spec.name].counts, baseline.categorical[column.spec.name].counts
    codes = sorted({*now, *then})
    a = np.array([then.get(code, 0) for code in codes], np.int64)
    b = np.array([now.get(code, 0) for code in codes], np.int64)
    p_value = window_p(column.spec.name, "categorical", current, baseline, frame)
    if p_value is None:
        p_value = chi_square_p(a, b, (column.effective_baseline / column.n_baseline, column.effective / column.n))
    facts = change_facts(column.spec, current, baseline)
    for metric, value in (
        ("drift.psi", distances.psi(a, b)),
        ("drift.jensen_shannon", distances.jensen_shannon(a, b)),
    ):
        yield Reading(
            metric=metric,
            value=value,
            n=int(b.sum()),
            n_baseline=int(a.sum()),
            attributes=column.spec.attributes(),
            p_value=p_value,
            facts=facts,
        )


PLUGIN = Univariate()
