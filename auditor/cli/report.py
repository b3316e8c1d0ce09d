"""`auditor report drift|fairness|energy|compliance`: the stored evidence as a document."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor.cli import common
from auditor.cli.common import add_common, note, print_json, settings_for
from auditor.core.errors import ConfigurationError
from auditor.core.window import DAY, Span, parse_time

if TYPE_CHECKING:
    from auditor.ports import Queries
    from auditor.reports.rules import Rules
    from auditor.settings import Home, Settings

HELP = {
    "drift": "what changed against the baseline, where and since when",
    "fairness": "outcomes by group, with their intervals",
    "energy": "joules, watt-hours and carbon of inferences",
    "compliance": "provision by provision: evidence, gaps, and room for a person's conclusion",
}
DEFAULT_BACK = 90 * DAY
FORMATS = ("html", "json", "csv")


def register(commands: Any) -> None:
    """Add `report` with its kinds."""
    kinds = commands.add_parser("report", help="write a report").add_subparsers(metavar="|".join(HELP), required=True)
    for kind, text in HELP.items():
        parser = kinds.add_parser(kind, help=text)
        add_common(parser)
        parser.add_argument("--model", metavar="M", help="the model; may be left out when there is only one")
        parser.add_argument(
            "--since", metavar="T", type=parse_time, help="default: 90 days before the last audited window"
        )
        parser.add_argument("--until", metavar="T", type=parse_time, help="default: the end of the last audited window")
        parser.add_argument("--format", choices=FORMATS, help="default: what FILE ends in, else html")
        parser.add_argument(
            "-o", "--output", metavar="FILE", type=Path, help="where to write; standard output, if absent"
        )
        parser.set_defaults(run=run, kind=kind)


def run(args: argparse.Namespace) -> int:
    """Build and write one report; 0."""
    from auditor.bootstrap import open_queries
    from auditor.reports import build
    from auditor.reports.render import render

    settings = settings_for(args)
    queries = open_queries(settings)
    model = args.model or only_model(queries)
    span = period(queries, model, args.since, args.until)
    report = build(args.kind, queries, model, span, generated=_now(), rules=rules_of(settings))
    text = render(report, chosen_format(args.format, args.output, args.json))
    if args.output is None:
        sys.stdout.write(text)
        return 0
    inside = args.output.resolve().is_relative_to(settings.root.resolve())
    write(args.output, text, 0o077 if inside else common.UMASK)
    if args.json:
        print_json(
            "report-file",
            {
                "file": str(args.output),
                "kind": report.kind,
                "model": model,
                "gaps": len(report.gaps),
                "summary": list(report.summary),
            },
        )
    else:
        note(f"wrote {args.output}: {report.summary[0]}")
    return 0


def write_reports(home: Home, *, model: str) -> list[Path]:
    """Every report about everything audited, as HTML, into `HOME/reports`; the files written."""
    from auditor.bootstrap import open_queries
    from auditor.reports import KINDS, build
    from auditor.reports.evidence import audited_span
    from auditor.reports.render import render
    from auditor.settings import load_settings

    settings = load_settings(home.root)
    queries, rules = open_queries(settings), rules_of(settings)
    span, generated, written = audited_span(queries, model), _now(), []
    for kind in KINDS:
        path = home.root / "reports" / f"{kind}.html"
        write(path, render(build(kind, queries, model, span, generated=generated, rules=rules), "html"), 0o077)
        written.append(path)
    return written


def rules_of(settings: Settings) -> Rules:
    """What the policies in force say about themselves."""
    from auditor.bootstrap import policies_in_force
    from auditor.reports.rules import Rules

    return Rules(policies_in_force(settings))


def only_model(queries: Queries) -> str:
    """The one model of the store; ConfigurationError when there is none, or a choice to make."""
    names = [item.name for item in queries.models()]
    if len(names) == 1:
        return names[0]
    if not names:
        raise ConfigurationError(
            "no_model", "no model has sent a record yet", where="report", fix="send records, or run `auditor demo`"
        )
    raise ConfigurationError(
        "which_model", f"there are {len(names)} models", where="--model", fix=f"name one of {', '.join(names)}"
    )


def period(queries: Queries, model: str, since: datetime | None, until: datetime | None) -> Span:
    """The span asked for; what is left open ends with the last audited window and reaches back 90 days at most."""
    from auditor.reports.evidence import audited_span

    if since is not None and until is not None:
        return Span(since, until)
    whole = audited_span(queries, model)
    end = until or whole.end
    start = since or max(whole.start, end - DEFAULT_BACK)
    return Span(start, end if end > start else start + timedelta(days=1))


def chosen_format(given: str | None, output: Path | None, as_json: bool) -> str:
    """The format asked for, else that of the file's ending, else JSON for --json, else HTML."""
    if given:
        return given
    ending = output.suffix.removeprefix(".") if output is not None else ""
    if ending in FORMATS:
        return ending
    return "json" if as_json and output is None else "html"


def write(path: Path, text: str, mask: int) -> None:
    """Write the file whole or not at all, making its folder; both with the modes that a umask leaves."""
    before = os.umask(mask)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise ConfigurationError(
            "cannot_write", f"cannot write the report: {error.strerror}", where=str(path), fix="choose another -o FILE"
        ) from error
    finally:
        os.umask(before)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
