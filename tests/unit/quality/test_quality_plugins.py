"""Quality of classes against scikit-learn, of numbers against scipy, and why a figure is absent."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from auditor.core.frame import Frame
from auditor.core.measurement import Status
from auditor.core.state import Cells, Moments, NumericState, empty_state
from auditor.quality.classification import PLUGIN as CLASSES
from auditor.quality.regression import PLUGIN as NUMBERS
from auditor.testing import check_measurer, make_baseline, make_window

FRAME = Frame("m")
EMPTY = empty_state("m", make_baseline().span, FRAME.digest)


def classified(truth, answer):
    counts = {}
    for pair in zip(truth, answer):
        key = ((), *pair)
        counts[key] = counts.get(key, 0) + 1
    return replace(EMPTY, n=len(truth), cells=Cells((), counts))


def read(plugin, current, baseline=None):
    return {
        (reading.metric, reading.attributes.get("label")): reading
        for reading in plugin.measure(current, baseline, FRAME)
    }


def draw(seed, n, right, labels="abcd"):
    rng = np.random.default_rng(seed)
    truth = rng.choice(list(labels), n)
    answer = np.where(rng.random(n) < right, truth, rng.choice(list(labels), n))
    return truth.tolist(), answer.tolist()


def test_classes_equal_scikit_learn():
    truth, answer = draw(1, 500, 0.8)
    found = read(CLASSES, classified(truth, answer))
    assert found["quality.accuracy", None].value == pytest.approx(sklearn_metrics.accuracy_score(truth, answer))
    assert found["quality.macro_f1", None].value == pytest.approx(
        sklearn_metrics.f1_score(truth, answer, average="macro")
    )
    assert found["quality.balanced_accuracy", None].value == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(truth, answer)
    )
    recalls = sklearn_metrics.recall_score(truth, answer, average=None, labels=list("abcd"))
    assert [found["quality.recall", label].value for label in "abcd"] == pytest.approx(list(recalls))


def test_an_answer_that_is_never_true_counts_in_f1_only():
    truth, answer = ["a"] * 20 + ["b"] * 20, ["a"] * 20 + ["b"] * 15 + ["z"] * 5
    found = read(CLASSES, classified(truth, answer))
    assert found["quality.macro_f1", None].value == pytest.approx(
        sklearn_metrics.f1_score(truth, answer, average="macro", zero_division=0)
    )
    assert found["quality.balanced_accuracy", None].value == pytest.approx((1 + 15 / 20) / 2)
    assert ("quality.recall", "z") not in found


def test_accuracy_is_compared_with_the_baseline_one_sided():
    before = classified(["a"] * 2800, ["a"] * 2750 + ["b"] * 50)
    worse = classified(["a"] * 400, ["a"] * 370 + ["b"] * 30)
    better = classified(["a"] * 400, ["a"] * 400)
    found = read(CLASSES, worse, before)["quality.accuracy", None]
    expected = stats.fisher_exact([[370, 30], [2750, 50]], alternative="less").pvalue
    assert found.p_value == pytest.approx(expected, rel=1e-6)
    assert (found.n, found.n_baseline) == (400, 2800)
    assert found.facts == {"count": 370, "of": 400, "baseline_count": 2750, "baseline_of": 2800}
    assert read(CLASSES, better, before)["quality.accuracy", None].p_value == pytest.approx(1.0)
    assert read(CLASSES, worse)["quality.accuracy", None].p_value is None


def test_rare_classes_say_so():
    found = read(CLASSES, classified(["a"] * 30 + ["b"] * 9, ["a"] * 39))
    assert found["quality.recall", "b"].reason == "below_min_samples"
    assert found["quality.recall", "b"].n == 9


def test_unlabelled_records_are_left_out_and_nothing_else_is():
    mixed = classified(["a"] * 20 + [None] * 20 + ["b"] * 5, ["a"] * 20 + ["a"] * 20 + [None] * 5)
    assert read(CLASSES, mixed)["quality.accuracy", None].n == 20
    unlabelled = read(CLASSES, classified([None] * 20, ["a"] * 20))["quality.accuracy", None]
    assert (unlabelled.status, unlabelled.reason) == (Status.INSUFFICIENT_DATA, "unlabelled")
    assert read(CLASSES, EMPTY, mixed)["quality.accuracy", None].reason == "no_data"
    assert read(CLASSES, EMPTY) == {}


def test_recall_is_reported_for_the_most_frequent_classes_only():
    labels = [f"c{i:02}" for i in range(80) for _ in range(10 + i)]
    found = read(CLASSES, classified(labels, labels))
    kept = [label for metric, label in found if metric == "quality.recall"]
    assert kept == [*(f"c{i:02}" for i in range(30, 80)), "other"]
    assert found["quality.recall", "other"].n == sum(10 + i for i in range(30))
    wrong = [label if label != "c05" else "c06" for label in labels]
    other = read(CLASSES, classified(labels, wrong))["quality.recall", "other"]
    assert (other.facts["classes_merged"], other.facts["lowest_class"]) == (30, "c05")


# -- numbers ------------------------------------------------------------------------------------------------------------


def numeric(errors):
    def column(x):
        return NumericState(np.array([0]), np.array([len(x)]), Moments.of(np.asarray(x, float)))

    columns = {
        "output.error": column(errors),
        "output.error_abs": column(np.abs(errors)),
        "output.value": column(errors),
    }
    return replace(EMPTY, n=len(errors), numeric=columns)


def test_numbers_equal_their_definitions():
    errors = np.random.default_rng(2).normal(0.5, 2.0, 300)
    found = {metric: reading for (metric, _), reading in read(NUMBERS, numeric(errors)).items()}
    assert found["quality.mae"].value == pytest.approx(np.abs(errors).mean())
    assert found["quality.rmse"].value == pytest.approx(np.sqrt((errors**2).mean()))
    assert found["quality.bias"].value == pytest.approx(errors.mean())
    lower, upper = stats.t.interval(0.95, 299, errors.mean(), stats.sem(errors))
    assert (found["quality.bias"].interval.lower, found["quality.bias"].interval.upper) == pytest.approx((lower, upper))


def test_numbers_are_compared_by_welch():
    rng = np.random.default_rng(3)
    now, before = rng.normal(0.3, 2.5, 200), rng.normal(0.0, 2.0, 1500)
    found = {metric: reading for (metric, _), reading in read(NUMBERS, numeric(now), numeric(before)).items()}
    assert found["quality.bias"].p_value == pytest.approx(stats.ttest_ind(now, before, equal_var=False).pvalue)
    assert found["quality.mae"].p_value == pytest.approx(
        stats.ttest_ind(np.abs(now), np.abs(before), equal_var=False, alternative="greater").pvalue
    )
    assert found["quality.rmse"].p_value is None
    assert found["quality.mae"].n_baseline == 1500


def test_absent_numbers_say_why():
    few = {metric: reading.reason for (metric, _), reading in read(NUMBERS, numeric(np.ones(5))).items()}
    assert few == dict.fromkeys(("quality.mae", "quality.bias", "quality.rmse"), "below_min_samples")
    unlabelled = replace(numeric(np.ones(20)), numeric={"output.value": numeric(np.ones(20)).numeric["output.value"]})
    assert {reading.reason for reading in read(NUMBERS, unlabelled).values()} == {"unlabelled"}
    assert read(NUMBERS, EMPTY) == {}


def test_constant_errors_do_not_divide_by_zero():
    found = read(NUMBERS, numeric(np.full(30, 2.0)), numeric(np.full(30, 1.0)))
    assert found["quality.mae", None].p_value == 0.0
    assert read(NUMBERS, numeric(np.full(30, 1.0)), numeric(np.full(30, 1.0)))["quality.mae", None].p_value == 1.0


def test_the_plugins_keep_the_measurers_contract():
    current, baseline, frame = make_window(200, 4, confuse={"speaker=theo": 0.3})
    check_measurer(CLASSES, current, baseline, frame)
    check_measurer(NUMBERS, current, baseline, frame)
    check_measurer(NUMBERS, numeric(np.arange(40.0)), numeric(np.arange(90.0)), FRAME)
