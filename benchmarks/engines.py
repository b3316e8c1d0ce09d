"""One window over many archived records, summarised by the local engine and by a Dask cluster: same bytes, what CPU time?

    python benchmarks/engines.py [--records 1000000] [--days 10]

The cluster is a real one on this machine: a scheduler and two worker processes. CPU time of the local engine is that of this
process; of Dask, of this process (client and scheduler) and both workers together, their start-up left out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from common import keep

from auditor.core.codec import encode_state
from auditor.core.frame import Frame
from auditor.core.identity import digest
from auditor.core.rollup import merge_window
from auditor.core.state import WindowState
from auditor.core.window import DAY, HOUR, Span
from auditor.engines import dask, local
from auditor.intake import wire
from auditor.intake.archive import ParquetArchive
from auditor.summarise import fit_frame, summarise_hours
from auditor.testing.factories import START

TARGET = 1.3
NAMES = [f"c{i}" for i in range(10)]
CHUNK = 25_000


def fill(archive: ParquetArchive, records: int, days: int) -> None:
    rng = np.random.default_rng(3)
    model = wire.Model("bench", "1")
    each = records // days
    for day in range(days):
        for start in range(0, each, CHUNK):
            size = min(CHUNK, each - start)
            rows = rng.normal(day / 10, 1, (size, len(NAMES))).tolist()
            archive.write(
                [
                    wire.Record(
                        f"{day:04d}{start + i:08d}",
                        START + day * DAY + (start + i) * DAY / each,
                        model,
                        [wire.Input("form", "tabular", descriptors=dict(zip(NAMES, row)))],
                        output=wire.Output(label=str(i % 7)),
                    )
                    for i, row in enumerate(rows)
                ],
                f"{start:08d}",
            )


def summarise(archive: ParquetArchive, frame: Frame, day: datetime) -> list[WindowState]:
    rows = archive.read("bench", Span(day, day + DAY))
    return summarise_hours(rows, frame, [day + hour * HOUR for hour in range(24)])


def window(engine: Any, archive: ParquetArchive, frame: Frame, days: Sequence[datetime]) -> bytes:
    states = [state for found in engine.map(partial(summarise, archive, frame), days) for state in found]
    return encode_state(merge_window(states, Span(days[0], days[-1] + DAY)))


def cpu_of(client: Any) -> float:
    return time.process_time() + sum(client.run(time.process_time).values())


def on_dask(archive: ParquetArchive, frame: Frame, days: Sequence[datetime]) -> tuple[bytes, float, float]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as them,
        Client(them.scheduler_address, set_as_default=False) as client,
    ):
        engine = dask.PLUGIN.configure(address=them.scheduler_address)
        client.run(summarise, archive, frame, days[0])  # imports, on both workers
        window(engine, archive, frame, days[:2])
        cpu, wall = cpu_of(client), time.perf_counter()
        found = window(engine, archive, frame, days)
        return found, cpu_of(client) - cpu, time.perf_counter() - wall


def on_local(archive: ParquetArchive, frame: Frame, days: Sequence[datetime]) -> tuple[bytes, float, float]:
    window(local.PLUGIN, archive, frame, days[:1])
    cpu, wall = time.process_time(), time.perf_counter()
    found = window(local.PLUGIN, archive, frame, days)
    return found, time.process_time() - cpu, time.perf_counter() - wall


def rounds(archive: ParquetArchive, frame: Frame, days: Sequence[datetime]) -> Iterator[tuple[str, Any]]:
    mine, local_cpu, local_wall = on_local(archive, frame, days)
    theirs, dask_cpu, dask_wall = on_dask(archive, frame, days)
    yield "digest of the window's state", digest(mine)
    yield "same bytes", mine == theirs
    yield "local, CPU s", local_cpu
    yield "local, wall s", local_wall
    yield "dask, CPU s", dask_cpu
    yield "dask, wall s", dask_wall
    yield "dask over local, CPU", dask_cpu / local_cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=10)
    args = parser.parse_args()
    days = [START + timedelta(days=day) for day in range(args.days)]
    with tempfile.TemporaryDirectory() as folder:
        archive = ParquetArchive(f"{folder}/archive", Path(folder, "quarantine"))
        fill(archive, args.records, args.days)
        frame = fit_frame(archive.read("bench", Span(days[0], days[0] + DAY)))
        found = dict(rounds(archive, frame, days))
    met = found["same bytes"] and found["dask over local, CPU"] <= TARGET
    for name, value in found.items():
        print(f"{name:30} {value if isinstance(value, (str, bool)) else round(value, 3)}")
    print(f"target: same bytes, CPU at most {TARGET}x: {'met' if met else 'MISSED'}")
    print(keep("engines", {"records": args.records, "days": args.days, "target": TARGET, **found}))


if __name__ == "__main__":
    main()
