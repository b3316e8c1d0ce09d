"""Marks of a drawing: few on clean data, all windows of a change, and apart from each other what lasts and what does not."""

from datetime import UTC, datetime

import numpy as np

from auditor.core.window import DAY
from auditor.reports.discoveries import LASTING, ONCE, discoveries
from auditor.testing import make_measurement

START = datetime(2026, 1, 5, tzinfo=UTC)


def figures(p: np.ndarray) -> list:
    """P-values, shape (windows, columns), as measurements."""
    return [
        make_measurement(
            p_value=float(value),
            start=START + day * DAY,
            end=START + (day + 1) * DAY,
            attributes={"column": f"c{column}", "input": "photo", "modality": "image"},
        )
        for day, row in enumerate(p)
        for column, value in enumerate(row)
    ]


def test_clean_windows_are_marked_about_as_often_as_the_level_says() -> None:
    p = np.random.default_rng(1).random((400, 40))
    marked = {end for _, end in discoveries(figures(p))}
    assert 0.02 * 400 <= len(marked) <= 0.09 * 400, "40 raw tests at 5 % would mark 87 % of the windows"


def test_what_is_found_in_windows_side_by_side_lasts() -> None:
    p = np.full((6, 20), 0.5)
    p[1, 3] = p[3:6, 7] = 1e-6
    marks = discoveries(figures(p))
    days = [(("column=c3," in series) * 3 or 7, (end - START) // DAY, mark) for (series, end), mark in marks.items()]
    assert sorted(days) == [(3, 2, ONCE), (7, 4, LASTING), (7, 5, LASTING), (7, 6, LASTING)]


def test_figures_without_p_values_are_no_discoveries() -> None:
    assert discoveries([make_measurement(p_value=None)]) == {}
