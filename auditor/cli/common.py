"""What every command shares: --home, --json, settings and printing."""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import Any, TextIO

from auditor.settings import Settings, find_home, load_settings, no_home

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and line ends, and marks that turn the direction of text."""
UMASK = 0o022
"""The process's umask before a command: of files that a person asked for outside the home."""
QUIET = {
    # Nothing that auditor depends on phones home, prints banners or waits long for a server that is away.
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
    "CODECARBON_LOG_LEVEL": "error",
    # Small matrices: more threads than one only cost, and CPU time would be blurred over requests.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add --home and --json."""
    parser.add_argument(
        "--home", metavar="DIR", help="the home; else AUDITOR_HOME, else the nearest folder with auditor.toml"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")


def settings_for(args: argparse.Namespace) -> Settings:
    """Settings of the home that the arguments, the environment or the folder name; ConfigurationError `no_home` if none."""
    home = find_home(args.home)
    if home is None:
        raise no_home()
    return load_settings(home)


def print_json(schema: str, document: dict[str, Any]) -> None:
    """One JSON document with its schema name; NaN is refused."""
    print(json.dumps({"schema": f"auditor.{schema}/1", **document}, ensure_ascii=False, allow_nan=False))


def note(text: str) -> None:
    """A line for a person, on stderr, so that stdout stays a result."""
    print(text, file=sys.stderr, flush=True)


class Plain:
    r"""A text stream that shows control characters as escapes: a name from outside must not steer the terminal.

    >>> import sys
    >>> count = Plain(sys.stdout).write("a" + chr(27) + "[2Jb\n")
    a\x1b[2Jb
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(_CONTROL.sub(lambda found: repr(found[0])[1:-1], text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def table(rows: list[dict[str, Any]], columns: dict[str, str]) -> str:
    """Rows as aligned text: `columns` maps keys to headings."""
    cells = [list(columns.values())] + [[_cell(row.get(key)) for key in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in cells)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
