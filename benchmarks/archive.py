"""Reading 10 columns of many archived records, against `pandas.read_sql` of the same columns from SQLite.

    python benchmarks/archive.py [--records 1000000] [--rounds 3]

The same records (id, time, 25 figures) are written to an archive, in files of 32 768 as a drain writes them, and inserted
into one SQLite table. Then 10 columns of all of them are read, in turn: by `ParquetArchive.scan` (Arrow columns), by
`ParquetArchive.columns` (numpy, in the order of the ids) and by `pandas.read_sql`; once more after the files of the day were
merged into one. Sums of the columns are compared, so that all have read the same.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pyarrow.compute as pc
from common import keep
from sqlalchemy import Column, Float, MetaData, String, Table, create_engine, insert

from auditor.core.window import DAY, Span, format_time
from auditor.intake import schema
from auditor.intake.archive import ParquetArchive
from auditor.testing.factories import START

TARGET = 20.0
NAMES = [f"c{i:02d}" for i in range(25)]
PATHS = [f"inputs.form.descriptors.{name}" for name in NAMES[:8]]
CHUNK = 32_768


def chunks(n: int) -> Iterator[tuple[list[str], list[Any], np.ndarray]]:
    rng = np.random.default_rng(7)
    for start in range(0, n, CHUNK):
        size = min(CHUNK, n - start)
        ids = [f"{start + i:08d}-0000-7000-8000-{noise:012x}" for i, noise in enumerate(rng.integers(0, 2**48, size))]
        times = [START + (start + i) * DAY / n for i in range(size)]
        yield ids, times, rng.random((size, len(NAMES)))


def fill(n: int, archive: ParquetArchive, engine: Any, table: Table) -> None:
    model = schema.ModelRef(name="bench", version="1")
    with engine.begin() as connection:
        for index, (ids, times, figures) in enumerate(chunks(n)):
            rows = figures.tolist()
            archive.write(
                [
                    schema.Record(
                        id=i,
                        time=t,
                        model=model,
                        inputs=(schema.Input(name="form", modality="tabular", descriptors=dict(zip(NAMES, row))),),
                    )
                    for i, t, row in zip(ids, times, rows)
                ],
                f"{index:08d}",
            )
            connection.execute(
                insert(table),
                [{"id": i, "time": format_time(t), **dict(zip(NAMES, row))} for i, t, row in zip(ids, times, rows)],
            )


def timed(work: Any) -> tuple[float, Any]:
    begin = time.perf_counter()
    found = work()
    return time.perf_counter() - begin, found


def compare(archive: ParquetArchive, engine: Any, span: Span, rounds: int, n: int) -> dict[str, float]:
    import pandas

    query = f"SELECT id, time, {', '.join(NAMES[:8])} FROM rows"
    seconds: dict[str, list[float]] = {"scan": [], "columns": [], "read_sql": []}
    for _ in range(rounds):
        took, scanned = timed(lambda: archive.scan("bench", span, PATHS))
        seconds["scan"].append(took)
        took, columns = timed(lambda: archive.columns("bench", span, PATHS))
        seconds["columns"].append(took)
        took, frame = timed(lambda: pandas.read_sql(query, engine))
        seconds["read_sql"].append(took)
        assert scanned.num_rows == len(frame) == len(columns["id"]) == n
        for path, name in zip(PATHS, NAMES):
            expected = float(frame[name].sum())
            assert abs(pc.sum(scanned[path]).as_py() - expected) < 1e-6 * n
            assert abs(float(columns[path].sum()) - expected) < 1e-6 * n
        del scanned, columns, frame
    found = {f"{name}, s": statistics.median(values) for name, values in seconds.items()}
    for name in ("scan", "columns"):
        ratios = [sql / mine for sql, mine in zip(seconds["read_sql"], seconds[name])]
        found[f"read_sql over {name}"] = statistics.median(ratios)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    span = Span(START, START + timedelta(days=1))
    results: dict[str, Any] = {"records": args.records, "target": TARGET}
    with tempfile.TemporaryDirectory() as folder:
        archive = ParquetArchive(f"{folder}/archive", Path(folder, "quarantine"))
        table = Table(
            "rows",
            MetaData(),
            Column("id", String, primary_key=True),
            Column("time", String),
            *(Column(name, Float) for name in NAMES),
        )
        engine = create_engine(f"sqlite:///{folder}/rows.db")
        table.metadata.create_all(engine)
        results["filling, s"], _ = timed(lambda: fill(args.records, archive, engine, table))
        results["MiB archive"] = sum(p.stat().st_size for p in Path(folder, "archive").rglob("*.parquet")) / 2**20
        results["MiB SQLite"] = Path(folder, "rows.db").stat().st_size / 2**20
        results["files of a drain"] = compare(archive, engine, span, args.rounds, args.records)
        results["merging, s"], _ = timed(lambda: archive.compact("bench", f"{START:%Y-%m-%d}"))
        results["one file"] = compare(archive, engine, span, args.rounds, args.records)
        engine.dispose()
    for name, value in results.items():
        if isinstance(value, dict):
            print(name)
            for key, figure in value.items():
                goal = (
                    f"   target {TARGET:g}: {'met' if figure >= TARGET else 'MISSED'}"
                    if "scan" in key and "over" in key
                    else ""
                )
                print(f"  {key:28} {figure:10.3f}{goal}")
        else:
            print(f"{name:30} {value:10.3f}")
    print(keep("archive", results))


if __name__ == "__main__":
    main()
