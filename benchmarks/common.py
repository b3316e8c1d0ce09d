"""What benchmarks share: where results are kept, with which versions, and where the real data is."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def keep(name: str, results: object) -> Path:
    """Write results with versions to `benchmarks/results/<name>.json`."""
    packages = {}
    for package in (
        "auditor",
        "numpy",
        "evidently",
        "fairlearn",
        "codecarbon",
        "mlflow",
        "opentelemetry-sdk",
        "sqlalchemy",
        "pyarrow",
    ):
        try:
            packages[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    machine = {"python": platform.python_version(), "system": platform.system(), "cores": os.cpu_count()}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(
        json.dumps({"machine": machine, "versions": packages, "results": results}, indent=1) + "\n", encoding="utf-8"
    )
    return path


def real_data() -> str | None:
    """The folder of real recordings, or None with a word about it."""
    folder = Path(os.environ.get("AUDITOR_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if (folder / "handwritten-digits").is_dir():
        return str(folder)
    print(f"no real data at {folder}: built-in data only", file=sys.stderr)
    return None
