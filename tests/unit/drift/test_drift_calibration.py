"""False alarms and power of the p-values, on windows drawn the way production is: from a finite pool, with replacement."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from auditor.audit.summarise import fit_frame
from auditor.drift import alignment, missingness, univariate
from auditor.statistics.distances import collapse, grouped, ks
from auditor.statistics.grids import fit_grid
from auditor.statistics.nulls import chi_square_p, fisher_exact, ks_p
from auditor.testing.synthetic import make_rows, make_state

WEEK, DAY = 2800, 400


def _limits(runs: int, level: float) -> tuple[float, float]:
    """Rejections that a test of exactly that level stays between, in 9998 of 10 000 repetitions."""
    return stats.binom.ppf(1e-4, runs, level), stats.binom.ppf(1 - 1e-4, runs, level)


@pytest.fixture(scope="module")
def clean_p() -> dict[str, np.ndarray]:
    """P-values of clean windows: a continuous column of 900 distinct values, and one of a few."""
    rng = np.random.default_rng(0)
    runs = 900
    found = {name: np.empty(runs) for name in ("ks", "ks_few", "chi_square")}
    pool = rng.gamma(3, 1, 900)
    few = rng.poisson(4, 900).astype(float)
    for i in range(runs):
        for name, values in (("ks", pool), ("ks_few", few)):
            week, day = rng.choice(values, WEEK), rng.choice(values, DAY)
            grid = fit_grid(week)
            a, b = (np.bincount(grid.index(x), minlength=len(grid.values)) for x in (week, day))
            found[name][i] = ks_p(ks(a, b)[0], WEEK, DAY)
            if name == "ks":
                groups = collapse(a, 10)
                found["chi_square"][i] = chi_square_p(grouped(a, groups), grouped(b, groups))
    return found


@pytest.mark.parametrize("level", [0.05, 0.01, 1e-3])
@pytest.mark.parametrize("name", ["ks", "ks_few", "chi_square"])
def test_false_alarms_keep_the_level(clean_p: dict[str, np.ndarray], name: str, level: float) -> None:
    p = clean_p[name]
    assert (p <= level).sum() <= _limits(len(p), level)[1]


def test_the_level_is_used_up_where_there_are_no_ties(clean_p: dict[str, np.ndarray]) -> None:
    """Valid, and not by being blind: at 5 % the tests reject nearly as often as they may."""
    for name in ("ks", "chi_square"):
        assert (clean_p[name] <= 0.05).sum() >= _limits(len(clean_p[name]), 0.035)[0]


def test_missing_rates_keep_the_level_at_any_depth() -> None:
    rng = np.random.default_rng(1)
    runs = 20_000
    k, k_baseline = rng.binomial(DAY, 0.01, runs), rng.binomial(WEEK, 0.01, runs)
    pairs, counts = np.unique(np.stack([k, k_baseline]), axis=1, return_counts=True)
    p = np.array([fisher_exact(a, DAY, b, WEEK, "greater") for a, b in pairs.T.tolist()])
    for level in (0.05, 0.01, 1e-3):
        assert counts[p <= level].sum() <= _limits(runs, level)[1]


@pytest.fixture(scope="module")
def clean_windows() -> list[dict[str, float]]:
    """P-values of whole clean windows through rows, frames, states and plugins, by metric and column."""
    found = []
    for seed in range(7):
        week = make_rows(WEEK, 10_000 + seed)
        frame = fit_frame(week)
        baseline = make_state(week, frame)
        current = make_state(make_rows(DAY, 20_000 + seed), frame)
        found.append(
            {
                f"{r.metric} {sorted(r.attributes.items())}": r.p_value
                for plugin in (univariate.PLUGIN, alignment.PLUGIN, missingness.PLUGIN)
                for r in plugin.measure(current, baseline, frame)
                if r.p_value is not None
            }
        )
    return found


def test_clean_windows_are_quiet_through_the_whole_path(clean_windows: list[dict[str, float]]) -> None:
    """About 60 p-values a window, many of them about the same columns: the average rate is what can be checked."""
    p = np.array([value for window in clean_windows for value in window.values()])
    assert len(p) > 300
    assert (p <= 0.05).mean() < 0.075
    assert (p <= 1e-3).mean() < 0.01
    # A budget of 0.05 false pages a quarter over some twenty controls leaves about 1e-6 to a series.
    assert p.min() > 1e-6


@pytest.mark.parametrize(
    ("fault", "column", "at_least"),
    [
        ({"darken": 0.9}, "contrast", 1.0),
        ({"noise_db": 3.0}, "snr_db", 1.0),
        ({"repaired": 0.25}, "photo~clip", 0.95),
        ({"missing": 0.1}, "input.missing_rate", 1.0),
    ],
)
def test_planted_faults_are_found_under_a_quarters_budget(
    fault: dict[str, float], column: str, at_least: float
) -> None:
    week = make_rows(WEEK, 31)
    frame = fit_frame(week)
    baseline = make_state(week, frame)
    hits = []
    for seed in range(8):
        current = make_state(make_rows(DAY, 500 + seed, **fault), frame)
        p = [
            r.p_value
            for plugin in (univariate.PLUGIN, alignment.PLUGIN, missingness.PLUGIN)
            for r in plugin.measure(current, baseline, frame)
            if r.p_value is not None and (column in r.attributes.values() or column == r.metric)
        ]
        hits.append(min(p) <= 1e-6)
    assert np.mean(hits) >= at_least
