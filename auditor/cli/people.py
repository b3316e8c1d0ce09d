"""`auditor attest`, `waive`, `ack`, `review`, `statements`: what named persons state, recorded before anything follows from it."""

from __future__ import annotations

import argparse
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auditor.cli.common import add_common, note, print_json, settings_for, table
from auditor.core.errors import ConfigurationError
from auditor.core.window import format_time
from auditor.settings import Home, Settings

_LARGEST = 256 << 20


def register(commands: Any) -> None:
    """Add the commands of people."""
    attest = commands.add_parser("attest", help="sign a statement that a rule asks for")
    attest.add_argument("statement", metavar="STATEMENT")
    _person(attest)
    attest.add_argument("--reviewed-by", metavar="NAME", help="a second person; critical rules need one")
    attest.add_argument("--reviewer-role", metavar="ROLE")
    attest.add_argument("--evidence", metavar="FILE", type=Path, action="append", default=[], help="kept in the home")
    attest.add_argument("--valid-until", metavar="T")
    attest.add_argument("--not-satisfied", action="store_true", help="sign that it is not so: the rule fails")
    attest.set_defaults(run=run_attest)

    waive = commands.add_parser("waive", help="live with a finding of one rule until a day")
    waive.add_argument("control", metavar="CONTROL")
    _person(waive)
    waive.add_argument("--policy", metavar="P", help="where several policies have this control")
    waive.add_argument("--slice", metavar="S", help="only this slice, such as site=north")
    waive.add_argument("--reason", metavar="TEXT", required=True)
    waive.add_argument("--approved-by", metavar="NAME", required=True)
    waive.add_argument("--approver-role", metavar="ROLE", required=True)
    waive.add_argument("--expires", metavar="T", required=True)
    waive.set_defaults(run=run_waive)

    ack = commands.add_parser("ack", help="take note of an open alert")
    ack.add_argument("alert", metavar="ALERT", help="its id")
    ack.add_argument("--by", metavar="NAME", required=True)
    ack.add_argument("--role", metavar="ROLE", default="on call")
    ack.add_argument("--reason", metavar="TEXT", required=True)
    ack.set_defaults(run=run_ack)

    reviews = commands.add_parser("review", help="review a model's verdicts").add_subparsers(
        metavar="open|sign", required=True
    )
    for word, what in (("open", "begin a review"), ("sign", "sign the open review; another person than who opened it")):
        part = reviews.add_parser(word, help=what)
        _person(part)
        part.set_defaults(run=run_review, kind=f"review.{word}")
        add_common(part)

    listing = commands.add_parser("statements", help="what persons stated about a model, who and when")
    listing.add_argument("--model", metavar="M", required=True)
    listing.set_defaults(run=run_list)
    for parser in (attest, waive, ack, listing):
        add_common(parser)


def _person(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="M", required=True)
    parser.add_argument("--by", metavar="NAME", required=True, help="the person who signs")
    parser.add_argument("--role", metavar="ROLE", required=True, help="in which role")


def run_attest(args: argparse.Namespace) -> int:
    """Keep the files, then the statement; 0."""
    settings = settings_for(args)
    payload: dict[str, Any] = {
        "model": args.model,
        "statement": args.statement,
        "satisfied": not args.not_satisfied,
        "evidence": [kept(Home(settings.root).artifacts, path) for path in args.evidence],
    }
    if args.reviewed_by or args.reviewer_role:
        payload["reviewed_by"] = _second(args.reviewed_by, args.reviewer_role, "--reviewed-by, --reviewer-role")
    if args.valid_until:
        payload["valid_until"] = args.valid_until
    return _state(args, settings, "attest", payload)


def run_waive(args: argparse.Namespace) -> int:
    """Record the waiver; 0."""
    payload = {
        "model": args.model,
        "control": args.control,
        "reason": args.reason,
        "approved_by": _second(args.approved_by, args.approver_role, "--approved-by, --approver-role"),
        "expires": args.expires,
        **{key: value for key in ("policy", "slice") if (value := getattr(args, key))},
    }
    return _state(args, settings_for(args), "waive", payload)


def run_ack(args: argparse.Namespace) -> int:
    """Record that a person took note of an alert; 0."""
    from auditor.bootstrap import open_queries
    from auditor.policy.statements import model_of_alert

    settings = settings_for(args)
    found = {item.id: item.model for item in open_queries(settings).alerts(state="open")}
    model = model_of_alert(args.alert, found)
    return _state(args, settings, "ack", {"model": model, "alert": args.alert, "reason": args.reason})


def run_review(args: argparse.Namespace) -> int:
    """Open or sign a review; 0."""
    return _state(args, settings_for(args), args.kind, {"model": args.model})


def run_list(args: argparse.Namespace) -> int:
    """Print them; 0."""
    from auditor.bootstrap import open_queries, policies_in_force
    from auditor.policy.statements import listed

    settings = settings_for(args)
    found = listed(policies_in_force(settings), open_queries(settings).commands(), args.model)
    if args.json:
        print_json("statements", {"model": args.model, "items": found})
    else:
        names = ("at", "kind", "about", "by", "role", "second", "until", "result")
        print(table(found, {name: name for name in names}))
    return 0


def kept(artifacts: Path, path: Path) -> dict[str, str]:
    """Copy a file to `artifacts/<sha256>.<ext>`; its name there and its digest."""
    if not path.is_file():
        raise ConfigurationError("no_file", f"{path} is no file", where="--evidence", fix="name a file")
    if path.stat().st_size > _LARGEST:
        raise ConfigurationError(
            "too_large", f"{path} has over 256 MiB", where="--evidence", fix="attach a digest of it"
        )
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    name = digest + path.suffix.lower()
    artifacts.mkdir(parents=True, exist_ok=True)
    draft = artifacts / f".{name}.{os.getpid()}"
    draft.write_bytes(data)
    draft.replace(artifacts / name)
    return {"uri": f"file:{name}", "sha256": digest}


def _second(name: str | None, role: str | None, where: str) -> dict[str, str]:
    if not name or not role:
        raise ConfigurationError("bad_command", "a second person has a name and a role", where=where, fix="give both")
    return {"name": name, "role": role}


def _state(args: argparse.Namespace, settings: Settings, kind: str, payload: dict[str, Any]) -> int:
    from auditor.bootstrap import known_to_people, open_app, policies_in_force
    from auditor.intake.commands import append_commands
    from auditor.policy.schema import Person
    from auditor.policy.statements import stated

    command = stated(
        kind,
        payload,
        by=Person(name=args.by, role=args.role),
        at=datetime.now(UTC),
        policies=policies_in_force(settings),
        known=known_to_people(settings),
    )
    append_commands(Home(settings.root), [command])
    try:
        with open_app(settings, figures_only=True) as app:
            app.pipeline.take_in()
    except ConfigurationError as error:
        if error.code != "writer_busy":
            raise
        note("a running writer takes it in with its next drain")
    if args.json:
        print_json("command", command.as_json())
    else:
        print(f"{kind} of {payload['model']} by {args.by}, {format_time(command.at)}; id {command.id}")
    return 0
