"""What a person says goes to the journal first: who and when are on record before anything follows from it."""

from __future__ import annotations

from auditor.core.command import Command
from auditor.core.identity import canonical_json, uuid7
from auditor.segments import SegmentWriter
from auditor.settings import Home


def append_command(home: Home, command: Command, *, session: str | None = None) -> None:
    """Write the command durably to the journal; the next drain hands it to the writer.

    Raises
    ------
    SegmentError
        The disk refused: the command was not recorded.
    """
    writer = SegmentWriter(home.journal / (session or f"person-{uuid7()}"))
    try:
        writer.append([("command", canonical_json(command.as_json()))])
    finally:
        writer.close()
