"""Alerts as JSON lines, appended to one file: the outbox that needs no network."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from auditor.core.errors import SinkError
from auditor.core.private import make_folder, open_file
from auditor.core.run import Audit
from auditor.ports import Option

LOOK_BACK = 1 << 20
"""Bytes at the end of the file in which an event that was written before is looked for."""


class JsonlSink:
    """One line for each alert that opened, was renewed or resolved: the contract's Alert with its `event`.

    An audit that is delivered again adds nothing; a line that a crash cut short is closed, not joined with the next one.

    Parameters
    ----------
    path : Path
        The file; its folder is made when needed.
    """

    events = ("opened", "renewed", "resolved")

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def deliver(self, audit: Audit, artifacts: Path) -> None:
        """Append the audit's alert changes, durably; SinkError when the file cannot be written."""
        lines = [json.dumps(event, ensure_ascii=False, allow_nan=False).encode() for event in events(audit)]
        if not lines:
            return
        try:
            make_folder(self.path.parent)
            with open_file(self.path, "a+b") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(size - LOOK_BACK, 0))
                tail = file.read()
                written = set(tail.split(b"\n"))
                torn = b"\n" if tail and not tail.endswith(b"\n") else b""
                new = b"".join(line + b"\n" for line in lines if line not in written)
                if new:
                    file.write(torn + new)
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise SinkError(
                "outbox_unwritable", f"alerts could not be appended: {error}", where=str(self.path), fix="free the file"
            ) from error


def events(audit: Audit) -> Iterator[dict[str, Any]]:
    """The audit's alert changes as JSON objects: opened, then renewed, then resolved."""
    for event, alert in audit.alerts.events():
        yield {"schema": "auditor.alert/1", "event": event, **alert.as_json()}


class JsonlPlugin:
    """Factory: `PLUGIN.configure(path=...)`."""

    options = (Option("path", "File that alerts are appended to.", "{home}/alerts.jsonl"),)

    def configure(self, *, path: str | Path) -> JsonlSink:
        """A sink that appends to `path`."""
        return JsonlSink(Path(path))


PLUGIN = JsonlPlugin()
