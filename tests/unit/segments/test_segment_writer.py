"""The writer: durable on return, poisoned once, safe across forks, adopted only when nobody writes."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from auditor.core.errors import SegmentError
from auditor.segments import SegmentWriter, adoptable, read_segment, retire, writer_alive
from auditor.segments.seen import SeenPage


def frames(*texts):
    return [("record", text.encode()) for text in texts]


def payloads(path):
    return [frame.payload.decode() for frame in read_segment(path).frames]


def test_what_is_appended_comes_back_in_order(tmp_path):
    writer = SegmentWriter(tmp_path / "s")
    writer.append([("record", b"a"), ("label", b"b"), ("energy", b""), ("tally", b"d"), ("command", b"e" * 100_000)])
    writer.append([])
    path = writer.seal()
    writer.close()
    segment = read_segment(path)
    assert [(f.kind, len(f.payload)) for f in segment.frames] == [
        ("record", 1),
        ("label", 1),
        ("energy", 0),
        ("tally", 1),
        ("command", 100_000),
    ]
    assert segment.damage == ()
    assert not segment.torn
    assert path.suffix == ".seg"


def test_nothing_exists_before_the_first_frame_and_closing_twice_is_harmless(tmp_path):
    writer = SegmentWriter(tmp_path / "s")
    assert writer.seal() is None
    writer.close()
    writer.close()
    assert not (tmp_path / "s").exists()


def test_a_full_segment_is_sealed_by_itself(tmp_path):
    writer = SegmentWriter(tmp_path, max_bytes=100)
    for index in range(5):
        writer.append(frames(f"{index}" * 90))
    assert len(list(tmp_path.glob("*.seg"))) == 5
    assert [payloads(path)[0][0] for path in adoptable(tmp_path)] == list("01234")


def test_an_open_segment_of_a_live_writer_is_left_alone(tmp_path):
    writer = SegmentWriter(tmp_path)
    writer.append(frames("a"))
    assert writer_alive(tmp_path)
    assert adoptable(tmp_path) == []
    path = writer.seal()
    assert adoptable(tmp_path) == [path]
    writer.close()
    assert not writer_alive(tmp_path)
    assert not retire(tmp_path), "a segment is still in it"
    path.unlink()
    assert retire(tmp_path)
    assert not tmp_path.exists()
    writer.append(frames("b"))  # the writer makes its folder again
    assert writer_alive(tmp_path)
    writer.close()


def test_a_folder_has_one_writer(tmp_path):
    first = SegmentWriter(tmp_path)
    first.append(frames("a"))
    with pytest.raises(SegmentError) as caught:
        SegmentWriter(tmp_path).append(frames("b"))
    assert caught.value.code == "folder_busy"
    first.close()


def test_unknown_kinds_and_giant_payloads_are_refused_before_anything_is_written(tmp_path, monkeypatch):
    writer = SegmentWriter(tmp_path / "s")
    with pytest.raises(SegmentError) as caught:
        writer.append([("record", b"a"), ("gossip", b"b")])
    assert caught.value.code == "unknown_kind"
    monkeypatch.setattr("auditor.segments.format.MAX_PAYLOAD", 10)
    with pytest.raises(SegmentError) as caught:
        writer.append([("record", b"a" * 11)])
    assert caught.value.code == "frame_too_large"
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("k", range(1, 9))
def test_a_failed_fsync_is_never_retried_and_loses_only_what_was_not_acknowledged(tmp_path, monkeypatch, k):
    """D5: the k-th fsync fails."""
    real, calls, failed_on = os.fsync, 0, []

    def fsync(fd):
        nonlocal calls
        calls += 1
        name = Path(f"/proc/self/fd/{fd}").readlink()
        assert name not in failed_on or name.is_dir(), "an fsync was retried"
        if calls == k:
            failed_on.append(name)
            raise OSError(5, "Input/output error")
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    folder = tmp_path / "s"
    folder.mkdir()
    writer = SegmentWriter(folder)
    acknowledged, codes = [], []
    for index in range(6):
        try:
            writer.append(frames(f"r{index}"))
            acknowledged.append(f"r{index}")
        except SegmentError as error:
            codes.append(error.code)
    try:
        writer.seal()
    except SegmentError as error:
        codes.append(error.code)
    writer.close()
    assert failed_on
    assert codes == ["segment_poisoned"]
    found = [read_segment(path) for path in adoptable(folder)]
    assert [f.payload.decode() for segment in found for f in segment.frames] == acknowledged
    assert not any(segment.damage for segment in found)


def test_nothing_returns_before_it_is_on_disk(tmp_path, monkeypatch):
    """D3: of the calls on a segment the last one before each return is its fsync; its folder was fsynced before."""
    calls = []
    for name in ("write", "fsync"):
        real = getattr(os, name)

        def call(fd, *rest, real=real, name=name):
            calls.append((name, Path(f"/proc/self/fd/{fd}").readlink().suffix))
            return real(fd, *rest)

        monkeypatch.setattr(os, name, call)
    tmp_path.joinpath("lock").touch()
    writer = SegmentWriter(tmp_path)
    writer.append(frames("a"))
    assert calls == [("fsync", ""), ("write", ".open"), ("fsync", ".open")]
    writer.append(frames("b"))
    assert calls[3:] == [("write", ".open"), ("fsync", ".open")]
    writer.seal()
    assert calls[5:] == [("write", ".open"), ("fsync", ".open"), ("fsync", "")]
    writer.close()


def test_a_write_that_is_cut_short_poisons(tmp_path, monkeypatch):
    writer = SegmentWriter(tmp_path)
    writer.append(frames("kept"))
    real = os.write
    calls = []

    def write(fd, data):
        calls.append(fd)
        if len(calls) == 1:
            return real(fd, bytes(data)[:7])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(SegmentError) as caught:
        writer.append(frames("lost"))
    assert caught.value.code == "segment_poisoned"
    assert "No space" in caught.value.message
    monkeypatch.undo()
    writer.append(frames("next"))
    writer.close()
    assert [payloads(path) for path in adoptable(tmp_path)] == [["kept"], ["next"]]


def test_a_full_disk_leaves_no_litter_of_empty_segments(tmp_path, monkeypatch):
    writer = SegmentWriter(tmp_path)

    def full(fd, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    for _ in range(3):
        with pytest.raises(SegmentError):
            writer.append(frames("a"))
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_forked_child_cannot_write_and_does_not_keep_the_lock(tmp_path):
    writer = SegmentWriter(tmp_path)
    writer.append(frames("a"))
    ready, done = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            writer.append(frames("child"))
        except SegmentError as error:
            code = 0 if error.code == "segment_forked" else 2
        writer.close()
        os.write(ready[1], bytes([code]))
        os.read(done[0], 1)
        os._exit(0)
    assert os.read(ready[0], 1) == b"\0"
    writer.close()
    assert not writer_alive(tmp_path), "the child, still alive, must not hold the folder"
    os.write(done[1], b"x")
    os.waitpid(pid, 0)
    assert [payloads(path) for path in adoptable(tmp_path)] == [["a"]]


def test_a_killed_writer_leaves_its_acknowledged_frames(tmp_path):
    code = (
        "import sys; from pathlib import Path; from auditor.segments import SegmentWriter\n"
        "w = SegmentWriter(Path(sys.argv[1]))\n"
        "i = 0\n"
        "while True:\n"
        "    w.append([('record', str(i).encode())]); print(i, flush=True); i += 1\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    last = 0
    while last < 20:
        last = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split()
    process.wait()
    process.stdout.close()
    acknowledged = int(rest[-1]) if rest else last
    (path,) = adoptable(tmp_path)
    found = [int(text) for text in payloads(path)]
    assert found == list(range(len(found)))
    assert len(found) > acknowledged
    assert not read_segment(path).damage


def test_threads_share_a_writer(tmp_path):
    writer = SegmentWriter(tmp_path, max_bytes=2000)
    threads = [
        threading.Thread(target=lambda t=t: [writer.append(frames(f"{t}-{i}")) for i in range(20)]) for t in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    found = [text for path in adoptable(tmp_path) for text in payloads(path)]
    assert sorted(found) == sorted(f"{t}-{i}" for t in range(5) for i in range(20))


def test_asking_whether_the_writer_lives_does_not_disturb_a_new_writer(tmp_path):
    tmp_path.joinpath("lock").touch()
    stop = time.monotonic() + 0.3

    def ask():
        while time.monotonic() < stop:
            writer_alive(tmp_path)

    thread = threading.Thread(target=ask)
    thread.start()
    while time.monotonic() < stop:
        writer = SegmentWriter(tmp_path)
        writer.append(frames("a"))
        writer.close()
    thread.join()


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_spool_with_the_setgid_bit_is_open_to_its_group_and_any_other_to_its_owner_alone(tmp_path, umask):
    before = os.umask(umask)
    try:
        for name, bit in (("own", 0), ("shared", stat.S_ISGID)):
            spool = tmp_path / name
            spool.mkdir()
            spool.chmod(0o700 | (0o070 if bit else 0) | bit)
            writer = SegmentWriter(spool / "session")
            writer.append([("record", b"{}")])
            path = writer.seal()
            page = SeenPage(spool / "session", {"model": {"name": "m"}, "session": "s"}, 0, 1)
            modes = {stat.S_IMODE(entry.stat().st_mode) for entry in (path, page.path, spool / "session" / "lock")}
            assert modes == {0o660 if bit else 0o600}
            assert bool((spool / "session").stat().st_mode & 0o020) == bool(bit)
            page.close(remove=True)
            writer.close()
    finally:
        os.umask(before)
