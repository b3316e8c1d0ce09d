"""Three-way truth, the lattice, the budget and the state machine, against answers worked out by hand."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from policy_factory import START, controls, policy_set

from auditor.core.measurement import Interval, Status
from auditor.core.verdict import State, Word
from auditor.policy.budget import allowance
from auditor.policy.decision import Truth, decide, excess, three_way
from auditor.policy.hysteresis import Standing, step
from auditor.policy.lattice import ORDER, all_of
from auditor.policy.schema import Condition
from auditor.testing import make_measurement

LTE = Condition("lte", None, 0.05)
CI = Condition("lte", None, 0.05, 0.95, "wilson", "compliance", "violation")


@pytest.mark.parametrize(
    ("condition", "low", "high", "truth"),
    [
        (LTE, 0.01, 0.05, Truth.TRUE),
        (LTE, 0.01, 0.06, Truth.UNKNOWN),
        (LTE, 0.05, 0.06, Truth.UNKNOWN),
        (LTE, 0.051, 0.06, Truth.FALSE),
        (Condition("lt", None, 0.05, strict=True), 0.05, 0.06, Truth.FALSE),
        (Condition("lt", None, 0.05, strict=True), 0.01, 0.05, Truth.UNKNOWN),
        (Condition("gte", 0.9, None), 0.9, 0.95, Truth.TRUE),
        (Condition("gte", 0.9, None), 0.8, 0.89, Truth.FALSE),
        (Condition("gt", 0.9, None, strict=True), 0.8, 0.9, Truth.FALSE),
        (Condition("between", 0.1, 0.2), 0.1, 0.2, Truth.TRUE),
        (Condition("between", 0.1, 0.2), 0.05, 0.15, Truth.UNKNOWN),
        (Condition("between", 0.1, 0.2), 0.05, 0.25, Truth.UNKNOWN),
        (Condition("between", 0.1, 0.2), 0.01, 0.05, Truth.FALSE),
        (Condition("between", 0.1, 0.2), 0.3, 0.4, Truth.FALSE),
    ],
)
def test_three_way(condition, low, high, truth):
    assert three_way(condition, Interval(low, high, 0.95, "wilson")) is truth


def figure(value=0.03, lower=None, upper=None, level=0.95, method="wilson", **fields):
    interval = Interval(lower, upper, level, method) if lower is not None else None
    return make_measurement(value=value, interval=interval, **fields)


@pytest.mark.parametrize(
    ("measurement", "condition", "alpha", "report", "alert", "reason"),
    [
        (figure(0.04), LTE, None, Truth.TRUE, Truth.TRUE, ""),
        (figure(0.06), LTE, None, Truth.FALSE, Truth.FALSE, "breach"),
        (figure(0.06, n=9), LTE, None, Truth.UNKNOWN, Truth.UNKNOWN, "below_min_samples"),
        (figure(0.04, 0.03, 0.049), CI, None, Truth.TRUE, Truth.TRUE, ""),
        (figure(0.04, 0.03, 0.06), CI, None, Truth.UNKNOWN, Truth.UNKNOWN, "interval_straddles_threshold"),
        (figure(0.08, 0.06, 0.1), CI, None, Truth.FALSE, Truth.FALSE, "breach"),
        (figure(0.04), CI, None, Truth.UNKNOWN, Truth.UNKNOWN, "no_interval"),
        (figure(0.04, 0.03, 0.049, level=0.9), CI, None, Truth.UNKNOWN, Truth.UNKNOWN, "interval_level"),
        (figure(0.04, 0.03, 0.049, level=0.99), CI, None, Truth.TRUE, Truth.TRUE, ""),
        (figure(0.04, 0.03, 0.049, method="jeffreys"), CI, None, Truth.UNKNOWN, Truth.UNKNOWN, "interval_method"),
        (
            figure(0.06, 0.04, 0.08),
            Condition("lte", None, 0.05, 0.95, None, "point", "violation"),
            None,
            Truth.FALSE,
            Truth.UNKNOWN,
            "interval_straddles_threshold",
        ),
        (
            figure(0.06, 0.04, 0.08),
            Condition("lte", None, 0.05, 0.95, None, "compliance", "point"),
            None,
            Truth.UNKNOWN,
            Truth.FALSE,
            "interval_straddles_threshold",
        ),
        (figure(0.06, p_value=1e-6), LTE, 1e-5, Truth.FALSE, Truth.FALSE, "breach"),
        (figure(0.06, p_value=1e-5), LTE, 1e-5, Truth.FALSE, Truth.FALSE, "breach"),
        (figure(0.06, p_value=1e-4), LTE, 1e-5, Truth.UNKNOWN, Truth.UNKNOWN, "not_significant"),
        (figure(0.04, p_value=1e-9), LTE, 1e-5, Truth.TRUE, Truth.TRUE, ""),
        (figure(0.04, p_value=None), LTE, 1e-5, Truth.UNKNOWN, Truth.UNKNOWN, "no_p_value"),
        (figure(0.04, p_value=1e-9), Condition("unchanged", None, None), 1e-5, Truth.FALSE, Truth.FALSE, "breach"),
        (figure(0.04, p_value=1e-3), Condition("unchanged", None, None), 1e-5, Truth.TRUE, Truth.TRUE, ""),
        (
            make_measurement(status=Status.INSUFFICIENT_DATA, reason="no_baseline"),
            LTE,
            None,
            Truth.UNKNOWN,
            Truth.UNKNOWN,
            "no_baseline",
        ),
        (
            make_measurement(status=Status.ERROR, reason="plugin_failed"),
            LTE,
            None,
            Truth.ERROR,
            Truth.ERROR,
            "plugin_failed",
        ),
    ],
)
def test_one_figure(measurement, condition, alpha, report, alert, reason):
    found = decide(measurement, condition, 10, alpha=alpha)
    assert (found.report, found.alert, found.reason) == (report, alert, reason)


def test_ground_truth_that_is_not_due_is_no_gap_yet():
    absent = make_measurement(status=Status.INSUFFICIENT_DATA, reason="unlabelled")
    due = absent.end + timedelta(days=7)
    assert decide(absent, LTE, 10, labels_due=due, now=absent.end).reason == "labels_not_due"
    assert decide(absent, LTE, 10, labels_due=due, now=due).reason == "unlabelled"
    few = figure(0.01, n=3)
    assert decide(few, LTE, 10, labels_due=due, now=absent.end).reason == "labels_not_due"


def test_excess_is_relative_to_the_limit():
    assert excess(LTE, 0.075) == pytest.approx(0.5)
    assert excess(LTE, 0.025) == pytest.approx(-0.5)
    assert excess(Condition("lte", None, 0.0), 2.0) == 2.0


def test_lattice_laws_for_all_343_triples():
    for a, b, c in itertools.product(ORDER, repeat=3):
        assert all_of((a, b)) is all_of((b, a))
        assert all_of((all_of((a, b)), c)) is all_of((a, all_of((b, c)))) is all_of((a, b, c))
        assert all_of((a, a)) is a
        assert all_of((a, Word.FAIL)) is Word.FAIL
        assert all_of((a, Word.NOT_APPLICABLE)) is a
        if ORDER.index(a) <= ORDER.index(b):
            assert ORDER.index(all_of((a, c))) <= ORDER.index(all_of((b, c)))
    assert len(ORDER) == len(Word)


def test_an_empty_set_is_no_pass():
    assert all_of(()) is None


def test_budget_is_split_over_controls_windows_and_series():
    body = "".join(
        f"- id: c{i}\n  title: C\n  basis: internal\n  evidence: {{kind: metric, metric: drift.ks}}\n"
        f"  condition: {{op: lte, value: 0.1}}\n  significance: budget\n{extra}"
        for i, extra in enumerate(("", "", "  advisory: true\n"))
    )
    policy = policy_set(controls(body, "budget: {false_pages: 0.9, per: P90D}\n")).policies[0]
    found = allowance(policy, timedelta(days=1), 10)
    assert (found.controls, found.windows, found.series) == (2, 90, 10)
    assert found.alpha == pytest.approx(0.9 / 2 / 90 / 10)
    assert found.share(10) == pytest.approx(0.45)
    assert allowance(policy, timedelta(days=7), 1).alpha == pytest.approx(0.9 / 2 / (90 / 7))
    assert (
        allowance(policy_set(controls(body.replace("  significance: budget\n", ""))).policies[0], timedelta(1), 1)
        is None
    )


def run(truths, for_=0, clear=0):
    standing, states = None, []
    for i, mark in enumerate(truths):
        truth = {"t": Truth.TRUE, "f": Truth.FALSE, "_": Truth.UNKNOWN, "e": Truth.ERROR, "h": Truth.TRUE}[mark]
        standing = step(
            standing,
            truth,
            mark == "t",
            START + timedelta(days=i),
            for_=timedelta(days=for_),
            clear_for=timedelta(days=clear),
        )
        states.append(str(standing.state)[0])
    return "".join(states), standing


@pytest.mark.parametrize(
    ("truths", "for_", "clear", "states"),
    [
        ("tft", 0, 0, "ofo"),
        ("tfff", 2, 0, "oppf"),
        ("tfftf", 2, 0, "oppop"),
        ("f___f", 0, 0, "fffff"),
        ("f_e_t", 0, 0, "ffffo"),
        ("tf_f", 2, 0, "oppf"),
        ("t___", 0, 0, "oooo"),
        ("ftttt", 0, 2, "frroo"),
        ("ftftt", 0, 2, "frfrr"),
        ("ft_t", 0, 2, "frrr"),  # silence restarts the clock on day 2,
        ("ft_tt", 0, 2, "frrro"),  # so day 4 makes two days
        ("fhht", 0, 1, "fffr"),
        ("fthtt", 0, 1, "frfro"),
    ],
)
def test_states(truths, for_, clear, states):
    assert run(truths, for_, clear)[0] == states


def test_since_is_where_the_state_began():
    _, standing = run("tffff", for_=1)
    assert standing == Standing(State.FIRING, START + timedelta(days=2))
