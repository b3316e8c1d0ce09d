"""transformers models: dual encoders, classifiers and whatever generates, read back from their tensors."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("tokenizers", reason="tokenizers is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

import tiny_models as tiny  # noqa: E402 - after the libraries are known to be there

from auditor.core.errors import ConfigurationError  # noqa: E402
from auditor.core.gate import parse_record  # noqa: E402

Make = Callable[..., Any]
Made = tuple[Any, Any]


@pytest.fixture(autouse=True)
def quiet() -> None:
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()


@pytest.fixture(scope="module")
def clip() -> Made:
    return tiny.clip()


@pytest.fixture(scope="module")
def llava() -> Made:
    return tiny.llava()


def by_name(record: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry for entry in record["inputs"]}


def pairs(processor: Any, texts: list[str], images: int) -> Any:
    pictures = [tiny.picture(index) for index in range(images)]
    return processor(text=texts, images=pictures, return_tensors="pt", padding=True)


def chat(processor: Any, words: str = "what is this") -> Any:
    content = [{"type": "image", "image": tiny.picture()}, {"type": "text", "text": words}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )


def test_a_dual_encoder_gives_both_embeddings_in_one_space(make_agent: Make, records: Any, clip: Made) -> None:
    model, processor = clip
    agent = make_agent()
    watched = agent.watch(model, processor=processor)
    batch = pairs(processor, ["a photo of a cat", "a dog"], 2)
    with torch.inference_mode():
        result, expected = watched(**batch), model(**batch)
    assert type(result) is type(expected)
    assert torch.equal(result.logits_per_image, expected.logits_per_image)
    found = records(agent)
    assert len(found) == 2
    for index, record in enumerate(found):
        parse_record(record)
        inputs = by_name(record)
        assert inputs["image"]["embedding"] == pytest.approx(expected.image_embeds[index].tolist())
        assert inputs["text"]["embedding"] == pytest.approx(expected.text_embeds[index].tolist())
        assert inputs["image"]["encoder"] == inputs["text"]["encoder"]
        assert inputs["image"]["encoder"].startswith("CLIPModel#")
    assert [by_name(record)["text"]["descriptors"]["words"] for record in found] == [5.0, 2.0]
    pixels = np.asarray(tiny.picture(0)) / 255 @ [0.299, 0.587, 0.114]
    assert by_name(found[0])["image"]["descriptors"]["brightness"] == pytest.approx(pixels.mean(), abs=0.02)


def test_candidate_texts_make_a_classification(make_agent: Make, records: Any, clip: Made) -> None:
    model, processor = clip
    agent = make_agent()
    watched = agent.watch(model, processor=processor)
    with torch.inference_mode():
        result = watched(**pairs(processor, ["a cat", "a dog", "no"], 2))
        watched_again = agent.watch(model, processor=processor, paired=False)
        watched_again(**pairs(processor, ["a cat", "a dog"], 2))
    found = records(agent)
    assert len(found) == 4
    scores = result.logits_per_image.softmax(dim=1)
    for index, record in enumerate(found[:2]):
        assert record["output"]["scores"] == pytest.approx(scores[index].tolist(), rel=1e-5)
        assert record["output"]["label"] == ["a cat", "a dog", "no"][int(scores[index].argmax())]
    for record in found:
        inputs = by_name(record)
        assert "embedding" in inputs["image"]
        assert "embedding" not in inputs["text"]
        assert inputs["text"]["descriptors"]["chars"] >= len("a cat, a dog")
    assert found[3]["output"]["label"] in ("a cat", "a dog")


def test_branches_that_are_called_alone_are_seen(make_agent: Make, records: Any, clip: Made) -> None:
    model, processor = clip
    agent = make_agent()
    watched = agent.watch(model, processor=processor)
    batch = pairs(processor, ["a cat", "a dog"], 2)
    with torch.inference_mode():
        seen = watched.get_image_features(pixel_values=batch["pixel_values"])
        watched.get_text_features(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    found = records(agent)
    assert [sorted(by_name(record)) for record in found] == [["image"], ["image"], ["text"], ["text"]]
    vectors = getattr(seen, "pooler_output", seen)
    assert by_name(found[1])["image"]["embedding"] == pytest.approx(vectors[1].tolist())


def test_sound_and_text_of_clap(make_agent: Make, records: Any) -> None:
    model, processor = tiny.clap()
    agent = make_agent()
    watched = agent.watch(model, processor=processor)
    batch = processor(
        text=["a dog", "a cat"],
        audio=[tiny.tone(), tiny.tone()],
        sampling_rate=tiny.RATE,
        return_tensors="pt",
        padding=True,
    )
    with torch.inference_mode():
        result = watched(**batch)
    inputs = by_name(records(agent)[1])
    assert inputs["audio"]["embedding"] == pytest.approx(result.audio_embeds[1].tolist())
    assert inputs["text"]["embedding"] == pytest.approx(result.text_embeds[1].tolist())
    assert inputs["audio"]["error"] == "features_only"  # a spectrogram is no sound


def test_a_chat_with_a_picture(make_agent: Make, records: Any, llava: Made) -> None:
    model, processor = llava
    agent = make_agent()
    watched = agent.watch(model, processor=processor)
    batch = chat(processor)
    expected = model.generate(**batch, max_new_tokens=5, do_sample=False)
    result = watched.generate(**batch, max_new_tokens=5, do_sample=False)
    assert torch.equal(result, expected)
    seen = model.model.get_image_features(batch["pixel_values"]).pooler_output[0].mean(dim=0)
    (record,) = records(agent)
    length = batch["input_ids"].shape[1]
    words = processor.tokenizer.decode(result[0, length:], skip_special_tokens=True).strip()
    assert record["output"]["text"]["descriptors"]["chars"] == len(words)
    assert record["output"]["tokens"] == {"input": length, "output": result.shape[1] - length}
    assert record["output"]["finish"] in ("length", "stop")
    assert 0 < record["first_token_s"] <= record["latency_s"]
    inputs = by_name(record)
    assert inputs["image"]["embedding"] == pytest.approx(seen.tolist(), rel=1e-4, abs=1e-6)
    assert inputs["text"]["descriptors"]["words"] == 5.0
    with_scores = watched.generate(**batch, max_new_tokens=2, return_dict_in_generate=True, output_scores=True)
    assert with_scores.scores
    assert records(agent)[1]["output"]["tokens"]["output"] <= 2


def test_an_answer_ends_where_the_model_ended_it(make_agent: Make, records: Any, llava: Made) -> None:
    model, processor = llava
    agent = make_agent()
    watched = agent.watch(model, processor=processor)
    batch = chat(processor)
    first = int(model.generate(**batch, max_new_tokens=1, do_sample=False)[0, -1])
    watched.generate(**batch, max_new_tokens=6, do_sample=False, eos_token_id=first, pad_token_id=0)
    ends = model.generation_config.eos_token_id
    model.generation_config.eos_token_id = first
    try:
        agent.watch(model, processor=processor).generate(**batch, max_new_tokens=6, do_sample=False)
    finally:
        model.generation_config.eos_token_id = ends
    called, configured = (record["output"] for record in records(agent))
    assert called["tokens"]["output"] == configured["tokens"]["output"] == 1
    assert called["finish"] == configured["finish"] == "stop"


def test_a_streamed_answer_is_the_same_stream(make_agent: Make, records: Any, llava: Made) -> None:
    model, processor = llava
    agent = make_agent()
    watched = agent.watch(model, processor=processor)
    streamer = transformers.TextIteratorStreamer(processor.tokenizer, skip_prompt=True)
    options = {**chat(processor), "max_new_tokens": 4, "do_sample": False, "streamer": streamer}
    thread = threading.Thread(target=watched.generate, kwargs=options)
    thread.start()
    pieces = list(streamer)
    thread.join()
    (record,) = records(agent)
    assert record["output"]["tokens"]["output"] == 4
    assert record["first_token_s"] < record["latency_s"]
    assert "".join(pieces).strip()


def test_a_batch_of_prompts_with_padding_and_several_answers(make_agent: Make, records: Any) -> None:
    torch.manual_seed(0)
    tokenizer = tiny.word_tokenizer(padding_side="left")
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    model = transformers.LlamaForCausalLM(config).eval()
    agent = make_agent()
    watched = agent.watch(model, processor=tokenizer)
    batch = tokenizer(["a cat", "what is this red dog"], return_tensors="pt", padding=True)
    batch.pop("token_type_ids", None)
    result = watched.generate(**batch, max_new_tokens=3, do_sample=True, num_return_sequences=2)
    assert result.shape[0] == 4
    found = records(agent)
    assert [record["output"]["tokens"]["input"] for record in found] == [4, 7]
    assert [by_name(record)["text"]["descriptors"]["words"] for record in found] == [2.0, 5.0]
    watched.generate(batch["input_ids"], max_new_tokens=1)
    assert len(records(agent)) == 4


def test_visual_question_answering(make_agent: Make, records: Any) -> None:
    agent = make_agent()
    model, processor = tiny.vilt()
    with torch.inference_mode():
        result = agent.watch(model, processor=processor)(
            **processor(images=tiny.picture(), text="what is this", return_tensors="pt")
        )
    model, processor = tiny.blip()
    batch = processor(images=tiny.picture(), text="what is this", return_tensors="pt")
    batch.pop("token_type_ids", None)
    answer = agent.watch(model, processor=processor).generate(**batch, max_new_tokens=4)
    vilt, blip = records(agent)
    assert vilt["output"]["label"] == ["yes", "no", "red", "two"][int(result.logits.argmax())]
    assert vilt["output"]["scores"] == pytest.approx(result.logits.softmax(dim=1)[0].tolist(), rel=1e-5)
    words = processor.tokenizer.decode(answer[0], skip_special_tokens=True)
    assert blip["output"]["text"]["descriptors"]["chars"] == len(words)
    assert len(by_name(blip)["image"]["embedding"]) == 32
    assert by_name(blip)["text"]["descriptors"]["words"] == by_name(vilt)["text"]["descriptors"]["words"] == 3.0


def test_captions_and_speech(make_agent: Make, records: Any) -> None:
    agent = make_agent()
    model, processor = tiny.blip_captioner()
    agent.watch(model, processor=processor).generate(
        **processor(images=tiny.picture(), return_tensors="pt"), max_new_tokens=4
    )
    model, processor = tiny.whisper()
    features = processor(tiny.tone(), sampling_rate=tiny.RATE, return_tensors="pt")["input_features"]
    ids = agent.watch(model, processor=processor).generate(features, max_new_tokens=6)
    caption, speech = records(agent)
    assert sorted(by_name(caption)) == ["image"]
    assert caption["output"]["text"]["descriptors"]["words"] >= 1
    heard = model.model.encoder(features).last_hidden_state[0].mean(dim=0)
    assert by_name(speech)["audio"]["embedding"] == pytest.approx(heard.tolist(), rel=1e-4, abs=1e-5)
    assert speech["output"]["tokens"] == {"output": len(ids[0])}
    assert "text" in speech["output"]


def test_classifiers_name_their_classes(make_agent: Make, records: Any) -> None:
    agent = make_agent()
    model, tokenizer = tiny.text_classifier()
    with torch.inference_mode():
        agent.watch(model, processor=tokenizer)(**tokenizer(["a cat", "yes no"], return_tensors="pt", padding=True))
        model, processor = tiny.image_classifier()
        result = agent.watch(model, processor=processor)(**processor([tiny.picture()], return_tensors="pt"))
        agent.watch(model, output="value", scores=lambda result: result.logits, inputs={"image": "image"})
    found = records(agent)
    assert {record["output"]["label"] for record in found[:2]} <= {"calm", "urgent"}
    assert found[2]["output"]["label"] == ["cat", "dog", "bird"][int(result.logits.argmax())]
    assert sum(found[2]["output"]["scores"]) == pytest.approx(1.0)


def test_without_a_processor_text_is_not_decoded(make_agent: Make, records: Any, clip: Made) -> None:
    model, processor = clip
    agent = make_agent()
    with torch.inference_mode():
        agent.watch(model)(**pairs(processor, ["a cat"], 1))
    inputs = by_name(records(agent)[0])
    assert inputs["text"]["error"] == "not_decoded"
    assert len(inputs["text"]["embedding"]) == 16


def test_a_model_that_was_loaded_from_a_folder_is_named_by_its_last_part(
    make_agent: Make, records: Any, clip: Made, tmp_path: Any
) -> None:
    model, processor = clip
    folder = tmp_path / "our-clip"
    model.save_pretrained(folder)
    loaded = transformers.CLIPModel.from_pretrained(folder).eval()
    agent = make_agent()
    batch = pairs(processor, ["a cat"], 1)
    with torch.inference_mode():
        agent.watch(loaded, processor=processor)(**batch)
        agent.watch(model, processor=processor)(**batch)
    loaded_name, made_name = (by_name(record)["image"]["encoder"] for record in records(agent))
    assert loaded_name.startswith("CLIPModel/our-clip#")
    assert str(tmp_path) not in loaded_name
    assert loaded_name.rpartition("#")[2] == made_name.rpartition("#")[2]  # the same weights


def test_the_watched_model_passes_for_the_original(make_agent: Make, records: Any, clip: Made, tmp_path: Any) -> None:
    model, processor = clip
    attributes = set(vars(model))
    hooks = [len(module._forward_hooks) for module in model.modules()]
    agent = make_agent()
    watched = agent.watch(model, processor=processor)
    assert isinstance(watched, transformers.CLIPModel)
    assert isinstance(watched, torch.nn.Module)
    assert watched.eval() is watched
    assert watched.to("cpu") is watched
    assert watched.config is model.config
    assert set(vars(model)) == attributes
    holder = torch.nn.ModuleList([watched])
    assert len(list(holder.parameters())) == len(list(model.parameters()))
    batch = pairs(processor, ["a cat"], 1)
    expected = model(**batch).logits_per_image
    for twin in (copy.deepcopy(watched), pickle.loads(pickle.dumps(watched))):
        assert type(twin) is transformers.CLIPModel
        assert torch.equal(twin(**batch).logits_per_image, expected)
    with pytest.raises(AttributeError, match="shape"):
        watched(input_ids=batch["input_ids"])
    assert [record["output"] for record in records(agent)] == [{"error": "AttributeError"}]
    assert agent.unwatch(watched) is model
    assert [len(module._forward_hooks) for module in model.modules()] == hooks


def test_the_tokenizer_of_the_host_is_left_alone(make_agent: Make, llava: Made) -> None:
    model, processor = llava
    agent = make_agent()
    watched = agent.watch(model, processor=processor)
    batch = chat(processor)
    for _ in range(20):
        watched.generate(**batch, max_new_tokens=1, do_sample=False)
        processor.tokenizer(["a cat", "what is this"], padding=True, truncation=True, max_length=3)
        processor.tokenizer("a cat", padding=False, truncation=False)
    assert agent.flush(10)
    assert agent.stats()["described"] == 20


def test_options_that_name_nothing_are_refused(make_agent: Make, clip: Made) -> None:
    agent = make_agent()
    for options, code in (
        ({"branches": {"image": "vision"}}, "unknown_branch"),
        ({"inputs": {"picture": "image"}}, "unknown_input"),
        ({"pixels": {}}, "unknown_option"),
    ):
        with pytest.raises(ConfigurationError) as refused:
            agent.watch(clip[0], **options)
        assert refused.value.code == code
