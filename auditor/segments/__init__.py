"""Segments: the one durable format that agents' spools and the intake's journal share. Standard library only.

A segment is a file of checksummed frames. A writer appends and fsyncs before it returns; a reader gives back every
frame that is whole, says what is damaged, and needs no other file to do so.

>>> import tempfile
>>> from pathlib import Path
>>> folder = Path(tempfile.mkdtemp())
>>> writer = SegmentWriter(folder)
>>> writer.append([("record", b"{}"), ("label", b"{}")])
>>> path = writer.seal()
>>> [frame.kind for frame in read_segment(path).frames]
['record', 'label']
>>> writer.close()
"""

from auditor.segments.adopt import adoptable, retire, writer_alive
from auditor.segments.format import (
    KINDS,
    MAX_PAYLOAD,
    OPEN,
    POISONED,
    SEALED,
    Frame,
    Segment,
    encode_frame,
    read_segment,
)
from auditor.segments.seen import SEEN, SeenCounts, Sent, keep_sent, page_alive, read_seen
from auditor.segments.writer import SegmentWriter, fsync_folder

__all__ = [
    "KINDS",
    "MAX_PAYLOAD",
    "OPEN",
    "POISONED",
    "SEALED",
    "SEEN",
    "Frame",
    "SeenCounts",
    "Segment",
    "SegmentWriter",
    "Sent",
    "adoptable",
    "encode_frame",
    "fsync_folder",
    "keep_sent",
    "page_alive",
    "read_seen",
    "read_segment",
    "retire",
    "writer_alive",
]
