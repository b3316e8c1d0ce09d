"""Small archive files become one: the same rows at every moment, whatever interrupts; and a file that was altered is found."""

import io
import itertools
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from at_rest import find

from auditor.core.record import Input
from auditor.core.window import DAY, HOUR, Span, to_us
from auditor.intake import compaction, parts
from auditor.intake.archive import ParquetArchive
from auditor.intake.columns import TIME
from auditor.testing import make_store
from auditor.testing.factories import MODEL, START, make_record
from auditor.testing.synthetic import make_records

SPAN = Span(START, START + DAY)
TODAY = f"{START:%Y-%m-%d}"


def fill(archive, parts=10, n=200):
    records = make_records(n, seed=5, missing=0.2)[0]
    for part in range(parts):
        archive.write(records[part::parts], f"s{part}")


def files(root):
    return sorted(path.name for path in root.rglob("*.parquet"))


def same(left, right):
    assert left.ids.tolist() == right.ids.tolist()
    np.testing.assert_array_equal(left.time_us, right.time_us)
    for family in ("numeric", "vectors", "presence"):
        ours, theirs = getattr(left, family), getattr(right, family)
        assert set(ours) == set(theirs)
        for name, values in ours.items():
            np.testing.assert_array_equal(values, theirs[name])
    for family in ("categorical", "groups", "describer", "commitment"):
        ours, theirs = getattr(left, family), getattr(right, family)
        assert {name: values.tolist() for name, values in ours.items()} == {
            name: values.tolist() for name, values in theirs.items()
        }
    assert left.modality == right.modality


@pytest.fixture
def store():
    return make_store()


@pytest.fixture
def archive(tmp_path, store):
    return ParquetArchive(tmp_path / "archive", tmp_path / "quarantine", checksums=store)


def test_a_day_becomes_one_file_with_the_same_rows(archive, store, tmp_path):
    fill(archive)
    before = archive.read(MODEL, SPAN)
    assert archive.compact(MODEL, TODAY) == 10
    (name,) = files(tmp_path / "archive")
    assert name.startswith("part-day-")
    same(archive.read(MODEL, SPAN), before)
    assert find(archive, before.ids[7]).id == before.ids[7]
    assert len(archive.times(MODEL, TODAY, "s3", before.ids[:5].tolist())) == 5, "found although its part is merged"
    assert [part.path.rpartition("/")[2] for part in store.parts("records")] == [name]
    assert archive.compact(MODEL, TODAY) == 0
    assert archive.damage() == []


def test_columns_that_differ_between_files_keep_their_values(archive):
    def part(name, *records):
        archive.write(list(records), name)

    def one(name, minute, **fields):
        moment = START + timedelta(minutes=minute)
        return make_record(id=name, time=moment, inputs=(Input(name="x", modality="embedding", **fields),))

    part("a", one("a", 3, descriptors={"kind": "scan", "n": 1.0}, embedding=(1.0, 2.0)))
    part("b", one("b", 1, descriptors={"kind": 7.0, "n": "many"}, embedding=(1.0, 2.0, 3.0)))
    part("c", one("c", 2, descriptors={"kind": 8.0}), one("d", 4, descriptors={"kind": "copy", "n": 2.0}))
    part("e", one("e", 5, scores=(0.5, 0.5)))
    before = archive.read(MODEL, SPAN)
    records = {name: find(archive, name) for name in "abcde"}
    assert archive.compact(MODEL, TODAY) == 4
    same(archive.read(MODEL, SPAN), before)
    assert {name: find(archive, name) for name in "abcde"} == records


class StopError(Exception):
    pass


class Failing:
    """A place that stops at its k-th change."""

    def __init__(self, place, k):
        self._place, self._left = place, k

    def __getattr__(self, name):
        found = getattr(self._place, name)
        if name not in ("write", "writer", "remove", "rename"):
            return found

        def change(*args):
            if not self._left:
                raise StopError
            self._left -= 1
            return found(*args)

        return change


def test_cut_short_at_any_step_a_merge_loses_and_doubles_nothing(tmp_path):
    for step in itertools.count():
        archive = ParquetArchive(tmp_path / str(step), tmp_path / "quarantine", checksums=make_store())
        fill(archive, parts=3, n=30)
        before = archive.read(MODEL, SPAN)
        sound = archive._place
        archive._place = archive.kept.place = Failing(sound, step)
        try:
            archive.compact(MODEL, TODAY)
        except StopError:
            archive._place = archive.kept.place = sound
            same(archive.read(MODEL, SPAN), before)
            archive.tidy(MODEL, TODAY)
        else:
            assert step == 5  # written, three removed, renamed
            break
        same(archive.read(MODEL, SPAN), before)
        names = files(tmp_path / str(step))
        assert len(names) == (3 if step == 0 else 1)
        assert all(name.startswith("part-") for name in names)


