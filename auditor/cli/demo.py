"""`auditor demo`: the whole job on a real multimodal model, with planted incidents of known truth."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor.cli.common import note, print_json, table

if TYPE_CHECKING:
    from auditor.demo.scenario import Outcome


def register(commands: Any) -> None:
    """Add `demo`."""
    parser = commands.add_parser("demo", help="watch a real multimodal model with planted incidents")
    parser.add_argument(
        "--home", metavar="HOME", type=Path, default=Path("auditor-demo"), help="made anew; default ./auditor-demo"
    )
    parser.add_argument(
        "--scenario",
        choices=("digits", "image-text"),
        default="digits",
        help="a late-fusion digit reader (default), or a small dual encoder that checks photos against captions",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        help="real recordings, or real photos with captions, instead of the built-in data",
    )
    parser.add_argument("--days", metavar="N", type=int, default=21, help="days after the baseline week, at least 14")
    parser.add_argument("--seed", metavar="N", type=int, default=1)
    parser.add_argument(
        "--figures-only", action="store_true", help="leave out MLflow, Evidently and reports, nothing else"
    )
    parser.add_argument("--json", action="store_true", help="print result.json")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the scenario; 0 when the job ran whole, whatever it found."""
    from auditor.demo import digits, image_text

    demo = image_text if args.scenario == "image-text" else digits
    outcome = demo.run(
        args.home, data=args.data, days=args.days, seed=args.seed, figures_only=args.figures_only, tell=note
    )
    if not args.figures_only:
        _reports(outcome)
    if args.json:
        print_json("demo", {key: value for key, value in outcome.document.items() if key != "schema"})
    else:
        print(_story(outcome))
    return 0


def _reports(outcome: Outcome) -> None:
    from auditor.cli.report import write_reports

    for path in write_reports(outcome.home, model=outcome.document["model"]):
        note(f"wrote {path}")


def _story(outcome: Outcome) -> str:
    document, home = outcome.document, outcome.home.root
    rows = []
    for entry, said in zip(outcome.planned, document["planted"], strict=True):
        delay = said["delay_s"]
        rows.append(
            {
                "incident": entry.plant.story,
                "since": f"{entry.start:%Y-%m-%d}",
                "found": "yes" if said["found_by"] else "missed",
                "delay": "-" if delay is None else f"{delay / 86400:.1f} d",
                "where": {"bias": "fairness page", "energy": "energy page"}.get(entry.plant.kind, "drift page"),
            }
        )
    lines = [
        "",
        table(rows, {"incident": "planted", "since": "since", "found": "found", "delay": "after", "where": "look at"}),
        "",
        f"{len(document['alerts'])} alerts, {len(document['false_alarms'])} of them false, {len(document['missed'])} incident(s) missed.",
        "",
        f"see it:      auditor dashboard --home {home}",
        f"reports:     {home / 'reports'}",
        f"measurements {home / 'store' / 'auditor.db'}; MLflow: mlflow ui --backend-store-uri sqlite:///{home / 'mlflow' / 'mlflow.db'}",
        f"everything:  {home / 'demo' / 'result.json'}",
    ]
    return "\n".join(lines)
