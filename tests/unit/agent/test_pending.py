"""Delivery: batches in order, pauses that grow, losses by name."""

from __future__ import annotations

import time
from typing import Any

import pytest

from auditor.agent.accounts import Accounts
from auditor.agent.pending import Envelope, Pending
from auditor.agent.shield import Faults
from auditor.agent.transport import DeliveryError, MemoryTransport
from auditor.core.identity import canonical_json
from auditor.core.record import ModelRef

REF = ModelRef(name="m")


class Flaky(MemoryTransport):
    def __init__(self, *answers: Exception | None) -> None:
        super().__init__()
        self.answers = list(answers)

    def send(self, frames: Any) -> None:
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        super().send(frames)


def pending(transport: Any, **options: Any) -> Pending:
    return Pending(transport, Accounts("s", 0), Faults(), **options)


def fill(box: Pending, count: int) -> None:
    for index in range(count):
        box.add(Envelope("record", b"%d" % index, index, REF))


def test_frames_go_out_in_order_in_batches() -> None:
    box = pending(MemoryTransport(), batch=3)
    fill(box, 8)
    assert box.records == 8
    assert box.write()
    assert [int(payload) for _, payload in box.transport.frames] == list(range(8))
    assert (box.records, box.accounts.delivered) == (0, 8)


def test_a_failed_batch_waits_and_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    box = pending(Flaky(OSError(), OSError()), batch=4)
    fill(box, 6)
    for most in (0.5, 1.0):
        box.backoff.until = 0.0
        before = time.monotonic()
        assert not box.write()
        assert before + most / 2 < box.backoff.until <= time.monotonic() + most
    assert box.records == 6
    assert box.accounts.delivered == 0
    assert not box.write()
    box.backoff.until = 0.0
    assert box.write()
    assert [int(payload) for _, payload in box.transport.frames] == list(range(6))
    assert box.backoff.failures == 0


def test_what_the_other_side_asks_for_is_kept_even_at_the_end() -> None:
    box = pending(Flaky(DeliveryError("http_429", "busy", retry_after_s=7.0)))
    fill(box, 1)
    before = time.monotonic()
    assert not box.write()
    assert before + 7.0 <= box.backoff.until <= time.monotonic() + 7.0
    assert not box.write(last=True)
    box.abandon("transport_failed")
    assert box.accounts.dropped == {"transport_failed": 1}


def test_the_end_tries_once_more_inside_a_pause_of_our_own() -> None:
    box = pending(Flaky(OSError()))
    fill(box, 1)
    assert not box.write()
    assert box.write(last=True)


def test_refused_frames_are_lost_by_reason_and_the_rest_is_delivered() -> None:
    refusal = DeliveryError("refused", "two", reason="refused", permanent=True, refused=(1, 2))
    box = pending(Flaky(refusal))
    fill(box, 4)
    assert box.write()
    assert box.accounts.delivered == 2
    assert box.accounts.dropped == {"refused": 2}


def test_labels_are_counted_apart() -> None:
    box = pending(Flaky(None, DeliveryError("spool_full", "full", reason="spool_full", permanent=True)), batch=1)
    box.add(Envelope("label", b"{}"))
    box.add(Envelope("label", b"{}"))
    assert box.write()
    assert box.labels == {"delivered": 1, "spool_full": 1}
    assert box.accounts.taken == box.accounts.delivered == 0


def test_tallies_stay_until_they_are_delivered() -> None:
    box = pending(Flaky(None, OSError()))
    accounts = box.accounts
    accounts.take(3)
    accounts.drop("sampled", 10, REF, 2)
    accounts.describe(10, REF)
    box.add(Envelope("record", b"{}", 10, REF))
    assert box.write()
    tallies = accounts.tallies(closed=False, now_us=20, ref=REF)
    box.declare(tallies)
    assert not box.write()
    assert box.declaring
    accounts.take()
    accounts.drop("sampled", 10, REF)
    box.backoff.until = 0.0
    assert box.write()
    assert not box.declaring
    assert box.transport.of("tally") == [canonical_json(tally.as_json()) for tally in tallies]
    assert accounts.news
    (tally,) = tallies
    assert (tally.seen, tally.described, tally.delivered, tally.dropped, tally.last_seq) == (3, 1, 1, {"sampled": 2}, 2)


def test_refused_tallies_are_kept_and_nothing_waits_for_them() -> None:
    box = pending(Flaky(DeliveryError("spool_full", "full", reason="spool_full", permanent=True)))
    box.accounts.take()
    box.accounts.drop("sampled", 10, REF)
    box.declare(box.accounts.tallies(closed=False, now_us=20, ref=REF))
    fill(box, 1)
    assert box.write()
    assert (len(box.tallies), box.declaring, box.accounts.delivered) == (1, False, 1)
    box.retry_rejected_tallies()
    assert box.write()
    assert (len(box.tallies), len(box.transport.of("tally"))) == (0, 1)


def test_tallies_are_by_hour_and_version() -> None:
    accounts = Accounts("s", 1)
    other = ModelRef(name="m", version="2")
    for us, ref in ((0, REF), (3_599_999_999, REF), (3_600_000_000, REF), (5, other)):
        accounts.take()
        accounts.drop("queue_full", us, ref)
    found = accounts.tallies(closed=True, now_us=4_000_000_000, ref=REF)
    assert [(t.model.version, t.seen, t.start.hour, t.end.hour) for t in found[:-1]] == [
        ("", 2, 0, 1),
        ("2", 1, 0, 0),
        ("", 1, 1, 1),
    ]
    assert found[-1].closed
    assert found[-1].last_seq == 3
