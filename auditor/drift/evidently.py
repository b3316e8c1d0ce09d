"""Evidently on the samples of a window and its baseline: its distances by name, and its full HTML report."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from auditor.core.artifact import Rendering
from auditor.core.catalogue import OWN_MODALITY, MetricSpec
from auditor.core.frame import Frame
from auditor.core.measurement import Method, Reading, Status
from auditor.core.state import WindowState
from auditor.drift.compared import MIN_SAMPLES, Column, compared

if TYPE_CHECKING:
    import pandas as pd

# Every method is named: Evidently's own choice changes with the size of the reference, and its thresholds are not used.
NUMERIC = ("wasserstein", "jensenshannon", "psi")
CATEGORICAL = ("jensenshannon", "psi")
PAGE_COLUMNS = 20
"""Columns of the HTML page."""


class Evidently:
    """`drift.evidently`: Evidently's score of each column, the method's name in attribute `component`.

    Wasserstein distances are in standard deviations of the baseline. Both sides are the samples of the states (at most
    2000 records each), without missing values; columns of fewer than 20 values are left to say so.
    """

    version = "1"
    requires = ("evidently",)
    needs_baseline = True
    metrics = (
        MetricSpec(
            "drift.evidently",
            "1",
            "Distance of the column as Evidently computes it; the component names the method.",
            "higher",
            ("column", "component", "input", "modality"),
            0,
            label="drift score of Evidently",
            short="Evidently",
            alert=OWN_MODALITY,
            clause="the {metric} of {column} is {value}",
            compares=(
                "Evidently's scores are its own computation of the distance that stands beside them, on samples of "
                "window and baseline: 0 means no difference, and larger values a larger one."
            ),
        ),
    )

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterable[Reading]:
        """Readings by column, then method."""
        if baseline is None:
            return
        for kind, methods in (("numeric", NUMERIC), ("categorical", CATEGORICAL)):
            for column in compared(kind, current, baseline, frame):
                yield from _scores(column, methods, current, baseline)

    def render(self, current: WindowState, baseline: WindowState, frame: Frame) -> Rendering | None:
        """Evidently's data drift report (Wasserstein and Jensen-Shannon) as one page; None when nothing compares.

        The page shows the PAGE_COLUMNS columns that moved most: its cost and size do not grow with the number of
        columns, and every column's scores are measurements anyway.
        """
        numeric = _comparable("numeric", current, baseline, frame)
        categorical = _comparable("categorical", current, baseline, frame)
        if not numeric and not categorical:
            return None
        of = len(numeric) + len(categorical)
        moved = _most_moved(numeric, categorical, current, baseline)
        numeric, categorical = ([name for name in names if name in moved] for names in (numeric, categorical))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import evidently
            from evidently.presets import DataDriftPreset

            shown = [[escape(name) for name in names] for names in (numeric, categorical)]
            definition = evidently.DataDefinition(numerical_columns=shown[0], categorical_columns=shown[1])
            now, then = (
                evidently.Dataset.from_pandas(_table(state, numeric, categorical), data_definition=definition)
                for state in (current, baseline)
            )
            preset = DataDriftPreset(
                columns=[*shown[0], *shown[1]], num_method="wasserstein", cat_method="jensenshannon"
            )
            page = evidently.Report([preset]).run(now, then).get_html_str(as_iframe=False)
        return Rendering(
            title=f"Evidently data drift, {current.model}, {current.span}: {len(moved)} of {of} columns",
            extension="html",
            data=page.encode(),
            made_by=Method("evidently", evidently.__version__),
        )


def _scores(column: Column, methods: tuple[str, ...], current: WindowState, baseline: WindowState) -> Iterator[Reading]:
    name, kind = column.spec.name, column.spec.kind
    now, then = _values(current, name, kind), _values(baseline, name, kind)
    reason, status = column.reason, column.status
    if not reason and min(len(now), len(then)) < MIN_SAMPLES:
        reason, status = "below_min_samples", Status.INSUFFICIENT_DATA
    for method in methods:
        attributes = {**column.spec.attributes(), "component": method}
        if reason:
            yield Reading(
                metric="drift.evidently",
                status=status,
                reason=reason,
                n=len(now),
                n_baseline=len(then),
                attributes=attributes,
            )
            continue
        score = _test(method, kind)(then, now)
        yield Reading(
            metric="drift.evidently",
            value=score if np.isfinite(score) else None,
            status=Status.OK if np.isfinite(score) else Status.NOT_APPLICABLE,
            reason="" if np.isfinite(score) else "undefined",
            n=len(now),
            n_baseline=len(then),
            attributes=attributes,
            exact=current.n == current.sample.n and baseline.n == baseline.sample.n,
            facts={"rows": len(now), "baseline_rows": len(then)},
        )


def _values(state: WindowState, name: str, kind: str) -> Any:
    """The sample's values of a column that are there; Evidently scores NaN as no drift, or raises."""
    if kind == "numeric":
        values = state.sample.numeric.get(name, np.empty(0))
        return values[np.isfinite(values)]
    words = state.sample.categorical.get(name, np.empty(0, object))
    return words[np.array([word is not None for word in words], bool)]


def _most_moved(numeric: list[str], categorical: list[str], current: WindowState, baseline: WindowState) -> set[str]:
    """The columns with the largest Jensen-Shannon distances, which are on one scale for both kinds."""
    moved = {
        name: _test("jensenshannon", kind)(_values(baseline, name, kind), _values(current, name, kind))
        for kind, names in (("numeric", numeric), ("categorical", categorical))
        for name in names
    }
    return set(sorted(moved, key=lambda name: (-np.nan_to_num(moved[name]), name))[:PAGE_COLUMNS])


def _comparable(kind: str, current: WindowState, baseline: WindowState, frame: Frame) -> list[str]:
    names = (column.spec.name for column in compared(kind, current, baseline, frame) if not column.reason)
    return [
        name
        for name in names
        if min(len(_values(current, name, kind)), len(_values(baseline, name, kind))) >= MIN_SAMPLES
    ]


def _table(state: WindowState, numeric: list[str], categorical: list[str]) -> pd.DataFrame:
    """The sample's columns; names and values are escaped, as Evidently puts both into scripts and drawings as they are."""
    import pandas as pd

    columns: dict[str, Any] = {escape(name): state.sample.numeric[name] for name in numeric}
    for name in categorical:
        values = state.sample.categorical[name]
        columns[escape(name)] = [None if value is None else escape(value) for value in values]
    return pd.DataFrame(columns)


@cache
def _test(method: str, kind: str) -> Callable[[Any, Any], float]:
    """Evidently's test of that name: (baseline values, window values) -> score."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas as pd
        from evidently.legacy.calculations.stattests import get_stattest
        from evidently.legacy.core import ColumnType

    word, feature = ("num", ColumnType.Numerical) if kind == "numeric" else ("cat", ColumnType.Categorical)

    def score(then: Any, now: Any) -> float:
        reference, window = pd.Series(then), pd.Series(now)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            test = get_stattest(reference, window, word, method)
            return float(test(reference, window, feature, None).drift_score)

    return score


PLUGIN = Evidently()
