"""Monitoring in order: the level holds at every look, changes are found, what is over is forgotten, nothing is bet twice."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from eprocesses import ConformalMixture, LowerMean
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.audit.summarise import summarise
from auditor.core.errors import StoreError
from auditor.core.monitor import Bets, MonitorState, decode_monitor, encode_monitor
from auditor.core.rows import Floats, Rows
from auditor.core.state import empty_state
from auditor.core.window import DAY, Span, to_us
from auditor.drift.sequential import PLUGIN
from auditor.statistics.evalues import conformal_ranks, jumper_gains, share_gains
from auditor.statistics.framing import fit_frame
from auditor.testing import make_rows, make_state, make_window
from auditor.testing.factories import START

Draw = Callable[[int, Floats], Floats]


def table(x: Floats, day: int) -> Rows:
    """Rows of one input `form` with a column for each column of `x`."""
    n = len(x)
    return Rows(
        model="m",
        ids=np.array([f"{day}-{i}" for i in range(n)], object),
        time_us=to_us(START + day * DAY) + np.arange(n) * (86_400_000_000 // n),
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


def span(day: int) -> Span:
    return Span(START + day * DAY, START + (day + 1) * DAY)


def watch(
    draw: Draw, days: int, *, n: int, columns: int, baseline: int = 2000, seed: int = 1
) -> tuple[Floats, MonitorState]:
    """Log wealth by day and column over `days` windows of `n` rows, and the last state."""
    rng = np.random.default_rng(seed)
    rows = table(rng.normal(size=(baseline, columns)), 0)
    frame = fit_frame(rows)
    reference = summarise(rows, frame, span(0))[0]
    state = PLUGIN.begin(reference, frame, pinned="b", at=span(1).start)
    path = []
    for day in range(1, days + 1):
        window = summarise(table(draw(day, rng.normal(size=(n, columns))), day), frame, span(day))[0]
        state = PLUGIN.bet(state, window, reference, frame, span(day))
        path.append([bets.log_wealth for bets in state.bets.values()])
    return np.array(path), state


def test_300_quiet_streams_of_3000_values_stay_within_their_level() -> None:
    """A budget of alpha over the stream's 30 windows pages from 30 / alpha on; alpha = 0.05 here, for each stream."""
    path, _ = watch(lambda _, x: x, 30, n=100, columns=300)
    alarms = int((path.max(axis=0) >= math.log(30 / 0.05)).sum())
    assert alarms <= 0.05 * 300 + 3 * math.sqrt(0.05 * 300)


@pytest.mark.parametrize("quiet", [0, 20])
@pytest.mark.parametrize(
    ("name", "change", "most"), [("shift", lambda x: x + 0.5, 3), ("spread", lambda x: 1.6 * x, 5)]
)
def test_a_change_is_found_within_a_few_hundred_values_however_long_it_was_quiet(
    quiet: int, name: str, change: Callable[[Floats], Floats], most: int
) -> None:
    path, state = watch(lambda day, x: change(x) if day > quiet else x, quiet + 8, n=100, columns=20)
    found = path >= math.log(1e5)
    assert not found[:quiet].any()
    delays = found[quiet:].argmax(axis=0) + 1
    assert found[-1].mean() >= 0.95
    assert np.median(delays) <= most
    began = [bets.since for bets in state.bets.values()]
    assert sum(since is not None and abs(since - span(quiet + 1).start) <= 2 * DAY for since in began) >= 15


def test_a_change_that_is_over_is_forgotten_at_once_and_does_not_become_normal() -> None:
    """Ten quiet days, ten shifted ones, ten quiet ones: quiet again within two days, and the second change is found as well."""
    path, state = watch(lambda day, x: x + (1.0 if 10 < day <= 20 or day > 30 else 0.0), 32, n=200, columns=20)
    found = path >= math.log(1e5)
    assert found[10:20].all()
    assert not found[22:30].any()
    assert found[31].all()
    assert sum(bets.since == span(31).start for bets in state.bets.values()) >= 16
    for bets in state.bets.values():
        assert bets.bag.sum() <= 2000 + 22 * 200


