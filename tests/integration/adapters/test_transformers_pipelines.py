"""transformers pipelines: the host's own pictures, sounds and words, whatever form they come in."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("tokenizers", reason="tokenizers is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

import tiny_models as tiny  # noqa: E402 - after the libraries are known to be there

from auditor.core.errors import ConfigurationError  # noqa: E402
from auditor.core.gate import parse_record  # noqa: E402

Make = Callable[..., Any]
SIX = {"generate_kwargs": {"max_new_tokens": 6}}


@pytest.fixture(autouse=True)
def quiet() -> None:
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()


@pytest.fixture(scope="module")
def speech() -> Any:
    model, processor = tiny.whisper()
    pipeline = transformers.pipeline(
        "automatic-speech-recognition",
        model=model,
        tokenizer=processor.tokenizer,
        feature_extractor=processor.feature_extractor,
    )
    pipeline.tokenizer.pad_token_id = model.config.eos_token_id
    return pipeline


@pytest.fixture(scope="module")
def labelling() -> Any:
    model, processor = tiny.clip()
    return transformers.pipeline(
        "zero-shot-image-classification",
        model=model,
        tokenizer=processor.tokenizer,
        image_processor=processor.image_processor,
    )


@pytest.fixture(scope="module")
def urgency() -> Any:
    model, tokenizer = tiny.text_classifier()
    return transformers.pipeline("text-classification", model=model, tokenizer=tokenizer)


def by_name(record: dict[str, Any]) -> dict[str, Any]:
    parse_record(record)
    return {entry["name"]: entry for entry in record["inputs"]}


def test_speech_is_copied_before_the_pipeline_empties_the_dictionary(
    make_agent: Make, records: Any, speech: Any
) -> None:
    agent = make_agent()
    watched = agent.watch(speech)
    given = {"raw": tiny.tone(1.5), "sampling_rate": tiny.RATE}
    result = watched(given, **SIX)
    assert given == {}
    assert result == speech({"raw": tiny.tone(1.5), "sampling_rate": tiny.RATE}, **SIX)
    watched(tiny.tone(0.5), **SIX)
    watched([tiny.tone(0.5), {"array": tiny.tone(1.0), "sampling_rate": tiny.RATE}], batch_size=2, **SIX)
    found = records(agent)
    sounds = [by_name(record)["audio"] for record in found]
    assert [sound["descriptors"]["duration_s"] for sound in sounds] == [1.5, 0.5, 0.5, 1.0]
    assert {sound["descriptors"]["rate_hz"] for sound in sounds} == {float(tiny.RATE)}
    assert {sound["modality"] for sound in sounds} == {"audio"}
    assert all(len(sound["embedding"]) == 32 for sound in sounds)
    assert found[0]["output"]["text"]["descriptors"]["chars"] == len(result["text"])


def test_a_generator_gives_the_same_items_one_record_each(make_agent: Make, records: Any, speech: Any) -> None:
    agent = make_agent()
    watched = agent.watch(speech)
    lengths = [0.5, 0.6, 0.7, 0.8, 0.9]
    taken: list[float] = []

    def sounds() -> Iterator[Any]:
        for length in lengths:
            taken.append(length)
            yield tiny.tone(length)

    stream = watched(sounds(), **SIX)
    plain = speech((tiny.tone(length) for length in lengths), **SIX)
    assert stream.__class__ is type(plain)
    assert taken == [0.5]  # the pipeline looks at the first
    assert iter(stream) is stream
    first = next(stream)
    assert taken == [0.5]
    assert [first, *stream] == list(plain)
    assert list(watched((tiny.tone(length) for length in lengths), batch_size=2, **SIX))
    found = records(agent)
    durations = [by_name(record)["audio"]["descriptors"]["duration_s"] for record in found]
    assert durations == pytest.approx(lengths * 2)
    assert all(record["latency_s"] > 0 for record in found)


def test_a_data_set_is_read_once_for_each_record(make_agent: Make, records: Any, labelling: Any, urgency: Any) -> None:
    from torch.utils.data import Dataset
    from transformers.pipelines.pt_utils import KeyDataset

    class Notes(Dataset):
        def __len__(self) -> int:
            return 5

        def __getitem__(self, index: int) -> dict[str, str]:
            return {"note": ["a cat", "yes", "no", "what is this", "red"][index]}

    agent = make_agent()
    watched = agent.watch(urgency)
    data = KeyDataset(Notes(), "note")
    assert list(watched(data, batch_size=2)) == list(urgency(data, batch_size=2))
    found = records(agent)
    assert [by_name(record)["text"]["descriptors"]["words"] for record in found] == [2.0, 1.0, 1.0, 3.0, 1.0]
    assert all(record["output"]["label"] in ("calm", "urgent") for record in found)


def test_an_error_in_a_stream_is_the_pipeline_s_own(make_agent: Make, records: Any, urgency: Any) -> None:
    agent = make_agent()
    stream = agent.watch(urgency)(entry for entry in ["a cat", 5, "no"])
    assert next(iter(stream))["label"]
    with pytest.raises((ValueError, TypeError, AttributeError)) as raised:
        next(stream)
    found = records(agent)
    assert [record["output"].get("error") for record in found] == [None, raised.type.__name__]


def test_candidates_keep_their_order_in_the_scores(make_agent: Make, records: Any, labelling: Any) -> None:
    agent = make_agent()
    watched = agent.watch(labelling)
    candidates = ["cat", "dog", "no"]
    results = watched([tiny.picture(3), tiny.picture(4)], candidate_labels=candidates)
    watched(image=tiny.picture(3), candidate_labels=candidates)
    found = records(agent)
    assert len(found) == 3
    for record, result in zip(found, [*results, results[0]], strict=True):
        scores = {entry["label"]: entry["score"] for entry in result}
        assert record["output"]["scores"] == pytest.approx([scores[name] for name in candidates])
        assert record["output"]["label"] == result[0]["label"]
        inputs = by_name(record)
        assert len(inputs["image"]["embedding"]) == 16
        assert inputs["image"]["encoder"].startswith("CLIPModel#")
        assert inputs["labels"]["descriptors"]["words"] == 3.0
    vectors = labelling.model.get_image_features(
        **labelling.image_processor(tiny.picture(4), return_tensors="pt")
    ).pooler_output
    expected = (vectors / vectors.norm()).tolist()[0]
    assert by_name(found[1])["image"]["embedding"] == pytest.approx(expected, abs=1e-5)


def test_sounds_are_labelled(make_agent: Make, records: Any) -> None:
    model, processor = tiny.clap()
    agent = make_agent()
    watched = agent.watch(
        transformers.pipeline(
            "zero-shot-audio-classification",
            model=model,
            tokenizer=processor.tokenizer,
            feature_extractor=processor.feature_extractor,
        )
    )
    result = watched(tiny.tone(), candidate_labels=["dog", "cat"])
    (record,) = records(agent)
    assert record["output"]["label"] == result[0]["label"]
    assert by_name(record)["audio"]["descriptors"]["duration_s"] == 1.0


def test_a_conversation_about_a_picture(make_agent: Make, records: Any) -> None:
    model, processor = tiny.llava()
    plain = transformers.pipeline("image-text-to-text", model=model, processor=processor)
    agent = make_agent()
    watched = agent.watch(plain)
    asked = [{"type": "image", "image": tiny.picture()}, {"type": "text", "text": "what is this"}]
    messages = [{"role": "user", "content": asked}]
    short = {"max_new_tokens": 4, "do_sample": False}
    answer = watched(text=messages, return_full_text=False, **short)[0]["generated_text"]
    assert watched(text=messages, **short)[0]["generated_text"][-1]["content"] == answer
    watched(images=[tiny.picture(1)], text="<image> what is this", **short)
    longer = [*messages, {"role": "assistant", "content": [{"type": "text", "text": "a cat"}]}]
    longer.append({"role": "user", "content": [{"type": "text", "text": "red"}]})
    watched([messages, longer], **short)
    found = records(agent)
    assert len(found) == 5
    assert [record["output"]["text"]["descriptors"]["chars"] for record in found[:2]] == [float(len(answer))] * 2
    assert [by_name(record)["prompt"]["descriptors"]["words"] for record in found] == [3.0, 3.0, 4.0, 3.0, 1.0]
    assert all("descriptors" in by_name(record)["image"] for record in found[:4])
    assert {"prompt", "history", "history-image"} <= set(by_name(found[4]))
    assert len(by_name(found[0])["image"]["embedding"]) == 32


def test_classifiers(make_agent: Make, records: Any, urgency: Any) -> None:
    model, processor = tiny.image_classifier()
    agent = make_agent()
    pictures = agent.watch(transformers.pipeline("image-classification", model=model, image_processor=processor))
    result = pictures(tiny.picture())
    texts = agent.watch(urgency, groups={"site": "north"})
    texts(["a dog", "no"], top_k=None)
    texts({"text": "a cat", "text_pair": "a dog"})
    found = records(agent)
    scores = {entry["label"]: entry["score"] for entry in result}
    assert found[0]["output"]["scores"] == pytest.approx([scores[name] for name in ("cat", "dog", "bird")])
    assert len(found[1]["output"]["scores"]) == 2
    assert found[2]["groups"] == {"site": "north"}
    assert sorted(by_name(found[3])) == ["text", "text_pair"]


def test_a_picture_by_address_is_not_fetched_again(make_agent: Make, records: Any, tmp_path: Any) -> None:
    model, processor = tiny.image_classifier()
    agent = make_agent()
    watched = agent.watch(transformers.pipeline("image-classification", model=model, image_processor=processor))
    path = tmp_path / "picture.png"
    tiny.picture().save(path)
    watched(str(path))
    assert by_name(records(agent)[0])["image"]["descriptors"]["width"] == 32.0
    with pytest.raises(Exception, match=r".*"):
        watched("http://127.0.0.1:1/picture.png")
    found = records(agent)[1]
    assert by_name(found)["image"]["error"] in ("not_found", "decode_failed")
    assert "error" in found["output"]


def test_extract_and_declared_inputs(make_agent: Make, records: Any, labelling: Any) -> None:
    agent = make_agent()
    watched = agent.watch(
        labelling,
        inputs={"image": {"modality": "image", "encoder": "clip-7"}},
        extract=lambda result: {"label": result[-1]["label"], "value": result[-1]["score"]},
    )
    results = watched([tiny.picture(1), tiny.picture(2)], candidate_labels=["cat", "dog"])
    found = records(agent)
    assert [record["output"]["label"] for record in found] == [result[-1]["label"] for result in results]
    assert [list(by_name(record)) for record in found] == [["image"], ["image"]]
    assert by_name(found[0])["image"]["encoder"] == "clip-7"


def test_the_watched_pipeline_passes_for_the_original(make_agent: Make, records: Any, urgency: Any) -> None:
    attributes = dict(vars(urgency))
    hooks = [len(module._forward_hooks) for module in urgency.model.modules()]
    agent = make_agent()
    watched = agent.watch(urgency)
    assert isinstance(watched, transformers.TextClassificationPipeline)
    assert watched.model is urgency.model
    assert watched.task == "text-classification"
    assert watched.preprocess("a cat").keys() == urgency.preprocess("a cat").keys()
    assert vars(urgency) == attributes
    watched.call_count = 3
    assert urgency.call_count == 3
    assert type(copy.copy(watched)) is type(urgency)
    with pytest.raises(TypeError):
        watched()
    assert agent.unwatch(watched) is urgency
    assert [len(module._forward_hooks) for module in urgency.model.modules()] == hooks
    watched("a cat")
    assert len(records(agent)) <= 1


def test_calls_that_are_not_chosen_are_counted(make_agent: Make, records: Any, urgency: Any) -> None:
    agent = make_agent()
    agent._recorder.set_rate(0.0)
    watched = agent.watch(urgency)
    watched(["a cat", "no", "yes"])
    list(watched(word for word in ["a", "no"]))
    assert records(agent) == []
    assert agent.stats()["seen"] == agent.stats()["dropped"]["sampled"] == 5


def test_options_that_name_nothing_are_refused(make_agent: Make, labelling: Any) -> None:
    agent = make_agent()
    for options, code in (
        ({"inputs": {"picture": "image"}}, "unknown_input"),
        ({"processor": object()}, "unknown_option"),
    ):
        with pytest.raises(ConfigurationError) as refused:
            agent.watch(labelling, **options)
        assert refused.value.code == code
