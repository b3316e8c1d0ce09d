"""Pinning a baseline: the rows of a span -> a frame fitted on them and the state that windows are compared with."""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from datetime import datetime, timedelta

from auditor.audit.slices import with_slices
from auditor.audit.summarise import fit_frame
from auditor.audit.windows import Pinned, Windows
from auditor.core.command import Command
from auditor.core.errors import ConfigurationError
from auditor.core.frame import EDITION
from auditor.core.identity import digest, uuid7
from auditor.core.window import HOUR, Baseline, Span, check_kind, format_time, to_us
from auditor.ports import Archive


def freeze(
    archive: Archive,
    windows: Windows,
    model: str,
    span: Span,
    command: Command,
    kind: str,
    slices: Sequence[str],
    step: timedelta,
) -> Pinned:
    """The baseline that a command asks for, with its frame and merged state; `span` is widened to whole hours.

    Parameters
    ----------
    slices : sequence of str
        Declared features whose groups are compared by themselves.
    step : timedelta
        Length of the audited windows, over which each column's spread is measured.

    Raises
    ------
    ConfigurationError
        `no_records`, `bad_kind` or `short_season`.
    """
    wide = span.widen(HOUR)
    check_kind(kind, wide)
    rows = archive.read(model, wide)
    if rows.n == 0:
        known = ", ".join(archive.models()) or "none yet"
        raise ConfigurationError(
            "no_records", f"no record of {model!r} in {wide}", where="baseline", fix=f"models with records: {known}"
        )
    frame = fit_frame(rows, span=wide, step=step, seasonal=kind == "seasonal")
    frame = with_slices(frame, rows, slices)
    windows.update(model, wide, frame, everything=True)
    state = windows.state(model, wide, frame)
    named = [model, format_time(wide.start), format_time(wide.end), frame.digest, format_time(command.at)]
    baseline = Baseline(
        id=digest([*named, *([] if kind == "fixed" else [kind])])[:32],
        model=model,
        span=wide,
        frame=frame.digest,
        n=state.n,
        versions=tuple(sorted(set(rows.version.tolist()))),
        by=command.by,
        at=command.at,
        kind=kind,
        describers=tuple(sorted(frame.describers.items())),
    )
    return baseline, frame, state


def again(pinned: Pinned | None, archive: Archive, step: timedelta) -> Command | None:
    """The command that fits an outdated baseline again; None when it is up to date, or the archive lost records of it.

    In the second case figures that need the baseline have the reason `baseline_outdated`.
    """
    if pinned is None:
        return None
    old, frame, _ = pinned
    if (frame.edition == EDITION and frame.step == step) or archive.read(old.model, old.span).n < old.n:
        return None
    return pin_command(old.model, old.span, by=old.by, at=old.at, kind=old.kind)


def pin_command(model: str, span: Span, *, by: str, at: datetime, kind: str = "fixed") -> Command:
    """The command that pins a baseline."""
    payload = {"model": model, "since": format_time(span.start), "until": format_time(span.end), "kind": kind}
    return Command(id=uuid7(to_us(at) // 1000), kind="baseline.pin", by=by, at=at, payload=payload)


def who() -> str:
    """The name a command is recorded under when none is given."""
    return os.environ.get("AUDITOR_USER") or getpass.getuser()
