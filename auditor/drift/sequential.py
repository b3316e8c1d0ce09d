"""Monitoring in order: bets against "nothing changed", whose capital may be looked at after every window.

Each numeric column is ranked among the baseline and all windows since that looked like it; while nothing changes its
conformal p-values are uniform and independent, and no bet on them can be expected to win. Half of the capital is with
Simple Jumper (Vovk et al. 2021), which finds shifts, half with a histogram, which finds anything else. Agreement between
two inputs is held against a lower limit of the baseline's mean. Every window a new unit of capital begins, so that a change
after a quiet year is found as soon as one after a quiet day: the sum of all units is the e-detector of Shiryaev and Roberts
(Shin, Ramdas and Rinaldo 2024), and it reaches c by chance at most once in c windows on average.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.core.catalogue import OWN_MODALITY, MetricSpec
from auditor.core.frame import ColumnSpec, Frame
from auditor.core.identity import hash64
from auditor.core.measurement import Reading, Status
from auditor.core.monitor import Bets, MonitorState
from auditor.core.rows import Floats, Ints
from auditor.core.state import WindowState
from auditor.core.window import Span
from auditor.drift.compared import MIN_SAMPLES, Column, compared, pairs
from auditor.statistics.distances import collapse, grouped
from auditor.statistics.evalues import (
    BINS,
    FRACTIONS,
    SLOPES,
    bernstein_lower,
    conformal_ranks,
    histogram_gain,
    jumper_gains,
    lower_mean_gains,
)

GROUPS = 200
"""Groups of a column's bins that values are told apart by: ranks need no more, and the bag stays small for ever."""
SUSPECT = math.log(1e3)
"""A window that ends with more capital than this does not join the bag: what changed must not become what is normal."""
CALM = 5.0
"""A rise is over when a window wins nothing and a change that goes on would have won this (log) since the peak."""


class Sequential:
    """`drift.e_value`: capital won so far by betting, one unit a window, that a column or a pair changed.

    Notes
    -----
    The rows are the window's sample (at most 2000) in the order of their hashed ids, which no cycle inside a window can
    disturb. A rise that is over is forgotten: capital may be thrown away at any time without harm to the bound.
    """

    version = "1"
    needs_baseline = True
    by_slice = True
    metrics = (
        MetricSpec(
            "drift.e_value",
            "1",
            "Capital won by betting, one unit a window, that the column or pair changed; reaches c by chance at most once in "
            "c windows.",
            "higher",
            ("column", "input", "modality", "pair"),
            0,
            label="evidence against no change (e-value)",
            short="e-value",
            alert=OWN_MODALITY,
            clause="bets that {column} changed have won {value} times a unit of capital",
            compares=(
                "An e-value is the return of a fair bet against 'no change', one unit staked per window: at or below "
                "1 there is no evidence of change, and without one it reaches c at most once in c windows, so that "
                "large values are evidence; there is no upper end."
            ),
            reads=(
                (1.999999, "the bets have won little or nothing, so nothing speaks for a change"),
                (None, "without a change, bets win as much {rarity} (no upper end)"),
            ),
        ),
    )

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterable[Reading]:
        """Nothing: one window by itself has no order; see `read`."""
        return ()

    def begin(self, baseline: WindowState, frame: Frame, *, pinned: str, at: datetime) -> MonitorState:
        """A monitor that has bet on nothing, for windows from `at` on; `pinned` is the baseline's id."""
        bets: dict[str, Bets] = {}
        for column in _monitored(baseline, baseline, frame):
            if column.n_baseline >= MIN_SAMPLES and column.spec.name in frame.grids:
                first = _first(column.spec, baseline, frame)
                if first is not None:
                    bets[column.spec.name] = first
        return MonitorState(model=frame.model, baseline=pinned, frame=frame.digest, start=at, until=at, bets=bets)

    def bet(
        self, monitor: MonitorState, current: WindowState, baseline: WindowState, frame: Frame, span: Span
    ) -> MonitorState:
        """The monitor after the window `span`; as it was, when any of that time was bet on before."""
        if span.start < monitor.until:
            return monitor
        found = dict(monitor.bets)
        taken = [
            column.spec
            for column in _monitored(current, baseline, frame)
            if column.spec.name in monitor.bets and column.reason in ("", "below_min_samples")
        ]
        ranked = [_ranked(spec, monitor.bets[spec.name], current, baseline, frame) for spec in taken if not spec.pair]
        for spec, bets in _bet_ranked([one for one in ranked if one is not None], monitor, span):
            found[spec.name] = bets
        for spec in taken:
            values = current.sample.numeric.get(spec.name)
            if spec.pair and values is not None:
                found[spec.name] = _bet_mean(spec, monitor.bets[spec.name], values, span)
        return replace(monitor, until=span.end, bets=found)

    def read(
        self, monitor: MonitorState, current: WindowState, baseline: WindowState, frame: Frame
    ) -> Iterable[Reading]:
        """What the monitor says after the window `current` was bet on, by column, then pair."""
        for column in _monitored(current, baseline, frame):
            bets = monitor.bets.get(column.spec.name)
            if bets is None and column.n_baseline >= MIN_SAMPLES:
                continue  # a pair on no known scale, or a column that the frame has no grid for
            yield _reading(column, bets, current, baseline)


