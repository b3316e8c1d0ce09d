"""Real digits, voices, photos, captions and a LiDAR scan: figures are plausible, and planted damage shows in them."""

import gzip
import io
import json
import os
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp

from auditor import registry
from auditor.testing.checks import check_figures

ROOT = Path(os.environ.get("AUDITOR_TEST_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))
pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason=f"no real data at AUDITOR_TEST_DATA ({ROOT.name})")


def table(modality, values, rate=None):
    """Figures of many values as columns."""
    plugin = registry.load("descriptors", modality)
    rows = [dict(plugin.describe(value, rate=rate)) for value in values]
    for row in rows:
        check_figures(plugin, row)
    return {name: [row[name] for row in rows] for name in rows[0]}


def numbers(column):
    return np.array([value for value in column if value is not None], float)


@pytest.fixture(scope="module")
def digits():
    data = gzip.decompress((ROOT / "handwritten-digits" / "t10k-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(data, np.uint8, offset=16).reshape(-1, 28, 28)


@pytest.fixture(scope="module")
def voices():
    """Every fifteenth recording, as samples at 8 kHz, and as files."""
    found = []
    with zipfile.ZipFile(ROOT / "spoken-digits" / "recordings.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".wav") and "__MACOSX" not in name)
        for name in names[::15]:
            found.append(archive.read(name))
    return found


def samples(data):
    with wave.open(io.BytesIO(data)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def test_digits_are_bright_strokes_on_black(digits):
    columns = table("image", digits[:400])
    assert 0.08 < np.mean(columns["brightness"]) < 0.20
    assert 0.1 < np.mean(columns["foreground_share"]) < 0.25
    assert np.mean(columns["brightness_p99"]) > 0.95
    assert set(columns["brightness_p01"]) == {0.0}
    assert set(columns["saturation"]) == {None}


@pytest.mark.parametrize(
    ("damage", "column"),
    [
        (lambda image: (image * 0.95).astype(np.uint8), "brightness_p99"),
        (lambda image: (image * 0.8).astype(np.uint8), "contrast"),
        (lambda image: (image + RNG.normal(0, 5, image.shape)).clip(0, 255).astype(np.uint8), "noise"),
        (lambda image: ((image[:, :-1].astype(int) + image[:, 1:]) // 2).astype(np.uint8), "sharpness"),
    ],
    ids=["darker by 5 %", "darker by 20 %", "noise", "blur"],
)
def test_damaged_digits_show(digits, damage, column):
    clean = table("image", digits[:300])[column]
    damaged = table("image", [damage(image) for image in digits[300:500]])[column]
    assert ks_2samp(clean, damaged).pvalue < 1e-9


def test_clean_digits_stay_quiet(digits):
    one, other = table("image", digits[:500]), table("image", digits[5000:5300])
    for name in ("contrast", "entropy", "foreground_share"):
        assert ks_2samp(one[name], other[name]).statistic < 0.25


def test_voices_are_voices(voices):
    columns = table("audio", voices)
    assert set(columns["rate_hz"]) == {8000.0}
    assert 0.2 < np.median(columns["duration_s"]) < 0.8
    assert 85 < np.median(numbers(columns["pitch_hz"])) < 180  # six men
    assert len(numbers(columns["pitch_hz"])) > 0.95 * len(voices)
    assert set(columns["snr_db"]) == {None}  # shorter than a second
    assert max(columns["clipping_share"]) < 0.02


def test_files_and_samples_of_voices_agree(voices):
    plugin = registry.load("descriptors", "audio")
    for data in voices[:20]:
        assert plugin.describe(data) == plugin.describe(samples(data), rate=8000)


@pytest.mark.parametrize("column", ["floor_dbfs", "flatness"])
def test_a_noisy_microphone_shows(voices, column):
    clips = [samples(data) / 32768 for data in voices]
    noisy = [x + np.sqrt(np.mean(x**2) / 10) * RNG.normal(size=len(x)) for x in clips[1::2]]  # 10 dB
    clean, damaged = table("audio", clips[::2], 8000), table("audio", noisy, 8000)
    assert ks_2samp(numbers(clean[column]), numbers(damaged[column])).pvalue < 1e-6


def test_photos_and_captions():
    folder = ROOT / "captioned-photos"
    photos = sorted((folder / "val2017").glob("*.jpg"))[:20]
    columns = table("image", photos)
    assert 0.2 < np.mean(columns["brightness"]) < 0.7
    assert 10 < np.mean(columns["colourfulness"]) < 90
    assert np.mean(columns["entropy"]) > 6.5
    assert max(columns["width"]) == 640
    captions = json.loads((folder / "annotations" / "captions_val2017.json").read_text())["annotations"]
    words = table("text", [entry["caption"] for entry in captions])
    assert words["language"].count("en") > 0.97 * len(captions)
    assert 8 < np.mean(words["words"]) < 14
    assert np.mean(numbers(words["readability"])) > 50
    assert sum(words["email_count"]) == sum(words["phone_count"]) == sum(words["card_count"]) == 0


def test_a_street_seen_by_lidar():
    columns = table("point_cloud", [ROOT / "driving-scan" / "000008.bin"])
    assert columns["points"] == [17238.0]
    assert 5 < columns["range_mean"][0] < 30
    assert -2 < columns["height_mean"][0] < 0  # the sensor stands 1.7 m above the road
    assert 0.7 < columns["occlusion"][0] < 0.8  # only what the front camera sees
    assert 0 < columns["intensity_mean"][0] < 1


RNG = np.random.default_rng(9)
