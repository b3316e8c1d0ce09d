"""The archive's columns, its joins, and what it does about files that do not read."""

import pickle
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from at_rest import find

from auditor.core.errors import StoreError
from auditor.core.record import EnergyFigure, Input, ModelRef, Output, Source, TextOutput
from auditor.core.rows import ABSENT, FAILED, MISSING, PRESENT
from auditor.core.window import DAY, HOUR, Span, to_us
from auditor.intake.archive import ParquetArchive
from auditor.ports import NumberedLabel
from auditor.testing.factories import MODEL, START, make_label, make_record
from auditor.testing.synthetic import make_records

SPAN = Span(START, START + DAY)


@pytest.fixture
def archive(tmp_path):
    return ParquetArchive(tmp_path / "archive", tmp_path / "quarantine")


def parts(archive_root):
    return sorted(archive_root.rglob("part-*.parquet"))


def inputs(**changes):
    return (Input(name="photo", modality="image", **changes),)


def test_columns_are_dotted_paths_with_types(archive, tmp_path):
    record = make_record(
        inputs=(
            Input(
                name="photo",
                modality="image",
                descriptors={"brightness": 0.5, "kind": "scan", "gone": None},
                embedding=(1.0, 2.0),
                encoder="clip/1",
                scores=(0.25, 0.75),
                commitment="sha256:ab",
                describer="image/1",
            ),
            Input(name="clip", modality="audio", error="too_large"),
        ),
        output=Output(
            label="7",
            scores=(0.5, 0.5),
            text=TextOutput(descriptors={"words": 3.0}),
            tokens={"input": 5, "output": 9},
            finish="stop",
            refused=False,
        ),
        source=Source(session="s", fork=0, seq=4),
        subject="p1",
        first_token_s=0.1,
        energy=EnergyFigure(joules=2.0, method="modelled", by={"photo": 1.5}),
    )
    archive.write([record], "s1")
    (file,) = parts(tmp_path)
    assert file.relative_to(tmp_path).as_posix() == f"archive/records/model={MODEL}/day=2026-01-05/part-s1.parquet"
    parquet = pq.ParquetFile(file)
    kinds = {field.name: str(field.type) for field in parquet.schema_arrow}
    assert kinds["id"] == "string"
    assert kinds["time"] == "timestamp[us, tz=UTC]"
    assert kinds["inputs.photo.descriptors.brightness"] == "double"
    assert kinds["inputs.photo.descriptors.kind"] == "string"
    assert kinds["inputs.photo.embedding"].startswith("fixed_size_list<")
    assert kinds["inputs.photo.embedding"].endswith("[2]")
    assert kinds["inputs.photo.missing"] == "bool"
    assert kinds["output.tokens.input"] == "int64"
    assert kinds["energy.by.photo"] == "double"
    assert {
        "model.name",
        "model.version",
        "groups.site",
        "source.seq",
        "subject",
        "output.text.descriptors.words",
    } <= set(kinds)
    assert not {"model", "day", "inputs.photo.descriptors.gone"} & set(kinds)
    assert parquet.metadata.row_group(0).column(0).compression == "ZSTD"
    rows = archive.read(MODEL, SPAN)
    assert rows.categorical["inputs.photo.descriptors.kind"].tolist() == ["scan"]
    assert rows.categorical["inputs.clip.error"].tolist() == ["too_large"]
    assert rows.categorical["output.refused"].tolist() == ["false"]
    assert rows.numeric["output.tokens.output"].tolist() == [9.0]
    assert rows.numeric["energy.by.photo"].tolist() == [1.5]
    assert rows.energy_method.tolist() == ["modelled"]
    assert rows.describer["photo"].tolist() == ["image/1|clip/1"]
    assert rows.describer["clip"].tolist() == [None]
    assert (rows.presence["photo"][0], rows.presence["clip"][0]) == (PRESENT, FAILED)
    assert find(archive, record.id) == make_record_without_null(record)


def make_record_without_null(record):
    from dataclasses import replace

    photo = replace(record.inputs[0], descriptors={"brightness": 0.5, "kind": "scan"})
    return replace(record, inputs=(photo, record.inputs[1]))


