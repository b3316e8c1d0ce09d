"""D7, exhaustively on a small segment: every bit flipped, every truncation, blocks zeroed, bytes put in and taken out."""

import pytest

from auditor.segments import SegmentWriter, encode_frame, read_segment
from auditor.segments.format import HEAD_SIZE, encode_seal

TEXTS = [b'{"id":"a"}', b"", b'{"id":"cc"}' * 3]


@pytest.fixture(params=[".seg", ".open"])
def segment(request, tmp_path):
    data = b"".join(encode_frame("record", text) for text in TEXTS)
    if request.param == ".seg":
        data += encode_seal(len(TEXTS))
    path = tmp_path / f"00000001-x{request.param}"
    path.write_bytes(data)
    return path, data


def bounds():
    at, found = 0, []
    for text in TEXTS:
        found.append((at, at + HEAD_SIZE + len(text)))
        at = found[-1][1]
    return found


def survivors(start, end):
    """Frames that a change of bytes [start, end) leaves whole."""
    return [text for (a, b), text in zip(bounds(), TEXTS, strict=True) if b <= start or a >= end]


def check(path, data, start, end):
    path.write_bytes(data)
    found = read_segment(path)
    kept = survivors(start, end)
    assert [frame.payload for frame in found.frames] == kept
    lost = len(TEXTS) - len(kept)
    accounted = sum(item.lost for item in found.damage) + found.torn
    assert accounted == lost, (start, found)
    assert found.damage or found.torn


def test_every_bit(segment):
    path, data = segment
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        check(path, bytes(changed), bit // 8, bit // 8 + 1)


def test_every_truncation(segment):
    path, data = segment
    for size in range(len(data)):
        path.write_bytes(data[:size])
        found = read_segment(path)
        kept = [text for (_, b), text in zip(bounds(), TEXTS, strict=True) if b <= size]
        assert [frame.payload for frame in found.frames] == kept
        boundary = size in {0, *(b for _, b in bounds())}
        if path.suffix == ".seg":
            assert found.damage, "a sealed segment without its end is damaged"
        else:
            assert found.damage == ()
            assert found.torn == (not boundary)


def test_zeroed_blocks(segment):
    path, data = segment
    for start in range(0, len(data), 8):
        end = min(start + 8, len(data))
        changed = data[:start] + bytes(end - start) + data[end:]
        if changed == data:
            continue
        path.write_bytes(changed)
        found = read_segment(path)
        kept = survivors(start, end)
        assert [frame.payload for frame in found.frames] == kept
        assert found.damage or found.torn


def test_bytes_put_in_or_taken_out_cost_one_frame(segment):
    path, data = segment
    for at in range(1, bounds()[-1][1] - 1):
        for changed in (data[:at] + b"\xff" + data[at:], data[:at] + data[at + 1 :]):
            path.write_bytes(changed)
            found = read_segment(path)
            assert len(found.frames) >= len(TEXTS) - 1
            assert {frame.payload for frame in found.frames} <= set(TEXTS)
            assert found.damage or found.torn


def test_an_empty_file_and_noise(tmp_path):
    path = tmp_path / "1.open"
    path.write_bytes(b"")
    assert read_segment(path).frames == ()
    path.write_bytes(b"\xff\xa7SG" * 1000)
    found = read_segment(path)
    assert found.frames == ()
    assert found.damage or found.torn


def test_space_that_was_never_filled_is_torn_not_damaged(tmp_path):
    path = tmp_path / "1.open"
    whole = encode_frame("record", b"a" * 50)
    path.write_bytes(whole + bytes(512))
    assert (len(read_segment(path).frames), read_segment(path).torn, read_segment(path).damage) == (1, True, ())
    path.write_bytes(whole + whole[:HEAD_SIZE] + bytes(50))
    assert (len(read_segment(path).frames), read_segment(path).torn, read_segment(path).damage) == (1, True, ())


def test_frames_cut_out_whole_are_missed_by_the_seal(tmp_path):
    writer = SegmentWriter(tmp_path)
    writer.append([("record", text) for text in TEXTS])
    path = writer.seal()
    writer.close()
    data = path.read_bytes()
    start, end = bounds()[1]
    path.write_bytes(data[:start] + data[end:])
    (damage,) = read_segment(path).damage
    assert damage.lost == 1


def test_a_kind_of_the_future_is_kept(tmp_path):
    from auditor.segments import format as layout

    path = tmp_path / "1.open"
    path.write_bytes(layout._pack(42, b"new") + encode_frame("label", b"x"))
    assert [(frame.kind, frame.payload) for frame in read_segment(path).frames] == [
        ("unknown-42", b"new"),
        ("label", b"x"),
    ]
