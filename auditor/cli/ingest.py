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
    labels = commands.add_parser("label", help="take in ground truth: id,label[,time][,model]")
    add_common(labels)
    labels.add_argument("file", metavar="FILE", type=Path)
    labels.add_argument("--model", metavar="M", help="the model whose records they label, where a row names none")
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
        taken = _Taken(app)
        report = ingest(
            args.file,
            writer,
            mapping=args.mapping,
            descriptors=described,
            known=app.store.locate if app is not None else None,
            settle=taken.more,
            progress=_progress(args.file),
            times=settings.intake.bounds(datetime.now(UTC)),
        )
        taken.more()
    return _tell(args, report, taken)


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
            model=args.model,
            progress=_progress(args.file),
            times=settings.intake.bounds(now),
        )
        taken = _Taken(app)
    return _tell(args, report, taken)


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


class _Taken:
    """Drains, so that the index has what is in the journal; sums of their reports."""

    def __init__(self, app: App | None) -> None:
        self.app = app
        self.damaged: list[Damage] = []
        self.unmatched = self.ambiguous = 0
        self.more()

    def more(self) -> None:
        """Drain again."""
        if self.app is not None:
            report = self.app.pipeline.take_in()
            self.damaged += report.damaged
            self.unmatched += report.unmatched
            self.ambiguous += report.ambiguous

    def labels(self) -> dict[str, int | None]:
        """Labels without a record, and those that fit several; None while another process is to settle them."""
        if self.app is None:
            return {"unmatched": None, "ambiguous": None}
        return {"unmatched": self.unmatched, "ambiguous": self.ambiguous}


def _progress(file: Path) -> Callable[[int], None] | None:
    """A line on a terminal that counts rows."""
    if not sys.stderr.isatty():
        return None

    def show(rows: int) -> None:
        print(f"\r{file.name}: {rows} rows", end="", file=sys.stderr, flush=True)

    return show


def _tell(args: argparse.Namespace, report: FileReport, taken: _Taken) -> int:
    if sys.stderr.isatty():
        print(file=sys.stderr)
    counts = {
        "accepted": report.accepted,
        "duplicates": report.duplicates,
        "refused": report.refused + taken.ambiguous,
        "labels": report.labels - taken.ambiguous,
        **(taken.labels() if report.labels else {}),
    }
    if args.json:
        found = [{"what": item.what, "where": item.where, "lost": item.lost} for item in taken.damaged]
        beside = str(report.refused_file) if report.refused_file else None
        print_json("ingest", {**counts, "refused_file": beside, "damaged": found})
    else:
        print(f"{args.file.name}: {', '.join(f'{n} {word}' for word, n in counts.items() if n is not None)}")
        if report.refused_file:
            note(f"refused rows, with reasons: {report.refused_file}")
    if report.labels and taken.unmatched:
        note(f"{taken.unmatched} labels match no record yet: they count once their records arrive")
    if taken.ambiguous:
        note(f"{taken.ambiguous} labels match records of several models and were refused: name one with --model")
    for item in taken.damaged:
        note(f"damaged: {item.what}; {item.where}; set aside in quarantine, the rest was processed")
    return 1 if report.refused or taken.ambiguous or taken.damaged else 0
