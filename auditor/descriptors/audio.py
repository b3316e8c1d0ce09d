"""Sound: level, noise, spectral shape, pitch and length, from samples or from a file (soundfile; wav by the stdlib)."""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.core.errors import DescribeError
from auditor.core.record import Scalar
from auditor.descriptors._common import (
    array_of,
    blocks,
    bytes_of,
    check_rate,
    figure,
    is_encoded,
    number,
    quantile,
    share,
)
from auditor.ports import DescriptorColumn

MAX_SAMPLES = 160_000
"""Samples a channel that are looked at: longer sound is described from runs spread evenly over it."""
RUN = 16_000
FRAME_S = 0.032
MAX_MAGNITUDE = 1e6
"""Floats beyond are no sound (16-bit values that were given as floats still are, and very loud)."""
SILENT_DBFS = -60.0
CLIPPED = 0.999
"""Magnitude from which a sample counts as clipped, of full scale 1."""
_POWER_FLOOR = 1e-10
"""-100 dB: digital silence has a level, too, and a dead microphone must show."""
_PITCH_FRAMES = 12
_PITCH_HZ = (60.0, 500.0)
_VOICED = 0.6
_UNKNOWN_LENGTH = 1 << 40

Samples = NDArray[Any]
"""float32."""


class AudioDescriptor:
    """Describes samples (n,), (n, channels) or (channels, n) with their rate in Hz, or an encoded file's bytes or path.

    Floats count to 1, integers to their type's full scale. Channels are averaged; `{"array": x, "sampling_rate": r}` is
    taken apart. Frames are 32 ms (rounded up to a power of two samples) with half overlap.
    """

    modality = "audio"
    title = "Audio"
    headline = "Audio changed"
    advice = (
        "Listen to the newest clips from each source, and check microphone, gain, codec and sample rate. If "
        "the change is meant to stay, pin a new baseline."
    )
    arrays = True
    files = True
    version = "1"
    columns: tuple[DescriptorColumn, ...] = (
        number("level_dbfs", "dB", "Mean power relative to full scale, at least -100.", "sound level (dBFS)"),
        number("peak", "1", "Largest magnitude, share of full scale."),
        number("clipping_share", "1", "Share of samples at full scale."),
        number("silence_share", "1", "Share of frames below -60 dBFS."),
        number(
            "floor_dbfs",
            "dB",
            "5th percentile of the frames' power: the background; none for fewer than 4 frames.",
            "background level (dBFS)",
        ),
        number(
            "snr_db",
            "dB",
            "95th to 5th percentile of the frames' power: speech over background; none for few frames.",
            "signal-to-noise ratio (dB)",
        ),
        number("dc_offset", "1", "Mean of the samples, share of full scale: a broken converter.", "DC offset"),
        number("centroid_hz", "Hz", "Centre of mass of the power spectrum.", "spectral centroid (Hz)"),
        number("rolloff95_hz", "Hz", "Frequency below which 95 % of the power lies.", "95 % roll-off frequency (Hz)"),
        number("bandwidth_hz", "Hz", "Standard deviation of the power spectrum around its centroid.", "bandwidth (Hz)"),
        number("flatness", "1", "Geometric over arithmetic mean of the power spectrum: 0 tones, 1 white noise."),
        number(
            "hf_share", "1", "Share of the power above a quarter of the sampling rate.", "share of high frequencies"
        ),
        number("zcr", "1", "Share of neighbouring samples whose sign differs.", "zero-crossing rate"),
        number("pitch_hz", "Hz", "Median fundamental of the voiced frames, 60 to 500 Hz; none when nothing is voiced."),
        number("duration_s", "s", "Length."),
        number("rate_hz", "Hz", "Sampling rate."),
        number("channels", "{channel}", "Channels before averaging."),
    )

    def describe(self, value: Any, *, rate: float | None = None) -> Mapping[str, Scalar]:
        """Figures by column; DescribeError without a rate, without samples, or when a file cannot be decoded."""
        if isinstance(value, Mapping):
            value, rate = _unpack(value, rate)
        if is_encoded(value):
            x, rate, channels, n = _decode(bytes_of(value))
        else:
            x, channels, n = _mono(array_of(value, "sound"))
            rate = check_rate(rate, "sound")
        with np.errstate(all="ignore"):
            frames = _frames(x, rate)
            found = {**_levels(x, frames), **_spectrum(frames, rate), "pitch_hz": _pitch(frames, rate)}
        found.update(duration_s=n / rate, rate_hz=rate, channels=channels)
        return {name: figure(number) for name, number in found.items()}


def _unpack(value: Mapping[Any, Any], rate: float | None) -> tuple[Any, float | None]:
    """Samples and rate of the mapping that speech pipelines use."""
    for key in ("array", "raw"):
        if key in value:
            return value[key], value.get("sampling_rate", rate)
    raise DescribeError("wrong_type", "a mapping without samples", fix='give {"array": x, "sampling_rate": hertz}')


