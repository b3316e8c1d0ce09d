"""Alerts follow verdicts that were revised: judged again in order, nothing is sent twice."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from auditor.audit.alerting import keeps_open
from auditor.audit.episodes import fold, settle
from auditor.core.verdict import State, Verdict, Word
from auditor.testing import make_verdict

DAY = timedelta(days=1)
FIRST = make_verdict()


def judged(words: list[bool]) -> list[Verdict]:
    """One verdict a day: whether it fails."""
    found, since = [], FIRST.end
    for day, fails in enumerate(words):
        if day and fails != words[day - 1]:
            since = FIRST.end + day * DAY
        word, state, reason = (Word.FAIL, State.FIRING, "breach") if fails else (Word.PASS, State.OK, "")
        found.append(make_verdict(start=FIRST.start + day * DAY, verdict=word, state=state, reason=reason, since=since))
    return found


def folded(verdicts):
    def past(alert, moment):
        return [v for v in verdicts if alert.opened <= v.end and v.start < moment]

    return fold([], [[v] for v in verdicts], {}, past)


class Sent:
    """The store's alerts, and each event that people were sent."""

    def __init__(self) -> None:
        self.alerts, self.events = {}, []

    def follow(self, verdicts):
        change = settle(list(self.alerts.values()), folded(verdicts), FIRST.start - DAY, verdicts[-1].end)
        for kind in ("opened", "renewed", "resolved", "amended"):
            for alert in getattr(change, kind):
                self.alerts[alert.id] = alert
                if kind in ("opened", "resolved"):
                    self.events.append((kind, alert.id))
        return change


@pytest.mark.parametrize("seed", range(100))
def test_revised_verdicts_are_followed_and_no_event_is_sent_twice(seed):
    rng = random.Random(seed)
    words, sent = [], Sent()
    for _ in range(12):
        if words and rng.random() < 0.5:
            words[rng.randrange(len(words))] ^= True
        else:
            words.append(rng.random() < 0.4)
        verdicts = judged(words)
        sent.follow(verdicts)
        again = sent.follow(verdicts)
        assert not (again.opened)
        assert not (again.renewed)
        assert not (again.resolved)
        assert not (again.amended)
        open_now = [a for a in sent.alerts.values() if a.state == "open"]
        assert [a.key for a in open_now] == [v.key for v in verdicts[-1:] if keeps_open(v)]
    assert len(set(sent.events)) == len(sent.events)
    assert {i for k, i in sent.events if k == "resolved"} == {
        i for i, a in sent.alerts.items() if a.state == "resolved"
    }


@pytest.mark.parametrize("seed", range(20))
def test_windows_that_come_in_order_give_what_all_at_once_gives(seed):
    rng = random.Random(seed)
    words = [rng.random() < 0.5 for _ in range(10)]
    sent = Sent()
    for day in range(1, 11):
        sent.follow(judged(words[:day]))
    at_once = folded(judged(words))
    assert sorted((a.opened, a.resolved) for a in at_once if a.resolved) == sorted(
        (a.opened, a.resolved) for a in sent.alerts.values() if a.resolved
    )


def test_a_failure_that_is_already_over_is_opened_and_resolved_once():
    sent = Sent()
    sent.follow(judged([False, False, False]))
    change = sent.follow(judged([False, True, False]))
    assert [a.id for a in change.opened] == [a.id for a in change.resolved]
    assert len(sent.events) == 2


def test_a_failure_that_late_records_heal_is_withdrawn():
    sent = Sent()
    (alert,) = sent.follow(judged([False, True])).opened
    (gone,) = sent.follow(judged([False, False])).resolved
    assert (gone.id, gone.resolved, gone.facts["resolution"]) == (alert.id, alert.opened, "withdrawn")
