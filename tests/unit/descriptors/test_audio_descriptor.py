"""Audio figures of tones and noise worked out by hand, encoded files against their samples, and hostile files."""

import io
import wave

import numpy as np
import pytest

from auditor.core.errors import DescribeError
from auditor.descriptors import audio
from auditor.descriptors.audio import PLUGIN

RNG = np.random.default_rng(2)
RATE = 8000


def describe(value, rate=RATE):
    return dict(PLUGIN.describe(value, rate=rate))


def sine(hertz, seconds=1.0, rate=RATE, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def code_of(value, rate=RATE):
    with pytest.raises(DescribeError) as caught:
        PLUGIN.describe(value, rate=rate)
    return caught.value.code


def wav(samples, width=2, rate=RATE, channels=1):
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples)
    return out.getvalue()


def test_a_sine():
    figures = describe(sine(1000))
    assert figures["level_dbfs"] == pytest.approx(10 * np.log10(0.5**2 / 2), abs=0.01)
    assert figures["peak"] == pytest.approx(0.5, abs=1e-3)
    assert figures["centroid_hz"] == pytest.approx(1000, abs=5)
    assert figures["rolloff95_hz"] == pytest.approx(1000, abs=RATE / 256)
    assert figures["bandwidth_hz"] < 50
    assert figures["flatness"] < 1e-3
    assert figures["zcr"] == pytest.approx(2000 / RATE, abs=2e-3)
    assert figures["hf_share"] == pytest.approx(0, abs=1e-3)
    assert (figures["duration_s"], figures["rate_hz"], figures["channels"]) == (1.0, 8000.0, 1.0)
    assert (figures["clipping_share"], figures["silence_share"]) == (0.0, 0.0)
    assert figures["snr_db"] == pytest.approx(0, abs=0.1)


def test_white_noise():
    figures = describe(0.1 * RNG.normal(size=4 * RATE))
    assert figures["level_dbfs"] == pytest.approx(-20, abs=0.2)
    assert figures["centroid_hz"] == pytest.approx(2000, rel=0.03)
    assert figures["bandwidth_hz"] == pytest.approx(4000 / np.sqrt(12), rel=0.03)
    assert figures["rolloff95_hz"] == pytest.approx(3800, rel=0.02)
    assert figures["flatness"] > 0.97
    assert figures["hf_share"] == pytest.approx(0.5, abs=0.03)
    assert figures["zcr"] == pytest.approx(0.5, abs=0.02)
    assert figures["pitch_hz"] is None


def test_speech_over_noise_has_its_ratio():
    # Half of the time a tone of -9 dBFS over noise of -40 dBFS: the 95th and 5th percentile of the frames see both.
    x = 0.01 * RNG.normal(size=4 * RATE)
    x[2 * RATE :] += sine(300, 2)
    figures = describe(x)
    assert figures["snr_db"] == pytest.approx(31, abs=1.0)
    assert figures["floor_dbfs"] == pytest.approx(-40.5, abs=1.0)


@pytest.mark.parametrize("hertz", [65, 100, 137, 220, 330, 440, 490])
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_pitch(hertz, rate):
    t = np.arange(rate) / rate
    voice = sum(np.sin(2 * np.pi * hertz * k * t) / k for k in range(1, 6)) * 0.2 + 0.005 * RNG.normal(size=rate)
    assert describe(voice, rate)["pitch_hz"] == pytest.approx(hertz, rel=0.01)


def test_digital_silence_has_a_level_and_no_spectrum():
    figures = describe(np.zeros(RATE))
    assert (figures["level_dbfs"], figures["silence_share"]) == (-100.0, 1.0)
    assert figures["centroid_hz"] is figures["flatness"] is figures["pitch_hz"] is None


def test_clipping_and_offset():
    x = np.clip(3 * sine(203.7, amplitude=1.0), -1, 1)
    # |3 sin| >= 1 for all but 2 arcsin(1/3) / pi of the time.
    assert describe(x)["clipping_share"] == pytest.approx(1 - 2 * np.arcsin(1 / 3) / np.pi, abs=0.02)
    assert describe(sine(200) + 0.2)["dc_offset"] == pytest.approx(0.2, abs=1e-3)


def test_integers_count_to_full_scale():
    x = sine(500)
    figures = describe(x)
    for kind, scale in ((np.int16, 32768), (np.int32, 2**31)):
        assert describe((x * scale).astype(kind))["level_dbfs"] == pytest.approx(figures["level_dbfs"], abs=0.01)
    eight = (x * 127 + 128).round().astype(np.uint8)
    assert describe(eight)["level_dbfs"] == pytest.approx(figures["level_dbfs"], abs=0.1)


