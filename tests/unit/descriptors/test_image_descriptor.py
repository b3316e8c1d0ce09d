"""Image figures against values worked out by hand, against Pillow's own decoding, and on hostile files."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from auditor.core.errors import DescribeError
from auditor.descriptors import image as image_file
from auditor.descriptors.image import PLUGIN

RNG = np.random.default_rng(1)


def describe(value):
    return dict(PLUGIN.describe(value))


def encode(array, kind="PNG", **options):
    out = io.BytesIO()
    Image.fromarray(array).save(out, kind, **options)
    return out.getvalue()


def code_of(value):
    with pytest.raises(DescribeError) as caught:
        PLUGIN.describe(value)
    return caught.value.code


def test_a_flat_grey_image():
    figures = describe(np.full((40, 60), 51, np.uint8))
    expected = {
        "brightness": 0.2,
        "contrast": 0.0,
        "brightness_p01": 0.2,
        "brightness_p99": 0.2,
        "entropy": 0.0,
        "foreground_share": 0.0,
    }
    assert {name: figures[name] for name in expected} == expected
    assert (figures["sharpness"], figures["noise"], figures["blockiness"]) == (0.0, 0.0, None)
    assert (figures["width"], figures["height"], figures["aspect"], figures["channels"]) == (60, 40, 1.5, 1)
    assert figures["saturation"] is figures["colourfulness"] is figures["exif_orientation"] is None


def test_half_black_half_white():
    image = np.zeros((20, 20), np.uint8)
    image[:, 10:] = 255
    figures = describe(image)
    assert figures["brightness"] == 0.5
    assert figures["contrast"] == 0.5
    assert figures["entropy"] == 1.0
    assert (figures["brightness_p01"], figures["brightness_p99"]) == (0.0, 1.0)


def test_a_digit_is_the_foreground_of_its_background():
    image = np.zeros((20, 20), np.uint8)
    image[5:10, 5:10] = 200
    assert describe(image)["foreground_share"] == pytest.approx(25 / 400)
    assert describe(255 - image)["foreground_share"] == pytest.approx(25 / 400)


def test_the_laplacian_of_one_bright_pixel():
    # Inside the 3 x 3 interior of a 5 x 5 image: -4 at the pixel, 1 at its four neighbours; mean 0, so variance 20 / 9.
    image = np.zeros((5, 5), np.uint8)
    image[2, 2] = 255
    assert describe(image)["sharpness"] == pytest.approx(20 / 9, rel=1e-6)


def test_sharpness_is_the_variance_of_the_laplacian():
    image = RNG.integers(0, 256, (64, 50), dtype=np.uint8)
    g = image / 255
    laplacian = g[:-2, 1:-1] + g[2:, 1:-1] + g[1:-1, :-2] + g[1:-1, 2:] - 4 * g[1:-1, 1:-1]
    assert describe(image)["sharpness"] == pytest.approx(laplacian.var(), rel=1e-5)


@pytest.mark.parametrize("sigma", [0.01, 0.03, 0.08])
def test_noise_recovers_sigma(sigma):
    image = np.clip(0.5 + sigma * RNG.normal(size=(200, 200)), 0, 1)
    assert describe(image)["noise"] == pytest.approx(sigma, rel=0.05)


def test_noise_ignores_straight_ramps():
    ramp = np.tile(np.arange(0, 200, 2, dtype=np.uint8), (100, 1))
    assert describe(ramp)["noise"] == pytest.approx(0.0, abs=1e-6)


def test_jpeg_blocks_show():
    x, y = np.meshgrid(np.arange(128), np.arange(128))
    noise = np.random.default_rng(3).normal(0, 2, (128, 128))
    smooth = (127 + 80 * np.sin(x / 17) * np.cos(y / 23) + noise).clip(0, 255).astype(np.uint8)
    fine, coarse = (describe(encode(smooth, "JPEG", quality=quality))["blockiness"] for quality in (95, 8))
    assert abs(fine) < 0.08
    assert coarse > 0.4


def test_pure_red():
    figures = describe(np.full((9, 9, 3), (255, 0, 0), np.uint8))
    assert figures["brightness"] == pytest.approx(0.299, abs=2e-3)
    assert figures["saturation"] == 1.0
    assert (figures["red_green"], figures["yellow_blue"]) == (1.0, 0.5)
    # No spread; 0.3 sqrt(255^2 + 127.5^2).
    assert figures["colourfulness"] == pytest.approx(0.3 * np.hypot(255, 127.5), rel=1e-6)


def test_colourfulness_is_the_published_formula():
    image = RNG.integers(0, 256, (50, 50, 3), dtype=np.uint8)
    r, g, b = np.moveaxis(image.astype(float), 2, 0)
    rg, yb = r - g, (r + g) / 2 - b
    expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    assert describe(image)["colourfulness"] == pytest.approx(expected, rel=1e-5)


def test_saturation_is_that_of_hsv():
    image = RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    hsv = np.asarray(Image.fromarray(image).convert("HSV"))[..., 1]
    assert describe(image)["saturation"] == pytest.approx(hsv.mean() / 255, abs=3e-3)


def test_swapped_channels_show():
    image = RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    image[..., 2] //= 3
    assert describe(image)["yellow_blue"] > 0.1
    assert describe(image[..., ::-1])["yellow_blue"] < -0.01


def test_luma_is_that_of_pillow():
    image = RNG.integers(0, 256, (60, 60, 3), dtype=np.uint8)
    grey = np.asarray(Image.fromarray(image).convert("L"))
    assert describe(image)["brightness"] == pytest.approx(grey.mean() / 255, abs=2e-3)


def test_file_array_and_pil_agree(tmp_path):
    image = RNG.integers(0, 256, (50, 70, 3), dtype=np.uint8)
    data = encode(image)
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    figures = describe(image)
    for value in (data, memoryview(data), path, str(path), Image.fromarray(image), Image.open(path)):
        assert describe(value) == figures


def test_dtypes_and_layouts_agree():
    image = RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    figures = describe(image)
    for same in (image / 255, image.astype(np.int32), image.astype(np.uint16) << 8, image.transpose(2, 0, 1)):
        assert describe(same) == figures


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_every_mode_of_pillow(mode):
    figures = describe(Image.new(mode, (20, 10)))
    assert (figures["width"], figures["height"]) == (20, 10)


def test_a_palette_with_transparency():
    out = io.BytesIO()
    image = Image.fromarray(RNG.integers(0, 255, (20, 20, 3), dtype=np.uint8)).quantize(16)
    image.save(out, "PNG", transparency=bytes(range(16)))
    assert describe(out.getvalue())["saturation"] is not None


@pytest.mark.parametrize("code", range(1, 9))
def test_orientation_is_applied_and_reported(code):
    shades = np.linspace(0, 255, 40 * 60).reshape(40, 60).astype(np.uint8)
    image = Image.fromarray(np.stack([shades, shades, shades[::-1]], axis=2))
    exif = Image.Exif()
    exif[0x0112] = code
    out = io.BytesIO()
    image.save(out, "PNG", exif=exif)
    figures = describe(out.getvalue())
    upright = describe(np.asarray(ImageOps.exif_transpose(Image.open(out))))
    assert figures["exif_orientation"] == str(code)
    numbers = [name for name in upright if isinstance(upright[name], float)]
    assert {name: figures[name] for name in numbers} == pytest.approx(
        {name: upright[name] for name in numbers}, rel=1e-5
    )
    assert figures["perceptual_hash"] == upright["perceptual_hash"]
    assert figures["width"] == (60 if code < 5 else 40)


DITHERS = {
    "2 x 2": np.array([[0, 2], [3, 1]]) / 4 + 1 / 8,
    "4 x 4": (np.arange(16).reshape(4, 4) * 7 % 16) / 16 + 1 / 32,
    "8 x 8": (np.arange(64).reshape(8, 8) * 37 % 64) / 64 + 1 / 128,
}


@pytest.mark.parametrize("pattern", DITHERS)
@pytest.mark.parametrize("side", [512, 1000, 1024, 2048])
def test_patterns_do_not_alias(pattern, side):
    tile = DITHERS[pattern]
    cover = np.tile(tile, (side // len(tile) + 1,) * 2)[:side, :side]
    assert describe(np.where(cover < 0.3, 255, 0).astype(np.uint8))["brightness"] == pytest.approx(
        (tile < 0.3).mean(), abs=0.03
    )
    stripes = np.where(np.arange(side) % 8 < 2, 255, 0).astype(np.uint8)
    assert describe(np.tile(stripes, (side, 1)))["brightness"] == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("corner", [(0, 0), (1200, 900), (2600, 3600)])
def test_local_noise_in_a_large_photo_shows(corner):
    image = np.full((3000, 4000), 128, np.uint8)
    top, left = corner
    image[top : top + 400, left : left + 400] = np.random.default_rng(0).integers(64, 192, (400, 400))
    assert describe(image)["noise"] > 1e-4


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_declared_bits_scale_the_pixels(bits):
    image = RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    wide = np.round(image / 255 * (2**bits - 1)).astype(np.uint16)
    figures, plain = describe({"array": wide, "bits": bits}), describe(image)
    for name in ("brightness", "contrast", "saturation", "sharpness"):
        assert figures[name] == pytest.approx(plain[name], rel=0.01)
    assert code_of({"array": wide, "bits": "twelve"}) == "wrong_type"
    assert code_of({"array": wide.astype(np.int32) + 2**bits, "bits": bits}) == "bad_range"


@pytest.mark.parametrize("offset", [(0, 0), (3, 0), (0, 5), (4, 7)])
@pytest.mark.parametrize("side", [200, 700])
def test_blocks_show_wherever_their_grid_begins(offset, side):
    x, y = np.meshgrid(np.arange(side + 8), np.arange(side + 8))
    noise = np.random.default_rng(3).normal(0, 2, x.shape)
    smooth = (127 + 80 * np.sin(x / 17) * np.cos(y / 23) + noise).clip(0, 255).astype(np.uint8)
    blocky = np.asarray(Image.open(io.BytesIO(encode(smooth, "JPEG", quality=8))))
    down, right = offset
    assert describe(blocky[down : down + side, right : right + side])["blockiness"] > 0.3
    assert abs(describe(smooth[down : down + side, right : right + side])["blockiness"]) < 0.1


def test_clipped_highlights_and_shadows_show():
    ramp = np.tile(np.linspace(0, 1, 250), (100, 1))
    assert describe(np.clip(ramp * 1.5, 0, 1))["highlight_share"] == pytest.approx(1 / 3, abs=0.01)
    assert describe(np.clip(ramp * 1.5 - 0.5, 0, 1))["shadow_share"] == pytest.approx(1 / 3, abs=0.01)
    assert (
        describe(np.clip(ramp, 0.1, 0.9))["highlight_share"] == describe(np.clip(ramp, 0.1, 0.9))["shadow_share"] == 0
    )


def test_the_hash_is_that_of_the_picture():
    x, y = np.meshgrid(np.arange(400), np.arange(300))
    photo = (127 + 60 * np.sin(x / 40) * np.cos(y / 31) + 60 * np.sin(x / 90 + 1)).clip(0, 255).astype(np.uint8)

    def distance(value):
        return (int(describe(photo)["perceptual_hash"], 16) ^ int(describe(value)["perceptual_hash"], 16)).bit_count()

    assert len(describe(photo)["perceptual_hash"]) == 16
    assert distance(photo.copy()) == 0
    assert distance(encode(photo, "JPEG", quality=40)) <= 4
    assert distance(np.asarray(Image.fromarray(photo).resize((200, 150)))) <= 6
    assert distance(photo[:, ::-1]) > 10
    assert describe(np.zeros((5, 5), np.uint8))["perceptual_hash"] is None


def test_a_large_image_is_sampled_with_its_local_structure():
    image = np.clip(0.5 + 0.05 * RNG.normal(size=(1500, 2000)), 0, 1)
    figures = describe(image)
    assert figures["noise"] == pytest.approx(0.05, rel=0.05)
    assert figures["brightness"] == pytest.approx(0.5, abs=2e-3)
    assert (figures["width"], figures["height"]) == (2000, 1500)


def test_extreme_shapes():
    assert describe(np.zeros((1, 5000), np.uint8))["width"] == 5000
    assert describe(np.zeros((5000, 2), np.uint8))["sharpness"] is None
    assert code_of(np.zeros((0, 5), np.uint8)) == "empty"
    assert code_of(np.zeros((5, 5, 7), np.uint8)) == "bad_shape"
    assert code_of(np.zeros(5, np.uint8)) == "bad_shape"


def test_unusable_values():
    assert code_of(np.full((5, 5), np.nan)) == "not_finite"
    assert code_of(np.full((5, 5), 77.0)) == "bad_range"
    assert code_of(np.full((5, 5), -1)) == "bad_range"
    assert code_of(np.zeros((5, 5), complex)) == "wrong_type"
    assert code_of(7j) == "wrong_type"
    assert code_of(None) == "wrong_type"


def test_unusable_files(tmp_path):
    data = encode(RNG.integers(0, 256, (200, 200, 3), dtype=np.uint8), "JPEG")
    assert code_of(data[: len(data) // 2]) == "truncated"
    assert code_of(b"GIF89a") == "decode_failed"
    assert code_of(b"not an image") == "decode_failed"
    assert code_of(b"") == "empty"
    assert code_of("%!PS-Adobe-3.0 EPSF-3.0") == "not_found"
    assert code_of(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n") == "decode_failed"
    assert code_of(tmp_path) == "not_found"
    assert code_of("/dev/zero") == "not_found"
    assert code_of("a\x00b") == "not_found"


def bomb(side):
    """A PNG that claims side x side pixels in a few bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\x00" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [8_500, 50_000, 2**31 - 1])
def test_a_bomb_is_refused_before_it_is_decoded(side, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    assert code_of(bomb(side)) == "too_large"


def test_a_file_beyond_the_limit_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate((256 << 20) + 1)
    assert code_of(path) == "too_large"


def test_without_pillow_arrays_still_work(monkeypatch):
    data = encode(np.zeros((4, 4), np.uint8))
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    assert code_of(data) == "extra_missing"
    assert image_file.PLUGIN.describe(np.zeros((4, 4), np.uint8))["brightness"] == 0.0