def _monitored(current: WindowState, baseline: WindowState, frame: Frame) -> Iterator[Column]:
    yield from compared("numeric", current, baseline, frame)
    yield from pairs(current, baseline, frame)


def _first(spec: ColumnSpec, baseline: WindowState, frame: Frame) -> Bets | None:
    column = baseline.numeric[spec.name]
    if not spec.pair:
        groups, counts = _grouping(spec, baseline, frame)
        return Bets(capital=np.full(len(SLOPES) + 1, -math.inf), bag=grouped(counts, groups), ranks=np.zeros(BINS))
    shift, scale = _unit(spec)
    moments = column.moments
    if (moments.low + shift) * scale < -1e-9 or (moments.high + shift) * scale > 1 + 1e-9:
        return None
    limit = bernstein_lower(column.n, (moments.mean + shift) * scale, moments.variance * scale**2)
    return Bets(capital=np.full(len(FRACTIONS), -math.inf), limit=limit) if 0 < limit < 1 else None


def _unit(spec: ColumnSpec) -> tuple[float, float]:
    """What maps a pair's column to [0, 1]: add, then multiply. Concordance is there; a cosine is in [-1, 1]."""
    return (0.0, 1.0) if spec.short == "concordance" else (1.0, 0.5)


def _grouping(spec: ColumnSpec, baseline: WindowState, frame: Frame) -> tuple[Ints, Ints]:
    """Group of each bin, and the baseline's count of each bin."""
    counts = baseline.numeric[spec.name].dense(len(frame.grids[spec.name].values))
    return collapse(counts, GROUPS), counts


# -- ranked columns -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ranked:
    """A column's conformal p-values of one window; 0.5 in the rows that lack it."""

    spec: ColumnSpec
    bets: Bets
    p: Floats
    there: NDArray[np.bool_]
    bag: Ints


def _ranked(spec: ColumnSpec, bets: Bets, current: WindowState, baseline: WindowState, frame: Frame) -> _Ranked | None:
    values = current.sample.numeric.get(spec.name)
    if values is None or not np.isfinite(values).any():
        return None
    there = np.isfinite(values)
    grid = frame.grids[spec.name]
    groups, _ = _grouping(spec, baseline, frame)
    own, bag = conformal_ranks(bets.bag, groups[grid.index(values[there])], _uniforms(current, spec.name)[there])
    p = np.full(len(values), 0.5)
    p[there] = own
    return _Ranked(spec, bets, p, there, bag)


