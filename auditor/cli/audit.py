"""`auditor audit`: windows -> measurements -> verdicts -> alerts -> sinks."""

from __future__ import annotations

import argparse
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from auditor import wording
from auditor.cli.common import add_common, note, print_json, settings_for, table
from auditor.core.window import format_time, parse_time

if TYPE_CHECKING:
    from auditor.audit.pipeline import AuditReport
    from auditor.audit.recompute import Exact
    from auditor.core.run import Audit
    from auditor.core.verdict import Alert


def register(commands: Any) -> None:
    """Add `audit`."""
    parser = commands.add_parser("audit", help="measure and judge the windows that are due")
    add_common(parser)
    parser.add_argument("--model", metavar="M", help="one model; all of them, when absent")
    parser.add_argument("--since", metavar="T", type=parse_time, help="date or time; widened to whole windows")
    parser.add_argument(
        "--until", metavar="T", type=parse_time, help="date or time; the last closed window, when absent"
    )
    parser.add_argument(
        "--exact", action="store_true", help="recompute every figure from the archive's rows, and print the differences"
    )
    parser.add_argument("--engine", choices=("local", "dask"), help="where summarising runs")
    parser.add_argument("--address", metavar="A", help="address of a Dask scheduler (tcp://...)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Audit; 1 when an alert is open, a model failed, records were refused, something was damaged, or a sink waits."""
    from auditor import registry
    from auditor.bootstrap import open_app

    settings = settings_for(args)
    engine = registry.load("engines", args.engine) if args.engine else None
    if engine is not None and args.engine == "dask":
        engine = engine.configure(address=args.address)
    with open_app(settings, engine=engine) as app:
        report = app.pipeline.audit(
            now=datetime.now(UTC), model=args.model, since=args.since, until=args.until, exact=args.exact
        )
        failed = {item.model for item in report.failed}
        names = [name for name in app.pipeline.models(args.model) if name not in failed]
        still_open = [alert for name in names for alert in app.store.alerts(name, state="open")]
        in_force = set(app.pipeline.sinks)
    if args.json:
        print_json("audit", summary(report, len(still_open)))
    else:
        _print(report, still_open)
    for item in report.failed:
        note(f"{item.model} failed: {item.message}; the other models were audited")
    for damage in report.damaged:
        note(f"damaged: {damage.what}; {damage.where}; the rest was processed")
    for loss in report.losses:
        if loss.accepted is not None:
            note(f"{wording.lost(loss)}; {', '.join(loss.files)}")
    if any(loss.accepted is None for loss in report.losses):
        note("put the files back, ingest their records again, or put the loss on record: `auditor db accept-loss`")
    for sink, why in report.failed_sinks.items():
        note(f"sink {sink} failed: {why}")
    for backlog in report.waiting:
        then = "retried by the next audit" if backlog.sink in in_force else "the sink is not in force: enable it again"
        note(f"{wording.backlogs.waiting(backlog)}; {then}")
    for backlog in report.dead:
        note(f"{wording.backlogs.refused(backlog)}; `auditor db redeliver` sends again what was refused")
    refused = refused_records(report)
    if refused:
        note(f"{refused} record(s) refused; HOME/quarantine has each with its reason")
    _note_labels(report)
    waits = any(backlog.sink in in_force for backlog in report.waiting)
    amiss = report.damaged or report.failed or refused or waits or report.failed_sinks
    return 1 if still_open or amiss else 0


def _note_labels(report: AuditReport) -> None:
    """One line about labels that count for no record."""
    found = report.unsettled
    words = []
    if found.unmatched:
        since = f" (the first since {format_time(found.since)})" if found.since else ""
        words.append(f"{found.unmatched} match no record yet{since}")
    if found.ambiguous:
        words.append(
            f"{found.ambiguous} match records of several models; give them again with `auditor label --model M`"
        )
    if words:
        note(f"labels that count for no record: {'; '.join(words)}")


def losses(audit: Audit) -> dict[str, int]:
    """Calls of the window that left no record, by reason; calls left out by sampling are no loss."""
    found: dict[str, int] = {}
    for m in audit.measurements:
        if m.metric == "capture.dropped" and m.version is None and m.span == audit.run.span and m.value:
            reason = m.attributes.get("reason", "sampled")
            if reason != "sampled":
                found[reason] = int(m.value)
    return dict(sorted(found.items()))


def refused_records(report: AuditReport) -> int:
    """Records refused by this audit's intake, or before it in the windows that were audited."""
    return max(report.intake.refused, sum(losses(audit).get("refused", 0) for audit in report.audits))


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
        "exact": None if report.exact is None else [figure.as_json() for figure in report.exact],
        "intake": {
            "accepted": report.intake.accepted,
            "duplicates": report.intake.duplicates,
            "refused": report.intake.refused,
            "labels": report.intake.labels,
            "unmatched": report.intake.unmatched,
            "ambiguous": report.intake.ambiguous,
        },
        "labels": {
            "unmatched": report.unsettled.unmatched,
            "ambiguous": report.unsettled.ambiguous,
            "since": report.unsettled.since and format_time(report.unsettled.since),
        },
        "refused": refused_records(report),
        "damaged": [{"what": item.what, "where": item.where, "lost": item.lost} for item in report.damaged],
        "lost": [loss.as_json() for loss in report.losses],
        "failed_sinks": report.failed_sinks,
        "waiting": [backlog.as_json() for backlog in report.waiting],
        "dead": [backlog.as_json() for backlog in report.dead],
        "failed": [{"model": item.model, "code": item.code, "message": item.message} for item in report.failed],
        "silent": [{"model": model, "since": format_time(since)} for model, since in report.silent.items()],
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


def _print(report: AuditReport, still_open: list[Alert]) -> None:
    if not report.audits and not report.failed and not report.silent:
        print("nothing is due: no window closed since the last audit, and no data changed")
    for audit in report.audits:
        words = Counter(str(verdict.verdict) for verdict in audit.verdicts)
        counts = ", ".join(f"{count} {word}" for word, count in sorted(words.items())) or "no policy in force"
        print(
            f"{audit.run.model} {audit.run.span}: {audit.run.records} records, {len(audit.measurements)} measurements; {counts}"
        )
        lost = losses(audit)
        if lost:
            total = sum(lost.values())
            print(f"  {total} call(s) lost: {', '.join(f'{reason} {count}' for reason, count in lost.items())}")
        for word, alert in audit.alerts.events("opened", "resolved"):
            over = " and resolved" if word == "opened" and alert.state == "resolved" else ""
            print(f"  {word}{over} [{alert.kind}] {wording.brief(alert)}")
    for model, since in report.silent.items():
        print(f"{model} is silent since {format_time(since)}")
    if report.exact is not None:
        _print_exact(report.exact)
    if still_open:
        print(
            f"{len(still_open)} alert(s) open; `auditor report drift --model M -o FILE` and `auditor dashboard` show them"
        )


def _print_exact(figures: list[Exact]) -> None:
    """Figures that are read off a grid beside their exact values, then those that are not what the archive says."""
    rough = [figure for figure in figures if figure.bound is not None and figure.difference is not None]
    if rough:
        print(
            table(
                [
                    {
                        "day": format_time(figure.start)[:10],
                        "metric": figure.metric,
                        "of": " ".join(figure.attributes.get(key, "") for key in ("input", "column")).strip(),
                        "state": figure.state,
                        "exact": figure.exact,
                        "difference": figure.difference,
                        "bound": figure.bound,
                    }
                    for figure in rough
                ],
                {key: key for key in ("day", "metric", "of", "state", "exact", "difference", "bound")},
            )
        )
    off = [figure for figure in figures if not figure.holds]
    print(f"{len(figures)} figures recomputed from the archive, {len(figures) - len(off)} within their bounds")
    for figure in off:
        note(
            f"not what the archive says: {figure.metric} {dict(figure.attributes)}: {figure.state}, exact {figure.exact}"
        )
