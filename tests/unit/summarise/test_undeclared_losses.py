"""Declared calls are at rest or lost by reason, in the hour and version they belong to; nothing else is added to them."""

from collections import Counter
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.audit.summarise import summarise_hours
from auditor.core.codec import encode_state
from auditor.core.frame import Frame
from auditor.core.record import CaptureTally, ModelRef
from auditor.core.state import Tally
from auditor.core.window import HOUR, to_us
from auditor.statistics.sequence_gaps import NOTHING, DeclaredCounts, reconcile_session
from auditor.testing.factories import MODEL, START
from auditor.testing.synthetic import make_rows

FRAME = Frame(MODEL)


def traffic(n=60, keep=None):
    rows = make_rows(n, seed=1, span=2 * HOUR)
    rows = replace(rows, session=np.full(n, "s", object), fork=np.zeros(n, np.int64), seq=np.arange(n, dtype=np.int64))
    return rows if keep is None else rows.take(np.asarray(keep))


def tallies(rows, *, dropped=0):
    hour = rows.time_us // (3600 * 1_000_000)
    found = []
    for index in range(2):
        inside = hour == to_us(START + index * HOUR) // (3600 * 1_000_000)
        found.append(
            CaptureTally(
                model=ModelRef(name=MODEL, version="1.0.0"),
                session="s",
                fork=0,
                start=START + index * HOUR,
                end=START + (index + 1) * HOUR,
                seen=int(inside.sum()) + dropped,
                described=int(inside.sum()),
                delivered=int(inside.sum()),
                dropped={"queue_full": dropped} if dropped else {},
                last_seq=int(rows.seq[inside].max()),
            )
        )
    return found


def counted(rows, said):
    hours = [START, START + HOUR]
    states = summarise_hours(rows, FRAME, hours, (), said)
    each = [state for hour in hours for state in summarise_hours(rows, FRAME, [hour], (), said)]
    assert list(map(encode_state, states)) == list(map(encode_state, each)), "an hour alone gives the same"
    total = Tally()
    for state in states:
        total = total.merge(state.tally)
    return total


def test_all_there_or_declared_lost_is_no_other_loss():
    rows = traffic()
    assert counted(rows, tallies(rows)).at_rest == 60
    total = counted(rows, tallies(rows, dropped=7))
    assert (total.seen, total.at_rest, total.undeclared) == (74, 60, 0)
    assert total.dropped == {"queue_full": 14}
    assert counted(make_rows(30, seed=1), ()) == Tally(), "files have no agent"


def test_delivered_records_that_are_not_at_rest_are_lost():
    rows = traffic()
    total = counted(traffic(keep=np.setdiff1d(np.arange(60), [3, 4, 50])), tallies(rows))
    assert (total.at_rest, total.dropped) == (57, {"lost_after_delivery": 3})
    total = counted(traffic(keep=np.arange(0)), tallies(rows))
    assert (total.at_rest, total.dropped) == (0, {"lost_after_delivery": 60})


def test_records_after_the_last_declaration_are_undeclared_and_so_are_the_gaps_before_them():
    kept = np.setdiff1d(np.arange(60), [10, 11, 12])
    total = counted(traffic(keep=kept), ())
    assert (total.seen, total.undeclared) == (0, 60)
    rows = traffic()
    first, _ = tallies(rows)
    cut = int(first.last_seq)
    total = counted(traffic(keep=np.setdiff1d(np.arange(60), [cut + 5, cut + 6])), [first])
    assert (total.seen, total.at_rest, total.undeclared, total.dropped) == (cut + 1, cut + 1, 59 - cut, {})


def test_a_record_that_intake_refused_is_a_loss_of_its_session_and_declares_nothing():
    rows = traffic()
    refused = replace(tallies(rows)[0], seen=0, described=0, delivered=0, dropped={"refused": 2}, last_seq=4)
    total = counted(traffic(keep=np.setdiff1d(np.arange(60), [3, 4])), [*tallies(rows), refused])
    assert (total.seen, total.at_rest, total.dropped) == (60, 58, {"refused": 2})
    alone = counted(traffic(keep=np.arange(10, 20)), [refused])
    assert (alone.seen, alone.at_rest, alone.undeclared) == (0, 0, 10)


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(st.sets(st.integers(0, 40)), st.integers(-1, 40), st.integers(0, 41), st.integers(0, 10))
def test_nothing_is_negative_and_declared_calls_are_at_rest_or_lost(seqs, last, delivered, dropped):
    seq = np.array(sorted(seqs), np.int64)
    said = DeclaredCounts(Counter({"1": delivered + dropped}), Counter({"1": dropped}), last=last)
    found = reconcile_session(seq, ["1"] * len(seq), said).get("1", NOTHING)
    assert min(found) >= 0
    assert found.at_rest + found.gone + dropped >= delivered
    assert found.at_rest + found.undeclared >= len(seqs)
