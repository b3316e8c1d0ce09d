"""One list of spellings for every reader."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import numpy as np
import pytest

from auditor.core import values
from auditor.descriptors.tabular import PLUGIN
from auditor.intake.cells import Cells


@pytest.mark.parametrize(
    "word", ["", " ", "NA", "N/A", "#N/A", "<NA>", "null", "None", "NaN", "nan", None, float("nan")]
)
def test_missing_words_hold_no_value(word: object) -> None:
    cells = Cells()
    assert cells.blank(word)
    assert cells.figure(word) is cells.text(word) is cells.class_name(word) is cells.number(word, "x") is None


@pytest.mark.parametrize("word", ["none", "na", "-", "missing", "Namibia", 0, False, [], {}])
def test_other_values_are_not_missing(word: object) -> None:
    assert not values.blank(word)


@pytest.mark.parametrize(
    ("cell", "entry"),
    [
        ("12", 12.0),
        (" 12.5 ", 12.5),
        ("-3e2", -300.0),
        ("007", "007"),
        ("0.7", 0.7),
        ("1_000", "1_000"),
        ("1,5", "1,5"),
        ("inf", None),
        ("TRUE", "true"),
        (True, "true"),
        (np.float64(2.0), 2.0),
        (Decimal("2.50"), 2.5),
        ("2026-01-05", 1767571200.0),
        ("2026-01-05T09:00:00+02:00", 1767596400.0),
        ("2026-13-05", "2026-13-05"),
        (datetime(2026, 1, 5, 9, tzinfo=UTC), 1767603600.0),
        (date(2026, 1, 5), 1767571200.0),
        (time(1, 0, 1), 3601.0),
        (timedelta(minutes=1.5), 90.0),
        (b"x", None),
        ([1], None),
        (10**400, None),
    ],
)
def test_a_cell_has_one_meaning(cell: object, entry: object) -> None:
    assert values.figure(cell) == entry


@pytest.mark.parametrize(
    ("cell", "entry"),
    [("3,5", 3.5), ("1.234,5", 1234.5), ("1.234.567", 1234567.0), ("12.5", "12.5"), ("7", 7.0), ("a", "a")],
)
def test_a_comma_may_mark_decimals(cell: str, entry: object) -> None:
    assert Cells(decimal=",").figure(cell) == entry


def test_a_numeric_column_reads_zeros_and_keeps_texts() -> None:
    assert [Cells().numeric(cell) for cell in ("007", "NA", "old", 3)] == [7.0, None, "old", 3.0]


@pytest.mark.parametrize("word", ["True", "TRUE", "true", True, np.bool_(True)])
def test_rows_of_an_agent_spell_truth_alike(word: object) -> None:
    assert PLUGIN.describe({"x": word})["x"] == "true"


@pytest.mark.parametrize("label", ["1", "1.0", 1, 1.0, Decimal("1"), np.int64(1)])
def test_a_class_has_one_name(label: object) -> None:
    assert values.class_name(label) == "1"