def test_parts_are_sorted_by_time_and_rows_by_id(archive, tmp_path):
    records = [make_record(id=name, time=START + hour * HOUR) for name, hour in (("c", 1), ("a", 3), ("b", 2))]
    archive.write(records, "s1")
    assert pq.ParquetFile(parts(tmp_path)[0]).read()["id"].to_pylist() == ["c", "b", "a"]
    rows = archive.read(MODEL, SPAN)
    assert rows.ids.tolist() == ["a", "b", "c"]
    assert rows.time_us.tolist() == [to_us(START + hour * HOUR) for hour in (3, 2, 1)]


def test_spans_are_half_open_and_cross_days(archive):
    moments = [START - timedelta(microseconds=1), START, START + DAY - timedelta(microseconds=1), START + DAY]
    archive.write([make_record(id=str(i), time=moment) for i, moment in enumerate(moments)], "s1")
    assert archive.read(MODEL, SPAN).ids.tolist() == ["1", "2"]
    assert archive.read(MODEL, Span(START - DAY, START + 2 * DAY)).n == 4
    assert archive.read(MODEL, Span(START + 5 * DAY, START + 6 * DAY)).n == 0
    assert archive.read("nobody", SPAN).n == 0


def test_schemas_that_differ_are_unified(archive):
    archive.write([make_record(id="a", inputs=inputs(descriptors={"x": 1.0}, embedding=(1.0, 2.0)))], "s1")
    archive.write([make_record(id="b", inputs=inputs(descriptors={"x": "n/a", "y": 2.0}))], "s2")
    archive.write(
        [
            make_record(id="c", inputs=inputs(descriptors={"x": 3.0}, embedding=(5.0, 6.0))),
            make_record(id="d", inputs=inputs(descriptors={"x": "?"}, embedding=(7.0, 8.0, 9.0))),
        ],
        "s3",
    )
    archive.write([make_record(id="e", inputs=(), groups={})], "s4")
    rows = archive.read(MODEL, SPAN)
    np.testing.assert_array_equal(rows.numeric["inputs.photo.descriptors.x"], [1, np.nan, 3, np.nan, np.nan])
    np.testing.assert_array_equal(rows.numeric["inputs.photo.descriptors.y"], [np.nan, 2, np.nan, np.nan, np.nan])
    assert rows.categorical["inputs.photo.descriptors.x"].tolist() == [None, "n/a", None, "?", None]
    nan = [np.nan, np.nan]
    np.testing.assert_array_equal(rows.vectors["inputs.photo.embedding"], [[1, 2], nan, [5, 6], nan, nan])
    assert rows.presence["photo"].tolist() == [PRESENT] * 4 + [ABSENT]
    assert find(archive, "d").inputs[0].descriptors == {"x": "?"}
    assert find(archive, "d").inputs[0].embedding == (7.0, 8.0, 9.0)


def test_some_columns_alone(archive):
    archive.write([make_record(id="b", inputs=inputs(descriptors={"x": 1.0}, scores=(0.25, 0.75)))], "s1")
    archive.write([make_record(id="a", inputs=inputs(descriptors={"y": 2.0}))], "s2")
    paths = ["inputs.photo.descriptors.x", "inputs.photo.scores", "output.label", "nowhere"]
    found = archive.columns(MODEL, SPAN, paths)
    assert list(found) == ["id", "time", *paths[:3]]
    assert found["id"].tolist() == ["a", "b"]
    np.testing.assert_array_equal(found[paths[0]], [np.nan, 1])
    np.testing.assert_array_equal(found[paths[1]], [[np.nan] * 2, [0.25, 0.75]])
    assert found["output.label"].tolist() == ["1", "1"]
    assert archive.columns("nobody", SPAN, paths)["id"].tolist() == []