def test_cycles_inside_a_window_are_no_change() -> None:
    """Twice as bright at noon, every day, in the baseline as well: rows are bet on in the order of their hashed ids."""
    rng = np.random.default_rng(0)

    def day(n: int, columns: int) -> Floats:
        hour = np.linspace(0, 2 * np.pi, n, endpoint=False)[:, None]
        return rng.normal(size=(n, columns)) + 1.5 * np.sin(hour)

    rows = table(np.concatenate([day(300, 60) for _ in range(7)]), 0)
    frame = fit_frame(rows)
    reference = summarise(rows, frame, span(0))[0]
    state = PLUGIN.begin(reference, frame, pinned="b", at=span(1).start)
    highest = np.zeros(60)
    for number in range(1, 16):
        window = summarise(table(day(300, 60), number), frame, span(number))[0]
        state = PLUGIN.bet(state, window, reference, frame, span(number))
        highest = np.maximum(highest, [bets.log_wealth for bets in state.bets.values()])
    assert (highest >= math.log(15 / 0.05)).sum() <= 3 + 3 * math.sqrt(3)


def test_mixed_up_pairs_are_found_by_their_agreement_and_the_inputs_stay_quiet() -> None:
    window, reference, frame = make_window(400, 3, repaired=0.6)
    day = Span(START + 7 * DAY, START + 8 * DAY)
    state = PLUGIN.bet(PLUGIN.begin(reference, frame, pinned="b", at=day.start), window, reference, frame, day)
    wealth = {name: bets.log_wealth for name, bets in state.bets.items()}
    assert wealth["pairs.photo~clip.concordance"] > math.log(1e6)
    assert max(log for name, log in wealth.items() if name.startswith("inputs.")) < math.log(1e3)
    readings = {
        (r.attributes.get("pair"), r.attributes.get("column")): r for r in PLUGIN.read(state, window, reference, frame)
    }
    reading = readings["photo~clip", "concordance"]
    assert reading.value is not None
    assert reading.value > 1e6
    assert (reading.facts["rising_since"], reading.facts["values"]) == (day.start, 400)
    assert all(r.metric == "drift.e_value" for r in readings.values())


def test_a_window_is_bet_on_once() -> None:
    window, reference, frame = make_window(200, 3, darken=0.7)
    day = Span(START + 7 * DAY, START + 8 * DAY)
    once = PLUGIN.bet(PLUGIN.begin(reference, frame, pinned="b", at=day.start), window, reference, frame, day)
    assert PLUGIN.bet(once, window, reference, frame, day) is once
    assert PLUGIN.bet(once, window, reference, frame, Span(day.start + DAY / 2, day.end + DAY / 2)) is once
    later = PLUGIN.bet(once, window, reference, frame, Span(day.end, day.end + DAY))
    assert later.until == day.end + DAY
    assert later.bets["inputs.photo.descriptors.brightness"].n == 400


def test_the_order_in_which_rows_arrived_does_not_matter() -> None:
    rows = make_rows(300, 3, start=START + 7 * DAY, darken=0.9)
    _, reference, frame = make_window(200, 3)
    day = Span(START + 7 * DAY, START + 8 * DAY)
    begun = PLUGIN.begin(reference, frame, pinned="b", at=day.start)
    found = []
    for order in (np.arange(300), np.random.default_rng(0).permutation(300)):
        state = make_state(rows.take(order), frame)
        found.append(encode_monitor(PLUGIN.bet(begun, state, reference, frame, day)))
    assert found[0] == found[1]


def test_columns_that_cannot_be_compared_are_not_bet_on() -> None:
    window, reference, frame = make_window(200, 3)
    day = Span(START + 7 * DAY, START + 8 * DAY)
    other = replace(window, describers={**window.describers, "photo": {"image/9|": 200}})
    begun = PLUGIN.begin(reference, frame, pinned="b", at=day.start)
    state = PLUGIN.bet(begun, other, reference, frame, day)
    assert state.bets["inputs.photo.descriptors.brightness"].n == 0
    assert state.bets["inputs.clip.descriptors.snr_db"].n == 200
    readings = {r.attributes.get("column"): r for r in PLUGIN.read(state, other, reference, frame)}
    assert (readings["brightness"].status, readings["brightness"].reason) == ("not_applicable", "describer_changed")
    assert not any(name.startswith(("latency", "labels", "energy")) for name in state.bets)


def test_a_window_without_records_changes_no_capital() -> None:
    window, reference, frame = make_window(200, 3)
    day = Span(START + 7 * DAY, START + 8 * DAY)
    before = PLUGIN.bet(PLUGIN.begin(reference, frame, pinned="b", at=day.start), window, reference, frame, day)
    after = PLUGIN.bet(
        before, empty_state("digit-reader", day, frame.digest), reference, frame, Span(day.end, day.end + DAY)
    )
    assert {name: bets.log_wealth for name, bets in after.bets.items()} == {
        name: bets.log_wealth for name, bets in before.bets.items()
    }


