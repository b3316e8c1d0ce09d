"""What an archive holds, record by record."""

from auditor.core.record import Record
from auditor.intake.archive import ParquetArchive


def find(archive: ParquetArchive, record_id: str) -> Record | None:
    """The first record with that id."""
    paths = [path for model in archive.models() for day in archive.days(model) for path in archive.files(model, day)]
    return next((record for path in paths for record in archive.records(path) if record.id == record_id), None)
