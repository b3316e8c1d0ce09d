"""Figures of decoded pixels, shared by images and the frames of a video.

Work is bounded: tones and colours come from every s-th pixel, local structure (sharpness, noise, blockiness) from tiles at
full resolution, so that a picture of any size costs about as much as one of 256 x 256.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.core.errors import DescribeError
from auditor.descriptors._common import array_of, share

SIDE = 256
"""Longest side that is looked at whole."""
TILE = 80
"""Side of a tile, a multiple of the 8 pixels of a JPEG block."""
TILES = 3
"""Tiles along each axis of a larger picture."""
FOREGROUND = 51
"""Levels (of 255) by which a pixel of the foreground differs from the border's median."""

Bytes = NDArray[np.uint8]
_LEVELS = np.arange(256.0)
_SQUARES = _LEVELS**2
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """A picture on its way to figures: 8-bit samples for tones, 8-bit luma tiles for structure."""

    height: int
    width: int
    channels: int
    luma: Bytes
    colour: tuple[Bytes, Bytes, Bytes] | None
    tiles: Bytes
    """Shape (k, h, w), each starting at a multiple of 8."""


def pixels_of(value: Any, what: str = "an image") -> Pixels:
    """Pixels of an array: (H, W), (H, W, C) or (C, H, W) with 1 to 4 channels; alpha is left out.

    uint8 counts to 255, uint16 to 65535, booleans and floats from 0 to 1.
    """
    image = array_of(value, what)
    if image.ndim == 3 and image.shape[2] > 4 and image.shape[0] <= 4:
        image = image.transpose(1, 2, 0)
    if image.ndim not in (2, 3) or (image.ndim == 3 and not 1 <= image.shape[2] <= 4):
        raise DescribeError(
            "bad_shape", f"shape {image.shape} is not {what}", fix="give (height, width) or (height, width, channels)"
        )
    if 0 in image.shape:
        raise DescribeError("empty", f"{what} without pixels")
    height, width = image.shape[:2]
    channels = image.shape[2] if image.ndim == 3 else 1
    step = -(-max(height, width) // SIDE)
    sample = _split(_to_bytes(image[::step, ::step], what))
    luma = _luma(sample)
    pieces = [luma] if step == 1 else [_luma(_split(_to_bytes(tile, what))) for tile in _tiles(image)]
    return Pixels(height, width, channels, luma, sample if len(sample) == 3 else None, np.stack(pieces))


def tones(pixels: Pixels) -> dict[str, float | None]:
    """Brightness, contrast, percentiles, entropy and foreground, all from the histogram of the luma."""
    counts = np.bincount(pixels.luma.ravel(), minlength=256)
    n = pixels.luma.size
    mean = float(counts @ _LEVELS) / n
    variance = float(counts @ _SQUARES) / n - mean * mean
    rising = counts.cumsum()
    present = counts[counts > 0] / n
    background = _border_median(pixels.luma)
    low, high = max(background - FOREGROUND, 0), min(background + FOREGROUND, 255)
    near = int(rising[high]) - (int(rising[low - 1]) if low else 0)
    return {
        "brightness": mean / 255,
        "contrast": max(variance, 0.0) ** 0.5 / 255,
        "brightness_p01": float(rising.searchsorted(0.01 * n)) / 255,
        "brightness_p99": float(rising.searchsorted(0.99 * n)) / 255,
        "entropy": abs(float(present @ np.log2(present))),
        "foreground_share": 1 - near / n,
    }


def colours(pixels: Pixels) -> dict[str, float | None]:
    """Saturation (HSV), opponent means and colourfulness (Hasler and Suesstrunk 2003); None for a grey picture."""
    if pixels.colour is None:
        return dict.fromkeys(("saturation", "colourfulness", "red_green", "yellow_blue"))
    red, green, blue = pixels.colour
    most = np.maximum(np.maximum(red, green), blue)
    least = np.minimum(np.minimum(red, green), blue)
    r, g, b = (channel.astype(np.float32) for channel in pixels.colour)
    rg = r - g
    yb = 0.5 * (r + g) - b
    rg_mean, yb_mean = float(rg.mean()), float(yb.mean())
    spread = float(rg.var()) + float(yb.var())
    return {
        # Where most is 0 so is least: 1 stands in for the divisor, and the pixel counts as unsaturated.
        "saturation": float(((most - least) / np.maximum(most, 1).astype(np.float32)).mean()),
        "colourfulness": spread**0.5 + 0.3 * (rg_mean * rg_mean + yb_mean * yb_mean) ** 0.5,
        "red_green": rg_mean / 255,
        "yellow_blue": yb_mean / 255,
    }


def structure(pixels: Pixels) -> dict[str, float | None]:
    """Sharpness (variance of the Laplacian), noise (Immerkaer 1996) and blockiness at the 8-pixel grid of JPEG."""
    tiles = pixels.tiles.astype(np.float32) / np.float32(255)
    found: dict[str, float | None] = dict.fromkeys(("sharpness", "noise", "blockiness"))
    if min(tiles.shape[1:]) >= 3:
        across = tiles[:, :, 2:] - 2 * tiles[:, :, 1:-1] + tiles[:, :, :-2]
        down = tiles[:, 2:] - 2 * tiles[:, 1:-1] + tiles[:, :-2]
        found["sharpness"] = float((across[:, 1:-1] + down[:, :, 1:-1]).var())
        # His mask [1 -2 1; -2 4 -2; 1 -2 1] is the second difference in both directions; its norm is 6.
        mask = across[:, 2:] - 2 * across[:, 1:-1] + across[:, :-2]
        found["noise"] = float(np.abs(mask).mean()) * (np.pi / 2) ** 0.5 / 6
    if min(tiles.shape[1:]) >= 16:
        found["blockiness"] = _blockiness(tiles)
    return found


def _blockiness(tiles: NDArray[Any]) -> float | None:
    """(b - w) / (b + w) for mean absolute steps b across and w inside the 8-pixel blocks, in [-1, 1]."""
    at_edges = inside = 0.0
    for axis in (1, 2):
        steps = np.abs(np.diff(tiles, axis=axis)).mean(axis=(0, 3 - axis), dtype=np.float64)
        edges = float(steps[7::8].mean())
        at_edges += edges
        inside += (float(steps.sum()) - edges * len(steps[7::8])) / (len(steps) - len(steps[7::8]))
    return share(at_edges - inside, at_edges + inside)


def _border_median(luma: Bytes) -> int:
    """Median luma of the outermost pixels: what the background looks like."""
    border = np.concatenate([luma[0], luma[-1], luma[:, 0], luma[:, -1]])
    return int(np.bincount(border, minlength=256).cumsum().searchsorted(len(border) / 2))


def _tiles(image: NDArray[Any]) -> list[NDArray[Any]]:
    """TILES x TILES pieces of equal size, spread evenly, each starting at a multiple of 8."""
    height, width = (min(TILE, side) for side in image.shape[:2])
    tops, lefts = (
        [int(start) // 8 * 8 for start in np.linspace(0, side - size, TILES)]
        for side, size in zip(image.shape[:2], (height, width))
    )
    return [image[top : top + height, left : left + width] for top in tops for left in lefts]


def _to_bytes(image: NDArray[Any], what: str) -> Any:
    """The picture on 256 levels."""
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.uint16:
        return (image >> 8).astype(np.uint8)
    if image.dtype.kind == "b":
        return image.astype(np.uint8) * 255
    low, high = float(image.min()), float(image.max())
    if not np.isfinite(low + high):
        raise DescribeError("not_finite", f"{what} with NaN or infinite pixels", fix="repair the pixels first")
    if image.dtype.kind == "f" and low >= -1e-3 and high <= 1 + 1e-3:
        return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    if image.dtype.kind in "iu" and low >= 0 and high <= 255:
        return image.astype(np.uint8)
    raise DescribeError(
        "bad_range", f"{what} of {image.dtype} from {low:g} to {high:g}", fix="give uint8, or floats from 0 to 1"
    )


def _split(image: Bytes) -> tuple[Bytes, ...]:
    """(grey,) or (red, green, blue)."""
    if image.ndim == 2:
        return (image,)
    if image.shape[2] < 3:
        return (image[..., 0],)
    return image[..., 0], image[..., 1], image[..., 2]


def _luma(channels: tuple[Bytes, ...]) -> Any:
    """Luma rounded to 8 bits."""
    if len(channels) == 1:
        return np.ascontiguousarray(channels[0])
    red, green, blue = (channel * weight for channel, weight in zip(channels, _LUMA))
    return (red + green + blue + np.float32(0.5)).astype(np.uint8)