def _mono(x: NDArray[Any]) -> tuple[Samples, int, int]:
    """Samples at full scale 1 (at most MAX_SAMPLES), channels, and length before anything was left out."""
    if x.size == 0:
        raise DescribeError("empty", "sound without samples")
    if x.ndim == 2 and x.shape[0] < x.shape[1] and x.shape[0] <= 64:
        x = x.T
    if x.ndim not in (1, 2) or (x.ndim == 2 and not 1 <= x.shape[1] <= 64):
        raise DescribeError("bad_shape", f"shape {x.shape} is not sound", fix="give (samples,) or (samples, channels)")
    n, channels = len(x), x.shape[1] if x.ndim == 2 else 1
    x = np.concatenate([_scaled(x[part]) for part in blocks(n, MAX_SAMPLES, RUN)])
    loudest = float(np.abs(x).max())
    if not np.isfinite(loudest):
        raise DescribeError("not_finite", "sound with NaN or infinite samples", fix="repair the samples first")
    if loudest > MAX_MAGNITUDE:
        raise DescribeError("bad_range", f"samples up to {loudest:g}", fix="give integers, or floats of full scale 1")
    return x, channels, n


def _scaled(x: NDArray[Any]) -> Samples:
    """One run at full scale 1, channels averaged."""
    kind = x.dtype.kind
    if kind == "i":
        x = x / np.float32(-float(np.iinfo(x.dtype).min))
    elif kind == "u":
        half = (float(np.iinfo(x.dtype).max) + 1) / 2
        x = (x - half) / half
    elif kind == "b":
        raise DescribeError("wrong_type", "truth values are not sound", fix="give integers or floats")
    with np.errstate(all="ignore"):  # what does not fit becomes infinite, and is refused as such
        x = x.astype(np.float32, copy=False)
        return x.mean(axis=1, dtype=np.float32) if x.ndim == 2 else x


def _decode(data: bytes) -> tuple[Samples, float, int, int]:
    try:
        import soundfile
    except (ImportError, OSError):  # OSError: the wheel is there, its C library is not
        return _decode_wav(data)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            n, rate, channels = file.frames, file.samplerate, file.channels
            if n >= _UNKNOWN_LENGTH:
                raise ValueError("the header does not say how long it is")
            runs = []
            for part in blocks(n, MAX_SAMPLES, RUN):
                if part.start:
                    file.seek(part.start)
                runs.append(file.read(part.stop - part.start, dtype="float32", always_2d=True))
    except (RuntimeError, ValueError, TypeError, OSError, MemoryError) as error:
        raise DescribeError("decode_failed", f"the sound cannot be decoded ({type(error).__name__})") from error
    x = np.concatenate(runs) if runs else np.empty((0, 1), np.float32)
    if n > 0 and len(x) == 0:
        raise DescribeError("truncated", "the file ends before its first sample")
    x, _, _ = _mono(x[:, :64])
    return x, check_rate(rate, "sound"), channels, n


