"""The archive as a whole: the index of its records made again, and every file held against what is known of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

from auditor.core.loss import LostPart
from auditor.core.record import CaptureTally, EnergyReading, Record
from auditor.core.window import HOUR, floor_to, parse_time
from auditor.intake.archive import ParquetArchive
from auditor.intake.records import content_digest, to_struct
from auditor.ports import ArchivePart, IndexEntry, NumberedLabel, PartStore, Store

_MANY = 5000
_KEPT = ("path", "kind", "what", "rows")
TICK = timedelta(microseconds=1)


def reindex(archive: ParquetArchive, store: Store) -> tuple[int, int]:
    """Enter every record and file of the archive into an empty store; numbers of records and of repeated ones.

    Hours with records wait to be summarised, energy readings and tallies of the ledger are kept.
    """
    records = repeated = 0
    for model in archive.models():
        for day in archive.days(model):
            hours: set[datetime] = set()
            for path in archive.files(model, day):
                archive.kept.remember(path)
                for entries, times in _entries(archive, path, model, f"{day:%Y-%m-%d}"):
                    words = store.claim(entries)
                    records += len(entries)
                    repeated += len(entries) - list(words).count("new")
                    hours.update(floor_to(time, HOUR) for time in times)
            store.mark_dirty(model, sorted(hours) or [day])
    for path in archive.other_files():
        archive.kept.remember(path)
    for part in archive.ledger.parts():
        if not archive.kept.exists(part.path):
            store.put_part(part)
    _keep_unsettled(archive, store)
    for lost in archive.ledger.lost():
        model, day = lost["model"], lost["day"]
        for part in lost["parts"]:
            if part["file"] is not None:
                store.put_part(ArchivePart(*part["file"]))
        parts = [
            LostPart(model=model, day=day, found=parse_time(part["found"]), **{key: part[key] for key in _KEPT})
            for part in lost["parts"]
        ]
        entries = [IndexEntry(name, content, model, day, segment) for name, content, segment in lost["records"]]
        store.lose(parts, entries)
        if model:
            store.mark_dirty(model, [parse_time(day)])
    for number, (readings, tallies) in enumerate(archive.ledger.readings()):
        store.put_readings(f"ledger-{number}", readings, tallies)
        ended: dict[str, set[datetime]] = defaultdict(set)
        items: list[EnergyReading | CaptureTally] = [*readings, *tallies]
        for item in items:
            ended[item.model.name].add(floor_to(max(item.start, item.end - TICK), HOUR))
        for model, moments in ended.items():
            store.mark_dirty(model, sorted(moments))
    return records, repeated


def _keep_unsettled(archive: ParquetArchive, store: Store) -> None:
    """Put labels without a record into the store; one that found its model later is at rest twice."""
    unnamed: dict[int, NumberedLabel] = {}
    settled: set[int] = set()
    for labels in archive.labels():
        located = store.locate(sorted({one.label.id for one in labels}))
        settled.update(one.received for one in labels if one.label.model is not None)
        unnamed.update((one.received, one) for one in labels if one.label.model is None)
        named = [one for one in labels if one.label.model is not None]
        store.keep_unsettled([one for one in named if (one.label.model, one.label.id) not in located])
    store.keep_unsettled([one for number, one in unnamed.items() if number not in settled])


def verify(archive: ParquetArchive, store: PartStore, known: dict[str, int]) -> Iterator[str]:
    """One line for each difference between the archive's files and the store: altered, missing or unknown files.

    Parameters
    ----------
    known : dict of str to int
        By model, how many records the index has.
    """
    seen: set[str] = set()
    for model in archive.models():
        count = 0
        for day in archive.days(model):
            for path in archive.files(model, day):
                seen.add(path)
                found = archive.kept.inspect(path)
                if isinstance(found, str):
                    yield f"damaged: archive file {path}: {found}"
                else:
                    count += found
        if count > known.get(model, 0):
            yield f"store behind: the archive has {count} records of {model!r}, the store's index {known.get(model, 0)}"
        elif count < known.get(model, 0):
            yield f"lost: the archive has {count} records of {model!r}, the store's index {known[model]}"
    for path in archive.other_files():
        seen.add(path)
        found = archive.kept.inspect(path)
        if isinstance(found, str):
            yield f"damaged: archive file {path}: {found}"
    for path, why in sorted(archive.ledger.check().items()):
        yield f"damaged: ledger file {path}: {why}"
    for part in store.parts(""):
        if part.path not in seen:
            yield f"lost: archive file {part.path} is gone"
        elif archive.ledger.part(part.path) not in (part, None):
            yield f"damaged: the checksum beside archive file {part.path} is another one than the store's"


def _entries(
    archive: ParquetArchive, path: str, model: str, day: str
) -> Iterator[tuple[list[IndexEntry], list[datetime]]]:
    segment = path.rpartition("/part-")[2].removesuffix(".parquet")
    entries: list[IndexEntry] = []
    times: list[datetime] = []
    for record in archive.records(path):
        content = "" if _has_vectors(record) else content_digest(to_struct(record))
        entries.append(IndexEntry(record.id, content, model, day, segment))
        times.append(record.time)
        if len(entries) == _MANY:
            yield entries, times
            entries, times = [], []
    if entries:
        yield entries, times


def _has_vectors(record: Record) -> bool:
    """Whether it lies in the archive with less precision than it came with, so that its digest cannot be made again."""
    found = [*record.inputs, record.output]
    return any(getattr(part, name, None) is not None for part in found for name in ("embedding", "scores"))
