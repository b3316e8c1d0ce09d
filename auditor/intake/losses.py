"""Damage lasts until it is mended: lost files are on record, their ids may come again, and what is restored counts again.

The index has the id of every record that was ever taken in. What it has of a day and the day's files do not have is
lost: those lines leave the index, so that a record that is delivered again is new. What is back in a file, whether the
file was restored or its records came again, is lost no more, and its hours are summarised again.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Protocol

from auditor.core.identity import slug
from auditor.core.loss import LostPart
from auditor.core.window import DAY, HOUR, Span, format_time, parse_time
from auditor.intake.archive import LABELS, RECORDS, ParquetArchive
from auditor.ports import Damage, IndexEntry, LossStore, PartStore, RecordIndex, StateStore

_PATH = re.compile(r"(records|withdrawn)/model=([^/]+)/day=([^/]+)/.+|(labels)/day=([^/]+)/.+")
_LABELLED = re.compile(r".+-(\d{8})-(\d{8})\.parquet")
GONE = "it is gone"


class LossesStore(LossStore, PartStore, RecordIndex, StateStore, Protocol):
    """The faces of the store that losses are kept with."""

    def days(self, model: str) -> set[datetime]: ...
    def model_names(self) -> Iterable[str]: ...


class Losses:
    """The losses of one archive, for the home's single writer."""

    def __init__(self, archive: ParquetArchive, store: LossesStore) -> None:
        self._archive = archive
        self._store = store

    def settle(self, now: datetime) -> list[Damage]:
        """Put new damage on record and take off what is restored; damage that concerns no known file is handed back."""
        elsewhere = self._lose(now)
        parts = self._store.lost_parts()
        by_day: dict[tuple[str, str], list[LostPart]] = defaultdict(list)
        for part in parts:
            if part.kind == RECORDS:
                by_day[part.model, part.day].append(part)
            elif self._restored(part):
                self._store.recover([part.path], [])
                self._changed(part)
                self._keep(part.model, part.day)
        for (model, day), together in by_day.items():
            self._heal(model, day, together)
        return elsewhere

    # -- what is new ---------------------------------------------------------------------------------------------------

    def _lose(self, now: datetime) -> list[Damage]:
        known = {part.path for part in self._store.lost_parts()}
        elsewhere = []
        why: dict[str, str] = {}
        for item in self._archive.damage():
            path = item.where if item.where in known or _PATH.fullmatch(item.where) else ""
            if path:
                why[path] = item.what
            else:
                elsewhere.append(item)
        missing = [
            path for path in {*self._archive.kept.missing(), *why} - known if not self._archive.kept.exists(path)
        ]
        fresh: dict[tuple[str, str], list[LostPart]] = defaultdict(list)
        for path in sorted(missing):
            part = self._part(path, why.get(path, ""), now)
            if part is not None:
                fresh[part.model, part.day].append(part)
        for (model, day), parts in fresh.items():
            gone: list[IndexEntry] = []
            if any(part.kind == RECORDS for part in parts):
                here = set(self._archive.ids(model, day))
                gone = [entry for entry in self._store.indexed(model, day) if entry.id not in here]
                if not here and parse_time(day) not in self._store.days(model):
                    self._store.mark_dirty(model, [parse_time(day)])  # a day of which nothing else is known
            self._store.lose(parts, gone)
            for part in parts:
                if part.kind != RECORDS:
                    self._changed(part)
            self._keep(model, day)
        return elsewhere

    def _part(self, path: str, what: str, now: datetime) -> LostPart | None:
        match = _PATH.fullmatch(path)
        if match is None:
            return None
        kind, folder, day = (match[1], match[2], match[3]) if match[1] else (LABELS, "", match[5])
        names = {slug(name): name for name in self._store.model_names()}
        known = self._store.part(path)
        return LostPart(
            path=path,
            model=names.get(folder, folder),
            day=day,
            kind=kind,
            what=what or GONE,
            found=now,
            rows=known and known.rows,
        )

    # -- what is restored ----------------------------------------------------------------------------------------------

    def _restored(self, part: LostPart) -> bool:
        """Whether the file is whole at its place; one that was merged with others has no checksum of its own any more."""
        if self._archive.kept.exists(part.path):
            return not isinstance(self._archive.kept.inspect(part.path), str)
        return part.kind == RECORDS and self._store.part(part.path) is None

    def _heal(self, model: str, day: str, parts: list[LostPart]) -> None:
        lost = self._store.lost_records(model, day)
        here = Counter(self._archive.ids(model, day))
        again = {name for of, name in self._store.locate([entry.id for entry in lost]) if of == model}
        healed = [entry for entry in lost if entry.id in here or entry.id in again]
        whole = bool(lost) and len(healed) == len(lost)
        paths = [part.path for part in parts if whole or self._restored(part)]
        if not healed and not paths:
            return
        if any(count > 1 for count in here.values()):  # restored, and delivered again
            self._archive.compact(model, day)
        self._store.recover(paths, healed)
        for path in paths:
            if not self._archive.kept.exists(path):
                self._archive.kept.forget(path)
        if any(entry.id in here and entry.id not in again for entry in healed) or (paths and not lost):
            self._store.mark_dirty(model, _hours(day, day))
        self._keep(model, day)

    def _changed(self, part: LostPart) -> None:
        """Hours that a file of labels or ids concerns are summarised again."""
        if part.kind != LABELS:
            self._store.mark_dirty(part.model, _hours(part.day, part.day))
            return
        match = _LABELLED.fullmatch(part.path)
        span = match and Span(_moment(match[1]), _moment(match[2]) + DAY)
        for model in self._store.model_names():
            for day in self._store.days(model):
                if span is None or span.start <= day < span.end:
                    self._store.mark_dirty(model, _hours(f"{day:%Y-%m-%d}", f"{day:%Y-%m-%d}"))

    def _keep(self, model: str, day: str) -> None:
        """A day's losses beside the archive, as the store has them; a rebuilt store has them too."""
        parts = [part for part in self._store.lost_parts() if (part.model, part.day) == (model, day)]
        kept = [
            {
                "path": part.path,
                "kind": part.kind,
                "what": part.what,
                "found": format_time(part.found),
                "rows": part.rows,
                "file": None if (known := self._store.part(part.path)) is None else list(known),
            }
            for part in parts
        ]
        entries = self._store.lost_records(model, day)
        self._archive.ledger.keep_lost(model, day, kept, [[e.id, e.digest, e.segment] for e in entries])


def _hours(first: str, last: str) -> list[datetime]:
    return [tile.start for tile in Span(parse_time(first), parse_time(last) + timedelta(days=1)).tiles(HOUR)]


def _moment(day: str) -> datetime:
    return parse_time(f"{day[:4]}-{day[4:6]}-{day[6:]}")
