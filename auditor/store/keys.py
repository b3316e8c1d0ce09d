"""Keys of the HTTP service: made here, kept as hashes, and changed only by commands that are on record.

A key is `ak_<id>_<secret>`: the id names its row, the secret is 256 bits from the system's generator. What is kept is the
SHA-256 of the whole key: a secret of that entropy needs no slow hash, and a stolen table opens nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from auditor.core.command import Command
from auditor.core.errors import ConfigurationError
from auditor.core.identity import uuid7
from auditor.core.window import format_time, to_us
from auditor.store import tables
from auditor.store.database import Database, add_new

CREATE, REVOKE = "key.create", "key.revoke"
ID_DIGITS = 16
ROLES = ("ingest", "viewer", "editor", "admin")
_log = logging.getLogger("auditor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key's line.

    Attributes
    ----------
    models : tuple of str or None
        Names of the models it is for; None: all of them.
    hash : str
        SHA-256 of the whole key, 64 hex digits.
    """

    id: str
    role: str
    models: tuple[str, ...] | None
    hash: str
    created: datetime
    revoked: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """What may be shown: everything but the hash."""
        return {
            "id": self.id,
            "role": self.role,
            "models": None if self.models is None else list(self.models),
            "created": format_time(self.created),
            "revoked": None if self.revoked is None else format_time(self.revoked),
        }


def key_hash(key: str) -> str:
    """SHA-256 of the key, 64 hex digits."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def key_id(key: str) -> str:
    """The id that a key names; empty when it is not shaped like one.

    >>> key_id("ak_0123456789abcdef_x"), key_id("secret")
    ('0123456789abcdef', '')
    """
    parts = key.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == "ak" else ""


def matches(key: str, kept: Key | None) -> bool:
    """Whether this is that key; takes the same time for a key that nobody knows (`kept` None)."""
    same = hmac.compare_digest(key_hash(key), "0" * 64 if kept is None else kept.hash)
    return same and kept is not None


def create(role: str, models: Sequence[str] | None, *, by: str, at: datetime) -> tuple[Command, str]:
    """The command that makes a key, and the key itself: it is shown once and kept nowhere.

    Raises
    ------
    ConfigurationError
        `bad_role` or `bad_model`.
    """
    identifier = secrets.token_hex(ID_DIGITS // 2)
    key = f"ak_{identifier}_{secrets.token_urlsafe(32)}"
    payload = {
        "id": identifier,
        "role": role,
        "models": None if models is None else list(models),
        "hash": key_hash(key),
    }
    command = Command(id=uuid7(to_us(at) // 1000), kind=CREATE, by=by, at=at, payload=payload)
    key_of(command)
    return command, key


def revoke(identifier: str, *, by: str, at: datetime) -> Command:
    """The command that ends a key."""
    return Command(id=uuid7(to_us(at) // 1000), kind=REVOKE, by=by, at=at, payload={"id": identifier})


def key_of(command: Command) -> Key:
    """The key that a `key.create` makes; ConfigurationError when its payload makes none."""
    said: Mapping[str, Any] = command.payload
    role, models, hashed = said.get("role"), said.get("models"), said.get("hash")
    if role not in ROLES:
        raise ConfigurationError("bad_role", f"{role!r} is not a role", where="role", fix=f"one of {', '.join(ROLES)}")
    named = models is None or (
        isinstance(models, list) and models and all(isinstance(name, str) and 0 < len(name) <= 200 for name in models)
    )
    if not named:
        raise ConfigurationError(
            "bad_model", "models are names of models, or none", where="models", fix="name each with --model"
        )
    if not (isinstance(said.get("id"), str) and said["id"] and isinstance(hashed, str) and len(hashed) == 64):
        raise ConfigurationError("bad_key", "a key has an id and a hash of 64 hex digits", where="key.create")
    return Key(
        id=said["id"], role=role, models=None if models is None else tuple(models), hash=hashed, created=command.at
    )


def apply(connection: Connection, command: Command) -> None:
    """Bring the table up to a command that has just been logged, in the same transaction; others are none of its business."""
    if command.kind == CREATE and "hash" in command.payload:  # the archive's copy has none: such a key is issued anew
        try:
            key = key_of(command)
        except ConfigurationError as error:  # written by something else than our gates: on record, without effect
            _log.warning("auditor: command %s makes no key: %s", command.id, error)
            return
        models = None if key.models is None else list(key.models)
        row = {"id": key.id, "role": key.role, "models": models, "hash": key.hash, "created": key.created}
        add_new(connection, tables.keys, [{**row, "revoked": _revoked(connection, key.id)}])
    elif command.kind == REVOKE:
        table = tables.keys
        connection.execute(
            table.update()
            .where(table.c.id == command.payload.get("id"), table.c.revoked.is_(None))
            .values(revoked=command.at)
        )


def _revoked(connection: Connection, identifier: str) -> datetime | None:
    """When a key was revoked by a command that arrived before the one that makes it."""
    known = tables.commands
    for row in connection.execute(select(known.c.payload, known.c.at).where(known.c.kind == REVOKE)):
        if row.payload.get("id") == identifier:
            return row.at  # type: ignore[no-any-return]
    return None


def read_keys(database: Database) -> list[Key]:
    """Every key ever made, revoked ones included, oldest first."""
    with database.reading() as connection:
        rows = connection.execute(select(tables.keys)).mappings().all()
    keys = [Key(**{**row, "models": None if row["models"] is None else tuple(row["models"])}) for row in rows]
    return sorted(keys, key=lambda key: (key.created, key.id))
