"""Re-paired inputs: which tests see that image and voice stopped belonging together?

Real digits and real voices through the demo's reader. Pairs share their digit; in production a share of the clips is
permuted, so that each input alone stays exactly as it was. 500 baseline pairs, drawn without replacement. Beside each input's
own views stand three that see the pair: a kernel distance of both inputs' components side by side, the agreement of canonical
directions fitted on the baseline, and the concordance of the heads' scores.

    python benchmarks/science/alignment.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import keep, real_data

from auditor.demo import reader as demo
from auditor.demo.sources import recordings
from auditor.statistics.evalues import FRACTIONS, bernstein_lower
from auditor.statistics.folds import agreement, fit_heads
from auditor.statistics.nulls import ks_p
from auditor.statistics.scores import concordance
from auditor.statistics.two_samples import feature_distance_p, gaussian_features

BASELINE, LEVEL, RUNS, LOTS = 500, 0.05, 60, 10
CELLS = [(0.0, 200), (0.1, 200), (0.2, 200), (0.5, 50), (0.5, 200), (1.0, 100)]


def ks_columns(a: np.ndarray, b: np.ndarray) -> float:
    """Bonferroni-corrected p-value of the Kolmogorov-Smirnov tests of all columns."""
    from scipy.stats import ks_2samp

    p = [ks_p(ks_2samp(x, y, method="asymp").statistic, len(x), len(y)) for x, y in zip(a.T, b.T, strict=True)]
    return min(1.0, len(p) * min(p))


def main() -> int:
    folder = real_data()
    if folder is None:
        return 0
    source = recordings(Path(folder))
    reader = demo.train(source.train)
    pool = source.pool
    pixels = np.stack([demo._pixels(image) for image in pool.images])
    sounds = np.stack([demo.cepstrum(clip) for clip in pool.clips])
    photo = np.stack([reader._photo.scores(row) for row in pixels])
    clip = np.stack([reader._clip.scores(row) for row in sounds])
    views = {
        "image head": photo,
        "voice head": clip,
        "image components": components(pixels),
        "voice components": components(sounds),
    }
    names = [*views, "MMD of both", "CCA agreement", "concordance"]
    print("share of windows in which a test at 5 % fires")
    print(f"{'re-paired':>10} {'n':>5} {'wrong':>6} " + "".join(f"{name:>18}" for name in names))
    table = []
    for share, n in CELLS:
        hits: dict[str, list[bool]] = {name: [] for name in names}
        wrong = []
        for run in range(RUNS):
            rng = np.random.default_rng([run, n, int(100 * share)])
            i, j = pairs(pool.digits, pool.spoken, BASELINE + n, rng)
            now = slice(BASELINE, None)
            moved = j.copy()
            chosen = BASELINE + np.flatnonzero(rng.random(n) < share)
            moved[chosen] = j[rng.permutation(chosen)]
            wrong.append(float((pool.digits[i[now]] != pool.spoken[moved[now]]).mean()))
            for name, view in views.items():
                rows = view[i] if name.startswith("image") else view[moved]
                hits[name].append(ks_columns(rows[:BASELINE], rows[now]) <= LEVEL)
            left, right = views["image components"][i], views["voice components"][moved]
            hits["MMD of both"].append(joint_mmd(left, right) <= LEVEL)
            hits["CCA agreement"].append(cca(left, right, rng) <= LEVEL)
            matched = concordance(photo[i], clip[moved])[:, None]
            hits["concordance"].append(ks_columns(matched[:BASELINE], matched[now]) <= LEVEL)
        rates = {name: float(np.mean(found)) for name, found in hits.items()}
        table.append({"re-paired": share, "n": n, "wrong": float(np.mean(wrong)), **rates})
        print(f"{share:>10.0%} {n:>5} {np.mean(wrong):>6.0%} " + "".join(f"{rate:>18.2f}" for rate in rates.values()))
    keep("alignment", {"table": table, "streams": streams(pool, photo, clip)})
    return 0


def joint_mmd(a: np.ndarray, b: np.ndarray) -> float:
    """Permutation p-value of the kernel distance between baseline and window of both inputs' components side by side.

    Every component in deviations of the baseline, so that neither input drowns the other.
    """
    both = np.concatenate([a, b], axis=1)
    both = (both - both[:BASELINE].mean(axis=0)) / both[:BASELINE].std(axis=0)
    before, now = both[:BASELINE], both[BASELINE:]
    return feature_distance_p(gaussian_features(before, before), gaussian_features(now, before))


def cca(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> float:
    """Kolmogorov-Smirnov p-value of the canonical agreement, each row through the other half of the baseline's directions."""
    odd = rng.random(len(a)) < 0.5
    heads = fit_heads(a[:BASELINE], b[:BASELINE], odd[:BASELINE])
    if heads is None:
        return 1.0
    found = agreement(a, b, odd, heads)[:, None]
    return ks_columns(found[:BASELINE], found[BASELINE:])