def test_what_each_record_says_of_an_input(archive):
    archive.write(
        [
            make_record(id="a", inputs=inputs(descriptors={"x": 1.0})),
            make_record(id="b", inputs=inputs(missing=True)),
            make_record(id="c", inputs=inputs(error="decode_failed", describer="image/1")),
            make_record(id="d", inputs=()),
            make_record(id="e", inputs=inputs(), sampling=0.5),
            make_record(id="f", inputs=inputs()),
        ],
        "s",
    )
    rows = archive.read(MODEL, SPAN)
    assert rows.presence["photo"].tolist() == [PRESENT, MISSING, FAILED, ABSENT, PRESENT, PRESENT]
    why = "an input that is only named was left out by sampling, or all of its figures are null"
    assert rows.described.tolist() == [True, True, True, True, False, True], why


def test_awkward_names_of_models_inputs_and_columns(archive):
    names = ["ward/a", "ward:a", "x" * 200, "Ünïcode", "a-deadbeef", "..", "model=x"]
    for index, name in enumerate(names):
        entry = Input(name="in.put", modality="tabular", descriptors={"missing": 1.0, "a.b": 2.0})
        archive.write([make_record(id=str(index), model=ModelRef(name=name), inputs=(entry,))], "s")
    assert archive.models() == sorted(names)
    for index, name in enumerate(names):
        rows = archive.read(name, SPAN)
        assert rows.ids.tolist() == [str(index)]
        assert {"inputs.in.put.descriptors.missing", "inputs.in.put.descriptors.a.b"} <= set(rows.numeric)
        assert rows.modality == {"in.put": "tabular"}
    assert find(archive, "0").inputs[0].descriptors == {"missing": 1.0, "a.b": 2.0}


def test_writing_a_segment_again_replaces_its_part(archive, tmp_path):
    archive.write([make_record(id="a"), make_record(id="b")], "s1")
    archive.write([make_record(id="a"), make_record(id="b")], "s1")
    assert len(parts(tmp_path)) == 1
    assert archive.read(MODEL, SPAN).n == 2


def test_an_id_in_two_files_is_one_row(archive):
    archive.write([make_record(id="a"), make_record(id="b")], "s1")
    archive.write([make_record(id="b"), make_record(id="c")], "s2")
    assert archive.read(MODEL, SPAN).ids.tolist() == ["a", "b", "c"]


