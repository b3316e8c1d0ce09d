"""Rows, vectors, series, point clouds and videos: figures worked out by hand, and what each refuses."""

from collections import namedtuple
from datetime import UTC, date, datetime, timedelta, timezone
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
        "n_unusable": 2.0,
        "n_text": 1.0,
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


def test_missing_values_of_pandas_and_moments_with_a_zone():
    pandas = pytest.importorskip("pandas")
    row = {"a": pandas.NA, "b": pandas.NaT, "c": float("nan"), "d": None}
    assert tabular.PLUGIN.describe(row)["n_missing"] == 4
    assert tabular.PLUGIN.describe(pandas.Series(row))["n_missing"] == 4
    moment = datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    for same in (moment, pandas.Timestamp(moment), pandas.Timestamp("2026-07-01 12:00", tz="Europe/Berlin")):
        assert tabular.PLUGIN.describe({"t": same})["t"] == moment.timestamp()


FREE = [
    "Please call me back. Thanks",
    "I have pain in my left knee",
    "ann@example.org",
    "+49 170 1234567",
    "He said no. She agreed",
    "where is my order?  It is late!",
    "x" * 65,
]
CATEGORIES = [
    "New York City",
    "Some college, no degree",
    "Married-civ-spouse",
    "St. Louis",
    "A+",
    "Prefer not to say",
    "C++",
]


@pytest.mark.parametrize("text", FREE)
def test_free_text_is_counted_and_never_kept(text):
    figures = tabular.PLUGIN.describe({"note": text, "age": 4})
    assert (figures["note"], figures["n_text"], figures["n_unusable"]) == (None, 1, 0)


@pytest.mark.parametrize("text", CATEGORIES)
def test_categories_are_kept(text):
    figures = tabular.PLUGIN.describe({"kind": text})
    assert (figures["kind"], figures["n_text"]) == (text, 0)


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


DAY_S = 86_400


@pytest.mark.parametrize("step_s", [60, 300, 3600])
@pytest.mark.parametrize("days", [5, 30, 400])
@pytest.mark.parametrize("holes", [0.0, 0.2])
def test_a_daily_cycle_is_found_at_any_sampling(step_s, days, holes):
    rng = np.random.default_rng(days)
    t = np.arange(0, days * DAY_S, step_s)
    x = np.sin(2 * np.pi * t / DAY_S) + 0.3 * rng.normal(size=len(t))
    x[rng.random(len(t)) < holes] = np.nan
    figures = series.PLUGIN.describe(x, rate=1 / step_s)
    assert 1 / figures["dominant_hz"] == pytest.approx(DAY_S, rel=0.05)
    kept = ~np.isnan(x)
    timed = series.PLUGIN.describe({"t": t[kept], "x": x[kept]})
    assert 1 / timed["dominant_hz"] == pytest.approx(DAY_S, rel=0.05)


def test_times_of_a_pandas_index_are_used():
    pandas = pytest.importorskip("pandas")
    for zone in (None, "Europe/Berlin"):
        index = pandas.date_range("2026-01-01", periods=3000, freq="min", tz=zone)
        wave = np.sin(2 * np.pi * np.arange(3000) / 1440)
        figures = series.PLUGIN.describe(pandas.Series(wave, index=index))
        assert figures["rate_hz"] == pytest.approx(1 / 60)
        frame = pandas.DataFrame({"a": wave, "b": wave}, index=index).drop(index[100:110])
        assert series.PLUGIN.describe(frame)["gap_share"] == pytest.approx(1 / 2989, rel=1e-3)
        column = {"t": pandas.Series(index), "x": wave}
        assert series.PLUGIN.describe(column)["rate_hz"] == pytest.approx(1 / 60)
    assert code_of(series.PLUGIN, pandas.Series(wave)) == "no_rate"


def test_spikes_and_flat_lines_show():
    x = np.sin(np.arange(2000) / 10) + 0.05 * RNG.normal(size=2000)
    assert series.PLUGIN.describe(x, rate=1)["spike_share"] == 0
    hit = x.copy()
    hit[[100, 500, 900, 1500]] += (9, -9, 9, -9)
    assert series.PLUGIN.describe(hit, rate=1)["spike_share"] == 0.002
    step = x + np.where(np.arange(2000) > 1000, 9, 0)  # a new level is no spike
    assert series.PLUGIN.describe(step, rate=1)["spike_share"] == 0
    still = x.copy()
    still[300:800] = still[300]
    assert series.PLUGIN.describe(still, rate=1)["longest_flat"] == 0.25


