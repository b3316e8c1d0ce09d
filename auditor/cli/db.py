"""`auditor db upgrade|check|backup|rebuild|accept-loss|redeliver`: the store's schema, soundness, copies and outbox."""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auditor.cli.common import add_common, note, print_json, settings_for
from auditor.core.errors import ConfigurationError, StoreError
from auditor.core.window import Span, parse_time


def register(commands: Any) -> None:
    """Add `db` with its words."""
    words = commands.add_parser("db", help="the store: schema, soundness, copies").add_subparsers(
        metavar="upgrade|check|backup|rebuild|accept-loss|redeliver", required=True
    )
    upgrade = words.add_parser("upgrade", help="bring the schema to the newest revision")
    add_common(upgrade)
    upgrade.set_defaults(run=run_upgrade)
    check = words.add_parser("check", help="say whether schema and data are sound; exit 1 when they are not")
    add_common(check)
    check.set_defaults(run=run_check)
    backup = words.add_parser("backup", help="copy the store to one file while it is in use")
    add_common(backup)
    backup.add_argument("file", metavar="FILE", type=Path, help="where to; must not exist")
    backup.set_defaults(run=run_backup)
    rebuild = words.add_parser("rebuild", help="make the store again from the archive and the commands beside it")
    add_common(rebuild)
    rebuild.set_defaults(run=run_rebuild)
    accept = words.add_parser("accept-loss", help="put records that the archive lost on record as accepted")
    add_common(accept)
    accept.add_argument("--model", required=True, metavar="M")
    accept.add_argument("--since", required=True, metavar="T", type=parse_time, help="widened to whole days")
    accept.add_argument("--until", required=True, metavar="T", type=parse_time)
    accept.add_argument("--by", required=True, metavar="NAME", help="who accepts it")
    accept.add_argument("--reason", required=True, metavar="TEXT", help="why it is not restored")
    accept.set_defaults(run=run_accept_loss)
    redeliver = words.add_parser("redeliver", help="let deliveries that a sink refused for good wait again")
    add_common(redeliver)
    redeliver.add_argument("--sink", metavar="NAME", help="of this sink; of all of them, when absent")
    redeliver.set_defaults(run=run_redeliver)


def run_upgrade(args: argparse.Namespace) -> int:
    """Run the migrations as the home's one writer; 0."""
    from auditor.intake.lock import writer_lock
    from auditor.settings import Home
    from auditor.store.database import Database
    from auditor.store.schema import upgrade

    settings = settings_for(args)
    with writer_lock(Home(settings.root)):
        database = Database(settings.store_url)
        try:
            done = upgrade(database)
        finally:
            database.close()
    if args.json:
        print_json("db-upgrade", {"store": database.name, "before": done.before, "after": done.after})
    elif done.before == done.after:
        print(f"{database.name} has schema {done.after} already")
    else:
        print(f"{database.name}: schema {done.before or 'none'} -> {done.after}")
    return 0


def run_check(args: argparse.Namespace) -> int:
    """Print what was found; 0 when sound, 1 when not."""
    from auditor.bootstrap import check_archive
    from auditor.store.maintenance import check

    settings = settings_for(args)
    found = check(settings.store_url)
    try:
        found = replace(found, findings=(*found.findings, *check_archive(settings)))
    except StoreError:
        if not found.findings:  # a store that is damaged already may not be read to the end
            raise
    if args.json:
        print_json(
            "db-check",
            {
                "store": found.where,
                "revision": found.schema,
                "needed": found.needed,
                "findings": list(found.findings),
            },
        )
    else:
        print("\n".join([*found.findings, f"{found.where}: {len(found.findings)} findings"]))
    return 1 if found.findings else 0


def run_backup(args: argparse.Namespace) -> int:
    """Copy, and print where, how large and with which digest; 0."""
    from auditor.store.maintenance import backup

    made = backup(settings_for(args).store_url, args.file.absolute())
    if args.json:
        print_json(
            "db-backup", {"file": str(made.path), "bytes": made.size, "sha256": made.sha256, "revision": made.schema}
        )
    else:
        print(f"{made.path}: {made.size} bytes, schema {made.schema}, sha256 {made.sha256}")
    return 0


def run_rebuild(args: argparse.Namespace) -> int:
    """Rebuild, and print what was made; 0, or 1 when part of the archive was damaged or a command could not be applied."""
    from auditor.bootstrap import rebuild

    made = rebuild(settings_for(args))
    report = made.report
    windows = len({(audit.run.model, audit.run.span) for audit in report.audits})
    if args.json:
        print_json(
            "db-rebuild",
            {
                "records": made.records,
                "repeated": made.repeated,
                "windows": windows,
                "commands": made.commands,
                "keys": list(made.keys),
                "former": made.former and str(made.former),
                "damaged": [{"what": item.what, "where": item.where, "lost": item.lost} for item in report.damaged],
            },
        )
    else:
        print(f"the store was made again: {made.records} records, {made.commands} commands, {windows} windows")
        if made.former is not None:
            print(f"the former store is kept as {made.former}")
        for key in made.keys:
            print(f"issue anew: key {key}; `auditor key create` makes keys, the former ones open nothing")
    for item in report.damaged:
        note(f"damaged: {item.what}; {item.where}")
    return 1 if report.damaged else 0


def run_accept_loss(args: argparse.Namespace) -> int:
    """Print what was accepted; reports go on naming it. 0."""
    from auditor.bootstrap import open_app
    from auditor.wording.losses import lost

    for option in ("by", "reason"):
        if not getattr(args, option).strip():
            raise ConfigurationError("no_words", "it is empty", where=f"--{option}", fix="who accepts it, and why")
    span = Span(args.since, args.until)
    with open_app(settings_for(args), figures_only=True) as app:
        found = app.pipeline.accept_loss(args.model, span, by=args.by, reason=args.reason, at=datetime.now(UTC))
        known = {(loss.model, loss.span, loss.kind) for loss in found}
        accepted = [loss for loss in app.store.losses(args.model) if (loss.model, loss.span, loss.kind) in known]
    if args.json:
        print_json("db-accept-loss", {"accepted": [loss.as_json() for loss in accepted]})
    else:
        print("\n".join(map(lost, accepted)))
    return 0


def run_redeliver(args: argparse.Namespace) -> int:
    """Print how many wait again; the next audit sends them. 0."""
    from auditor.bootstrap import open_app

    with open_app(settings_for(args)) as app:
        revived = app.store.revive_deliveries(args.sink)
    if args.json:
        print_json("db-redeliver", {"deliveries": revived})
    else:
        print(f"{revived} deliveries wait again; the next audit sends them")
    return 0
