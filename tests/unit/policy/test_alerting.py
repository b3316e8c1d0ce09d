"""Alerts open, are renewed and resolve; gaps, waivers and advice open none."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from auditor.audit.alerting import alerts_for, inputs_alone, worst
from auditor.core.verdict import State, Word
from auditor.core.window import format_time
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
    (again,), change = replay(verdict(0), verdict(1, since=FIRST.end, facts={"observed": 9.0}))
    assert change.renewed == (again,)
    assert (again.id, again.count, again.renewed, again.facts["observed"]) == (alert.id, 2, FIRST.end + DAY, 9.0)
    left, change = replay(verdict(0), verdict(1), verdict(2, Word.PASS, State.OK, ""))
    assert left == []
    (over,) = change.resolved
    assert (over.id, over.state, over.resolved, over.count) == (alert.id, "resolved", FIRST.end + 2 * DAY, 2)


def told(value, day):
    """A firing verdict of that day with that figure, under a title with all that a sentence could trip over."""
    end = FIRST.end + day * DAY
    facts = {
        "title": "Art. 15: Image drift. Part 2",
        "metric": "drift.psi",
        "attributes": {"column": "brightness", "input": "photo", "modality": "image"},
        "observed": value,
        "condition": {"op": "lte", "low": None, "high": 0.15, "phrase": "at most {high}"},
        "unit": "1",
        "start": format_time(end - DAY),
        "end": format_time(end),
        "step_s": DAY.total_seconds(),
        "details": {"mean": value, "baseline_mean": 0.1},
        "version": "2.0.0",
        "next": "Look.",
    }
    return verdict(day, since=FIRST.end, observed=value, limit=0.15, facts=facts)


def test_a_resolved_alert_keeps_how_long_it_lasted_and_the_worst_of_it():
    fired = [told(0.2, 0), told(0.6, 1), told(0.4, 2)]
    (alert,), _ = replay(*fired)
    change = alerts_for([alert], [verdict(3, Word.PASS, State.OK, "")], fired[-1:], lambda _: fired)
    (over,) = change.resolved
    assert over.facts["worst"]["observed"] == 0.6
    assert over.finding == alert.finding
    assert over.explanation == (
        "Resolved: Art. 15: Image drift. Part 2 (input photo). Within the limit again on 15 Jan 2026; seen 3 windows, 12 Jan "
        "2026 to 14 Jan 2026. Worst, on 13 Jan 2026: the distribution of brightness moved away from the baseline (PSI 0.6); "
        "limit: at most 0.15 (mean 0.6 then, 0.1 in the baseline). Next: Write down what caused it, and what was done about "
        "the inferences of that time."
    )
    (without,) = alerts_for([alert], [verdict(3, Word.PASS, State.OK, "")]).resolved
    assert without.facts["worst"]["observed"] == 0.4


def test_a_renewed_alert_keeps_the_worst_so_far():
    fired = [told(0.6, 0), told(0.2, 1)]
    (alert,), _ = replay(fired[0])
    (again,) = alerts_for([alert], [fired[1]], fired[:1], lambda _: fired[:1]).renewed
    assert (again.facts["observed"], again.facts["worst"]["observed"], again.facts["version"]) == (0.2, 0.6, "2.0.0")
    assert again.explanation.startswith(
        "Art. 15: Image drift. Part 2 (input photo): the distribution of brightness moved"
    )
    assert again.explanation.endswith("Next: Look.")


def test_alerts_about_one_change_share_a_finding():
    first, second = told(0.6, 0), told(0.5, 0)
    other = verdict(0, control="another", input="clip", kind="audio", modality="audio")
    beside = replace(second, control="image-of-another-pack")
    opened = alerts_for([], [first, beside, other]).opened
    assert opened[0].finding == opened[1].finding != opened[2].finding
    later = alerts_for([opened[0]], [replace(told(0.5, 1), control="third")]).opened
    assert [alert.finding for alert in later] == [opened[0].finding]


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
    waiting = verdict(0, Word.WARN, State.PENDING, "pending")
    (alert,) = alerts_for([], [verdict(1)], [waiting]).opened
    assert (alert.since, alert.opened) == (FIRST.end, FIRST.end + DAY)


def test_an_alert_about_pairs_says_whether_the_inputs_changed_by_themselves():
    pairing = verdict(0, kind="alignment", input=None)
    photo = verdict(0, Word.PASS, State.OK, "", input="photo", control="image")
    clip = verdict(0, Word.PASS, State.OK, "", input="clip", control="audio", kind="audio")
    (alert,) = alerts_for([], [pairing, photo, clip]).opened
    assert alert.facts["inputs"] == {"still": ["clip", "photo"]}
    well = verdict(1, Word.PASS, State.OK, "", kind="alignment", input=None)
    (over,) = alerts_for([alert], [well], history=lambda _: [pairing, photo, clip]).resolved
    assert over.facts["inputs"] == {"still": ["clip", "photo"]}
    moved = verdict(0, input="clip", control="audio", kind="audio")
    silent = verdict(0, Word.INSUFFICIENT_EVIDENCE, State.OK, "no_data", input="note", control="text", kind="text")
    found = inputs_alone([pairing, photo, moved, silent])
    assert found == {"moved": ["clip"], "unknown": ["note"], "still": ["photo"]}
    assert inputs_alone([pairing, photo, moved], ["photo"]) == {"still": ["photo"]}
    assert inputs_alone([pairing]) == {}
