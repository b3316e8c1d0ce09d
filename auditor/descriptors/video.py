"""Videos: the pictures of sampled frames, motion, cuts, standstill, timing, encoding and the sound track."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.core.errors import DescribeError
from auditor.core.record import Scalar
from auditor.descriptors._common import array_of, bytes_of, category, check_rate, figure, file_of, is_encoded, number
from auditor.descriptors._pixels import colours, pixels_of, structure, thumbnail, tones
from auditor.descriptors.audio import PLUGIN as SOUND
from auditor.ports import DescriptorColumn

SAMPLED = 12
"""Frames whose picture is described, spread evenly."""
MAX_FRAMES = 7_500
"""Frames that are compared with their neighbour: five minutes, or runs of `RUN` spread evenly over a longer video."""
RUN = 300
MAX_SOUND = 4_000_000
"""Samples a channel of the sound track that are looked at."""
THUMB = 64
"""Side of the thumbnails by which neighbours are compared."""
COARSE = 16
"""Side of the areas by which cuts are distinguished from motion and noise."""
MAX_PIXELS = 64_000_000
CUT = 0.1
"""One minus the correlation of neighbours from which a cut is possible: a change of exposure leaves it at 0."""
CUT_RATIO = 5.0
"""How many times the median change around it a cut must be."""
AROUND = 12
"""Frames before and after a cut that it is compared with."""
FLAT = 0.01
"""Standard deviation, of full scale, up to which a picture has no content to correlate."""
FLAT_STEP = 0.15
DARK = 0.1
FROZEN = 3
"""Equal neighbours in a row from which a camera hangs."""
_MEANS = ("brightness", "contrast", "entropy", "saturation", "colourfulness", "sharpness", "noise", "blockiness")
_SOUND = "sound_"
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,gif,ivf,h264,hevc,mjpeg,nut,wav"
"""Formats that hold their own data: playlists name other files and addresses."""
_LUMA_FIRST = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray")

Thumbs = NDArray[Any]


@dataclass
class _Film:
    """What was read of a video: sampled pictures, runs of thumbnails, and what the file has about itself."""

    pictures: list[Any]
    runs: list[Thumbs]
    total: int
    fps: float | None
    times: list[list[float]] = field(default_factory=list)
    about: dict[str, Scalar] = field(default_factory=dict)
    sound: Mapping[str, Scalar] = field(default_factory=dict)


class VideoDescriptor:
    """Describes frames (n, H, W) or (n, H, W, C), or a list of them, with frames a second as rate; or a file's path or bytes.

    Files need PyAV (`auditor[video]`); their rotation is applied, and their sound track is described as an audio input is,
    in columns `sound_...`. Figures of timing, encoding and sound are None for arrays.

    Limits: a cut between pictures of one layout, and a slow fade, are missed; a codec at a low rate repeats frames of a still
    scene, which then count as frozen.
    """

    modality = "video"
    title = "Video"
    headline = "Video changed"
    advice = "Watch recent clips and check camera, frame rate and encoding."
    files = True
    version = f"2.{SOUND.version}"
    columns: tuple[DescriptorColumn, ...] = (
        number("brightness", "1", "Mean luma of 12 sampled frames, share of full scale."),
        number("contrast", "1", "Mean over them of the luma's standard deviation."),
        number("entropy", "bit", "Mean over them of the entropy of the luma's histogram."),
        number("saturation", "1", "Mean over them of the saturation; none for grey frames."),
        number("colourfulness", "1", "Mean over them of Hasler and Suesstrunk's M3."),
        number("sharpness", "1", "Mean over them of the variance of the Laplacian."),
        number("noise", "1", "Mean over them of Immerkaer's noise."),
        number("blockiness", "1", "Mean over them of the steps at an 8-pixel grid against those inside it."),
        number("motion", "1", "Mean absolute difference of neighbouring frames, share of full scale, cuts left out."),
        number(
            "cuts", "{cut}", "Changes of scene, independent of exposure; of a video of over 7 500 frames, an estimate."
        ),
        number(
            "frozen_share",
            "1",
            "Share of neighbouring frames that are equal, at least 3 in a row: a camera that hangs.",
        ),
        number("dark_share", "1", "Share of frames whose mean luma is under a tenth of full scale."),
        number("dropped_share", "1", "Share of frames missing by the timestamps; none for arrays."),
        number("jitter", "1", "Standard deviation of the intervals between frames over their median, gaps left out."),
        number("frames", "{frame}", "Frames."),
        number("fps", "s-1", "Frames a second; none when not given."),
        number("duration_s", "s", "Length; none without frames a second."),
        number("width", "{pixel}", "Pixels in a row, upright."),
        number("height", "{pixel}", "Rows of pixels, upright."),
        number("bitrate", "bit/s", "Bits a second of the whole file; none for arrays."),
        category("codec", "Codec of the pictures; none for arrays."),
        category("has_sound", "`true` or `false`; none for arrays."),
        *(
            DescriptorColumn(f"{_SOUND}{column.name}", column.kind, column.unit, f"Sound track: {column.meaning}")
            for column in SOUND.columns
        ),
    )

    def describe(self, value: Any, *, rate: float | None = None) -> Mapping[str, Scalar]:
        """Figures by column; DescribeError for what is no video, without frames, or not decodable here."""
        fps = None if rate is None else check_rate(rate, "a video")
        film = _read(value, fps) if is_encoded(value) else _of_arrays(value, fps)
        with np.errstate(all="ignore"):
            found: dict[str, Scalar] = {
                **dict.fromkeys(column.name for column in self.columns),
                **_pictures(film.pictures),
                **_motion(film.runs, film.total),
                **_timing(film.times),
                "frames": film.total,
                "fps": film.fps,
                "duration_s": film.total / film.fps if film.fps else None,
                **film.about,
                **{f"{_SOUND}{name}": figure for name, figure in film.sound.items()},
            }
        return {name: value if isinstance(value, str) else figure(value) for name, value in found.items()}


def _spread(n: int, count: int) -> list[int]:
    """At most `count` places among n, spread evenly."""
    return sorted({int(place) for place in np.linspace(0, n - 1, min(n, count))})


def _of_arrays(value: Any, fps: float | None) -> _Film:
    frames = _frames(value)
    total = len(frames)
    starts = [0] if total <= MAX_FRAMES else _spread(total - RUN + 1, MAX_FRAMES // RUN)
    runs = [range(start, min(start + (total if len(starts) == 1 else RUN), total)) for start in starts]
    places = [place for run in runs for place in run]
    pictures = [frames[places[index]] for index in _spread(len(places), SAMPLED)]
    pixels_of(pictures[0], "a frame")  # refuses what is no frame
    return _Film(pictures, [np.stack([thumbnail(frames[place], THUMB) for place in run]) for run in runs], total, fps)


def _frames(value: Any) -> Any:
    """Frames that can be taken by place, all of one shape."""
    if isinstance(value, (list, tuple)) and value and not np.isscalar(value[0]):
        frames = [array_of(frame, "a frame") for frame in value]
        if len({frame.shape for frame in frames}) > 1:
            raise DescribeError("bad_shape", "frames differ in shape", fix="give frames of one size")
        if frames[0].ndim in (2, 3):
            return frames
    array = array_of(value, "a video")
    if array.ndim not in (3, 4):
        raise DescribeError("bad_shape", f"shape {array.shape} is not a video", fix="give (frames, height, width[, 3])")
    if 0 in array.shape:
        raise DescribeError("empty", "a video without frames")
    return array


def _pictures(pictures: list[Any]) -> dict[str, float | None]:
    """Means of the image figures over the sampled frames."""
    rows = []
    for picture in pictures:
        pixels = pixels_of(picture, "a frame")
        rows.append({**tones(pixels), **colours(pixels), **structure(pixels)})
    found: dict[str, float | None] = {"width": pixels.width, "height": pixels.height}
    for name in _MEANS:
        known = [row[name] for row in rows if row[name] is not None]
        found[name] = sum(known) / len(known) if known else None  # type: ignore[arg-type]
    return found


def _motion(runs: list[Thumbs], total: int) -> dict[str, float | None]:
    """Figures of neighbouring thumbnails of 8-bit luma."""
    light = np.concatenate([run.mean(axis=(1, 2)) for run in runs]) / 255
    found: dict[str, float | None] = {"dark_share": float((light < DARK).mean())}
    cuts, moving, equal, steps = 0, 0.0, 0, 0
    for run in runs:
        if len(run) > 1:
            step = np.array([np.abs(one.astype(np.int16) - two).mean() for one, two in pairwise(run)]) / 255
            cut = _cuts(run)
            cuts += int(cut.sum())
            moving += float(step[~cut].sum())
            equal += _standing(step == 0)
            steps += len(step)
    if not steps:
        return {**found, **dict.fromkeys(("motion", "cuts", "frozen_share"))}
    return {
        **found,
        "motion": moving / (steps - cuts) if steps > cuts else None,
        "cuts": cuts if steps == total - 1 else round(cuts * (total - 1) / steps),
        "frozen_share": equal / steps,
    }


def _standing(equal: NDArray[np.bool_]) -> int:
    """How many of the steps lie in runs of at least FROZEN that are all equal: a codec repeats single frames of a live scene."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], equal, [False]]).astype(np.int8)))
    lengths = edges[1::2] - edges[::2]
    return int(lengths[lengths >= min(FROZEN, len(equal) // 2)].sum())


def _cuts(run: Thumbs) -> NDArray[np.bool_]:
    """Whether a cut is between neighbours, shape (n - 1,): a change of content that stands out of those around it."""
    n, height, width = run.shape
    down, across = max(1, height // COARSE), max(1, width // COARSE)
    whole = run[:, : height // down * down, : width // across * across]
    areas = whole.reshape(n, height // down, down, -1, across).mean(axis=(2, 4), dtype=np.float32).reshape(n, -1) / 255
    mean = areas.mean(axis=1)
    off = areas - mean[:, None]
    size = np.sqrt((off * off).mean(axis=1))
    flat = size < FLAT
    change = 1 - (off[1:] * off[:-1]).mean(axis=1) / np.maximum(size[1:] * size[:-1], 1e-12)
    either, both = flat[1:] | flat[:-1], flat[1:] & flat[:-1]
    jump = np.where(both, np.abs(np.diff(mean)) > FLAT_STEP, np.maximum(size[1:], size[:-1]) > 3 * FLAT)
    change = np.where(either, jump.astype(np.float32), change)
    padded = np.pad(change, AROUND, mode="reflect" if len(change) > AROUND else "symmetric")
    usual = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND + 1), axis=1)[: len(change)]
    before, after = np.append(0, change[:-1]), np.append(change[1:], 0)
    found: NDArray[np.bool_] = (
        (change > CUT) & (change > CUT_RATIO * usual) & (change >= before) & (change > 0.5 * after)
    )
    return found


def _timing(runs: list[list[float]]) -> dict[str, float | None]:
    """Missing and irregular frames by their timestamps in seconds."""
    steps = np.concatenate([np.diff(np.sort(times)) for times in runs]) if runs else np.empty(0)
    usual = float(np.median(steps)) if len(steps) else 0.0
    if usual <= 0:
        return {"dropped_share": None, "jitter": None}
    missing = np.maximum(np.round(steps / usual) - 1, 0)
    near = steps[missing == 0]
    return {
        "dropped_share": float(missing.sum() / (len(steps) + missing.sum())),
        "jitter": float(near.std()) / usual if len(near) else None,
    }


def _read(value: Any, fps: float | None) -> _Film:
    held = isinstance(value, (bytes, bytearray, memoryview))
    data = bytes_of(value) if held else b""
    path = None if held else file_of(value)
    try:
        import av
    except ImportError as error:
        raise DescribeError(
            "extra_missing", "PyAV is not installed", fix="pip install 'auditor[video]', or give frames"
        ) from error
    source: Any = (
        io.BytesIO(data) if path is None else path.open("rb")
    )  # never its name: names can mean other protocols
    size = len(data) if path is None else path.stat().st_size
    options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"}
    try:
        with source, av.open(source, options=options, metadata_errors="ignore") as file:
            return _film(file, fps, size)
    except (av.FFmpegError, ValueError, IndexError, MemoryError, OverflowError) as error:
        raise DescribeError("decode_failed", f"the video cannot be decoded ({type(error).__name__})") from error


def _film(file: Any, fps: float | None, size: int) -> _Film:
    """Decode one pass over the file, or over runs spread evenly over a long one."""
    stream = next(iter(file.streams.video), None)
    if stream is None or not stream.width:
        raise DescribeError("decode_failed", "the file has no pictures")
    if stream.width * stream.height > MAX_PIXELS:
        raise DescribeError("too_large", f"frames of {stream.width} x {stream.height} pixels", fix="scale it down")
    own = float(stream.average_rate or 0)
    seconds = float(stream.duration * stream.time_base) if stream.duration else float(file.duration or 0) / 1e6
    expected = stream.frames or round(seconds * own)
    starts: list[float] = [0.0]
    if expected > MAX_FRAMES and own > 0:
        starts = np.linspace(0, max(seconds - RUN / own, 0), MAX_FRAMES // RUN).tolist()
    sound = next(iter(file.streams.audio), None)
    track = _Track()
    kept: list[Any] = []
    stride, count = 1, 0
    runs, times = [], []
    for start in starts:
        if start:
            file.seek(int(start * 1e6))
        thumbs: list[Thumbs] = []
        stamps: list[float] = []
        for frame in _decoded(file, stream, sound, track, MAX_FRAMES if len(starts) == 1 else RUN):
            thumbs.append(_luma_of(frame))
            if frame.time is not None:
                stamps.append(frame.time)
            if count % stride == 0:
                kept.append(frame)
                if len(kept) > 2 * SAMPLED:
                    kept, stride = kept[::2], 2 * stride
            count += 1
        if thumbs:
            runs.append(np.stack(thumbs))
            times.append(stamps)
    if not kept:
        raise DescribeError("truncated", "the file ends before its first frame")
    pictures = [_upright(kept[place]) for place in _spread(len(kept), SAMPLED)]
    total = count if len(starts) == 1 else expected
    fps = fps or (own if 0 < own < 10_000 else None)
    length = total / fps if fps else seconds
    about: dict[str, Scalar] = {
        "bitrate": 8 * size / length if length else None,
        "codec": str(stream.codec_context.name),
        "has_sound": "false" if sound is None else "true",
    }
    return _Film(pictures, runs, total, fps, times, about, track.figures())


def _decoded(file: Any, stream: Any, sound: Any, track: _Track, limit: int) -> Iterator[Any]:
    """At most `limit` frames from where the file is; the sound between goes to `track`. Damaged packets are left out."""
    import av

    count = 0
    for packet in file.demux([part for part in (stream, sound) if part is not None]):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        for frame in frames:
            if packet.stream.type == "audio":
                track.add(frame)
                continue
            count += 1
            yield frame
            if count >= limit:
                return


class _Track:
    """The sound track: planes of float samples, at most MAX_SOUND a channel."""

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.samples = 0
        self.rate = 0
        self._resampler: Any = None

    def add(self, frame: Any) -> None:
        import av

        if self.samples >= MAX_SOUND:
            return
        if self._resampler is None:
            self.rate = frame.sample_rate
            self._resampler = av.AudioResampler("fltp", frame.layout, frame.sample_rate)
        for part in self._resampler.resample(frame):
            self.parts.append(part.to_ndarray())
            self.samples += self.parts[-1].shape[1]

    def figures(self) -> Mapping[str, Scalar]:
        if not self.samples:
            return {}
        try:
            return SOUND.describe(np.concatenate(self.parts, axis=1).T, rate=self.rate)
        except (DescribeError, ValueError):  # channels that change, samples beyond full scale
            return {}


def _luma_of(frame: Any) -> Thumbs:
    """A thumbnail of the frame's luma, from the decoder's own plane where it has one: rescaling would even out noise."""
    if frame.format.name not in _LUMA_FIRST:
        return thumbnail(frame.to_ndarray(format="gray"), THUMB)
    plane = frame.planes[0]
    luma = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
    small = thumbnail(luma, THUMB)
    if frame.format.name == "gray" or frame.format.name.startswith("yuvj") or frame.color_range == 2:
        return small
    wide: Thumbs = np.clip((small.astype(np.float32) - 16) * (255 / 219) + 0.5, 0, 255)  # studio range
    return wide.astype(np.uint8)


def _upright(frame: Any) -> NDArray[Any]:
    turns = round((getattr(frame, "rotation", 0) or 0) / 90) % 4  # counter-clockwise
    pixels: NDArray[Any] = frame.to_ndarray(format="rgb24")
    upright: NDArray[Any] = np.rot90(pixels, turns)
    return upright


PLUGIN = VideoDescriptor()
