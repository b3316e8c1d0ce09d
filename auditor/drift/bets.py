"""Bets on one series at a time: what a series begins with, and its capital after a batch of rows.

Three kinds of series: values by group (a bag that grows), window means (Student's t), and a mean held to a lower limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from auditor.core.frame import ColumnSpec, Frame
from auditor.core.monitor import Bets
from auditor.core.rows import Floats, Ints
from auditor.core.spread import Spread, SubjectRows
from auditor.core.state import WindowState
from auditor.core.window import Span
from auditor.statistics.evalues import (
    FRACTIONS,
    SLOPES,
    bernstein_lower,
    conformal_ranks,
    jumper_gains,
    lower_mean_gains,
    share_gains,
    t_log_e,
)
from auditor.statistics.groups import COARSE, FINE, Groups, column_groups
from auditor.statistics.spread import MIN_ROWS, season_of, window_means

SUSPECT = math.log(1e3)
"""A window that ends with more capital than this does not join the bag: what changed must not become what is normal."""
CALM = 5.0
"""A rise is over when a window wins nothing and a change that goes on would have won this (log) since the peak."""


def first_bets(spec: ColumnSpec, baseline: WindowState, frame: Frame) -> Bets | None:
    """A series that nothing was bet on yet; None where its column has no groups, or its pair no known scale."""
    if spec.pair and not by_window(spec, frame):
        return _first_mean(spec, baseline, _whole(spec, baseline, frame).by_subject.get(spec.name))
    groups = column_groups(spec.name, spec.kind, baseline, frame, FINE)
    return (
        None
        if groups is None
        else first_of(spec, groups, groups.of(baseline, spec.name), _whole(spec, baseline, frame))
    )


def _whole(spec: ColumnSpec, baseline: WindowState, frame: Frame) -> Frame:
    """The frame; for a slice of its baseline without rows by subject, which are known of the whole only."""
    known = baseline.numeric.get(spec.name) or baseline.categorical.get(spec.name)
    rows = frame.by_subject.get(spec.name)
    return frame if rows is None or (known is not None and known.n == rows.values) else replace(frame, by_subject={})


def by_window(spec: ColumnSpec, frame: Frame) -> bool:
    """Whether windows are bet on instead of rows: where they vary more than rows explain, and with seasons."""
    spread = frame.spreads.get(spec.name)
    return frame.seasonal or (spread is not None and spread.dependent and spec.name not in frame.by_subject)


def first_of(spec: ColumnSpec, groups: Groups, counts: Ints, frame: Frame) -> Bets | None:
    """As `first_bets` of a column, from its groups and the baseline's rows by group."""
    if by_window(spec, frame):
        own = _own_spread(frame.spreads.get(spec.name), groups, counts, frame.seasonal)
        return None if own is None else Bets(capital=np.full(1, -math.inf), spread=own)
    coarse = coarse_groups(groups)
    subjects = frame.by_subject.get(spec.name)
    return Bets(
        capital=np.full(len(_stakes(spec)), -math.inf),
        bag=groups.counts if subjects is None else subjects.counts,
        ranks=np.zeros(int(coarse[-1]) + 1),
        by_subject=subjects is not None,
    )


def _own_spread(spread: Spread | None, groups: Groups, counts: Ints, seasonal: bool) -> Spread | None:
    """The spread around this baseline's mean, which may be that of one slice; None where it cannot be had."""
    means, n = window_means(groups, counts), int(counts.sum())
    if spread is None or len(means) != len(spread.within):
        return None  # fewer windows than a variance needs, or a slice with other categories
    if seasonal:
        return spread if n >= 0.9 * int(spread.rows.sum()) else None
    return spread.around(means, n)


def _first_mean(spec: ColumnSpec, baseline: WindowState, subjects: SubjectRows | None) -> Bets | None:
    moments = baseline.numeric[spec.name].moments
    shift, scale = _unit(spec)
    if (moments.low + shift) * scale < -1e-9 or (moments.high + shift) * scale > 1 + 1e-9:
        return None
    n, mean, variance = baseline.numeric[spec.name].n, moments.mean, moments.variance
    if subjects is not None:
        n, mean, variance = int(subjects.counts.sum()), subjects.mean, subjects.variance
    limit = bernstein_lower(n, (mean + shift) * scale, variance * scale**2)
    if not 0 < limit < 1:
        return None
    return Bets(capital=np.full(len(FRACTIONS), -math.inf), limit=limit, by_subject=subjects is not None)


def _unit(spec: ColumnSpec) -> tuple[float, float]:
    """What maps a pair's column to [0, 1]: add, then multiply. Concordance is there; a cosine is in [-1, 1]."""
    return (0.0, 1.0) if spec.short == "concordance" else (1.0, 0.5)


# -- bets row by row ------------------------------------------------------------------------------------------------------


def _stakes(spec: ColumnSpec) -> Floats:
    """Shares of a new unit: on the slopes of ranks (numbers only), on shares learned anew and on those remembered."""
    if spec.kind == "categorical":
        return np.array([0.5, 0.5])
    return np.array([*np.full(len(SLOPES), 0.5 / len(SLOPES)), 0.25, 0.25])


def coarse_groups(groups: Groups) -> Ints:
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
class RankedRows:
    """A column's groups in one batch, by row that has it; conformal p-values of numbers by row, 0.5 in rows that lack it."""

    spec: ColumnSpec
    bets: Bets
    coarse: Ints
    own: Ints
    bag: Ints
    p: Floats

    @staticmethod
    def of(
        spec: ColumnSpec, bets: Bets, groups: Groups, own: Ints, uniforms: Floats, there: NDArray[np.bool_]
    ) -> RankedRows:
        """Ranks of values with groups `own`, of the rows that are `there`; `uniforms` break ties, one a row."""
        p = np.full(len(there), 0.5)
        if spec.kind == "numeric":
            p[there], bag = conformal_ranks(bets.bag, own, uniforms[there])
        else:
            bag = bets.bag + np.bincount(own, minlength=len(bets.bag))
        return RankedRows(spec, bets, coarse_groups(groups), own, bag, p)


def bet_rows(ranked: Sequence[RankedRows], span: Span, late: bool) -> Iterator[tuple[str, Bets]]:
    """The series after a batch, by column."""
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
        on_shares, ranks = share_gains(bag, one.coarse[one.own], one.bets.ranks)
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


def bet_window(bets: Bets, groups: Groups, counts: Ints, steps: float, span: Span, late: bool) -> Bets:
    """One bet on the means of a window with these counts by group, once it has `MIN_ROWS` rows.

    Where neighbouring windows are alike, the bet is on the share of a window that is new. `steps` is the window's length
    in those of the baseline's windows.
    """
    n, means = int(counts.sum()), window_means(groups, counts)
    if n < MIN_ROWS or bets.spread is None:
        return bets
    season = season_of(bets.spread, span)
    t = bets.spread.t(season, means, n, steps)
    if t is None:
        return bets
    gain = np.array([t_log_e(t, bets.spread.degrees) / bets.spread.lag])
    after = _settle(bets, bets.capital + gain, gain, n, span, late)
    if after.log_wealth >= SUSPECT or late:
        return after
    return replace(after, spread=bets.spread.with_window(season, means, n))


def bet_mean(spec: ColumnSpec, bets: Bets, values: Floats, span: Span, late: bool) -> Bets:
    """Bets that the mean of a pair's values is below the baseline's limit."""
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
