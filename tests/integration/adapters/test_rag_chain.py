"""A multimodal RAG chain told by hand: question, passages, pictures and answer are payloads of one record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

openai = pytest.importorskip("openai", reason="openai is not installed")

PASSAGES = ("Cats sleep on the roof.", "Rain hides small animals.")
PICTURE = np.full((16, 16, 3), 180, np.uint8)


def inputs(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in record["inputs"]}


def answer(agent, client, question: str, passages: tuple[str, ...], picture: Any) -> str:
    """The chain of the how-to page, in short."""
    with agent.inference() as record:
        record.input("question", question, embedding=[1.0, 0.0])
        for rank in (1, 2):
            passage = passages[rank - 1] if rank <= len(passages) else None
            record.input(f"passage-{rank}", passage, modality="text", embedding=[0.5, 0.5] if passage else None)
        record.input("image-1", picture, modality="image")
        messages = [{"role": "system", "content": "\n".join(passages)}, {"role": "user", "content": question}]
        completion = client.chat.completions.create(model="gpt-4o", messages=messages)
        usage = completion.usage
        record.output(
            text=completion.choices[0].message.content,
            tokens={"input": usage.prompt_tokens, "output": usage.completion_tokens},
            finish=completion.choices[0].finish_reason,
        )
    return record.id


@pytest.fixture
def client(provider):
    with openai.OpenAI(base_url=provider.url + "/v1", api_key="x", max_retries=0) as made:
        yield made


def test_every_part_of_the_chain_is_in_one_record(make_agent, client, records) -> None:
    agent = make_agent(name="guide", encoder="encoder/1")
    identifier = answer(agent, client, "where do cats sleep?", PASSAGES, PICTURE)
    (record,) = records(agent)
    found = inputs(record)
    assert record["id"] == identifier
    assert {name: entry["modality"] for name, entry in found.items()} == {
        "question": "text",
        "passage-1": "text",
        "passage-2": "text",
        "image-1": "image",
    }
    assert found["image-1"]["descriptors"]["brightness"] == pytest.approx(180 / 255, rel=1e-3)
    assert found["question"]["embedding"] == [1.0, 0.0]
    assert record["model"]["encoder"] == "encoder/1"
    assert record["output"]["tokens"] == {"input": 11, "output": 2}
    assert record["latency_s"] > 0
    assert "roof" not in str(record)


def test_what_was_not_retrieved_is_missing(make_agent, client, records) -> None:
    agent = make_agent()
    answer(agent, client, "anything?", PASSAGES[:1], None)
    found = inputs(records(agent)[0])
    assert found["passage-2"]["missing"] is True
    assert found["image-1"]["missing"] is True
    assert "missing" not in found["passage-1"]


def test_a_failing_generator_leaves_what_was_retrieved(make_agent, client, records) -> None:
    agent = make_agent()
    with pytest.raises(openai.RateLimitError):
        answer(agent, client, "overload", PASSAGES, PICTURE)
    (record,) = records(agent)
    assert record["output"] == {"error": "RateLimitError"}
    assert len(record["inputs"]) == 4


def test_a_generator_with_an_agent_of_its_own_is_a_second_model(make_agent, client, records) -> None:
    agent, inner = make_agent(name="guide"), make_agent(name="generator")
    answer(agent, inner.watch(client), "where do cats sleep?", PASSAGES, PICTURE)
    records(inner)
    names = [record["model"]["name"] for record in records(agent)]
    assert sorted(names) == ["generator", "guide"]


def test_a_hugging_face_encoder_retrieves_and_its_vectors_are_recorded(make_agent, client, records) -> None:
    """The real CLIP architecture, tiny and random, as the encoder of question and pictures."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("transformers", reason="transformers is not installed")
    from tiny_models import clip, picture

    model, processor = clip()
    pictures = [picture(seed) for seed in range(3)]
    agent = make_agent(name="guide", encoder="tiny-clip/1")
    with torch.no_grad(), agent.inference() as record:
        batch = processor(text=["a cat"], images=pictures, return_tensors="pt", padding=True)
        found = model(**batch)
        nearness = found.logits_per_text[0]
        best = int(nearness.argmax())
        record.input("question", "a cat", embedding=found.text_embeds[0])
        record.input("image-1", pictures[best], modality="image", embedding=found.image_embeds[best])
        completion = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "a cat"}])
        record.output(text=completion.choices[0].message.content)
    held = inputs(records(agent)[0])
    assert held["image-1"]["embedding"] == pytest.approx(found.image_embeds[best].tolist(), rel=1e-6)
    assert len(held["question"]["embedding"]) == len(held["image-1"]["embedding"])  # one space: the pair is comparable
    assert not any("error" in entry for entry in held.values())