def _uniforms(current: WindowState, column: str) -> Floats:
    """One number in (0, 1) a row, from the hash of its id and the column's name (splitmix64): breaks ties alike anywhere."""
    x = current.sample.hashes ^ np.uint64(hash64(column))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    x = x ^ (x >> np.uint64(31))
    found: Floats = ((x >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52
    return found


def _bet_ranked(ranked: list[_Ranked], monitor: MonitorState, span: Span) -> Iterator[tuple[ColumnSpec, Bets]]:
    if not ranked:
        return
    # What the capital from before is laid on, and below it the unit that begins with this window.
    before = np.array([_shares(one.bets.capital[:-1]) for one in ranked])
    weights = np.concatenate([before, np.full_like(before, 1 / len(SLOPES))])
    gains, after = jumper_gains(weights, np.tile(np.column_stack([one.p for one in ranked]), 2))
    k = len(ranked)
    for i, one in enumerate(ranked):
        gain, ranks = histogram_gain(one.bets.ranks, one.p[one.there])
        held = _log_sum(one.bets.capital[:-1])
        old = np.append(held + gains[i] + np.log(after[i]), one.bets.capital[-1] + gain)
        new = np.append(gains[k + i] + np.log(after[k + i]), gain) + math.log(0.5)
        bets = _settle(replace(one.bets, ranks=ranks), old, new, int(one.there.sum()), span)
        yield one.spec, replace(bets, bag=one.bag) if bets.log_wealth < SUSPECT else bets


def _shares(logs: Floats) -> Floats:
    most = float(logs.max())
    if math.isinf(most):
        return np.full(len(logs), 1 / len(logs))
    found: Floats = np.exp(logs - most)
    return np.asarray(found / found.sum(), np.float64)


# -- pairs ----------------------------------------------------------------------------------------------------------------


def _bet_mean(spec: ColumnSpec, bets: Bets, values: Floats, span: Span) -> Bets:
    shift, scale = _unit(spec)
    own = np.clip((values[np.isfinite(values)] + shift) * scale, 0.0, 1.0)
    if not len(own) or bets.limit is None:
        return bets
    gains = lower_mean_gains(bets.limit, own)
    return _settle(bets, bets.capital + gains, gains - math.log(len(gains)), len(own), span)


# -- both -----------------------------------------------------------------------------------------------------------------


def _settle(bets: Bets, old: Floats, new: Floats, n: int, span: Span) -> Bets:
    """Capital after a window: what was there, and the unit that began with it; the rise's beginning; a rise that is over."""
    fresh = _log_sum(new)
    grown = _log_sum(np.concatenate([old, new])) - float(np.logaddexp(bets.log_wealth, 0.0))
    # A first unit of luck (log 1) is no rise yet: it would date most changes too early.
    rising = bets.score > 1
    rows = (bets.rows if rising else 0) + n
    # Since the peak, a change that goes on at the pace of its rise would have won this much.
    due = bets.peak / bets.peak_rows * (rows - bets.peak_rows) if rising else 0.0
    over = fresh <= 0 and due >= CALM
    score = bets.score + grown
    if over or score <= 0:
        return replace(
            bets,
            capital=new if over else np.logaddexp(old, new),
            n=bets.n + n,
            score=0.0,
            since=None,
            rows=0,
            peak=0.0,
            peak_rows=0,
        )
    higher = not rising or score > bets.peak
    return replace(
        bets,
        capital=np.logaddexp(old, new),
        n=bets.n + n,
        score=score,
        since=bets.since if rising else span.start,
        rows=rows,
        peak=score if higher else bets.peak,
        peak_rows=rows if higher else bets.peak_rows,
    )


def _log_sum(logs: Floats) -> float:
    most = float(logs.max())
    return most if math.isinf(most) else most + math.log(float(np.exp(logs - most).sum()))


def _reading(column: Column, bets: Bets | None, current: WindowState, baseline: WindowState) -> Reading:
    attributes = column.spec.attributes()
    reason = "absent_in_baseline" if bets is None else column.reason
    if bets is None or reason not in ("", "below_min_samples") or not bets.n:
        known = reason if reason not in ("", "below_min_samples") else "not_bet"
        status = Status.INSUFFICIENT_DATA if known in ("absent_in_window", "not_bet") else Status.NOT_APPLICABLE
        return Reading(
            metric="drift.e_value",
            status=status,
            reason=known,
            n=column.n,
            n_baseline=column.n_baseline,
            attributes=attributes,
        )
    now, then = current.numeric[column.spec.name].moments, baseline.numeric[column.spec.name].moments
    facts: dict[str, Any] = {"mean": now.mean, "baseline_mean": then.mean}
    if bets.since is not None:
        facts |= {"rising_since": bets.since, "values": bets.rows}
    return Reading(
        metric="drift.e_value",
        value=bets.e_value,
        n=bets.n,
        n_baseline=column.n_baseline,
        attributes=attributes,
        facts=facts,
    )


PLUGIN = Sequential()
