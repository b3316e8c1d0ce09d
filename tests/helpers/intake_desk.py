"""A home with its archive, store and intake, and segments for it to take in."""

import json

from auditor.core.identity import canonical_json
from auditor.core.window import DAY, Span
from auditor.intake.archive import ParquetArchive
from auditor.intake.drain import HomeIntake
from auditor.segments import SegmentWriter
from auditor.testing import make_store
from auditor.testing.factories import MODEL, START

SPAN = Span(START, START + DAY)


def frame(kind, item):
    return kind, canonical_json(item.as_json())


def spool(home, session, *batches, close=True):
    """A session's segments, one for each batch of frames."""
    writer = SegmentWriter(home.spool / session)
    for batch in batches:
        writer.append(batch)
        writer.seal()
    if close:
        writer.close()
    return writer


class Desk:
    """A home with its archive, store and intake."""

    def __init__(self, home):
        self.home = home
        self.store = make_store()
        self.reopen()

    def reopen(self):
        self.archive = ParquetArchive(self.home.archive, self.home.quarantine)
        self.intake = HomeIntake(self.home, self.archive, self.store)

    def rows(self, span=SPAN, model=MODEL):
        return self.archive.read(model, span)

    def refused(self):
        return [
            json.loads(line)
            for file in sorted(self.home.quarantine.glob("*.refused.jsonl"))
            for line in file.read_text().splitlines()
        ]
