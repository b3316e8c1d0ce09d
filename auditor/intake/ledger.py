"""The ledger: what lies beside the archive so that the store can be made again from both.

`commands/day=<day>/<digest>.json` holds each command for ever (without the hash of a key: keys are issued anew),
`readings/day=<day of receipt>/<batch>.jsonl` energy readings and tallies as they were delivered, `audited/<model>.json` up to where
a model was audited, and which sinks had received all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from auditor.core.command import Command
from auditor.core.gate import parse_energy_reading, parse_tally
from auditor.core.identity import canonical_json, digest, slug
from auditor.core.record import CaptureTally, EnergyReading
from auditor.core.window import format_time, parse_time
from auditor.intake.places import Place

COMMANDS, READINGS, AUDITED, COMPLETE = "commands", "readings", "audited", "ledger.json"
_MANY = 64
"""Files of one day that are merged into one."""

Said = tuple[Command, datetime | None]
"""A command, and up to where its model had been audited by then."""


class Ledger:
    """One archive's ledger; every write is durable on return, and repeating it is harmless."""

    def __init__(self, place: Place) -> None:
        self._place = place

    # -- commands ------------------------------------------------------------------------------------------------------

    def keep_command(self, command: Command, audited_until: datetime | None) -> None:
        """Keep what a person said; `audited_until` is up to where the model it names was audited by then."""
        plain = command.as_json()
        plain["payload"] = {name: value for name, value in plain["payload"].items() if name != "hash"}
        path = f"{COMMANDS}/day={command.at:%Y-%m-%d}/{digest(command.id.encode())[:32]}.json"
        until = audited_until and format_time(audited_until)
        self._place.write(path, canonical_json({"schema": "auditor.command/1", "audited_until": until, **plain}))

    def commands(self) -> list[Said]:
        """All of them, oldest first."""
        found = []
        for path in self._paths(COMMANDS):
            data = json.loads(self._place.read(path))
            until = data["audited_until"]
            found.append((Command.from_json(data), parse_time(until) if until else None))
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
            rows = [json.loads(line) for line in self._place.read(path).splitlines()]
            yield (
                [parse_energy_reading(row["reading"]) for row in rows if "reading" in row],
                [parse_tally(row["tally"]) for row in rows if "tally" in row],
            )

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
        before = self._audited(name)[2] if name in self._place.names(AUDITED) else {}
        document = {
            "schema": "auditor.audited/1",
            "model": model,
            "until": format_time(until),
            "sent": {sink: format_time(end) for sink, end in {**before, **sent}.items()},
        }
        self._place.write(f"{AUDITED}/{name}", canonical_json(document))

    def audited(self) -> dict[str, tuple[datetime, dict[str, datetime]]]:
        """By model, as it was kept."""
        found = [self._audited(name) for name in self._place.names(AUDITED) if not name.startswith(".")]
        return {model: (until, sent) for model, until, sent in found}

    def _audited(self, name: str) -> tuple[str, datetime, dict[str, datetime]]:
        data: dict[str, Any] = json.loads(self._place.read(f"{AUDITED}/{name}"))
        sent = {sink: parse_time(end) for sink, end in data["sent"].items()}
        return data["model"], parse_time(data["until"]), sent

    # -- the whole -----------------------------------------------------------------------------------------------------

    def complete(self) -> bool:
        """Whether it holds what the store held before there was a ledger."""
        return COMPLETE in self._place.names("")

    def mark_complete(self) -> None:
        self._place.write(COMPLETE, canonical_json({"schema": "auditor.ledger/1"}))

    def _paths(self, folder: str) -> Iterator[str]:
        for day in self._place.names(folder):
            for name in self._place.names(f"{folder}/{day}"):
                if not name.startswith("."):  # a file that a crash left half written
                    yield f"{folder}/{day}/{name}"
