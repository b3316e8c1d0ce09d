"""Time series of sensors: rate, gaps, stuck values, level, spread, trend and spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.core.errors import DescribeError
from auditor.core.record import Scalar
from auditor.descriptors._common import array_of, blocks, check_rate, figure, number, quantile
from auditor.ports import DescriptorColumn

MAX_VALUES = 262_144
"""Values over all channels that are looked at; longer series are described from runs spread evenly over them."""
RUN = 8_192
GAP = 1.5
"""An interval longer than this many median intervals is a gap."""
SOME = 16
"""Values of a block whose mean stands for the block in the spectrum of slow changes."""
SPIKE = 12.0
"""How many typical steps a value differs from the median of itself and its neighbours to be a spike."""
STUCK = 3
"""Equal neighbours in a row from which a sensor counts as stuck."""

Floats = NDArray[np.float64]


class SeriesDescriptor:
    """Describes values (n,) or (n, channels) with their rate in Hz, `{"t": times, "x": values}`, or a pandas series or frame
    whose index has times.

    Times are rising seconds or datetimes. Spectrum and autocorrelation are those of the values on an even grid, NaN and gaps
    filled by straight lines; None where more than half is filled. Figures are means over the channels, but `low`, `high` and `stuck_share`,
    which are those of the most extreme channel: one dead channel must show.

    Limits: of a series of more than 262 144 values fast cycles come from runs, slow ones from means of a few values each.
    """

    modality = "series"
    title = "Sensor series"
    headline = "Sensor series changed"
    advice = "Check the sensor: its rate, gain, mounting and stuck values."
    arrays = True
    version = "2"
    columns: tuple[DescriptorColumn, ...] = (
        number("length", "{sample}", "Samples of a channel."),
        number("channels", "{channel}", "Channels."),
        number("rate_hz", "Hz", "Sampling rate: given, or one over the median interval."),
        number("duration_s", "s", "From the first to the end of the last sample."),
        number("gap_share", "1", "Share of intervals longer than 1.5 median ones; none without times."),
        number("nan_share", "1", "Share of values that are NaN or infinite."),
        number("stuck_share", "1", "Share of samples inside runs of at least 3 equal ones, worst channel."),
        number("longest_flat", "1", "Longest run of equal values, share of the length, worst channel."),
        number("spike_share", "1", "Share of values far off both neighbours, by 12 typical steps, worst channel."),
        number("mean", "1", "Mean, in the series' own unit."),
        number("std", "1", "Standard deviation."),
        number("low", "1", "Smallest value."),
        number("high", "1", "Largest value."),
        number("trend", "s-1", "Slope of the least-squares line, own unit per second."),
        number(
            "centroid_hz",
            "Hz",
            "Centre of mass of the power spectrum, without its constant part.",
            "spectral centroid (Hz)",
        ),
        number("dominant_hz", "Hz", "Frequency of the largest power, from one cycle in the whole series."),
        number("autocorrelation", "1", "Of neighbouring values; none for constant ones."),
    )

    def describe(self, value: Any, *, rate: float | None = None) -> Mapping[str, Scalar]:
        """Figures by column; DescribeError without rate or times, or for what is no series."""
        times: Floats | None = None
        if isinstance(value, Mapping):
            if "x" not in value or "t" not in value:
                raise DescribeError("wrong_type", "a mapping without t and x", fix='give {"t": times, "x": values}')
            times, value = _times(value["t"]), value["x"]
        elif hasattr(value, "index") and hasattr(value, "to_numpy"):
            moments = getattr(value.index, "values", None)
            if getattr(getattr(moments, "dtype", None), "kind", "") in "Mm":
                times = _times(moments)
            value = value.to_numpy()
        x = _values(value)
        n = len(x)
        if times is not None and len(times) != n:
            raise DescribeError("bad_shape", f"{len(times)} times for {n} values", fix="give as many of both")
        with np.errstate(all="ignore"):
            clock, hertz = _clock(times, rate)
            runs = list(blocks(n, max(RUN, MAX_VALUES // x.shape[1]), RUN))
            at = np.concatenate([np.arange(run.start, run.stop) for run in runs])
            part = x[at].astype(np.float64)
            part[~np.isfinite(part)] = np.nan
            moments = _moments(part, times[at] if times is not None else at / hertz if hertz else None)
            spectrum = _spectrum(x, times, hertz)
            channels = [_shape(channel, [run.stop - run.start for run in runs]) for channel in part.T]
            shapes = {name: max(shape[name] for shape in channels) for name in channels[0]}
        duration = n / hertz if hertz and times is None else clock.pop("duration_s")
        found = {**clock, **moments, **spectrum, **shapes, "duration_s": duration}
        found.update(length=n, channels=x.shape[1], rate_hz=hertz)
        return {column.name: figure(found[column.name]) for column in self.columns}


def _values(value: Any) -> NDArray[Any]:
    x = array_of(value, "a series")
    if x.ndim == 1:
        x = x[:, None]
    if x.ndim != 2 or x.shape[1] > 4096:
        raise DescribeError("bad_shape", f"shape {x.shape} is not a series", fix="give (n,) or (n, channels)")
    if 0 in x.shape:
        raise DescribeError("empty", "a series without values")
    return x


def _times(value: Any) -> Floats:
    """Seconds, rising."""
    t = value if isinstance(value, np.ndarray) else None
    if t is None:
        try:
            t = np.asarray(value)
        except Exception as error:  # whatever a foreign __array__ raises
            raise DescribeError("wrong_type", "times are not numbers", fix="give seconds or numpy datetimes") from error
    if t.dtype.kind == "O" and hasattr(value, "to_numpy"):  # datetimes with a zone
        t = np.asarray(value.to_numpy("datetime64[us]"))
    if t.dtype.kind in "Mm":
        seconds = (t - t.flat[0]) / np.timedelta64(1, "s") if t.size else np.empty(0)
    else:
        seconds = array_of(t, "times").astype(np.float64)
    if seconds.ndim != 1 or not np.isfinite(seconds).all():
        raise DescribeError("bad_shape", "times are not a list of moments", fix="give one finite time a value")
    if (np.diff(seconds) < 0).any():
        raise DescribeError("bad_range", "times run backwards", fix="sort the series by time")
    return seconds


def _clock(times: Floats | None, rate: float | None) -> tuple[dict[str, float | None], float | None]:
    """Figures of the intervals, and the rate."""
    if times is None:
        return {"gap_share": None}, check_rate(rate, "a series")
    steps = np.diff(times)
    if not len(steps):
        return {"gap_share": None, "duration_s": None}, None
    usual = quantile(np.sort(steps), 0.5)
    if usual <= 0:
        return {"gap_share": None, "duration_s": float(times[-1] - times[0])}, None
    gaps = np.count_nonzero(steps > GAP * usual) / len(steps)
    return {"gap_share": gaps, "duration_s": float(times[-1] - times[0]) + usual}, 1 / usual


def _moments(x: Floats, t: Floats | None) -> dict[str, float | None]:
    """Level, spread and slope over the values that are there."""
    there = ~np.isnan(x)
    count = there.sum(axis=0)
    found: dict[str, float | None] = {"nan_share": 1 - int(count.sum()) / x.size}
    if not count.any():
        return {**found, **dict.fromkeys(("mean", "std", "low", "high", "trend"))}
    x, there, count = x[:, count > 0], there[:, count > 0], count[count > 0]
    filled = np.where(there, x, 0.0)
    mean = filled.sum(axis=0) / count
    off = np.where(there, x - mean, 0.0)
    std = np.sqrt((off * off).sum(axis=0) / count)
    found.update(mean=float(mean.mean()), std=float(std.mean()), low=float(np.nanmin(x)), high=float(np.nanmax(x)))
    found["trend"] = None
    if t is not None and len(t) > 1:
        late = np.where(there, (t - t.mean())[:, None], 0.0)
        late = np.where(there, late - late.sum(axis=0) / count, 0.0)
        square = (late * late).sum(axis=0)
        slopes = (late * off).sum(axis=0)[square > 0] / square[square > 0]
        found["trend"] = float(slopes.mean()) if len(slopes) else None
    return found


def _shape(x: Floats, lengths: list[int]) -> dict[str, float]:
    """Runs of equal values and spikes of one channel, which consists of runs of these lengths."""
    joint = np.cumsum(lengths)[:-1]
    same = x[1:] == x[:-1]  # NaN equals nothing
    same[joint - 1] = False
    edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype(np.int8)))
    equal = edges[1::2] - edges[::2] + 1
    before, after = np.diff(x)[:-1], np.diff(x)[1:]
    off = np.where(before * after < 0, np.minimum(np.abs(before), np.abs(after)), 0.0)
    if len(joint):
        off[np.concatenate([joint - 2, joint - 1])] = 0.0
    steps = np.abs(np.diff(x))
    steps = steps[np.isfinite(steps)]
    usual = float(np.median(steps)) if len(steps) else 0.0
    usual = usual or float(steps.mean() if len(steps) else 0.0)
    return {
        "stuck_share": int(equal[equal >= STUCK].sum()) / len(x),
        "longest_flat": (int(equal.max()) if len(equal) else 1) / len(x),
        "spike_share": np.count_nonzero(off > SPIKE * usual) / len(x) if usual else 0.0,
    }


def _spectrum(x: NDArray[Any], times: Floats | None, rate: float | None) -> dict[str, float | None]:
    """Periodogram (Hann, its line removed) of the whole series; where it is longer than MAX_VALUES, of runs and of means.

    None for fewer than 8 values, for more than half of them missing, and for constant ones.
    """
    nothing: dict[str, float | None] = dict.fromkeys(("centroid_hz", "dominant_hz", "autocorrelation"))
    if rate is None:
        return nothing
    n, channels = x.shape
    if n * channels <= MAX_VALUES:
        scales = [([_even(x, times, rate)], rate)]
    else:  # fast changes from runs, slow ones from means of a few values of each block
        runs = blocks(n, max(RUN, MAX_VALUES // channels), RUN)
        fast = [_even(x[run], None if times is None else times[run], rate) for run in runs]
        block = -(-n // RUN)
        some = np.arange(n // block)[:, None] * block + np.arange(min(block, SOME))
        middles = None if times is None else times[some].mean(axis=1)
        slower = rate / block if middles is None else 1 / max(float(np.median(np.diff(middles))), 1e-300)
        scales = [(fast, rate), ([_even(_means(x[some]), middles, slower)], slower)]
    pieces = []
    for parts, hertz in scales:
        known = [part for part in parts if part is not None]
        length = min(map(len, known), default=0)
        if length < 8:
            return nothing
        pieces.append((np.stack([part[:length] for part in known]), hertz))
    found: list[tuple[float, float]] = []
    middle = None
    for piece, own_rate in pieces:
        power = _power(piece)
        total = float(power.sum())
        if not 0 < total < np.inf:
            continue
        hertz = np.arange(1, len(power) + 1) * (own_rate / piece.shape[1])
        peak = int(power.argmax())
        found.append((float(power[max(0, peak - 1) : peak + 2].sum()), float(hertz[peak])))
        middle = float(hertz @ power) / total if middle is None else middle
    if not found:
        return nothing
    off = pieces[0][0] - pieces[0][0].mean(axis=1, keepdims=True)
    square = (off * off).sum(axis=(0, 1))
    alike = (off[:, 1:] * off[:, :-1]).sum(axis=(0, 1))[square > 0] / square[square > 0]
    return {
        "centroid_hz": middle,
        # Means resolve slow cycles better: theirs counts unless fast ones are clearly stronger.
        "dominant_hz": found[-1][1] if found[-1][0] >= 0.5 * found[0][0] else found[0][1],
        "autocorrelation": float(alike.mean()) if len(alike) else None,
    }


def _means(x: NDArray[Any]) -> Floats:
    """Means over the second axis of the values that are there; NaN where none is."""
    there = np.isfinite(x)
    found: Floats = np.where(there, x, 0.0).sum(axis=1, dtype=np.float64) / there.sum(axis=1)
    return found


def _even(x: NDArray[Any], times: Floats | None, rate: float | None) -> Floats | None:
    """The values on an even grid, holes filled by straight lines; None where more than half would be."""
    values = x.astype(np.float64)
    there = np.isfinite(values)
    if times is None and there.all():
        return values
    at = np.arange(len(values)) if times is None else (times - times[0]) * rate
    grid = np.arange(round(float(at[-1])) + 1)
    if len(grid) > 2 * len(values) or (there.mean(axis=0) < 0.5).any():
        return None
    columns = (np.interp(grid, at[known], column[known]) for column, known in zip(values.T, there.T))
    return np.stack(list(columns), axis=1)


def _power(pieces: Floats) -> Floats:
    """Mean square by frequency, the constant left out, of pieces (k, n, channels): each channel counts by its variance."""
    k, n, _ = pieces.shape
    line = np.linspace(-1, 1, n)[:, None]
    window = np.hanning(n + 1)[:-1, None]
    power = np.zeros(n // 2 + 1)
    for piece in pieces:
        level = piece - piece.mean(axis=0)
        level = level - line * ((line * level).sum(axis=0) / (line * line).sum())
        if float(np.abs(level).max()) > 1e-12 * float(np.abs(piece).max()):
            power += (np.abs(np.fft.rfft(level * window, axis=0)) ** 2).sum(axis=1)
    found: Floats = power[1:] / (k * n * float((window * window).sum()))
    return found


PLUGIN = SeriesDescriptor()
