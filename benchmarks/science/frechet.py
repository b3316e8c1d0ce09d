"""Fréchet distance of samples from one distribution, and of samples from two: what is bias, and what is change?

python benchmarks/science/frechet.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import keep

from auditor.statistics.distances import Frechet, frechet

RUNS = 40


def fitted(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    return x.mean(axis=0), np.cov(x.T), len(x)


def pair(d: int, n: int, scale: np.ndarray, shift: float, rng: np.random.Generator) -> Frechet:
    """Two samples of size n; the second one's first axis is moved by `shift`."""
    x, y = rng.normal(size=(2, n, d)) * scale
    y[:, 0] += shift
    return frechet(*fitted(x), *fitted(y))


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
    keep("frechet", {"equal": table, "true .25": true})
    worst = max(abs(row["value"] - row["bias"]) / row["bias"] for row in table if row["n"] >= 5 * row["d"])
    print(f"worst |left| / bias for n >= 5 d: {worst:.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
