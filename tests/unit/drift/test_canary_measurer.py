"""`canary.changed_share` from states: known answers, folded codes, and what it leaves alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from auditor.core.state import MAX_CODES, OTHER, CategoricalState
from auditor.drift.canary import METRIC, PLUGIN
from auditor.testing import check_measurer, make_window

CURRENT, BASELINE, FRAME = make_window(60, 3)


def states(now: Mapping[str, int], then: Mapping[str, int]):
    made = []
    for state, counts in ((CURRENT, now), (BASELINE, then)):
        label = {"output.label": CategoricalState.of(dict(counts))} if counts else {}
        made.append(replace(state, model="assistant.canary", categorical=label))
    return made


def read(now: Mapping[str, int], then: Mapping[str, int]):
    current, baseline = states(now, then)
    return {r.attributes.get("group"): r for r in PLUGIN.measure(current, baseline, FRAME)}


def test_the_share_of_answers_that_nobody_heard_before() -> None:
    found = read({"capital=aa": 24, "sum=cc": 18, "sum=dd": 6, "new=ee": 24}, {"capital=aa": 168, "sum=cc": 168})
    assert set(found) == {None, "capital", "sum"}
    assert (found[None].value, found[None].n, found[None].n_baseline) == (6 / 48, 48, 336)
    assert (found[None].facts["changed"], found[None].facts["without_baseline"]) == (["sum"], ["new"])
    assert (found["capital"].value, found["capital"].p_value) == (0.0, 1.0)
    assert found["sum"].value == 0.25
    together = stats.hypergeom(192, 6, 24).pmf(6)  # all six of the new wording among the window's answers
    assert found["sum"].p_value == pytest.approx(together, rel=1e-3)
    assert found[None].p_value == pytest.approx(together / 0.9, rel=1e-3)
    interval = found[None].interval
    assert interval is not None
    assert interval.lower < 0.125 < interval.upper


def test_only_canaries_are_measured_and_absences_have_reasons() -> None:
    current, baseline = states({"a=1": 5}, {"a=1": 5})
    assert list(PLUGIN.measure(replace(current, model="assistant"), baseline, FRAME)) == []
    assert [r.reason for r in PLUGIN.measure(current, None, FRAME)] == ["no_baseline"]
    for now, then, reason in (({}, {"a=1": 5}, "absent_in_window"), ({"a=1": 5}, {}, "absent_in_baseline"),
                              ({"b=1": 5}, {"a=1": 5}, "absent_in_baseline"), ({"cat": 5}, {"cat": 5}, "absent_in_baseline")):  # fmt: skip
        current, baseline = states(now, then)
        assert [(r.metric, r.reason) for r in PLUGIN.measure(current, baseline, FRAME)] == [(METRIC, reason)]


def test_it_keeps_the_measurers_contract() -> None:
    for now in ({"a=1": 5, "b=2": 7}, {"a=9": 3}):
        check_measurer(PLUGIN, *states(now, {"a=1": 30, "b=2": 30}), FRAME)


def test_folded_codes_leave_a_share_of_the_answers_both_sides_kept() -> None:
    """Every answer is another: far more codes than a state keeps, of which a part stands for all."""
    rng = np.random.default_rng(0)
    words = rng.permutation(4000)
    then = {f"p={word}": 1 for word in words[:3000].tolist()}
    same = {f"p={word}": 1 for word in words[2700:3000].tolist()}
    new = {f"p={word}": 1 for word in words[3000:3100].tolist()}
    found = read({**same, **new}, then)["p"]
    assert len(CategoricalState.of(then).counts) == MAX_CODES
    assert OTHER in CategoricalState.of(then).counts
    assert not found.exact
    assert found.n_baseline == MAX_CODES - 1
    assert 70 < found.n < 200  # about a third of 400
    assert found.value == pytest.approx(0.25, abs=0.12)


def test_folding_raises_no_alarm_on_clean_streams() -> None:
    rng = np.random.default_rng(1)
    p = []
    for _ in range(60):
        codes = [f"p={word}" for word in rng.integers(0, 20_000, 3000).tolist()]
        p.append(read(Counter(codes[:300]), Counter(codes[300:]))["p"].p_value)
    assert sum(value <= 0.05 for value in p) <= stats.binom.ppf(1 - 1e-4, len(p), 0.05)