def test_a_rename_that_copies_first_counts_no_record_twice(archive, tmp_path):
    fill(archive, parts=2, n=20)
    before = archive.read(MODEL, SPAN)
    archive.compact(MODEL, TODAY)
    (part,) = (tmp_path / "archive").rglob("part-*.parquet")
    part.with_name(part.name.replace("part-", "merge-")).write_bytes(part.read_bytes())
    same(archive.read(MODEL, SPAN), before)
    archive.tidy(MODEL, TODAY)
    assert files(tmp_path / "archive") == [part.name]


def test_a_reader_whose_files_are_merged_meanwhile_lists_them_anew(archive, monkeypatch):
    fill(archive, parts=4, n=40)
    before = archive.read(MODEL, SPAN)
    other = ParquetArchive(archive._place.root, archive.kept._quarantine)
    listed = other._in
    calls = []

    def listed_late(day):
        names = listed(day)
        if not calls:
            calls.append(day)
            archive.compact(MODEL, TODAY)
        return names

    monkeypatch.setattr(other, "_in", listed_late)
    same(other.read(MODEL, SPAN), before)
    assert calls


def test_which_files_are_worth_merging():
    small = {f"part-{i}.parquet": 1000 + i for i in range(8)}
    assert compaction.choose(small, closed=False) == sorted(small)
    assert compaction.choose(dict(list(small.items())[:7]), closed=False) == []
    assert compaction.choose({**small, "part-x.parquet": 10**6}, closed=False) == sorted(small)
    assert len(compaction.choose({**small, "part-x.parquet": 10**6}, closed=True)) == 9
    late = {"part-day-1.parquet": 10**7, "part-a.parquet": 5}
    assert compaction.choose(late, closed=True) == [], "a day is merged whole once; what comes late waits for company"
    huge = {f"part-{i}.parquet": compaction.MOST // 2 for i in range(4)}
    assert len(compaction.choose(huge, closed=True)) == 2
    assert compaction.choose(huge, closed=False) == []


def test_an_altered_file_is_set_aside_by_its_checksum(archive, store, tmp_path):
    fill(archive, parts=2, n=40)
    first, second = sorted((tmp_path / "archive").rglob("part-*.parquet"))
    assert {part.size for part in store.parts("")} == {first.stat().st_size, second.stat().st_size}
    first.write_bytes(second.read_bytes())  # a whole file, and not the one that was written
    assert archive.read(MODEL, SPAN).n == 20
    (damage,) = archive.damage()
    assert "SHA-256" in damage.what
    assert not first.exists()
    assert any((tmp_path / "quarantine").iterdir())


def test_a_span_reads_its_rows_alone_and_a_scan_is_plain_arrow(archive):
    fill(archive, parts=3)
    hour = Span(START + 5 * HOUR, START + 6 * HOUR)
    rows = archive.read(MODEL, hour)
    path = "inputs.photo.descriptors.brightness"
    table = archive.scan(MODEL, hour, [path, "nothing"])
    assert table.column_names == ["id", "time", path]
    assert sorted(table["id"].to_pylist()) == rows.ids.tolist()
    found = dict(zip(table["id"].to_pylist(), table[path].to_pylist(), strict=True))
    np.testing.assert_array_equal([found[name] for name in rows.ids], rows.numeric[path])
    assert archive.scan("nobody", hour, [path]).num_rows == 0


def naive(tables):
    """All rows in memory, in order, each id once: what a merge must give, whatever its stretches."""
    whole = compaction.joined(tables)
    _, first = np.unique(whole["id"].to_numpy(zero_copy_only=False).astype(str), return_index=True)
    return whole.take(pa.array(np.sort(first)))


def part_of(rng, columns, size, ids):
    """A part as drains write them: rows by time, few times, some rows that another part has too."""
    found = {
        "id": pa.array([f"r{number}" for number in rng.integers(0, ids, size)]),
        "time": pa.array(to_us(START) + 1_000_000 * rng.integers(0, 40, size)).cast(TIME),
        "sampling": pa.array(np.ones(size)),
    }
    kinds = {
        "number": pa.array(rng.normal(size=size)),
        "word": pa.array(rng.choice(["a", "b"], size)),
        "pair": pa.FixedSizeListArray.from_arrays(pa.array(rng.normal(size=2 * size).astype(np.float32)), 2),
        "triple": pa.FixedSizeListArray.from_arrays(pa.array(rng.normal(size=3 * size).astype(np.float32)), 3),
    }
    found |= {path: kinds[kind] for path, kind in columns.items()}
    table = pa.table(found)
    return table.take(pc.sort_indices(table, [("time", "ascending"), ("id", "ascending")]))


@pytest.mark.parametrize("seed", range(6))
def test_merging_by_stretches_gives_what_merging_in_memory_does(seed, monkeypatch):
    monkeypatch.setattr(parts, "GROUP_ROWS", 16)
    monkeypatch.setattr(compaction, "STRETCH", 10)
    monkeypatch.setattr(compaction, "HELD", 2000 * (seed % 2))
    rng = np.random.default_rng(seed)
    choices = [{"x": "number"}, {"x": "word", "y": "pair"}, {"y": "triple", "x": "number"}, {"y": "pair"}, {}]
    tables = [
        part_of(rng, choices[int(rng.integers(len(choices)))], int(rng.integers(1, 60)), 60 if seed < 4 else 10**9)
        for _ in range(5)
    ]
    files = {str(place): parts.opened(pa.BufferReader(parts.encode(table))) for place, table in enumerate(tables)}
    read = [file.read() for file in files.values()]
    sink = io.BytesIO()
    compaction.merge(files, MODEL, sink)
    merged = parts.opened(pa.BufferReader(sink.getvalue()))
    expected = parts.opened(pa.BufferReader(parts.encode(naive(read))))
    assert merged.read().equals(expected.read())
    assert merged.schema_arrow.remove_metadata().equals(expected.schema_arrow.remove_metadata())
    groups = [file.metadata.row_group(i).num_rows for file in (merged,) for i in range(file.num_row_groups)]
    assert groups == [expected.metadata.row_group(i).num_rows for i in range(expected.num_row_groups)]


def test_the_memory_of_a_merge_does_not_grow_with_the_day(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "GROUP_ROWS", 4000)
    monkeypatch.setattr(compaction, "STRETCH", 4000)
    monkeypatch.setattr(compaction, "HELD", 1 << 20)

    def peak(folder, count):
        archive = ParquetArchive(tmp_path / folder, tmp_path / "quarantine", checksums=make_store())
        rng = np.random.default_rng(0)
        for place in range(count):
            moments = to_us(START) + 1_000_000 * place + np.arange(4000)
            table = {
                "id": pa.array([f"{place}-{row}" for row in range(4000)]),
                "time": pa.array(moments).cast(TIME),
                "sampling": pa.array(np.ones(4000)),
                **{f"inputs.x.descriptors.c{c}": pa.array(rng.normal(size=4000)) for c in range(24)},
            }
            archive.put([(MODEL, pa.table(table))], f"s{place:03d}")
        usual = pa.default_memory_pool()
        counted = pa.proxy_memory_pool(usual)
        pa.set_memory_pool(counted)
        try:
            assert archive.tidy(MODEL, TODAY, closed=True) == count
        finally:
            pa.set_memory_pool(usual)
        return counted.max_memory()

    few, many = peak("few", 8), peak("many", 32)
    assert many < 1.3 * few
    assert many < 32 * 4000 * 25 * 8 / 3, "far less than the day"


@pytest.mark.parametrize("checked", [True, False])
def test_a_part_that_does_not_read_is_set_aside_and_the_others_are_merged(tmp_path, checked):
    archive = ParquetArchive(tmp_path / "archive", tmp_path / "quarantine", checksums=make_store() if checked else None)
    fill(archive, parts=3, n=300)
    before = set(archive.read(MODEL, SPAN).ids)
    hurt = sorted((tmp_path / "archive").rglob("part-*.parquet"))[1]
    gone = set(pq.read_table(hurt)["id"].to_pylist())
    data = bytearray(hurt.read_bytes())
    data[len(data) // 2] ^= 0xFF
    hurt.write_bytes(data)
    assert archive.compact(MODEL, TODAY) == 2
    (name,) = files(tmp_path / "archive")
    assert name.startswith("part-day-")
    assert set(archive.read(MODEL, SPAN).ids) == before - gone
    assert len(archive.damage()) == 1


def test_a_merge_that_fails_leaves_no_trace(archive, tmp_path, monkeypatch):
    fill(archive, parts=2, n=40)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compaction, "_in_order", full)
    with pytest.raises(OSError, match="No space"):
        archive.compact(MODEL, TODAY)
    assert not [path for path in (tmp_path / "archive").rglob("*") if "merge" in path.name]
    assert archive.read(MODEL, SPAN).n == 40
