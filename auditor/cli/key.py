"""`auditor key create|list|revoke`: who may talk to `auditor serve`."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from auditor.cli.common import add_common, note, print_json, settings_for, table
from auditor.core.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from auditor.core.command import Command
    from auditor.settings import Settings


def register(commands: Any) -> None:
    """Add `key` with its three words."""
    words = commands.add_parser("key", help="keys of the HTTP service").add_subparsers(
        metavar="create|list|revoke", required=True
    )
    create = words.add_parser("create", help="make a key; it is shown once")
    add_common(create)
    create.add_argument("--role", required=True, choices=("ingest", "viewer", "editor", "admin"))
    create.add_argument("--model", action="append", metavar="NAME", help="only for this model; may be repeated")
    create.add_argument("--by", metavar="NAME", help="who says so; the user of this process, when absent")
    create.set_defaults(run=run_create)
    listing = words.add_parser("list", help="every key ever made, without the keys themselves")
    add_common(listing)
    listing.set_defaults(run=run_list)
    revoke = words.add_parser("revoke", help="end a key; a running service knows within two seconds")
    add_common(revoke)
    revoke.add_argument("id", metavar="ID")
    revoke.add_argument("--by", metavar="NAME", help="who says so; the user of this process, when absent")
    revoke.set_defaults(run=run_revoke)


def run_create(args: argparse.Namespace) -> int:
    """Print id and key; 0."""
    from auditor.audit.baselines import who
    from auditor.store.keys import create

    settings = settings_for(args)
    command, key = create(args.role, args.model, by=args.by or who(), at=datetime.now(UTC))
    _say(settings, command)
    if args.json:
        print_json("key", {"id": command.payload["id"], "key": key})
    else:
        print(f"id  {command.payload['id']}\nkey {key}")
        note("keep the key now: it is not shown again, and only its hash is kept")
    return 0


def run_list(args: argparse.Namespace) -> int:
    """Print them; 0."""
    found = [key.as_json() for key in _ring(settings_for(args)).all_keys()]
    if args.json:
        print_json("keys", {"items": found})
    else:
        rows = [{**row, "models": ", ".join(row["models"]) if row["models"] else "all"} for row in found]
        print(table(rows, {"id": "id", "role": "role", "models": "models", "created": "created", "revoked": "revoked"}))
    return 0


def run_revoke(args: argparse.Namespace) -> int:
    """Revoke; 0. Revoking twice is harmless."""
    from auditor.audit.baselines import who
    from auditor.store.keys import revoke

    settings = settings_for(args)
    if args.id not in {key.id for key in _ring(settings).all_keys()}:
        raise ConfigurationError("unknown_key", f"no key has the id {args.id!r}", where="ID", fix="`auditor key list`")
    command = revoke(args.id, by=args.by or who(), at=datetime.now(UTC))
    _say(settings, command)
    if args.json:
        print_json("key", {"id": args.id, "revoked": True})
    else:
        print(f"revoked {args.id}")
    return 0


def _ring(settings: Settings) -> Any:
    """Keys as the service sees them: those in the store, and those on their way there."""
    from auditor.service.keyring import KeyRing

    ring = KeyRing(settings)
    ring.refresh()
    if not ring.asked:
        note("the store cannot be asked: these are the keys that are still on their way to it")
    ring.close()
    return ring


def _say(settings: Settings, command: Command) -> None:
    """To the journal first; and at once into the store, unless another process is the home's writer, which then does it."""
    from auditor.intake.commands import append_commands
    from auditor.intake.lock import writer_lock
    from auditor.settings import Home
    from auditor.store.sql import SqlStore

    home = Home(settings.root)
    append_commands(home, [command])
    try:
        with writer_lock(home):
            store = SqlStore(settings.store_url)
            try:
                store.log_command(command)
            finally:
                store.close()
    except ConfigurationError as error:
        if error.code != "writer_busy":
            raise
    except StoreError as error:
        note(
            f"the store cannot be written now ({error.code}); the command waits in the journal, where a service reads it"
        )
