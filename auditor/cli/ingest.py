"""`auditor ingest FILE` and `auditor label FILE`: records and labels from Parquet, CSV or JSON lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor.cli.common import add_common, note, print_json, settings_for
from auditor.core.errors import ConfigurationError
from auditor.core.identity import uuid7
from auditor.core.window import parse_time
from auditor.ports import IntakeReport

if TYPE_CHECKING:
    from auditor.bootstrap import App
    from auditor.intake.files import FileReport
    from auditor.segments import SegmentWriter
    from auditor.settings import Settings


def register(commands: Any) -> None:
    """Add `ingest` and `label`."""
    records = commands.add_parser("ingest", help="take in records from a Parquet, CSV or JSON lines file")
    add_common(records)
    records.add_argument("file", metavar="FILE", type=Path)
    records.add_argument("--mapping", metavar="MAP.yaml", type=Path, help="which column is which field of a record")
    records.set_defaults(run=run_ingest)
    labels = commands.add_parser("label", help="take in ground truth: id,label[,time]")
    add_common(labels)
    labels.add_argument("file", metavar="FILE", type=Path)
    labels.add_argument(
        "--time", metavar="T", type=parse_time, help="when labels without a time were given; now, when absent"
    )
    labels.set_defaults(run=run_label)


def run_ingest(args: argparse.Namespace) -> int:
    """Take in the file's records; 1 when some were refused or something was damaged."""
    from auditor.bootstrap import descriptors
    from auditor.intake.files import ingest

    settings = settings_for(args)
    described = descriptors() if args.mapping else {}
    total = IntakeReport()
    with _journal(settings) as (writer, app):

        def settle() -> None:
            if app is not None:
                _add(total, app.pipeline.take_in())

        report = ingest(
            args.file,
            writer,
            mapping=args.mapping,
            descriptors=described,
            known=app.store.locate if app is not None else None,
            settle=settle,
            progress=_progress(args.file),
        )
        settle()
    return _tell(args, report, total)


def run_label(args: argparse.Namespace) -> int:
    """Take in the file's labels; 1 when some were refused or something was damaged."""
    from auditor.intake.files import ingest_labels

    total = IntakeReport()
    with _journal(settings_for(args)) as (writer, app):
        report = ingest_labels(args.file, writer, now=args.time or datetime.now(UTC), progress=_progress(args.file))
        if app is not None:
            _add(total, app.pipeline.take_in())
    return _tell(args, report, total)


@contextmanager
def _journal(settings: Settings) -> Iterator[tuple[SegmentWriter, App | None]]:
    """A writer in the journal, and the home as its one writer; None when another process is: it takes the rows in."""
    from auditor.bootstrap import open_app
    from auditor.segments import SegmentWriter
    from auditor.settings import Home

    writer = SegmentWriter(Home(settings.root).journal / f"ingest-{uuid7()}")
    opened = open_app(settings, figures_only=True)
    try:
        app = opened.__enter__()
    except ConfigurationError as error:
        if error.code != "writer_busy":
            raise
        note(f"{error.message}: it will take in what is journaled here, and settle duplicates then")
        try:
            yield writer, None
        finally:
            writer.close()
        return
    failure: tuple[Any, Any, Any] = (None, None, None)
    try:
        app.pipeline.take_in()  # what is in the journal already must be in the index, too
        yield writer, app
    except BaseException:
        failure = sys.exc_info()
        raise
    finally:
        writer.close()
        opened.__exit__(*failure)


def _add(total: IntakeReport, more: IntakeReport) -> None:
    total.duplicates += more.duplicates
    total.refused += more.refused
    total.damaged += more.damaged


def _progress(file: Path) -> Callable[[int], None] | None:
    """A line on a terminal that counts rows."""
    if not sys.stderr.isatty():
        return None

    def show(rows: int) -> None:
        print(f"\r{file.name}: {rows} rows", end="", file=sys.stderr, flush=True)

    return show


def _tell(args: argparse.Namespace, report: FileReport, settled: IntakeReport) -> int:
    if sys.stderr.isatty():
        print(file=sys.stderr)
    # What the drain found beyond the index that was asked row by row.
    accepted = report.accepted - settled.duplicates - settled.refused
    result = {
        "accepted": max(accepted, 0),
        "duplicates": report.duplicates + settled.duplicates,
        "refused": report.refused + settled.refused,
        "labels": report.labels,
        "refused_file": str(report.refused_file) if report.refused_file else None,
        "damaged": [{"what": item.what, "where": item.where, "lost": item.lost} for item in settled.damaged],
    }
    if args.json:
        print_json("ingest", result)
    else:
        counts = ", ".join(f"{result[word]} {word}" for word in ("accepted", "duplicates", "refused", "labels"))
        print(f"{args.file.name}: {counts}")
        if report.refused_file:
            note(f"refused rows, with reasons: {report.refused_file}")
    for item in settled.damaged:
        note(f"damaged: {item.what}; {item.where}; set aside in quarantine, the rest was processed")
    return 1 if result["refused"] or settled.damaged else 0
