"""Canaries: how often a model that did not change pages, and which changes a day of answers shows.

Ten prompts, a week of baseline, a day's window. A model words its answer to a prompt in one of so many ways, with frequencies as in
Zipf's law (exponent 1.2): mostly the same, now and then a new one.

    python benchmarks/science/canary.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import keep

from auditor.statistics.novelty import novelty, novelty_p

PROMPTS = 10
PAGE = 0.05 / (16 * 90)
"""What a control of the pack `starter` may spend on a day."""
WORDINGS = (1, 3, 40, 10_000)
A_DAY = (1, 4, 24)


def day(rng: np.random.Generator, wordings: int, a_day: int, changed: int, new: float) -> float:
    """The p-value of a day on which `changed` of the prompts take a share `new` of their answers from other wordings."""
    weights = 1 / np.arange(1, wordings + 1) ** 1.2
    weights /= weights.sum()
    parts = []
    for prompt in range(PROMPTS):
        then = rng.choice(wordings, 7 * a_day, p=weights)
        now = rng.choice(wordings, a_day, p=weights)
        if prompt < changed:
            now += wordings * (rng.random(a_day) < new)
        parts.append(novelty(Counter(now.tolist()), Counter(then.tolist())))
    return novelty_p(parts)


def quiet(runs: int) -> dict[str, dict[str, float]]:
    found = {}
    print("share of unchanged days with a p-value up to a level")
    for wordings in WORDINGS:
        for a_day in A_DAY:
            rng = np.random.default_rng([1, wordings, a_day])
            p = np.array([day(rng, wordings, a_day, 0, 0.0) for _ in range(runs)])
            rates = {str(level): float((p <= level).mean()) for level in (0.05, 0.01, PAGE)}
            found[f"{wordings} wordings, {a_day} a day"] = {"runs": runs, **rates}
            print(f"  {wordings:6d} wordings, {a_day:2d} a day: " + ", ".join(f"{r:.4f}" for r in rates.values()))
    return found


def changes(runs: int) -> dict[str, dict[str, float]]:
    found = {}
    print("share of changed days that page")
    for changed, new in ((1, 1.0), (3, 1.0), (5, 1.0), (10, 1.0), (10, 0.3)):
        for a_day in A_DAY:
            rates = {}
            for wordings in WORDINGS:
                rng = np.random.default_rng([2, changed, wordings, a_day])
                rates[f"{wordings} wordings"] = float(
                    np.mean([day(rng, wordings, a_day, changed, new) <= PAGE for _ in range(runs)])
                )
            found[f"{changed} of {PROMPTS} prompts, {new:.0%} of answers, {a_day} a day"] = rates
            shown = ", ".join(f"{rate:.2f}" for rate in rates.values())
            print(f"  {changed:2d} prompts, {new:4.0%} of their answers, {a_day:2d} a day: {shown}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the days; keeps no result")
    quick = parser.parse_args().quick
    results = {"quiet": quiet(100 if quick else 2000), "changes": changes(5 if quick else 100)}
    if not quick:
        keep("canary", results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
