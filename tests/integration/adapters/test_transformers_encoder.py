"""Embeddings by a folder of the Hugging Face libraries, as an agent's encoder and by itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

import tiny_models as tiny  # noqa: E402

from auditor.core.errors import DescribeError, PluginError  # noqa: E402
from auditor.encoders.transformers import PLUGIN  # noqa: E402
from auditor.testing import check_encoder  # noqa: E402


def test_text_and_pictures_through_a_transformers_model(make_agent: Any, records: Any, tmp_path: Path) -> None:
    model, processor = tiny.clip()
    folder = tmp_path / "tiny-clip"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    named = f"transformers:{folder}"
    agent = make_agent(encoders={"note": named, "photo": named, "number": named})
    agent.watch(lambda note, photo, number: 1, inputs={"note": "text", "photo": "image", "number": "series"})(
        "a photo of cat", np.asarray(tiny.picture()), np.zeros(4)
    )
    (record,) = records(agent)
    found = {entry["name"]: entry for entry in record["inputs"]}
    note, photo = found["note"], found["photo"]
    assert re.fullmatch(r"transformers:tiny-clip@[0-9a-f]{12}", note["encoder"])
    assert note["encoder"] == photo["encoder"]
    assert len(note["embedding"]) == len(photo["embedding"]) == 16
    expected = model.get_text_features(**processor(text="a photo of cat", return_tensors="pt"))
    expected = getattr(expected, "pooler_output", expected)
    assert note["embedding"] == pytest.approx(expected[0].tolist(), abs=1e-5)
    assert found["number"]["error"]


def test_hidden_states_are_averaged_over_the_tokens(tmp_path: Path) -> None:
    tokenizer = tiny.word_tokenizer(model_max_length=16)
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=len(tokenizer), max_position_embeddings=16, **tiny._SMALL)
    model = transformers.BertModel(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    encoder = PLUGIN.open(str(tmp_path))
    batch = tokenizer("a photo of dog", return_tensors="pt")
    with torch.inference_mode():
        expected = model(**batch).last_hidden_state[0].mean(0)
    check_encoder(encoder, ["a photo of dog", "", "cat"])
    assert encoder.encode("a photo of dog") == pytest.approx(expected.tolist(), abs=1e-5)
    assert len(encoder.encode("cat " * 100)) == 32  # cut to what the model takes
    with pytest.raises(DescribeError):
        encoder.encode(np.zeros((8, 8, 3), np.uint8))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError) as caught:
        PLUGIN.open(str(tmp_path))
    assert caught.value.code == "encoder_unusable"
