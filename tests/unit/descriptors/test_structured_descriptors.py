"""Rows, vectors, series, point clouds and videos: figures worked out by hand, and what each refuses."""

from collections import namedtuple
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from auditor import registry
from auditor.core.errors import DescribeError
from auditor.descriptors import embedding, point_cloud, series, tabular, video
from auditor.descriptors._common import blocks, figure, quantile

RNG = np.random.default_rng(3)


def code_of(plugin, value, rate=None):
    with pytest.raises(DescribeError) as caught:
        plugin.describe(value, rate=rate)
    return caught.value.code


# -- shared helpers -----------------------------------------------------------------------------------------------------


def test_figures_are_finite_and_short():
    assert figure(2 / 3) == 0.6666667
    assert [figure(value) for value in (None, float("inf"), float("-inf"), float("nan"))] == [None] * 4


def test_quantile_is_that_of_numpy():
    x = np.sort(RNG.normal(size=101))
    for q in (0, 0.01, 0.37, 0.95, 1):
        assert quantile(x, q) == pytest.approx(np.quantile(x, q))


def test_blocks_cover_all_or_spread():
    assert list(blocks(5, 10, 2)) == [slice(0, 5)]
    found = list(blocks(1000, 100, 10))
    assert len(found) == 10
    assert (found[0], found[-1]) == (slice(0, 10), slice(990, 1000))


# -- tabular ------------------------------------------------------------------------------------------------------------


def test_each_feature_is_a_column():
    row = {
        "age": 41,
        "income": Decimal("1200.50"),
        "ratio": Fraction(1, 4),
        "sex": "f",
        "smoker": True,
        "hired": date(1970, 1, 3),
        "seen": datetime(1970, 1, 2, 5, tzinfo=UTC),
        "height": None,
        "weight": float("nan"),
        "letter": "x" * 65,
        "thing": object(),
        "huge": 10**400,
        "flag": np.bool_(False),
        "count": np.int32(7),
        "city": np.str_("Ulm"),
        "left": np.datetime64("1970-01-02T13"),
        "never": np.datetime64("NaT"),
    }
    assert dict(tabular.PLUGIN.describe(row)) == {
        "n_features": 17.0,
        "n_missing": 3.0,
        "n_unusable": 3.0,
        "age": 41.0,
        "income": 1200.5,
        "ratio": 0.25,
        "sex": "f",
        "smoker": "true",
        "hired": 172800.0,
        "seen": 104400.0,
        "height": None,
        "weight": None,
        "letter": None,
        "thing": None,
        "huge": None,
        "flag": "false",
        "count": 7.0,
        "city": "Ulm",
        "left": 133200.0,
        "never": None,
    }


def test_numbers_of_a_row_keep_all_their_digits():
    assert tabular.PLUGIN.describe({"x": 1234567.891})["x"] == 1234567.891


def test_rows_of_other_shapes():
    pair = namedtuple("Pair", "a b")
    assert tabular.PLUGIN.describe(pair(1, "u"))["b"] == "u"
    assert tabular.PLUGIN.describe(np.array([[1.0, 2.0]]))["x1"] == 2.0
    assert tabular.PLUGIN.describe([1, None])["n_missing"] == 1.0
    assert tabular.PLUGIN.describe({1: 2, "": 3})["n_unusable"] == 1.0
    assert code_of(tabular.PLUGIN, np.zeros((2, 2))) == "bad_shape"
    assert code_of(tabular.PLUGIN, dict.fromkeys(range(3000))) == "too_large"
    assert code_of(tabular.PLUGIN, "a=1") == "wrong_type"


def test_a_row_of_a_data_frame():
    pandas = pytest.importorskip("pandas")
    row = pandas.Series({"age": 3, "sex": "f", "seen": pandas.NaT, "weight": float("nan"), "what": pandas.NA})
    figures = tabular.PLUGIN.describe(row)
    assert (figures["age"], figures["sex"], figures["seen"]) == (3, "f", None)
    assert figures["n_missing"] + figures["n_unusable"] == 3


# -- embedding ----------------------------------------------------------------------------------------------------------


def test_a_vector():
    assert dict(embedding.PLUGIN.describe([3.0, -4.0, 0.0, 0.0])) == {
        "norm": 5.0,
        "mean": -0.25,
        "std": pytest.approx(np.std([3, -4, 0, 0]), rel=1e-6),
        "largest": 4.0,
        "sparsity": 0.5,
        "dims": 4.0,
        "nan_share": 0.0,
    }


