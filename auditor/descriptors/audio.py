"""Sound: level, noise, spectral shape, pitch and length, from samples or from a file (soundfile; wav by the stdlib)."""

from __future__ import annotations

import functools
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

WHOLE = 4_000_000
"""Samples a channel up to which level, peak and clipping are those of the whole sound; longer sound is read in `MAX_RUN`s."""
MAX_RUN = 16_000
MAX_SAMPLES = 320_000
"""Samples whose frames are looked at, in short runs spread evenly over a longer sound."""
FRAME_S = 0.032
MAX_MAGNITUDE = 16.0
"""Floats beyond have another full scale than 1."""
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

    Floats count to 1; integers to the full scale of their type, or of the narrowest of 16, 24 and 32 bits that holds them
    where the type is no sample format (lists of Python integers). `{"array": x, "sampling_rate": r}` is taken apart; its
    `bits` declares another full scale. Levels are those of all channels, clipping and peak those of the worst; spectrum,
    pitch and background are those of the loudest. Frames are 32 ms (rounded up to a power of two samples) with half overlap.

    Limits: integers of an unusual scale in a wide type need `bits`; loudness takes all channels to have the loudest one's
    spectrum; reverberation is blind: dry speech falls within 0.2 s, too, and beyond 1.2 s the falls are cut short.
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
    version = "2"
    columns: tuple[DescriptorColumn, ...] = (
        number(
            "level_dbfs",
            "dB",
            "Mean power of all channels relative to full scale, at least -100.",
            "sound level (dBFS)",
        ),
        number("loudness_lufs", "dB", "Gated loudness (ITU-R BS.1770-4); none under 0.4 s or when all is gated out."),
        number("peak", "1", "Largest magnitude, share of full scale."),
        number("clipping_share", "1", "Share of samples at full scale, worst channel."),
        number("silence_share", "1", "Share of frames below -60 dBFS, loudest channel."),
        number(
            "floor_dbfs",
            "dB",
            "5th percentile of the frames' power: the background; none for fewer than 4 frames.",
            "background level (dBFS)",
        ),
        number(
            "snr_db",
            "dB",
            "Power over that of the frames with the background alone; none for steady sound, without pauses, and under 1 s.",
            "signal-to-noise ratio (dB)",
        ),
        number(
            "voice_share",
            "1",
            "Share of frames at least 6 dB over the background between 200 and 4000 Hz: speech, in speech.",
            "voice activity",
        ),
        number(
            "reverb_s",
            "s",
            "Time to fall by 60 dB at the median rate of the falls of at least 6 dB: grows with reverberation.",
            "reverberation (s)",
        ),
        number("dc_offset", "1", "Mean of the samples, share of full scale, worst channel.", "DC offset"),
        number("centroid_hz", "Hz", "Centre of mass of the power spectrum.", "spectral centroid (Hz)"),
        number("rolloff95_hz", "Hz", "Frequency below which 95 % of the power lies.", "95 % roll-off frequency (Hz)"),
        number("bandwidth_hz", "Hz", "Standard deviation of the power spectrum around its centroid.", "bandwidth (Hz)"),
        number("flatness", "1", "Geometric over arithmetic mean of the power spectrum: 0 tones, 1 white noise."),
        number(
            "hf_share", "1", "Share of the power above a quarter of the sampling rate.", "share of high frequencies"
        ),
        number("hum_share", "1", "Share of the power between 40 and 70 Hz: hum of the mains.", "mains hum"),
        number("zcr", "1", "Share of neighbouring samples whose sign differs.", "zero-crossing rate"),
        number("pitch_hz", "Hz", "Median fundamental of the voiced frames, 60 to 500 Hz; none when nothing is voiced."),
        number("duration_s", "s", "Length."),
        number("rate_hz", "Hz", "Sampling rate."),
        number("channels", "{channel}", "Channels."),
        number("balance_db", "dB", "Loudest over quietest channel; none for one channel.", "channel imbalance (dB)"),
        number(
            "correlation", "1", "Of the first two channels, -1 for opposite phases; none for one channel or silence."
        ),
    )

    def describe(self, value: Any, *, rate: float | None = None) -> Mapping[str, Scalar]:
        """Figures by column; DescribeError without a rate, without samples, or when a file cannot be decoded."""
        bits = None
        if isinstance(value, Mapping):
            value, rate, bits = _unpack(value, rate)
        if is_encoded(value):
            x, rate, n = _decode(bytes_of(value))
        else:
            x, n = _samples(array_of(value, "sound"), bits)
            rate = check_rate(rate, "sound")
        with np.errstate(all="ignore"):
            found, loudest = _levels(x)
            found.update(_frame_figures(loudest, rate))
            if (
                found["loudness_lufs"] is not None and x.shape[1] > 1
            ):  # as if all channels had the loudest one's spectrum
                found["loudness_lufs"] += _db(float(np.vdot(x, x)) / len(x)) - _db(float(loudest @ loudest) / len(x))
        found.update(duration_s=n / rate, rate_hz=rate, channels=x.shape[1])
        return {column.name: figure(found[column.name]) for column in self.columns}