def test_stereo_is_averaged_in_either_layout():
    x = np.stack([sine(500), np.zeros(RATE)], axis=1)
    figures = describe(x)
    assert figures["channels"] == 2
    assert figures["peak"] == pytest.approx(0.25, abs=1e-3)
    assert describe(x.T) == figures
    assert describe({"array": x, "sampling_rate": RATE}, None) == figures


def test_files_agree_with_their_samples(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    x = (sine(300) * 32767).astype(np.int16)
    expected = describe(x)
    for kind in ("WAV", "FLAC"):
        out = io.BytesIO()
        soundfile.write(out, x, RATE, format=kind)
        assert describe(out.getvalue(), None) == expected
    path = tmp_path / "clip.mp3"
    soundfile.write(path, x, RATE, format="MP3")
    lossy = describe(path, None)
    assert lossy["level_dbfs"] == pytest.approx(expected["level_dbfs"], abs=0.5)
    assert lossy["pitch_hz"] == pytest.approx(300, rel=0.01)


@pytest.mark.parametrize(("width", "tolerance"), [(1, 0.2), (2, 0.01), (3, 0.01), (4, 0.01)])
def test_wav_needs_no_library(width, tolerance, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    x = sine(300)
    if width == 1:
        raw = (x * 127 + 128).round().astype(np.uint8).tobytes()
    else:
        packed = (x * (2**31 - 1)).astype("<i4").view(np.uint8).reshape(-1, 4)
        raw = packed[:, 4 - width :].tobytes()
    figures = describe(wav(raw, width), None)
    assert figures["level_dbfs"] == pytest.approx(describe(x)["level_dbfs"], abs=tolerance)
    assert figures["duration_s"] == 1.0
    assert code_of(b"fLaC" + bytes(100)) == "extra_missing"


def test_the_two_wav_readers_agree(monkeypatch):
    pytest.importorskip("soundfile")
    data = wav((np.stack([sine(300), sine(500)], 1) * 32767).astype("<i2").tobytes(), channels=2)
    with_library = describe(data, None)
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    assert describe(data, None) == with_library


def test_long_sound_is_sampled():
    x = np.tile(sine(440, 1.0, 16000), 120).astype(np.float32)
    figures = describe(x, 16000)
    assert figures["duration_s"] == 120
    assert figures["level_dbfs"] == pytest.approx(10 * np.log10(0.125), abs=0.01)
    assert figures["pitch_hz"] == pytest.approx(440, rel=0.01)


def test_a_long_file_is_read_in_runs(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "hour.flac"
    soundfile.write(path, np.zeros(16000 * 300, np.int16), 16000)
    figures = describe(path, None)
    assert figures["duration_s"] == 300
    assert figures["silence_share"] == 1.0


def test_one_sample_and_few_frames():
    figures = describe(np.array([0.5]))
    assert figures["peak"] == 0.5
    assert figures["zcr"] is figures["snr_db"] is figures["floor_dbfs"] is None


def test_unusable_values():
    assert code_of(np.zeros(10), None) == "no_rate"
    assert code_of(np.zeros(10), 0) == "bad_rate"
    assert code_of(np.zeros(10), float("nan")) == "bad_rate"
    assert code_of(np.zeros(10), "fast") == "bad_rate"
    assert code_of(np.zeros(0)) == "empty"
    assert code_of(np.full(10, np.inf)) == "not_finite"
    assert code_of(np.full(10, 1e300)) == "not_finite"
    assert code_of(np.full(10, 1e9)) == "bad_range"
    assert code_of(np.zeros((2, 3, 4))) == "bad_shape"
    assert code_of(np.zeros(4, bool)) == "wrong_type"
    assert code_of({"samples": 1}) == "wrong_type"
    assert code_of(b"") == "empty"
    assert code_of(b"RIFF....WAVEjunk") == "decode_failed"
    assert code_of(wav(b"")) == "empty"


def test_frames_are_powers_of_two():
    assert audio._frames(np.zeros(8000, np.float32), 8000).shape[1] == 256
    assert audio._frames(np.zeros(8000, np.float32), 16000).shape[1] == 512
    assert audio._frames(np.zeros(80000, np.float32), 1e9).shape[1] == 65536
    assert audio._frames(np.zeros(80, np.float32), 1e-6).shape[1] == 16