def test_a_day_of_400_records_and_20_columns_costs_milliseconds() -> None:
    rng = np.random.default_rng(0)
    rows = table(rng.normal(size=(2800, 20)), 0)
    frame = fit_frame(rows)
    reference = summarise(rows, frame, span(0))[0]
    window = summarise(table(rng.normal(size=(400, 20)), 1), frame, span(1))[0]
    begun = PLUGIN.begin(reference, frame, pinned="b", at=span(1).start)
    spent = []
    for _ in range(5):
        started = time.process_time()
        PLUGIN.bet(begun, window, reference, frame, span(1))
        spent.append(time.process_time() - started)
    assert min(spent) < 0.05


def test_a_monitor_survives_being_stored() -> None:
    window, reference, frame = make_window(200, 3, darken=0.5)
    day = Span(START + 7 * DAY, START + 8 * DAY)
    begun = PLUGIN.begin(reference, frame, pinned="b", at=day.start)
    for state in (begun, replace(PLUGIN.bet(begun, window, reference, frame, day), late=3)):
        again = decode_monitor(encode_monitor(state))
        assert encode_monitor(again) == encode_monitor(state)
        assert {name: bets.log_wealth for name, bets in again.bets.items()} == {
            name: bets.log_wealth for name, bets in state.bets.items()
        }
    for bad in (b"", b"AMS1junk", b"AST1"):
        with pytest.raises(StoreError) as refused:
            decode_monitor(bad)
        assert refused.value.code == "bad_monitor"


# -- the bets themselves ---------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.lists(st.integers(0, 4), min_size=6, max_size=6))
@settings(derandomize=True, max_examples=40, deadline=None)
def test_ranks_equal_those_of_the_plain_bag(values: list[int], counts: list[int]) -> None:
    """Against the one-by-one definition, in which the bag is a list."""
    uniforms = np.linspace(0.05, 0.95, len(values))
    plain = ConformalMixture([float(group) for group, count in enumerate(counts) for _ in range(count)])
    p, bag = conformal_ranks(np.array(counts), np.array(values), uniforms)
    assert p == pytest.approx([plain._p_value(float(v), u) for v, u in zip(values, uniforms, strict=True)])
    assert bag.sum() == sum(counts) + len(values)


def test_one_block_of_jumper_bets_equals_the_one_by_one_process() -> None:
    p = np.random.default_rng(0).beta(1, 2, 200)
    plain = ConformalMixture([])
    for value in p:
        plain._bet(float(value))
    gain, weights = jumper_gains(np.full((1, 5), 0.2), p[:, None])
    assert gain[0] == pytest.approx(plain._log_jumper)
    assert weights.sum() == pytest.approx(1)


def test_no_bet_wins_on_average_while_nothing_changes() -> None:
    """The mean of what one unit becomes over many quiet blocks is at most 1, up to chance."""
    rng = np.random.default_rng(0)
    p = rng.random((50, 4000))
    jumper = np.exp(jumper_gains(np.full((4000, 5), 0.2), p)[0])
    drawn = rng.choice(4, size=(4000, 150), p=[0.5, 0.4, 0.07, 0.03])
    shares = np.array(
        [
            math.exp(share_gains(np.bincount(row[:100], minlength=4), row[100:], np.array([0.0, 0, 9, 9]))[0][1])
            for row in drawn
        ]
    )
    for units in (jumper, shares):
        assert units.mean() <= 1 + 4 * units.std() / math.sqrt(len(units))


def test_wealth_of_an_enormous_change_stays_a_number() -> None:
    assert Bets(capital=np.array([1e6, 2e6])).e_value == pytest.approx(math.exp(700))
    process = LowerMean(0.5)
    process.update(np.zeros(5000))
    assert math.isfinite(process.e_value)


def test_windows_show_their_reading_only_after_the_first_bet() -> None:
    window, reference, frame = make_window(200, 3)
    begun = PLUGIN.begin(reference, frame, pinned="b", at=START + 7 * DAY)
    readings = list(PLUGIN.read(begun, window, reference, frame))
    assert readings
    assert {r.reason for r in readings} == {"not_bet"}
    assert list(PLUGIN.measure(window, reference, frame)) == []
