"""E-processes keep their level at every look, and find what the reference table says they find."""

from __future__ import annotations

import numpy as np
import pytest
from eprocesses import ConformalMixture, LowerMean

from auditor.statistics.evalues import bernstein_lower


def test_the_lower_mean_process_keeps_its_level_over_3000_looks() -> None:
    """300 streams of 3000 values whose mean is exactly the limit: at most alpha of them ever reach 1 / alpha."""
    rng = np.random.default_rng(0)
    alarms = sum(LowerMean(0.73).update(rng.beta(0.73 * 2, 0.27 * 2, 3000)).max() >= 20 for _ in range(300))
    assert alarms <= 0.05 * 300 + 3 * np.sqrt(0.05 * 300)


def test_re_paired_streams_are_found_in_tens_of_pairs() -> None:
    """A fifth of the pairs broken: mean .73 falls to about .61; the limit comes from a baseline of 2000 pairs."""
    rng = np.random.default_rng(1)
    baseline = rng.beta(0.73 * 2, 0.27 * 2, 2000)
    m0 = bernstein_lower(2000, baseline.mean(), baseline.var(ddof=1))
    assert 0.65 < m0 < baseline.mean()
    delays = []
    for _ in range(30):
        broken = rng.random(1500) < 0.2
        wealth = LowerMean(m0).update(np.where(broken, rng.beta(0.2, 1.8, 1500), rng.beta(1.46, 0.54, 1500)))
        assert wealth.max() >= 100
        delays.append(int((wealth >= 100).argmax()))
    assert np.median(delays) < 250


def test_wealth_goes_on_where_it_stopped() -> None:
    values = np.random.default_rng(2).random(100)
    whole = LowerMean(0.6).update(values)
    parts = LowerMean(0.6)
    again = np.concatenate([parts.update(values[:33]), parts.update(values[33:33]), parts.update(values[33:])])
    assert np.allclose(whole, again, rtol=1e-12)
    assert parts.e_value == pytest.approx(whole[-1])


def test_overwhelming_evidence_stays_a_number() -> None:
    process = LowerMean(0.7)
    assert np.isfinite(process.update(np.zeros(5000))).all()
    assert np.isfinite(process.e_value)


def test_values_outside_the_unit_interval_are_refused() -> None:
    with pytest.raises(ValueError, match="lie in"):
        LowerMean(0.5).update(np.array([1.5]))
    with pytest.raises(ValueError, match="not a mean"):
        LowerMean(1.0)
    with pytest.raises(ValueError, match="at least two"):
        bernstein_lower(1, 0.5, 0.1)


def _first(mixture: ConformalMixture, values: np.ndarray, rng: np.random.Generator, level: float) -> int | None:
    wealth = mixture.update(values, rng.random(len(values)))
    hit = np.flatnonzero(wealth >= 1 / level)
    return int(hit[0]) if len(hit) else None


def test_the_growing_bag_keeps_the_level() -> None:
    rng = np.random.default_rng(3)
    alarms = sum(
        _first(ConformalMixture(rng.normal(size=300).tolist()), rng.normal(size=700), rng, 0.05) is not None
        for _ in range(60)
    )
    assert alarms <= 0.05 * 60 + 3 * np.sqrt(0.05 * 60)


@pytest.mark.parametrize(("shift", "scale", "longest"), [(1.0, 1.0, 80), (0.5, 1.0, 200), (0.0, 1.5, 400)])
def test_shifts_and_changes_of_scale_are_found(shift: float, scale: float, longest: int) -> None:
    rng = np.random.default_rng(4)
    delays = []
    for _ in range(9):
        mixture = ConformalMixture(rng.normal(size=1000).tolist())
        found = _first(mixture, rng.normal(shift, scale, 1200), rng, 0.05)
        delays.append(1200 if found is None else found)
    assert np.median(delays) < longest


def test_ties_alone_are_no_evidence() -> None:
    rng = np.random.default_rng(5)
    mixture = ConformalMixture([1.0] * 200)
    assert mixture.update([1.0] * 300, rng.random(300)).max() < 20
