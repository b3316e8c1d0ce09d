"""Whether anything about an input changed: four cheap views of it, one p-value."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from auditor.core.catalogue import OWN_MODALITY, MetricSpec
from auditor.core.frame import Frame
from auditor.core.measurement import Reading, Status
from auditor.core.state import WindowState
from auditor.drift.compared import Column, change_facts, compared
from auditor.statistics.distances import ks, total_variation
from auditor.statistics.nulls import chi_square_p, ks_p
from auditor.statistics.spread import window_p

METRIC = "drift.union"
VIEWS = ("signal", "output", "embedding", "uncertainty")
ANSWERS = "answers"


@dataclass(frozen=True, slots=True)
class _Finding:
    """One column's distance from the baseline, its p-value, and what changed."""

    column: Column
    distance: float
    p_value: float
    change: Mapping[str, Any]


class Union:
    """`drift.union`: the four-view test of each input (after Rabanser, Günnemann and Lipton 2019).

    Views are signal statistics (descriptors), model output (each class of the input's head), embedding (its components) and
    uncertainty (entropy, what the components leave out). Each column is tested against the frozen baseline, numbers by
    Kolmogorov-Smirnov, words by chi-square; p-values are Bonferroni's within each view, and again over the views. Together
    they see more than any of them: noise and blur show in the signal, a class that vanished in the output.

    The value is the distance (largest gap of distribution functions, or total variation of words) of the column with the
    smallest p-value; the facts name its view. A model of a single input has its answers among that input's output; with
    several inputs the answers have a reading of their own, `component=answers`.
    """

    version = "2"
    needs_baseline = True
    metrics = (
        MetricSpec(
            METRIC,
            "1",
            "Distance of the column that speaks most clearly for a change of the input.",
            "higher",
            ("input", "modality", "component"),
            0,
            1,
            label="distance of the column that speaks most clearly for a change",
            short="union",
            alert=OWN_MODALITY,
            clause="the {metric} of {column} is {value}",
            compares=(
                "A union distance is that of the column which speaks most clearly for a change of its input (KS or, "
                "for categories, the share of records that would have to change category): 0 means no difference, 1 "
                "no overlap."
            ),
            reads=(
                (
                    None,
                    (
                        "the column that speaks most clearly differs by up to {percent} percentage points (0: not at all, "
                        "100: no overlap)"
                    ),
                ),
            ),
        ),
    )

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterable[Reading]:
        """Readings by input, then that of the answers."""
        if baseline is None:
            return
        columns: dict[str, list[Column]] = defaultdict(list)
        inputs = sorted(baseline.presence)
        for kind in ("numeric", "categorical"):
            for column in compared(kind, current, baseline, frame, details=True):
                owner = column.spec.input or (inputs[0] if len(inputs) == 1 else ANSWERS)
                columns[owner].append(column)
        modality = {**baseline.modality, **current.modality}
        for owner in sorted(columns, key=lambda name: (name == ANSWERS, name)):
            attributes = {"component": ANSWERS}
            if owner in modality:
                attributes = {"input": owner, "modality": modality[owner]}
            elif owner != ANSWERS:
                attributes = {"input": owner}
            yield _union(columns[owner], attributes, current, baseline, frame)


def _union(
    columns: Sequence[Column],
    attributes: Mapping[str, str],
    current: WindowState,
    baseline: WindowState,
    frame: Frame,
) -> Reading:
    views: dict[str, list[_Finding]] = defaultdict(list)
    for column in columns:
        gridless = column.spec.kind == "numeric" and column.spec.name not in frame.grids
        if not column.reason and not gridless:
            views[column.spec.view].append(_test(column, current, baseline, frame))
    if not views:
        first = min(columns, key=lambda column: column.status is not Status.INSUFFICIENT_DATA)
        return Reading(
            metric=METRIC,
            status=first.status if first.reason else Status.NOT_APPLICABLE,
            reason=first.reason or "absent_in_baseline",
            n=first.n,
            n_baseline=first.n_baseline,
            attributes=attributes,
        )
    p_views = {view: min(1.0, len(found) * min(f.p_value for f in found)) for view, found in views.items()}
    p_value = min(1.0, len(views) * min(p_views.values()))
    view = min(p_views, key=lambda name: (p_views[name], -max(f.distance for f in views[name]), VIEWS.index(name)))
    first_finding = min(views[view], key=lambda f: (f.p_value, -f.distance, f.column.spec.name))
    tested = sum(map(len, views.values()))
    return Reading(
        metric=METRIC,
        value=first_finding.distance,
        n=first_finding.column.n,
        n_baseline=first_finding.column.n_baseline,
        attributes=attributes,
        p_value=p_value,
        exact=False,
        facts={
            "view": view,
            "leading_column": first_finding.column.spec.short,
            "columns": tested,
            "views": len(views),
            **first_finding.change,
        },
    )


def _test(column: Column, current: WindowState, baseline: WindowState, frame: Frame) -> _Finding:
    name = column.spec.name
    if column.spec.kind == "categorical":
        now, then = current.categorical[name].counts, baseline.categorical[name].counts
        codes = sorted({*now, *then})
        a, b = (np.array([side.get(code, 0) for code in codes], np.int64) for side in (then, now))
        p_value = window_p(name, "categorical", current, baseline, frame)
        if p_value is None:
            share = column.effective_baseline / column.n_baseline, column.effective / column.n
            p_value = chi_square_p(a, b, share)
        return _Finding(column, total_variation(a, b), p_value, change_facts(column.spec, current, baseline))
    x, y = baseline.numeric[name], current.numeric[name]
    size = len(frame.grids[name].values)
    distance, _ = ks(x.dense(size), y.dense(size))
    p_value = window_p(name, "numeric", current, baseline, frame)
    if p_value is None:
        p_value = ks_p(distance, column.effective_baseline, column.effective)
    return _Finding(column, distance, p_value, change_facts(column.spec, current, baseline))


PLUGIN = Union()