def test_every_flipped_byte_of_a_part_is_noticed_or_harmless(archive, tmp_path):
    """D7 for the archive: pages are checksummed; what does not read is set aside, counted, and the rest is read."""
    records, _ = make_records(5, seed=1)
    archive.write([make_record(id="other")], "s0")
    archive.write(records, "s1")
    (file,) = [path for path in parts(tmp_path) if "s1" in path.name]
    whole = file.read_bytes()
    expected = archive.read(MODEL, SPAN)
    silent = 0
    for at in range(4, len(whole), max(len(whole) // 120, 1)):
        data = bytearray(whole)
        data[at] ^= 0x10
        file.write_bytes(data)
        rows = archive.read(MODEL, SPAN)
        damage = archive.damage()
        if damage:
            assert rows.ids.tolist() == ["other"]
            assert len(damage) == 1
            assert not file.exists()
        else:
            silent += not (rows.n == expected.n and (rows.time_us == expected.time_us).all())
    # Parquet's footer carries no checksum: a flip there may rename a column. Values are covered.
    assert silent == 0
    kept = list((tmp_path / "quarantine").iterdir())
    assert kept


@pytest.mark.parametrize("content", [b"", b"PAR1", b"nothing like it" * 10])
def test_a_file_that_is_not_parquet_is_set_aside(archive, tmp_path, content):
    archive.write([make_record(id="a")], "s1")
    archive.write([make_record(id="b")], "s2")
    parts(tmp_path)[0].write_bytes(content)
    assert archive.read(MODEL, SPAN).ids.tolist() == ["b"]
    (damage,) = archive.damage()
    assert damage.where.startswith("records/model=")
    assert archive.damage() == []
    assert archive.read(MODEL, SPAN).ids.tolist() == ["b"]
    assert archive.models() == [MODEL]


def test_a_disk_that_does_not_answer_is_no_damage(archive, tmp_path):
    archive.write([make_record(id="a")], "s1")
    file = parts(tmp_path)[0]
    file.unlink()
    file.mkdir()  # reading it fails with EISDIR
    with pytest.raises(StoreError) as caught:
        archive.read(MODEL, SPAN)
    assert caught.value.code == "archive_unreadable"


def test_damage_that_another_process_met_is_counted_here(archive, tmp_path):
    archive.write([make_record(id="a")], "s1")
    parts(tmp_path)[0].write_bytes(b"x")
    worker = pickle.loads(pickle.dumps(archive))
    assert worker.read(MODEL, SPAN).n == 0
    assert len(archive.damage()) == 1


def numbered(*labels):
    return [NumberedLabel(place, label) for place, label in enumerate(labels)]


def test_labels_join_by_id_and_the_newest_counts(archive):
    archive.write([make_record(id=name) for name in "abc"], "s")
    days = {(MODEL, name): "2026-01-05" for name in "abc"}
    archive.write_labels(
        numbered(
            make_label(id="a", label="1", time=START + HOUR),
            make_label(id="b", value=2.5, time=START + HOUR),
            make_label(id="a", label="2", time=START + 3 * HOUR),
            make_label(id="a", label="3", time=START + 2 * HOUR),
            make_label(id="z", label="9"),
            make_label(id="c", label="9", model="another"),
            make_label(id="c", label="9", model=None),
        ),
        days,
        "s",
    )
    rows = archive.read(MODEL, SPAN)
    assert rows.truth.tolist() == ["2", None, None]
    np.testing.assert_array_equal(rows.truth_value, [np.nan, 2.5, np.nan])
    assert rows.labelled_us.tolist() == [to_us(START + HOUR), to_us(START + HOUR), -1]


def test_labels_of_other_days_are_not_even_opened(archive, tmp_path):
    archive.write([make_record(id="a")], "s")
    archive.write_labels(numbered(make_label(id="a")), {(MODEL, "a"): "2026-01-05"}, "s1")
    archive.write_labels(numbered(make_label(id="b")), {(MODEL, "b"): "2026-02-05"}, "s2")
    (other,) = [path for path in parts(tmp_path / "archive" / "labels") if "s2" in path.name]
    other.write_bytes(b"does not read")
    assert archive.read(MODEL, SPAN).truth.tolist() == ["1"]
    assert archive.damage() == []


def test_the_archive_may_lie_behind_a_url(tmp_path):
    root = f"memory://auditor-{tmp_path.name}"
    archive = ParquetArchive(root, tmp_path / "quarantine")
    archive.write([make_record(id="a"), make_record(id="b", time=START + 2 * DAY)], "s1")
    archive.write_labels(numbered(make_label(id="a")), {(MODEL, "a"): "2026-01-05"}, "s1")
    assert archive.models() == [MODEL]
    rows = pickle.loads(pickle.dumps(archive)).read(MODEL, Span(START, START + 3 * DAY))
    assert (rows.ids.tolist(), rows.truth.tolist()) == (["a", "b"], ["1", None])
    assert find(archive, "b").id == "b"
    archive._place.write(f"records/model={MODEL}/day=2026-01-05/part-s1.parquet", b"broken")
    assert archive.read(MODEL, SPAN).n == 0
    assert len(archive.damage()) == 1
    assert archive.read(MODEL, Span(START, START + 3 * DAY)).ids.tolist() == ["b"]


def test_outside_readers_can_read_it(archive, tmp_path):
    """The layout is hive partitions: any Parquet reader takes it."""
    import pyarrow.dataset as ds

    archive.write([make_record(id="a"), make_record(id="b", time=START + DAY)], "s1")
    table = ds.dataset(tmp_path / "archive" / "records", partitioning="hive").to_table(columns=["id", "model", "day"])
    assert sorted(zip(*table.to_pydict().values(), strict=True)) == [
        ("a", MODEL, "2026-01-05"),
        ("b", MODEL, "2026-01-06"),
    ]
    assert pa.types.is_string(table.schema.field("id").type)