def test_autocorrelation_of_neighbours():
    x = RNG.normal(size=20_000)
    for alike in (0.0, 0.5, 0.9):
        y = np.zeros(len(x))
        for place in range(1, len(x)):
            y[place] = alike * y[place - 1] + x[place]
        assert series.PLUGIN.describe(y, rate=1)["autocorrelation"] == pytest.approx(alike, abs=0.03)
    assert series.PLUGIN.describe(np.ones(50), rate=1)["autocorrelation"] is None


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
    assert code_of(point_cloud.PLUGIN, np.zeros((3, 6))) == "bad_shape"


def test_a_pickle_in_an_npy_is_not_run(tmp_path):
    np.save(tmp_path / "evil.npy", np.array([object()]), allow_pickle=True)
    assert code_of(point_cloud.PLUGIN, tmp_path / "evil.npy") == "decode_failed"


def scan(rings=32, beams=600, rng=None):
    """A street: rings of a scanner 1.8 m above the ground and a wall 30 m away, with intensity and ring."""
    rng = rng or np.random.default_rng(0)
    ring, angle = np.meshgrid(np.arange(rings), np.linspace(-np.pi, np.pi, beams, endpoint=False), indexing="ij")
    down = np.radians(-25 + 35 * ring / (rings - 1))
    reach = np.where(down < -0.06, -1.8 / np.sin(np.minimum(down, -0.06)), 30.0)
    x, y, z = reach * np.cos(down) * np.cos(angle), reach * np.cos(down) * np.sin(angle), reach * np.sin(down)
    cloud = np.stack([x, y, z, rng.uniform(0, 255, x.shape), ring.astype(float)], axis=2).reshape(-1, 5)
    cloud[:, :3] += rng.normal(0, 0.01, (len(cloud), 3))
    return cloud.astype("<f4")


def test_clouds_with_rings_are_told_from_those_without(tmp_path):
    cloud = scan()
    figures = point_cloud.PLUGIN.describe(cloud)
    assert (figures["rings"], figures["ring_dropout"]) == (32, 0)
    for name, columns in (("five.pcd.bin", cloud), ("four.bin", cloud[:, :4]), ("both.bin", cloud[:800])):
        columns.tofile(tmp_path / name)
        assert point_cloud.PLUGIN.describe(tmp_path / name) == point_cloud.PLUGIN.describe(columns)
    assert point_cloud.PLUGIN.describe(cloud[:, :4])["ring_dropout"] is None


@pytest.mark.parametrize("lost", [[3], [0, 1, 2, 3], [31], [30, 31]])
def test_lasers_that_drop_out_show(lost):
    cloud = scan()
    kept = cloud[~np.isin(cloud[:, 4], lost)]
    assert point_cloud.PLUGIN.describe(kept)["ring_dropout"] == pytest.approx(len(lost) / 32)


def test_no_returns_are_no_points_at_the_sensor():
    cloud = scan()
    void = np.concatenate([cloud, np.zeros((len(cloud), 5), "<f4")])
    figures, plain = point_cloud.PLUGIN.describe(void), point_cloud.PLUGIN.describe(cloud)
    assert figures["no_return_share"] == 0.5
    for name in ("range_mean", "nearest", "near_share", "height_mean", "density"):
        assert figures[name] == plain[name]


def test_ground_and_near_returns():
    cloud = scan()
    on_ground = np.abs(cloud[:, 2] + 1.8) < 0.3
    assert point_cloud.PLUGIN.describe(cloud)["ground_share"] == pytest.approx(on_ground.mean(), abs=0.05)
    spray = np.random.default_rng(1).normal(0, 0.5, (len(cloud) // 9, 5)).astype("<f4")
    assert point_cloud.PLUGIN.describe(np.concatenate([cloud, spray]))["near_share"] == pytest.approx(0.1, abs=0.01)
    assert point_cloud.PLUGIN.describe(cloud)["near_share"] == 0


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