def test_a_vector_with_nan_says_so():
    figures = embedding.PLUGIN.describe(np.array([1.0, np.nan, np.inf, 2.0], np.float16))
    assert figures["nan_share"] == 0.5
    assert figures["norm"] is None
    assert code_of(embedding.PLUGIN, np.zeros(0)) == "empty"
    assert code_of(embedding.PLUGIN, np.zeros((2, 2))) == "bad_shape"
    assert embedding.PLUGIN.describe(np.full(4, 1e300))["norm"] is None


# -- series -------------------------------------------------------------------------------------------------------------


def test_a_sine_on_a_slope():
    t = np.arange(2000) / 100
    figures = series.PLUGIN.describe(3 + 0.5 * t + np.sin(2 * np.pi * 5 * t), rate=100)
    assert figures["trend"] == pytest.approx(0.5, rel=0.01)
    assert figures["dominant_hz"] == pytest.approx(5, abs=100 / 1024)
    assert figures["centroid_hz"] == pytest.approx(5, abs=0.1)
    assert (figures["length"], figures["duration_s"], figures["rate_hz"]) == (2000, 20, 100)
    assert (figures["gap_share"], figures["nan_share"], figures["stuck_share"]) == (None, 0, 0)


def test_moments_by_hand():
    figures = series.PLUGIN.describe([1, 2, 3, 6], rate=1)
    assert (figures["mean"], figures["low"], figures["high"]) == (3, 1, 6)
    assert figures["std"] == pytest.approx(np.sqrt(3.5), rel=1e-6)
    assert figures["trend"] == pytest.approx(1.6)


def test_stuck_runs_count_from_three():
    assert series.PLUGIN.describe([1, 1, 2, 2, 2, 3, 4, 4, 4, 4], rate=1)["stuck_share"] == 0.7
    one_dead = np.stack([RNG.normal(size=50), np.zeros(50)], axis=1)
    assert series.PLUGIN.describe(one_dead, rate=1)["stuck_share"] == 1.0
    assert series.PLUGIN.describe([np.nan] * 5, rate=1)["stuck_share"] == 0.0


def test_gaps_and_rate_follow_from_times():
    t = np.arange(101) / 10
    kept = np.delete(t, [50, 51, 70])
    figures = series.PLUGIN.describe({"t": kept, "x": np.sin(kept)})
    assert figures["rate_hz"] == pytest.approx(10)
    assert figures["gap_share"] == pytest.approx(2 / 97, rel=1e-6)
    assert figures["duration_s"] == pytest.approx(10.1)
    stamps = np.datetime64("2026-01-01") + (t * 1000).astype("timedelta64[ms]")
    assert series.PLUGIN.describe({"t": stamps, "x": t})["trend"] == pytest.approx(1.0)


def test_missing_values_are_left_out_and_counted():
    x = np.array([1.0, np.nan, 3.0, np.inf])
    figures = series.PLUGIN.describe(x, rate=1)
    assert (figures["mean"], figures["nan_share"], figures["high"]) == (2.0, 0.5, 3.0)
    assert figures["trend"] == 1.0
    assert figures["dominant_hz"] is None
    assert series.PLUGIN.describe(np.full(3, np.nan), rate=1)["mean"] is None


def test_a_long_series_is_sampled_in_runs():
    t = np.arange(2_000_000) / 1000
    figures = series.PLUGIN.describe(0.01 * t + np.sin(2 * np.pi * 125 * t), rate=1000)
    assert figures["length"] == 2_000_000
    assert figures["trend"] == pytest.approx(0.01, rel=0.01)
    assert figures["dominant_hz"] == pytest.approx(125, abs=1)


def test_unusable_series():
    assert code_of(series.PLUGIN, [1, 2]) == "no_rate"
    assert code_of(series.PLUGIN, {"x": [1]}) == "wrong_type"
    assert code_of(series.PLUGIN, {"t": [1, 2], "x": [1]}) == "bad_shape"
    assert code_of(series.PLUGIN, {"t": [2, 1], "x": [1, 2]}) == "bad_range"
    assert code_of(series.PLUGIN, {"t": ["a", "b"], "x": [1, 2]}) == "wrong_type"
    assert code_of(series.PLUGIN, {"t": [[1], [1, 2]], "x": [1, 2]}) == "wrong_type"
    assert code_of(series.PLUGIN, [], 1) == "empty"
    assert code_of(series.PLUGIN, np.zeros((2, 2, 2)), 1) == "bad_shape"


# -- point cloud --------------------------------------------------------------------------------------------------------


def test_four_points():
    cloud = [[3, 4, 0, 0.2], [3, 4, 0, 0.4], [0, 0, 2, 0.6], [-10, 0, 0, 0.8]]
    figures = point_cloud.PLUGIN.describe(cloud)
    assert figures["points"] == 4
    assert figures["range_mean"] == pytest.approx((5 + 5 + 2 + 10) / 4)
    assert figures["height_mean"] == 0.5
    assert figures["intensity_mean"] == pytest.approx(0.5)
    assert figures["density"] == pytest.approx(4 / 3, rel=1e-6)  # four points on three square metres
    assert figures["occlusion"] == pytest.approx(69 / 72, rel=1e-6)