def components(x: np.ndarray) -> np.ndarray:
    """The first 16 principal components."""
    from auditor.statistics.projections import fit_projection

    return fit_projection(x.astype(np.float32)).project(x.astype(np.float32))[:, :16]


def pairs(digits: np.ndarray, spoken: np.ndarray, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`n` pairs of image and clip of one digit, each image and clip at most once."""
    clips = rng.permutation(len(spoken))[:n]
    images = np.empty(n, np.int64)
    for digit in range(10):
        own = np.flatnonzero(spoken[clips] == digit)
        images[own] = rng.choice(np.flatnonzero(digits == digit), len(own), replace=False)
    return images, clips


def streams(pool: object, photo: np.ndarray, clip: np.ndarray) -> dict[str, object]:
    """The lower-mean e-process: false alarms in ten lots of 300 clean streams of 3000 pairs, and delays.

    One lot of 300 says little about a rate near one in 300, so ten are run and both their mean and their worst are kept.
    Each stream has its own baseline of 2000 pairs, whose empirical-Bernstein limit (delta 1 %) is what it must fall below.
    """
    rng = np.random.default_rng(1)
    digits, spoken = pool.digits, pool.spoken  # type: ignore[attr-defined]
    order = np.argsort(digits, kind="stable")
    first = np.searchsorted(digits[order], np.arange(11))

    def stream(n: int, share: float) -> np.ndarray:
        j = rng.integers(0, len(spoken), n)
        digit = spoken[j]
        i = order[first[digit] + (rng.random(n) * (first[digit + 1] - first[digit])).astype(np.int64)]
        moved = rng.random(n) < share
        j[moved] = rng.integers(0, len(spoken), int(moved.sum()))
        return concordance(photo[i], clip[j])

    def limit() -> float:
        baseline = stream(2000, 0.0)
        return bernstein_lower(2000, float(baseline.mean()), float(baseline.var(ddof=1)))

    def wealth_over(values: np.ndarray) -> np.ndarray:
        """Wealth after each pair, bet on a mean below the baseline's lower limit."""
        below = limit()
        path = np.cumsum(np.log1p(np.array(FRACTIONS) / (1 - below) * (below - values[:, None])), axis=0)
        return np.asarray(np.exp(np.minimum(path, 700.0)).mean(axis=1))

    clean = np.array([[wealth_over(stream(3000, 0.0)).max() for _ in range(300)] for _ in range(LOTS)])
    found: dict[str, object] = {}
    for level in (LEVEL, 0.01):
        false = (clean >= 1 / level).sum(axis=1)
        print(
            f"e-process at level {level:.0%}: {false.mean():.1f} false alarms in 300 clean streams of 3000 pairs"
            f" (mean of {LOTS} lots, worst {false.max()}; promised at most {300 * (level + 0.01):.0f})"
        )
        found[f"{level:.0%}"] = rows = {"false alarms": float(false.mean()), "worst lot": float(false.max())}
        for share in (0.1, 0.2, 0.5, 1.0):
            delays = []
            for _ in range(100):
                wealth = wealth_over(stream(3000, share))
                delays.append(int((wealth >= 1 / level).argmax()) + 1 if wealth.max() >= 1 / level else 3001)
            hit = float(np.mean(np.array(delays) <= 3000))
            print(f"  {share:.0%} re-paired: found {hit:.2f}, median delay {np.median(delays):.0f} pairs")
            rows[f"found {share:.0%}"], rows[f"median delay {share:.0%}"] = hit, float(np.median(delays))
    return found


if __name__ == "__main__":
    sys.exit(main())
