"""diffusers: prompts go in, pictures come out, and both are described."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("tokenizers", reason="tokenizers is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")

import tiny_models as tiny  # noqa: E402 - after the libraries are known to be there

from auditor.core.errors import ConfigurationError  # noqa: E402
from auditor.core.gate import parse_record  # noqa: E402

Make = Callable[..., Any]
SMALL = {"num_inference_steps": 2, "height": 32, "width": 32}


@pytest.fixture(scope="module")
def pipeline() -> Any:
    torch.set_num_threads(1)
    diffusers.utils.logging.set_verbosity_error()
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the scheduler's defaults are old
        return tiny.stable_diffusion()


def seeded() -> Any:
    return torch.Generator().manual_seed(0)


def by_name(record: dict[str, Any]) -> dict[str, Any]:
    parse_record(record)
    return {entry["name"]: entry for entry in record["inputs"]}


def encoded(pipeline: Any, words: str) -> list[float]:
    ids = pipeline.tokenizer(words, padding="max_length", max_length=16, truncation=True, return_tensors="pt")
    with torch.no_grad():
        return pipeline.text_encoder(ids.input_ids).pooler_output[0].tolist()


def test_a_picture_and_its_prompt_are_one_record(make_agent: Make, records: Any, pipeline: Any) -> None:
    agent = make_agent()
    watched = agent.watch(pipeline)
    options = {**SMALL, "guidance_scale": 5.0, "negative_prompt": "red"}
    result = watched("a photo of a cat", generator=seeded(), **options)
    expected = pipeline("a photo of a cat", generator=seeded(), **options)
    assert type(result) is type(expected)
    assert np.array_equal(np.asarray(result.images[0]), np.asarray(expected.images[0]))
    (record,) = records(agent)
    inputs = by_name(record)
    assert sorted(inputs) == ["generated", "negative_prompt", "prompt"]
    luma = np.asarray(result.images[0]) / 255 @ [0.299, 0.587, 0.114]
    assert inputs["generated"]["modality"] == "image"
    assert inputs["generated"]["descriptors"]["brightness"] == pytest.approx(luma.mean(), abs=0.005)
    assert inputs["prompt"]["descriptors"]["words"] == 5.0
    assert inputs["prompt"]["embedding"] == pytest.approx(encoded(pipeline, "a photo of a cat"), abs=1e-5)
    assert inputs["prompt"]["encoder"].startswith("CLIPTextModel#")
    assert record["latency_s"] > 0


def test_several_prompts_with_several_pictures_each(make_agent: Make, records: Any, pipeline: Any) -> None:
    agent = make_agent()
    watched = agent.watch(pipeline)
    pictures, _ = watched(
        ["a dog", "a photo of a cat"], num_images_per_prompt=2, output_type="np", return_dict=False, **SMALL
    )
    found = [by_name(record) for record in records(agent)]
    assert [entry["prompt"]["descriptors"]["words"] for entry in found] == [2.0, 2.0, 5.0, 5.0]
    second = encoded(pipeline, "a photo of a cat")
    assert found[1]["prompt"]["embedding"] != pytest.approx(second, abs=1e-5)
    assert found[2]["prompt"]["embedding"] == pytest.approx(second, abs=1e-5)
    for entry, image in zip(found, pictures, strict=True):
        luma = image @ [0.299, 0.587, 0.114]
        assert entry["generated"]["descriptors"]["brightness"] == pytest.approx(luma.mean(), abs=0.005)


def test_latents_are_no_picture(make_agent: Make, records: Any, pipeline: Any) -> None:
    agent = make_agent()
    agent.watch(pipeline)("a dog", output_type="latent", **SMALL)
    assert by_name(records(agent)[0])["generated"]["error"] == "unreadable"


def test_what_the_checker_hides_is_refused(make_agent: Make, records: Any, pipeline: Any) -> None:
    class Strict(torch.nn.Module):
        dtype, device = torch.float32, torch.device("cpu")

        def forward(self, images: Any, clip_input: Any) -> Any:
            return images, [False, True]

    class Extractor:
        def __call__(self, images: Any, return_tensors: str) -> Any:
            from transformers import BatchFeature

            return BatchFeature({"pixel_values": torch.zeros(len(images), 3, 8, 8)})

    agent = make_agent()
    pipeline.safety_checker, pipeline.feature_extractor = Strict(), Extractor()
    try:
        agent.watch(pipeline)(["a dog", "a cat"], **SMALL)
    finally:
        pipeline.safety_checker, pipeline.feature_extractor = None, None
    assert [record["output"]["refused"] for record in records(agent)] == [False, True]


def test_a_failing_call_is_recorded_and_raises_what_it_raised(make_agent: Make, records: Any, pipeline: Any) -> None:
    agent = make_agent()
    watched = agent.watch(pipeline)
    with pytest.raises(ValueError, match="divisible by 8"):
        watched("a dog", num_inference_steps=2, height=33, width=32)
    (record,) = records(agent)
    assert record["output"] == {"error": "ValueError"}
    assert by_name(record)["generated"]["error"] == "not_produced"


def test_the_watched_pipeline_passes_for_the_original(
    make_agent: Make, records: Any, pipeline: Any, tmp_path: Any
) -> None:
    hooks = len(pipeline.text_encoder._forward_hooks)
    agent = make_agent()
    watched = agent.watch(pipeline)
    assert isinstance(watched, diffusers.StableDiffusionPipeline)
    assert isinstance(watched, diffusers.DiffusionPipeline)
    assert watched.unet is pipeline.unet
    assert watched.to("cpu") is watched
    assert watched.components.keys() == pipeline.components.keys()
    assert agent.unwatch(watched) is pipeline
    assert len(pipeline.text_encoder._forward_hooks) == hooks
    with pytest.raises(ConfigurationError) as refused:
        agent.watch(pipeline, inputs={"picture": "image"})
    assert refused.value.code == "unknown_input"
    assert "generated" in refused.value.fix


def test_declared_inputs_and_groups(make_agent: Make, records: Any, pipeline: Any) -> None:
    agent = make_agent()
    watched = agent.watch(pipeline, inputs={"generated": "image"}, groups={"studio": "one"})
    watched("a dog", **SMALL)
    (record,) = records(agent)
    assert "generated" in by_name(record)
    assert "negative_prompt" not in by_name(record)
    assert record["groups"] == {"studio": "one"}
