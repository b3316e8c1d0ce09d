"""Checksums of the archive's files: what tells whether a file is still what was written."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select

from auditor.ports import ArchivePart
from auditor.store.database import Database, put
from auditor.store.tables import archive_parts


class SqlParts:
    """ports.PartStore."""

    _database: Database

    def put_part(self, part: ArchivePart) -> None:
        """Keep a file's checksum, in place of what was known of that path."""
        with self._database.writing() as connection:
            put(connection, archive_parts, [part._asdict()])

    def forget_part(self, path: str) -> None:
        """The file is no more, or is about to be another one; harmless when nothing is known of it."""
        with self._database.writing() as connection:
            connection.execute(delete(archive_parts).where(archive_parts.c.path == path))

    def part(self, path: str) -> ArchivePart | None:
        known = archive_parts.c
        with self._database.reading() as connection:
            row = connection.execute(
                select(known.path, known.sha256, known.size, known.rows).where(known.path == path)
            ).first()
        return None if row is None else ArchivePart(*row)

    def parts(self, folder: str) -> Sequence[ArchivePart]:
        """Those below a folder (all: an empty text), by path."""
        known = archive_parts.c
        query = select(known.path, known.sha256, known.size, known.rows).order_by(known.path)
        if folder:
            query = query.where(known.path.startswith(f"{folder}/", autoescape=True))
        with self._database.reading() as connection:
            return [ArchivePart(*row) for row in connection.execute(query)]
