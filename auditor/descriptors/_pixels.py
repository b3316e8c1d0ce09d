"""Figures of decoded pixels, shared by images and the frames of a video.

Work is bounded: tones and colours come from one pixel of each cell of a grid, local structure (sharpness, noise, blockiness)
from many small tiles at full resolution, so that a picture of any size costs about as much as one of 256 x 256. The place of
the pixel differs from cell to cell: an even stride would meet the same phase of a pattern (a dither, a grid) everywhere.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.core.errors import DescribeError
from auditor.descriptors._common import array_of, share

SIDE = 256
"""Longest side that is looked at whole, and cells along the longer side of a larger picture."""
TILE = 16
"""Side of a tile, in pixels."""
TILES = 12
"""Tiles along each axis of a larger picture: damage of a twelfth of its side is met."""
FOREGROUND = 51
"""Levels (of 255) by which a pixel of the foreground differs from the border's median."""
HIGHLIGHT, SHADOW = 254, 1
"""Luma from which a pixel is blown out, and up to which it is crushed."""

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


def pixels_of(value: Any, what: str = "an image", bits: int | None = None) -> Pixels:
    """Pixels of an array: (H, W), (H, W, C) or (C, H, W) with 1 to 4 channels; alpha is left out.

    uint8 counts to 255, uint16 to 65535, booleans and floats from 0 to 1; integers of declared `bits` to 2^bits - 1.
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
    whole = max(height, width) <= SIDE
    sample = (
        image if whole else _grid(image, *(_cells(side, -(-max(height, width) // SIDE)) for side in (height, width)))
    )
    planes = _split(_to_bytes(sample, what, bits))
    luma = _luma(planes)
    tiles = luma[None] if whole else _tiles(image, what, bits)
    return Pixels(height, width, channels, luma, planes if len(planes) == 3 else None, tiles)


def thumbnail(image: NDArray[Any], side: int) -> Bytes:
    """Luma of at most `side` x `side` pixels of a frame, one of each cell of a grid."""
    if image.ndim == 3 and image.shape[2] > 4 and image.shape[0] <= 4:
        image = image.transpose(1, 2, 0)
    rows, columns = (_cells(length, max(1, -(-length // side))) for length in image.shape[:2])
    found: Bytes = _luma(_split(_to_bytes(_grid(image, rows, columns), "a frame")))
    return found


@functools.lru_cache(64)
def _cells(length: int, step: int) -> NDArray[np.intp]:
    """One place in each run of `step` places: multiples of the golden ratio spread evenly and repeat no period."""
    start = np.arange(0, length, step)
    return np.minimum(start + (np.arange(len(start)) * 0.6180339887 % 1 * step).astype(np.intp), length - 1)


def _grid(image: NDArray[Any], rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[Any]:
    return image[rows].take(columns, axis=1)  # `take` would copy the whole of an image that is a view


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
        "highlight_share": (n - int(rising[HIGHLIGHT - 1])) / n,
        "shadow_share": int(rising[SHADOW]) / n,
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
    """(b - w) / (b + w) for mean absolute steps b across and w inside blocks of 8 pixels, wherever their grid begins."""
    at_edges = inside = 0.0
    for axis in (1, 2):
        steps = np.abs(np.diff(tiles, axis=axis)).mean(axis=(0, 3 - axis), dtype=np.float64)
        phases = np.bincount(np.arange(len(steps)) % 8, steps) / np.bincount(np.arange(len(steps)) % 8)
        at_edges += float(phases.max())
        inside += float(phases.sum() - phases.max()) / 7
    return share(at_edges - inside, at_edges + inside)


def perceptual_hash(luma: Bytes) -> str | None:
    """16 hex digits: whether each of 8 x 8 areas is darker than the next one to the right (dHash); None under 9 x 8 pixels.

    Alike pictures differ in few bits; the same picture encoded anew mostly in none.
    """
    height, width = luma.shape
    if height < 8 or width < 9:
        return None
    rows, columns = (np.arange(count) * side // count for count, side in ((8, height), (9, width)))
    sums = np.add.reduceat(np.add.reduceat(luma, rows, axis=0, dtype=np.int64), columns, axis=1)
    sizes = np.outer(np.diff(rows, append=height), np.diff(columns, append=width))
    means = sums / sizes
    return np.packbits(means[:, :-1] + 1 < means[:, 1:]).tobytes().hex()


def _border_median(luma: Bytes) -> int:
    """Median luma of the outermost pixels: what the background looks like."""
    border = np.concatenate([luma[0], luma[-1], luma[:, 0], luma[:, -1]])
    return int(np.bincount(border, minlength=256).cumsum().searchsorted(len(border) / 2))


def _tiles(image: NDArray[Any], what: str, bits: int | None) -> Bytes:
    """Luma of tiles spread evenly, shape (k, h, w), each starting at a multiple of 8: of one phase of any JPEG grid."""
    places, sizes = [], []
    for side in image.shape[:2]:
        size = min(TILE, side)
        count = max(1, min(TILES, side // TILE))
        starts = np.linspace(0, side - size, count).astype(np.intp) // 8 * 8
        places.append((starts[:, None] + np.arange(size)).ravel())
        sizes.append((count, size))
    luma = _luma(_split(_to_bytes(_grid(image, *places), what, bits)))
    (down, height), (across, width) = sizes
    found: Bytes = luma.reshape(down, height, across, width).swapaxes(1, 2).reshape(-1, height, width)
    return found


def _to_bytes(image: NDArray[Any], what: str, bits: int | None = None) -> Any:
    """The picture on 256 levels."""
    if bits is not None and image.dtype.kind in "iu":
        image = image / np.float32((1 << bits) - 1)
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
        "bad_range",
        f"{what} of {image.dtype} from {low:g} to {high:g}",
        fix='give uint8, floats from 0 to 1, or {"array": x, "bits": n}',
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
