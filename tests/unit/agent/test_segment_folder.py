"""The spool: durable segments, sealed on flush, bounded."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from auditor.agent.destination import shared_salt
from auditor.agent.transport import DeliveryError, SegmentFolder
from auditor.core.gate import parse_label, parse_record, parse_tally
from auditor.segments import adoptable, read_segment


def frames_of(spool: Path) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for folder in sorted(path for path in spool.iterdir() if path.is_dir()):
        for path in adoptable(folder):
            segment = read_segment(path)
            assert not segment.damage
            found += [(frame.kind, json.loads(frame.payload)) for frame in segment.frames]
    return found


def test_a_flush_leaves_sealed_segments_that_the_gate_accepts(tmp_path: Path, make_agent: Any) -> None:
    agent = make_agent(home=tmp_path)
    model = agent.watch(lambda note: "cat", inputs={"note": "text"}, output="label")
    with agent.context(id="one"):
        model("hello")
    agent.label("one", "dog")
    assert agent.flush(10)
    found = frames_of(tmp_path / "spool")
    assert [kind for kind, _ in found] == ["record", "label", "tally"]
    record = parse_record(found[0][1])
    assert (record.id, record.output and record.output.label) == ("one", "cat")
    assert parse_label(found[1][1]).label == "dog"
    assert parse_tally(found[2][1]).delivered == 1
    model("again")
    assert agent.close(10)
    closing = parse_tally(frames_of(tmp_path / "spool")[-1][1])
    assert closing.closed
    assert closing.last_seq == 1


def test_equal_payloads_match_across_sessions_of_a_home(tmp_path: Path, make_agent: Any) -> None:
    for _ in range(2):
        agent = make_agent(home=tmp_path)
        agent.watch(lambda note: 1)("the same words")
        assert agent.close(10)
    commitments = {data["inputs"][0]["commitment"] for kind, data in frames_of(tmp_path / "spool") if kind == "record"}
    assert len(commitments) == 1
    salt = tmp_path / "spool" / ".salt"
    assert stat.S_IMODE(salt.stat().st_mode) == 0o600
    assert shared_salt(salt) == salt.read_bytes()
    assert [path.name for path in (tmp_path / "spool").glob(".salt*")] == [".salt"]


def test_a_full_spool_refuses_the_newest_and_says_so(tmp_path: Path) -> None:
    transport = SegmentFolder(tmp_path, "s", 10_000)
    transport.send([("record", b"x" * 6000)])
    with pytest.raises(DeliveryError) as caught:
        transport.send([("record", b"x" * 6000)])
    transport.close()
    assert (caught.value.reason, caught.value.permanent) == ("spool_full", True)


def test_losses_to_a_full_spool_are_counted(
    tmp_path: Path, make_agent: Any, balanced: Any, swallowed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    swallowed.expect()
    monkeypatch.setenv("AUDITOR_AGENT_SPOOL_BYTES", "3000")
    agent = make_agent(home=tmp_path)
    model = agent.watch(lambda note: 1)
    for _ in range(30):
        model("words")
        agent.flush(10)
    stats = agent.stats()
    balanced(stats)
    assert stats["delivered"] > 0
    assert stats["dropped"]["spool_full"] > 0
    assert stats["queued"] == 0


def test_a_home_that_cannot_be_written_costs_records_and_nothing_else(
    tmp_path: Path, make_agent: Any, balanced: Any, swallowed: Any
) -> None:
    swallowed.expect()
    (tmp_path / "spool").write_text("a file where the folder should be")
    agent = make_agent(home=tmp_path)
    assert agent.watch(lambda note: 42)("x") == 42
    assert not agent.flush(1)
    balanced(agent.stats())
    agent.close(1)
    stats = agent.stats()
    balanced(stats)
    assert stats["dropped"] == {"transport_failed": 1}
