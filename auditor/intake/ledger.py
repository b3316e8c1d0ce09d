"""The ledger: what lies beside the archive so that the store can be made again from both.

`commands/day=<day>/<digest>.json` holds each command for ever (without the hash of a key: keys are issued anew),
`readings/day=<day of receipt>/<batch>.jsonl` energy readings and tallies as they were delivered, `audited/<model>.json` up to where
a model was audited, and which sinks had received all of it, and `checksums/<path>.json` the SHA-256 of each file of records
and labels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from auditor.core.command import Command
from auditor.core.errors import AuditorError
from auditor.core.gate import parse_energy_reading, parse_tally
from auditor.core.identity import canonical_json, digest, slug
from auditor.core.record import CaptureTally, EnergyReading
from auditor.core.window import format_time, parse_time
from auditor.intake.places import Place
from auditor.ports import ArchivePart

COMMANDS, READINGS, AUDITED, LOST, COMPLETE = "commands", "readings", "audited", "lost", "ledger.json"
CHECKSUMS = "checksums"
_MANY = 64
"""Files of one day that are merged into one."""

T = TypeVar("T")
Said = tuple[Command, datetime | None]
"""A command, and up to where its model had been audited by then."""


class Ledger:
    """One archive's ledger; every write is durable on return, and repeating it is harmless."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.damaged: dict[str, str] = {}
        """Files that did not read when they were asked for, by path: what is wrong with each. The others were read."""

    # -- commands ------------------------------------------------------------------------------------------------------

    def keep_command(self, command: Command, audited_until: datetime | None) -> None:
        """Keep what a person said; `audited_until` is up to where the model it names was audited by then."""
        plain = command.as_json()
        plain["payload"] = {name: value for name, value in plain["payload"].items() if name != "hash"}
        path = f"{COMMANDS}/day={command.at:%Y-%m-%d}/{digest(command.id.encode())[:32]}.json"
        until = audited_until and format_time(audited_until)
        document = {"schema": "auditor.command/1", "audited_until": until, **plain}
        self._place.write(path, canonical_json({**document, "digest": digest(canonical_json(document))}))

    def commands(self) -> list[Said]:
        """All of them, oldest first."""
        found = []
        for path in self._paths(COMMANDS):
            said = self._read(path, _said)
            if said is not None:
                found.append(said)
        return sorted(found, key=lambda said: (said[0].at, said[0].id))

    def has_commands(self) -> bool:
        return bool(self._place.names(COMMANDS))

    # -- readings ------------------------------------------------------------------------------------------------------

    def keep_readings(
        self, batch: str, at: datetime, readings: Iterable[EnergyReading], tallies: Iterable[CaptureTally]
    ) -> None:
        """Keep a batch's readings and tallies as they came; small files of a day are merged now and then."""
        lines = [canonical_json({"reading": reading.as_json()}) for reading in readings]
        lines += [canonical_json({"tally": tally.as_json()}) for tally in tallies]
        if not lines:
            return
        today = f"{READINGS}/day={at:%Y-%m-%d}"
        self._place.write(f"{today}/part-{batch}.jsonl", b"\n".join(lines) + b"\n")
        for day in self._place.names(READINGS):
            folder = f"{READINGS}/{day}"
            names = self._place.names(folder)
            parts = [name for name in names if name.startswith("part-")]
            if len(parts) >= _MANY:
                self._merge(folder, parts, batch)
            elif folder < today and len(names) > 1:
                self._merge(folder, names, batch)

    def readings(self) -> Iterator[tuple[list[EnergyReading], list[CaptureTally]]]:
        """All of them, file by file; one that was kept twice comes twice."""
        for path in self._paths(READINGS):
            readings, tallies = [], []
            for number, line in enumerate(self._place.read(path).splitlines(), 1):
                try:
                    row = json.loads(line)
                    if "reading" in row:
                        readings.append(parse_energy_reading(row["reading"]))
                    else:
                        tallies.append(parse_tally(row["tally"]))
                except _DAMAGED as error:
                    self.damaged[f"{path}:{number}"] = _why(error)
            yield readings, tallies

    def _merge(self, folder: str, names: Sequence[str], batch: str) -> None:
        # Cut short, both stay: a reading that is delivered twice counts once.
        target = f"all-{batch}.jsonl"
        data = b"".join(self._place.read(f"{folder}/{name}") for name in names)
        self._place.write(f"{folder}/{target}", data)
        for name in names:
            if name != target:
                self._place.remove(f"{folder}/{name}")

    # -- audits --------------------------------------------------------------------------------------------------------

    def keep_audited(self, model: str, until: datetime, sent: Mapping[str, datetime]) -> None:
        """Up to where a model was audited, and by name of the sink, up to where it received everything.

        A sink that is not named keeps what was known of it.
        """
        name = f"{slug(model)}.json"
        known = self._read(f"{AUDITED}/{name}", _audited) if name in self._place.names(AUDITED) else None
        before = {} if known is None else known[2]
        document = {
            "schema": "auditor.audited/1",
            "model": model,
            "until": format_time(until),
            "sent": {sink: format_time(end) for sink, end in {**before, **sent}.items()},
        }
        self._place.write(f"{AUDITED}/{name}", canonical_json(document))

    def audited(self) -> dict[str, tuple[datetime, dict[str, datetime]]]:
        """By model, as it was kept."""
        names = [name for name in self._place.names(AUDITED) if not name.startswith(".")]
        found = [known for name in names if (known := self._read(f"{AUDITED}/{name}", _audited)) is not None]
        return {model: (until, sent) for model, until, sent in found}

    # -- losses --------------------------------------------------------------------------------------------------------

    def keep_lost(self, model: str, day: str, parts: Sequence[Any], records: Sequence[Any]) -> None:
        """What is lost of a day, as it stands now; a day of which nothing is lost has no file."""
        path = f"{LOST}/day={day}/{slug(model) if model else 'labels'}.json"
        if not parts:
            self._place.remove(path)
            return
        document = {"schema": "auditor.lost/1", "model": model, "day": day, "parts": parts, "records": records}
        self._place.write(path, canonical_json(document))

    def lost(self) -> Iterator[dict[str, Any]]:
        """As it was kept, day by day."""
        for path in self._paths(LOST):
            found = self._read(path, dict)
            if found is not None:
                yield found

    # -- checksums of files --------------------------------------------------------------------------------------------

    def keep_part(self, part: ArchivePart) -> None:
        """Keep a file's checksum, in place of the one before."""
        self._place.write(
            f"{CHECKSUMS}/{part.path}.json", canonical_json({"schema": "auditor.part/1", **part._asdict()})
        )

    def forget_part(self, path: str) -> None:
        self._place.remove(f"{CHECKSUMS}/{path}.json")

    def part(self, path: str) -> ArchivePart | None:
        """A file as it was written; None when that is not known."""
        try:
            return self._read(f"{CHECKSUMS}/{path}.json", lambda found: _part(path, found))
        except FileNotFoundError:
            return None

    def parts(self, folder: str = CHECKSUMS) -> Iterator[ArchivePart]:
        """Every file whose checksum is known."""
        for name in self._place.names(folder):
            path = f"{folder}/{name}"
            if not name.endswith(".json"):
                yield from self.parts(path)
            elif not name.startswith("."):
                part = self.part(path.removeprefix(f"{CHECKSUMS}/").removesuffix(".json"))
                if part is not None:
                    yield part

    def has_parts(self) -> bool:
        return bool(self._place.names(CHECKSUMS))

    # -- the whole -----------------------------------------------------------------------------------------------------

    def complete(self) -> bool:
        """Whether it holds what the store held before there was a ledger."""
        return COMPLETE in self._place.names("")

    def mark_complete(self) -> None:
        self._place.write(COMPLETE, canonical_json({"schema": "auditor.ledger/1"}))

    def check(self) -> dict[str, str]:
        """Files that do not read or were altered, by path; readings have no digest, and are held against their form."""
        self.damaged = {}
        self.commands()
        self.audited()
        for _ in (*self.readings(), *self.lost(), *self.parts()):
            pass
        return self.damaged

    def _read(self, path: str, make: Callable[[Any], T]) -> T | None:
        """What a file holds; None when it does not read, and then it is among `damaged`."""
        try:
            return make(json.loads(self._place.read(path)))
        except _DAMAGED as error:
            self.damaged[path] = _why(error)
            return None

    def _paths(self, folder: str) -> Iterator[str]:
        for day in self._place.names(folder):
            for name in self._place.names(f"{folder}/{day}"):
                if not name.startswith("."):  # a file that a crash left half written
                    yield f"{folder}/{day}/{name}"


_DAMAGED = (ValueError, KeyError, TypeError, AttributeError, AuditorError)


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _said(data: Any) -> Said:
    expected = data.pop("digest", None)
    if expected is not None and digest(canonical_json(data)) != expected:
        raise ValueError("it is not what was written: its digest is another one")
    until = data["audited_until"]
    return Command.from_json(data), parse_time(until) if until else None


def _part(path: str, data: Any) -> ArchivePart:
    part = ArchivePart(data["path"], data["sha256"], data["size"], data["rows"])
    if part.path != path or len(part.sha256) != 64:
        raise ValueError("it is not what was written")
    return part


def _audited(data: Any) -> tuple[str, datetime, dict[str, datetime]]:
    sent = {sink: parse_time(end) for sink, end in data["sent"].items()}
    return data["model"], parse_time(data["until"]), sent
