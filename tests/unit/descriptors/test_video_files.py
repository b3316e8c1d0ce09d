"""Video files that FFmpeg wrote: cuts, standstill, timestamps, encoding and sound, from path and bytes; hostile files."""

import io

import numpy as np
import pytest

from auditor.core.errors import DescribeError
from auditor.descriptors import video
from auditor.descriptors.audio import PLUGIN as SOUND
from auditor.descriptors.video import PLUGIN

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'auditor[video]'")
SIDE = (96, 128)


def encode(frames, fps=25, codec="libx264", form="mp4", pixels="yuv420p", times=None, sound=None, **options):
    """A file's bytes; `times` are counted in frames, `sound` has 16 kHz."""
    out = io.BytesIO()
    with av.open(out, "w", format=form) as file:
        stream = file.add_stream(codec, rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.options = pixels, {"preset": "ultrafast", **options} if codec == "libx264" else options
        track = file.add_stream("aac", rate=16000, layout="mono") if sound is not None else None
        for place, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = place if times is None else times[place]
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
        if track is not None:
            frame = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), format="fltp", layout="mono")
            frame.sample_rate = 16000
            file.mux(track.encode(frame))
            file.mux(track.encode())
    return out.getvalue()


def scene(seed, n, exposure=0.0, noise=2.0, pan=0.5):
    """A random landscape under a panning, noisy camera whose exposure swings."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (9, 12, 3))
    rows, columns = np.linspace(0, 7.99, SIDE[0] + 60), np.linspace(0, 10.99, SIDE[1] + 60)
    big = coarse[rows.astype(int)][:, columns.astype(int)]
    big = 0.5 * big + 0.5 * coarse[np.round(rows).astype(int)][:, np.round(columns).astype(int)]
    frames = []
    for place in range(n):
        shift = int(min(pan * place, 59))
        frame = big[shift : shift + SIDE[0], shift : shift + SIDE[1]] * (
            1 - exposure / 2 + exposure / 2 * np.sin(place / 6)
        )
        frames.append((frame + rng.normal(0, noise, frame.shape)).clip(0, 255).astype(np.uint8))
    return frames


@pytest.mark.parametrize("exposure", [0.0, 0.5])
@pytest.mark.parametrize("pan", [0.0, 1.0])
def test_every_cut_is_found_whatever_the_exposure(exposure, pan):
    frames = [frame for seed in range(30) for frame in scene(seed, 40, exposure, pan=pan)]
    assert PLUGIN.describe(frames, rate=25)["cuts"] == 29
    if exposure:
        assert PLUGIN.describe(encode(frames))["cuts"] == 29


def test_a_flash_or_a_fade_is_no_cut():
    frames = scene(1, 100)
    faded = [(frame * min(1, place / 50)).astype(np.uint8) for place, frame in enumerate(frames)]
    assert PLUGIN.describe(faded, rate=25)["cuts"] <= 1
    brighter = [*frames[:50], *((frame * 0.5).astype(np.uint8) for frame in frames[50:])]
    assert PLUGIN.describe(brighter, rate=25)["cuts"] == 0


def test_plain_pictures_that_change_are_a_cut():
    frames = [np.full((*SIDE, 3), (20 if place < 10 else 200, 0, 0), np.uint8) for place in range(20)]
    frames[10:] = [np.full((*SIDE, 3), 230, np.uint8)] * 10
    assert PLUGIN.describe(frames, rate=10)["cuts"] == 1


def test_a_long_video_is_read_in_runs(monkeypatch):
    monkeypatch.setattr(video, "MAX_FRAMES", 400)
    monkeypatch.setattr(video, "RUN", 100)
    frames = [frame for seed in range(24) for frame in scene(seed, 50)]
    figures = PLUGIN.describe(encode(frames, g="25"))
    assert figures["frames"] == 1200
    assert figures["duration_s"] == 48
    assert figures["cuts"] == pytest.approx(23, abs=9)


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_a_live_camera_that_looks_at_one_thing_is_not_frozen(noise):
    frames = scene(1, 60, noise=noise, pan=0)
    assert PLUGIN.describe(frames, rate=25)["frozen_share"] == 0
    assert PLUGIN.describe(encode(frames, crf="18"))["frozen_share"] < 0.2
    hangs = [*frames[:30], *[frames[30]] * 30]
    assert PLUGIN.describe(hangs, rate=25)["frozen_share"] == pytest.approx(0.5, abs=0.03)
    assert PLUGIN.describe(encode(hangs))["frozen_share"] > 0.3


def test_missing_and_irregular_frames_show():
    frames = scene(2, 60)
    assert PLUGIN.describe(encode(frames))["dropped_share"] == 0
    late = [place + (6 if place >= 30 else 0) for place in range(60)]
    assert PLUGIN.describe(encode(frames, times=late))["dropped_share"] == pytest.approx(6 / 65, rel=1e-3)
    assert PLUGIN.describe(encode(frames))["jitter"] == pytest.approx(0, abs=1e-3)
    uneven = [10 * place + (3 if place % 2 else 0) for place in range(60)]
    assert PLUGIN.describe(encode(frames, fps=250, times=uneven))["jitter"] > 0.2
    assert PLUGIN.describe(frames, rate=25)["dropped_share"] is None


@pytest.mark.parametrize(
    ("codec", "form", "pixels", "name"),
    [
        ("libx264", "mp4", "yuv420p", "h264"),
        ("libx264", "matroska", "yuv444p", "h264"),
        ("libx264", "mpegts", "yuv420p", "h264"),
        ("mpeg4", "avi", "yuv420p", "mpeg4"),
        ("mjpeg", "avi", "yuvj420p", "mjpeg"),
        ("libvpx", "webm", "yuv420p", "vp8"),
        ("ffv1", "matroska", "bgr0", "ffv1"),
    ],
)
def test_containers_and_codecs(codec, form, pixels, name, tmp_path):
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg writes no {codec}")
    frames = scene(3, 30)
    data = encode(frames, codec=codec, form=form, pixels=pixels)
    figures, plain = PLUGIN.describe(data), PLUGIN.describe(frames, rate=25)
    assert (figures["codec"], figures["frames"], figures["fps"], figures["has_sound"]) == (name, 30, 25, "false")
    assert (figures["width"], figures["height"]) == (SIDE[1], SIDE[0])
    assert figures["bitrate"] == pytest.approx(8 * len(data) / 1.2, rel=1e-3)
    assert figures["brightness"] == pytest.approx(plain["brightness"], abs=0.02)
    assert (plain["codec"], plain["has_sound"], plain["bitrate"]) == (None, None, None)
    path = tmp_path / "clip"
    path.write_bytes(data)
    assert PLUGIN.describe(path) == PLUGIN.describe(str(path)) == figures


def test_the_sound_track_is_described_as_sound():
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    figures = PLUGIN.describe(encode(scene(4, 25), sound=tone))
    plain = SOUND.describe(tone, rate=16000)
    assert figures["has_sound"] == "true"
    assert figures["sound_level_dbfs"] == pytest.approx(plain["level_dbfs"], abs=0.6)
    assert figures["sound_pitch_hz"] == pytest.approx(440, rel=0.01)
    assert figures["sound_rate_hz"] == 16000
    assert PLUGIN.describe(scene(4, 5), rate=25)["sound_level_dbfs"] is None
    assert PLUGIN.version.endswith(SOUND.version)  # figures of another describer of sound are never compared


def code_of(value):
    with pytest.raises(DescribeError) as caught:
        PLUGIN.describe(value)
    return caught.value.code


def test_unusable_files(tmp_path):
    assert code_of(b"no video") == "decode_failed"
    assert code_of(b"") == "empty"
    assert code_of(encode(scene(5, 30), form="matroska")[:600]) in ("truncated", "decode_failed")
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{secret}\n#EXT-X-ENDLIST\n"
    assert code_of(playlist.encode()) == "decode_failed"
    assert code_of(f"ffconcat version 1.0\nfile {secret}\n".encode()) == "decode_failed"
    assert code_of(tmp_path / "none.mp4") == "not_found"


def test_a_damaged_file_is_described_from_what_is_left():
    data = bytearray(encode(scene(6, 60), form="mpegts", g="10"))
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    assert 20 < PLUGIN.describe(bytes(data))["frames"] <= 60
