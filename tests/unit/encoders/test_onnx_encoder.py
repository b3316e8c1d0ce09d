"""An ONNX file as encoder: what it takes, what it refuses, and the name by which it is told from another."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

import tiny_onnx

from auditor import registry
from auditor.core.errors import DescribeError, PluginError
from auditor.encoders.onnx import PLUGIN
from auditor.ports import Encoder
from auditor.testing import check_encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return PLUGIN.open(str(tiny_onnx.picture_encoder(tmp_path_factory.mktemp("onnx") / "tiny.onnx")))


def test_it_is_an_encoder_that_the_registry_finds(encoder: Any) -> None:
    assert isinstance(encoder, Encoder)
    assert registry.load("encoders", "onnx") is PLUGIN
    assert {"onnx", "transformers"} <= set(registry.names("encoders"))


def test_it_keeps_the_encoders_contract(encoder: Any) -> None:
    check_encoder(encoder, [np.zeros((4, 4, 3), np.uint8), np.full((90, 3, 3), 0.5), np.arange(64).reshape(8, 8)])


def test_a_size_that_the_model_leaves_open_is_bounded(tmp_path: Path) -> None:
    open_size = PLUGIN.open(str(tiny_onnx.picture_encoder(tmp_path / "open.onnx", "side")))
    picture = np.zeros((3000, 10, 3), np.uint8)
    picture[::2] = 255
    assert open_size._picture(picture).shape == (1, 3, 1024, 3)
    assert open_size.encode(picture) == pytest.approx([0.5] * 3, abs=0.01)


def test_a_picture_is_resized_scaled_and_turned_to_channels_first(encoder: Any) -> None:
    picture = np.zeros((40, 30, 3), np.uint8)
    picture[..., 0], picture[..., 2] = 255, 51
    assert encoder.encode(picture) == pytest.approx([1.0, 0.0, 0.2])


def test_one_picture_in_its_many_forms_has_one_embedding(encoder: Any, tmp_path: Path) -> None:
    from PIL import Image

    array = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    image = Image.fromarray(array)
    data = io.BytesIO()
    image.save(data, "PNG")
    file = tmp_path / "picture.png"
    file.write_bytes(data.getvalue())
    alpha = np.dstack([array, np.full((16, 16), 255, np.uint8)])
    forms = [
        image,
        data.getvalue(),
        file,
        array.transpose(2, 0, 1),
        array / 255.0,
        array.astype(np.uint16) * 257,
        alpha,
    ]
    expected = encoder.encode(array)
    for form in forms:
        assert encoder.encode(form) == pytest.approx(expected, abs=2e-3)


def test_a_grey_model_and_one_without_a_fixed_size(tmp_path: Path) -> None:
    grey = PLUGIN.open(str(tiny_onnx.picture_encoder(tmp_path / "grey.onnx", "side", 1)))
    assert grey.encode(np.full((5, 9), 102, np.uint8)) == pytest.approx([0.4])
    assert grey.encode(np.full((5, 9, 3), 102, np.uint8)) == pytest.approx([0.4])


@pytest.mark.parametrize("kind", [tiny_onnx.FLOAT, tiny_onnx.DOUBLE])
def test_numbers_go_in_with_or_without_the_batch(tmp_path: Path, kind: int) -> None:
    encoder = PLUGIN.open(str(tiny_onnx.identity_encoder(tmp_path / "identity.onnx", kind=kind)))
    assert encoder.encode([1, 2, 3]) == encoder.encode(np.array([[1.0, 2.0, 3.0]])) == [1.0, 2.0, 3.0]


def test_axes_between_the_first_and_the_last_are_averaged(tmp_path: Path) -> None:
    encoder = PLUGIN.open(str(tiny_onnx.identity_encoder(tmp_path / "tokens.onnx", ("batch", "tokens", 2))))
    assert encoder.encode([[1.0, 2.0], [3.0, 6.0]]) == [2.0, 4.0]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("some words", "wrong_type"),
        (object(), "wrong_type"),
        (b"no picture", "decode_failed"),
        (np.zeros((0, 4, 3), np.uint8), "bad_shape"),
        (np.full((4, 4), np.nan), "not_finite"),
        (np.full((4, 4), 300), "bad_range"),
        (np.zeros(7), "bad_shape"),
    ],
)
def test_what_it_cannot_take_has_a_code(encoder: Any, value: Any, code: str) -> None:
    with pytest.raises(DescribeError) as caught:
        encoder.encode(value)
    assert caught.value.code == code


def test_the_name_follows_from_the_file_and_not_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first = PLUGIN.open(str(tiny_onnx.picture_encoder(tmp_path / "e.onnx"))).version
    assert PLUGIN.open(str(tiny_onnx.picture_encoder(tmp_path / "other" / "e.onnx"))).version == first
    assert PLUGIN.open(str(tiny_onnx.picture_encoder(tmp_path / "e.onnx", scale=2.0))).version != first
    assert first.startswith("onnx:e.onnx@")
    assert str(tmp_path) not in first


def test_a_file_that_is_no_encoder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a model")
    two = [tiny_onnx.tensor_info("a", [1]), tiny_onnx.tensor_info("b", [1])]
    nodes = [tiny_onnx.node("Add", ["a", "b"], ["y"])]
    tiny_onnx.write(tmp_path / "two.onnx", nodes, two, tiny_onnx.tensor_info("y", [1]))
    for name in ("absent.onnx", "text.onnx", "two.onnx"):
        with pytest.raises(PluginError) as caught:
            PLUGIN.open(str(tmp_path / name))
        assert caught.value.code == "encoder_unusable"
