"""Videos: the pictures of sampled frames, motion, cuts, standstill and frame rate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.core.errors import DescribeError
from auditor.core.record import Scalar
from auditor.descriptors._common import array_of, check_rate, figure, file_of, is_encoded, number
from auditor.descriptors._pixels import colours, pixels_of, structure, tones
from auditor.ports import DescriptorColumn

SAMPLED = 12
"""Frames whose picture is described, spread evenly."""
MAX_FRAMES = 900
"""Frames that are compared with their neighbour, in runs spread evenly over a longer video."""
RUN = 30
THUMB = 64
"""Side of the thumbnails by which neighbours are compared."""
MAX_PIXELS = 64_000_000
CUT = 0.15
"""Mean absolute difference of neighbours from which a cut is possible."""
CUT_RATIO = 4.0
"""How many times the median difference a cut must be."""
DARK = 0.1
FROZEN = 1e-3
_MEANS = ("brightness", "contrast", "entropy", "saturation", "colourfulness", "sharpness", "noise", "blockiness")

Thumbs = NDArray[Any]


class VideoDescriptor:
    """Describes frames (n, H, W) or (n, H, W, C), or a list of them, with frames a second as rate; or a video file's path.

    Files need OpenCV. Figures of sound are those of an audio input: give the track as one.
    """

    modality = "video"
    title = "Video"
    headline = "Video changed"
    advice = "Watch recent clips and check camera, frame rate and encoding."
    files = True
    version = "1"
    columns: tuple[DescriptorColumn, ...] = (
        number("brightness", "1", "Mean luma of 12 sampled frames, share of full scale."),
        number("contrast", "1", "Mean over them of the luma's standard deviation."),
        number("entropy", "bit", "Mean over them of the entropy of the luma's histogram."),
        number("saturation", "1", "Mean over them of the saturation; none for grey frames."),
        number("colourfulness", "1", "Mean over them of Hasler and Suesstrunk's M3."),
        number("sharpness", "1", "Mean over them of the variance of the Laplacian."),
        number("noise", "1", "Mean over them of Immerkaer's noise."),
        number("blockiness", "1", "Mean over them of the steps at the 8-pixel grid against those inside it."),
        number("motion", "1", "Mean absolute difference of neighbouring frames, share of full scale, cuts left out."),
        number("cuts", "{cut}", "Changes of scene among the frames compared."),
        number("frozen_share", "1", "Share of neighbouring frames that are alike: a camera that hangs."),
        number("dark_share", "1", "Share of frames whose mean luma is under a tenth of full scale."),
        number("frames", "{frame}", "Frames."),
        number("fps", "s-1", "Frames a second; none when not given."),
        number("duration_s", "s", "Length; none without frames a second."),
        number("width", "{pixel}", "Pixels in a row."),
        number("height", "{pixel}", "Rows of pixels."),
    )

    def describe(self, value: Any, *, rate: float | None = None) -> Mapping[str, Scalar]:
        """Figures by column; DescribeError for what is no video, without frames, or not decodable here."""
        fps = None if rate is None else check_rate(rate, "a video")
        if is_encoded(value):
            pictures, thumbs, total, fps = _read(value, fps)
        else:
            frames = _frames(value)
            total = len(frames)
            runs = _runs(total)
            pictures = [frames[place] for place in _sampled(runs)]
            thumbs = [np.stack([_thumb(frames[place]) for place in run]) for run in runs]
        with np.errstate(all="ignore"):
            found = {**_pictures(pictures), **_motion(thumbs)}
        found.update(frames=total, fps=fps, duration_s=total / fps if fps else None)
        return {column.name: figure(found[column.name]) for column in self.columns}


def _spread(n: int, count: int) -> list[int]:
    """At most `count` places among n, spread evenly."""
    return sorted({int(place) for place in np.linspace(0, n - 1, min(n, count))})


def _runs(n: int) -> list[range]:
    """All frames, or runs of neighbours spread over them."""
    if n <= MAX_FRAMES:
        return [range(n)]
    return [range(start, start + RUN) for start in _spread(n - RUN + 1, MAX_FRAMES // RUN)]


def _sampled(runs: list[range]) -> list[int]:
    """Places of the frames whose picture is described."""
    places = [place for run in runs for place in run]
    return [places[index] for index in _spread(len(places), SAMPLED)]


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


def _motion(runs: list[Thumbs]) -> dict[str, float | None]:
    """Figures of neighbouring thumbnails, luma from 0 to 1."""
    light = np.concatenate([run.mean(axis=(1, 2)) for run in runs])
    steps = np.concatenate([np.abs(np.diff(run, axis=0)).mean(axis=(1, 2)) for run in runs])
    found: dict[str, float | None] = {"dark_share": float((light < DARK).mean())}
    if not len(steps):
        return {**found, **dict.fromkeys(("motion", "cuts", "frozen_share"))}
    cut = (steps > CUT) & (steps > CUT_RATIO * float(np.median(steps)))
    return {
        **found,
        "motion": float(steps[~cut].mean()) if not cut.all() else None,
        "cuts": int(cut.sum()),
        "frozen_share": float((steps < FROZEN).mean()),
    }


def _thumb(frame: Any) -> Thumbs:
    """Every s-th pixel of a frame as luma from 0 to 1, at most THUMB x THUMB."""
    frame = np.asarray(frame)
    if frame.ndim == 3 and frame.shape[2] > 4 and frame.shape[0] <= 4:
        frame = frame.transpose(1, 2, 0)
    down, across = (max(1, -(-side // THUMB)) for side in frame.shape[:2])
    return pixels_of(frame[::down, ::across], "a frame").luma.astype(np.float32) / 255


def _read(value: Any, fps: float | None) -> tuple[list[Any], list[Thumbs], int, float | None]:
    """Sampled frames, thumbnails of all compared ones, number of frames and rate of a file."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise DescribeError("wrong_type", "a video's bytes cannot be read", fix="give the path of the file, or frames")
    path = file_of(value)
    try:
        import cv2
    except ImportError as error:
        raise DescribeError(
            "extra_missing", "OpenCV is not installed", fix="pip install opencv-python-headless, or give frames"
        ) from error
    file = cv2.VideoCapture(str(path))
    try:
        return _scan(file, cv2, fps)
    except cv2.error as error:
        raise DescribeError("decode_failed", "the video cannot be decoded") from error
    finally:
        file.release()


