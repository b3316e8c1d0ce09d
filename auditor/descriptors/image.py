"""Images: tones, colours, structure and size, from decoded pixels or from a file (Pillow)."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from auditor.core.errors import DescribeError
from auditor.core.record import Scalar
from auditor.descriptors._common import bytes_of, category, figure, is_encoded, number
from auditor.descriptors._pixels import colours, perceptual_hash, pixels_of, structure, tones
from auditor.ports import DescriptorColumn

MAX_PIXELS = 64_000_000
"""Larger pictures are refused before they are decoded."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "MPO", "JPEG2000", "AVIF")
"""What Pillow may open: decoders that stay inside this process."""
_ORIENTATION = 0x0112


class ImageDescriptor:
    """Describes a PIL image, an array (H, W[, C]) or (C, H, W), or the bytes or path of an encoded file.

    EXIF orientation is applied. `{"array": x, "bits": 12}` declares how many bits of wider integers are used.

    Limits: a mirrored picture has the same figures but for its hash; fine texture counts as noise; of 16-bit integers without
    `bits` the full range is assumed. The hash is no secret: who has the picture can make it.
    """

    modality = "image"
    title = "Images"
    headline = "Images changed"
    advice = (
        "Look at the newest images from each source, and ask what changed at the camera, scanner or upload "
        "path. If the change is meant to stay, pin a new baseline; if not, repair the source and watch "
        "whether the alert resolves."
    )
    files = True
    version = "2"
    columns: tuple[DescriptorColumn, ...] = (
        number("brightness", "1", "Mean luma, share of full scale."),
        number("contrast", "1", "Standard deviation of the luma, share of full scale."),
        number("brightness_p01", "1", "1st percentile of the luma: how black the darkest parts are."),
        number("brightness_p99", "1", "99th percentile of the luma: how bright the lightest parts are."),
        number("entropy", "bit", "Entropy of the luma's histogram of 256 levels, at most 8."),
        number(
            "foreground_share", "1", "Share of pixels whose luma is more than 0.2 off the median of the image's border."
        ),
        number("highlight_share", "1", "Share of pixels blown out: luma of at least 254 of 255."),
        number("shadow_share", "1", "Share of pixels crushed to black: luma of at most 1 of 255."),
        number("saturation", "1", "Mean HSV saturation; none for a grey image."),
        number("colourfulness", "1", "Hasler and Suesstrunk's M3 on 8-bit values: 0 grey, 109 extremely colourful."),
        number("red_green", "1", "Mean of red minus green, share of full scale: a colour cast, or swapped channels."),
        number("yellow_blue", "1", "Mean of yellow minus blue, share of full scale."),
        number("sharpness", "1", "Variance of the Laplacian of the luma on a scale of 0 to 1; falls with blur."),
        number("noise", "1", "Standard deviation of the noise by Immerkaer's method, share of full scale."),
        number(
            "blockiness",
            "1",
            "Steps across an 8-pixel grid, wherever it begins, against those inside, (b - w) / (b + w); near 0 without one.",
        ),
        number("width", "{pixel}", "Pixels in a row, upright."),
        number("height", "{pixel}", "Rows of pixels, upright."),
        number("aspect", "1", "Width by height."),
        number("channels", "{channel}", "Channels as stored, alpha included."),
        category("exif_orientation", "EXIF orientation, 1 to 8, as stored; none when the file has no such tag."),
        category("perceptual_hash", "64 bits of light and dark areas (dHash): equal for repeats of a picture."),
    )

    def describe(self, value: Any, *, rate: float | None = None) -> Mapping[str, Scalar]:
        """Figures by column; DescribeError for what is no image, too large, truncated or not decodable."""
        orientation: str | None = None
        channels: int | None = None
        array, bits = value, None
        if isinstance(value, Mapping):
            array, bits = _declared(value)
        elif is_encoded(value) or _is_pil(value):
            array, channels, orientation = _decode(value)
        with np.errstate(all="ignore"):
            pixels = pixels_of(array, bits=bits)
            found = {**tones(pixels), **colours(pixels), **structure(pixels)}
        found.update(
            width=pixels.width,
            height=pixels.height,
            aspect=pixels.width / pixels.height,
            channels=channels or pixels.channels,
        )
        figures: dict[str, Scalar] = {name: figure(number) for name, number in found.items()}
        figures["exif_orientation"] = orientation
        figures["perceptual_hash"] = perceptual_hash(pixels.luma)
        return figures


def _declared(value: Mapping[Any, Any]) -> tuple[Any, int | None]:
    """Pixels and the declared bits of their integers."""
    bits = value.get("bits")
    if "array" not in value or not (bits is None or (isinstance(bits, int) and 1 <= bits <= 32)):
        raise DescribeError("wrong_type", "a mapping without pixels or depth", fix='give {"array": x, "bits": n}')
    return value["array"], bits


def _is_pil(value: Any) -> bool:
    module = sys.modules.get("PIL.Image")  # nobody has a PIL image without having imported it
    return module is not None and isinstance(value, module.Image)


def _decode(value: Any) -> tuple[np.ndarray, int, str | None]:
    """Pixels, stored channels and orientation of a PIL image or an encoded file."""
    try:
        from PIL import Image
    except ImportError as error:
        raise DescribeError(
            "extra_missing", "Pillow is not installed", fix="pip install 'auditor[service]', or give decoded arrays"
        ) from error
    try:
        image = value if _is_pil(value) else Image.open(io.BytesIO(bytes_of(value)), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise DescribeError(
                "too_large", f"{image.width} x {image.height} pixels are more than {MAX_PIXELS}", fix="scale it down"
            )
        orientation = _orientation(image)
        channels = len(image.getbands())
        return upright(np.asarray(_plain(image)), orientation), channels, orientation
    except DescribeError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DescribeError("too_large", "more pixels than Pillow agrees to decode", fix="scale it down") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, KeyError, ...
        code = "truncated" if "truncated" in str(error).lower() else "decode_failed"
        raise DescribeError(code, f"the image cannot be decoded ({type(error).__name__})") from error


def upright(pixels: np.ndarray, orientation: str | None) -> np.ndarray:
    """Pixels (h, w[, c]) as EXIF orientation `1` to `8` shows them."""
    code = int(orientation or 1)
    if code in (3, 4, 6, 7):
        pixels = pixels[::-1]
    if code in (2, 3, 7, 8):
        pixels = pixels[:, ::-1]
    return pixels.swapaxes(0, 1) if code >= 5 else pixels


def _plain(image: Any) -> Any:
    """The image in a mode whose array is grey or RGB."""
    if image.mode in ("L", "LA", "RGB", "RGBA", "I;16"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("I", "F", "I;16B", "I;16L"):
        # 32-bit modes have no agreed full scale; PNG and TIFF use them for 16 bits.
        array = np.asarray(image)
        return array.astype(np.uint16) if array.size and array.min() >= 0 and array.max() <= 65535 else array
    return image.convert("RGBA" if "transparency" in image.info else "RGB")


def _orientation(image: Any) -> str | None:
    try:
        tag = image.getexif().get(_ORIENTATION)
    except Exception:  # a broken EXIF block says nothing about the pixels
        return None
    return str(tag) if isinstance(tag, int) and 1 <= tag <= 8 else None


PLUGIN = ImageDescriptor()