def _decode_wav(data: bytes) -> tuple[Samples, float, int, int]:
    """PCM wav without soundfile."""
    if data[:4] != b"RIFF":
        raise DescribeError(
            "extra_missing", "soundfile is not installed", fix="pip install 'auditor[service]', or give decoded arrays"
        )
    try:
        with wave.open(io.BytesIO(data)) as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            raw = file.readframes(file.getnframes())
    except (wave.Error, EOFError, ValueError, MemoryError, ZeroDivisionError) as error:
        raise DescribeError("decode_failed", f"the sound cannot be decoded ({error})") from error
    if width == 3:  # no numpy type: put three bytes into the upper part of four
        packed = np.frombuffer(raw[: len(raw) // 3 * 3], np.uint8).reshape(-1, 3)
        padded = np.zeros((len(packed), 4), np.uint8)
        padded[:, 1:] = packed
        samples: NDArray[Any] = padded.view("<i4").ravel()
    else:
        kind = {1: "u1", 2: "<i2", 4: "<i4"}.get(width)
        if kind is None:
            raise DescribeError("decode_failed", f"{width} bytes a sample are not supported")
        samples = np.frombuffer(raw[: len(raw) // width * width], kind)
    samples = samples[: len(samples) // channels * channels].reshape(-1, channels)
    x, channels, n = _mono(samples)
    return x, check_rate(rate, "sound"), channels, n


def _frames(x: Samples, rate: float) -> Samples:
    """Half-overlapping frames, shape (k, size); sound shorter than one frame is filled up with zeros."""
    size = 1 << min(16, max(4, int(np.ceil(np.log2(FRAME_S * rate) - 1e-9))))
    if len(x) < size:
        return np.concatenate([x, np.zeros(size - len(x), np.float32)])[None]
    return np.lib.stride_tricks.sliding_window_view(x, size)[:: size // 2]


def _levels(x: Samples, frames: Samples) -> dict[str, float | None]:
    magnitude = np.abs(x)
    power = float(np.dot(x, x)) / len(x)
    energy = np.sort(np.einsum("ij,ij->i", frames, frames) / frames.shape[1])
    positive = x >= 0
    found: dict[str, float | None] = {
        "level_dbfs": _db(power),
        "peak": float(magnitude.max()),
        "clipping_share": np.count_nonzero(magnitude >= CLIPPED) / len(x),
        "silence_share": int(energy.searchsorted(10 ** (SILENT_DBFS / 10))) / len(energy),
        "floor_dbfs": None,
        "snr_db": None,
        "dc_offset": float(x.mean(dtype=np.float64)),
        "zcr": np.count_nonzero(positive[1:] != positive[:-1]) / (len(x) - 1) if len(x) > 1 else None,
    }
    if len(energy) >= 4:
        floor, loud = _db(quantile(energy, 0.05)), _db(quantile(energy, 0.95))
        found.update(floor_dbfs=floor, snr_db=loud - floor)
    return found


def _spectrum(frames: Samples, rate: float) -> dict[str, float | None]:
    """Shape of the power spectrum averaged over the frames (Hann window); None for digital silence."""
    size = frames.shape[1]
    power = _power(frames * _hann(size)).sum(axis=0, dtype=np.float64)[1:]  # without the constant part
    hertz = np.arange(1, len(power) + 1) * (rate / size)
    total = float(power.sum())
    if not total > 0.0:
        return dict.fromkeys(("centroid_hz", "rolloff95_hz", "bandwidth_hz", "flatness", "hf_share"))
    centroid = float(hertz @ power) / total
    rising = power.cumsum()
    return {
        "centroid_hz": centroid,
        "rolloff95_hz": float(hertz[min(int(rising.searchsorted(0.95 * rising[-1])), len(hertz) - 1)]),
        "bandwidth_hz": (float(((hertz - centroid) ** 2) @ power) / total) ** 0.5,
        "flatness": float(np.exp(np.log(np.maximum(power, total * 1e-15)).mean())) * len(power) / total,
        "hf_share": share(float(power[hertz > rate / 4].sum()), total),
    }


def _pitch(frames: Samples, rate: float) -> float | None:
    """Median fundamental of the loudest frames by normalised autocorrelation; None when under a quarter are voiced.

    r(lag) = sum x(t) x(t + lag) / sqrt(sum x(t)^2 sum x(t + lag)^2) over the overlap, which is 1 for a periodic signal;
    the shortest lag within 10 % of the best one wins, because its multiples fit as well.
    """
    size = frames.shape[1]
    low, high = max(2, int(rate / _PITCH_HZ[1]) - 1), min(int(rate / _PITCH_HZ[0]), size // 2)
    if high - low < 4:
        return None
    energy = np.einsum("ij,ij->i", frames, frames)
    loudest = np.argsort(-energy, kind="stable")[:_PITCH_FRAMES]
    x = frames[loudest]
    x = x - x.mean(axis=1, keepdims=True)
    square = (x * x).cumsum(axis=1, dtype=np.float64)
    total = square[:, -1:]
    x, square, total = (part[total[:, 0] > size * _POWER_FLOOR] for part in (x, square, total))
    if not len(x):
        return None
    raw = np.fft.irfft(_power(x, 2 * size), axis=1)[:, low : high + 1]
    lags = np.arange(low, high + 1)
    head, tail = square[:, size - 1 - lags], total - square[:, lags - 1]
    r = raw / np.sqrt(np.maximum(head * tail, 1e-30))
    peak = (r[:, 1:-1] >= r[:, :-2]) & (r[:, 1:-1] > r[:, 2:])
    inner = np.where(peak, r[:, 1:-1], -1.0)
    best = inner.max(axis=1)
    voiced = best > _VOICED
    if voiced.sum() < max(1, len(loudest) / 4):
        return None
    first = (inner >= 0.9 * best[:, None]).argmax(axis=1)[voiced]
    rows = np.flatnonzero(voiced)
    before, here, after = (r[rows, first + shift] for shift in (0, 1, 2))
    bend = before - 2 * here + after
    offset = np.where(bend < 0, 0.5 * (before - after) / np.minimum(bend, -1e-30), 0.0)
    return quantile(np.sort(rate / (lags[first + 1] + offset)), 0.5)


def _power(frames: Samples, length: int | None = None) -> NDArray[Any]:
    spectrum = np.fft.rfft(frames, length, axis=1)
    return spectrum.real**2 + spectrum.imag**2


def _hann(size: int) -> Samples:
    window = _WINDOWS.get(size)
    if window is None:
        window = _WINDOWS[size] = np.hanning(size + 1)[:-1].astype(np.float32)
    return window


def _db(power: float) -> float:
    return 10 * float(np.log10(power + _POWER_FLOOR))


_WINDOWS: dict[int, Samples] = {}

PLUGIN = AudioDescriptor()
