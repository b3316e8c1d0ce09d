"""Segments on their way into the archive: adopted into batches, each taken in whole or again.

A batch is a folder `journal/batch-<id>/`. Its segments get there by rename and never change; so a batch that was cut
short at any step is simply taken again, under the same id. Only when everything in it is durable elsewhere is the folder
renamed to `done-<id>` (one atomic step) and removed. What is known about a batch is in its folder: there is no other
metadata to lose.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from auditor.core.command import Command
from auditor.core.identity import canonical_json, slug, uuid7, uuid7_ms
from auditor.core.private import make_folder
from auditor.core.window import from_us
from auditor.intake.places import write_file
from auditor.segments import OPEN, POISONED, SEALED, adoptable, fsync_folder, retire
from auditor.settings import Home

BATCH = "batch-"
DONE = "done-"
PENDING = "pending-"
SPOOLED = "spool~"
"""Begins the names of segments that agents wrote, once a batch holds them: they may hold no commands."""
BATCH_BYTES = 32 << 20
"""Segments are taken in together up to this size: it bounds memory, and a batch makes one file a model and day."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Segments that are taken in together; `number` rises from batch to batch."""

    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name.removeprefix(BATCH)

    @property
    def number(self) -> int:
        """Milliseconds at which the batch was made, times 2**20: leaves room to number what is in it."""
        return uuid7_ms(self.id) << 20

    @property
    def at(self) -> datetime:
        """When the batch was made."""
        return from_us((self.number >> 20) * 1000)

    def segments(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if path.suffix in (SEALED, OPEN, POISONED))

    def retire(self) -> None:
        """Everything in it is durable elsewhere: away with it."""
        done = self.folder.with_name(DONE + self.id)
        self.folder.rename(done)
        fsync_folder(done.parent)
        shutil.rmtree(done)


class Journal:
    """The journal folder of a home, with the spool that it adopts."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def batches(self) -> Iterator[Batch]:
        """Batches to take in, one after the other: first those that were cut short, then what is there now."""
        journal = self._home.journal
        make_folder(journal)
        for done in sorted(journal.glob(DONE + "*")):
            shutil.rmtree(done)
        for folder in sorted(journal.glob(BATCH + "*")):
            yield Batch(folder)
        folders = self._sessions()
        for group in _groups(path for folder in folders for path in adoptable(folder)):
            yield self._adopt(group)
        for folder in folders:
            retire(folder)

    def _sessions(self) -> list[Path]:
        spool, journal = self._home.spool, self._home.journal
        return [
            folder
            for parent in (spool, journal)
            if parent.is_dir()
            for folder in sorted(parent.iterdir())
            if folder.is_dir() and not folder.name.startswith((BATCH, DONE))
        ]

    def _adopt(self, group: Sequence[Path]) -> Batch:
        folder = self._home.journal / f"{BATCH}{uuid7()}"
        make_folder(folder)
        fsync_folder(folder.parent)
        for path in group:
            origin = SPOOLED if path.parent.parent == self._home.spool else ""
            _move(path, folder / f"{origin}{slug(path.parent.name)}~{path.name}")
        fsync_folder(folder)
        for source in {path.parent for path in group}:
            fsync_folder(source)
        return Batch(folder)

    # -- what persons said ---------------------------------------------------------------------------------------------

    def keep_commands(self, batch: Batch, commands: Sequence[Command]) -> None:
        """Keep the batch's commands until they are acknowledged; repeating it is harmless."""
        if commands:
            lines = [canonical_json(command.as_json()) for command in commands]
            write_file(self._home.journal / f"{PENDING}{batch.id}.jsonl", b"\n".join(lines) + b"\n")

    def pending_commands(self) -> tuple[list[Command], list[Path]]:
        """Commands that were handed over but never acknowledged, in order, and the files that hold them."""
        files = sorted(self._home.journal.glob(PENDING + "*.jsonl"))
        lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
        return [Command.from_json(json.loads(line)) for line in lines], files


def _groups(paths: Iterable[Path]) -> Iterator[list[Path]]:
    group: list[Path] = []
    size = 0
    for path in paths:
        bytes_here = path.stat().st_size
        if group and size + bytes_here > BATCH_BYTES:
            yield group
            group, size = [], 0
        group.append(path)
        size += bytes_here
    if group:
        yield group


def _move(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # The spool lies on another disk. Cut short, both copies remain; their records have the same ids in the index.
        write_file(target, source.read_bytes())
        source.unlink()


def link_or_copy(source: Path, target: Path) -> None:
    """Keep a file under another name as well; repeating it is harmless."""
    make_folder(target.parent)
    if target.exists():
        return
    try:
        os.link(source, target)
        fsync_folder(target.parent)
    except OSError:
        write_file(target, source.read_bytes())
