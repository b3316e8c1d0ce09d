"""What a person says goes to the journal first: who and when are on record before anything follows from it."""

from __future__ import annotations

from collections.abc import Sequence

from auditor.core.command import Command
from auditor.core.identity import canonical_json, uuid7
from auditor.segments import SegmentWriter
from auditor.settings import Home


def append_commands(home: Home, commands: Sequence[Command]) -> None:
    """Write the commands durably to the journal, all or none; the next drain hands them to the writer.

    Raises
    ------
    SegmentError
        The disk refused: none was recorded.
    """
    writer = SegmentWriter(home.journal / f"person-{uuid7()}")
    try:
        writer.append([("command", canonical_json(command.as_json())) for command in commands])
    finally:
        writer.close()
