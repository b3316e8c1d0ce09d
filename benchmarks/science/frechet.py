"""Fréchet distance of samples from one distribution, and of samples from two: what is bias, and what is change?

python benchmarks/science/frechet.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import keep

from auditor.core.state import VectorState
from auditor.statistics.distances import Frechet, KernelMean, frechet, mmd_p
from auditor.statistics.nulls import hotelling_p
from auditor.statistics.projections import fit_projection

RUNS = 40


def fitted(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    return x.mean(axis=0), np.cov(x.T), len(x)


def pair(d: int, n: int, scale: np.ndarray, shift: float, rng: np.random.Generator) -> Frechet:
    """Two samples of size n; the second one's first axis is moved by `shift`."""
    x, y = rng.normal(size=(2, n, d)) * scale
    y[:, 0] += shift
    return frechet(*fitted(x), *fitted(y))


def in_sample(rng: np.random.Generator) -> list[dict[str, float | str]]:
    """Components fitted on the baseline that windows are then held against, and on rows of their own: clean windows.

    The baseline looks wider through components fitted on itself than any later row does. `distance` is what is left of the
    Fréchet distance without its bias, in units of that bias; the others are shares of windows at 5 %.
    """
    d, scale = 128, 0.97 ** np.arange(128)
    table: list[dict[str, float | str]] = []
    print("clean windows of 500 rows through components fitted on the baseline, and on rows of their own (d = 128)")
    print(
        f"{'baseline':>9} {'fitted on':>10} {'left / bias':>12} {'above band':>11} {'Hotelling':>10} {'MMD bound':>10}"
    )
    for n in (200, 500, 1000, 5000):
        for own in (True, False):
            left, above, means, kernels = [], [], [], []
            for _ in range(RUNS):
                draw = lambda size: (rng.normal(size=(size, d)) * scale).astype(np.float32)  # noqa: E731
                before, now = draw(n), draw(500)
                projection = fit_projection(before if own else draw(n))
                then, later = VectorState.of(before, projection), VectorState.of(now, projection)
                covariance = [state.scatter / (state.n - 1) for state in (then, later)]
                found = frechet(then.mean, covariance[0], then.n, later.mean, covariance[1], later.n)
                pooled = (then.scatter + later.scatter) / (then.n + later.n - 2)
                left.append((found.value - found.bias) / found.bias)
                above.append(found.value - found.bias > 2 * found.spread)
                means.append(hotelling_p(later.mean - then.mean, pooled, later.n, then.n) <= 0.05)
                kernel = [KernelMean(state.n, state.features, state.square) for state in (later, then)]
                kernels.append(mmd_p(*kernel, later.n, then.n) <= 0.05)
            row: dict[str, float | str] = {"baseline": n, "fitted on": "itself" if own else "others"}
            columns = (("left / bias", left), ("above band", above), ("Hotelling", means), ("MMD bound", kernels))
            row |= {name: float(np.mean(values)) for name, values in columns}
            table.append(row)
            print(
                f"{n:>9} {row['fitted on']:>10} {row['left / bias']:>12.1%} {row['above band']:>11.0%}"
                f" {row['Hotelling']:>10.0%} {row['MMD bound']:>10.0%}"
            )
    return table


def main() -> int:
    rng = np.random.default_rng(0)
    table = []
    print("the same distribution twice: mean distance, the bias that is taken off, and what is left")
    print(f"{'d':>4} {'spectrum':>10} {'n':>6} {'distance':>9} {'bias':>9} {'left / bias':>12} {'in band':>8}")
    for d in (16, 64):
        for name, scale in (("even", np.ones(d)), ("falling", 0.9 ** np.arange(d))):
            for n in (5 * d, 20 * d, 5000):
                found = [pair(d, n, scale, 0.0, rng) for _ in range(RUNS)]
                value, bias = np.mean([f.value for f in found]), np.mean([f.bias for f in found])
                inside = np.mean([abs(f.value - f.bias) <= 2 * f.spread for f in found])
                table.append({"d": d, "spectrum": name, "n": n, "value": value, "bias": bias, "in band": inside})
                print(
                    f"{d:>4} {name:>10} {n:>6} {value:>9.4f} {bias:>9.4f} {(value - bias) / bias:>12.1%} {inside:>8.0%}"
                )
    print("true distance 0.25 (d = 64): plain, less bias, and extrapolated in 1/n from halves")
    true = []
    for n in (300, 1000, 3000):
        plain, less, extrapolated = [], [], []
        for _ in range(RUNS):
            x, y = rng.normal(size=(2, n, 64))
            y[:, 0] += 0.5
            whole = frechet(*fitted(x), *fitted(y))
            halves = [frechet(*fitted(x[i::2]), *fitted(y[i::2])).value for i in (0, 1)]
            plain.append(whole.value)
            less.append(whole.value - whole.bias)
            extrapolated.append(2 * whole.value - float(np.mean(halves)))
        row = {
            name: float(np.mean(v))
            for name, v in (("plain", plain), ("less bias", less), ("extrapolated", extrapolated))
        }
        true.append({"n": n, **row})
        print(f"  n = {n:>5}: " + ", ".join(f"{name} {value:.3f}" for name, value in row.items()))
    keep("frechet", {"equal": table, "true .25": true, "fitted in sample": in_sample(rng)})
    worst = max(abs(row["value"] - row["bias"]) / row["bias"] for row in table if row["n"] >= 5 * row["d"])
    print(f"worst |left| / bias for n >= 5 d: {worst:.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
