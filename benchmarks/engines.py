"""One window over many archived records, summarised by the local engine and by a Dask cluster: same bytes, what CPU time?

    python benchmarks/engines.py [--records 1000000] [--days 10] [--rounds 5]

The cluster is a real one on this machine: a scheduler and two worker processes. CPU time of the local engine is that of this
process; of Dask, of this process (client and scheduler) and both workers together, their start-up (imports, a first window)
left out. Workers run as Dask starts them, and as docs/howto/run-on-dask.md does: allowed to keep freed memory. What two
processes cost without any cluster is measured beside them: each summarises half of the days and pickles its states, which
nobody reads or merges. All take turns, and the median over rounds is reported.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import pickle
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from common import keep

from auditor.audit.summarise import fit_frame, summarise_hours
from auditor.core.codec import encode_state
from auditor.core.frame import Frame
from auditor.core.identity import digest
from auditor.core.rollup import merge_window
from auditor.core.state import WindowState
from auditor.core.window import DAY, HOUR, Span
from auditor.engines import dask, local
from auditor.intake import schema
from auditor.intake.archive import ParquetArchive
from auditor.testing.factories import START

TARGET = 1.3
KEEPING = {"MALLOC_TRIM_THRESHOLD_": "268435456", "MALLOC_MMAP_THRESHOLD_": "33554432"}
"""Environment of workers that keep freed memory, as docs/howto/run-on-dask.md sets it."""
Work = Callable[[], tuple[bytes, float, float]]
NAMES = [f"c{i}" for i in range(10)]
CHUNK = 25_000


def fill(archive: ParquetArchive, records: int, days: int) -> None:
    rng = np.random.default_rng(3)
    model = schema.ModelRef(name="bench", version="1")
    each = records // days
    for day in range(days):
        for start in range(0, each, CHUNK):
            size = min(CHUNK, each - start)
            rows = rng.normal(day / 10, 1, (size, len(NAMES))).tolist()
            archive.write(
                [
                    schema.Record(
                        id=f"{day:04d}{start + i:08d}",
                        time=START + day * DAY + (start + i) * DAY / each,
                        model=model,
                        inputs=(schema.Input(name="form", modality="tabular", descriptors=dict(zip(NAMES, row))),),
                        output=schema.Output(label=str(i % 7)),
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


@contextmanager
def on_dask(
    archive: ParquetArchive, frame: Frame, days: Sequence[datetime], *, variables: Mapping[str, str]
) -> Iterator[tuple[Work, Callable[[], float]]]:
    from distributed import Client, LocalCluster

    os.environ.update(variables)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as them,
        Client(them.scheduler_address, set_as_default=False) as client,
    ):
        engine = dask.PLUGIN.configure(address=them.scheduler_address)
        client.run(summarise, archive, frame, days[0])  # imports, on both workers
        window(engine, archive, frame, days[:2])

        def work() -> tuple[bytes, float, float]:
            cpu, wall = cpu_of(client), time.perf_counter()
            found = window(engine, archive, frame, days)
            return found, cpu_of(client) - cpu, time.perf_counter() - wall

        yield work, partial(idle, client)


def idle(client: Any) -> float:
    """CPU seconds a second that the cluster uses while it has nothing to do: heartbeats, and profiling of its workers."""
    cpu, wall = cpu_of(client), time.perf_counter()
    time.sleep(2)
    return (cpu_of(client) - cpu) / (time.perf_counter() - wall)


def on_local(archive: ParquetArchive, frame: Frame, days: Sequence[datetime]) -> tuple[bytes, float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    found = window(local.PLUGIN, archive, frame, days)
    return found, time.process_time() - cpu, time.perf_counter() - wall


@contextmanager
def plain_pair(archive: ParquetArchive, frame: Frame, days: Sequence[datetime]) -> Iterator[Callable[[], float]]:
    """CPU seconds of two processes that summarise half of the days each, at the same time."""
    context = multiprocessing.get_context("spawn")
    alone = [ProcessPoolExecutor(1, mp_context=context) for _ in range(2)]

    def work() -> float:
        halves = [pool.submit(half, archive, frame, days[place::2]) for place, pool in enumerate(alone)]
        return sum(result.result() for result in halves)

    try:
        work()
        yield work
    finally:
        for pool in alone:
            pool.shutdown()


def half(archive: ParquetArchive, frame: Frame, days: Sequence[datetime]) -> float:
    cpu = time.process_time()
    for day in days:
        pickle.dumps(summarise(archive, frame, day), protocol=pickle.HIGHEST_PROTOCOL)
    return time.process_time() - cpu


def compare(
    archive: ParquetArchive, frame: Frame, days: Sequence[datetime], rounds: int, variables: Mapping[str, str]
) -> dict[str, Any]:
    """Medians over rounds in which the local engine and a cluster take turns."""
    pairs, plain = [], []
    window(local.PLUGIN, archive, frame, days[:1])
    for name in KEEPING:  # a nanny leaves its workers' variables in the process that holds it
        os.environ.pop(name, None)
    with (
        plain_pair(archive, frame, days) as both,
        on_dask(archive, frame, days, variables=variables) as (cluster, resting),
    ):
        for _ in range(rounds):
            pairs.append((on_local(archive, frame, days), cluster()))
            plain.append(both())
        upkeep = resting()
    median = statistics.median
    return {
        "digest of the window's state": digest(pairs[0][0][0]),
        "same bytes": all(mine[0] == theirs[0] == pairs[0][0][0] for mine, theirs in pairs),
        "local, CPU s": median(mine[1] for mine, _ in pairs),
        "local, wall s": median(mine[2] for mine, _ in pairs),
        "dask, CPU s": median(theirs[1] for _, theirs in pairs),
        "dask, wall s": median(theirs[2] for _, theirs in pairs),
        "two plain processes, CPU s": median(plain),
        "dask at rest, CPU s a second": upkeep,
        "dask over local, CPU": median(theirs[1] / mine[1] for mine, theirs in pairs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    days = [START + timedelta(days=day) for day in range(args.days)]
    with tempfile.TemporaryDirectory() as folder:
        archive = ParquetArchive(f"{folder}/archive", Path(folder, "quarantine"))
        fill(archive, args.records, args.days)
        frame = fit_frame(archive.read("bench", Span(days[0], days[0] + DAY)))
        found = {
            name: compare(archive, frame, days, args.rounds, variables)
            for name, variables in (("as Dask starts workers", {}), ("keeping freed memory", KEEPING))
        }
    for name, figures in found.items():
        print(name)
        for figure, value in figures.items():
            print(f"  {figure:30} {value if isinstance(value, (str, bool)) else round(value, 3)}")
        met = figures["same bytes"] and figures["dask over local, CPU"] <= TARGET
        print(f"  target: same bytes, CPU at most {TARGET}x: {'met' if met else 'MISSED'}")
    print(keep("engines", {"records": args.records, "days": args.days, "target": TARGET, **found}))


if __name__ == "__main__":
    main()
