"""Sequential monitoring: bets against "nothing changed", whose return may be looked at after every window.

Where rows are independent, each value of a column is ranked among the baseline and all windows since that looked like it;
while nothing changes its conformal p-values are uniform and independent, and no bet on them has a positive expected return.
Half of the capital is with Simple Jumper (Vovk et al. 2021), which finds shifts, half on the shares of groups of values,
which finds anything else; on categories, all of it. Where windows vary more than their rows explain, one bet a window is
laid on Student's t of the window's means. Agreement between two inputs is held against a lower limit of the baseline's
mean. Every window a new unit of capital begins, so that a change after a quiet year is found as soon as one after a quiet
day: the sum of all units is the e-detector of Shiryaev and Roberts (Shin, Ramdas and Rinaldo 2024), and it reaches c by
chance at most once in c windows on average.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from auditor.core.catalogue import OWN_MODALITY, MetricSpec
from auditor.core.frame import ColumnSpec, Frame
from auditor.core.identity import hash64
from auditor.core.measurement import Reading, Status
from auditor.core.monitor import Bets, MonitorState
from auditor.core.rows import Floats, Ints
from auditor.core.spread import Spread
from auditor.core.state import WindowState
from auditor.core.window import Span
from auditor.drift.compared import MIN_SAMPLES, Column, change_facts, compared, pairs
from auditor.statistics.evalues import (
    FRACTIONS,
    SLOPES,
    bernstein_lower,
    conformal_ranks,
    jumper_gains,
    lower_mean_gains,
    share_gain,
    t_log_e,
)
from auditor.statistics.groups import COARSE, FINE, Groups, column_groups
from auditor.statistics.spread import MIN_ROWS, season_of, window_means

SUSPECT = math.log(1e3)
"""A window that ends with more capital than this does not join the bag: what changed must not become what is normal."""
CALM = 5.0
"""A rise is over when a window wins nothing and a change that goes on would have won this (log) since the peak."""
_BETTABLE = ("", "below_min_samples")


class Sequential:
    """`drift.e_value`: capital won so far by betting, one unit a window, that a column or a pair changed.

    Notes
    -----
    The rows are the window's sample (at most 2000) in the order of their hashed ids, which no cycle inside a window can
    disturb; bets by window use all rows. A rise that is over is forgotten: capital may be thrown away at any time without
    harm to the bound.
    """

    version = "2"
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
            clause="evidence that {column} changed (e-value {value})",
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
            known = column.reason in (*_BETTABLE, "constant") and column.n_baseline >= MIN_SAMPLES
            first = _first(column.spec, baseline, frame) if known else None
            if first is not None:
                bets[column.spec.name] = first
        return MonitorState(model=frame.model, baseline=pinned, frame=frame.digest, start=at, until=at, bets=bets)

    def bet(
        self,
        monitor: MonitorState,
        current: WindowState,
        baseline: WindowState,
        frame: Frame,
        span: Span,
        *,
        sequence: int = 0,
    ) -> MonitorState:
        """The monitor after a batch of `span`: a new window, or records of an earlier one that arrived since it was bet on.

        As it was, when records of `span` up to drain `sequence` were bet on before. A late batch adds no unit of capital.
        """
        if not monitor.accepts(span, sequence):
            return monitor
        late = span.start < monitor.until
        known = sum(batch.n for batch in monitor.batches if batch.span == span)
        found = dict(monitor.bets)
        taken = [
            column.spec
            for column in _monitored(current, baseline, frame)
            if column.spec.name in monitor.bets and column.reason in _BETTABLE
        ]
        ranked: list[_Ranked] = []
        for spec in taken:
            bets = monitor.bets[spec.name]
            if bets.spread is not None:
                if known < MIN_ROWS:
                    found[spec.name] = _bet_window(spec, bets, current, baseline, frame, span, late)
            elif bets.limit is not None:
                values = current.sample.numeric.get(spec.name)
                if values is not None:
                    found[spec.name] = _bet_mean(spec, bets, values, span, late)
            else:
                ranked += _ranked(spec, bets, current, baseline, frame)
        found.update(_bet_ranked(ranked, span, late))
        return monitor.logged(span, sequence, current.n, found)

    def read(
        self, monitor: MonitorState, current: WindowState, baseline: WindowState, frame: Frame
    ) -> Iterable[Reading]:
        """The e-values after the window `current` was bet on, by column, then pair."""
        for column in _monitored(current, baseline, frame):
            bets = monitor.bets.get(column.spec.name)
            if bets is None and column.n_baseline >= MIN_SAMPLES and column.spec.name not in frame.untested:
                continue  # a pair on no known scale, or a column that the frame has no grid for
            yield _reading(column, bets, current, baseline)


def _monitored(current: WindowState, baseline: WindowState, frame: Frame) -> Iterator[Column]:
    yield from compared("numeric", current, baseline, frame, components=True)
    yield from compared("categorical", current, baseline, frame)
    yield from pairs(current, baseline, frame)


def _first(spec: ColumnSpec, baseline: WindowState, frame: Frame) -> Bets | None:
    spread = frame.spreads.get(spec.name)
    if frame.seasonal or (spread is not None and spread.dependent):
        own = _own_spread(spec, spread, baseline, frame)
        return None if own is None else Bets(capital=np.full(1, -math.inf), spread=own)
    if spec.pair:
        return _first_mean(spec, baseline)
    groups = column_groups(spec.name, spec.kind, baseline, frame, FINE)
    if groups is None:
        return None
    coarse = _coarse(groups)
    return Bets(capital=np.full(len(_stakes(spec)), -math.inf), bag=groups.counts, ranks=np.zeros(int(coarse[-1]) + 1))


def _own_spread(spec: ColumnSpec, spread: Spread | None, baseline: WindowState, frame: Frame) -> Spread | None:
    """The spread around this baseline's mean, which may be that of one slice; None where it cannot be had."""
    groups = column_groups(spec.name, spec.kind, baseline, frame, FINE)
    if spread is None or groups is None:
        return None
    counts = groups.of(baseline, spec.name)
    means, n = window_means(groups, counts), int(counts.sum())
    if len(means) != len(spread.within):
        return None  # a slice with other categories
    if frame.seasonal:
        return spread if n >= 0.9 * int(spread.rows.sum()) else None
    return spread.around(means, n)


