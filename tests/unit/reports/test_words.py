"""Plain words: absences keep their reason, doubts keep their n, numbers read as people write them."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor import wording
from auditor.core.catalogue import CORE_METRICS, REASONS
from auditor.core.measurement import How, Interval, Status
from auditor.core.verdict import Word
from auditor.core.window import DAY, Span
from auditor.policy.lattice import ORDER
from auditor.testing import make_measurement, make_verdict
from auditor.wording import periods, vocabulary


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.61874, "0.619"), (1, "1.00"), (0.94, "0.94"), (12.34, "12.3"), (400, "400"), (12345.6, "12,346"),
        (-0.5, "-0.5"), (0.00012, "0.00012"), (3.2e-12, "3.2e-12"), (2e-12, "2e-12"), (5e9, "5e9"), (0.0999, "0.0999"),
    ],
)  # fmt: skip
def test_number(value, text):
    assert wording.number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
@settings(derandomize=True, max_examples=200, deadline=None)
def test_number_keeps_the_value(value):
    shown = float(wording.number(value).replace(",", ""))
    assert shown == pytest.approx(value, rel=0.06, abs=1e-300)
    assert math.copysign(1, shown) == math.copysign(1, value) or shown == 0


@given(st.floats(min_value=1e-300, max_value=1.0))
@settings(derandomize=True, max_examples=200, deadline=None)
def test_chance_never_overstates_the_evidence(p):
    text = wording.chance(p)
    if "about 1 in" in text:
        times = float(text.partition("about 1 in ")[2].split()[0].replace(",", ""))
        assert 1 / times == pytest.approx(p, rel=0.5)
    elif "1e-9" in text:
        assert p < 1e-9
    else:
        assert p > 0.5


def test_shares_are_percentages_and_gaps_are_points():
    assert wording.quantity(0.9656, "1", "capture.coverage") == "96.6 %"
    assert wording.quantity(0.99996, "1", "capture.coverage") == "99.996 %"
    assert wording.quantity(0.0, "1", "input.missing_rate") == "0 %"
    assert wording.quantity(1e-9, "1", "input.missing_rate") == "under 0.0001 %"
    assert wording.quantity(0.255, "1", "fairness.accuracy.difference") == "25.5 percentage points"
    assert wording.quantity(0.8, "1", "fairness.accuracy.ratio") == "0.8"
    assert wording.quantity(2.5, "J", "energy.per_inference") == "2.50 J"
    assert wording.quantity(0.0213, "s") == "21.3 ms"
    assert wording.quantity(2.0, "kg{CO2e}") == "2.00 kg CO2e"


def test_a_figure_has_its_doubt():
    m = make_measurement(
        metric="quality.accuracy", value=0.88, n=380, n_baseline=None, interval=Interval(0.844, 0.909, 0.95, "wilson")
    )
    assert wording.figure(m) == "88 % (95 % interval 84.4 to 90.9 %; n = 380)"
    modelled = make_measurement(
        metric="energy.per_inference", value=0.5, unit="J", how=How.MODELLED, n=3, n_baseline=None
    )
    assert "modelled, not metered" in wording.figure(modelled)
    rough = make_measurement(value=0.3, exact=False, bound=0.0004)
    assert "approximate within 0.0004" in wording.figure(rough)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
@pytest.mark.parametrize("code", sorted(REASONS))
def test_an_absent_figure_is_never_a_number(status, code):
    m = make_measurement(status=status, reason=code, n=7, n_baseline=None, p_value=None)
    for text in (wording.figure(m), wording.clause(m), wording.how_sure(m)):
        assert REASONS[code] in text
        assert "0 %" not in text
        assert "None" not in text


def test_an_unknown_reason_stays_readable():
    assert wording.reason("some_new_code") == "some new code"


def test_findings_are_sentences():
    ks = make_measurement(value=0.62)
    assert wording.clause(ks) == (
        "the distribution of brightness moved away from the baseline (KS distance 0.62, maximum 1)"
    )
    missing = make_measurement(
        metric="input.missing_rate", value=0.41, attributes={"input": "clip", "modality": "audio"}
    )
    assert wording.clause(missing) == "the audio input clip was missing in 41 % of the inferences"
    ratio = make_measurement(metric="energy.per_inference.ratio", value=2.0, attributes={})
    assert wording.clause(ratio) == "energy per inference is 2.00× the baseline"


def test_how_sure_speaks_of_groups_for_fairness_and_of_change_elsewhere():
    assert "if nothing had changed" in wording.how_sure(make_measurement(p_value=1e-9)).lower()
    gap = make_measurement(
        metric="fairness.accuracy.difference", value=0.2, attributes={"feature": "site"}, p_value=0.01
    )
    assert "if the groups did not differ" in wording.how_sure(gap).lower()


def test_every_core_metric_has_a_name_of_its_own():
    names = [wording.metric_name(spec.name) for spec in CORE_METRICS]
    assert len(set(names)) == len(names)
    assert not any("." in name for name in names)


def test_verdict_words_are_told_gravest_first_as_the_lattice_orders_them():
    assert list(vocabulary.WORDS) == list(reversed(ORDER))
    assert set(vocabulary.WORDS) == set(Word)


def test_windows():
    start = make_measurement().start
    assert wording.window(Span(start, start + DAY)) == "12 Jan 2026"
    assert wording.window(Span(start, start + 7 * DAY)) == "12 Jan 2026 to 18 Jan 2026"
    assert wording.window(Span(start, start + timedelta(hours=6))) == "12 Jan 2026, 00:00 UTC to 12 Jan 2026, 06:00 UTC"


def test_where():
    assert wording.where(make_verdict(input=None)) == "all traffic"
    assert (
        wording.where(make_verdict(input="photo", slice="sex=f&site=north")) == "input photo, sex = f and site = north"
    )


def test_old_data_are_named_before_all_else():
    start = make_measurement().start
    period, last = Span(start, start + 7 * DAY), Span(start + 6 * DAY, start + 7 * DAY)

    def shown(newest, at, empty=0):
        return periods.freshness(newest, last, period=period, at=at, empty=empty, step=DAY)

    end = period.end
    assert shown(end - timedelta(hours=1), end + timedelta(hours=3)) == []
    assert shown(end - 3 * DAY, end + 9 * DAY) == ["Silent since 16 Jan 2026, 00:00 UTC: no record for 12 days."]
    assert shown(end - 3 * DAY, end - DAY / 2, empty=3) == [
        "Silent since 16 Jan 2026, 00:00 UTC: no record for 2 days."
    ]
    assert shown(end + 5 * DAY, end + 6 * DAY, empty=2) == ["No record in the last 2 audited windows of the period."]
    assert "are not audited yet" in shown(end + 5 * DAY, end + 6 * DAY)[0]
    assert shown(None, end) == []


def test_calm_words_never_stand_over_empty_windows():
    assert periods.calm("alert", 3, 0) == "No alert was open at any time in the period."
    assert periods.calm("alert", 3, 2).endswith("; 2 of 3 windows had no record and could show none.")
    assert "nothing can be said" in periods.calm("alert", 3, 3)
    assert "nothing can be said" in periods.calm("alert", 0, 0)