def test_a_blind_sector_shows():
    angle = RNG.uniform(-np.pi, np.pi, 20_000)
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=1) * 10
    assert point_cloud.PLUGIN.describe(ring)["occlusion"] == 0.0
    blind = ring[np.abs(angle) > np.pi / 4]
    assert point_cloud.PLUGIN.describe(blind)["occlusion"] == pytest.approx(0.25)


def test_clouds_with_nothing_or_nan():
    empty = point_cloud.PLUGIN.describe(np.empty((0, 3)))
    assert (empty["points"], empty["occlusion"], empty["range_mean"], empty["nan_share"]) == (0, 1, None, None)
    figures = point_cloud.PLUGIN.describe([[1, 0, 0], [np.nan, 0, 0]])
    assert (figures["nan_share"], figures["range_mean"], figures["intensity_mean"]) == (0.5, 1, None)


def test_cloud_files(tmp_path):
    cloud = RNG.normal(size=(50, 4)).astype("<f4")
    cloud.tofile(tmp_path / "scan.bin")
    np.save(tmp_path / "scan.npy", cloud)
    for name in ("scan.bin", "scan.npy"):
        assert point_cloud.PLUGIN.describe(tmp_path / name) == point_cloud.PLUGIN.describe(cloud)
    assert code_of(point_cloud.PLUGIN, b"123") == "decode_failed"
    assert code_of(point_cloud.PLUGIN, np.zeros((3, 5))) == "bad_shape"


def test_a_pickle_in_an_npy_is_not_run(tmp_path):
    np.save(tmp_path / "evil.npy", np.array([object()]), allow_pickle=True)
    assert code_of(point_cloud.PLUGIN, tmp_path / "evil.npy") == "decode_failed"


def test_a_large_cloud_is_thinned_but_counted():
    cloud = RNG.uniform(-50, 50, (700_000, 3))
    figures = point_cloud.PLUGIN.describe(cloud)
    assert figures["points"] == 700_000
    assert figures["density"] == pytest.approx(70, rel=0.05)


# -- video --------------------------------------------------------------------------------------------------------------


def test_a_still_then_a_cut():
    frames = np.zeros((10, 32, 32), np.uint8)
    frames[6:] = 204
    figures = video.PLUGIN.describe(frames, rate=5)
    assert (figures["cuts"], figures["motion"], figures["frozen_share"]) == (1, 0, pytest.approx(8 / 9, rel=1e-6))
    assert figures["dark_share"] == pytest.approx(0.6)
    assert figures["brightness"] == pytest.approx(0.8 * 0.4)
    assert (figures["frames"], figures["fps"], figures["duration_s"]) == (10, 5, 2)
    assert (figures["width"], figures["height"]) == (32, 32)


def test_motion_is_the_mean_difference_of_neighbours():
    frames = np.zeros((5, 16, 16), np.uint8)
    frames += (np.arange(5, dtype=np.uint8) * 10)[:, None, None]
    assert video.PLUGIN.describe(frames)["motion"] == pytest.approx(10 / 255, rel=1e-5)
    assert video.PLUGIN.describe(frames)["fps"] is None


def test_frames_of_one_picture_have_its_figures():
    picture = RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    alone = registry.load("descriptors", "image").describe(picture)
    figures = video.PLUGIN.describe([picture] * 3)
    for name in (
        "brightness",
        "contrast",
        "entropy",
        "saturation",
        "colourfulness",
        "sharpness",
        "noise",
        "blockiness",
    ):
        assert figures[name] == pytest.approx(alone[name], rel=1e-6)


def test_a_long_video_is_sampled():
    frames = np.zeros((3000, 8, 8), np.uint8)
    figures = video.PLUGIN.describe(frames, rate=30)
    assert (figures["frames"], figures["duration_s"], figures["frozen_share"]) == (3000, 100, 1)


def test_unusable_videos(tmp_path, monkeypatch):
    assert code_of(video.PLUGIN, np.zeros((4, 4), np.uint8)) == "bad_shape"
    assert code_of(video.PLUGIN, np.zeros((0, 4, 4), np.uint8)) == "empty"
    assert code_of(video.PLUGIN, [np.zeros((4, 4)), np.zeros((5, 4))]) == "bad_shape"
    assert code_of(video.PLUGIN, tmp_path / "none.mp4") == "not_found"
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no video")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    assert code_of(video.PLUGIN, path) == "extra_missing"
