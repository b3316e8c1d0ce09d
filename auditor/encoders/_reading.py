"""Shared by the encoders: pictures in, vectors out, and the digest that identifies an encoder."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.core.errors import DescribeError
from auditor.descriptors._common import array_of, bytes_of, is_encoded
from auditor.descriptors.image import FORMATS, MAX_PIXELS

_DIGITS = 12
_BLOCK = 1 << 20


def identity(scheme: str, name: str, files: Iterable[Path]) -> str:
    """`scheme:name@digest`: the first 12 hexadecimal digits of SHA-256 over the files' names and contents, in this order."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.stat().st_size.to_bytes(8, "big"))
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    return f"{scheme}:{name}@{digest.hexdigest()[:_DIGITS]}"


def picture_of(value: Any) -> Any:
    """A PIL image in mode L or RGB: of one, of an encoded file's bytes or path, or of an array (H, W[, C]) or (C, H, W).

    uint8 counts to 255, uint16 to 65535, booleans and floats from 0 to 1; alpha is left out. DescribeError for anything else.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise DescribeError(
            "extra_missing", "Pillow is not installed", fix="pip install 'auditor[encoders]'"
        ) from error
    if not is_encoded(value) and not isinstance(value, Image.Image):
        return Image.fromarray(_levels(value))
    try:
        image = value if isinstance(value, Image.Image) else Image.open(io.BytesIO(bytes_of(value)), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise DescribeError("too_large", f"more than {MAX_PIXELS} pixels", fix="scale it down")
        if image.mode.startswith("I;16"):
            return Image.fromarray(_levels(np.asarray(image, np.uint16)))
        return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
    except DescribeError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, KeyError, ...
        raise DescribeError("decode_failed", f"the image cannot be decoded ({type(error).__name__})") from error


def is_picture(value: Any) -> bool:
    """Whether `picture_of` is the one to ask: a PIL image, an encoded file, or an array of two or three axes."""
    module = sys.modules.get("PIL.Image")
    if is_encoded(value) or (module is not None and isinstance(value, module.Image)):
        return True
    return getattr(value, "ndim", 0) in (2, 3)


def _levels(value: Any) -> NDArray[np.uint8]:
    """Grey or RGB levels of an array, shape (H, W) or (H, W, 3)."""
    array = array_of(value, "an image")
    if array.ndim == 3 and array.shape[2] > 4 and array.shape[0] <= 4:
        array = array.transpose(1, 2, 0)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)) or 0 in array.shape:
        raise DescribeError("bad_shape", f"shape {array.shape} is not an image", fix="give (height, width[, channels])")
    if array.ndim == 3:
        array = array[:, :, :3] if array.shape[2] > 2 else array[:, :, 0]
    if array.dtype.kind in "bf":
        if not np.isfinite(array).all():
            raise DescribeError("not_finite", "an image with values that are not finite")
        return (np.clip(array.astype(np.float32), 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    if array.dtype == np.uint16:
        return (array // 257).astype(np.uint8)
    if array.min() < 0 or array.max() > 255:
        raise DescribeError("bad_range", "levels lie outside 0 to 255", fix="give uint8, uint16 or floats from 0 to 1")
    return np.ascontiguousarray(array, np.uint8)


def pooled(output: Any, weights: Any = None) -> list[float]:
    """One vector of an output of shape (1, ..., k): the mean over the axes between, weighted where `weights` (1, n) are given."""
    array = np.asarray(output, np.float32)
    if array.ndim > 1:
        array = array[0] if len(array) == 1 else array
    if array.ndim > 1:
        flat = array.reshape(-1, array.shape[-1])
        scale = None if weights is None else np.asarray(weights, np.float32).reshape(-1)
        array = np.average(flat, axis=0, weights=scale)
    found: list[float] = np.atleast_1d(array).astype(np.float32).tolist()
    return found
