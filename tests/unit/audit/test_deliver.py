"""Delivery: rows that are committed with the audit, in order by sink and model, each key sent once."""

from datetime import timedelta
from pathlib import Path

import pytest

from auditor.audit.deliver import FIRST_WAIT, LONGEST_WAIT, MOST_FAILURES, Outbox
from auditor.core.errors import SinkError
from auditor.core.verdict import AlertChange
from auditor.core.window import DAY, Span
from auditor.testing import make_alert, make_audit, make_run, make_store
from auditor.testing.factories import MODEL, START

NOW = START + 30 * DAY


class Keeps:
    """A sink that remembers what it took, and raises what it is given."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.taken = []

    def deliver(self, audit, artifacts):
        if self.errors and (error := self.errors.pop(0)):
            raise error
        self.taken.append(audit)


class Events(Keeps):
    events = ("opened", "resolved")


def down(permanent=False):
    return SinkError("down", "the receiver is down", where="http://x", fix="wait", permanent=permanent)


def audit_of(day, model=MODEL, revision=1, **change):
    span = Span(START + day * DAY, START + (day + 1) * DAY)
    run = make_run(id=f"{model}-{day}-{revision}", model=model, span=span, revision=revision, ended=span.end)
    return make_audit(run=run, measurements=(), verdicts=(), artifacts=(), alerts=AlertChange(**change))


@pytest.fixture
def store():
    opened = make_store()
    yield opened
    opened.close()


def commit(store, sinks, *audits):
    for audit in audits:
        store.commit(audit, Outbox(store, sinks, Path()).deliveries(audit))


def flush(store, sinks, now=NOW, **options):
    outbox = Outbox(store, sinks, Path("artifacts"))
    outbox.flush(now, **options)
    return outbox.failed


def days(sink):
    return [(audit.run.model, (audit.run.span.start - START) // DAY) for audit in sink.taken]


def test_one_failing_sink_never_stops_another(store, caplog):
    sinks = {"a": Keeps(down()), "b": Keeps(), "c": Keeps(RuntimeError("surprise")), "d": Keeps()}
    commit(store, sinks, audit_of(0))
    failed = flush(store, sinks)
    assert failed == {"a": "the receiver is down; http://x; wait", "c": "RuntimeError: surprise"}
    assert [len(sink.taken) for sink in sinks.values()] == [0, 1, 0, 1]
    assert "surprise" in caplog.text
    assert [(b.sink, b.deliveries, b.since) for b in store.backlog(sinks)] == [
        ("a", 1, START + DAY),
        ("c", 1, START + DAY),
    ]
    assert flush(store, sinks) == {}
    assert [len(sink.taken) for sink in sinks.values()] == [1, 1, 1, 1]
    assert store.backlog(sinks) == []


def test_a_window_that_failed_holds_up_its_models_later_ones_alone(store):
    sink = Keeps(down())
    commit(store, {"s": sink}, audit_of(0), audit_of(1), audit_of(0, "other"), audit_of(2))
    flush(store, {"s": sink})
    assert days(sink) == [("other", 0)]
    flush(store, {"s": sink})
    assert days(sink)[1:] == [(MODEL, 0), (MODEL, 1), (MODEL, 2)]


def test_a_permanent_refusal_is_a_dead_letter_that_blocks_nothing(store):
    sinks = {"s": Keeps(down(permanent=True))}
    commit(store, sinks, audit_of(0), audit_of(1))
    assert flush(store, sinks) == {"s": "the receiver is down; http://x; wait"}
    assert days(sinks["s"]) == [(MODEL, 1)]
    assert store.backlog(sinks) == []
    (dead,) = store.backlog(sinks, dead=True)
    assert (dead.deliveries, dead.reason) == (1, "the receiver is down; http://x; wait")
    assert store.revive_deliveries("other") == 0
    assert store.revive_deliveries() == 1
    assert flush(store, sinks) == {}
    assert days(sinks["s"]) == [(MODEL, 1), (MODEL, 0)]


def test_an_event_is_sent_once_for_ever(store):
    """A window that is judged again opens the same alert again: the key is known."""
    alert = make_alert()
    sinks = {"s": Events()}
    commit(store, sinks, audit_of(0, opened=(alert,)))
    flush(store, sinks)
    commit(store, sinks, audit_of(0, revision=2, opened=(alert,)), audit_of(1, opened=(alert,)))
    flush(store, sinks)
    assert [audit.alerts.opened for audit in sinks["s"].taken] == [(alert,)]


def test_an_alert_sink_gets_each_event_by_itself_and_nothing_for_quiet_windows(store):
    first, second, over = make_alert(), make_alert(control="bias"), make_alert(control="x", state="resolved")
    sinks = {"s": Events(None, down(permanent=True))}
    commit(store, sinks, audit_of(0, opened=(first, second), renewed=(make_alert(control="y"),), resolved=(over,)))
    commit(store, sinks, audit_of(1))
    flush(store, sinks)
    assert [audit.alerts for audit in sinks["s"].taken] == [AlertChange(opened=(first,)), AlertChange(resolved=(over,))]


def test_the_scheduler_waits_longer_after_each_failure(store):
    sinks = {"s": Keeps(*[down() for _ in range(12)])}
    commit(store, sinks, audit_of(0))
    now, waits = NOW, []
    while sinks["s"].errors:
        flush(store, sinks, now, only_due=True)
        (pending,) = store.waiting("s")
        waits.append(pending.due - now)
        before = len(sinks["s"].errors)
        flush(store, sinks, pending.due - timedelta(seconds=1), only_due=True)
        assert len(sinks["s"].errors) == before, "tried before its time"
        now = pending.due
    assert waits[:3] == [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT]
    assert waits[-1] == LONGEST_WAIT
    flush(store, sinks, now, only_due=True)
    assert days(sinks["s"]) == [(MODEL, 0)]


def test_a_sink_that_is_away_costs_a_few_attempts_a_round(store):
    sinks = {"s": Keeps(*[down() for _ in range(50)])}
    commit(store, sinks, *[audit_of(0, f"m{n}") for n in range(20)])
    flush(store, sinks)
    assert len(sinks["s"].errors) == 50 - MOST_FAILURES


def test_a_delivery_that_was_sent_before_the_store_was_made_again_is_not_sent(store):
    sinks = {"s": Keeps()}
    audit = audit_of(0)
    store.commit(audit, Outbox(store, sinks, Path()).deliveries(audit), sent=sinks)
    flush(store, sinks)
    assert sinks["s"].taken == []
