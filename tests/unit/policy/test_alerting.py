"""Alerts open, are renewed and resolve; gaps, waivers and advice open none."""

from __future__ import annotations

from datetime import timedelta

from auditor.audit.alerting import alerts_for, inputs_alone, worst
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
    (again,), change = replay(verdict(0), verdict(1, since=FIRST.end, explanation="worse."))
    assert change.renewed == (again,)
    assert (again.id, again.count, again.renewed, again.explanation) == (alert.id, 2, FIRST.end + DAY, "worse.")
    left, change = replay(verdict(0), verdict(1), verdict(2, Word.PASS, State.OK, ""))
    assert left == []
    (over,) = change.resolved
    assert (over.id, over.state, over.resolved, over.count) == (alert.id, "resolved", FIRST.end + 2 * DAY, 2)


def told(value, day):
    """A firing verdict of that day with that figure, and its words."""
    text = f"Image drift (input photo): brightness moved to {value}, where at most 0.15 is allowed (0.1 before, {value} now). Sure. Next: Look."
    return verdict(day, since=FIRST.end, observed=value, limit=0.15, explanation=text)


def test_a_resolved_alert_says_that_it_is_over_how_long_it_lasted_and_the_worst_of_it():
    fired = [told(0.2, 0), told(0.6, 1), told(0.4, 2)]
    (alert,), _ = replay(*fired)
    change = alerts_for([alert], [verdict(3, Word.PASS, State.OK, "")], fired[-1:], lambda _: fired)
    assert change.resolved[0].explanation == (
        "Resolved: Image drift (input photo). Within its rule again in the window of 15 Jan 2026; seen in 3 windows, "
        "12 Jan 2026 to 14 Jan 2026. Worst in the window of 13 Jan 2026: brightness moved to 0.6, where at most 0.15 is "
        "allowed (0.1 before, 0.6 then). Next: write down what caused it, and what was done about the calls of that time."
    )
    (without,) = alerts_for([alert], [verdict(3, Word.PASS, State.OK, "")]).resolved
    assert "Worst in the window of 14 Jan 2026: brightness moved to 0.4" in without.explanation


def test_a_renewed_alert_names_the_worst_so_far_before_what_to_do():
    fired = [told(0.6, 0), told(0.2, 1)]
    (alert,), _ = replay(fired[0])
    (again,) = alerts_for([alert], [fired[1]], fired[:1], lambda _: fired[:1]).renewed
    assert again.explanation == (
        "Image drift (input photo): brightness moved to 0.2, where at most 0.15 is allowed (0.1 before, 0.2 now). Sure. Worst so "
        "far in the window of 12 Jan 2026: brightness moved to 0.6, where at most 0.15 is allowed (0.1 before, 0.6 then). Next: "
        "Look."
    )


def test_worst_is_furthest_beyond_the_limit_or_from_the_calm_figure_and_the_earliest_of_equals():
    low = [verdict(day, observed=value, limit=0.92) for day, value in enumerate((0.8, 0.5, 0.7, 0.5))]
    assert worst(low) is low[1]
    unlimited = [verdict(day, observed=value, limit=None) for day, value in enumerate((0.9, 0.7, 0.8))]
    assert worst(unlimited, calm=0.99) is unlimited[1]
    straddles = verdict(0, observed=9.0, limit=0.15, reason="interval_straddles_threshold")
    shown = verdict(1, observed=0.2, limit=0.15)
    assert worst([straddles, shown]) is shown
    assert worst([]) is None


def test_an_alert_that_waited_has_been_seen_since_it_was_first_broken():
    waiting = verdict(0, Word.WARN, State.PENDING, "pending", explanation="Energy: high.")
    (alert,) = alerts_for([], [verdict(1, explanation="Energy: high.")], [waiting]).opened
    assert (alert.since, alert.opened) == (FIRST.end, FIRST.end + DAY)
    assert "First seen in the window of 12 Jan 2026." in alert.explanation


def test_an_alert_about_pairs_says_whether_the_inputs_changed_by_themselves():
    pairing = verdict(0, kind="alignment", input=None, explanation="Agreement (photo and clip): less. Next: Join.")
    photo = verdict(0, Word.PASS, State.OK, "", input="photo", control="image")
    clip = verdict(0, Word.PASS, State.OK, "", input="clip", control="audio", kind="audio")
    (alert,) = alerts_for([], [pairing, photo, clip]).opened
    assert alert.explanation == (
        "Agreement (photo and clip): less. Each input taken alone: no drift rule about clip and photo is broken, so it may be the "
        "pairing that changed. Next: Join."
    )
    well = verdict(1, Word.PASS, State.OK, "", kind="alignment", input=None)
    (over,) = alerts_for([alert], [well], history=lambda _: [pairing, photo, clip]).resolved
    assert (
        "less. Each input taken alone: no drift rule about clip and photo is broken, so it may be" in over.explanation
    )
    moved = verdict(0, input="clip", control="audio", kind="audio")
    silent = verdict(0, Word.INSUFFICIENT_EVIDENCE, State.OK, "no_data", input="note", control="text", kind="text")
    assert inputs_alone([pairing, photo, moved, silent]) == (
        "Each input taken alone: clip changed as well (see its own alert); no drift rule about photo is broken; of note that is not "
        "known."
    )
    assert inputs_alone([pairing, photo, moved], ["photo"]).endswith("so it may be the pairing that changed.")
    assert inputs_alone([pairing]) == ""


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
