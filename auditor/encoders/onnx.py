"""Embeddings by an ONNX file, with ONNX Runtime on one CPU thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from auditor.core.errors import DescribeError, PluginError
from auditor.encoders._reading import identity, is_picture, picture_of, pooled

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
_LONGEST_SIDE = 1024
"""Pixels along a side that the model leaves open: a larger picture is made smaller, so that work is bounded."""


class Onnx:
    """`onnx:FILE`: a model of one numeric input; its first output is the embedding, averaged over axes between the first and the last.

    - An input of four axes (batch, channels, height, width) with 1 or 3 channels takes pictures: floats from 0 to 1, resized
      (bilinear) to the height and width that the model states, or, where it states none, left as they are up to 1024 pixels a side. Anything else that a model
      wants done to its pixels (mean, deviation, cropping) belongs into the file.
    - Any other input takes numbers: an array of the input's axes, with or without the batch.
    - Texts need a tokenizer: name a folder with `transformers:`.
    """

    version = "1"
    requires = ("onnxruntime",)

    def open(self, name: str) -> OnnxEncoder:
        """The encoder in a file; PluginError `encoder_unusable` when there is none."""
        return OnnxEncoder(Path(name))


class OnnxEncoder:
    """One session, for one thread.

    Attributes
    ----------
    version : str
        `onnx:FILE'S NAME@digest`.
    """

    def __init__(self, file: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self.version = identity("onnx", file.name, [file])
            self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # no such file, not ONNX, an operator that this build lacks
            raise PluginError(
                "encoder_unusable",
                f"{file.name} does not load ({type(error).__name__})",
                where="encoders",
                fix="give the path of an ONNX file",
            ) from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in _TYPES:
            raise PluginError(
                "encoder_unusable",
                f"{file.name} takes {', '.join(entry.type for entry in inputs) or 'nothing'}",
                where="encoders",
                fix="give a model of one input of floats",
            )
        self._input = inputs[0].name
        self._type = _TYPES[inputs[0].type]
        self._shape = [size if isinstance(size, int) else None for size in inputs[0].shape]
        self._output = self._session.get_outputs()[0].name

    def encode(self, value: Any) -> list[float]:
        """The embedding, shape (k,); DescribeError for what the model cannot take."""
        if isinstance(value, str):
            raise DescribeError("wrong_type", "an ONNX file takes no text", fix="name a transformers encoder")
        array = self._picture(value) if self._takes_pictures and is_picture(value) else self._numbers(value)
        (found,) = self._session.run([self._output], {self._input: array.astype(self._type, copy=False)})
        return pooled(found)

    @property
    def _takes_pictures(self) -> bool:
        return len(self._shape) == 4 and self._shape[1] in (1, 3)

    def _picture(self, value: Any) -> np.ndarray:
        """Shape (1, channels, height, width), from 0 to 1."""
        _, channels, height, width = self._shape
        image = picture_of(value).convert("L" if channels == 1 else "RGB")
        size = width or image.width, height or image.height
        if None in (width, height) and max(image.size) > _LONGEST_SIDE:
            image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), resample=2)
            size = width or image.width, height or image.height
        if size != image.size:
            image = image.resize(size, resample=2)  # bilinear, with antialiasing when it shrinks
        levels = np.asarray(image, np.float32) / 255.0
        return (levels[None] if channels == 1 else levels.transpose(2, 0, 1))[None]

    def _numbers(self, value: Any) -> np.ndarray:
        """The value with the model's axes."""
        try:
            array = np.asarray(value, np.float32)
        except (TypeError, ValueError) as error:
            raise DescribeError("wrong_type", f"{type(value).__name__} is no array of numbers") from error
        if array.ndim == len(self._shape) - 1:
            array = array[None]
        fits = array.ndim == len(self._shape) and all(
            want in (None, have) for want, have in zip(self._shape, array.shape, strict=True)
        )
        if not fits:
            raise DescribeError("bad_shape", f"shape {array.shape} does not fit {self._shape}")
        return array


PLUGIN = Onnx()
