"""The `auditor` command: one file a command group, each with `register(commands)`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from auditor import __version__
from auditor.cli import common
from auditor.cli.common import QUIET
from auditor.core.errors import AuditorError, ConfigurationError

GROUPS = (
    "home",
    "demo",
    "audit",
    "ingest",
    "baseline",
    "policy",
    "people",
    "report",
    "serve",
    "key",
    "dashboard",
    "db",
    "plugins",
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError("usage", message, where=self.prog, fix=f"see `{self.prog} --help`")


def parser() -> argparse.ArgumentParser:
    """The whole command line; heavy libraries load only when a command runs."""
    root = _Parser(prog="auditor", description="Watch, measure and judge deployed multimodal models.")
    root.add_argument("--version", action="version", version=f"auditor {__version__}")
    commands = root.add_subparsers(metavar="COMMAND", parser_class=_Parser)
    for group in GROUPS:
        import_module(f"auditor.cli.{group}").register(commands)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command: 0 ok, 1 finding, 2 could not run."""
    for variable, value in QUIET.items():
        os.environ.setdefault(variable, value)
    arguments = sys.argv[1:] if argv is None else list(argv)
    before = common.UMASK = os.umask(0o077)  # what libraries write into a home is private, too
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(common.Plain, streams)  # type: ignore[assignment]
    try:
        root = parser()
        parsed = root.parse_args(arguments)
        if not hasattr(parsed, "run"):
            root.print_help()
            return 0
        code: int = parsed.run(parsed)
        return code
    except AuditorError as error:
        if "--json" in arguments:
            print(json.dumps(error.as_json()))
        print(error.line(), file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("error[interrupted]: stopped by the keyboard; nothing acknowledged is lost", file=sys.stderr)
        return 2
    finally:
        sys.stdout, sys.stderr = streams
        os.umask(before)
