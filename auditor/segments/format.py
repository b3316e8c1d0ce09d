"""The bytes of a segment: frames with a magic, a kind, a length and a checksum; and reading around damage.

A frame is `magic(4) kind(1) length(4, little-endian) crc32(4) payload(length)`; the checksum covers kind, length and
payload. The magic begins with a byte that UTF-8 never uses, so that a JSON payload cannot look like a frame. A sealed
segment ends with a `seal` frame that carries the number of frames before it: what was lost can be counted exactly.
There is no other metadata: whatever is known about a segment is in its frames.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from auditor.core.errors import SegmentError
from auditor.ports import Damage

MAGIC = b"\xff\xa7SG"
_HEAD = struct.Struct("<4sBII")
_COVERED = struct.Struct("<BI")
_COUNT = struct.Struct("<I")
HEAD_SIZE = _HEAD.size
MAX_PAYLOAD = 64 << 20
"""Largest payload of one frame, bytes."""

KINDS = ("record", "label", "energy", "tally", "command", "packed", "records", "packed-records", "withdrawal")
"""`records` is a whole body of them, as the service got it. `packed` and `packed-records` are MessagePack; every other
kind is JSON."""
_CODE = {kind: code for code, kind in enumerate(KINDS, 1)}
_KIND = {code: kind for kind, code in _CODE.items()}
_SEAL = 0x7F
_NONE = (0, 0, b"")
_SEAL_SIZE = HEAD_SIZE + _COUNT.size

SEALED = ".seg"
OPEN = ".open"
POISONED = ".poisoned"


class Frame(NamedTuple):
    """One whole frame: its kind, its payload and where in the file it begins.

    A kind that this version does not know is `unknown-<code>`: kept, so that a newer writer loses nothing.
    """

    kind: str
    payload: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class Segment:
    """What could be read of one segment.

    Attributes
    ----------
    frames : tuple of Frame
        Every frame whose checksum holds, in order.
    damage : tuple of Damage
        What does not hold; `where` is `file:offset`, `lost` the frames it cost (0: none, or unknowable).
    torn : bool
        The writer died, or failed, in the middle of its last frame, which it had acknowledged to nobody.
    tail : bytes
        The torn bytes.
    """

    path: Path
    frames: tuple[Frame, ...]
    damage: tuple[Damage, ...] = ()
    torn: bool = False
    tail: bytes = b""


def encode_frame(kind: str, payload: bytes) -> bytes:
    """The bytes of one frame; SegmentError for an unknown kind or a payload beyond `MAX_PAYLOAD`."""
    code = _CODE.get(kind)
    if code is None:
        raise SegmentError("unknown_kind", f"{kind!r} is not a kind of frame", fix=f"one of {', '.join(KINDS)}")
    if len(payload) > MAX_PAYLOAD:
        raise SegmentError(
            "frame_too_large",
            f"a {kind} of {len(payload)} bytes does not fit a frame",
            fix=f"keep it below {MAX_PAYLOAD} bytes",
        )
    return _pack(code, payload)


def encode_seal(frames: int) -> bytes:
    """The last frame of a sealed segment."""
    return _pack(_SEAL, _COUNT.pack(frames))


def _pack(code: int, payload: bytes) -> bytes:
    crc = zlib.crc32(payload, zlib.crc32(_COVERED.pack(code, len(payload))))
    return _HEAD.pack(MAGIC, code, len(payload), crc) + payload


def read_segment(path: Path) -> Segment:
    """Every whole frame of a segment, and what is damaged.

    A damaged stretch is skipped up to the next whole frame. An incomplete last frame of a segment that was never
    sealed is `torn`; in a sealed one it is damage, because a seal is written after everything else is durable.
    """
    data = path.read_bytes()
    frames: list[Frame] = []
    holes: list[tuple[int, int]] = []
    expected: int | None = None
    at = 0
    while at < len(data):
        at = _whole_run(data, at, frames)
        if at == len(data):
            break
        end, code, payload = _frame_at(data, at)
        if not end:
            end = _next_whole(data, at + 1)
            holes.append((at, end))
        elif code == _SEAL:
            expected = _COUNT.unpack(payload)[0] if len(payload) == _COUNT.size else None
        else:
            frames.append(Frame(_KIND.get(code) or f"unknown-{code}", payload, at))
        at = end
    sealed = path.suffix == SEALED
    tail = b""
    if not sealed and holes and holes[-1][1] == len(data) and _is_torn(data, holes[-1][0]):
        tail = data[holes.pop()[0] :]
    damage = _damage(path, data, holes, len(frames), expected, sealed)
    return Segment(path, tuple(frames), damage, torn=bool(tail), tail=tail)


def _whole_run(data: bytes, at: int, frames: list[Frame]) -> int:
    """Take the whole frames of known kinds from `at` on; where the first that is something else begins.

    What `_frame_at` does, for the usual case and without a call a frame: half the time of reading a segment.
    """
    unpack, crc32, kinds, take, size = _HEAD.unpack_from, zlib.crc32, _KIND, frames.append, len(data)
    while at + HEAD_SIZE <= size:
        magic, code, length, crc = unpack(data, at)
        start = at + HEAD_SIZE
        end = start + length
        if magic != MAGIC or end > size or code not in kinds:
            break
        payload = data[start:end]
        if crc32(payload, crc32(data[at + 4 : at + 9])) != crc:
            break
        take(Frame(kinds[code], payload, at))
        at = end
    return at


def _frame_at(data: bytes, at: int) -> tuple[int, int, bytes]:
    """End, code and payload of the whole frame that begins at `at`; end 0 when there is none."""
    start = at + HEAD_SIZE
    if start > len(data):
        return _NONE
    magic, code, length, crc = _HEAD.unpack_from(data, at)
    end = start + length
    if magic != MAGIC or end > len(data):
        return _NONE
    payload = data[start:end]
    # Magic (4 bytes), then what the checksum covers of the head (5).
    if zlib.crc32(payload, zlib.crc32(data[at + 4 : at + 9])) != crc:
        return _NONE
    return end, code, payload


def _next_whole(data: bytes, start: int) -> int:
    """Where the next whole frame begins; the end of the data when there is none."""
    at = data.find(MAGIC, start)
    while at >= 0:
        if _frame_at(data, at)[0]:
            return at
        at = data.find(MAGIC, at + 1)
    return len(data)


def _is_torn(data: bytes, at: int) -> bool:
    """Whether the rest from `at` looks like a write that was cut: an incomplete frame, or space never filled."""
    rest = data[at:]
    if not rest.strip(b"\0"):
        return True
    if len(rest) < HEAD_SIZE:
        return MAGIC.startswith(rest[:4]) or rest.startswith(MAGIC)
    magic, _, length, _ = _HEAD.unpack_from(rest)
    return bool(magic == MAGIC and HEAD_SIZE + length > len(rest)) or (
        magic == MAGIC and not rest[HEAD_SIZE:].strip(b"\0")
    )


def _damage(
    path: Path, data: bytes, holes: list[tuple[int, int]], found: int, expected: int | None, sealed: bool
) -> tuple[Damage, ...]:
    damage = []
    unknown = None if expected is None else max(expected - found, 0)
    for index, (start, end) in enumerate(holes):
        if end == len(data) and expected is None and sealed and end - start == _SEAL_SIZE:
            lost = 0  # the seal itself, and nothing else, has its size and place
        elif unknown is None:
            lost = max(data.count(MAGIC, start, end), 1)
        elif index == len(holes) - 1:
            lost = unknown
        else:
            lost = min(max(data.count(MAGIC, start, end), 1), unknown)
            unknown -= lost
        damage.append(Damage(f"{end - start} damaged bytes", f"{path.name}:{start}", lost))
    if not holes and unknown:
        damage.append(Damage("frames are missing", path.name, unknown))
    if sealed and expected is None and not any(end == len(data) for _, end in holes):
        damage.append(Damage("the end of a sealed segment is missing", f"{path.name}:{len(data)}", 0))
    return tuple(damage)
