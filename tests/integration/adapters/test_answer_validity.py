"""Whether answers are what their callers need, seen through a watched client, and the rate that follows."""

from __future__ import annotations

from typing import Any

import pytest

from auditor.core.errors import ConfigurationError

openai = pytest.importorskip("openai", reason="openai is not installed")


@pytest.fixture
def ask(provider: Any) -> Any:
    def with_agent(agent: Any, *texts: str, **options: Any) -> None:
        with openai.OpenAI(base_url=provider.url + "/v1", api_key="x", max_retries=0) as client:
            watched = agent.watch(client)
            for text in texts:
                message = [{"role": "user", "content": text}]
                answer = watched.chat.completions.create(model="gpt-4o", messages=message, **options)
                if options.get("stream"):
                    list(answer)

    return with_agent


def valid(found: list[dict[str, Any]]) -> list[Any]:
    return [record["output"]["text"]["descriptors"].get("valid") for record in found]


@pytest.mark.parametrize("stream", [False, True])
def test_json_is_valid_and_prose_is_not(make_agent: Any, records: Any, ask: Any, stream: bool) -> None:
    agent = make_agent(answers="json")
    ask(agent, 'echo {"cats": 2}', "echo Sure! {}", "how many?", stream=stream)
    assert valid(records(agent))[1:] == ["false", "false"]
    assert valid(records(agent))[0] == "true"


def test_nothing_is_said_unless_asked(make_agent: Any, records: Any, ask: Any) -> None:
    agent = make_agent()
    ask(agent, "how many?")
    assert valid(records(agent)) == [None]


def test_a_check_of_ones_own_may_fail(make_agent: Any, records: Any, ask: Any) -> None:
    agent = make_agent(answers=lambda text: 1 / (text != "fails") and text.isdigit())
    ask(agent, "echo 12", "echo twelve", "echo fails")
    assert valid(records(agent)) == ["true", "false", None]
    assert agent.stats()["notes"]["answer_check_failed"] == 1


def test_a_check_that_is_none_is_refused(make_agent: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_agent(answers="xml")
    assert caught.value.code == "bad_answers"
