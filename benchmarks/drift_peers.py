"""What drift costs elsewhere, on the tables that `benchmarks/drift.py --save FOLDER` left. Prints and keeps one table.

    python benchmarks/drift_peers.py FOLDER [--rounds 3]

NannyML wants libraries that would change this project's pins: run it with the interpreter of an environment that has nannyml.
Seconds are CPU seconds of `calculate` alone, in ten chunks, by method; fitting comes on top and is kept beside it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Any

METHODS = {
    "KS, chi2": ("kolmogorov_smirnov", "chi2"),
    "Wasserstein, L-infinity": ("wasserstein", "l_infinity"),
    "Jensen-Shannon": ("jensen_shannon", "jensen_shannon"),
}


def nannyml(reference: Any, current: Any, rounds: int) -> dict[str, dict[str, float]]:
    import nannyml as nml

    found = {}
    for name, (numbers, words) in METHODS.items():
        fits, runs = [], []
        for _ in range(rounds):
            calculator = nml.UnivariateDriftCalculator(
                column_names=list(reference.columns),
                treat_as_categorical=[column for column in reference.columns if column[0] == "w"],
                continuous_methods=[numbers],
                categorical_methods=[words],
                chunk_number=10,
            )
            began = time.process_time()
            calculator.fit(reference)
            fitted = time.process_time()
            calculator.calculate(current)
            runs.append(time.process_time() - fitted)
            fits.append(fitted - began)
        found[name] = {"fit_s": statistics.median(fits), "calculate_s": statistics.median(runs)}
        print(f"{name:>24} fit {found[name]['fit_s']:.3g} s, calculate {found[name]['calculate_s']:.3g} s")
    return found


def main() -> int:
    import pandas as pd

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    reference, current = (pd.read_parquet(options.folder / f"{name}.parquet") for name in ("reference", "current"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = nannyml(reference, current, options.rounds)
    versions = {name: importlib.metadata.version(name) for name in ("nannyml", "pandas", "numpy")}
    path = Path(__file__).parent / "results" / "drift_peers.json"
    text = json.dumps({"rows": len(current), "nannyml": found, "versions": versions}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
