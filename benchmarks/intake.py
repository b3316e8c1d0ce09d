"""How fast records become durable, archived and readable, against doing the same with SQLAlchemy and pandas.

    python benchmarks/intake.py [--records 20000] [--rounds 5] [--postgres URL]

Variants take turns within a round; ratios are taken within a round, and the median over rounds is reported. A record
has 25 numbers, a label and a group (900 bytes of JSON).

- append: frames into a segment, 100 records an fsync.
- drain: segments of an agent -> archive, index, dirty hours, on SQLite (one core), in CPU time against SQLAlchemy Core
  inserting the same records as rows into SQLite (batches of 1000, one transaction): id, time and 25 figures with the
  record as JSON and an index on the time, which is what can be searched and given back as the archive's files can; and,
  without a target, the 27 bare columns. Both begin with ready Python values, the drain with bytes. By wall clock too: read
  that on a quiet machine alone. `of what was posted`: of the service's segments, bodies of 100 records.
- index: lines of the record index into PostgreSQL, against SQLAlchemy Core executemany of the same (with `--postgres`, an
  empty database that may be written to).
- read: 10 columns of a day, against `pandas.read_sql` of the same columns from SQLite; see archive.py for a million records.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from common import keep
from sqlalchemy import JSON, Column, Engine, Float, MetaData, String, Table, create_engine, insert

from auditor.core.identity import canonical_json
from auditor.core.window import DAY, Span, format_time
from auditor.intake.archive import ParquetArchive
from auditor.intake.drain import HomeIntake
from auditor.ports import IndexEntry
from auditor.segments import SegmentWriter
from auditor.settings import Home
from auditor.store.database import Database
from auditor.store.schema import upgrade
from auditor.store.sql import SqlStore
from auditor.store.tables import record_index
from auditor.testing.factories import START

TARGETS = {"drain over SQLAlchemy inserts": 1.0, "index over executemany on PostgreSQL": 2.0}
NAMES = [f"c{i:02d}" for i in range(25)]
READ = ["id", "time", *NAMES[:8]]


def make(n: int) -> list[tuple[str, datetime, list[float]]]:
    rng = random.Random(7)
    return [
        (f"{i:08d}-0000-7000-8000-{rng.getrandbits(48):012x}", START + i * DAY / n, [rng.random() for _ in NAMES])
        for i in range(n)
    ]


def frames(rows: list[tuple[str, datetime, list[float]]]) -> Iterator[list[tuple[str, bytes]]]:
    batch = []
    for identifier, moment, values in rows:
        record = {
            "id": identifier,
            "time": format_time(moment),
            "model": {"name": "bench", "version": "1"},
            "inputs": [
                {"name": "photo", "modality": "image", "descriptors": dict(zip(NAMES[:15], values, strict=False))},
                {"name": "clip", "modality": "audio", "descriptors": dict(zip(NAMES[15:], values[15:], strict=True))},
            ],
            "output": {"label": identifier[7]},
            "groups": {"site": "north"},
        }
        batch.append(("record", canonical_json(record)))
        if len(batch) == 100:
            yield batch
            batch = []
    if batch:
        yield batch


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def table(*, full: bool) -> Table:
    columns = [Column(name, Float) for name in NAMES] + ([Column("record", JSON)] if full else [])
    return Table(
        "full" if full else "rows",
        MetaData(),
        Column("id", String, primary_key=True),
        Column("time", String, index=full),
        *columns,
    )


def inserted(engine: Engine, target: Table, rows: list[dict[str, Any]]) -> tuple[float, float]:
    target.metadata.create_all(engine)

    def insert_all() -> None:
        with engine.begin() as connection:
            for start in range(0, len(rows), 1000):
                connection.execute(insert(target), rows[start : start + 1000])

    return timed(insert_all)


def many(engine: Engine, rows: list[dict[str, Any]]) -> None:
    with engine.begin() as connection:
        connection.execute(insert(record_index), rows)


def indexed(url: str, n: int) -> dict[str, float]:
    """Lines a second into the record index on PostgreSQL, by the store and by SQLAlchemy's executemany."""
    database = Database(url)
    upgrade(database)
    database.close()
    store = SqlStore(url)
    engine = store._database.engine
    seconds: dict[str, list[float]] = {"store": [], "executemany": []}
    for number in range(5):
        entries = [IndexEntry(f"{number}-{i:012x}", f"{i:032x}", "bench", "2026-03-02", f"s{number}") for i in range(n)]
        seconds["store"].append(timed(partial(store.claim, entries))[0])
        rows = [{**entry._asdict(), "id": f"x{entry.id}"} for entry in entries]
        seconds["executemany"].append(timed(partial(many, engine, rows))[0])
    store.close()
    ratios = [theirs / ours for ours, theirs in zip(seconds["store"], seconds["executemany"], strict=True)]
    return {
        "index on PostgreSQL, lines/s": n / statistics.median(seconds["store"]),
        "executemany on PostgreSQL, lines/s": n / statistics.median(seconds["executemany"]),
        "index over executemany on PostgreSQL": statistics.median(ratios),
    }


