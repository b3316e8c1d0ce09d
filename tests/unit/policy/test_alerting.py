"""Alerts open, are renewed and resolve; gaps, waivers and advice open none."""

from __future__ import annotations

from datetime import timedelta

from auditor.alerting import alerts_for
from auditor.core.verdict import State, Word
from auditor.testing import make_verdict

DAY = timedelta(days=1)
FIRST = make_verdict()


def verdict(day, word=Word.FAIL, state=State.FIRING, reason="breach", **fields):
    start = FIRST.start + day * DAY
    return make_verdict(start=start, verdict=word, state=state, reason=reason, **fields)


def replay(*verdicts):
    """Open alerts after each window, and what changed last."""
    standing, change = {}, None
    for item in verdicts:
        change = alerts_for(list(standing.values()), [item])
        standing.update({alert.key: alert for alert in (*change.opened, *change.renewed)})
        for alert in change.resolved:
            del standing[alert.key]
    return list(standing.values()), change


def test_an_alert_s_life():
    (alert,), change = replay(verdict(0))
    assert change.opened == (alert,)
    assert (alert.kind, alert.input, alert.modality, alert.severity) == ("image", "photo", "image", "medium")
    assert alert.opened == alert.renewed == FIRST.end
    assert (alert.count, alert.resolved, alert.budget_share) == (1, None, 0.001)
    (again,), change = replay(verdict(0), verdict(1, explanation="worse"))
    assert change.renewed == (again,)
    assert (again.id, again.count, again.renewed, again.explanation) == (alert.id, 2, FIRST.end + DAY, "worse")
    left, change = replay(verdict(0), verdict(1), verdict(2, Word.PASS, State.OK, ""))
    assert left == []
    (over,) = change.resolved
    assert (over.id, over.state, over.resolved, over.count) == (alert.id, "resolved", FIRST.end + 2 * DAY, 2)


def test_silence_recovery_and_waivers_neither_renew_nor_resolve():
    for item in (
        verdict(1, reason="held_no_data"),
        verdict(1, state=State.RECOVERING, reason="recovering"),
        verdict(1, Word.WAIVED, underlying=Word.FAIL),
    ):
        (alert,), change = replay(verdict(0), item)
        assert alert.count == 1
        assert change == type(change)()


def test_gaps_errors_pending_advice_and_waivers_open_none():
    for item in (
        verdict(0, Word.INSUFFICIENT_EVIDENCE, State.OK, "no_data"),
        verdict(0, Word.ERROR, State.OK, "plugin_failed"),
        verdict(0, Word.WARN, State.PENDING, "pending"),
        verdict(0, Word.WARN, State.FIRING, "advisory"),
        verdict(0, Word.WAIVED, State.FIRING, underlying=Word.FAIL),
    ):
        assert replay(item)[0] == []


def test_a_waiver_that_ends_while_it_fires_opens_the_alert():
    (alert,), _ = replay(verdict(0, Word.WAIVED, underlying=Word.FAIL), verdict(1))
    assert alert.opened == FIRST.end + DAY


def test_inputs_have_alerts_of_their_own_and_ids_differ_in_time():
    change = alerts_for([], [verdict(0), verdict(0, input="thumb")])
    assert len({alert.id for alert in change.opened}) == 2
    later = alerts_for([], [verdict(5)]).opened[0]
    assert later.id != alerts_for([], [verdict(0)]).opened[0].id
    assert alerts_for([], [verdict(0)]).opened[0].id == alerts_for([], [verdict(0)]).opened[0].id


def test_the_same_window_twice_changes_nothing():
    alerts = alerts_for([], [verdict(0)]).opened
    change = alerts_for(alerts, [verdict(0)])
    assert change == type(change)()
