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
SEGMENT = 1_024
"""Longest segment of the averaged periodogram (Welch 1967)."""
GAP = 1.5
"""An interval longer than this many median intervals is a gap."""
STUCK = 3
"""Equal neighbours in a row from which a sensor counts as stuck."""

Floats = NDArray[np.float64]


class SeriesDescriptor:
    """Describes values (n,) or (n, channels) with their rate in Hz, or `{"t": times, "x": values}`.

    Times are rising seconds or numpy datetimes. Figures are means over the channels, but `low`, `high` and `stuck_share`,
    which are those of the most extreme channel: one dead channel must show.
    """

    modality = "series"
    title = "Sensor series"
    headline = "Sensor series changed"
    advice = "Check the sensor: its rate, gain, mounting and stuck values."
    arrays = True
    version = "1"
    columns: tuple[DescriptorColumn, ...] = (
        number("length", "{sample}", "Samples of a channel."),
        number("channels", "{channel}", "Channels."),
        number("rate_hz", "Hz", "Sampling rate: given, or one over the median interval."),
        number("duration_s", "s", "From the first to the end of the last sample."),
        number("gap_share", "1", "Share of intervals longer than 1.5 median ones; none without times."),
        number("nan_share", "1", "Share of values that are NaN or infinite."),
        number("stuck_share", "1", "Share of samples inside runs of at least 3 equal ones, worst channel."),
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
        number("dominant_hz", "Hz", "Frequency of the largest power."),
    )

    def describe(self, value: Any, *, rate: float | None = None) -> Mapping[str, Scalar]:
        """Figures by column; DescribeError without rate or times, or for what is no series."""
        times: Floats | None = None
        if isinstance(value, Mapping):
            if "x" not in value or "t" not in value:
                raise DescribeError("wrong_type", "a mapping without t and x", fix='give {"t": times, "x": values}')
            times, value = _times(value["t"]), value["x"]
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
            spectrum = _spectrum(part, hertz, min(run.stop - run.start for run in runs))
            stuck = max(_stuck(channel, [run.stop - run.start for run in runs]) for channel in part.T)
        duration = n / hertz if hertz and times is None else clock.pop("duration_s")
        found = {**clock, **moments, **spectrum, "stuck_share": stuck, "duration_s": duration}
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
    if t.dtype.kind == "M":
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


def _stuck(x: Floats, lengths: list[int]) -> float:
    """Share of the values of one channel that lie in runs of at least STUCK equal ones."""
    same = x[1:] == x[:-1]  # NaN equals nothing
    if len(lengths) > 1:
        same[np.cumsum(lengths)[:-1] - 1] = False
    edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype(np.int8)))
    lengths_of_runs = edges[1::2] - edges[::2] + 1
    return int(lengths_of_runs[lengths_of_runs >= STUCK].sum()) / len(x)


def _spectrum(x: Floats, rate: float | None, run: int) -> dict[str, float | None]:
    """Averaged periodogram (Hann, half overlap, each segment's line removed); None for NaN or fewer than 8 values."""
    nothing: dict[str, float | None] = dict.fromkeys(("centroid_hz", "dominant_hz"))
    if rate is None or len(x) < 8 or np.isnan(x).any():
        return nothing
    size = min(SEGMENT, run)
    starts = [start for start in range(0, len(x) - size + 1, size // 2) if start // run == (start + size - 1) // run]
    line = np.linspace(-1, 1, size)[:, None]
    window = np.hanning(size + 1)[:-1, None]
    power = np.zeros(size // 2 + 1)
    for start in starts:
        piece = x[start : start + size]
        piece = piece - piece.mean(axis=0)
        piece = piece - line * ((line * piece).sum(axis=0) / (line * line).sum())
        scale = float(np.abs(piece).max())
        if scale > 1e-12 * float(np.abs(x[start : start + size]).max()):
            power += (np.abs(np.fft.rfft(piece * window, axis=0)) ** 2).sum(axis=1)
    power = power[1:]
    total = float(power.sum())
    if not 0 < total < np.inf:
        return nothing
    hertz = np.arange(1, len(power) + 1) * (rate / size)
    return {"centroid_hz": float(hertz @ power) / total, "dominant_hz": float(hertz[int(power.argmax())])}


PLUGIN = SeriesDescriptor()
