"""`auditor plugins`: what is installed, by kind, and every metric it can measure."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from auditor.cli.common import print_json, table


def register(commands: Any) -> None:
    """Add `plugins`."""
    parser = commands.add_parser("plugins", help="what is installed, and every metric")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print plugins and metrics; 0."""
    from auditor import registry

    plugins = []
    for kind, meaning in registry.KINDS.items():
        usable = registry.available(kind)
        plugins += [
            {
                "kind": kind,
                "name": name,
                "installed": name in usable,
                "version": getattr(usable.get(name), "version", None),
                "meaning": meaning,
                "options": [asdict(option) for option in getattr(usable.get(name), "options", ())],
            }
            for name in registry.names(kind)
        ]
    metrics = [asdict(spec) for _, spec in sorted(registry.catalogue().items())]
    if args.json:
        print_json("plugins", {"plugins": plugins, "metrics": metrics})
    else:
        print(table(plugins, {"kind": "kind", "name": "name", "installed": "installed", "version": "version"}))
        print()
        print(table(metrics, {"name": "metric", "unit": "unit", "meaning": "meaning"}))
    return 0
