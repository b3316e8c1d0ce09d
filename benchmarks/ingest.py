"""How many records a CPU second takes from a Parquet file into archive, index and hourly states.

    python benchmarks/ingest.py [--records 1000000] [--rounds 1]

Both files have 25 numeric columns. `plain`: columns are dotted paths. `mapped`: a mapping names them, and a column of labels
stands beside. The command line ingests and drains, in a process of its own (its start counts); then all hours are summarised
on a frame of the first day. CPU time is user and system time of all threads of these processes.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import keep

from auditor.testing.factories import START

TARGETS = {"plain": 30_000, "mapped": 15_000}
NAMES = [f"c{i:02d}" for i in range(25)]
DAYS = 7
MAPPING = f"""\
kind: Mapping
model: {{name: mapped, version: "1"}}
id: {{column: request}}
time: {{column: ts}}
inputs:
  - {{name: form, modality: tabular, columns: [{", ".join(NAMES)}]}}
output: {{label: {{column: pred}}}}
groups: {{site: {{column: site}}}}
label: {{column: truth}}
"""
SUMMARISE = """
import sys
from datetime import timedelta
from pathlib import Path
from auditor.bootstrap import open_app
from auditor.core.window import DAY, Span
from auditor.settings import load_settings
from auditor.statistics.framing import fit_frame
with open_app(load_settings(Path(sys.argv[1])), figures_only=True) as app:
    for model in app.archive.models():
        days = app.archive.days(model)
        frame = fit_frame(app.archive.read(model, Span(days[0], days[0] + DAY)))
        app.pipeline.windows.update(model, Span(days[0], days[-1] + DAY), frame)
        assert app.store.hours(model, Span(days[0], days[-1] + DAY), frame.digest)
"""


def write(folder: Path, n: int) -> None:
    """The two files and the mapping."""
    rng = np.random.default_rng(7)
    step = timedelta(days=DAYS) / n
    time = pa.array([START + index * step for index in range(n)], pa.timestamp("us", tz="UTC"))
    figures = {name: pa.array(rng.normal(size=n)) for name in NAMES}
    yes = [pa.array(np.where(rng.random(n) < 0.3, "yes", "no")) for _ in range(2)]
    plain = {
        "id": pa.array([f"p{index:09d}" for index in range(n)]),
        "time": time,
        "model.name": pa.array(["plain"] * n),
        "inputs.form.modality": pa.array(["tabular"] * n),
        **{f"inputs.form.descriptors.{name}": column for name, column in figures.items()},
        "output.label": yes[0],
    }
    mapped = {
        "request": pa.array([f"m{index:09d}" for index in range(n)]),
        "ts": time,
        **figures,
        "site": pa.array(np.array(["north", "south", "west"])[rng.integers(0, 3, n)]),
        "pred": yes[0],
        "truth": yes[1],
    }
    pq.write_table(pa.table(plain), folder / "plain.parquet")
    pq.write_table(pa.table(mapped), folder / "mapped.parquet")
    (folder / "map.yaml").write_text(MAPPING, encoding="utf-8")


def spent(command: list[str]) -> float:
    """CPU seconds of a process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def one_round(folder: Path, n: int) -> dict[str, float]:
    run = [sys.executable, "-m", "auditor"]
    figures: dict[str, float] = {}
    for name, options in (("plain", []), ("mapped", ["--mapping", str(folder / "map.yaml")])):
        with tempfile.TemporaryDirectory(dir=folder) as home:
            subprocess.run([*run, "init", home], check=True, stdout=subprocess.DEVNULL)
            taken = spent([*run, "ingest", str(folder / f"{name}.parquet"), "--home", home, *options])
            summarised = spent([sys.executable, "-c", SUMMARISE, home])
        figures[f"{name}: ingest and drain, CPU s"] = taken
        figures[f"{name}: summarise, CPU s"] = summarised
        figures[f"{name}, records/CPU s"] = n / (taken + summarised)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), args.records)
        rounds = [one_round(Path(folder), args.records) for _ in range(args.rounds)]
    medians = {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}
    for name, value in medians.items():
        target = TARGETS.get(name.partition(",")[0]) if name.endswith("records/CPU s") else None
        said = "" if target is None else f"   target {target:,}: {'met' if value >= target else 'MISSED'}"
        print(f"{name:36} {value:12,.1f}{said}")
    print(keep("ingest", {"records": args.records, "rounds": rounds, "median": medians, "targets": TARGETS}))


if __name__ == "__main__":
    main()