def _unpack(value: Mapping[Any, Any], rate: float | None) -> tuple[Any, float | None, int | None]:
    """Samples, rate and declared bits of the mapping that speech pipelines use."""
    bits = value.get("bits")
    if bits is not None and not (isinstance(bits, int) and 2 <= bits <= 64):
        raise DescribeError("bad_range", f"{bits!r} bits a sample", fix="give bits from 2 to 64")
    for key in ("array", "raw"):
        if key in value:
            return value[key], value.get("sampling_rate", rate), bits
    raise DescribeError("wrong_type", "a mapping without samples", fix='give {"array": x, "sampling_rate": hertz}')


def _samples(x: NDArray[Any], bits: int | None = None) -> tuple[Samples, int]:
    """Samples at full scale 1, shape (m, channels), and the length before anything was left out."""
    if x.size == 0:
        raise DescribeError("empty", "sound without samples")
    if x.ndim == 1:
        x = x[:, None]
    elif x.ndim == 2 and x.shape[0] < x.shape[1] and x.shape[0] <= 64:
        x = x.T
    if x.ndim != 2 or not 1 <= x.shape[1] <= 64:
        raise DescribeError("bad_shape", f"shape {x.shape} is not sound", fix="give (samples,) or (samples, channels)")
    if x.dtype.kind == "b":
        raise DescribeError("wrong_type", "truth values are not sound", fix="give integers or floats")
    n = len(x)
    x = np.concatenate([x[part] for part in blocks(n, WHOLE, MAX_RUN)]) if n > WHOLE else x
    half, scale = _full_scale(x, bits)
    with np.errstate(all="ignore"):  # what does not fit becomes infinite, and is refused as such
        x = (x - half) / np.float32(scale) if half else x * np.float32(1 / scale) if scale != 1 else x
        x = x.astype(np.float32, copy=False)
    loudest = max(float(x.max()), -float(x.min()))
    if not np.isfinite(loudest):
        raise DescribeError("not_finite", "sound with NaN or infinite samples", fix="repair the samples first")
    if loudest > MAX_MAGNITUDE:
        raise DescribeError(
            "bad_range", f"samples up to {loudest:g}", fix="give integers, floats of full scale 1, or declare bits"
        )
    return x, n


def _full_scale(x: NDArray[Any], bits: int | None) -> tuple[float, float]:
    """(value of silence, magnitude of full scale) of integers and floats."""
    kind, width = x.dtype.kind, 8 * x.dtype.itemsize
    if bits is not None:
        return (2.0 ** (bits - 1) if kind == "u" else 0.0), 2.0 ** (bits - 1)
    if kind == "f":
        return 0.0, 1.0
    if kind == "u" and width <= 16:
        return 2.0 ** (width - 1), 2.0 ** (width - 1)
    if width > 16:  # wider types hold any sample format
        largest = max(int(x.max()), -int(x.min()) - 1)
        formats = (16, 24, 32) if width > 32 or kind == "u" else (16, 32)  # 24 bits stand in the upper part of 32
        width = next((wide for wide in formats if largest < 1 << (wide - 1)), width)
    return 0.0, 2.0 ** (width - 1)


def _decode(data: bytes) -> tuple[Samples, float, int]:
    try:
        import soundfile
    except (ImportError, OSError):  # OSError: the wheel is there, its C library is not
        return _decode_wav(data)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            n, rate = file.frames, file.samplerate
            if n >= _UNKNOWN_LENGTH:
                raise ValueError("the header does not hold the length")
            runs = []
            for part in blocks(n, WHOLE, MAX_RUN):
                if part.start:
                    file.seek(part.start)
                runs.append(file.read(part.stop - part.start, dtype="float32", always_2d=True))
    except (RuntimeError, ValueError, TypeError, OSError, MemoryError) as error:
        raise DescribeError("decode_failed", f"the sound cannot be decoded ({type(error).__name__})") from error
    x = np.concatenate(runs) if runs else np.empty((0, 1), np.float32)
    if n > 0 and len(x) == 0:
        raise DescribeError("truncated", "the file ends before its first sample")
    x, _ = _samples(x[:, :64])
    return x, check_rate(rate, "sound"), n


