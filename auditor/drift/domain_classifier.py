"""Whether a classifier can tell the window's records from the baseline's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from auditor.core.catalogue import OWN_MODALITY, MetricSpec
from auditor.core.frame import Frame
from auditor.core.measurement import Reading, Status
from auditor.core.state import WindowState
from auditor.drift.compared import MIN_SAMPLES, Column, compared, distinct_rows
from auditor.statistics.two_samples import domain_auc, standardised

METRIC = "drift.domain_auc"


class DomainClassifier:
    """`drift.domain_auc`: held-out area under the curve of a logistic regression, baseline against window (C2ST).

    By input, on the samples of both states, each payload once; features are the input's numeric columns, classes of its
    head and components of its embedding included, in deviations of the baseline. Rows fall into two halves by the hash of
    their ids; each half is scored by the classifier that the other half gave. 0.5 when nothing changed; unlike tests of
    single columns it sees changes in how columns go together as far as one linear direction shows them.

    The p-value is the Mann-Whitney test of each half, the smaller one doubled (Lopez-Paz and Oquab 2017 with the exact
    null spread sqrt((n + m + 1) / (12 n m)) of the area).
    """

    version = "1"
    needs_baseline = True
    metrics = (
        MetricSpec(
            METRIC,
            "1",
            "How well a classifier tells an input's records from the baseline's, held out; 0.5 is not at all.",
            "higher",
            ("input", "modality"),
            0,
            1,
            label="how well a classifier tells window from baseline (AUC)",
            short="domain AUC",
            alert=OWN_MODALITY,
            clause="the {metric} of {column} is {value}",
            compares=(
                "A domain AUC is how often a classifier that is shown one record of the window and one of the "
                "baseline tells which is which: 0.5 is guessing, 1 is always."
            ),
            reads=(
                (0.5, "the classifier does no better than guessing"),
                (
                    None,
                    (
                        "of 100 pairs of a record of the window and one of the baseline, a classifier tells {hundredfold} "
                        "apart rightly (50: guessing, 100: always)"
                    ),
                ),
            ),
        ),
    )

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterable[Reading]:
        """Readings by input."""
        if baseline is None:
            return
        columns: dict[str, list[Column]] = {}
        for column in compared("numeric", current, baseline, frame, details=True):
            if column.spec.input is not None:
                columns.setdefault(column.spec.input, []).append(column)
        for name in sorted(columns):
            modality = current.modality.get(name) or baseline.modality.get(name)
            attributes = {"input": name, **({"modality": modality} if modality else {})}
            yield _reading(name, columns[name], attributes, current, baseline)


def _reading(
    name: str, columns: list[Column], attributes: dict[str, str], current: WindowState, baseline: WindowState
) -> Reading:
    usable = [column.spec.name for column in columns if not column.reason]
    reason, status = "", Status.INSUFFICIENT_DATA
    now = then = np.empty((0, 0))
    if not usable:
        first = min(columns, key=lambda column: column.status is not Status.INSUFFICIENT_DATA)
        reason, status = first.reason, first.status
    else:
        now, then = (_matrix(state, name, usable) for state in (current, baseline))
        if min(len(now), len(then)) < 2 * MIN_SAMPLES:
            reason = "below_min_samples"
    if reason:
        return Reading(
            metric=METRIC,
            status=status,
            reason=reason,
            n=len(now),
            n_baseline=len(then),
            attributes=attributes,
        )
    x, y = standardised(then, now)
    found = domain_auc(x, y)
    strongest = usable[found.strongest]
    short = next(column.spec.short for column in columns if column.spec.name == strongest)
    return Reading(
        metric=METRIC,
        value=found.area,
        n=len(now),
        n_baseline=len(then),
        attributes=attributes,
        p_value=found.p_value,
        exact=False,
        facts={
            "leading_column": short,
            "columns": len(usable),
            "expected_by_chance": 0.5,
            "chance_spread": 2 * found.spread,
        },
    )


def _matrix(state: WindowState, name: str, columns: list[str]) -> Any:
    """The sample's rows that have any of these columns, each payload once, in the order of their hashes."""
    rows = distinct_rows(state, name)
    absent = np.full(state.sample.n, np.nan)
    matrix = np.stack([state.sample.numeric.get(column, absent)[rows] for column in columns], axis=1)
    return matrix[np.isfinite(matrix).any(axis=1)]


PLUGIN = DomainClassifier()