def _scan(file: Any, cv2: Any, fps: float | None) -> tuple[list[Any], list[Thumbs], int, float | None]:
    width, height = (int(file.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if not file.isOpened() or width <= 0 or height <= 0:
        raise DescribeError("decode_failed", "the video cannot be decoded")
    if width * height > MAX_PIXELS:
        raise DescribeError("too_large", f"frames of {width} x {height} pixels", fix="scale it down")
    total = max(1, int(file.get(cv2.CAP_PROP_FRAME_COUNT)))
    wanted = set(_sampled(_runs(total)))
    pictures: list[Any] = []
    runs: list[Thumbs] = []
    for run in _runs(total):
        thumbs = []
        for place, frame in _decoded(file, cv2, run):
            thumbs.append(_thumb(frame))
            if place in wanted:
                pictures.append(frame)
        if thumbs:
            runs.append(np.stack(thumbs))
    if not pictures:
        raise DescribeError("truncated", "the file ends before its first frame")
    if total <= MAX_FRAMES:
        total = len(runs[0])  # what was there, whatever the header says
    own = float(file.get(cv2.CAP_PROP_FPS))
    return pictures, runs, total, fps or (own if 0 < own < 10_000 else None)


def _decoded(file: Any, cv2: Any, run: range) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Frames of one run, as RGB; fewer where the file ends early."""
    if run.start:
        file.set(cv2.CAP_PROP_POS_FRAMES, run.start)
    for place in run:
        there, frame = file.read()
        if not there:
            return
        yield place, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) if frame.ndim == 3 else frame


PLUGIN = VideoDescriptor()