def _first_mean(spec: ColumnSpec, baseline: WindowState) -> Bets | None:
    column = baseline.numeric[spec.name]
    shift, scale = _unit(spec)
    moments = column.moments
    if (moments.low + shift) * scale < -1e-9 or (moments.high + shift) * scale > 1 + 1e-9:
        return None
    limit = bernstein_lower(column.n, (moments.mean + shift) * scale, moments.variance * scale**2)
    return Bets(capital=np.full(len(FRACTIONS), -math.inf), limit=limit) if 0 < limit < 1 else None


def _unit(spec: ColumnSpec) -> tuple[float, float]:
    """What maps a pair's column to [0, 1]: add, then multiply. Concordance is there; a cosine is in [-1, 1]."""
    return (0.0, 1.0) if spec.short == "concordance" else (1.0, 0.5)


# -- bets row by row ------------------------------------------------------------------------------------------------------


def _stakes(spec: ColumnSpec) -> Floats:
    """Shares of a new unit: on the slopes of ranks (numbers only), on shares learned anew and on those remembered."""
    if spec.kind == "categorical":
        return np.array([0.5, 0.5])
    return np.array([*np.full(len(SLOPES), 0.5 / len(SLOPES)), 0.25, 0.25])


def _coarse(groups: Groups) -> Ints:
    """The coarse group of each group: about `COARSE` of them, and each frequent value by itself."""
    if not len(groups.bins):
        return np.arange(len(groups.counts))
    total = int(groups.counts.sum())
    middle = np.minimum((groups.mid_ranks() * COARSE).astype(np.int64), COARSE - 1)
    alone = groups.counts * 2 * COARSE >= total
    # Empty groups lie between two frequent values, or beyond the outermost.
    alone |= groups.counts == 0
    starts = np.concatenate([[False], (np.diff(middle) > 0) | alone[1:] | alone[:-1]])
    return np.cumsum(starts)


