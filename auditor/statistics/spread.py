"""Measuring, on the baseline, how each column varies from window to window; and which columns are names or counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
from scipy.special import chdtrc, stdtr

from auditor.core.frame import Frame
from auditor.core.rows import Floats, Ints, Strings
from auditor.core.spread import ANY_SEASON, MIN_FREEDOM, Spread
from auditor.core.state import WindowState
from auditor.core.window import Span, from_us, hour_of_week, to_us
from auditor.statistics.groups import FINE, Groups, column_groups

IDENTIFIER, COUNTER = "identifier", "counter"
_DISTINCT = 0.8
"""Share of distinct categories from which a column holds names of records."""
_RISING = 0.98
"""Rank correlation with time from which a column is a counter."""
MIN_ROWS = 10
"""Rows of a window below which its means do not count."""
_SCORED = 8
"""Categories whose shares are followed from window to window."""
_LEVEL = 0.01
_MOST_ALIKE = 0.9
"""Autocorrelation of windows beyond which none is assumed."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """The baseline's windows: of each row its window (-1: none that is whole), and the season of each window."""

    window: Ints
    seasons: Ints

    @staticmethod
    def of(time_us: Ints, span: Span, step: timedelta, seasonal: bool) -> Tiling:
        """Whole windows of `span` on the raster of `step`; the season is the hour of the week, where that matters."""
        length = step // timedelta(microseconds=1)
        first = -(-to_us(span.start) // length)
        last = to_us(span.end) // length
        number = time_us // length
        whole = (number >= first) & (number < last)
        seasons = [hour_of_week(from_us(int(i) * length)) if seasonal else ANY_SEASON for i in range(first, last)]
        return Tiling(np.where(whole, number - first, -1), np.array(seasons, np.int64))


def scores(groups: Groups) -> Floats:
    """What each group scores, shape (g, s): rank and distance from the middle; of categories, membership."""
    if len(groups.bins):
        rank = groups.mid_ranks()
        return np.stack([rank, np.abs(rank - 0.5)], axis=1)
    own = np.eye(len(groups.counts))
    return own if len(own) <= _SCORED else np.concatenate([own[:, : _SCORED - 1], own[:, -1:]], axis=1)


def fit_spread(groups: Groups, of_row: Ints, tiling: Tiling) -> Spread | None:
    """The spread of one column over the baseline's windows; None for fewer windows than a variance needs.

    Parameters
    ----------
    of_row : ndarray of int64, shape (n,)
        Group of each row's value; -1 where it has none.
    """
    known = (of_row >= 0) & (tiling.window >= 0)
    size, kinds = len(tiling.seasons), len(groups.counts)
    table = np.bincount(tiling.window[known] * kinds + of_row[known], minlength=size * kinds).reshape(size, kinds)
    n = table.sum(axis=1)
    enough = n >= MIN_ROWS
    table, n, season = table[enough], n[enough], tiling.seasons[enough]
    seasons, place = np.unique(season, return_inverse=True)
    if len(n) - len(seasons) < MIN_FREEDOM:
        return None
    value = scores(groups)
    means = table @ value / n[:, None]
    inside = (table @ value**2).sum(axis=0) - (n[:, None] * means**2).sum(axis=0)
    smallest = 0.25 / (int(n.sum()) + 1)  # a constant column may still take another value now and then
    within = np.maximum(inside / max(int(n.sum()) - len(n), 1), smallest)
    windows = np.bincount(place)
    centre = np.stack([np.bincount(place, column) / windows for column in means.T], axis=1)
    rest = means - centre[place]
    lag = _lag(rest)
    return Spread(
        seasons=seasons,
        windows=windows,
        rows=np.bincount(place, n).astype(np.int64),
        means=centre,
        squares=(rest**2).sum(axis=0),
        freedom=float(len(n) - len(seasons)),
        inverse=float((1 / n).mean()),
        within=within,
        lag=lag,
    )


def _lag(rest: Floats) -> float:
    """Windows that count as one, for the mean autocorrelation of its scores at a distance of one window."""
    power = (rest**2).sum(axis=0)
    r = (rest[1:] * rest[:-1]).sum(axis=0)[power > 0] / power[power > 0]
    return _windows_as_one(float(r.mean()) if len(r) else 0.0)


def _windows_as_one(r: float) -> float:
    """(1 + r) / (1 - r), with r between 0 and 0.9."""
    r = min(max(r, 0.0), _MOST_ALIKE)
    return (1 + r) / (1 - r)


def _cautious_lag(spread: Spread, typical: float | None) -> float:
    """The lag that bets and tests rest on.

    28 windows measure an autocorrelation of 0.8 as 0.65, give or take 0.15, and miss it in one column of ten: where windows
    vary beyond row noise, the estimate is averaged with that of typical columns (None: there are too few), its bias of
    (1 + 4 r) / W (Kendall 1954) taken off, and its standard error added.
    """
    r = (spread.lag - 1) / (spread.lag + 1)
    windows = float(spread.windows.sum())
    if not spread.dependent:
        return spread.lag if r > 2 / np.sqrt(windows) else 1.0
    error = np.sqrt((1 - r**2) / windows)
    if typical is not None:
        r, error = (r + typical) / 2, error / 2
    return _windows_as_one(r + (1 + 4 * r) / windows + error)


def share_variances(spreads: Mapping[str, Spread], typical: Sequence[str]) -> dict[str, Spread]:
    """The spreads with the multiple that `typical` columns have in common, and whether each varies beyond row noise."""
    ratio = {name: _ratios(spread) for name, spread in spreads.items()}
    known = [float(ratio[name][0]) for name in typical if name in ratio]
    common = max(float(np.median(known)), 1.0) if known else 1.0
    found = {}
    for name, spread in spreads.items():
        each = chdtrc(spread.freedom, ratio[name] * spread.freedom)
        apart = float(each.min()) * len(each) < _LEVEL
        shared = len(known) >= 5 and common > 1 + 2.5 * np.sqrt(2 / spread.freedom) and ratio[name].max() > 1
        found[name] = replace(spread, common=common, dependent=bool(apart or shared))
    lags = [found[name].lag for name in typical if name in found and found[name].dependent]
    alike = float(np.median([(lag - 1) / (lag + 1) for lag in lags])) if len(lags) >= 5 else None
    return {name: replace(spread, lag=_cautious_lag(spread, alike)) for name, spread in found.items()}


def _ratios(spread: Spread) -> Floats:
    """Variance of window means as a multiple of what rows explain, by score."""
    found: Floats = spread.squares / spread.freedom / (spread.within * spread.inverse)
    return found


def untested(numeric: Mapping[str, Floats], categorical: Mapping[str, Strings], time_us: Ints) -> dict[str, str]:
    """Columns that cannot be compared with a baseline, and what they are: an identifier or a counter."""
    from scipy.stats import rankdata  # here: it takes longer to load than a short command runs

    found = {}
    for name, words in categorical.items():
        known = [word for word in words.tolist() if word is not None]
        if len(known) >= 50 and len(set(known)) > _DISTINCT * len(known):
            found[name] = IDENTIFIER
    for name, x in numeric.items():
        finite = np.isfinite(x)
        if finite.sum() >= 50 and len(np.unique(x[finite])) > len(x[finite]) / 2:
            order = np.argsort(time_us[finite], kind="stable")
            if abs(np.corrcoef(rankdata(x[finite][order]), np.arange(len(order)))[0, 1]) >= _RISING:
                found[name] = COUNTER
    return found


_RANK_OF_SD = 1 / (2 * np.sqrt(np.pi))
"""Mean rank that a normal distribution gains by a small shift, in standard deviations."""


def smallest_change(spread: Spread, windows: float, log_level: float, kind: str) -> float:
    """About the smallest change that bets find within so many windows, one that lasts from the first to the last.

    The mean score of T windows has the variance s = b lag / T + v / (n T) + b lag / W + v / N; a bet on a change d of it is
    expected to win d^2 / (2 s), which has to reach the log of the level.

    Parameters
    ----------
    kind : str
        `numeric`: the shift of a normal distribution in standard deviations; `categorical`: the change of a share.

    Examples
    --------
    28 windows of 300 rows that are as good as independent:

    >>> from auditor.core.spread import Spread
    >>> none, one = np.zeros(1), np.array([1 / 12])
    >>> plain = Spread(seasons=np.array([-1]), windows=np.array([28]), rows=np.array([8400]), means=none[None] + 0.5,
    ...     squares=27 * one / 300, freedom=27.0, inverse=1 / 300, within=one)
    >>> round(smallest_change(plain, 1.0, 13.0, "numeric"), 2), round(smallest_change(plain, 7.0, 13.0, "numeric"), 2)
    (0.31, 0.13)
    """
    between, within = (spread.between * spread.lag if spread.dependent else 0.0 * spread.within), spread.within
    n, known = float(spread.rows.sum() / spread.windows.sum()), float(spread.windows.sum())
    variance = between * (1 / windows + 1 / known) + within * (1 / (n * windows) + 1 / (n * known))
    change = np.sqrt(2 * log_level * variance)
    return float(change[0] / _RANK_OF_SD) if kind == "numeric" else float(change.max())


def season_of(spread: Spread, span: Span) -> int:
    """The season of a window, as this spread tells seasons apart."""
    return ANY_SEASON if ANY_SEASON in spread.seasons else hour_of_week(span.start)


def window_means(groups: Groups, counts: Ints) -> Floats:
    """Mean scores of a window with these counts by group, shape (s,)."""
    found: Floats = counts @ scores(groups) / max(int(counts.sum()), 1)
    return found


def t_p(t: Floats, degrees: float) -> float:
    """Two-sided p-value of the largest of s t statistics, Bonferroni's."""
    return float(min(1.0, len(t) * 2.0 * stdtr(degrees, -float(np.abs(t).max()))))


def window_p(
    name: str, kind: str, current: WindowState, baseline: WindowState, frame: Frame, groups: Groups | None = None
) -> float | None:
    """P-value of a window's means against those of the baseline's windows; None where rows are as good as independent."""
    spread = frame.spreads.get(name)
    if spread is None or not spread.dependent:
        return None
    groups = groups or column_groups(name, kind, baseline, frame, FINE)
    if groups is None:
        return None
    centre, counts = groups.of(baseline, name), groups.of(current, name)
    middle = window_means(groups, centre)
    if len(middle) != len(spread.within):
        return None  # a part of the baseline that has other categories
    # The reference may be a part of the baseline, or another time.
    t = spread.around(middle, int(centre.sum())).t(
        ANY_SEASON, window_means(groups, counts), int(counts.sum()), current.span.duration / frame.step
    )
    return None if t is None else t_p(t, spread.degrees)
