"""`encode:` in a mapping file: payloads that are described on the way get their embeddings, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

import tiny_onnx

from auditor import registry
from auditor.core.errors import ConfigurationError, PluginError
from auditor.intake.mapping import TableMapping
from auditor.intake.tables import Chunk


def mapped(folder: Path, **options: Any) -> TableMapping:
    photo = {"name": "photo", "modality": "image", "path": {"column": "file"}, **options}
    data = {"kind": "Mapping", "model": {"name": "m"}, "time": {"column": "ts"}, "inputs": [photo]}
    image = {"image": registry.load("descriptors", "image")}
    return TableMapping(data, where="map.yaml", folder=folder, descriptors=image)


def test_a_file_is_encoded_where_it_is_described(tmp_path: Path) -> None:
    from PIL import Image

    tiny_onnx.picture_encoder(tmp_path / "encoder.onnx")
    Image.fromarray(np.full((12, 9, 3), 51, np.uint8)).save(tmp_path / "a.png")
    mapping = mapped(tmp_path, encode="onnx:encoder.onnx")
    chunk = Chunk([1], {"ts": ["2026-03-02T00:00:00Z"], "file": ["a.png"]})
    (record,) = mapping.apply(chunk, ["r-1"])
    (found,) = record["inputs"]
    assert found["embedding"] == pytest.approx([0.2] * 3)
    assert found["encoder"].startswith("onnx:encoder.onnx@")
    assert found["descriptors"]["brightness"] == pytest.approx(0.2)


def test_what_cannot_encode_stops_the_command(tmp_path: Path) -> None:
    with pytest.raises(PluginError):
        mapped(tmp_path, encode="onnx:absent.onnx")
    for encode in ("encoder.onnx", 5):
        with pytest.raises(ConfigurationError):
            mapped(tmp_path, encode=encode)
    inputs = [{"name": "photo", "modality": "image", "embedding": {"column": "e"}, "encode": "onnx:x"}]
    document = {"kind": "Mapping", "model": {"name": "m"}, "time": {"column": "ts"}, "inputs": inputs}
    with pytest.raises(ConfigurationError):
        TableMapping(document, where="map.yaml", folder=tmp_path, descriptors={})
