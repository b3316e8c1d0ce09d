"""Monitoring in order: how often it pages for nothing, how fast it finds changes, how soon it lets go, what it costs.

Streams are columns of one input, all monitored at once through the same code as in production. Paging level: alpha for each
stream over all its windows, so that a stream of W windows pages from W / alpha on.

    python benchmarks/science/sequential.py [--quick]
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import keep

from auditor.audit.summarise import summarise
from auditor.core.rows import Rows
from auditor.core.window import DAY, HOUR, Span, to_us
from auditor.drift.sequential import PLUGIN
from auditor.statistics.evalues import conformal_ranks, jumper_gains
from auditor.statistics.framing import fit_frame

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
PAGE = 360_000
"""What a change must win before it pages: 0.05 false pages in 90 daily windows, shared by 200 series."""
Draw = Callable[[int, np.ndarray], np.ndarray]


def table(x: np.ndarray, start: datetime, length: float = 86400.0) -> Rows:
    n = len(x)
    return Rows(
        model="m",
        ids=np.array([f"{to_us(start)}-{i}" for i in range(n)], object),
        time_us=to_us(start) + (np.arange(n) * (length * 1e6 / n)).astype(np.int64),
        version=np.full(n, "1", object),
        sampling=np.ones(n),
        described=np.ones(n, bool),
        numeric={f"inputs.form.descriptors.c{i:03d}": column for i, column in enumerate(x.T)},
        presence={"form": np.ones(n, np.int8)},
        modality={"form": "tabular"},
        describer={"form": np.full(n, "tabular/1|", object)},
        truth=np.full(n, None, object),
        truth_value=np.full(n, np.nan),
        labelled_us=np.full(n, -1),
    )


class Stream:
    """A monitor of normal columns, fed window by window."""

    def __init__(self, reference: np.ndarray) -> None:
        rows = table(reference, BEGIN)
        self.frame = fit_frame(rows)
        self.reference = summarise(rows, self.frame, Span(BEGIN, BEGIN + DAY))[0]
        self.state = PLUGIN.begin(self.reference, self.frame, pinned="b", at=BEGIN + DAY)

    def feed(self, x: np.ndarray, span: Span) -> np.ndarray:
        window = summarise(table(x, span.start, span.duration.total_seconds()), self.frame, span)[0]
        self.state = PLUGIN.bet(self.state, window, self.reference, self.frame, span)
        return np.array([bets.log_wealth for bets in self.state.bets.values()])


def day(number: int) -> Span:
    return Span(BEGIN + number * DAY, BEGIN + (number + 1) * DAY)


def watch(draw: Draw, days: int, n: int, columns: int, baseline: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    stream = Stream(rng.normal(size=(baseline, columns)))
    return np.array([stream.feed(draw(i, rng.normal(size=(n, columns))), day(i + 1)) for i in range(days)])


def quiet(columns: int) -> list[dict[str, float]]:
    found = []
    print(
        f"{columns} quiet streams of 3000 values; allowed at .05: {0.05 * columns + 3 * math.sqrt(0.05 * columns):.0f}"
    )
    print(f"  {'baseline':>8s} {'a window':>8s} {'alarms .05':>10s} {'alarms .01':>10s}   fixed reference .05")
    for baseline, n in ((200, 100), (500, 100), (2000, 100), (2000, 20), (2000, 400)):
        windows = 3000 // n
        highest = watch(lambda _, x: x, windows, n, columns, baseline, 1).max(axis=0)
        row = {
            "baseline": baseline,
            "n": n,
            **{f"alarms_{a}": int((highest >= math.log(windows / a)).sum()) for a in (0.05, 0.01)},
            "fixed_reference": fixed_reference(columns, baseline) if n == 100 else None,
        }
        found.append(row)
        print(
            f"  {baseline:8d} {n:8d} {row['alarms_0.05']:10d} {row['alarms_0.01']:10d}   {row['fixed_reference'] or '-'}"
        )
    return found


def fixed_reference(columns: int, baseline: int) -> int:
    """What the same jumper does when later values are ranked against the baseline alone: alarms at 20, any time."""
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(columns):
        reference = np.sort(rng.normal(size=baseline))
        values = rng.normal(size=3000)
        p = (baseline - np.searchsorted(reference, values) + rng.random(3000)) / (baseline + 1)
        weights, log, most = np.full((1, 5), 0.2), 0.0, 0.0
        for block in np.split(p, 60):
            gain, weights = jumper_gains(weights, block[:, None])
            log += float(gain[0])
            most = max(most, log)
        alarms += most >= math.log(20)
    return alarms


def planted(change: Draw, first: int) -> Draw:
    """The change in ten windows from `first` on, nothing in the others."""
    return lambda i, x: change(i, x) if first <= i < first + 10 else x


def changes(columns: int) -> list[dict[str, object]]:
    kinds: dict[str, Draw] = {
        "shift .25 sd": lambda _, x: x + 0.25,
        "shift .5 sd": lambda _, x: x + 0.5,
        "shift 1 sd": lambda _, x: x + 1.0,
        "spread x 1.5": lambda _, x: x * 1.5,
        "spread x 0.7": lambda _, x: x * 0.7,
    }
    print(f"changes that last 10 windows, of {columns} columns; a page from {PAGE:,} on")
    print(
        f"  {'change':12s} {'a window':>8s} {'quiet before':>12s} {'found':>7s} {'delay, values':>13s} {'windows to let go':>17s}"
    )
    found = []
    for name, change in kinds.items():
        for n in (100, 400):
            for before in (0, 30):
                path = watch(planted(change, before), before + 18, n, columns, 2000, 3)
                hit = path >= math.log(PAGE)
                during, after = hit[before : before + 10], hit[before + 10 :]
                delays = during.argmax(axis=0)[during.any(axis=0)] + 1
                held = after[:, during[-1]].sum(axis=0)
                row = {
                    "change": name,
                    "n": n,
                    "quiet": before,
                    "found": int(during.any(axis=0).sum()),
                    "of": columns,
                    "delay_values": float(np.median(delays) * n) if len(delays) else None,
                    "windows_to_let_go": float(np.median(held)) if len(held) else None,
                }
                found.append(row)
                print(
                    f"  {name:12s} {n:8d} {before:12d} {row['found']:4d}/{columns} {row['delay_values'] or '-':>13} "
                    f"{'-' if row['windows_to_let_go'] is None else row['windows_to_let_go']:>17}"
                )
    return found


def cycles(columns: int) -> dict[str, int]:
    """A daily cycle that the baseline has as well: rows of a whole day in hashed order, and hour after hour."""
    rng = np.random.default_rng(4)

    def traffic(days: int) -> np.ndarray:
        phase = np.tile(np.repeat(np.arange(24), 10), days) * (2 * np.pi / 24)
        return rng.normal(size=(len(phase), columns)) + np.sin(phase)[:, None]

    reference = traffic(7)
    by_day, by_hour = Stream(reference), Stream(reference)
    highest = {"by day": np.zeros(columns), "by hour": np.zeros(columns)}
    days = 14
    for number in range(1, days + 1):
        x = traffic(1)
        highest["by day"] = np.maximum(highest["by day"], by_day.feed(x, day(number)))
        for hour in range(24):
            start = day(number).start + hour * HOUR
            found = by_hour.feed(x[hour * 10 : hour * 10 + 10], Span(start, start + HOUR))
            highest["by hour"] = np.maximum(highest["by hour"], found)
    alarms = {
        "by day": int((highest["by day"] >= math.log(days / 0.05)).sum()),
        "by hour": int((highest["by hour"] >= math.log(24 * days / 0.05)).sum()),
    }
    print(
        f"a daily cycle of 1 sd, 14 quiet days, alarms of {columns} at .05: whole days {alarms['by day']}, hours {alarms['by hour']}"
    )
    return alarms


def cost() -> dict[str, float]:
    rng = np.random.default_rng(5)
    stream = Stream(rng.normal(size=(2800, 20)))
    found = {}
    for n in (400, 2000):
        window = summarise(table(rng.normal(size=(n, 20)), BEGIN + DAY), stream.frame, day(1))[0]
        spent = []
        for _ in range(7):
            began = time.process_time()
            PLUGIN.bet(stream.state, window, stream.reference, stream.frame, day(1))
            spent.append(time.process_time() - began)
        found[f"ms_{n}"] = round(min(spent) * 1e3, 1)
    bag, groups = np.full(200, 14), rng.integers(0, 200, 400)
    began = time.perf_counter()
    conformal_ranks(bag, groups, rng.random(400))
    found["ranks_us_a_value"] = round((time.perf_counter() - began) / 400 * 1e6, 2)
    print(f"a day of 20 columns: {found['ms_400']} ms for 400 records, {found['ms_2000']} ms for 2000 and more")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the streams; keeps no result")
    quick = parser.parse_args().quick
    streams = 30 if quick else 300
    results = {
        "quiet": quiet(streams),
        "changes": changes(10 if quick else 30),
        "cycles": cycles(streams // 3),
        "cost": cost(),
    }
    if not quick:
        keep("sequential", results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