@dataclass(frozen=True, slots=True)
class _Ranked:
    """A column's groups in one batch, by row; conformal p-values of numbers, 0.5 in the rows that lack it."""

    spec: ColumnSpec
    bets: Bets
    coarse: Ints
    own: Ints
    bag: Ints
    p: Floats


def _ranked(
    spec: ColumnSpec, bets: Bets, current: WindowState, baseline: WindowState, frame: Frame
) -> Iterator[_Ranked]:
    groups = column_groups(spec.name, spec.kind, baseline, frame, FINE)
    if groups is None:
        return
    coarse = _coarse(groups)
    if spec.kind == "categorical":
        words = current.sample.categorical.get(spec.name)
        own = np.array([groups.of_code(word) for word in words if word is not None] if words is not None else [], int)
        if len(own):
            bag = bets.bag + np.bincount(own, minlength=len(bets.bag))
            yield _Ranked(spec, bets, coarse, own, bag, np.empty(0))
        return
    values = current.sample.numeric.get(spec.name)
    if values is None or not np.isfinite(values).any():
        return
    there = np.isfinite(values)
    own = groups.bins[frame.grids[spec.name].index(values[there])]
    known, bag = conformal_ranks(bets.bag, own, _uniforms(current, spec.name)[there])
    p = np.full(len(values), 0.5)
    p[there] = known
    yield _Ranked(spec, bets, coarse, own, bag, p)


