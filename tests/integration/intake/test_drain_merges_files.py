"""Many small drains leave few files, each record in exactly one; labels and repeated deliveries still find their records."""

from collections import Counter

import pyarrow.parquet as pq

from auditor.core.identity import canonical_json
from auditor.core.window import DAY, HOUR, Span, floor_to
from auditor.intake.archive import ParquetArchive
from auditor.intake.drain import HomeIntake
from auditor.segments import SegmentWriter
from auditor.settings import Home
from auditor.store.sql import SqlStore
from auditor.testing.factories import MODEL, START
from auditor.testing.synthetic import make_records


def frame(kind, item):
    return kind, canonical_json(item.as_json())


def ids_of(home):
    return [
        name for file in home.archive.rglob("records/**/*.parquet") for name in pq.read_table(file)["id"].to_pylist()
    ]


def test_files_of_many_drains_are_merged(tmp_path):
    home = Home(tmp_path)
    store = SqlStore(f"sqlite:///{tmp_path}/store/auditor.db")
    archive = ParquetArchive(home.archive, home.quarantine, checksums=store)
    intake = HomeIntake(home, archive, store)
    records, labels = make_records(60, seed=7, span=2 * DAY)

    def send(session, frames):
        writer = SegmentWriter(home.spool / session)
        writer.append(frames)
        writer.close()
        return intake.drain()

    for index in range(30):
        send(f"a{index}", [frame("record", record) for record in records[2 * index : 2 * index + 2]])
    assert Counter(ids_of(home)) == Counter(record.id for record in records)
    first, second = (
        list((home.archive / f"records/model={MODEL}/day={START + day * DAY:%Y-%m-%d}").iterdir()) for day in (0, 1)
    )
    assert len(first) == 1, "the day that is over is one file"
    assert first[0].name.startswith("part-day-")
    assert len(second) <= 8
    assert {part.path for part in store.parts("records")} == {
        str(path.relative_to(home.archive)) for path in [*first, *second]
    }

    store.put_states(MODEL, [START + hour * HOUR for hour in range(48)], "frame", [])
    label = labels[3]
    hour = next(floor_to(record.time, HOUR) for record in records if record.id == label.id)
    send("l", [frame("label", label)])
    assert list(store.dirty(MODEL)) == [hour], "found in the merged file: not every hour of the day is read again"
    again = send("again", [frame("record", record) for record in records])
    assert (again.accepted, again.duplicates) == (0, 60)
    rows = archive.read(MODEL, Span(START, START + 2 * DAY))
    assert rows.n == 60
    assert sum(value is not None for value in rows.truth) == 1
    store.close()
