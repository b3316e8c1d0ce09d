"""Records that vanished without anybody saying so are counted, in the hour and version they belong to; nothing else is."""

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
from auditor.statistics.sequence_gaps import Said, undeclared
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


def missing(rows, said):
    hours = [START, START + HOUR]
    states = summarise_hours(rows, FRAME, hours, (), said)
    each = [state for hour in hours for state in summarise_hours(rows, FRAME, [hour], (), said)]
    assert list(map(encode_state, states)) == list(map(encode_state, each)), "an hour alone gives the same"
    total = Tally()
    for state in states:
        total = total.merge(state.tally)
    return total.undeclared


def test_all_there_or_owned_up_to_is_no_loss():
    rows = traffic()
    assert missing(rows, tallies(rows)) == 0
    assert missing(rows, tallies(rows, dropped=7)) == 0
    assert missing(make_rows(30, seed=1), ()) == 0, "files have no agent"


def test_delivered_records_that_are_not_at_rest_are_missing():
    rows = traffic()
    kept = np.setdiff1d(np.arange(60), [3, 4, 50])
    assert missing(traffic(keep=kept), tallies(rows)) == 3
    assert missing(traffic(keep=np.arange(0)), tallies(rows)) == 60


def test_a_killed_process_leaves_gaps_that_nobody_owns_up_to():
    kept = np.setdiff1d(np.arange(60), [10, 11, 12])
    assert missing(traffic(keep=kept), ()) == 3
    rows = traffic()
    first, _ = tallies(rows)
    cut = int(first.last_seq)
    kept = np.setdiff1d(np.arange(60), [cut + 5, cut + 6])
    assert missing(traffic(keep=kept), [first]) == 2


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(st.sets(st.integers(0, 40)), st.integers(-1, 40), st.integers(0, 41))
def test_never_negative_and_never_more_than_there_were(seqs, last, delivered):
    seq = np.array(sorted(seqs), np.int64)
    found = undeclared(seq, ["1"] * len(seq), Said({"1": delivered}, last))
    assert all(0 < count <= 41 + delivered for count in found.values())
    assert undeclared(seq, ["1"] * len(seq), Said({"1": int((seq <= 40).sum())}, 40)) == {}
