"""The record index on PostgreSQL over millions of lines: as it is, and cut into sixteen partitions by the hash of the id.

    python benchmarks/index.py --postgres URL [--millions 3]

URL names an empty database that may be written to. Batches of 20 000 lines go in by the store's own `claim`, alternately into
either form; `ordered` ids begin with the time, as the agent makes them, `random` ones do not. Told for each million: lines a
second, and microseconds to locate one of 1000 ids that are there.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from common import keep
from sqlalchemy import text

from auditor.ports import IndexEntry
from auditor.store.database import Database
from auditor.store.schema import upgrade
from auditor.store.sql import SqlStore

BATCH = 20_000
PARTITIONS = 16


def make(url: str) -> None:
    """The index beside a partitioned one."""
    database = Database(url)
    upgrade(database)
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE whole (LIKE record_index INCLUDING ALL)"))
        connection.execute(text("CREATE TABLE parted (LIKE record_index, PRIMARY KEY (id)) PARTITION BY HASH (id)"))
        for part in range(PARTITIONS):
            rest = f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {part})"
            connection.execute(text(f"CREATE TABLE parted_{part} PARTITION OF parted {rest}"))
    database.close()


def entries(begin: int, ordered: bool, rng: random.Random) -> list[IndexEntry]:
    front = (lambda place: f"{begin + place:012x}") if ordered else (lambda _: f"{rng.getrandbits(48):012x}")
    return [
        IndexEntry(f"{front(place)}-{rng.getrandbits(80):020x}", f"{rng.getrandbits(128):032x}", "m", "2026-03-02", "s")
        for place in range(BATCH)
    ]


def become(store: SqlStore, form: str, *, back: bool = False) -> None:
    """Have the store's statements meet another table, by its name."""
    with store._database.writing() as connection:
        one, other = ("record_index", form) if back else (form, "record_index")
        connection.execute(text(f"ALTER TABLE {one} RENAME TO {other}"))


def run(url: str, millions: int, *, ordered: bool) -> list[dict[str, float]]:
    make(url)
    store = SqlStore(url)
    with store._database.writing() as connection:
        connection.execute(text("ALTER TABLE record_index RENAME TO aside"))
    rng = random.Random(3)
    known: list[str] = []
    found = []
    for million in range(millions):
        seconds: dict[str, list[float]] = {"whole": [], "parted": []}
        locate: dict[str, list[float]] = {"whole": [], "parted": []}
        for batch in range(1_000_000 // BATCH):
            lines = entries(million * 1_000_000 + batch * BATCH, ordered, rng)
            known += [entry.id for entry in lines[::200]]
            asked = rng.sample(known, min(1000, len(known)))
            for form in ("whole", "parted") if batch % 2 else ("parted", "whole"):
                become(store, form)
                began = time.perf_counter()
                assert set(store.claim(lines)) == {"new"}
                seconds[form].append(time.perf_counter() - began)
                began = time.perf_counter()
                assert len(store.locate(asked)) == len(asked)
                locate[form].append((time.perf_counter() - began) / len(asked))
                become(store, form, back=True)
        row = {"lines": float((million + 1) * 1_000_000)}
        for form in seconds:
            row[f"{form}, lines/s"] = BATCH / statistics.median(seconds[form])
            row[f"{form}, locate us"] = 1e6 * statistics.median(locate[form])
        found.append(row)
        print("ordered" if ordered else "random ", {name: round(value) for name, value in row.items()}, flush=True)
    with store._database.writing() as connection:
        for table in ("whole", "parted"):
            connection.execute(text(f"DROP TABLE {table}"))
        connection.execute(text("ALTER TABLE aside RENAME TO record_index"))
    store.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgres", metavar="URL")
    parser.add_argument("--millions", type=int, default=3)
    args = parser.parse_args()
    if not args.postgres:
        print("not run: --postgres names an empty database")
        return
    results: dict[str, Any] = {}
    for name, ordered in (("ordered", True), ("random", False)):
        results[name] = run(args.postgres, args.millions, ordered=ordered)
    keep("index", results)


if __name__ == "__main__":
    main()
