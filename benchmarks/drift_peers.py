"""What drift costs in peers that want environments of their own. Prints and keeps what was run, with versions.

    python benchmarks/drift_peers.py nannyml --tables FOLDER    the tables that `benchmarks/drift.py --save FOLDER` left
    python benchmarks/drift_peers.py mmd                        needs alibi-detect with torch, and auditor

Seconds are CPU seconds. NannyML's are those of `calculate` alone, in ten chunks, by method; fitting is kept beside them.
`mmd` is a kernel distance with its p-value between 5000 rows of 512 numbers on either side: Alibi Detect's with 100
permutations, and auditor's from the rows to the reading (baseline and frame stand, as Alibi's reference does).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
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
    os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"  # it would report each run to its makers
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


def mmd(rounds: int) -> dict[str, float]:
    import numpy as np
    from alibi_detect.cd import MMDDrift

    from auditor.audit.summarise import fit_frame, summarise_hours
    from auditor.core.state import merge_all
    from auditor.drift import kernel

    sys.path.insert(0, str(Path(__file__).parent))
    from drift import HOUR, START, as_rows

    rng = np.random.default_rng(1)
    then, now = (rng.standard_normal((5000, 512), np.float32) for _ in range(2))
    hours = [START + i * HOUR for i in range(24)]
    week, day = (as_rows({}, {}, {"embedding": x}) for x in (then, now))
    frame = fit_frame(week)
    baseline = merge_all(summarise_hours(week, frame, hours))
    detector = MMDDrift(then, backend="pytorch", n_permutations=100)
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        began = time.process_time()
        state = merge_all(summarise_hours(day, frame, hours))
        summarised = time.process_time()
        list(kernel.PLUGIN.measure(state, baseline, frame))
        measured = time.process_time()
        detector.predict(now)
        theirs.append(time.process_time() - measured)
        ours.append(measured - began)
        print(f"state {summarised - began:.3g} s, reading {measured - summarised:.3g} s, Alibi {theirs[-1]:.3g} s")
    found = {"auditor_s": statistics.median(ours), "alibi_s": statistics.median(theirs)}
    return {**found, "ratio": found["alibi_s"] / found["auditor_s"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", choices=["nannyml", "mmd"])
    parser.add_argument("--tables", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: dict[str, Any]
        if options.peer == "mmd":
            found, packages = mmd(options.rounds), ("alibi-detect", "torch", "numpy")
        else:
            import pandas as pd

            sides = [pd.read_parquet(options.tables / f"{name}.parquet") for name in ("reference", "current")]
            found, packages = nannyml(*sides, options.rounds), ("nannyml", "pandas", "numpy")
    path = Path(__file__).parent / "results" / "drift_peers.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    kept[options.peer] = {**found, "versions": {name: importlib.metadata.version(name) for name in packages}}
    path.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
