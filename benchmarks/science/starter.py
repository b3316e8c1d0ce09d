"""Calibration and power of drift bets at the starter pack's level, on simulated streams.

    python benchmarks/science/starter.py [--quick]

False alarms: 20 columns, a baseline of 28 days, then a quarter of 90 days; each cell has 200 quarters, at the level at which
the starter pack alerts. Streams: clean; a weekly cycle; an AR(1) process of 0.6 by hour; two rows in five from five users a
day; a daily level that wanders (like electricity prices). Power: 50 seeds, a change in one of 20 columns.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import chi2

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import keep

from auditor.core.frame import ColumnSpec, Frame
from auditor.core.monitor import Bets
from auditor.core.rows import Ints, Rows
from auditor.core.window import DAY, Span, to_us
from auditor.drift.bets import RankedRows, bet_rows, bet_window, first_of
from auditor.policy.budget import allowance
from auditor.policy.loader import load_policies
from auditor.registry import vocabulary
from auditor.shipped import shipped
from auditor.statistics.distances import jensen_shannon
from auditor.statistics.framing import fit_frame
from auditor.statistics.groups import COARSE, FINE, Groups, category_groups, numeric_groups

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
BASELINE, QUARTER, COLUMNS = 28, 90, 20
ROUND = 10
"""Quarters simulated together."""
FLOOR = 0.07
"""Least Jensen-Shannon distance of the starter pack's drift controls."""
WORDS, CUTS = ("a", "b", "c", "d"), [-0.674, 0.0, 0.674]
KINDS = ("clean", "weekday", "ar hours", "clustered", "elec2-like")


def level(columns: int = COLUMNS) -> float:
    """What an e-value has to reach before the starter pack alerts."""
    (policy,) = load_policies([shipped("policies") / "starter.yaml"], vocabulary()).policies
    share = allowance(policy, timedelta(days=1), columns)
    assert share is not None
    return math.log(1 / share.alpha)