def _decode_wav(data: bytes) -> tuple[Samples, float, int]:
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
    x, n = _samples(samples)
    return x, check_rate(rate, "sound"), n


def _levels(x: Samples) -> tuple[dict[str, float | None], Samples]:
    """Figures of all channels, and the samples of the loudest."""
    power = (
        np.einsum("ij,ij->j", x, x, dtype=np.float64) / len(x) if x.shape[1] > 1 else np.array([np.vdot(x, x) / len(x)])
    )
    highest, lowest = x.max(axis=0), x.min(axis=0)
    clipped = [
        np.count_nonzero(np.abs(x[:, channel]) >= CLIPPED) if max(highest[channel], -lowest[channel]) >= CLIPPED else 0
        for channel in range(x.shape[1])
    ]
    found: dict[str, float | None] = {
        "level_dbfs": _db(float(power.mean())),
        "peak": float(max(highest.max(), -lowest.min())),
        "clipping_share": max(clipped) / len(x),
        "dc_offset": float(max(x.mean(axis=0, dtype=np.float64), key=abs)),
        "balance_db": None,
        "correlation": None,
    }
    if x.shape[1] > 1:
        found["balance_db"] = _db(float(power.max())) - _db(float(power.min()))
        both = float(power[0] * power[1]) ** 0.5
        found["correlation"] = float(x[:, 0] @ x[:, 1]) / len(x) / both if both > _POWER_FLOOR else None
    return found, np.ascontiguousarray(x[:, int(power.argmax())])


def _frame_figures(x: Samples, rate: float) -> dict[str, float | None]:
    """Figures of the frames of one channel."""
    size = 1 << min(16, max(4, int(np.ceil(np.log2(FRAME_S * rate) - 1e-9))))
    runs = [x[part] for part in blocks(len(x), MAX_SAMPLES, 4 * size)]
    frames = np.concatenate([_frames(run, size) for run in runs]) if len(runs) > 1 else _frames(x, size)
    energy = np.einsum("ij,ij->i", frames, frames) / size
    rising = np.sort(energy)
    positive = np.concatenate(runs) >= 0
    spectra = _power(frames * _hann(size))
    found: dict[str, float | None] = {
        "silence_share": int(rising.searchsorted(10 ** (SILENT_DBFS / 10))) / len(rising),
        "floor_dbfs": _db(quantile(rising, 0.05)) if len(rising) >= 4 else None,
        "zcr": np.count_nonzero(positive[1:] != positive[:-1]) / (len(positive) - 1) if len(positive) > 1 else None,
        "pitch_hz": _pitch(frames, energy, rate),
        "loudness_lufs": _loudness(spectra, rate, len(x)),
        "reverb_s": _decay(energy.reshape(len(runs), -1), size / 2 / rate),
        **_spectrum(spectra, rate),
        **_background(spectra, energy, rate),
    }
    return found


