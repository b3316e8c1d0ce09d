"""`auditor dashboard`: the Streamlit dashboard of a home, on loopback, asking nothing of any other host."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor.cli.common import add_common, note, print_json, settings_for
from auditor.core.errors import ConfigurationError

if TYPE_CHECKING:
    from auditor.settings import Settings

FLAGS = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "server.runOnSave": "false",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "logger.level": "warning",
}
THEME = {
    "theme.light.primaryColor": "#1f6f8b",
    "theme.dark.primaryColor": "#5fb3cf",
    "theme.light.sidebar.backgroundColor": "#f4f6f8",
    "theme.baseRadius": "small",
    "theme.showWidgetBorder": "true",
}


def register(commands: Any) -> None:
    """Add `dashboard`."""
    parser = commands.add_parser("dashboard", help="look at a home in the browser")
    add_common(parser)
    parser.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="where to listen; loopback unless said")
    parser.add_argument("--port", metavar="N", type=int, help="where to listen; [service] dashboard_port unless said")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Become Streamlit; this process returns only when it could not start."""
    import importlib.util

    settings = settings_for(args)
    if importlib.util.find_spec("streamlit") is None:
        raise ConfigurationError(
            "library_missing",
            "the dashboard needs streamlit",
            where="dashboard",
            fix="pip install 'auditor[dashboard]'",
        )
    from auditor.service.hosts import is_loopback

    if not is_loopback(args.host) and not settings.service.dashboard_exposed:
        raise ConfigurationError(
            "no_keys",
            f"{args.host} can be reached from other machines, and the dashboard asks nobody for a key",
            where="--host",
            fix="listen on 127.0.0.1 behind a proxy that asks for keys, or set [service] dashboard_exposed = true",
        )
    port = args.port or settings.service.dashboard_port
    url = f"http://{args.host}:{port}"
    if args.json:
        print_json("dashboard", {"url": url, "home": str(settings.root)})
        sys.stdout.flush()
    else:
        note(f"dashboard of {settings.root}: {url} (stop with Ctrl-C)")
    argv = command(args.host, port)
    os.execve(argv[0], argv, environment(settings))  # noqa: S606 - no shell; the program is this Python


def entry() -> Path:
    """The app's file, in a checkout or in an installed wheel."""
    from auditor.shipped import shipped

    return shipped("dashboards") / "serve.py"


def command(host: str, port: int) -> list[str]:
    """The command line that serves the dashboard."""
    flags = {**FLAGS, **THEME, "server.address": host, "server.port": str(port)}
    options = [part for name, value in flags.items() for part in (f"--{name}", value)]
    return [sys.executable, "-m", "streamlit", "run", str(entry()), *options]


def environment(settings: Settings) -> dict[str, str]:
    """The environment it runs in: the home is named, telemetry is off."""
    return {
        **os.environ,
        "AUDITOR_HOME": str(settings.root),
        "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }
