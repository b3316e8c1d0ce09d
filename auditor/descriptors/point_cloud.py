"""Point clouds (LiDAR): how many points, how far, how bright, how high, and which directions see nothing."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.core.errors import DescribeError
from auditor.core.record import Scalar
from auditor.descriptors._common import array_of, bytes_of, figure, is_encoded, number
from auditor.ports import DescriptorColumn

MAX_POINTS = 300_000
"""Points that are looked at; a larger cloud is thinned evenly, and `points` still counts all."""
SECTORS = 72
"""Sectors of azimuth, 5 degrees each."""
CELL_M = 1.0
NEAR_M, GROUND_M = 2.0, 0.3
MAX_RINGS = 512
RING_COUNTS = (8, 16, 32, 40, 64, 80, 128)
"""Lasers of common scanners: the highest one may be among those that are missing."""
REACH_M = 128.0
"""Ground cells are counted inside a square of twice this side."""


class PointCloudDescriptor:
    """Describes points (n, 3) to (n, 5): x, y, z in metres from the sensor, z up, intensity, and the ring (laser) of each.

    Bytes or paths are read as `.npy` or as packed float32 x, y, z, intensity (KITTI), or with a ring (nuScenes), which is
    recognised by its small whole numbers. Points with NaN, and no-returns at (0, 0, 0), are left out and counted. An empty cloud is a figure, not an error: 0 points and all sectors occluded.

    Limits: the ground is taken to be level; the number of lasers is the next usual one above the highest ring seen.
    """

    modality = "point_cloud"
    title = "Point clouds"
    headline = "Point clouds changed"
    advice = "Check the scanner: its mounting, range filter and occlusions."
    arrays = True
    version = "2"
    columns: tuple[DescriptorColumn, ...] = (
        number("points", "{point}", "Points, those with NaN or infinity included."),
        number("nan_share", "1", "Share of points with a coordinate that is NaN or infinite."),
        number("no_return_share", "1", "Share of points at the origin: beams without a return."),
        number("density", "m-2", "Points per occupied square metre of ground, within 128 m."),
        number("range_mean", "m", "Mean distance from the sensor."),
        number("range_p95", "m", "95th percentile of the distance."),
        number("nearest", "m", "1st percentile of the distance: the nearest surface."),
        number("near_share", "1", "Share of returns within 2 m: dirt, spray, the vehicle itself."),
        number("ground_share", "1", "Share of returns within 0.3 m of the commonest height below the median height."),
        number("height_mean", "m", "Mean of z."),
        number("height_std", "m", "Standard deviation of z."),
        number("intensity_mean", "1", "Mean intensity, in the sensor's unit; none without that channel."),
        number("intensity_std", "1", "Standard deviation of the intensity."),
        number("rings", "{ring}", "Lasers with at least one return; none without that channel."),
        number("ring_dropout", "1", "Share of the lasers with under a tenth of the median laser's returns."),
        number("occlusion", "1", "Share of 72 sectors of azimuth without a point."),
    )

    def describe(self, value: Any, *, rate: float | None = None) -> Mapping[str, Scalar]:
        """Figures by column; DescribeError for what is no cloud."""
        cloud = _load(bytes_of(value)) if is_encoded(value) else array_of(value, "a point cloud")
        if cloud.ndim != 2 or cloud.shape[1] not in (3, 4, 5):
            raise DescribeError("bad_shape", f"shape {cloud.shape} is not a point cloud", fix="give (n, 3) to (n, 5)")
        n = len(cloud)
        step = max(1, -(-n // MAX_POINTS))
        with np.errstate(all="ignore"):
            points = cloud[::step].astype(np.float64)
            finite = np.isfinite(points[:, :4]).all(axis=1)
            void = ~points[:, :3].any(axis=1)
            kept = points[finite & ~void]
            found: dict[str, float | None] = {column.name: None for column in self.columns}
            found.update(points=n, occlusion=1.0)
            if n:
                found.update(nan_share=1 - float(finite.mean()), no_return_share=float(void.mean()))
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
    for columns in (5, 4):
        if len(data) % (4 * columns) == 0:
            cloud = np.frombuffer(data, "<f4").reshape(-1, columns)
            ring = cloud[:, 4] if columns == 5 else cloud[:, 3]
            if columns == 4 or bool(((ring >= 0) & (ring < MAX_RINGS) & (ring == np.round(ring))).all()):
                return cloud
    raise DescribeError(
        "decode_failed",
        f"{len(data)} bytes are not points of 16 or 20 bytes",
        fix="give .npy, or float32 x, y, z, intensity[, ring]",
    )


def _shape(points: NDArray[np.float64], step: int) -> dict[str, float | None]:
    x, y, z = points[:, 0], points[:, 1], points[:, 2]
    distance = np.sqrt(x * x + y * y + z * z)
    place = [int(q * (len(distance) - 1)) for q in (0.01, 0.95)]
    low, high = np.partition(distance, place)[place]
    sectors = ((np.arctan2(y, x) / (2 * np.pi) + 0.5) * SECTORS).astype(np.int64) % SECTORS
    near = (np.abs(x) < REACH_M) & (np.abs(y) < REACH_M)
    side = int(2 * REACH_M / CELL_M)
    cells = ((x[near] + REACH_M) / CELL_M).astype(np.int64) * side + ((y[near] + REACH_M) / CELL_M).astype(np.int64)
    occupied = np.count_nonzero(np.bincount(cells)) if len(cells) else 0
    found: dict[str, float | None] = {
        "density": step * len(cells) / (occupied * CELL_M**2) if occupied else None,
        "range_mean": float(distance.mean()),
        "range_p95": float(high),
        "nearest": float(low),
        "near_share": np.count_nonzero(distance < NEAR_M) / len(distance),
        "ground_share": _ground(z),
        "height_mean": float(z.mean()),
        "height_std": float(z.std()),
        "occlusion": 1 - len(np.unique(sectors)) / SECTORS,
    }
    if points.shape[1] >= 4:
        found.update(intensity_mean=float(points[:, 3].mean()), intensity_std=float(points[:, 3].std()))
    if points.shape[1] == 5:
        found.update(_rings(points[:, 4]))
    return found


def _ground(z: NDArray[np.float64]) -> float | None:
    """Share of the heights near the ground: the fullest 0.2 m below the median height."""
    middle = float(np.median(z))
    below = z[(z <= middle + 0.1) & (z > middle - 20)]
    if not len(below):  # heights so large that a step of 0.1 m is lost in them
        return None
    counts = np.bincount(((middle + 0.1 - below) / 0.2).astype(np.int64))
    height = middle + 0.1 - 0.2 * (int(counts.argmax()) + 0.5)
    return np.count_nonzero(np.abs(z - height) <= GROUND_M) / len(z)


def _rings(ring: NDArray[np.float64]) -> dict[str, float | None]:
    """Lasers seen, and the share that hardly are, of the next usual number of lasers."""
    known = ring[(ring >= 0) & (ring < MAX_RINGS)].astype(np.int64)
    if not len(known):
        return {}
    counts = np.bincount(known)
    total = next((size for size in RING_COUNTS if size >= len(counts)), len(counts))
    counts = np.pad(counts, (0, total - len(counts)))
    usual = float(np.median(counts[counts > 0]))
    return {"rings": int((counts > 0).sum()), "ring_dropout": float((counts < 0.1 * usual).mean())}


PLUGIN = PointCloudDescriptor()
