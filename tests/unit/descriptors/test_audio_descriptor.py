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
    assert figures["snr_db"] is None


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


def phrase(seconds=6, rate=RATE):
    """Syllables of changing pitch and formants with pauses, without any noise."""
    rng = np.random.default_rng(7)
    t = np.arange(int(0.25 * rate)) / rate
    parts = []
    while sum(map(len, parts)) < seconds * rate:
        pitch, formant = rng.uniform(90, 250), rng.uniform(400, 1500)
        tones = (
            np.sin(2 * np.pi * pitch * k * t) * np.exp(-(((pitch * k - formant) / 600) ** 2)) for k in range(1, 12)
        )
        parts.append(rng.uniform(0.1, 0.4) * np.hanning(len(t)) * sum(tones))
        parts.append(np.zeros(int(rng.uniform(0.1, 0.3) * rate)))
    return np.concatenate(parts)


def coloured(n, slope, rng, rate):
    """Noise from 50 Hz whose power falls with the frequency to the power of `slope`."""
    hertz = np.fft.rfftfreq(n, 1 / rate)
    shape = np.where(hertz >= 50, np.maximum(hertz, 1) ** (-slope / 2), 0)
    return np.fft.irfft(np.fft.rfft(rng.normal(size=n)) * shape, n)


@pytest.mark.parametrize("decibel", [0, 10, 20, 30, 40])
@pytest.mark.parametrize("slope", [0, 1], ids=["white", "pink"])
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_the_ratio_of_speech_to_noise_has_no_bias(decibel, slope, rate):
    x, found = phrase(rate=rate), []
    for seed in range(2):
        noise = coloured(len(x), slope, np.random.default_rng(seed), rate)
        noise *= np.sqrt(np.mean(x**2) / np.mean(noise**2) / 10 ** (decibel / 10))
        figures = describe(x + noise, rate)
        found.append(figures["snr_db"])
        assert decibel < 10 or figures["voice_share"] is None or 0.3 < figures["voice_share"] < 0.9
    found = [ratio for ratio in found if ratio is not None]
    assert found or (rate == 44100 and decibel == 40)  # frames of 46 ms: seldom a pause for one alone
    assert not found or np.mean(found) == pytest.approx(decibel, abs=1.7)


@pytest.mark.parametrize("steady", [sine(440, 3), 0.1 * RNG.normal(size=3 * RATE), sine(440, 3) + sine(1000, 3) * 0.5])
def test_steady_sound_has_no_ratio(steady):
    assert describe(steady)["snr_db"] is None


def test_short_sound_and_sound_without_pauses_have_no_ratio():
    assert describe(phrase(0.5))["snr_db"] is None
    swept = np.sin(2 * np.pi * np.cumsum(np.linspace(200, 3000, 3 * RATE)) / RATE) * np.linspace(0.01, 0.9, 3 * RATE)
    assert describe(swept)["snr_db"] is None


def test_reverberation_lengthens_the_decay():
    x, found = phrase(), []
    for seconds in (0.1, 0.4, 0.8, 1.6):
        t = np.arange(int(seconds * RATE)) / RATE
        room = np.random.default_rng(1).normal(size=len(t)) * 10 ** (-3 * t / seconds)
        wet = np.convolve(x, room)
        found.append(describe(0.5 * wet / np.abs(wet).max())["reverb_s"])
    assert found == sorted(found)
    assert found[-1] > 2 * found[0]


def test_loudness_agrees_with_pyloudnorm():
    pyloudnorm = pytest.importorskip("pyloudnorm", reason="pyloudnorm is not installed")
    for rate in (8000, 16000, 48000):
        for x in (phrase(4, rate), sine(1000, 4, rate), 0.1 * RNG.normal(size=(3 * rate, 2))):
            assert describe(x, rate)["loudness_lufs"] == pytest.approx(
                pyloudnorm.Meter(rate).integrated_loudness(x), abs=0.5
            )


