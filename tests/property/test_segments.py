"""Whatever is written comes back; whatever is damaged is skipped, said, and costs only itself."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.segments import KINDS, SegmentWriter, adoptable, encode_frame, read_segment

frames = st.lists(st.tuples(st.sampled_from(KINDS), st.binary(max_size=60)), min_size=1, max_size=8)


@given(st.lists(frames, min_size=1, max_size=5), st.integers(20, 400))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_round_trip_whatever_the_batches_and_the_size_of_segments(batches, size):
    with tempfile.TemporaryDirectory() as folder:
        writer = SegmentWriter(Path(folder), max_bytes=size)
        for batch in batches:
            writer.append(batch)
        writer.close()
        read = [read_segment(path) for path in adoptable(Path(folder))]
        assert [(f.kind, f.payload) for segment in read for f in segment.frames] == [f for b in batches for f in b]
        assert not any(segment.damage or segment.torn for segment in read)


@given(frames, st.data())
@settings(max_examples=150, derandomize=True, deadline=None)
def test_a_damaged_stretch_costs_the_frames_it_touches_and_no_other(batch, data):
    encoded = [encode_frame(kind, payload) for kind, payload in batch]
    whole = b"".join(encoded)
    start = data.draw(st.integers(0, len(whole) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=min(40, len(whole) - start)))
    if whole[start : start + len(noise)] == noise:
        return
    changed = whole[:start] + noise + whole[start + len(noise) :]
    touched, at = set(), 0
    for index, frame in enumerate(encoded):
        if changed[at : at + len(frame)] != frame:
            touched.add(index)
        at += len(frame)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "1.open"
        path.write_bytes(changed)
        read = read_segment(path)
    assert [(f.kind, f.payload) for f in read.frames] == [b for i, b in enumerate(batch) if i not in touched]
    assert read.damage or read.torn


@given(st.binary(max_size=300))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_any_bytes_are_read_without_failing(noise):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "1.seg"
        path.write_bytes(noise)
        read = read_segment(path)
    assert read.damage or not noise or read.frames
