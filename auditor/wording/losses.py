"""Records that the archive lost."""

from __future__ import annotations

from auditor.core.loss import Loss
from auditor.wording.times import day


def lost(loss: Loss) -> str:
    """What is lost, of which model and day, why, and who accepted it."""
    count = f"an unknown number of {loss.noun}" if loss.records is None else f"{loss.records:,} {loss.noun}"
    of = f" of {loss.model}" if loss.model else ""
    command = loss.accepted
    end = f" (accepted by {command.by} on {day(command.at)}: {command.payload['reason']})" if command else ""
    return f"lost: {count}{of}, {day(loss.span.start)}: {loss.what}{end}"
