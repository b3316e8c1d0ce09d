"""What a home has at rest of its agents' calls, once its spool is taken in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from auditor.core.window import Span
from auditor.intake.archive import ParquetArchive
from auditor.intake.drain import HomeIntake
from auditor.settings import Home, read_settings
from auditor.store.sql import SqlStore


class Counted(NamedTuple):
    """Calls that tallies declare as seen, records in the archive, and declared losses by reason."""

    seen: int
    archived: int
    lost: dict[str, int]

    @property
    def holds(self) -> bool:
        """The identity: every call is at rest, or declared lost."""
        return self.seen == self.archived + sum(self.lost.values())


@contextmanager
def intake(root: Path) -> Iterator[tuple[SqlStore, ParquetArchive, HomeIntake]]:
    """Store, archive and intake of a home that nobody else writes to."""
    home = Home(root)
    home.store.parent.mkdir(parents=True, exist_ok=True)
    store = SqlStore(read_settings(root).store_url)
    try:
        archive = ParquetArchive(home.archive, home.quarantine, checksums=store)
        yield store, archive, HomeIntake(home, archive, store)
    finally:
        store.close()


def counted(root: Path, model: str = "m") -> Counted:
    """Take the spool in and count."""
    now = datetime.now(UTC)
    span = Span(now - timedelta(days=2), now + timedelta(days=2))
    with intake(root) as (store, archive, drain):
        drain.drain()
        _, tallies = store.readings(model, span)
        archived = len(archive.read(model, span).ids) if model in archive.models() else 0
    lost: Counter[str] = Counter()
    for tally in tallies:
        lost.update(tally.dropped)
    return Counted(sum(tally.seen for tally in tallies), archived, dict(lost))