def stream(kind: str, days: int, n: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Standard normal values with the kind's dependence, shape (days * n, columns)."""
    x = rng.normal(size=(days, n, columns))
    day = np.arange(days)
    if kind == "weekday":
        x += np.where(day % 7 >= 5, 0.5, 0.0)[:, None, None]
    elif kind == "ar hours":
        level = np.zeros((days * 24, columns))
        noise = rng.normal(size=level.shape) * 0.5
        for hour in range(1, len(level)):
            level[hour] = 0.6 * level[hour - 1] + noise[hour]
        hours = (np.arange(n) * 24 // n)[None, :] + day[:, None] * 24
        x += level[hours]
    elif kind == "clustered":
        users = rng.normal(size=(days, 5, columns))
        of = rng.integers(0, 5, size=(days, n))
        mine = rng.random((days, n)) < 0.4
        own = np.take_along_axis(users, of[:, :, None], axis=1)
        x = np.where(mine[:, :, None], own + 0.3 * x, x)
    elif kind == "elec2-like":
        level = np.zeros((days, columns))
        for d in range(1, days):
            level[d] = 0.8 * level[d - 1] + 0.6 * rng.normal(size=columns)
        x += level[:, None, :]
    return x.reshape(days * n, columns)


def table(x: np.ndarray, first: int, days: int, categorical: bool) -> Rows:
    """Rows of one table, `len(x) / days` a day; categories are quarters of the normal distribution."""
    n = len(x)
    start = to_us(BEGIN + first * DAY)
    names = [f"inputs.form.descriptors.c{i:03d}" for i in range(x.shape[1])]
    words = np.array(WORDS, object)[np.digitize(x, CUTS)] if categorical else None
    return Rows(
        model="m",
        ids=np.array([f"{first}-{i}" for i in range(n)], object),
        time_us=start + np.arange(n) * (86_400_000_000 * days // n),
        version=np.full(n, "1", object),
        sampling=np.ones(n),
        described=np.ones(n, bool),
        numeric={} if words is not None else dict(zip(names, x.T, strict=True)),
        categorical={} if words is None else dict(zip(names, words.T, strict=True)),
        presence={"form": np.ones(n, np.int8)},
        modality={"form": "tabular"},
        describer={"form": np.full(n, "tabular/1|", object)},
        truth=np.full(n, None, object),
        truth_value=np.full(n, np.nan),
        labelled_us=np.full(n, -1),
    )


@dataclass
class Watched:
    """One column after its baseline: how its values are grouped, and the bets on it."""

    spec: ColumnSpec
    frame: Frame
    fine: Groups
    coarse: Ints
    size: int
    bets: Bets
    then: Ints


def fitted(rows: Rows, categorical: bool) -> list[tuple[Watched, Callable[[np.ndarray], Ints]]]:
    """The columns of one table, and the function that gives the fine group of each value."""
    frame = fit_frame(rows, span=Span(BEGIN, BEGIN + BASELINE * DAY))
    found = []
    for name, values in (rows.categorical if categorical else rows.numeric).items():
        if categorical:
            kinds = category_groups(Counter(values.tolist()))
            codes = np.array([kinds.of_code(word) for word in WORDS])
            place = partial(code_of, codes)
            fine, of_fine, then, counts = kinds, np.arange(len(kinds.counts)), kinds.counts, kinds.counts
        else:
            grid = frame.grids[name]
            bins = np.bincount(grid.index(values), minlength=len(grid.values))
            fine, coarse = numeric_groups(bins, grid.atoms, FINE), numeric_groups(bins, grid.atoms, COARSE)
            # Bins are needed for the coarse groups, so a value's place is its bin.
            place = grid.index
            of_fine, then, counts = coarse.bins, coarse.counts, fine.counts
        first = first_of(frame.columns[name], fine, counts, frame)
        assert first is not None
        found.append((Watched(frame.columns[name], frame, fine, of_fine, len(then), first, then), place))
    return found


def code_of(codes: Ints, x: np.ndarray) -> Ints:
    """Group of the category of each value."""
    found: Ints = codes[np.digitize(x, CUTS)]
    return found


def watch(
    x: np.ndarray, n: int, days: int, categorical: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Log e-values and Jensen-Shannon distances by day and column, each of shape (days, c).

    Frames, groups, bets and distances are those of production; the pipeline between them is left out.

    Parameters
    ----------
    x : ndarray of float64, shape ((BASELINE + days) * n, c)
        Each run of `COLUMNS` columns is one table, with a frame of its own.
    """
    cut = BASELINE * n
    columns, places = [], []
    for first in range(0, x.shape[1], COLUMNS):
        part = x[:, first : first + COLUMNS]
        for i, (column, place) in enumerate(fitted(table(part[:cut], 0, BASELINE, categorical), categorical)):
            columns.append(column)
            places.append(place(part[cut:, i]).astype(np.int16).reshape(days, n))
    wealth, distance = np.empty((2, days, len(columns)))
    for d in range(days):
        span = Span(BEGIN + (BASELINE + d) * DAY, BEGIN + (BASELINE + d + 1) * DAY)
        order, there = rng.permutation(n), np.ones(n, bool)
        ranked = []
        for i, column in enumerate(columns):
            own = places[i][d]
            fine = column.fine.bins[own] if len(column.fine.bins) else own
            if column.bets.spread is not None:
                counts = np.bincount(fine, minlength=len(column.fine.counts))
                column.bets = bet_window(column.bets, column.fine, counts, 1.0, span, False)
            else:
                name = replace(column.spec, name=str(i))
                ranked.append(RankedRows.of(name, column.bets, column.fine, fine[order], rng.random(n), there))
            now = np.bincount(column.coarse[own], minlength=column.size)
            distance[d, i] = jensen_shannon(column.then, now)
        for name_, bets in bet_rows(ranked, span, False):
            columns[int(name_)].bets = bets
        wealth[d] = [column.bets.log_wealth for column in columns]
    return wealth, distance


def upper(count: int, quarters: float) -> float:
    """Upper 95 % confidence limit of a Poisson rate."""
    return float(chi2.ppf(0.95, 2 * (count + 1)) / 2 / quarters)


def calibration(quarters: int, seed: int, kept: Callable[[list[dict[str, object]]], None]) -> list[dict[str, object]]:
    """Alerts of quarters that changed nothing: 20 columns each, which are independent streams of one kind.

    All cells advance together, `ROUND` quarters at a time, and `kept` is called after each, so that a run that is cut short
    has figures of every cell.
    """
    needed = level()
    cells = [(categorical, n, kind) for categorical in (False, True) for n in (100, 300) for kind in KINDS]
    counts = np.zeros((len(cells), 2), np.int64)
    found: list[dict[str, object]] = []
    for done in range(ROUND, quarters + 1, ROUND):
        found = []
        for place, (categorical, n, kind) in enumerate(cells):
            rng = np.random.default_rng([seed, done, place])
            x = stream(kind, BASELINE + QUARTER, n, ROUND * COLUMNS, rng)
            wealth, distance = watch(x, n, QUARTER, categorical, rng)
            high = wealth >= needed
            counts[place] += [(high & (distance > FLOOR)).any(axis=0).sum(), high.any(axis=0).sum()]
            alerts, without = counts[place].tolist()
            found.append(
                {
                    "columns": "categorical" if categorical else "numeric",
                    "rows_a_day": n,
                    "stream": kind,
                    "quarters": done,
                    "alerts": alerts,
                    "without_floor": without,
                    "per_90_days": alerts / done,
                    "upper_95": upper(alerts, done),
                }
            )
        kept(found)
        print(f"{done} quarters a cell; alerts (e-values from e^{needed:.1f} on) in them", flush=True)
        for row in found:
            print(
                f"  {row['columns']:11s} {row['rows_a_day']:4d} {row['stream']:11s} {row['alerts']:4d} "
                f"({row['without_floor']} without the floor), at most {row['upper_95']:.3f} in 90 days",
                flush=True,
            )
    return found


def power(seeds: int, seed: int) -> list[dict[str, object]]:
    """Days until the one changed column of 20 alerts, 300 rows a day; all columns but the first go on as they were."""
    needed, n, days = level(), 300, 28
    found: list[dict[str, object]] = []
    for name, categorical, by in (("+0.5 sd", False, 0.5), ("+0.25 sd", False, 0.25), ("share .5 to .6", True, 0.2)):
        rng = np.random.default_rng([seed, categorical, round(100 * by)])
        delays = []
        for _ in range(seeds):
            x = rng.normal(size=((BASELINE + days) * n, COLUMNS))
            after = x[BASELINE * n :, 0]
            if categorical:  # one row in five of the second category becomes the first one
                x = np.where(x > 0, 0.3, -0.3)
                after = x[BASELINE * n :, 0]
                after[(after > 0) & (rng.random(len(after)) < by)] = -0.3
            else:
                after += by
            wealth, distance = watch(x, n, days, categorical, rng)
            hit = (wealth[:, 0] >= needed) & (distance[:, 0] > FLOOR)
            delays.append(int(hit.argmax()) + 1 if hit.any() else days + 1)
        row = {
            "change": name,
            "median_days": float(np.median(delays)),
            "p90_days": float(np.quantile(delays, 0.9)),
            "missed": sum(d > days for d in delays),
            "seeds": seeds,
        }
        found.append(row)
        print(
            f"  {name:15s} median {row['median_days']} days, 90 % within {row['p90_days']}, "
            f"not within {days}: {row['missed']}",
            flush=True,
        )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 quarters a cell and 10 seeds; keeps no result")
    parser.add_argument("--seed", type=int, default=1, help="reported results use seeds that nothing was tuned on")
    options = parser.parse_args()
    results: dict[str, object] = {"seed": options.seed, "power": power(10 if options.quick else 50, options.seed)}

    def kept(cells: list[dict[str, object]]) -> None:
        if not options.quick:
            keep("starter", {**results, "calibration": cells})

    calibration(20 if options.quick else 200, options.seed, kept)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
