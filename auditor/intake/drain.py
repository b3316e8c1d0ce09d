"""Spool and journal -> archive, index and store: each step can be repeated, the segments go last."""

from __future__ import annotations

import gc
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Protocol

from auditor.core.errors import StoreError
from auditor.core.identity import digest
from auditor.core.refusals import refused_tallies
from auditor.core.window import DAY, HOUR, Span, floor_to, parse_time
from auditor.intake.archive import ParquetArchive
from auditor.intake.contents import Contents, Pile, Refused
from auditor.intake.journal import Batch, Journal, link_or_copy
from auditor.intake.places import write_file
from auditor.intake.sessions import ended_sessions, refused_calls, settle_session
from auditor.ports import IndexEntry, IntakeReport, NumberedLabel, RecordIndex, RecordKey, StateStore
from auditor.segments import Segment, read_segment, retire
from auditor.settings import Home, IntakeSettings

Hours = dict[str, set[datetime]]
Days = dict[str, set[datetime]]


class IntakeStore(RecordIndex, StateStore, Protocol):
    """The two faces of the store that intake writes to."""


class HomeIntake:
    """A home's intake, for its single writer.

    Parameters
    ----------
    home : Home
    archive : ParquetArchive
        Where records and labels go.
    store : RecordIndex and StateStore
        Where ids are claimed, readings and tallies kept, and hours marked.
    intake : IntakeSettings, optional
        Which times are taken in, by the moment at which a batch was made.
    """

    def __init__(
        self, home: Home, archive: ParquetArchive, store: IntakeStore, intake: IntakeSettings | None = None
    ) -> None:
        self._settings = intake or IntakeSettings()
        self._home = home
        self._archive = archive
        self._store = store
        self._journal = Journal(home)
        self._handed: list[Path] = []
        self._unmatched: set[int] = set()

    def drain(self) -> IntakeReport:
        """Take in every closed segment.

        Whatever interrupts it, calling it again loses nothing and counts nothing twice. Commands are handed over until
        `acknowledge` says that they were applied.

        Raises
        ------
        StoreError
            The store, or the disk (`intake_failed`), refused; everything not yet durable is still in the journal.
        """
        report = IntakeReport()
        self._unmatched = set()
        try:
            touched: Days = defaultdict(set)
            for batch in self._journal.batches():
                with _collector_paused():
                    self._take(batch, report, touched)
            for folder in ended_sessions(self._home.spool):
                report.damaged += settle_session(
                    folder, self._archive, self._store, self._home.quarantine, self._settings
                )
                retire(folder)
            self._settle_labels(report)
            self._tidy(touched)
            report.commands, self._handed = self._journal.pending_commands()
        except OSError as error:
            raise StoreError(
                "intake_failed",
                f"the disk refused: {error.strerror or error}",
                where=str(error.filename or self._home.root),
                fix="free or repair the disk and try again; nothing acknowledged is lost",
            ) from error
        return report

    def acknowledge(self) -> None:
        """The commands of the last drain were applied: forget them."""
        for file in self._handed:
            file.unlink(missing_ok=True)
        self._handed = []

    def _tidy(self, touched: Days) -> None:
        """Merge small files of the days that got records, and of the day before them: it is over."""
        for model, days in sorted(touched.items()):
            latest = max(days)
            for day in sorted(days | {latest - DAY}):
                self._archive.tidy(model, day.date().isoformat(), closed=day < latest)

    def _take(self, batch: Batch, report: IntakeReport, touched: Days) -> None:
        contents = self._read(batch)
        new = self._claim(batch, contents)
        self._archive.put([(pile.model, pile.table) for pile in new], batch.id)
        dirty: Hours = defaultdict(set)
        for pile in new:
            dirty[pile.model].update(pile.hours())
        for model, hours in dirty.items():
            touched[model].update(floor_to(hour, DAY) for hour in hours)
        report.labels += self._take_labels(batch, contents, report, dirty)
        self._withdraw(batch, contents, dirty)
        calls = refused_calls(contents.refused, self._settings.bounds(batch.at), batch.at)
        contents.tallies += refused_tallies(calls)
        if contents.readings or contents.tallies:
            self._archive.ledger.keep_readings(batch.id, batch.at, contents.readings, contents.tallies)
            self._store.put_readings(batch.id, contents.readings, contents.tallies)
            ends = [(item.model.name, item.start, item.end) for item in contents.readings]
            ends += [(item.model.name, item.start, item.end) for item in contents.tallies]
            for model, start, end in ends:  # they belong to the hour in which they end
                dirty[model].add(floor_to(max(start, end - timedelta(microseconds=1)), HOUR))
        for model, hours in sorted(dirty.items()):
            self._store.mark_dirty(model, sorted(hours))
        self._journal.keep_commands(batch, contents.commands)
        self._write_refused(batch.id, contents.refused)
        batch.retire()
        report.accepted += sum(len(pile.ids) for pile in new)
        report.duplicates += contents.duplicates
        report.refused += len(contents.refused)
        report.damaged += contents.damage

    def _read(self, batch: Batch) -> Contents:
        contents = Contents(self._settings.bounds(batch.at), batch.at)
        for path in batch.segments():
            segment = read_segment(path)
            self._keep_damage(segment)
            contents.add(segment)
        contents.close()
        return contents

    def _claim(self, batch: Batch, contents: Contents) -> list[Pile]:
        """The records that are new; duplicates are counted, and contradictions refused."""
        entries = [entry for pile in contents.piles for entry in pile.entries(batch.id)]
        answers = iter(self._store.claim(entries))
        found = []
        for pile in contents.piles:
            words = list(islice(answers, len(pile.ids)))
            new = words.count("new")
            if new < len(words):
                contents.duplicates += words.count("duplicate")
                for word, source in zip(words, pile.sources, strict=True):
                    if word == "conflict":
                        contents.refuse_conflict(source)
                pile = pile.only([word == "new" for word in words])
            if new:
                found.append(pile)
        return found

    def _take_labels(self, batch: Batch, contents: Contents, report: IntakeReport, dirty: Hours) -> int:
        """Keep the labels, and how many; the hours of the records that they label wait to be summarised again."""
        numbered = [NumberedLabel(batch.number + place, label) for place, label in enumerate(contents.labels)]
        if not numbered:
            return 0
        sorting = self._sort(numbered)
        self._archive.write_labels(sorting.kept, sorting.days, batch.id)
        self._store.keep_unsettled(sorting.unmatched)
        self._store.settle_labels(sorting.matched, sorting.ambiguous)
        self._unmatched.update(one.received for one in sorting.unmatched)
        for one in sorting.ambiguous:
            contents.refused.append(_ambiguous(one))
        report.ambiguous += len(sorting.ambiguous)
        here = contents.times(sorting.entries)
        for key in [key for key, entry in sorting.entries.items() if entry.segment == batch.id and key in here]:
            dirty[key[0]].add(floor_to(here[key], HOUR))
            del sorting.entries[key]
        self._mark(sorting.entries.values(), dirty)
        return len(sorting.kept)

    def _settle_labels(self, report: IntakeReport) -> None:
        """Give labels that waited for their record to it."""
        found = self._store.found_labels()
        if found:
            sorting = self._sort(found)
            name = f"settled-{digest([one.received for one in found])[:32]}"
            unnamed = {one.received for one in found if one.label.model is None}
            matched = [one for one in sorting.matched if one.received in unnamed]  # the others are at rest already
            self._archive.write_labels(matched, sorting.days, name)
            dirty: Hours = defaultdict(set)
            self._mark(sorting.entries.values(), dirty)
            for model, hours in sorted(dirty.items()):
                self._store.mark_dirty(model, sorted(hours))
            self._write_refused(name, [_ambiguous(one) for one in sorting.ambiguous])
            self._store.keep_unsettled(sorting.unmatched)
            self._store.settle_labels(sorting.matched, sorting.ambiguous)
            self._unmatched -= {one.received for one in (*sorting.matched, *sorting.ambiguous)}
            report.ambiguous += len(sorting.ambiguous)
            report.refused += len(sorting.ambiguous)
        report.unmatched = len(self._unmatched)

    def _sort(self, labels: Sequence[NumberedLabel]) -> _Sorting:
        """Find the record of each label: that of its model, or of the one model that has its id."""
        located = self._store.locate(sorted({one.label.id for one in labels}))
        models: dict[str, list[str]] = defaultdict(list)
        for model, name in located:
            models[name].append(model)
        sorting = _Sorting()
        for one in labels:
            label, fitting = one.label, models[one.label.id]
            if label.model is None and len(fitting) > 1:
                sorting.ambiguous.append(one)
                continue
            if label.model is None and fitting:
                one = NumberedLabel(one.received, replace(label, model=fitting[0]))
            sorting.kept.append(one)
            if one.label.model in fitting:
                sorting.matched.append(one)
                entry = located[one.label.model or "", label.id]
                sorting.entries[entry.key], sorting.days[entry.key] = entry, entry.day
            else:
                sorting.unmatched.append(one)
        return sorting

    def _mark(self, entries: Iterable[IndexEntry], dirty: Hours) -> None:
        """Add the hours of records that are at rest."""
        parts: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for entry in entries:
            parts[entry.model, entry.day, entry.segment].append(entry.id)
        for (model, day, segment), ids in parts.items():
            times = self._archive.times(model, day, segment, ids)
            if len(times) < len(ids):  # the part lies elsewhere by now: any hour of the day may be meant
                begin = parse_time(day)
                dirty[model].update(tile.start for tile in Span(begin, begin + DAY).tiles(HOUR))
            dirty[model].update(floor_to(time, HOUR) for time in times.values())

    def _withdraw(self, batch: Batch, contents: Contents, dirty: Hours) -> None:
        """Leave superseded records out from now on; their hours wait to be summarised again."""
        if not contents.withdrawals:
            return
        entries = self._store.locate(sorted({item.id for item in contents.withdrawals}))
        days: dict[tuple[str, str], list[str]] = defaultdict(list)
        for item in contents.withdrawals:
            entry = entries.get(item)
            if entry is not None:
                days[entry.model, entry.day].append(entry.id)
        for (model, day), ids in days.items():
            self._archive.withdraw(model, day, sorted(set(ids)), batch.id)
            begin = parse_time(day)
            dirty[model].update(tile.start for tile in Span(begin, begin + DAY).tiles(HOUR))

    def _keep_damage(self, segment: Segment) -> None:
        if segment.damage:
            link_or_copy(segment.path, self._home.quarantine / segment.path.name)
        if segment.torn:
            write_file(self._home.quarantine / f"{segment.path.name}.torn", segment.tail)

    def _write_refused(self, name: str, refused: Sequence[Refused]) -> None:
        if refused:
            lines: Sequence[str] = [json.dumps(item.as_json(), ensure_ascii=False) for item in refused]
            data = ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")
            write_file(self._home.quarantine / f"{name}.refused.jsonl", data)


@dataclass(slots=True)
class _Sorting:
    """Labels by what was found for them: `matched` and `unmatched` are `kept`, with the model that is known by now."""

    kept: list[NumberedLabel] = field(default_factory=list)
    matched: list[NumberedLabel] = field(default_factory=list)
    unmatched: list[NumberedLabel] = field(default_factory=list)
    ambiguous: list[NumberedLabel] = field(default_factory=list)
    entries: dict[RecordKey, IndexEntry] = field(default_factory=dict)
    days: dict[RecordKey, str] = field(default_factory=dict)


def _ambiguous(one: NumberedLabel) -> Refused:
    message = "several models have a record of this id, and the label names none"
    return Refused("ambiguous_label", message, f"label {one.received}", one.label.id, one.label.as_json())


@contextmanager
def _collector_paused() -> Iterator[None]:
    """A batch makes millions of small objects and no cycle: looking for cycles would cost a third of the time."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