def drained(home: Home, index: Path) -> tuple[float, float]:
    store = SqlStore(f"sqlite:///{index}")
    try:
        return timed(HomeIntake(home, ParquetArchive(home.archive, home.quarantine), store).drain)
    finally:
        store.close()


def one_round(rows: list[tuple[str, datetime, list[float]]], batches: list[Any], folder: Path) -> dict[str, float]:
    n = len(rows)
    home = Home(folder / "home")
    writer = SegmentWriter(home.spool / "bench")
    append, _ = timed(lambda: [writer.append(batch) for batch in batches])
    writer.close()
    archive = ParquetArchive(home.archive, home.quarantine)
    drain, drain_cpu = drained(home, folder / "index.db")
    posted = Home(folder / "posted")
    writer = SegmentWriter(posted.journal / "bench")
    writer.append([("records", b'{"records":[' + b",".join(body for _, body in batch) + b"]}") for batch in batches])
    writer.close()
    _, posted_cpu = drained(posted, folder / "posted.db")

    engine = create_engine(f"sqlite:///{folder}/rows.db")
    plain = [{"id": i, "time": format_time(t), **dict(zip(NAMES, v, strict=True))} for i, t, v in rows]
    bare, bare_cpu = inserted(engine, table(full=False), plain)
    records = [json.loads(payload) for batch in batches for _, payload in batch]
    full = [{**row, "record": record} for row, record in zip(plain, records, strict=True)]
    sql, sql_cpu = inserted(engine, table(full=True), full)

    import pandas

    span = Span(START, START + timedelta(days=1))
    read, _ = timed(lambda: archive.read("bench", span))
    columns, _ = timed(lambda: archive.scan("bench", span, [f"inputs.photo.descriptors.{c}" for c in NAMES[:8]]))
    query = f"SELECT {', '.join(READ)} FROM rows"
    frame, _ = timed(lambda: pandas.read_sql(query, engine))
    engine.dispose()
    return {
        "append, records/s": n / append,
        "drain, records/s": n / drain,
        "drain, records/CPU s": n / drain_cpu,
        "drain of what was posted, records/CPU s": n / posted_cpu,
        "SQLAlchemy inserts, records/s": n / sql,
        "SQLAlchemy inserts, records/CPU s": n / sql_cpu,
        "SQLAlchemy bare columns, records/CPU s": n / bare_cpu,
        "read all columns, s": read,
        "read 10 columns, s": columns,
        "pandas.read_sql of 10 columns, s": frame,
        "drain over SQLAlchemy inserts": sql_cpu / drain_cpu,
        "drain over SQLAlchemy inserts, wall": sql / drain,
        "drain over bare columns": bare_cpu / drain_cpu,
        "drain over bare columns, wall": bare / drain,
        "read over pandas.read_sql": frame / columns,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--postgres", metavar="URL")
    args = parser.parse_args()
    rows = make(args.records)
    batches = list(frames(rows))
    rounds = []
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as folder:
            rounds.append(one_round(rows, batches, Path(folder)))
    medians = {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}
    if args.postgres:
        medians |= indexed(args.postgres, args.records)
    for name, value in medians.items():
        goal = (
            f"   target {TARGETS[name]:g}: {'met' if value >= TARGETS[name] else 'MISSED'}" if name in TARGETS else ""
        )
        print(f"{name:36} {value:12,.3f}{goal}")
    print(keep("intake", {"records": args.records, "rounds": rounds, "median": medians, "targets": TARGETS}))


if __name__ == "__main__":
    main()
