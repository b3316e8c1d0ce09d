"""The official `openai` client, watched, against a provider on loopback that speaks its wire format."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
from typing import Any

import pytest

openai = pytest.importorskip("openai", reason="openai is not installed")

from provider_server import base64_of, data_uri, png, wav  # noqa: E402

from auditor.core.errors import ConfigurationError  # noqa: E402

QUESTION = [
    {"role": "system", "content": "be short"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "what do you see and hear?"},
            {"type": "image_url", "image_url": {"url": data_uri(png(6, 5), "image/png")}},
            {"type": "input_audio", "input_audio": {"data": base64_of(wav(0.25)), "format": "wav"}},
        ],
    },
]


@pytest.fixture
def client(provider):
    with openai.OpenAI(base_url=provider.url + "/v1", api_key="x", max_retries=0) as made:
        yield made


@pytest.fixture
def agent(make_agent):
    return make_agent(name="assistant")


@pytest.fixture
def watched(agent, client):
    return agent.watch(client)


def inputs(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in record["inputs"]}


def ask(client, text: str, **options: Any):
    return client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": text}], **options)


# -- the watched client is the client ---------------------------------------------------------------------------------


def test_it_passes_for_the_original(client, watched) -> None:
    assert isinstance(watched, openai.OpenAI)
    assert type(watched).__name__ == "OpenAI"
    assert watched is not client
    assert watched.base_url == client.base_url
    assert isinstance(watched.chat.completions, type(client.chat.completions))
    assert watched.chat is watched.chat


def test_attributes_are_the_originals_in_both_directions(client, watched) -> None:
    client.api_key = "rotated"
    assert watched.api_key == "rotated"
    watched.max_retries = 5
    assert client.max_retries == 5
    assert watched._client is client._client


def test_the_original_is_not_watched(agent, client, watched, records) -> None:
    ask(watched, "hello")
    ask(client, "hello")
    assert len(records(agent)) == 1
    assert type(client) is openai.OpenAI


def test_unwatching_gives_the_original_back(agent, client, watched, records) -> None:
    assert agent.unwatch(watched) is client
    ask(watched, "hello")
    ask(watched.with_options(timeout=5), "hello")
    assert records(agent) == []


def test_subclasses_and_azure_are_watched(agent, provider, records) -> None:
    azure = openai.AzureOpenAI(
        azure_endpoint=provider.url, api_key="x", api_version="2024-10-21", max_retries=0, base_url=None
    )
    assert isinstance(agent.watch(azure), openai.AzureOpenAI)

    class Ours(openai.OpenAI):
        pass

    ours = agent.watch(Ours(base_url=provider.url + "/v1", api_key="x"))
    ask(ours, "hello")
    assert isinstance(ours, Ours)
    assert len(records(agent)) == 1


def test_options_of_other_adapters_are_refused(agent, client) -> None:
    with pytest.raises(ConfigurationError, match="branches"):
        agent.watch(client, branches={})


# -- chat -------------------------------------------------------------------------------------------------------------


def test_a_multimodal_chat_is_one_record(agent, watched, records) -> None:
    answer = watched.chat.completions.create(model="gpt-4o", messages=QUESTION)
    assert answer.choices[0].message.content == "two cats"
    (record,) = records(agent)
    found = inputs(record)
    assert {name: entry["modality"] for name, entry in found.items()} == {
        "prompt": "text",
        "image": "image",
        "audio": "audio",
        "system": "text",
    }
    assert all("error" not in entry for entry in found.values())
    assert found["prompt"]["descriptors"]["words"] == 6
    assert (found["image"]["descriptors"]["width"], found["image"]["descriptors"]["height"]) == (6, 5)
    assert found["audio"]["descriptors"]["duration_s"] == pytest.approx(0.25)
    assert record["model"] == {"name": "assistant", "version": "gpt-4o-2024-08-06"}
    output = record["output"]
    assert output["tokens"] == {"input": 11, "output": 2}
    assert (output["finish"], output["refused"]) == ("stop", False)
    assert output["text"]["descriptors"]["chars"] == 8
    assert 0 < record["latency_s"] < 5
    assert "two cats" not in str(record)


def test_nothing_that_was_said_leaves(agent, watched, records, transport) -> None:
    ask(watched, "echo my name is Zebedee Quux")
    records(agent)
    assert not any(b"Zebedee" in payload for _, payload in transport.frames)


def test_a_conversation_is_split_into_its_present_turn_and_its_history(agent, watched, records) -> None:
    messages = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "one"},
        {"role": "user", "content": "second and third"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": "42", "tool_call_id": "t"},
    ]
    watched.chat.completions.create(model="gpt-4o", messages=messages)
    messages.append({"role": "assistant", "content": "appended before the worker looked"})
    (record,) = records(agent)
    found = inputs(record)
    assert set(found) == {"prompt", "tool", "history"}
    assert found["prompt"]["descriptors"]["words"] == 3
    assert found["history"]["descriptors"]["chars"] == len("first\none")


def test_a_long_history_is_one_input(agent, watched, records) -> None:
    messages = [{"role": role, "content": "x"} for _ in range(40) for role in ("user", "assistant")]
    watched.chat.completions.create(model="gpt-4o", messages=[*messages, {"role": "user", "content": "now"}])
    (record,) = records(agent)
    assert set(inputs(record)) == {"prompt", "history"}


def test_many_pictures_are_bounded_and_the_bound_is_noted(agent, watched, records) -> None:
    picture = {"type": "image_url", "image_url": {"url": data_uri(png(6, 5), "image/png")}}
    watched.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": [picture] * 10}])
    (record,) = records(agent)
    assert set(inputs(record)) == {"image", *(f"image-{number}" for number in range(2, 9))}
    assert agent.stats()["notes"] == {"parts_left_out": 1}


def test_an_address_is_not_fetched(agent, watched, records) -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": "https://pictures.example/cat.png"}},
        {"type": "text", "text": "what?"},
        {"type": "file", "file": {"file_data": data_uri(b"%PDF", "application/pdf"), "filename": "a.pdf"}},
    ]
    watched.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": parts}])
    found = inputs(records(agent)[0])
    assert set(found) == {"image", "prompt", "file"}
    assert found["image"]["error"] == "remote"
    assert found["file"]["error"] == "unsupported_file"


def test_a_damaged_file_is_an_error_of_its_input(agent, watched, records) -> None:
    parts = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,!!!"}}]
    watched.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": parts}])
    assert inputs(records(agent)[0])["image"]["error"] in ("decode_failed", "empty")


def test_a_refusal_is_an_answer(agent, watched, records) -> None:
    assert ask(watched, "refuse this").choices[0].message.refusal
    assert records(agent)[0]["output"]["refused"] is True


def test_the_providers_error_is_the_callers(agent, watched, records) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        ask(watched, "overload")
    assert caught.value.status_code == 429
    (record,) = records(agent)
    assert record["output"] == {"error": "RateLimitError"}
    assert record["model"]["version"] == "gpt-4o"  # nobody answered: what was asked for


def test_an_error_counts_for_the_version_that_answered_before(agent, watched, records) -> None:
    ask(watched, "hello")
    with pytest.raises(openai.RateLimitError):
        ask(watched, "overload")
    assert [record["model"]["version"] for record in records(agent)] == ["gpt-4o-2024-08-06"] * 2


def test_retries_are_one_call(agent, client, provider, records) -> None:
    watched = agent.watch(client).with_options(max_retries=1)
    seen = len(provider.seen)
    with pytest.raises(openai.RateLimitError):
        ask(watched, "overload")
    assert len(provider.seen) == seen + 2
    assert len(records(agent)) == 1


def test_a_version_of_the_deployment_overrules(agent, client, records) -> None:
    ask(agent.watch(client, version="prompt-7"), "hello")
    assert records(agent)[0]["model"]["version"] == "prompt-7"


def test_an_answer_may_be_a_label_or_a_value(agent, client, records) -> None:
    ask(agent.watch(client, output="label"), "echo cat ")
    ask(agent.watch(client, output="value"), "echo 0.25")
    first, second = records(agent)
    assert first["output"]["label"] == "cat"
    assert second["output"]["value"] == 0.25
    assert "text" not in first["output"]


def test_extract_and_groups_see_the_librarys_objects(agent, client, records) -> None:
    watched = agent.watch(
        client,
        extract=lambda answer: {"label": answer.choices[0].message.content},
        groups=lambda model, **rest: {"asked": model},
    )
    with agent.context(subject="s-1", id="call-1"):
        ask(watched, "hello")
    (record,) = records(agent)
    assert record["output"]["label"] == "two cats"
    assert record["groups"] == {"asked": "gpt-4o"}
    assert (record["id"], record["subject"]) == ("call-1", "s-1")


def test_declared_inputs_are_missing_when_they_are_not_sent(agent, client, records) -> None:
    watched = agent.watch(client, inputs={"prompt": "text", "image": "image"})
    ask(watched, "hello")
    watched.chat.completions.create(model="gpt-4o", messages=QUESTION)
    first, second = map(inputs, records(agent))
    assert first["image"]["missing"] is True
    assert set(second) == {"prompt", "image"}
    assert "missing" not in second["image"]


def test_redaction_sees_decoded_payloads(make_agent, client, transport, records) -> None:
    seen = {}

    def redact(name: str, modality: str | None, value: Any) -> Any:
        seen[name] = value
        return None if modality == "image" else value

    agent = make_agent(redact=redact)
    agent.watch(client).chat.completions.create(model="gpt-4o", messages=QUESTION)
    assert inputs(records(agent)[0])["image"]["error"] == "withheld"
    assert seen["image"] == png(6, 5)
    assert seen["audio"] == wav(0.25)


def test_calls_that_are_not_chosen_are_counted_by_version(make_agent, client, transport) -> None:
    agent = make_agent()
    agent._recorder.set_rate(0.0)
    watched = agent.watch(client)
    assert ask(watched, "hello").choices
    assert list(ask(watched, "hello", stream=True))
    assert agent.flush(10)
    assert agent.stats()["dropped"] == {"sampled": 2}
    assert any(b"gpt-4o-2024-08-06" in payload for payload in transport.of("tally"))


def test_requests_that_are_no_inference_are_not_seen(agent, watched, records) -> None:
    assert [model.id for model in watched.models.list()] == ["gpt-4o"]
    assert records(agent) == []


# -- streams ----------------------------------------------------------------------------------------------------------


def test_a_stream_is_one_record_with_its_time_to_the_first_token(agent, watched, provider, records) -> None:
    provider.chunk_s = 0.03
    try:
        stream = ask(watched, "hello", stream=True, stream_options={"include_usage": True})
        assert isinstance(stream, openai.Stream)
        chunks = list(stream)
    finally:
        provider.chunk_s = 0.0
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "two cats"
    (record,) = records(agent)
    output = record["output"]
    assert (output["finish"], output["refused"], output["tokens"]) == ("stop", False, {"input": 11, "output": 2})
    assert output["text"]["descriptors"]["words"] == 2
    assert record["model"]["version"] == "gpt-4o-2024-08-06"
    assert 0.02 < record["first_token_s"] < record["latency_s"]  # the head of the stream is no token


def test_a_stream_without_usage_has_no_tokens(agent, watched, records) -> None:
    list(ask(watched, "hello", stream=True))
    assert "tokens" not in records(agent)[0]["output"]


def test_a_refused_stream(agent, watched, records) -> None:
    list(ask(watched, "refuse", stream=True))
    assert records(agent)[0]["output"]["refused"] is True


@pytest.mark.parametrize("how", ["close", "with", "drop"])
def test_a_stream_that_is_left_is_recorded_as_abandoned(how: str, agent, watched, records) -> None:
    stream = ask(watched, "hello", stream=True)
    if how == "with":
        with stream:
            next(stream)
    else:
        next(stream)
        next(stream)
    if how == "close":
        stream.close()
    del stream
    gc.collect()
    (record,) = records(agent)
    assert record["output"]["finish"] == "abandoned"
    assert record["model"]["version"] == "gpt-4o-2024-08-06"


def test_a_stream_that_nobody_reads_counts(agent, watched, records) -> None:
    ask(watched, "hello", stream=True)
    gc.collect()
    assert len(records(agent)) == 1


def test_the_stream_helper_is_watched(agent, watched, records) -> None:
    with watched.chat.completions.stream(model="gpt-4o", messages=QUESTION) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "content.done" in events
    assert final.choices[0].message.content == "two cats"
    (record,) = records(agent)
    assert record["output"]["finish"] == "stop"
    assert "image" in inputs(record)


def test_parse_is_watched(agent, watched, records) -> None:
    from pydantic import BaseModel

    class Seen(BaseModel):
        animals: int

    answer = watched.chat.completions.parse(
        model="gpt-4o", messages=[{"role": "user", "content": 'echo {"animals": 2}'}], response_format=Seen
    )
    assert answer.choices[0].message.parsed == Seen(animals=2)
    assert len(records(agent)) == 1


# -- copies and raw responses -----------------------------------------------------------------------------------------


def test_copies_are_watched(agent, watched, records) -> None:
    for copy in (watched.with_options(timeout=5), watched.copy(max_retries=1), watched.with_options().with_options()):
        assert isinstance(copy, openai.OpenAI)
        ask(copy, "hello")
    assert len(records(agent)) == 3


def test_a_raw_response_is_the_callers_and_recorded(agent, watched, records) -> None:
    raw = watched.chat.completions.with_raw_response.create(model="gpt-4o", messages=QUESTION)
    assert raw.status_code == 200
    assert raw.parse() is raw.parse()
    assert raw.parse().choices[0].message.content == "two cats"
    stream = watched.with_raw_response.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True).parse()
    assert len(list(stream)) == 4
    first, second = records(agent)
    assert first["output"]["tokens"] == {"input": 11, "output": 2}
    assert second["output"]["finish"] == "stop"


def test_a_streamed_raw_response_is_read_by_nobody_but_the_caller(agent, watched, records) -> None:
    create = watched.chat.completions.with_streaming_response.create
    with create(model="gpt-4o", messages=QUESTION) as response:
        assert not response.is_closed
        assert response.parse().choices[0].message.content == "two cats"
    with create(model="gpt-4o", messages=QUESTION) as response:
        assert b"two cats" in b"".join(response.iter_bytes())
    with create(model="gpt-4o", messages=QUESTION, stream=True) as response:
        assert len(list(response.parse())) == 4
    parsed, raw, streamed = records(agent)
    assert parsed["output"]["finish"] == "stop"
    assert "output" not in raw  # the caller read bytes: what they said is not known
    assert raw["latency_s"] > 0
    assert streamed["output"]["text"]["descriptors"]["words"] == 2


# -- the other endpoints ----------------------------------------------------------------------------------------------


def test_responses(agent, watched, records) -> None:
    answer = watched.responses.create(
        model="gpt-4o",
        instructions="be short",
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "what?"},
                    {"type": "input_image", "image_url": data_uri(png(), "image/png"), "detail": "auto"},
                ],
            },
            {"type": "function_call_output", "call_id": "c", "output": "42"},
        ],
    )
    assert answer.output_text == "two cats"
    (record,) = records(agent)
    assert set(inputs(record)) == {"prompt", "image", "system", "tool"}
    output = record["output"]
    assert (output["finish"], output["tokens"]) == ("completed", {"input": 9, "output": 2})
    assert record["model"]["version"] == "gpt-4o-2024-08-06"


def test_responses_refused(agent, watched, records) -> None:
    watched.responses.create(model="gpt-4o", input="refuse")
    assert records(agent)[0]["output"]["refused"] is True


def test_streamed_responses(agent, watched, records) -> None:
    list(watched.responses.create(model="gpt-4o", input="hi", stream=True))
    with watched.responses.stream(model="gpt-4o", input="hi") as stream:
        assert stream.get_final_response().output_text == "two cats"
    left = watched.responses.create(model="gpt-4o", input="hi", stream=True)
    for event in left:
        if event.type == "response.output_text.delta":
            break
    left.close()
    whole, helped, abandoned = records(agent)
    assert whole["output"] == helped["output"]
    assert whole["output"]["tokens"] == {"input": 9, "output": 2}
    assert whole["first_token_s"] <= whole["latency_s"]
    assert abandoned["output"]["finish"] == "abandoned"
    assert abandoned["output"]["text"]["descriptors"]["chars"] == 3  # "two"
    assert abandoned["model"]["version"] == "gpt-4o-2024-08-06"


def test_embeddings_carry_their_vectors_and_encoder(agent, watched, records) -> None:
    answer = watched.embeddings.create(model="embed-small", input=["a cat", "a dog"])
    assert answer.data[1].embedding == [1.0, 2.0, 3.0, 4.0]
    found = inputs(records(agent)[0])
    assert found["prompt"]["embedding"] == [0.0, 1.0, 2.0, 3.0]
    assert found["prompt-2"]["embedding"] == [1.0, 2.0, 3.0, 4.0]
    assert found["prompt"]["encoder"] == "embed-small-1"


def test_tokens_are_no_text(agent, watched, records) -> None:
    watched.embeddings.create(model="embed-small", input=[[1, 2], [3]])
    assert inputs(records(agent)[0])["prompt"]["error"] == "tokenised"


def test_generated_pictures_are_inputs_called_generated(agent, watched, records) -> None:
    answer = watched.images.generate(model="gpt-image-1", prompt="a grey square", n=2)
    assert base64.b64decode(answer.data[0].b64_json) == png(8, 8, 40)
    watched.images.generate(model="dall-e-2", prompt="a grey square", response_format="url")
    list(watched.images.generate(model="gpt-image-1", prompt="a grey square", stream=True, partial_images=1))
    made, remote, streamed = map(inputs, records(agent))
    assert set(made) == {"prompt", "generated", "generated-2"}
    assert made["generated"]["descriptors"]["width"] == 8
    assert made["generated"]["descriptors"]["brightness"] < made["generated-2"]["descriptors"]["brightness"]
    assert remote["generated"]["error"] == "remote"
    assert streamed["generated"]["descriptors"]["width"] == 8


def test_an_edited_picture_goes_in_and_comes_out(agent, watched, records) -> None:
    watched.images.edit(model="gpt-image-1", image=("a.png", png(6, 6)), prompt="make it darker")
    (record,) = records(agent)
    assert set(inputs(record)) == {"prompt", "image", "generated"}
    assert inputs(record)["image"]["descriptors"]["width"] == 6
    assert record["model"]["version"] == "gpt-image-1"


@pytest.mark.parametrize("form", ["tuple", "bytes", "buffer", "file", "path"])
def test_a_transcription_takes_its_sound_in_any_form(form: str, agent, watched, provider, records, tmp_path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(0.5))
    given: Any = {"tuple": ("a.wav", wav(0.5)), "bytes": wav(0.5), "buffer": io.BytesIO(wav(0.5)), "path": path}.get(
        form
    )
    if form == "file":
        given = path.open("rb")
    assert watched.audio.transcriptions.create(model="whisper-1", file=given).text == "seven"
    if form == "file":
        given.close()
    assert provider.seen[-1][1]["file"][2] == len(wav(0.5))  # all of it was sent
    (record,) = records(agent)
    assert inputs(record)["audio"]["descriptors"]["duration_s"] == pytest.approx(0.5)
    assert record["output"]["text"]["descriptors"]["chars"] == 5
    assert record["output"]["tokens"] == {"input": 14, "output": 1}


def test_transcriptions_as_text_as_stream_and_in_detail(agent, watched, records) -> None:
    create = watched.audio.transcriptions.create
    assert create(model="whisper-1", file=("a.wav", wav()), response_format="text").strip('"') == "seven"
    assert create(model="whisper-1", file=("a.wav", wav()), response_format="verbose_json").duration == 0.5
    assert [event.type for event in create(model="gpt-4o-transcribe", file=("a.wav", wav()), stream=True)]
    assert [record["output"]["text"]["descriptors"]["chars"] for record in records(agent)] == [5, 5, 5]


def test_speech_and_legacy_completions(agent, watched, records) -> None:
    sound = watched.audio.speech.create(model="tts-1", voice="alloy", input="seven")
    assert sound.read() == wav()
    watched.completions.create(model="instruct", prompt="say")
    spoken, completed = records(agent)
    assert inputs(spoken)["generated-audio"]["descriptors"]["rate_hz"] == 8000
    assert completed["output"]["finish"] == "length"


# -- the asynchronous client ------------------------------------------------------------------------------------------


def test_the_asynchronous_client(agent, provider, records) -> None:
    async def converse() -> None:
        async with openai.AsyncOpenAI(base_url=provider.url + "/v1", api_key="x", max_retries=0) as client:
            watched = agent.watch(client)
            assert isinstance(watched, openai.AsyncOpenAI)
            assert watched.with_options(timeout=3).base_url == client.base_url
            both = await asyncio.gather(
                watched.chat.completions.create(model="gpt-4o", messages=QUESTION),
                watched.with_options(timeout=9).embeddings.create(model="embed-small", input="a"),
            )
            assert both[0].choices[0].message.content == "two cats"
            stream = await ask(watched, "hello", stream=True, stream_options={"include_usage": True})
            assert isinstance(stream, openai.AsyncStream)
            assert len([chunk async for chunk in stream]) == 5
            async with watched.chat.completions.stream(model="gpt-4o", messages=QUESTION) as helper:
                assert (await helper.get_final_completion()).choices[0].message.content == "two cats"
            raw = await watched.chat.completions.with_raw_response.create(model="gpt-4o", messages=QUESTION)
            assert raw.parse().choices[0].message.content == "two cats"
            create = watched.chat.completions.with_streaming_response.create
            async with create(model="gpt-4o", messages=QUESTION) as response:
                assert (await response.parse()).choices[0].message.content == "two cats"
            with pytest.raises(openai.RateLimitError):
                await ask(watched, "overload")
            left = await ask(watched, "hello", stream=True)
            async for _ in left:
                break
            await left.close()

    asyncio.run(converse())
    found = records(agent)
    assert len(found) == 8
    assert sum(record["output"].get("finish") == "stop" for record in found) == 5
    assert sum(record["output"].get("finish") == "abandoned" for record in found) == 1
    assert sum(record["output"].get("error") == "RateLimitError" for record in found) == 1
    assert all(record["latency_s"] > 0 for record in found)


def test_a_cancelled_call_is_recorded_and_stays_cancelled(agent, provider, records) -> None:
    async def converse() -> None:
        async with openai.AsyncOpenAI(base_url=provider.url + "/v1", api_key="x", max_retries=0) as client:
            task = asyncio.create_task(ask(agent.watch(client), "hello"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(converse())
    assert records(agent)[0]["output"] == {"error": "CancelledError"}


# -- the agent's own failures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["parts", "answer", "version", "model"])
def test_a_failing_reader_never_reaches_the_caller(place: str, agent, watched, monkeypatch, swallowed, records) -> None:
    from auditor.adapters.apis import openai_endpoints

    swallowed.expect()

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise ValueError("broken")

    monkeypatch.setattr(openai_endpoints.CHAT, place, broken, raising=False)
    assert ask(watched, "hello").choices[0].message.content == "two cats"
    assert len(list(ask(watched, "hello", stream=True))) == 4
    records(agent)  # the books balance
    assert agent.stats()["seen"] == 2
    assert agent.stats()["internal_errors"]


def test_an_endpoint_that_imitates_sends_less(agent, provider, records) -> None:
    """A server that leaves out usage, finish reasons and ids is an endpoint, too."""
    from auditor.adapters.apis.openai_endpoints import CHAT

    assert CHAT.answer({"choices": []})["text"] is None
    assert CHAT.answer({"choices": [{"message": {"content": [{"type": "text", "text": "a"}]}}]})["text"] == "a"
    assert CHAT.stream_answer([{}])["finish"] is None
    assert CHAT.version({}) is None
