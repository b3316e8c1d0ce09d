"""How a column's window means vary from window to window, and a new window's t statistic against them.

Rows of one window are often alike (one user, one batch, one price level): then a window's mean varies more than its rows
suggest, and a test that counts rows raises false alarms. The unit of evidence is the window instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from auditor.core.rows import Floats, Ints

ANY_SEASON = -1
PRIOR_FREEDOM = 4.0
"""Degrees of freedom that the variance common to all columns is worth (Smyth 2004)."""
MIN_FREEDOM = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectRows:
    """One column of the baseline with one row of each subject and window: what bets by row on such rows rest on.

    Attributes
    ----------
    values : int
        How many values the column has in all rows; the part of one slice has fewer.
    counts : ndarray of int64, shape (g,)
        Chosen rows by fine group.
    mean, variance : float
        Of the chosen rows; of categories 0.
    """

    values: int
    counts: Ints
    mean: float = 0.0
    variance: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Window means of one column's scores, summed up by season of the week.

    Attributes
    ----------
    seasons : ndarray of int64, shape (k,)
        Hour of the week in which windows start; `ANY_SEASON` where all windows are alike.
    windows, rows : ndarray of int64, shape (k,)
        Windows and rows by season.
    means : ndarray of float64, shape (k, s)
        Mean of the windows' means by season and score.
    squares : ndarray of float64, shape (s,)
        Sum of squared deviations of window means from their season's mean.
    freedom : float
        Degrees of freedom of `squares`: windows less seasons.
    inverse : float
        Mean of 1 / rows over windows.
    within : ndarray of float64, shape (s,)
        Variance of a score between rows of one window.
    common : float
        Median over all columns of the variance of window means, as a multiple of what rows explain.
    lag : float
        Windows that count as one because neighbouring windows are alike: (1 + r) / (1 - r) for their autocorrelation r.
    dependent : bool
        Whether window means vary more than rows explain, beyond chance.
    """

    seasons: Ints
    windows: Ints
    rows: Ints
    means: Floats
    squares: Floats
    freedom: float
    inverse: float
    within: Floats
    common: float = 1.0
    lag: float = 1.0
    dependent: bool = False

    @property
    def between(self) -> Floats:
        """Variance between windows beyond row noise, shrunk toward the columns' common multiple, shape (s,)."""
        noise = self.within * self.inverse
        total = (PRIOR_FREEDOM * self.common * noise + self.squares) / (PRIOR_FREEDOM + self.freedom)
        # Means of windows that are alike vary less around their own mean than around the truth.
        alike = 1.0 / max(1.0 - (self.lag - 1.0) / max(float(self.windows.sum()), 1.0), 0.25)
        found: Floats = np.maximum(total - noise, 0.0) * alike
        return found

    def independent(self, n: int) -> tuple[float, float]:
        """Share of rows that count as independent for the first mean: in a window of n rows, and in the baseline."""
        between, within = float(self.between[0]), float(self.within[0])
        rows, windows = float(self.rows.sum()), float(self.windows.sum())
        here, there = between * n, between * self.lag * rows / max(windows, 1.0)
        return within / (within + here), within / (within + there)

    @property
    def degrees(self) -> float:
        """Degrees of freedom of `t`."""
        return self.freedom if self.lag <= 1.0 else max(self.freedom / self.lag - 1.0, 1.0)

    def t(self, season: int, means: Floats, n: int, steps: float = 1.0) -> Floats | None:
        """The t statistic of a window's means, shape (s,); None where too few windows are known.

        (x - m) / sqrt(b (1 / steps + lag / W) + v (1 / n + 1 / N)), with b the variance between and v within windows.

        Parameters
        ----------
        steps : float
            Length of the window in those of the baseline's windows.
        """
        place = np.flatnonzero(self.seasons == season)
        if not len(place) or self.freedom < MIN_FREEDOM or n < 1:
            return None
        at = int(place[0])
        over = min(1.0, self.lag / max(steps, 1.0)) + self.lag / float(self.windows[at])
        variance = self.between * over + self.within * (1.0 / n + 1.0 / float(self.rows[at]))
        found: Floats = (means - self.means[at]) / np.sqrt(variance)
        return found

    def around(self, means: Floats, rows: int) -> Spread:
        """The same variances around other means, of a part of the baseline or of another time; of one season."""
        return replace(
            self,
            seasons=np.array([ANY_SEASON]),
            windows=np.array([max(int(self.windows.mean()), 1) if len(self.windows) > 1 else int(self.windows[0])]),
            rows=np.array([rows]),
            means=means[None],
        )

    def with_window(self, season: int, means: Floats, n: int) -> Spread:
        """The spread with one more window."""
        place = np.flatnonzero(self.seasons == season)
        if not len(place):
            return replace(
                self,
                seasons=np.append(self.seasons, season),
                windows=np.append(self.windows, 1),
                rows=np.append(self.rows, n),
                means=np.concatenate([self.means, means[None]]),
            )
        at, total = int(place[0]), float(self.windows.sum())
        known = self.windows[at]
        gap = means - self.means[at]
        windows, rows, centre = self.windows.copy(), self.rows.copy(), self.means.copy()
        windows[at] += 1
        rows[at] += n
        centre[at] += gap / (known + 1)
        return replace(
            self,
            windows=windows,
            rows=rows,
            means=centre,
            squares=self.squares + gap**2 * (known / (known + 1)),
            freedom=self.freedom + 1,
            inverse=(self.inverse * total + 1 / n) / (total + 1),
        )

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; floats survive exactly (shortest round-trip form)."""
        return {
            "seasons": self.seasons.tolist(),
            "windows": self.windows.tolist(),
            "rows": self.rows.tolist(),
            "means": self.means.tolist(),
            "squares": self.squares.tolist(),
            "within": self.within.tolist(),
            "freedom": self.freedom,
            "inverse": self.inverse,
            "common": self.common,
            "lag": self.lag,
            "dependent": self.dependent,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Spread:
        """The spread that `as_json` wrote."""

        def floats(name: str) -> Floats:
            return np.array(data[name], np.float64)

        return cls(
            seasons=np.array(data["seasons"], np.int64),
            windows=np.array(data["windows"], np.int64),
            rows=np.array(data["rows"], np.int64),
            means=floats("means"),
            squares=floats("squares"),
            within=floats("within"),
            freedom=data["freedom"],
            inverse=data["inverse"],
            common=data["common"],
            lag=data["lag"],
            dependent=data["dependent"],
        )
