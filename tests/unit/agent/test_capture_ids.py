"""Ids and the decision that follows from them."""

from __future__ import annotations

import uuid

from auditor.agent.ids import new_id
from auditor.agent.recorder import Recorder
from auditor.core.identity import hash64
from auditor.core.record import ModelRef


def test_ids_are_unique_uuids_of_version_7_in_order_of_time() -> None:
    ids = [new_id(1_700_000_000_000 + n // 100) for n in range(5000)]
    assert len(set(ids)) == 5000
    parsed = uuid.UUID(ids[0])
    assert parsed.version == 7
    assert parsed.variant == uuid.RFC_4122
    assert parsed.int >> 80 == 1_700_000_000_000
    assert ids[0] < ids[-1]


def test_the_choice_is_the_hash_against_the_rate() -> None:
    recorder = Recorder(
        ModelRef(name="m"),
        clock=None,
        block_when_full=False,
        limit=10,
        limit_bytes=10,
        metered=False,
        has_destination=True,
    )
    ids = [new_id(5) for _ in range(4000)]
    for rate in (1e-3, 0.25, 0.9):
        recorder.set_rate(rate)
        assert [recorder.chooses(i) for i in ids] == [hash64(i) < int(rate * 2**64) for i in ids]
    recorder.set_rate(0.25)
    assert 900 < sum(map(recorder.chooses, ids)) < 1100
    recorder.set_rate(1.0)
    assert all(map(recorder.chooses, ids))
