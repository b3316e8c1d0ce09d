"""Alerts as JSON lines, appended to one file: the outbox that needs no network."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from auditor.core.errors import SinkError
from auditor.core.run import Audit


class JsonlSink:
    """One line for each alert that opened, was renewed or resolved: the contract's Alert with its `event`.

    Delivering an audit twice appends its lines twice; the pair of alert `id` and `renewed` (or `event`) tells copies apart.

    Parameters
    ----------
    path : Path
        The file; its folder is made when needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def deliver(self, audit: Audit, artifacts: Path) -> None:
        """Append the audit's alert changes, durably; SinkError when the file cannot be written."""
        lines = [json.dumps(event, ensure_ascii=False, allow_nan=False) for event in events(audit)]
        if not lines:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write("".join(line + "\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SinkError(
                "outbox_unwritable", f"alerts could not be appended: {error}", where=str(self.path), fix="free the file"
            ) from error


def events(audit: Audit) -> Iterator[dict[str, Any]]:
    """The audit's alert changes as JSON objects: opened, then renewed, then resolved."""
    for event in ("opened", "renewed", "resolved"):
        for alert in getattr(audit.alerts, event):
            yield {"schema": "auditor.alert/1", "event": event, **alert.as_json()}


class JsonlPlugin:
    """Factory: `PLUGIN.configure(path=...)`."""

    def configure(self, *, path: Path) -> JsonlSink:
        """A sink that appends to `path`."""
        return JsonlSink(path)


PLUGIN = JsonlPlugin()
