"""`auditor serve`: HTTP intake, scheduler and `/metrics` in one process."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import Any

from auditor.cli.common import add_common, print_json, settings_for


def register(commands: Any) -> None:
    """Add `serve`."""
    parser = commands.add_parser("serve", help="take in records over HTTP, drain, audit when a window closes")
    add_common(parser)
    parser.add_argument("--host", metavar="ADDRESS", help="where to listen; [service] host, when absent")
    parser.add_argument("--port", metavar="N", type=int, help="0: any free one; [service] port, when absent")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM; 0."""
    from auditor.service.server import serve

    settings = settings_for(args)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("auditor").setLevel(logging.INFO)

    def ready(url: str) -> None:
        if args.json:
            print_json("serve", {"url": url, "home": str(settings.root)})
        else:
            print(f"listening on {url}; home {settings.root}")
        sys.stdout.flush()

    return serve(
        settings,
        args.host or settings.service.host,
        settings.service.port if args.port is None else args.port,
        ready,
    )
