"""`auditor baseline pin|list|show`: freeze a reference window and its frame."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from auditor.cli.common import add_common, print_json, settings_for, table
from auditor.core.errors import ConfigurationError
from auditor.core.window import BASELINE_KINDS, Span, format_time, parse_time
from auditor.settings import Home

if TYPE_CHECKING:
    from auditor.audit.steadiness import Steadiness
    from auditor.core.window import Baseline


def register(commands: Any) -> None:
    """Add `baseline` with its three words."""
    words = commands.add_parser("baseline", help="freeze a reference window").add_subparsers(
        metavar="pin|list|show", required=True
    )
    pin = words.add_parser("pin", help="freeze a window as what is normal")
    add_common(pin)
    pin.add_argument("--model", required=True, metavar="M")
    pin.add_argument("--since", required=True, metavar="T", type=parse_time)
    pin.add_argument("--until", required=True, metavar="T", type=parse_time)
    pin.add_argument(
        "--kind",
        choices=BASELINE_KINDS,
        default="fixed",
        help="compare each window with all of it (fixed), with its same hours of the week (seasonal), or with as long a "
        "time right before the window (trailing)",
    )
    pin.add_argument("--by", metavar="NAME", help="who says so; the user of this process, when absent")
    pin.set_defaults(run=run_pin)
    listing = words.add_parser("list", help="every baseline ever pinned, newest first")
    add_common(listing)
    listing.add_argument("--model", metavar="M")
    listing.set_defaults(run=run_list)
    show = words.add_parser("show", help="the baseline in force")
    add_common(show)
    show.add_argument("--model", required=True, metavar="M")
    show.set_defaults(run=run_show)


def run_pin(args: argparse.Namespace) -> int:
    """Take in spool and journal, then pin; beside a running service, tell its writer to; 0."""
    from auditor.audit.baselines import pin_command, who
    from auditor.bootstrap import open_app
    from auditor.intake.commands import append_commands

    settings = settings_for(args)
    span, by, at = Span(args.since, args.until), args.by or who(), datetime.now(UTC)
    try:
        with open_app(settings, figures_only=True) as app:
            baseline = app.pipeline.pin(args.model, span, by=by, at=at, kind=args.kind)
            steady = app.pipeline.steadiness(args.model)
    except ConfigurationError as error:
        if error.code != "writer_busy":
            raise
        command = pin_command(args.model, span, by=by, at=at, kind=args.kind)
        append_commands(Home(settings.root), [command])
        if args.json:
            print_json("command", command.as_json())
        else:
            print(f"said to the running writer, which pins it with its next drain; command {command.id}")
        return 0
    if args.json:
        print_json("baseline", {**as_json(baseline), "steadiness": steady and steady.as_json()})
    else:
        kind = "" if baseline.kind == "fixed" else f" as {baseline.kind} baseline"
        print(
            f"pinned {baseline.span} of {baseline.model}{kind}: {baseline.n} records, by {baseline.by}; id {baseline.id}"
        )
        for line in _lines(steady) if steady is not None else ():
            print(line)
    return 0


def _lines(steady: Steadiness) -> list[str]:
    """What a person should know of a baseline at once."""
    lines = []
    for one in steady.smallest:
        unit = "standard deviations" if one.kind == "numeric" else "percentage points of a share"
        typical, worst = (x if one.kind == "numeric" else 100 * x for x in (one.typical, one.worst))
        lines.append(
            f"smallest change detectable in {one.days} days: about {typical:.2g} {unit} in a typical {one.kind} column, "
            f"{worst:.2g} in {one.column}"
        )
    for unsteady in steady.unsteady:
        lines.append(
            f"warning: {unsteady.column} varies from window to window: {unsteady.broken} of the baseline's {unsteady.windows} "
            f"windows break the limit {unsteady.limit:g} themselves; changes of that size will not be alerts"
        )
    for name, why in sorted(steady.untested.items()):
        lines.append(f"not tested: {name} is {'an identifier' if why == 'identifier' else f'a {why}'}")
    return lines


def run_list(args: argparse.Namespace) -> int:
    """Print them; 0."""
    from auditor.bootstrap import open_queries

    queries = open_queries(settings_for(args))
    names = [args.model] if args.model else [model.name for model in queries.models()]
    found = [as_json(baseline) for name in names for baseline in queries.baselines(name)]
    if args.json:
        print_json("baselines", {"items": found})
    else:
        print(
            table(
                found,
                {
                    "model": "model",
                    "start": "since",
                    "end": "until",
                    "kind": "kind",
                    "n": "records",
                    "by": "by",
                    "at": "pinned",
                    "id": "id",
                },
            )
        )
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Print the newest; 0, or exit 2 with `no_baseline`."""
    from auditor.bootstrap import open_queries

    found = open_queries(settings_for(args)).baselines(args.model)
    if not found:
        raise ConfigurationError(
            "no_baseline", f"no baseline is pinned for {args.model!r}", where="--model", fix="`auditor baseline pin`"
        )
    document = as_json(found[0])
    if args.json:
        print_json("baseline", document)
    else:
        print("\n".join(f"{key}: {value}" for key, value in document.items()))
    return 0


def as_json(baseline: Baseline) -> dict[str, Any]:
    """A baseline as plain JSON."""
    return {
        "id": baseline.id,
        "model": baseline.model,
        "start": format_time(baseline.span.start),
        "end": format_time(baseline.span.end),
        "n": baseline.n,
        "versions": list(baseline.versions),
        "by": baseline.by,
        "at": format_time(baseline.at),
        "kind": baseline.kind,
        "frame": baseline.frame,
        "describers": dict(baseline.describers),
    }
