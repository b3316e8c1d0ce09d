"""Bets on many columns at once, for simulations: the arithmetic of `auditor.drift.bets`, with an axis for columns.

`benchmarks/science/starter.py` compares one table of each cell with the code of production, value by value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import gammaln, logsumexp

from auditor.core.monitor import Bets
from auditor.core.rows import Floats, Ints
from auditor.core.spread import PRIOR_FREEDOM
from auditor.drift.bets import CALM, SUSPECT, coarse_groups
from auditor.statistics.evalues import SCALES, SHARE_MEMORY, SHARE_PRIOR, SHARE_SEED, SLOPES, jumper_gains
from auditor.statistics.groups import Groups
from auditor.statistics.spread import scores

S = len(SLOPES)


class Capital:
    """Capital of k series with b bets each, and the rise of each: as `bets._settle` has it, without late batches."""

    def __init__(self, k: int, b: int) -> None:
        self.capital = np.full((k, b), -math.inf)
        self.score, self.peak = np.zeros((2, k))
        self.rows, self.peak_rows = np.zeros((2, k), np.int64)

    @property
    def log_wealth(self) -> Floats:
        found: Floats = logsumexp(self.capital, axis=1)
        return found

    def settle(self, old: Floats, new: Floats, n: int) -> None:
        wealth, fresh = self.log_wealth, logsumexp(new, axis=1)
        capital = np.logaddexp(old, new)
        grown = logsumexp(capital, axis=1) - np.logaddexp(wealth, 0.0)
        rising = self.score > 1
        rows = np.where(rising, self.rows, 0) + n
        due = np.where(rising, self.peak / np.maximum(self.peak_rows, 1) * (rows - self.peak_rows), 0.0)
        over = (fresh <= 0) & (due >= CALM)
        score = self.score + grown
        ended = over | (score <= 0)
        higher = ~rising | (score > self.peak)
        self.capital = np.where(over[:, None], new, capital)
        self.peak = np.where(ended, 0.0, np.where(higher, score, self.peak))
        self.peak_rows = np.where(ended, 0, np.where(higher, rows, self.peak_rows))
        self.score, self.rows = np.where(ended, 0.0, score), np.where(ended, 0, rows)


class RowBets:
    """Columns that are bet on row by row."""

    def __init__(self, columns: Sequence[tuple[Bets, Groups]], numeric: bool) -> None:
        k, most = len(columns), max(len(groups.counts) for _, groups in columns)
        self.numeric = numeric
        self.capital = Capital(k, S + 2 if numeric else 2)
        self.bag, self.coarse = np.zeros((2, k, most), np.int64)
        for i, (bets, groups) in enumerate(columns):
            size = len(groups.counts)
            self.bag[i, :size], self.coarse[i, :size] = bets.bag, coarse_groups(groups)
        self.size = self.coarse.max(axis=1) + 1
        self.ranks = np.zeros((k, int(self.size.max())))
        self.at = np.arange(k)[:, None]

    def bet(self, own: Ints, uniforms: Floats) -> Floats:
        """Log wealth after a window; `own` and `uniforms` by column and row, shape (k, n)."""
        k, n = own.shape
        coarse_bag = np.zeros(self.ranks.shape)
        np.add.at(coarse_bag, (self.at, self.coarse), self.bag)
        shares, ranks = self._share_gains(coarse_bag, self.coarse[self.at, own])
        before = self.capital.capital
        if self.numeric:
            held = logsumexp(before[:, :S], axis=1)
            first = np.isinf(held)[:, None]
            with np.errstate(invalid="ignore"):
                weights = np.where(first, 1 / S, np.exp(before[:, :S] - held[:, None]))
            gains, after = jumper_gains(
                np.concatenate([weights, np.full_like(weights, 1 / S)]), np.tile(self._p(own, uniforms).T, 2)
            )
            logs = np.log(after)
            old = np.concatenate([held[:, None] + gains[:k, None] + logs[:k], before[:, S:] + shares], axis=1)
            new = np.concatenate([gains[k:, None] + logs[k:] + math.log(0.5), math.log(0.25) + shares], axis=1)
        else:
            old, new = before + shares, math.log(0.5) + shares
        self.capital.settle(old, new, n)
        self.ranks = ranks
        wealth = self.capital.log_wealth
        add = np.zeros_like(self.bag)
        np.add.at(add, (self.at, own), 1)
        self.bag += np.where((wealth < SUSPECT)[:, None], add, 0)
        return wealth

    def _p(self, own: Ints, uniforms: Floats) -> Floats:
        k, n = own.shape
        tri = np.tri(n, k=-1, dtype=bool)
        small = own.astype(np.int16)
        found, below = np.empty((k, n)), np.cumsum(self.bag, axis=1)
        for i in range(k):
            mine = small[i]
            same = self.bag[i, own[i]] + np.count_nonzero((mine == mine[:, None]) & tri, axis=1)
            upto = below[i, own[i]] + np.count_nonzero((mine <= mine[:, None]) & tri, axis=1)
            total = below[i, -1] + np.arange(n)
            found[i] = (total - upto + uniforms[i] * (same + 1)) / (total + 1)
        return found

    def _share_gains(self, bag: Floats, groups: Ints) -> tuple[Floats, Floats]:
        k, n = groups.shape
        known = self.ranks * np.minimum(1.0, SHARE_MEMORY / np.maximum(self.ranks.sum(axis=1), 1.0))[:, None]
        counts = np.zeros(bag.shape, np.int64)
        np.add.at(counts, (self.at, groups), 1)
        order, row = np.argsort(groups, axis=1, kind="stable"), np.arange(n)
        starts = np.cumsum(counts, axis=1) - counts
        before = np.empty((k, n))
        before[self.at, order] = row - np.take_along_axis(starts, np.take_along_axis(groups, order, 1), 1)
        total = bag.sum(axis=1, keepdims=True)
        rare = (bag * SHARE_PRIOR < total) & (np.arange(bag.shape[1]) < self.size[:, None])
        anew = SHARE_PRIOR * bag / total + np.where(
            rare, SHARE_SEED / np.maximum(rare.sum(axis=1, keepdims=True), 1), 0.0
        )
        pays = np.log((total + row + 1) / (np.take_along_axis(bag, groups, 1) + before + 1)).sum(axis=1)
        gains = []
        for stake in (anew, anew + known):
            share = (np.take_along_axis(stake, groups, 1) + before) / (stake.sum(axis=1, keepdims=True) + row)
            gains.append(np.log(share).sum(axis=1) + pays)
        return np.stack(gains, axis=1), counts + known


class WindowBets:
    """Columns that are bet on once a window; all have equally many scores."""

    def __init__(self, columns: Sequence[tuple[Bets, Groups]]) -> None:
        spreads = [bets.spread for bets, _ in columns]
        most = max(len(groups.counts) for _, groups in columns)
        self.value = np.stack([np.pad(v := scores(g), ((0, most - len(v)), (0, 0))) for _, g in columns])
        self.means = np.stack([s.means[0] for s in spreads])
        self.squares, self.within = (np.stack([getattr(s, name) for s in spreads]) for name in ("squares", "within"))
        self.freedom, self.inverse, self.common, self.lag, self.windows, self.rows = (
            np.array(
                [float(getattr(s, name) if name not in ("windows", "rows") else getattr(s, name)[0]) for s in spreads]
            )
            for name in ("freedom", "inverse", "common", "lag", "windows", "rows")
        )
        self.capital = Capital(len(columns), 1)

    def bet(self, own: Ints) -> Floats:
        """Log wealth after a window with these groups, by column and row, shape (k, n)."""
        k, n = own.shape
        x = np.take_along_axis(self.value, own[:, :, None], axis=1).mean(axis=1)
        lag, windows = self.lag[:, None], self.windows[:, None]
        noise = self.within * self.inverse[:, None]
        total = (PRIOR_FREEDOM * self.common[:, None] * noise + self.squares) / (PRIOR_FREEDOM + self.freedom)[:, None]
        alike = 1.0 / np.maximum(1.0 - (lag - 1.0) / windows, 0.25)
        between = np.maximum(total - noise, 0.0) * alike
        t = (x - self.means) / np.sqrt(
            between * (1.0 + lag / windows) + self.within * (1.0 / n + 1.0 / self.rows[:, None])
        )
        degrees = np.where(self.lag <= 1.0, self.freedom, np.maximum(self.freedom / self.lag - 1.0, 1.0))
        d = degrees[:, None, None]
        wide = log_t(t[:, :, None] / SCALES, d) - np.log(SCALES) - log_t(t[:, :, None], d)
        gain = (logsumexp(wide.reshape(k, -1), axis=1) - math.log(wide[0].size)) / self.lag
        self.capital.settle(self.capital.capital + gain[:, None], gain[:, None], n)
        wealth = self.capital.log_wealth
        calm = wealth < SUSPECT
        gap = x - self.means
        self.squares += np.where(calm[:, None], gap**2 * (windows / (windows + 1)), 0.0)
        self.means += np.where(calm[:, None], gap / (windows + 1), 0.0)
        self.inverse = np.where(calm, (self.inverse * self.windows + 1 / n) / (self.windows + 1), self.inverse)
        self.freedom, self.windows, self.rows = self.freedom + calm, self.windows + calm, self.rows + n * calm
        return wealth


def log_t(t: Floats, degrees: Floats) -> Floats:
    """Logarithm of the density of Student's t."""
    half = (degrees + 1) / 2
    found: Floats = gammaln(half) - gammaln(degrees / 2) - np.log(degrees * np.pi) / 2 - half * np.log1p(t**2 / degrees)
    return found
