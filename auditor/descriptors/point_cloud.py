"""Point clouds (LiDAR): how many points, how far, how bright, how high, and which directions see nothing."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.core.errors import DescribeError
from auditor.core.record import Scalar
from auditor.descriptors._common import array_of, bytes_of, figure, is_encoded, number, quantile
from auditor.ports import DescriptorColumn

MAX_POINTS = 300_000
"""Points that are looked at; a larger cloud is thinned evenly, and `points` still counts all."""
SECTORS = 72
"""Sectors of azimuth, 5 degrees each."""
CELL_M = 1.0
REACH_M = 128.0
"""Ground cells are counted inside a square of twice this side."""


class PointCloudDescriptor:
    """Describes points (n, 3) or (n, 4): x, y, z in metres from the sensor, z up, and intensity.

    Bytes or paths are read as `.npy` or as packed float32 x, y, z, intensity (KITTI). Points with NaN are left out and
    counted. An empty cloud is a figure, not an error: 0 points and all sectors occluded.
    """

    modality = "point_cloud"
    title = "Point clouds"
    headline = "Point clouds changed"
    advice = "Check the scanner: its mounting, range filter and occlusions."
    arrays = True
    version = "1"
    columns: tuple[DescriptorColumn, ...] = (
        number("points", "{point}", "Points, those with NaN or infinity included."),
        number("nan_share", "1", "Share of points with a coordinate that is NaN or infinite."),
        number("density", "m-2", "Points per occupied square metre of ground, within 128 m."),
        number("range_mean", "m", "Mean distance from the sensor."),
        number("range_p95", "m", "95th percentile of the distance."),
        number("nearest", "m", "1st percentile of the distance: the nearest surface."),
        number("height_mean", "m", "Mean of z."),
        number("height_std", "m", "Standard deviation of z."),
        number("intensity_mean", "1", "Mean intensity, in the sensor's unit; none without that channel."),
        number("intensity_std", "1", "Standard deviation of the intensity."),
        number("occlusion", "1", "Share of 72 sectors of azimuth without a point."),
    )

    def describe(self, value: Any, *, rate: float | None = None) -> Mapping[str, Scalar]:
        """Figures by column; DescribeError for what is no cloud."""
        cloud = _load(bytes_of(value)) if is_encoded(value) else array_of(value, "a point cloud")
        if cloud.ndim != 2 or cloud.shape[1] not in (3, 4):
            raise DescribeError("bad_shape", f"shape {cloud.shape} is not a point cloud", fix="give (n, 3) or (n, 4)")
        n = len(cloud)
        step = max(1, -(-n // MAX_POINTS))
        with np.errstate(all="ignore"):
            points = cloud[::step].astype(np.float64)
            seen = np.isfinite(points).all(axis=1)
            kept = points[seen]
            found: dict[str, float | None] = {column.name: None for column in self.columns}
            found.update(points=n, nan_share=1 - len(kept) / len(points) if n else None, occlusion=1.0)
            if len(kept):
                found.update(_shape(kept, step))
        return {name: figure(number) for name, number in found.items()}


def _load(data: bytes) -> NDArray[Any]:
    if data[:6] == b"\x93NUMPY":
        try:
            return array_of(np.load(io.BytesIO(data), allow_pickle=False), "a point cloud")
        except DescribeError:
            raise
        except Exception as error:  # a header can be wrong in many ways
            raise DescribeError("decode_failed", f"the .npy file cannot be read ({type(error).__name__})") from error
    if len(data) % 16:
        raise DescribeError(
            "decode_failed", f"{len(data)} bytes are not points of 16 bytes", fix="give .npy, or float32 x, y, z, i"
        )
    return np.frombuffer(data, "<f4").reshape(-1, 4)


def _shape(points: NDArray[np.float64], step: int) -> dict[str, float | None]:
    x, y, z = points[:, 0], points[:, 1], points[:, 2]
    distance = np.sqrt(x * x + y * y + z * z)
    rising = np.sort(distance)
    sectors = ((np.arctan2(y, x) / (2 * np.pi) + 0.5) * SECTORS).astype(np.int64) % SECTORS
    near = (np.abs(x) < REACH_M) & (np.abs(y) < REACH_M)
    side = int(2 * REACH_M / CELL_M)
    cells = ((x[near] + REACH_M) / CELL_M).astype(np.int64) * side + ((y[near] + REACH_M) / CELL_M).astype(np.int64)
    occupied = np.count_nonzero(np.bincount(cells)) if len(cells) else 0
    found: dict[str, float | None] = {
        "density": step * len(cells) / (occupied * CELL_M**2) if occupied else None,
        "range_mean": float(distance.mean()),
        "range_p95": quantile(rising, 0.95),
        "nearest": quantile(rising, 0.01),
        "height_mean": float(z.mean()),
        "height_std": float(z.std()),
        "occlusion": 1 - len(np.unique(sectors)) / SECTORS,
    }
    if points.shape[1] == 4:
        found.update(intensity_mean=float(points[:, 3].mean()), intensity_std=float(points[:, 3].std()))
    return found


PLUGIN = PointCloudDescriptor()
