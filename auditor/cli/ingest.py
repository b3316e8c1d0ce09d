"""`auditor ingest FILE` and `auditor label FILE`: records and labels from Parquet, CSV or JSON lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor.cli.common import add_common, note, print_json, settings_for
from auditor.core.errors import ConfigurationError
from auditor.core.identity import uuid7
from auditor.core.window import parse_time

if TYPE_CHECKING:
    from auditor.bootstrap import App
    from auditor.intake.files import FileReport
    from auditor.ports import Damage
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
    with _journal(settings) as (writer, app):
        damaged = _take_in(app)
        report = ingest(
            args.file,
            writer,
            mapping=args.mapping,
            descriptors=described,
            known=app.store.locate if app is not None else None,
            settle=lambda: damaged.extend(_take_in(app)),
            progress=_progress(args.file),
            times=settings.intake.bounds(datetime.now(UTC)),
        )
        damaged += _take_in(app)
    return _tell(args, report, damaged)


def run_label(args: argparse.Namespace) -> int:
    """Take in the file's labels; 1 when some were refused or something was damaged."""
    from auditor.intake.files import ingest_labels

    settings = settings_for(args)
    now = datetime.now(UTC)
    with _journal(settings) as (writer, app):
        report = ingest_labels(
            args.file,
            writer,
            now=args.time or now,
            progress=_progress(args.file),
            times=settings.intake.bounds(now),
        )
        damaged = _take_in(app)
    return _tell(args, report, damaged)


@contextmanager
def _journal(settings: Settings) -> Iterator[tuple[SegmentWriter, App | None]]:
    """A writer in the journal, and the home as its one writer; None when another process is: it takes the rows in."""
    from auditor.bootstrap import open_app
    from auditor.segments import SegmentWriter
    from auditor.settings import Home

    with ExitStack() as stack:
        app: App | None = None
        try:
            app = stack.enter_context(open_app(settings, figures_only=True))
        except ConfigurationError as error:
            if error.code != "writer_busy":
                raise
            note(f"{error.message}: it takes in what is journaled here, and settles duplicates then")
        writer = SegmentWriter(Home(settings.root).journal / f"ingest-{uuid7()}")
        stack.callback(writer.close)
        yield writer, app


def _take_in(app: App | None) -> list[Damage]:
    """Drain, so that the index knows what is in the journal."""
    return app.pipeline.take_in().damaged if app is not None else []


def _progress(file: Path) -> Callable[[int], None] | None:
    """A line on a terminal that counts rows."""
    if not sys.stderr.isatty():
        return None

    def show(rows: int) -> None:
        print(f"\r{file.name}: {rows} rows", end="", file=sys.stderr, flush=True)

    return show


def _tell(args: argparse.Namespace, report: FileReport, damaged: list[Damage]) -> int:
    if sys.stderr.isatty():
        print(file=sys.stderr)
    counts = {
        "accepted": report.accepted,
        "duplicates": report.duplicates,
        "refused": report.refused,
        "labels": report.labels,
    }
    if args.json:
        found = [{"what": item.what, "where": item.where, "lost": item.lost} for item in damaged]
        beside = str(report.refused_file) if report.refused_file else None
        print_json("ingest", {**counts, "refused_file": beside, "damaged": found})
    else:
        print(f"{args.file.name}: {', '.join(f'{count} {word}' for word, count in counts.items())}")
        if report.refused_file:
            note(f"refused rows, with reasons: {report.refused_file}")
    for item in damaged:
        note(f"damaged: {item.what}; {item.where}; set aside in quarantine, the rest was processed")
    return 1 if report.refused or damaged else 0