def _uniforms(current: WindowState, column: str) -> Floats:
    """One number in (0, 1) a row, from the hash of its id and the column's name (splitmix64): breaks ties alike anywhere."""
    x = current.sample.hashes ^ np.uint64(hash64(column))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    x = x ^ (x >> np.uint64(31))
    found: Floats = ((x >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52
    return found


def _bet_ranked(ranked: list[_Ranked], span: Span, late: bool) -> Iterator[tuple[str, Bets]]:
    slopes = len(SLOPES)
    numbers = [one for one in ranked if one.spec.kind == "numeric"]
    moves: dict[str, tuple[Floats, Floats, float, Floats]] = {}
    if numbers:
        # What the capital from before is laid on, and below it the unit that begins with this window.
        before = np.array([_shares(one.bets.capital[:slopes]) for one in numbers])
        weights = np.concatenate([before, np.full_like(before, 1 / slopes)])
        gains, after = jumper_gains(weights, np.tile(np.column_stack([one.p for one in numbers]), 2))
        k = len(numbers)
        for i, one in enumerate(numbers):
            moves[one.spec.name] = (np.log(after[i]), np.log(after[k + i]), float(gains[i]), gains[k + i])
    for one in ranked:
        bag = np.bincount(one.coarse, one.bets.bag, len(one.bets.ranks)).astype(np.int64)
        anew, _ = share_gain(bag, one.coarse[one.own], np.zeros(len(bag)))
        learned, ranks = share_gain(bag, one.coarse[one.own], one.bets.ranks)
        on_shares = np.array([anew, learned])
        stakes = np.log(_stakes(one.spec))
        if one.spec.name in moves:
            old_shares, new_shares, gain, gain_new = moves[one.spec.name]
            held = _log_sum(one.bets.capital[:slopes])
            old = np.concatenate([held + gain + old_shares, one.bets.capital[slopes:] + on_shares])
            new = np.concatenate([gain_new + new_shares + math.log(0.5), stakes[slopes:] + on_shares])
        else:
            old, new = one.bets.capital + on_shares, stakes + on_shares
        bets = _settle(replace(one.bets, ranks=ranks), old, new, len(one.own), span, late)
        yield one.spec.name, replace(bets, bag=one.bag) if bets.log_wealth < SUSPECT else bets


def _shares(logs: Floats) -> Floats:
    most = float(logs.max())
    if math.isinf(most):
        return np.full(len(logs), 1 / len(logs))
    found: Floats = np.exp(logs - most)
    return np.asarray(found / found.sum(), np.float64)


# -- bets on means --------------------------------------------------------------------------------------------------------


def _bet_window(
    spec: ColumnSpec, bets: Bets, current: WindowState, baseline: WindowState, frame: Frame, span: Span, late: bool
) -> Bets:
    """One bet on the window's means, in its first batch with `MIN_ROWS` rows; where neighbouring windows are alike, on the share of a window that is new."""
    groups = column_groups(spec.name, spec.kind, baseline, frame, FINE)
    assert bets.spread is not None
    if groups is None:
        return bets
    counts = groups.of(current, spec.name)
    n, means = int(counts.sum()), window_means(groups, counts)
    if n < MIN_ROWS:
        return bets
    season = season_of(bets.spread, span)
    t = bets.spread.t(season, means, n, span.duration / frame.step)
    if t is None:
        return bets
    gain = np.array([t_log_e(t, bets.spread.degrees) / bets.spread.lag])
    after = _settle(bets, bets.capital + gain, gain, n, span, late)
    if after.log_wealth >= SUSPECT or late:
        return after
    return replace(after, spread=bets.spread.with_window(season, means, n))


def _bet_mean(spec: ColumnSpec, bets: Bets, values: Floats, span: Span, late: bool) -> Bets:
    shift, scale = _unit(spec)
    own = np.clip((values[np.isfinite(values)] + shift) * scale, 0.0, 1.0)
    if not len(own) or bets.limit is None:
        return bets
    gains = lower_mean_gains(bets.limit, own)
    return _settle(bets, bets.capital + gains, gains - math.log(len(gains)), len(own), span, late)


# -- all of them ----------------------------------------------------------------------------------------------------------


def _settle(bets: Bets, old: Floats, new: Floats, n: int, span: Span, late: bool) -> Bets:
    """Capital after a batch: what was there, and the unit that began with it; the rise's beginning; a rise that is over.

    The unit of a late batch began with its window.
    """
    late = late and not math.isinf(bets.log_wealth)
    fresh = _log_sum(new)
    capital = old if late else np.logaddexp(old, new)
    grown = _log_sum(capital) - (bets.log_wealth if late else float(np.logaddexp(bets.log_wealth, 0.0)))
    # A first unit of luck (log 1) is no rise yet: it would date most changes too early.
    rising = bets.score > 1
    rows = (bets.rows if rising else 0) + n
    # Since the peak, a change that goes on at the pace of its rise would have won this much.
    due = bets.peak / bets.peak_rows * (rows - bets.peak_rows) if rising else 0.0
    over = fresh <= 0 and due >= CALM and not late
    score = bets.score + grown
    if over or score <= 0:
        return replace(
            bets,
            capital=new if over else capital,
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
        capital=capital,
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
    reason = column.reason
    if bets is None and not reason:
        reason = "absent_in_baseline"
    if bets is None or reason not in _BETTABLE or not bets.n:
        known = reason if reason not in _BETTABLE else "not_bet"
        status = Status.INSUFFICIENT_DATA if known in ("absent_in_window", "not_bet") else Status.NOT_APPLICABLE
        return Reading(
            metric="drift.e_value",
            status=status,
            reason=known,
            n=column.n,
            n_baseline=column.n_baseline,
            attributes=attributes,
        )
    facts: dict[str, Any] = change_facts(column.spec, current, baseline)
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
