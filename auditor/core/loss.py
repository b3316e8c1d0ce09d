"""Records that the archive lost: what a damaged or missing file held, until it is restored or a person accepts the loss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from auditor.core.command import Command
from auditor.core.identity import uuid7
from auditor.core.window import DAY, Span, format_time, parse_time, to_us

ACCEPT = "loss.accept"
"""Kind of the command that puts a loss on record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LostPart:
    """A file of the archive that does not read or is gone.

    Attributes
    ----------
    path : str
        Below the archive.
    model : str
        Empty for a file of labels, which belongs to no single model.
    day : str
        UTC day of its records (of labels: of the labels), `2026-01-31`.
    kind : str
        `records`, `labels` or `withdrawn` (ids of superseded records).
    rows : int or None
        Rows it held, where that is known.
    """

    path: str
    model: str
    day: str
    kind: str
    what: str
    found: datetime
    rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What is lost of one model and day.

    Attributes
    ----------
    records : int or None
        Records (labels, ids) that are not in the archive; None: not known.
    found : datetime
        When the newest damage of that day was found.
    accepted : Command or None
        What put it on record; damage that is found later needs another one.
    """

    model: str
    span: Span
    kind: str
    files: tuple[str, ...]
    what: str
    found: datetime
    records: int | None
    accepted: Command | None = None

    @property
    def noun(self) -> str:
        return {"records": "records", "labels": "labels"}.get(self.kind, "ids of superseded records")

    def as_json(self) -> dict[str, Any]:
        """The contract's JSON."""
        said = self.accepted
        return {
            "model": self.model or None,
            "start": format_time(self.span.start),
            "end": format_time(self.span.end),
            "kind": self.kind,
            "records": self.records,
            "files": list(self.files),
            "what": self.what,
            "found": format_time(self.found),
            "accepted": said and {"by": said.by, "at": format_time(said.at), "reason": said.payload["reason"]},
        }


def losses_of(parts: Iterable[LostPart], counts: dict[tuple[str, str], int], accepted: Sequence[Command]) -> list[Loss]:
    """Losses by model, day and kind.

    Parameters
    ----------
    counts : dict of (model, day) to int
        Records whose lines the index lost; a day that is not there has only what its files say.
    accepted : sequence of Command
        Of kind `ACCEPT`, oldest first.
    """
    grouped: dict[tuple[str, str, str], list[LostPart]] = {}
    for part in parts:
        grouped.setdefault((part.model, part.day, part.kind), []).append(part)
    found = []
    for (model, day, kind), together in sorted(grouped.items()):
        start = parse_time(day)
        rows = [part.rows for part in together]
        known = counts.get((model, day)) if kind == "records" else None
        if known is None and None not in rows:
            known = sum(row or 0 for row in rows)
        loss = Loss(
            model=model,
            span=Span(start, start + DAY),
            kind=kind,
            files=tuple(sorted(part.path for part in together)),
            what="; ".join(sorted({part.what for part in together})),
            found=max(part.found for part in together),
            records=known,
        )
        found.append(_with_acceptance(loss, accepted))
    return found


def _with_acceptance(loss: Loss, accepted: Sequence[Command]) -> Loss:
    said = next((command for command in accepted if covers(command, loss) and command.at >= loss.found), None)
    return replace(loss, accepted=said)


def covers(command: Command, loss: Loss) -> bool:
    """Whether a command speaks of a loss: its model (any, of labels), and days inside its span, widened to whole days."""
    span = Span(parse_time(command.payload["since"]), parse_time(command.payload["until"])).widen(DAY)
    return loss.model in ("", command.payload["model"]) and span.covers(loss.span)


def accept_command(model: str, span: Span, *, by: str, reason: str, at: datetime) -> Command:
    """The command that puts a loss on record."""
    payload = {"model": model, "since": format_time(span.start), "until": format_time(span.end), "reason": reason}
    return Command(id=uuid7(to_us(at) // 1000), kind=ACCEPT, by=by, at=at, payload=payload)
