"""`auditor init DIR` makes a home; `auditor doctor` says what works, what is missing and how to get it."""

from __future__ import annotations

import argparse
import os
import sqlite3
import stat
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from auditor.cli.common import add_common, print_json, table
from auditor.settings import Home, find_home, load_settings

LIBRARIES = {
    "evidently": ("evidently", "full drift reports"),
    "fairlearn": ("fairness", "bias slices"),
    "codecarbon": ("energy", "energy of the model's process"),
    "mlflow": ("mlflow", "copies of every audit in MLflow"),
    "streamlit": ("dashboard", "the dashboard"),
    "psycopg": ("postgres", "a PostgreSQL store"),
    "sklearn": ("demo", "the demo's model"),
    "dask": ("dask", "the distributed engine"),
}


def register(commands: Any) -> None:
    """Add `init` and `doctor`."""
    init = commands.add_parser("init", help="make a home")
    init.add_argument("folder", metavar="DIR", type=Path)
    init.add_argument("--json", action="store_true", help="print the result as one JSON document")
    init.set_defaults(run=run_init)
    doctor = commands.add_parser("doctor", help="say what works, what is missing, how to get it")
    add_common(doctor)
    doctor.set_defaults(run=run_doctor)


def run_init(args: argparse.Namespace) -> int:
    """Make the home; 0."""
    from auditor.bootstrap import init_home

    home = init_home(args.folder)
    if args.json:
        print_json("home", {"home": str(home.root)})
    else:
        print(
            f"made {home.root}; next: point an agent at it (Agent(..., home={str(home.root)!r})), then `auditor audit`"
        )
    return 0


def run_doctor(args: argparse.Namespace) -> int:
    """Check the machine and the home; 1 when something that is configured cannot work."""
    rows = [_python(), _sqlite(), *(_library(name) for name in LIBRARIES)]
    home = find_home(args.home)
    if home is not None:
        rows += _home(home)
    found = any(row["state"] == "broken" for row in rows)
    if args.json:
        print_json("doctor", {"home": str(home) if home else None, "checks": rows})
    else:
        print(table(rows, {"what": "what", "state": "state", "found": "found", "note": "note"}))
        if home is None:
            print("\nno home here: `auditor init DIR` makes one")
    return 1 if found else 0


def _python() -> dict[str, str]:
    return {"what": "python", "state": "ok", "found": sys.version.split()[0], "note": ""}


def _sqlite() -> dict[str, str]:
    version = sqlite3.sqlite_version_info
    safe = version >= (3, 51, 3) or (
        version[:2] in ((3, 50), (3, 44)) and version >= {50: (3, 50, 7), 44: (3, 44, 6)}[version[1]]
    )
    note = "" if safe else "has the WAL-reset fault: auditor keeps one writing process (writer.lock)"
    return {"what": "sqlite", "state": "ok", "found": sqlite3.sqlite_version, "note": note}


def _library(module: str) -> dict[str, str]:
    extra, use = LIBRARIES[module]
    name = {"sklearn": "scikit-learn"}.get(module, module)
    try:
        return {"what": name, "state": "ok", "found": metadata.version(name), "note": use}
    except metadata.PackageNotFoundError:
        return {"what": name, "state": "missing", "found": "", "note": f"{use}: pip install 'auditor[{extra}]'"}


def _home(folder: Path) -> list[dict[str, str]]:
    from auditor.bootstrap import load_policies, open_queries
    from auditor.core.errors import AuditorError

    rows = []
    try:
        settings = load_settings(folder)
        rows.append({"what": "home", "state": "ok", "found": str(folder), "note": ""})
        mode = stat.S_IMODE(folder.stat().st_mode)
        rows.append(
            {
                "what": "private",
                "state": "broken" if mode & 0o007 else "ok",
                "found": f"mode {mode:04o}",
                "note": f"other users may read it: chmod o-rwx {folder}" if mode & 0o007 else "",
            }
        )
        policies = load_policies(settings)
        rows.append({"what": "policies", "state": "ok", "found": f"{len(policies.policies)} in force", "note": ""})
        if settings.store.url or Home(folder).store.exists():
            models = open_queries(settings).models()
            rows.append({"what": "store", "state": "ok", "found": f"{len(models)} model(s)", "note": ""})
        else:
            rows.append({"what": "store", "state": "ok", "found": "empty", "note": "made by the first audit"})
        writable = os.access(folder, os.W_OK)
        rows.append(
            {
                "what": "writable",
                "state": "ok" if writable else "broken",
                "found": "yes" if writable else "no",
                "note": "",
            }
        )
    except AuditorError as error:
        rows.append({"what": "home", "state": "broken", "found": error.code, "note": str(error)})
    return rows
