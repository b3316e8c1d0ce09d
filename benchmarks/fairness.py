"""Fairness figures of a window: from its state, against Fairlearn on its rows; and how often chance alone alarms.

    python benchmarks/fairness.py [--rows 100000] [--rounds 5] [--windows 20000]

One feature of 40 groups, two classes, four rates with their differences and ratios. Fairlearn gets the rows with its own
rate functions, once; auditor gets the state that those rows were summarised into, `--rounds` times, and its figures include
intervals, p-values and undefined rates. "Floor" counts coded rows with numpy and divides: nothing less gives the rates.
The second table: false-alarm rates of tests of "no difference between groups" under perfect fairness.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from common import keep
from fairlearn import metrics as fairlearn
from scipy.stats import chi2
from sklearn.metrics import accuracy_score

from auditor.core.frame import Frame
from auditor.core.state import Cells, empty_state
from auditor.fairness.gaps import Share, against_rest, gap_interval, homogeneity
from auditor.fairness.metric_frame import PLUGIN
from auditor.testing import make_baseline

GROUPS = 40
RATES: dict[str, Callable[..., float]] = {
    "accuracy": accuracy_score,
    "selection_rate": fairlearn.selection_rate,
    "true_positive_rate": fairlearn.true_positive_rate,
    "false_positive_rate": fairlearn.false_positive_rate,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--windows", type=int, default=20_000)
    options = parser.parse_args()
    results = {"speed": speed(options.rows, options.rounds), "null": null(options.windows)}
    print("written to", keep("fairness", results))


def speed(rows: int, rounds: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    group = rng.integers(0, GROUPS, rows)
    truth = rng.integers(0, 2, rows)
    answer = np.where(rng.random(rows) < 0.9 - 0.002 * group, truth, 1 - truth)
    begin = time.perf_counter()
    state = state_of(group, truth, answer)
    summarised = time.perf_counter() - begin
    names = np.array([f"g{i:02}" for i in range(GROUPS)], dtype=object)[group]
    begin = time.perf_counter()
    theirs = fairlearn.MetricFrame(metrics=RATES, y_true=truth, y_pred=answer, sensitive_features=names)
    differences, ratios = theirs.difference(), theirs.ratio()
    fairlearn_s = time.perf_counter() - begin
    floor_s = _median(lambda: floor(group, truth, answer), rounds)
    frame = Frame("m")
    list(PLUGIN.measure(state, None, frame))  # the first call imports Fairlearn
    ours_s = _median(lambda: list(PLUGIN.measure(state, None, frame)), rounds)
    apart = 0.0
    for reading in PLUGIN.measure(state, None, frame):
        _, rate, *part = reading.metric.split(".")
        assert reading.value is not None
        if part:
            expected = (differences if part[0] == "difference" else ratios)[rate]
        else:
            expected = theirs.by_group[rate][reading.attributes["group"]]
        apart = max(apart, abs(reading.value - float(expected)))
    found = {
        "rows": rows,
        "groups": GROUPS,
        "fairlearn_on_rows_s": fairlearn_s,
        "auditor_from_state_s": ours_s,
        "counting_codes_floor_s": floor_s,
        "building_the_state_once_s": summarised,
        "fairlearn_over_auditor": fairlearn_s / ours_s,
        "largest_difference": apart,
    }
    for name, value in found.items():
        print(f"{name:28} {value:.6g}")
    return found


def state_of(group: np.ndarray, truth: np.ndarray, answer: np.ndarray) -> Any:
    codes, counts = np.unique(group * 4 + truth * 2 + answer, return_counts=True)
    cells = {
        ((f"g{code // 4:02}",), str(code // 2 % 2), str(code % 2)): int(count)
        for code, count in zip(codes.tolist(), counts.tolist())
    }
    state = empty_state("m", make_baseline().span, Frame("m").digest)
    return replace(state, n=len(group), cells=Cells(("g",), cells))


def floor(group: np.ndarray, truth: np.ndarray, answer: np.ndarray) -> np.ndarray:
    table = np.bincount(group * 4 + truth * 2 + answer, minlength=4 * GROUPS).reshape(GROUPS, 2, 2)
    return table[:, 1, 1] / table[:, 1].sum(axis=1)


def _median(call: Callable[[], Any], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def null(windows: int) -> list[dict[str, Any]]:
    """Six groups of 67, one true rate: how often each test says that they differ, and what the gap looks like."""
    found = []
    for rate in (0.98, 0.9, 0.5):
        rng = np.random.default_rng(int(100 * rate))
        hits, times = np.unique(np.sort(rng.binomial(67, rate, (windows, 6)), axis=1), axis=0, return_counts=True)
        tables = [[Share(str(i), int(k), 67) for i, k in enumerate(row)] for row in hits]
        tests = {
            "exact, each group against the rest": [homogeneity(against_rest(table)) for table in tables],
            "chi-square": [chi_square(row) for row in hits],
        }
        gaps = np.repeat((hits[:, -1] - hits[:, 0]) / 67, times)
        covered = np.repeat([gap_interval(table).lower <= 0.0 for table in tables], times)
        line: dict[str, Any] = {"rate": rate, "mean_gap": float(gaps.mean()), "interval_holds_0": float(covered.mean())}
        for name, p in tests.items():
            every = np.repeat(p, times)
            line[name] = {str(level): float((every <= level).mean()) for level in (0.05, 1e-2, 1e-3, 1e-4)}
        found.append(line)
        print(line)
    return found


def chi_square(hits: np.ndarray) -> float:
    share = hits.sum() / (67 * len(hits))
    if share in (0.0, 1.0):
        return 1.0
    statistic = ((hits - 67 * share) ** 2).sum() / (67 * share * (1 - share))
    return float(chi2.sf(statistic, len(hits) - 1)) if math.isfinite(statistic) else 1.0


if __name__ == "__main__":
    main()
