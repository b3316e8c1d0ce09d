"""A record that intake would refuse is lost in the agent, by that reason, before it counts as delivered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from auditor.agent.transport import MemoryTransport
from auditor.core.errors import ConfigurationError
from auditor.intake.records import read_record

LONG = "x" * 3000


def many(number: int) -> dict[str, float]:
    return {f"column-{index}": 1.0 for index in range(number)}


CALLS: dict[str, Any] = {
    "a group's value": ({"groups": {"prompt": LONG}}, {"a": 1.0}),
    "a group's name": ({"groups": {LONG: "x"}}, {"a": 1.0}),
    "65 groups": ({"groups": {f"g{index}": "x" for index in range(65)}}, {"a": 1.0}),
    "a subject": ({"subject": LONG}, {"a": 1.0}),
    "a column's name": ({}, {LONG: 1.0}),
    "1001 columns": ({}, many(1001)),
    "a category": ({}, {"city": LONG}),
}


@pytest.mark.parametrize("case", CALLS)
def test_what_intake_refuses_is_lost_in_the_agent_and_the_rest_is_taken(
    case: str, make_agent: Any, transport: MemoryTransport, balanced: Any
) -> None:
    context, row = CALLS[case]
    agent = make_agent()
    model = agent.watch(lambda form: "yes", inputs={"form": "tabular"}, output="label")
    for index in range(6):
        with agent.context(**(context if index % 2 else {})):
            model(row if index % 2 else {"a": 1.0})
    assert agent.flush(10)
    stats = agent.stats()
    balanced(stats)
    assert len(transport.of("record")) == stats["delivered"]
    assert stats["delivered"] == 3 or case in ("a category", "a column's name"), stats  # describers shorten them
    assert stats["delivered"] + stats["dropped"].get("over_limit", 0) == 6
    for payload in transport.of("record"):
        read_record(payload)


def test_labels_beyond_a_limit_are_counted_by_their_code(make_agent: Any, transport: MemoryTransport) -> None:
    agent = make_agent()
    agent.label("a", LONG)
    agent.label("i" * 65, "yes")
    agent.label("b", "yes")
    assert agent.flush(10)
    assert [json.loads(payload)["id"] for payload in transport.of("label")] == ["b"]
    assert agent.stats()["labels"] == {"queued": 0, "over_limit": 1, "bad_id": 1, "delivered": 1}


def test_a_version_that_no_record_could_carry_is_refused_at_once(make_agent: Any) -> None:
    with pytest.raises(ConfigurationError):
        make_agent(version="v" * 201)
