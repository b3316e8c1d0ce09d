"""The official `google-genai` client, watched, against a provider on loopback that speaks Gemini's wire format."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

genai = pytest.importorskip("google.genai", reason="google-genai is not installed")

from google.genai import errors, types  # noqa: E402
from provider_server import png, wav  # noqa: E402

# google-genai subclasses a class of aiohttp's that says it should not be.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

PARTS = [
    types.Part.from_text(text="what do you see and hear?"),
    types.Part.from_bytes(data=png(6, 5), mime_type="image/png"),
    types.Part.from_bytes(data=wav(0.25), mime_type="audio/wav"),
]


@pytest.fixture
def client(provider):
    made = genai.Client(api_key="x", http_options=types.HttpOptions(base_url=provider.url))
    yield made
    made.close()


@pytest.fixture
def agent(make_agent):
    return make_agent(name="assistant")


@pytest.fixture
def watched(agent, client):
    return agent.watch(client)


def inputs(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in record["inputs"]}


def test_it_passes_for_the_original(agent, client, watched, records) -> None:
    assert isinstance(watched, genai.Client)
    assert isinstance(watched.models, type(client.models))
    assert isinstance(watched.aio, type(client.aio))
    assert isinstance(watched.chats, type(client.chats))
    assert watched.vertexai is client.vertexai
    with watched as inside:
        assert inside is watched
    assert agent.unwatch(watched) is client


def test_the_original_is_not_watched_and_survives_the_watched_one(agent, provider, records) -> None:
    client = genai.Client(api_key="x", http_options=types.HttpOptions(base_url=provider.url))
    watched = agent.watch(client)
    watched.models.generate_content(model="gemini-flash", contents="hello")
    del watched
    assert client.models.generate_content(model="gemini-flash", contents="hello").text == "two cats"
    assert len(records(agent)) == 1
    client.close()


def test_a_watched_temporary_lives_as_long_as_its_stand_in(agent, provider) -> None:
    watched = agent.watch(genai.Client(api_key="x", http_options=types.HttpOptions(base_url=provider.url)))
    assert watched.models.generate_content(model="gemini-flash", contents="hello").text == "two cats"
    watched.close()


def test_unwatching_ends_the_record(agent, client, watched, records) -> None:
    models = watched.models
    agent.unwatch(watched)
    models.generate_content(model="gemini-flash", contents="hello")
    assert records(agent) == []


def test_a_multimodal_call_is_one_record(agent, watched, records) -> None:
    answer = watched.models.generate_content(
        model="gemini-flash",
        contents=[types.Content(role="user", parts=PARTS)],
        config=types.GenerateContentConfig(system_instruction="be short", temperature=0),
    )
    assert answer.text == "two cats"
    (record,) = records(agent)
    found = inputs(record)
    assert {name: entry["modality"] for name, entry in found.items()} == {
        "prompt": "text",
        "image": "image",
        "audio": "audio",
        "system": "text",
    }
    assert found["image"]["descriptors"]["width"] == 6
    assert found["audio"]["descriptors"]["duration_s"] == pytest.approx(0.25)
    assert record["model"]["version"] == "gemini-flash-002"
    output = record["output"]
    assert output["tokens"] == {"input": 5, "output": 5}  # two of the answer, three of thoughts
    assert (output["finish"], output["refused"]) == ("STOP", False)
    assert output["text"]["descriptors"]["chars"] == 8  # thoughts are no part of the answer


@pytest.mark.parametrize(
    "contents",
    [
        ["what?", PARTS[1], PARTS[2]],
        [["what?", PARTS[1], PARTS[2]]],
        types.Content(role="user", parts=PARTS),
        {"role": "user", "parts": [{"text": "what?"}, PARTS[1], PARTS[2]]},
    ],
    ids=["list", "nested", "content", "mapping"],
)
def test_contents_in_every_form(contents: Any, agent, watched, records) -> None:
    watched.models.generate_content(model="gemini-flash", contents=contents)
    found = inputs(records(agent)[0])
    assert set(found) == {"prompt", "image", "audio"}
    assert not any("error" in entry for entry in found.values())


def test_pictures_of_pillow_are_copied_before_the_host_can_change_them(agent, watched, records) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed").new("RGB", (4, 4), "white")
    watched.models.generate_content(model="gemini-flash", contents=["what?", image])
    image.paste("black", (0, 0, 4, 4))
    assert inputs(records(agent)[0])["image"]["descriptors"]["brightness"] == pytest.approx(1.0)


def test_an_address_is_not_fetched(agent, watched, records) -> None:
    file = types.Part.from_uri(file_uri="gs://bucket/cat.png", mime_type="image/png")
    watched.models.generate_content(model="gemini-flash", contents=["what?", file])
    assert inputs(records(agent)[0])["image"]["error"] == "remote"


def test_a_stream_is_one_record(agent, watched, provider, records) -> None:
    provider.chunk_s = 0.03
    try:
        stream = watched.models.generate_content_stream(model="gemini-flash", contents=PARTS)
        text = "".join(chunk.text or "" for chunk in stream)
    finally:
        provider.chunk_s = 0.0
    assert text == "two cats"
    (record,) = records(agent)
    assert record["output"]["finish"] == "STOP"
    assert record["output"]["tokens"]["input"] == 5
    assert record["output"]["text"]["descriptors"]["chars"] == 8
    assert 0 < record["first_token_s"] < record["latency_s"]
    assert record["model"]["version"] == "gemini-flash-002"


def test_a_stream_that_is_left_is_abandoned(agent, watched, records) -> None:
    stream = watched.models.generate_content_stream(model="gemini-flash", contents="hello")
    next(stream)
    stream.close()
    (record,) = records(agent)
    assert record["output"]["finish"] == "abandoned"
    assert record["model"]["version"] == "gemini-flash-002"


def test_a_blocked_prompt_is_a_refusal(agent, watched, records) -> None:
    assert watched.models.generate_content(model="gemini-flash", contents="refuse").prompt_feedback
    output = records(agent)[0]["output"]
    assert (output["refused"], output["finish"]) == (True, "SAFETY")


def test_the_providers_error_is_the_callers(agent, watched, records) -> None:
    with pytest.raises(errors.ClientError) as caught:
        watched.models.generate_content(model="gemini-flash", contents="overload")
    assert caught.value.code == 429
    assert records(agent)[0]["output"] == {"error": "ClientError"}


def test_a_drawn_picture_is_an_input_called_generated(agent, watched, records) -> None:
    watched.models.generate_content(model="gemini-flash", contents="draw a square")
    found = inputs(records(agent)[0])
    assert found["generated"]["descriptors"]["width"] == 8


def test_embeddings_carry_their_vectors_and_encoder(agent, watched, records) -> None:
    answer = watched.models.embed_content(model="embed-small", contents=["a cat", "a dog"])
    assert answer.embeddings[1].values == [1.0, 2.0, 3.0, 4.0]
    (record,) = records(agent)
    found = inputs(record)
    assert found["prompt"]["embedding"] == [0.0, 1.0, 2.0, 3.0]
    assert found["prompt-2"]["embedding"] == [1.0, 2.0, 3.0, 4.0]
    assert found["prompt"]["encoder"] == record["model"]["version"] == "embed-small"


def test_one_vector_for_several_parts_is_an_input_of_its_own(agent, watched, records) -> None:
    watched.models.embed_content(model="embed-small", contents=types.Content(parts=PARTS[:2]))
    found = inputs(records(agent)[0])
    assert found["embedding"]["modality"] == "embedding"
    assert "embedding" not in found["prompt"]


def test_a_chat_session_counts_its_history(agent, watched, records) -> None:
    chat = watched.chats.create(model="gemini-flash")
    assert chat.send_message("echo one").text == "one"
    assert [chunk.text for chunk in chat.send_message_stream(["and this?", PARTS[1]])][-1] == " cats"
    first, second = map(inputs, records(agent))
    assert set(first) == {"prompt"}
    assert set(second) == {"prompt", "image", "history"}


def test_functions_that_the_client_calls_belong_to_the_call(agent, watched, provider, records) -> None:
    def count_cats(where: str) -> int:
        """Count the cats."""
        return 2

    sent = len(provider.seen)
    config = types.GenerateContentConfig(tools=[count_cats])
    watched.models.generate_content(model="gemini-flash", contents="call it", config=config)
    assert len(provider.seen) > sent + 1
    assert len(records(agent)) == 1


def test_the_asynchronous_client(agent, client, watched, records) -> None:
    async def converse() -> None:
        async with watched.aio as aio:
            assert isinstance(aio, type(client.aio))
            answer = await aio.models.generate_content(model="gemini-flash", contents=PARTS)
            assert answer.text == "two cats"
            stream = await aio.models.generate_content_stream(model="gemini-flash", contents=PARTS)
            assert "".join([chunk.text or "" async for chunk in stream]) == "two cats"
            embedded = await aio.models.embed_content(model="embed-small", contents="a")
            assert embedded.embeddings[0].values == [0.0, 1.0, 2.0, 3.0]
            assert (await aio.chats.create(model="gemini-flash").send_message("echo one")).text == "one"
            with pytest.raises(errors.ClientError):
                await aio.models.generate_content(model="gemini-flash", contents="overload")

    asyncio.run(converse())
    found = records(agent)
    assert [record.get("output", {}).get("finish") for record in found] == ["STOP", "STOP", None, "STOP", None]
    assert found[1]["first_token_s"] <= found[1]["latency_s"]
    assert found[-1]["output"] == {"error": "ClientError"}


def test_the_asynchronous_client_alone(agent, client, records) -> None:
    async def converse() -> None:
        await agent.watch(client.aio).models.generate_content(model="gemini-flash", contents="hello")
        await client.aio.aclose()

    asyncio.run(converse())
    assert len(records(agent)) == 1


def test_options_hold_here_too(agent, client, records) -> None:
    watched = agent.watch(client, output="label", groups=lambda model, **rest: {"asked": model}, version="prompt-7")
    watched.models.generate_content(model="gemini-flash", contents="echo cat")
    (record,) = records(agent)
    assert record["output"]["label"] == "cat"
    assert record["groups"] == {"asked": "gemini-flash"}
    assert record["model"]["version"] == "prompt-7"
