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
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from scipy.stats import chi2

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import keep

from auditor.audit.summarise import summarise
from auditor.core.rows import Rows
from auditor.core.window import DAY, Span, to_us
from auditor.drift.sequential import PLUGIN
from auditor.drift.univariate import PLUGIN as UNIVARIATE
from auditor.policy.budget import allowance
from auditor.policy.loader import load_policies
from auditor.registry import vocabulary
from auditor.shipped import shipped
from auditor.statistics.framing import fit_frame

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
BASELINE, QUARTER, COLUMNS = 28, 90, 20
FLOOR = 0.07
"""Least Jensen-Shannon distance of the starter pack's drift controls."""
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
    words = np.array(["a", "b", "c", "d"], object)[np.digitize(x, [-0.674, 0.0, 0.674])] if categorical else None
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


def watch(
    x: np.ndarray, n: int, days: int, categorical: bool, change: Callable[[int, np.ndarray], np.ndarray] | None = None
) -> np.ndarray:
    """Log e-value by day and column after the baseline, and whether the distance is beyond the floor, shape (2, days, c)."""
    cut = BASELINE * n
    rows = table(x[:cut], 0, BASELINE, categorical)
    frame = fit_frame(rows, span=Span(BEGIN, BEGIN + BASELINE * DAY))
    reference = summarise(rows, frame, Span(BEGIN, BEGIN + BASELINE * DAY))[0]
    state = PLUGIN.begin(reference, frame, pinned="b", at=BEGIN + BASELINE * DAY)
    found = np.full((2, days, x.shape[1]), -math.inf)
    for d in range(days):
        span = Span(BEGIN + (BASELINE + d) * DAY, BEGIN + (BASELINE + d + 1) * DAY)
        part = x[cut + d * n : cut + (d + 1) * n]
        if change is not None:
            part = change(d, part)
        window = summarise(table(part, BASELINE + d, 1, categorical), frame, span)[0]
        state = PLUGIN.bet(state, window, reference, frame, span)
        found[0, d] = [state.bets[name].log_wealth for name in sorted(state.bets)]
        if change is not None:
            readings = UNIVARIATE.measure(window, reference, frame)
            found[1, d] = [r.value for r in readings if r.metric == "drift.jensen_shannon"]
    return found


def upper(count: int, quarters: float) -> float:
    """Upper 95 % confidence limit of a Poisson rate."""
    return float(chi2.ppf(0.95, 2 * (count + 1)) / 2 / quarters)


def calibration(quarters: int) -> list[dict[str, object]]:
    """Quarters of one column each are exchangeable: columns of one run are independent streams with one level for 20."""
    needed = level()
    found: list[dict[str, object]] = []
    print(
        f"alerts in 90 days of 20 columns; an alert from e^{needed:.1f} on; {quarters} quarters a cell (20 columns each)"
    )
    for categorical in (False, True):
        for n in (100, 300):
            for kind in KINDS:
                rng = np.random.default_rng(7)
                columns = quarters * COLUMNS
                alarms = 0
                for _ in range(0, columns, 400):
                    path = watch(stream(kind, BASELINE + QUARTER, n, 400, rng), n, QUARTER, categorical)[0]
                    alarms += int((path.max(axis=0) >= needed).sum())
                row = {
                    "columns": "categorical" if categorical else "numeric",
                    "rows_a_day": n,
                    "stream": kind,
                    "quarters": quarters,
                    "alerts": alarms,
                    "per_90_days": alarms / quarters,
                    "upper_95": upper(alarms, quarters),
                }
                found.append(row)
                print(
                    f"  {row['columns']:11s} {n:4d} {kind:11s} {alarms:4d} alerts, {row['per_90_days']:.3f} in 90 days, "
                    f"at most {row['upper_95']:.3f}",
                    flush=True,
                )
    return found


def power(seeds: int) -> list[dict[str, object]]:
    """Days until the changed column alerts, 300 rows a day."""
    needed, n, days = level(), 300, 12
    found: list[dict[str, object]] = []

    def shifted(by: float) -> Callable[[int, np.ndarray], np.ndarray]:
        return lambda _, x: np.concatenate([x[:, :1] + by, x[:, 1:]], axis=1)

    # The quarters a to d: half of the normal distribution lies below 0, .6 of it below .253.
    changes = [("+0.5 sd", False, 0.5), ("+0.25 sd", False, 0.25), ("share .5 to .6", True, -0.2533)]
    for name, categorical, by in changes:
        delays = []
        for seed in range(seeds):
            rng = np.random.default_rng(1000 + seed)
            x = rng.normal(size=((BASELINE + days) * n, COLUMNS))
            if categorical:
                x = np.where(x > 0, 0.3, -0.3) * (np.abs(x) > -1)
                flips = shares(by, rng)
                path, distance = watch(x, n, days, True, flips)
            else:
                path, distance = watch(x, n, days, False, shifted(by))
            hit = (path[:, 0] >= needed) & (distance[:, 0] > FLOOR)
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
            f"  {name:15s} median {row['median_days']} days, 90 % within {row['p90_days']}, not within {days}: {row['missed']}"
        )
    return found


def shares(_: float, rng: np.random.Generator) -> Callable[[int, np.ndarray], np.ndarray]:
    """One row in five of the second category becomes the first one: .5 to .6."""

    def change(_: int, x: np.ndarray) -> np.ndarray:
        first = np.where((x[:, :1] > 0) & (rng.random((len(x), 1)) < 0.2), -0.3, x[:, :1])
        return np.concatenate([first, x[:, 1:]], axis=1)

    return change


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 quarters a cell and 10 seeds; keeps no result")
    quick = parser.parse_args().quick
    results = {"power": power(10 if quick else 50), "calibration": calibration(20 if quick else 200)}
    if not quick:
        keep("starter", results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
