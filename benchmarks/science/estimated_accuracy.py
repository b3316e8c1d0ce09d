"""Accuracy without labels: its error against the realised accuracy, by how the baseline's labels are kept.

Simulated like the employment task of ACS: six columns, a truth that is not linear in them, a logistic model trained on another sample,
41 regions whose columns are shifted. For each baseline size the mean absolute error over the regions of

- `exact`: isotonic calibration on all labelled rows of the baseline,
- `counters`: the product's, right and wrong answers counted by bin of the confidence,
- `sample`: calibration on the 2 000 rows of a state's sample,
- `constant`: the baseline's accuracy, whatever the region.

    python benchmarks/science/estimated_accuracy.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import keep

from auditor.audit.summarise import fit_frame, summarise
from auditor.core.rows import Floats, Rows
from auditor.core.state import merge_all
from auditor.core.window import DAY, Span, to_us
from auditor.drift.performance import METRIC, PLUGIN
from auditor.statistics.calibration import fit_calibration
from auditor.testing.factories import START

SIZES = (500, 2_000, 10_000, 50_000, 200_000)
REGIONS, PER_REGION = 41, 5_000
SAMPLE = 2_000


def truth_odds(x: Floats) -> Floats:
    """Log odds of the positive class."""
    return 1.2 * x[:, 0] - 0.8 * x[:, 1] + 0.3 * x[:, 0] * x[:, 2] - 0.3 * np.abs(x[:, 3]) + 0.4 * x[:, 4] + 0.5


def draw(rng: np.random.Generator, n: int, shift: Floats) -> tuple[Floats, np.ndarray]:
    x = rng.normal(size=(n, 6)) + shift
    return x, rng.random(n) < 1 / (1 + np.exp(-truth_odds(x)))


def rows(x: Floats, y: np.ndarray, model: object, seed: int) -> Rows:
    """The model's answers to these cases, with their truth."""
    positive = model.predict_proba(x)[:, 1]  # type: ignore[attr-defined]
    n = len(y)
    times = to_us(START) + (np.arange(n) * (DAY / timedelta(microseconds=1)) / n).astype(np.int64)
    words = np.array(["0", "1"], object)
    return Rows(
        model="acs",
        ids=np.array([f"{seed:04x}{i:08x}" for i in range(n)], object),
        time_us=times,
        version=np.full(n, "1", object),
        sampling=np.ones(n),
        described=np.ones(n, bool),
        vectors={"output.scores": np.stack([1 - positive, positive], axis=1).astype(np.float32)},
        categorical={"output.label": words[(positive > 0.5).astype(int)]},
        truth=words[y.astype(int)],
        truth_value=np.full(n, np.nan),
        labelled_us=times,
    )


def confidence(part: Rows) -> tuple[Floats, np.ndarray]:
    """Confidence of each answer, and whether it was right."""
    return part.vectors["output.scores"].max(axis=1).astype(np.float64), part.truth == part.categorical["output.label"]


def errors(size: int, seed: int) -> dict[str, list[float]]:
    """Estimate minus realised accuracy of each region, by estimator."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng([seed, size])
    model = LogisticRegression().fit(*draw(rng, 20_000, np.zeros(6)))
    week = rows(*draw(rng, size, np.zeros(6)), model, 0)
    frame, span = fit_frame(week), Span(START, START + DAY)
    baseline = merge_all(summarise(week, frame, span))
    then, right = confidence(week)
    exact = fit_calibration(then, right, np.ones(size))
    chosen = rng.permutation(size)[:SAMPLE]
    sample = fit_calibration(then[chosen], right[chosen], np.ones(len(chosen)))
    found: dict[str, list[float]] = {"exact": [], "counters": [], "sample": [], "constant": []}
    for region in range(REGIONS):
        part = rows(*draw(rng, PER_REGION, rng.normal(0, 0.4, 6)), model, region + 1)
        now, hits = confidence(part)
        reading = next(
            r for r in PLUGIN.measure(merge_all(summarise(part, frame, span)), baseline, frame) if r.metric == METRIC
        )
        assert reading.value is not None
        estimates = {
            "exact": float(exact(now).mean()),
            "counters": reading.value,
            "sample": float(sample(now).mean()),
            "constant": float(right.mean()),
        }
        for name, estimate in estimates.items():
            found[name].append(estimate - float(hits.mean()))
    return found


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args(arguments).quick
    table: dict[str, dict[str, float]] = {}
    print(f"mean absolute error over {REGIONS} regions of {PER_REGION} answers")
    for size in SIZES[:3] if quick else SIZES:
        runs = [errors(size, seed) for seed in range(1 if quick else 5)]
        table[str(size)] = {
            name: round(float(np.mean([np.abs(run[name]).mean() for run in runs])), 5) for name in runs[0]
        }
        print(f"{size:>8,} labelled", table[str(size)], flush=True)
    if not quick:
        keep("estimated_accuracy", {"regions": REGIONS, "answers_a_region": PER_REGION, "seeds": 5, "mae": table})


if __name__ == "__main__":
    main(sys.argv[1:])