def test_loudness_of_the_standards_tone_and_of_silence():
    assert describe(sine(997, 4, 48000, 1.0), 48000)["loudness_lufs"] == pytest.approx(-3.01, abs=0.1)  # BS.1770-4
    assert describe(np.zeros(RATE))["loudness_lufs"] is None
    assert describe(sine(997, 0.3))["loudness_lufs"] is None


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("hertz", [520, 640, 777, 1000, 1500, 2345])
def test_a_pitch_above_the_range_is_no_pitch(hertz, rate):
    assert describe(sine(hertz, 1.0, rate), rate)["pitch_hz"] is None
    t = np.arange(rate) / rate
    harmonics = [k for k in (1, 2, 3) if hertz * k < rate / 2]
    assert describe(sum(np.sin(2 * np.pi * hertz * k * t) / k for k in harmonics) * 0.2, rate)["pitch_hz"] is None


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


def test_wide_integers_count_to_the_narrowest_sample_format_that_holds_them():
    x = sine(500)
    for scale in (2**15, 2**23, 2**31):
        whole = (x * scale).astype(np.int64)
        assert describe(whole)["level_dbfs"] == pytest.approx(-9.03, abs=0.01)
        assert describe(whole.tolist())["level_dbfs"] == pytest.approx(-9.03, abs=0.01)
    assert describe((x * 2**15).astype(np.int32))["level_dbfs"] == pytest.approx(-9.03, abs=0.01)
    assert describe(np.full(RATE, -32768, np.int64))["peak"] == 1.0


def test_declared_bits_win():
    x = (sine(500) * 2**11).astype(np.int16)
    declared = {"array": x, "sampling_rate": RATE, "bits": 12}
    assert describe(declared, None)["level_dbfs"] == pytest.approx(-9.03, abs=0.01)
    assert describe({**declared, "array": x.astype(float)}, None)["level_dbfs"] == pytest.approx(-9.03, abs=0.01)
    assert code_of({**declared, "bits": 0}, None) == "bad_range"


def test_floats_at_the_scale_of_integers_are_refused():
    for scale in (2**15, 2**23, 255):
        assert code_of(sine(500) * scale) == "bad_range"
    assert describe(sine(500) * 3)["peak"] == pytest.approx(1.5, abs=1e-3)  # a gain that a float file may have


def test_channels_are_looked_at_each():
    left = np.clip(3 * sine(203.7, amplitude=1.0), -1, 1)
    x = np.stack([left, np.zeros(RATE)], axis=1)
    alone, figures = describe(left), describe(x)
    assert figures["channels"] == 2
    for name in ("clipping_share", "peak", "centroid_hz", "pitch_hz"):
        assert figures[name] == alone[name]
    assert figures["level_dbfs"] == pytest.approx(alone["level_dbfs"] - 3.01, abs=0.01)
    assert figures["balance_db"] > 90
    assert (alone["balance_db"], alone["correlation"], figures["correlation"]) == (None, None, None)
    assert describe(x.T) == figures
    assert describe({"array": x, "sampling_rate": RATE}, None) == figures


def test_opposite_phases_are_not_silence():
    x = np.stack([sine(500), -sine(500)], axis=1)
    figures = describe(x)
    assert figures["level_dbfs"] == pytest.approx(-9.03, abs=0.01)
    assert (figures["correlation"], figures["balance_db"]) == (-1.0, 0.0)
    assert describe(np.stack([sine(500), sine(500)], axis=1))["correlation"] == 1.0


@pytest.mark.parametrize("start", [0, 7.3, 31, 58.9])
def test_one_clipped_second_in_a_long_clip_shows(start):
    x = 0.1 * np.random.default_rng(3).normal(size=60 * RATE)
    place = int(start * RATE)
    x[place : place + RATE] = np.clip(20 * x[place : place + RATE], -1, 1)
    figures = describe(x)
    assert figures["peak"] == 1.0
    assert figures["clipping_share"] == pytest.approx(0.62 / 60, rel=0.2)


def test_very_long_sound_is_read_in_runs(monkeypatch):
    monkeypatch.setattr(audio, "WHOLE", 40 * RATE)
    x = 0.1 * np.random.default_rng(3).normal(size=90 * RATE)
    figures = describe(x)
    assert figures["duration_s"] == 90
    assert figures["level_dbfs"] == pytest.approx(-20, abs=0.1)


def test_mains_hum_shows():
    x = phrase()
    for hertz in (50, 60):
        assert describe(x + 0.5 * sine(hertz, len(x) / RATE)[: len(x)])["hum_share"] > describe(x)["hum_share"] + 0.1


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
