"""Which keys are good, at most two seconds old, whether or not the store can be asked.

Two sources. The table, which the writer keeps; and commands on their way to it, read where they lie in the journal: so a
revocation counts within a second even while the writer is busy with an hour's backlog, or the store is away.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

from auditor.core.command import Command
from auditor.core.errors import AuditorError, StoreError
from auditor.segments import read_segment
from auditor.service.access import Principal
from auditor.service.refusals import RequestError
from auditor.settings import Home, Settings
from auditor.store.keys import CREATE, ID_DIGITS, REVOKE, Key, key_id, key_of, matches
from auditor.store.queries import SqlQueries, open_queries

REFRESH_S = 1.0
AGAIN_S = 0.25
_PLACES = ("person-*/*.*", "batch-*/person-*")


class KeyRing:
    """The keys of a home.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self._home = Home(settings.root)
        self._url = settings.store_url
        self._reading: SqlQueries | None = None
        self._table: dict[str, Key] | None = None
        self._made: dict[str, Key] = {}
        self._revoked: dict[str, Command] = {}
        self._seen: set[str] = set()
        self._mutex = threading.Lock()
        self.read_at = -AGAIN_S

    def may_be_new(self, token: str) -> bool:
        """Whether a key is shaped like ours and names an id that nobody has heard of yet."""
        identifier = key_id(token)
        return len(identifier) == ID_DIGITS and identifier not in self._made and identifier not in (self._table or {})

    def refresh(self) -> None:
        """Read both sources again; a store that cannot be asked leaves what was known of it."""
        with self._mutex:
            self.read_at = time.monotonic()
            for command in self._on_their_way():
                self._note(command)
            try:
                if self._reading is None:
                    self._reading = open_queries(self._url)
                self._table = {key.id: key for key in self._reading.all_keys()}
            except StoreError as error:
                if error.code == "no_store":
                    self._table = {}
                self._close_reading()

    def note(self, command: Command) -> None:
        """A command that has just been written durably counts from now on."""
        with self._mutex:
            self._note(command)

    def close(self) -> None:
        with self._mutex:
            self._close_reading()

    @property
    def asked(self) -> bool:
        """Whether the table was ever read."""
        return self._table is not None

    def all_keys(self) -> list[Key]:
        """Every key known, revoked ones included, oldest first."""
        with self._mutex:
            found = {**self._made, **(self._table or {})}
        return sorted((self._settled(key) for key in found.values()), key=lambda key: (key.created, key.id))

    def good(self) -> list[Key]:
        """Keys that open something now."""
        return [key for key in self.all_keys() if key.revoked is None]

    def find(self, token: str) -> Principal | None:
        """Who holds this key; None when nobody does.

        Raises
        ------
        RequestError
            503 `keys_unknown`: the store has not been asked since the start, so nobody can know.
        """
        identifier = key_id(token)
        table = self._table
        kept = (table or {}).get(identifier) or self._made.get(identifier)
        if not matches(token, kept) or kept is None:
            if table is None:
                raise RequestError(
                    503, "keys_unknown", "the store with the keys cannot be read", fix="try again", retry_after=2
                )
            return None
        if self._settled(kept).revoked is not None:
            return None
        return Principal(kept.id, kept.role, None if kept.models is None else frozenset(kept.models))

    def _settled(self, key: Key) -> Key:
        ended = self._revoked.get(key.id)
        if ended is None or key.revoked is not None:
            return key
        return Key(id=key.id, role=key.role, models=key.models, hash=key.hash, created=key.created, revoked=ended.at)

    def _note(self, command: Command) -> None:
        if command.kind == CREATE:
            try:
                key = key_of(command)
            except AuditorError:
                return
            self._made.setdefault(key.id, key)
        elif command.kind == REVOKE and isinstance(command.payload.get("id"), str):
            self._revoked.setdefault(command.payload["id"], command)

    def _on_their_way(self) -> Iterator[Command]:
        """Commands in segments, adopted or not, and those that a drain has taken out of them; each file is read once."""
        journal = self._home.journal
        for pattern in _PLACES:
            for path in sorted(journal.glob(pattern)):
                name = path.name.rpartition("~")[2]
                if path.suffix in (".seg", ".poisoned") and name not in self._seen:
                    try:
                        segment = read_segment(path)
                    except OSError:  # adopted at this moment: the next look finds it there
                        continue
                    self._seen.add(name)
                    yield from _commands(frame.payload for frame in segment.frames if frame.kind == "command")
        for path in sorted(journal.glob("pending-*.jsonl")):
            if path.name not in self._seen:
                try:
                    lines = path.read_bytes().splitlines()
                except OSError:
                    continue
                self._seen.add(path.name)
                yield from _commands(lines)

    def _close_reading(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None


def _commands(payloads: Iterator[bytes] | list[bytes]) -> Iterator[Command]:
    for payload in payloads:
        try:
            yield Command.from_json(json.loads(payload))
        except (AuditorError, ValueError, KeyError, TypeError):  # the drain refuses it, and says so
            continue
