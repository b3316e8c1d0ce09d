"""The demo over many seeds: what is found, what is missed, what is a false alarm, and how long it takes.

    python benchmarks/demo_seeds.py [--scenario digits|image-text] [--seeds 1-10] [--data built-in|DIR|both] [--held-out]

Plants, `affects` and policies are frozen before the seeds are run. `--held-out` runs seeds 1001-1020 once beside them.
Seeds run two at a time, a run on each core.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from common import keep, real_data


def one(task: tuple[str, int, str | None]) -> dict[str, object]:
    scenario, seed, data = task
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", CODECARBON_LOG_LEVEL="error", DO_NOT_TRACK="1")
    from auditor.demo import digits, image_text

    demo = image_text if scenario == "image-text" else digits
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        outcome = demo.run(Path(folder) / "home", data=Path(data) if data else None, seed=seed, figures_only=True)
        seconds = time.perf_counter() - began
    return {"seed": seed, "seconds": seconds, "document": outcome.document}


def table(title: str, runs: list[dict[str, object]]) -> dict[str, object]:
    documents = [run["document"] for run in runs]
    print(f"\n{title}: {len(runs)} seeds, {statistics.median(run['seconds'] for run in runs):.1f} s a run (median)")
    print(f"  {'incident':30s} {'found':>9s}  {'median delay':>12s}")
    rows = {}
    for index, planted in enumerate(documents[0]["planted"]):
        found = [document["planted"][index] for document in documents if document["planted"][index]["found_by"]]
        delay = statistics.median(entry["delay_s"] for entry in found) / 86400 if found else None
        rows[planted["id"]] = {
            "kind": planted["kind"],
            "found": len(found),
            "of": len(runs),
            "median_delay_days": delay,
        }
        print(
            f"  {planted['id']:30s} {len(found):4d}/{len(runs):<4d}  {'-' if delay is None else f'{delay:.1f} d':>12s}"
        )
    false = {run["seed"]: false_alarms(run["document"]) for run in runs if run["document"]["false_alarms"]}
    total = sum(len(alarms) for alarms in false.values())
    print(f"  false alarms: {total}")
    for seed, alarms in false.items():
        for alarm in alarms:
            print(f"    seed {seed}: [{alarm['kind']}] {alarm['opened']} {alarm['explanation']}")
    return {
        "incidents": rows,
        "false_alarms": total,
        "seconds": {
            "median": statistics.median(run["seconds"] for run in runs),
            "max": max(run["seconds"] for run in runs),
        },
        "seeds": [run["seed"] for run in runs],
    }


def false_alarms(document: dict[str, object]) -> list[dict[str, object]]:
    return [alert for alert in document["alerts"] if alert["id"] in document["false_alarms"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", choices=("digits", "image-text"), default="digits")
    parser.add_argument("--seeds", default="1-10")
    parser.add_argument("--data", default="both")
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    first, _, last = args.seeds.partition("-")
    seeds = list(range(int(first), int(last or first) + 1))
    real = real_data() if args.data == "both" else args.data
    sources = (
        [None] if args.data == "built-in" else [real] if args.data != "both" else [None, *([real] if real else [])]
    )
    results = {}
    with ProcessPoolExecutor(args.workers) as pool:
        for source in sources:
            name = "built-in" if source is None else Path(source).name
            results[name] = table(
                f"{name} data", list(pool.map(one, [(args.scenario, seed, source) for seed in seeds]))
            )
            if args.held_out:
                held = list(pool.map(one, [(args.scenario, seed, source) for seed in range(1001, 1021)]))
                results[f"{name}, held out"] = table(f"{name} data, held-out seeds", held)
    keep("demo_seeds" if args.scenario == "digits" else f"demo_seeds_{args.scenario.replace('-', '_')}", results)
    print(json.dumps({name: {"false_alarms": entry["false_alarms"]} for name, entry in results.items()}))


if __name__ == "__main__":
    main()