def _frames(x: Samples, size: int) -> Samples:
    """Half-overlapping frames, shape (k, size); sound shorter than one frame is filled up with zeros."""
    if len(x) < size:
        return np.concatenate([x, np.zeros(size - len(x), np.float32)])[None]
    return np.lib.stride_tricks.sliding_window_view(x, size)[:: size // 2]


def _spectrum(spectra: Samples, rate: float) -> dict[str, float | None]:
    """Shape of the power spectrum averaged over the frames (Hann window); None for digital silence."""
    power = spectra.sum(axis=0, dtype=np.float64)[1:]  # without the constant part
    hertz = np.arange(1, len(power) + 1) * (rate / (2 * len(power)))
    total = float(power.sum())
    if not total > 0.0:
        return dict.fromkeys(("centroid_hz", "rolloff95_hz", "bandwidth_hz", "flatness", "hf_share", "hum_share"))
    centroid = float(hertz @ power) / total
    rising = power.cumsum()
    return {
        "centroid_hz": centroid,
        "rolloff95_hz": float(hertz[min(int(rising.searchsorted(0.95 * rising[-1])), len(hertz) - 1)]),
        "bandwidth_hz": (float(((hertz - centroid) ** 2) @ power) / total) ** 0.5,
        "flatness": float(np.exp(np.log(np.maximum(power, total * 1e-15)).mean())) * len(power) / total,
        "hf_share": share(float(power[hertz > rate / 4].sum()), total),
        "hum_share": float(power[(hertz >= 40) & (hertz <= 70)].sum()) / total,
    }


def _background(spectra: Samples, energy: Samples, rate: float) -> dict[str, float | None]:
    """Signal-to-noise ratio and share of active frames, against the frames in which the background is alone.

    Frames are ordered by their power, each frequency weighted with the inverse of its low quantile, so that a background of
    any colour has nearly equal values in the frames where it is alone. Where the lowest tenth of the frames do not agree,
    or hardly differ from the loudest, there is no background to be told from a signal.
    """
    k = len(spectra)
    nothing: dict[str, float | None] = {"snr_db": None, "voice_share": None}
    if k < max(_FEW_FRAMES, rate / (spectra.shape[1] - 1) - 2) or energy.max() <= _POWER_FLOOR:
        return nothing
    thin = spectra[:: -(-k // _NOISE_FRAMES), 1:]
    low = np.partition(thin, len(thin) // 5, axis=0)[len(thin) // 5]
    score = spectra[:, 1:] @ (1 / (low + np.float32(1e-9) * low.max() + np.float32(_POWER_FLOOR)))
    rising = np.sort(score)
    lowest = rising[: max(4, -(-k // 10))]
    spans = (quantile(order, 0.95) / max(quantile(order, 0.05), 1e-30) for order in (rising, np.sort(energy)))
    if min(spans) < _STEADY or lowest[-1] > _STEADY * lowest[0]:
        return nothing
    quiet = score <= 1.3 * lowest[len(lowest) // 2]
    alone = energy[quiet]
    if alone.max() > _ALIKE * max(alone.min(), _POWER_FLOOR):
        return nothing
    noise = max(float(alone.mean()), _POWER_FLOOR)
    signal = max(float(energy.mean()) - noise, noise * 1e-3)
    hertz = spectra.shape[1] / (rate / 2)
    speech = slice(max(1, int(200 * hertz)), int(4000 * hertz) + 1)
    band = spectra[:, speech].sum(axis=1)
    return {
        "snr_db": 10 * float(np.log10(signal / noise)),
        "voice_share": np.count_nonzero(band > 4 * band[quiet].mean()) / k,
    }


_FEW_FRAMES = 8
_NOISE_FRAMES = 128
_ALIKE = 30.0
"""15 dB: frames of background alone differ no more in power, however few low frequencies have most of it."""
_STEADY = 1.6
"""2 dB: sound whose loud frames have at most so many times the power of its quiet ones is steady."""


def _decay(energy: NDArray[Any], hop: float) -> float | None:
    """60 dB over the median rate of fall, of falls of at least 6 dB within runs of frames `hop` seconds apart."""
    level = 10 * np.log10(energy + _POWER_FLOOR)
    rates = []
    for run in level:
        turns = np.flatnonzero(np.diff(np.sign(np.diff(run)), prepend=2, append=2))
        drops, lengths = run[turns[:-1]] - run[turns[1:]], np.diff(turns)
        wide = (drops >= 6) & (lengths >= 2)
        rates.extend((drops[wide] / (lengths[wide] * hop)).tolist())
    return 60 / quantile(np.sort(rates), 0.5) if rates else None


def _loudness(spectra: Samples, rate: float, n: int) -> float | None:
    """LUFS of one channel: the filter K applied to the frames' spectra, and the two gates of blocks of 0.4 s."""
    size = 2 * (spectra.shape[1] - 1)
    if n < 0.4 * rate:
        return None
    power = spectra @ _k_weights(size, rate)
    hop = size / 2 / rate
    span, step = max(1, round(0.4 / hop)), max(1, round(0.1 / hop))
    sums = np.concatenate([[0.0], np.cumsum(power, dtype=np.float64)])
    span = min(span, len(power))
    parts = (sums[span:] - sums[:-span])[::step] / span
    loud = parts[parts > 10 ** ((-70 + 0.691) / 10)]
    loud = loud[loud > 0.1 * loud.mean()] if len(loud) else loud
    return -0.691 + 10 * float(np.log10(loud.mean())) if len(loud) else None


@functools.cache
def _k_weights(size: int, rate: float) -> NDArray[Any]:
    """Mean square of a frame after the filter K, as a sum over its power spectrum: a shelf of 4 dB above 1.7 kHz, and a high
    pass at 38 Hz (ITU-R BS.1770-4, by the bilinear transform for any rate).
    """
    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    response = np.ones(len(z))
    for centre, q, gain in (
        (1681.974450955533, 0.7071752369554196, 3.999843853973347),
        (38.13547087602444, 0.5003270373238773, None),
    ):
        k = np.tan(np.pi * min(centre / rate, 0.49))
        down = 1 + k / q + k * k
        if gain is None:
            top: tuple[float, ...] = (1.0, -2.0, 1.0)
        else:
            high = 10 ** (gain / 20)
            band = high**0.4996667741545416
            top = (
                (high + band * k / q + k * k) / down,
                2 * (k * k - high) / down,
                (high - band * k / q + k * k) / down,
            )
        bottom = (1.0, 2 * (k * k - 1) / down, (1 - k / q + k * k) / down)
        response = response * abs(np.polyval(top[::-1], z) / np.polyval(bottom[::-1], z)) ** 2
    twice = np.full(len(z), 2.0)
    twice[[0, -1]] = 1.0
    weights: NDArray[Any] = response * twice / (size * float((_hann(size) ** 2).sum()))
    return weights.astype(np.float32)


def _pitch(frames: Samples, energy: Samples, rate: float) -> float | None:
    """Median fundamental of the loudest frames by normalised autocorrelation; None when under a quarter are voiced.

    r(lag) = sum x(t) x(t + lag) / sqrt(sum x(t)^2 sum x(t + lag)^2) over the overlap, which is 1 for a periodic signal;
    the shortest lag within 10 % of the best one wins, because its multiples fit as well. A frame that repeats nearly as well
    (`_ABOVE`) at a lag shorter than those of the range has a pitch above it, and counts as not voiced.
    """
    size = frames.shape[1]
    low, high = max(2, int(rate / _PITCH_HZ[1]) - 1), min(int(rate / _PITCH_HZ[0]), size // 2)
    if high - low < 4:
        return None
    loudest = np.argsort(-energy, kind="stable")[:_PITCH_FRAMES]
    x = frames[loudest]
    x = x - x.mean(axis=1, keepdims=True)
    square = (x * x).cumsum(axis=1, dtype=np.float64)
    total = square[:, -1:]
    x, square, total = (part[total[:, 0] > size * _POWER_FLOOR] for part in (x, square, total))
    if not len(x):
        return None
    power = _power(x, 2 * size)
    raw = np.fft.irfft(power, axis=1)[:, low : high + 1]
    lags = np.arange(low, high + 1)
    head, tail = square[:, size - 1 - lags], total - square[:, lags - 1]
    r = raw / np.sqrt(np.maximum(head * tail, 1e-30))
    peak = (r[:, 1:-1] >= r[:, :-2]) & (r[:, 1:-1] > r[:, 2:])
    inner = np.where(peak, r[:, 1:-1], -1.0)
    best = inner.max(axis=1)
    fine = np.fft.irfft(power, 2 * _FINE * size, axis=1)[:, : int(_FINE * rate / _PITCH_HZ[1]) + 1] * _FINE
    lobe = (fine <= 0).argmax(axis=1)[:, None]  # before its first zero a signal is like itself anyway
    peak = (fine[:, 1:-1] >= fine[:, :-2]) & (fine[:, 1:-1] > fine[:, 2:])
    above = peak & (np.arange(1, fine.shape[1] - 1) > lobe) & (lobe > 0)
    shorter = np.where(above, fine[:, 1:-1] / total, 0).max(axis=1, initial=0)
    voiced = (best > _VOICED) & (shorter < _ABOVE * best)
    if voiced.sum() < max(1, len(loudest) / 4):
        return None
    first = (inner >= 0.9 * best[:, None]).argmax(axis=1)[voiced]
    rows = np.flatnonzero(voiced)
    before, here, after = (r[rows, first + shift] for shift in (0, 1, 2))
    bend = before - 2 * here + after
    offset = np.where(bend < 0, 0.5 * (before - after) / np.minimum(bend, -1e-30), 0.0)
    return quantile(np.sort(rate / (lags[first + 1] + offset)), 0.5)


_ABOVE = 0.93
_FINE = 4
"""Steps of a sample in which lags shorter than those of the range are searched."""


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
