"""`auditor audit`: windows -> measurements -> verdicts -> alerts -> sinks."""

from __future__ import annotations

import argparse
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from auditor.cli.common import add_common, note, print_json, settings_for
from auditor.core.window import format_time, parse_time

if TYPE_CHECKING:
    from auditor.core.run import Audit
    from auditor.core.verdict import Alert
    from auditor.pipeline import AuditReport


def register(commands: Any) -> None:
    """Add `audit`."""
    parser = commands.add_parser("audit", help="measure and judge the windows that are due")
    add_common(parser)
    parser.add_argument("--model", metavar="M", help="one model; all of them, when absent")
    parser.add_argument("--since", metavar="T", type=parse_time, help="date or time; widened to whole windows")
    parser.add_argument(
        "--until", metavar="T", type=parse_time, help="date or time; the last closed window, when absent"
    )
    parser.add_argument("--engine", choices=("local", "dask"), help="where summarising runs")
    parser.add_argument("--address", metavar="A", help="address of a Dask scheduler (tcp://...)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Audit; 1 when an alert is open afterwards or something was damaged."""
    from auditor import registry
    from auditor.bootstrap import open_app

    settings = settings_for(args)
    engine = registry.load("engines", args.engine) if args.engine else None
    if engine is not None and args.engine == "dask":
        engine = engine.configure(address=args.address)
    with open_app(settings, engine=engine) as app:
        report = app.pipeline.audit(now=datetime.now(UTC), model=args.model, since=args.since, until=args.until)
        still_open = app.store.alerts(args.model, state="open")
    if args.json:
        print_json("audit", summary(report, len(still_open)))
    else:
        _tell(report, list(still_open))
    for damage in report.damaged:
        note(f"damaged: {damage.what}; {damage.where}; set aside in quarantine, the rest was processed")
    for sink, why in report.failed_sinks.items():
        note(f"sink {sink} failed: {why}; the store holds the audit")
    return 1 if still_open or report.damaged else 0


def summary(report: AuditReport, still_open: int) -> dict[str, Any]:
    """The contract's JSON of an audit."""
    by_model: dict[str, list[Audit]] = {}
    for audit in report.audits:
        by_model.setdefault(audit.run.model, []).append(audit)
    return {
        "audits": [
            {"model": model, "windows": [_window(audit) for audit in audits]} for model, audits in by_model.items()
        ],
        "alerts": {
            word: [alert.as_json() for audit in report.audits for alert in getattr(audit.alerts, word)]
            for word in ("opened", "renewed", "resolved")
        },
        "open": still_open,
        "exact": None,
        "intake": {
            "accepted": report.intake.accepted,
            "duplicates": report.intake.duplicates,
            "refused": report.intake.refused,
            "labels": report.intake.labels,
        },
        "damaged": [{"what": item.what, "where": item.where, "lost": item.lost} for item in report.damaged],
        "failed_sinks": report.failed_sinks,
    }


def _window(audit: Audit) -> dict[str, Any]:
    run = audit.run
    return {
        "start": format_time(run.span.start),
        "end": format_time(run.span.end),
        "revision": run.revision,
        "run": run.id,
        "records": run.records,
        "labelled": run.labelled,
        "measurements": len(audit.measurements),
        "verdicts": dict(sorted(Counter(str(verdict.verdict) for verdict in audit.verdicts).items())),
        "mlflow_run": None,
    }


def _tell(report: AuditReport, still_open: list[Alert]) -> None:
    if not report.audits:
        print("nothing is due: no window closed since the last audit")
    for audit in report.audits:
        words = Counter(str(verdict.verdict) for verdict in audit.verdicts)
        counts = ", ".join(f"{count} {word}" for word, count in sorted(words.items())) or "no policy in force"
        print(
            f"{audit.run.model} {audit.run.span}: {audit.run.records} records, {len(audit.measurements)} measurements; {counts}"
        )
        for word in ("opened", "resolved"):
            for alert in getattr(audit.alerts, word):
                print(f"  {word} [{alert.kind}] {alert.explanation}")
    if still_open:
        print(
            f"{len(still_open)} alert(s) open; `auditor report drift --model M -o FILE` and `auditor dashboard` show them"
        )
