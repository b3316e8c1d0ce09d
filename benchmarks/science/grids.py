"""How far off are distances that are read off frozen grids, and do shards really add up?

KS and Wasserstein from states against the exact figures of all values, with the bound that each figure carries; then 100
shards merged against one pass over all rows.

    python benchmarks/science/grids.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import keep

from auditor.audit.summarise import fit_frame, summarise
from auditor.core.blocks import MatrixColumns, NumericBlock
from auditor.core.codec import encode_state
from auditor.core.state import merge_all
from auditor.core.window import DAY, Span
from auditor.statistics import distances
from auditor.statistics.grids import fit_grid
from auditor.testing.factories import START
from auditor.testing.synthetic import make_rows

SHAPES = {
    "normal": lambda rng, n: rng.normal(size=n),
    "lognormal": lambda rng, n: rng.lognormal(size=n),
    "exponential": lambda rng, n: rng.exponential(size=n),
    "rounded": lambda rng, n: rng.normal(size=n).round(1),
    "heavy tails": lambda rng, n: rng.standard_t(1.5, n),
}
RUNS = 12


def main() -> int:
    from scipy.stats import ks_2samp, wasserstein_distance

    rng = np.random.default_rng(0)
    table = []
    print("20 000 baseline and 20 000 current values; shift 0 or .1 deviations: error, and its bound")
    print(
        f"{'column':>12} {'bins':>6} {'KS mean':>10} {'KS worst':>10} {'in bound':>9} {'W1 mean':>10} {'W1 worst':>10} {'in bound':>9}"
    )
    for name, draw in SHAPES.items():
        for bins in (512, 4096):
            errors, inside = [], []
            for run in range(RUNS):
                a, b = draw(rng, 20_000), draw(rng, 20_000) + 0.1 * (run % 2)
                if name == "rounded":  # .3 + .1 is not .4 to the last bit, and no tie to an exact test
                    b = b.round(1)
                grid = fit_grid(a, bins)
                x, y = (np.bincount(grid.index(v), minlength=len(grid.values)) for v in (a, b))
                value, bound = distances.ks(x, y)
                exact = ks_2samp(a, b, method="asymp").statistic
                scale = a.std()
                w = distances.wasserstein(x, y, grid.values)
                w_bound = sum(
                    distances.displacement(c, grid.edges, grid.values, float(v.min()), float(v.max()))
                    for c, v in ((x, a), (y, b))
                )
                w_exact = wasserstein_distance(a, b)
                errors.append((abs(exact - value), abs(w_exact - w) / scale))
                inside.append((value - 1e-12 <= exact <= value + bound + 1e-12, abs(w_exact - w) <= w_bound + 1e-12))
            mean, worst, kept = np.mean(errors, 0), np.max(errors, 0), np.mean(inside, 0)
            table.append(
                {"column": name, "bins": bins, "mean": mean.tolist(), "worst": worst.tolist(), "kept": kept.tolist()}
            )
            print(
                f"{name:>12} {bins:>6} {mean[0]:>10.1e} {worst[0]:>10.1e} {kept[0]:>9.0%}"
                f" {mean[1]:>10.1e} {worst[1]:>10.1e} {kept[1]:>9.0%}"
            )
    merged = shards()
    keep("grids", {"grids": table, "merge": merged})
    return 0


def shards() -> dict[str, object]:
    """100 random shards against one pass."""
    rows = make_rows(20_000, 1, missing=0.05)
    frame = fit_frame(make_rows(3000, 2))
    span = Span(START, START + DAY)
    place = np.random.default_rng(3).integers(0, 100, rows.n)
    whole = merge_all(summarise(rows, frame, span))
    joined = merge_all([s for i in range(100) for s in summarise(rows.take(np.flatnonzero(place == i)), frame, span)])
    x, y = NumericBlock.of(whole.numeric), NumericBlock.of(joined.numeric)
    a, b = (MatrixColumns.of(s.sample.numeric, s.sample.n).matrix for s in (whole, joined))
    covariance = max(
        float(np.abs(v.scatter - joined.vectors[name].scatter).max() / np.abs(v.scatter).max())
        for name, v in whole.vectors.items()
    )
    found = {
        "counts identical": bool(np.array_equal(x.places, y.places) and np.array_equal(x.counts, y.counts)),
        "sample identical": bool(
            whole.sample.ids.tolist() == joined.sample.ids.tolist() and np.array_equal(a, b, equal_nan=True)
        ),
        "payloads identical": all(
            np.array_equal(p.hashes, joined.payloads[name].hashes)
            and np.array_equal(p.counts, joined.payloads[name].counts)
            for name, p in whole.payloads.items()
        ),
        "mean, relative": float(np.abs((x.moments[0] - y.moments[0]) / np.maximum(np.abs(x.moments[3]), 1e-300)).max()),
        "covariance, relative": covariance,
        "bytes": len(encode_state(whole)),
    }
    print("100 shards of 20 000 rows against one pass:", ", ".join(f"{k} {v}" for k, v in found.items()))
    return found


if __name__ == "__main__":
    sys.exit(main())
