"""Accuracy without labels, against the accuracy that labels show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from auditor.audit.summarise import fit_frame
from auditor.core.measurement import How, Status
from auditor.core.rows import Rows
from auditor.drift.performance import PLUGIN
from auditor.statistics.calibration import fit_calibration
from auditor.testing.checks import check_measurer
from auditor.testing.synthetic import make_rows, make_state, make_window


def _answers(n: int, seed: int, easy: float) -> Rows:
    """Rows of a model that is over-confident in a way that depends on the confidence alone."""
    rng = np.random.default_rng(seed)
    rows = make_rows(n, seed, labelled=1.0)
    confidence = rng.beta(2 + easy, 2, n)
    right = rng.random(n) < confidence**2
    scores = np.stack([confidence, *([(1 - confidence) / 9] * 9)], axis=1)
    label = np.full(n, "0", object)
    truth = np.where(right, "0", "1").astype(object)
    return replace(
        rows,
        vectors={"output.scores": scores.astype(np.float32)},
        categorical={"output.label": label},
        truth=truth,
        labelled_us=rows.time_us,
    )


@pytest.mark.parametrize("easy", [4.0, 2.0, 0.5])
def test_the_estimate_follows_the_realised_accuracy(easy: float) -> None:
    week = _answers(1900, 1, 4.0)
    frame = fit_frame(week)
    day = _answers(2000, 2, easy)
    reading, weighted = PLUGIN.measure(make_state(day, frame), make_state(week, frame), frame)
    realised = float((day.truth == day.categorical["output.label"]).mean())
    assert reading.value == pytest.approx(realised, abs=0.035)
    assert reading.interval is not None
    assert reading.interval.lower < realised + 0.02
    assert reading.how is How.MODELLED
    assert reading.facts["assumes"] == "same_calibration"
    assert (weighted.metric, weighted.status) == ("quality.estimated_accuracy.weighted", Status.OK)
    assert weighted.value == pytest.approx(realised, abs=0.05)
    assert weighted.facts["assumes"] == "same_accuracy_by_input"


def test_the_contract_of_measurers() -> None:
    check_measurer(PLUGIN, *make_window(200, 3))


def test_a_baseline_without_labels_says_so() -> None:
    week = make_rows(300, 4, labelled=0.0)
    frame = fit_frame(week)
    for reading in PLUGIN.measure(make_state(make_rows(100, 5), frame), make_state(week, frame), frame):
        assert (reading.status, reading.reason) == (Status.INSUFFICIENT_DATA, "unlabelled")


def test_weighting_helps_where_a_confidence_is_worth_less_for_some_inputs() -> None:
    """Dark photos are answered worse than their confidence says, and the window has more of them."""

    def answers(n: int, seed: int, dark_share: float) -> Rows:
        rng = np.random.default_rng(seed)
        rows = _answers(n, seed, 2.0)
        dark = rng.random(n) < dark_share
        confidence = rows.vectors["output.scores"].max(axis=1)
        right = rng.random(n) < np.where(dark, 0.5, 0.97)
        return replace(
            rows,
            numeric={"inputs.photo.descriptors.brightness": np.where(dark, 0.2, 0.6) + rng.normal(0, 0.05, n)},
            truth=np.where(right & (confidence > 0), "0", "1").astype(object),
        )

    week, day = answers(1900, 1, 0.15), answers(1500, 2, 0.6)
    frame = fit_frame(week)
    plain, weighted = PLUGIN.measure(make_state(day, frame), make_state(week, frame), frame)
    realised = float((day.truth == day.categorical["output.label"]).mean())
    assert abs(plain.value - realised) > 0.15
    assert abs(weighted.value - realised) < 0.05
    elsewhere = replace(day, numeric={"inputs.photo.descriptors.brightness": np.linspace(3, 9, day.n)})
    plain, weighted = PLUGIN.measure(make_state(elsewhere, frame), make_state(week, frame), frame)
    assert (plain.status, weighted.reason) == (Status.OK, "no_overlap")


def test_isotonic_regression_is_sklearns() -> None:
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(6)
    x = rng.random(500).round(2)
    y = rng.random(500) < x
    found = fit_calibration(x, y, np.ones(500))
    expected = IsotonicRegression().fit(x, y).predict(x)
    assert np.allclose(found(x), expected)
    assert found(x).mean() == pytest.approx(y.mean())
    with pytest.raises(ValueError, match="at least one"):
        fit_calibration(np.empty(0), np.empty(0), np.empty(0))
