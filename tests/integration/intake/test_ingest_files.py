"""Files into a home: every row is a record, a duplicate, or a line that says why it was refused."""

import csv
import json
import wave
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from at_rest import find

from auditor import registry
from auditor.core.errors import ConfigurationError, SegmentError
from auditor.core.window import DAY, Span
from auditor.intake.archive import ParquetArchive
from auditor.intake.drain import HomeIntake
from auditor.intake.files import ingest, ingest_labels
from auditor.segments import SegmentWriter
from auditor.settings import Home
from auditor.testing import make_store
from auditor.testing.factories import MODEL, START, make_record
from auditor.testing.synthetic import make_records

SPAN = Span(START - 10 * DAY, START + 40 * DAY)
NOW = datetime(2026, 2, 1, tzinfo=UTC)


class Desk:
    def __init__(self, folder):
        self.home = Home(folder / "home")
        self.store = make_store()
        self.archive = ParquetArchive(self.home.archive, self.home.quarantine)
        self.intake = HomeIntake(self.home, self.archive, self.store)
        self.sessions = 0

    def writer(self):
        self.sessions += 1
        return SegmentWriter(self.home.journal / f"ingest-{self.sessions}")

    def ingest(self, file, **options):
        writer = self.writer()
        try:
            report = ingest(file, writer, known=self.store.locate, **options)
        finally:
            writer.close()
        self.intake.drain()
        return report

    def label(self, file):
        writer = self.writer()
        report = ingest_labels(file, writer, now=NOW)
        writer.close()
        self.intake.drain()
        return report

    def rows(self, model=MODEL):
        return self.archive.read(model, SPAN)


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def counts(report):
    return report.accepted, report.duplicates, report.refused


def write_lines(path, documents):
    path.write_text("\n".join(json.dumps(document) for document in documents) + "\n")
    return path


def write_csv(path, rows):
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def refused(file):
    return [json.loads(line) for line in file.with_name(file.name + ".refused.jsonl").read_text().splitlines()]


def test_json_lines_are_records_and_going_again_adds_nothing(desk, tmp_path):
    records, _ = make_records(1200, seed=2)
    documents = [record.as_json() for record in records]
    for document in documents[:700]:
        del document["id"]
    file = write_lines(tmp_path / "r.jsonl", documents)
    seen = []
    assert counts(desk.ingest(file, progress=seen.append)) == (1200, 0, 0)
    assert seen == [1000, 1200]
    assert desk.rows().n == 1200
    assert counts(desk.ingest(file)) == (0, 1200, 0)
    assert desk.rows().n == 1200
    assert not list(tmp_path.glob("*.refused.jsonl"))


def test_what_was_cut_short_goes_on(desk, tmp_path, monkeypatch):
    documents = [record.as_json() for record in make_records(1600, seed=4)[0]]
    for document in documents:
        del document["id"]
    file = write_lines(tmp_path / "r.jsonl", documents)
    writer = desk.writer()
    real = SegmentWriter.append

    def full_after_one(self, frames):
        monkeypatch.setattr(SegmentWriter, "append", refuse)
        real(self, frames)

    def refuse(self, frames):
        raise SegmentError("segment_poisoned", "the disk refused")

    monkeypatch.setattr(SegmentWriter, "append", full_after_one)
    with pytest.raises(SegmentError):
        ingest(file, writer)
    monkeypatch.undo()
    writer.close()
    assert desk.intake.drain().accepted == 1000
    assert counts(desk.ingest(file)) == (600, 1000, 0)
    assert desk.rows().n == 1600


def test_bad_lines_are_refused_with_their_row_and_reason(desk, tmp_path):
    good = make_record().as_json()
    file = tmp_path / "r.jsonl"
    lines = [
        json.dumps(good),
        "{",
        json.dumps({**good, "id": "b", "colour": 1}),
        "",
        json.dumps({**good, "latency_s": 9.0}),
        json.dumps({**good, "id": "s", "sensitive": {"sex": "f"}}),
        "[]",
    ]
    file.write_text("\n".join(lines))
    assert counts(desk.ingest(file)) == (1, 0, 5)
    found = refused(file)
    assert [(line["row"], line["code"]) for line in found] == [
        (2, "not_json"),
        (3, "unknown_key"),
        (5, "id_conflict"),
        (6, "no_vault"),
        (7, "bad_type"),
    ]
    assert found[3]["data"]["sensitive"] == ["sex"]
    file.write_text(json.dumps(good))
    assert counts(desk.ingest(file)) == (0, 1, 0)
    assert not file.with_name("r.jsonl.refused.jsonl").exists(), "the file of an earlier run says nothing any more"


def test_an_id_that_the_home_has_with_other_content_is_refused(desk, tmp_path):
    record = make_record().as_json()
    desk.ingest(write_lines(tmp_path / "a.jsonl", [record]))
    file = write_lines(tmp_path / "b.jsonl", [{**record, "latency_s": 9.0}])
    assert counts(desk.ingest(file)) == (0, 0, 1)
    assert refused(file)[0]["code"] == "id_conflict"
    assert desk.rows().numeric["latency_s"].tolist() == [0.004]


CSV_ROW = {
    "id": "r1",
    "time": "2026-01-05T09:00:00Z",
    "model.name": MODEL,
    "model.version": "2",
    "inputs.photo.modality": "image",
    "inputs.photo.descriptors.brightness": "0.25",
    "inputs.photo.descriptors.kind": "scan",
    "inputs.photo.embedding": "[1, 2.5]",
    "inputs.photo.scores": "0.1 0.9",
    "inputs.clip.modality": "audio",
    "inputs.clip.missing": "true",
    "output.label": "7",
    "output.refused": "false",
    "output.tokens.input": "12",
    "groups.site": "north",
    "groups.ward": "",
    "latency_s": "0.5",
    "energy.joules": "2",
    "energy.method": "measured",
    "source.session": "s",
    "source.fork": "0",
    "source.seq": "3",
}


def test_columns_of_csv_are_dotted_paths(desk, tmp_path):
    file = write_csv(tmp_path / "r.csv", [CSV_ROW, {**CSV_ROW, "id": "", "latency_s": "fast"}, {**CSV_ROW, "id": "r3"}])
    assert counts(desk.ingest(file)) == (2, 0, 1)
    assert refused(file)[0]["code"] == "not_a_number"
    assert refused(file)[0]["row"] == 2
    rows = desk.rows()
    assert rows.ids.tolist() == ["r1", "r3"]
    assert rows.numeric["inputs.photo.descriptors.brightness"].tolist() == [0.25, 0.25]
    assert rows.categorical["inputs.photo.descriptors.kind"].tolist() == ["scan", "scan"]
    np.testing.assert_array_equal(rows.vectors["inputs.photo.embedding"], [[1, 2.5]] * 2)
    assert rows.categorical["output.label"].tolist() == ["7", "7"]
    assert rows.groups["site"].tolist() == ["north", "north"]
    assert rows.presence["clip"].tolist() == [2, 2]
    assert find(desk.archive, "r1").source.seq == 3


def test_a_part_of_one_archive_can_be_ingested_by_another(desk, tmp_path):
    records, _ = make_records(50, seed=9, missing=0.2)
    desk.ingest(write_lines(tmp_path / "r.jsonl", [record.as_json() for record in records]))
    (part,) = (desk.home.archive / "records").rglob("*.parquet")
    (tmp_path / "other").mkdir()
    other = Desk(tmp_path / "other")
    copy = tmp_path / "part.parquet"
    copy.write_bytes(part.read_bytes())
    assert counts(other.ingest(copy)) == (50, 0, 0)
    mine, theirs = desk.rows(), other.rows()
    assert theirs.ids.tolist() == mine.ids.tolist()
    assert theirs.time_us.tolist() == mine.time_us.tolist()
    for column, values in mine.numeric.items():
        np.testing.assert_array_equal(theirs.numeric[column], values)
    for column, values in mine.vectors.items():
        np.testing.assert_array_equal(theirs.vectors[column], values)


MAPPING = """
kind: Mapping
model: {name: triage, version: {column: ver}}
id: {column: request}
time: {column: ts, format: unix_ms}
inputs:
  - {name: photo, modality: image, path: {column: file}}
  - {name: note, modality: text, value: {column: text}}
  - {name: form, modality: tabular, columns: [age, sex_code]}
  - {name: clip, modality: audio, descriptors: {level_dbfs: {column: lvl}}, embedding: {column: emb}}
output: {label: {column: pred}, scores: {columns: [p0, p1]}, text: {column: answer}}
groups: {site: {column: site}}
label: {column: truth}
"""


def table(n=4):
    start = int(START.timestamp() * 1000)
    return {
        "request": [f"q{i}" for i in range(n)],
        "ver": [3] * n,
        "ts": [start + i * 1000 for i in range(n)],
        "file": ["one.png", "none.png", None, "broken.png"][:n],
        "text": ["Good morning", "", None, "Bonne nuit à tous"][:n],
        "age": [41, None, 7, None][:n],
        "sex_code": ["01", "02", None, None][:n],
        "lvl": [-20.5, None, float("nan"), -3.0][:n],
        "emb": [[1.0, 2.0], None, None, [3.0, 4.0]][:n],
        "pred": [1, 0, 1, 1][:n],
        "p0": [0.2, 0.9, None, 0.4][:n],
        "p1": [0.8, 0.1, None, 0.6][:n],
        "answer": ["yes", None, "no", "no"][:n],
        "site": ["north", "south", None, "north"][:n],
        "truth": [1.0, None, 0.0, 1.0][:n],
    }


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_a_mapping_describes_raw_media_and_forgets_them(desk, tmp_path, form):
    from PIL import Image

    Image.new("L", (8, 4), 200).save(tmp_path / "one.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    data = table()
    if form == "parquet":
        file = tmp_path / "t.parquet"
        pq.write_table(pa.table(data), file)
    else:
        rows = [dict(zip(data, values, strict=True)) for values in zip(*data.values(), strict=True)]
        rows = [{key: "" if value is None else value for key, value in row.items()} for row in rows]
        if form == "csv":
            rows = [{key: "" if value != value else value for key, value in row.items()} for row in rows]
            file = write_csv(tmp_path / "t.csv", rows)
        else:
            rows = [{key: None if value != value else value for key, value in row.items()} for row in rows]
            file = write_lines(tmp_path / "t.jsonl", rows)
    mapping = tmp_path / "map.yaml"
    mapping.write_text(MAPPING)
    report = desk.ingest(file, mapping=mapping, descriptors=registry.available("descriptors"))
    assert counts(report) == (4, 0, 0), refused(file)
    assert report.labels == 3
    rows = desk.rows("triage")
    assert rows.ids.tolist() == ["q0", "q1", "q2", "q3"]
    assert rows.version.tolist() == ["3"] * 4
    assert rows.truth.tolist() == ["1", None, "0", "1"]
    assert rows.presence["photo"].tolist() == [1, 3, 2, 3]
    assert rows.categorical["inputs.photo.error"].tolist()[1] == "not_found"
    assert rows.numeric["inputs.photo.descriptors.width"].tolist()[0] == 8
    assert rows.presence["note"].tolist() == [1, 2, 2, 1]
    assert rows.presence["form"].tolist() == [1, 1, 1, 2]
    assert rows.numeric["inputs.form.descriptors.age"].tolist()[0] == 41
    assert rows.categorical["inputs.form.descriptors.sex_code"].tolist()[:2] == ["01", "02"]
    assert rows.presence["clip"].tolist() == [1, 2, 2, 1]
    np.testing.assert_array_equal(rows.vectors["inputs.clip.embedding"][3], [3, 4])
    np.testing.assert_allclose(rows.vectors["output.scores"][1], [0.9, 0.1], atol=1e-7)
    assert rows.groups["site"].tolist() == ["north", "south", None, "north"]
    assert any(column.startswith("output.text.descriptors.") for column in rows.numeric)
    assert rows.describer["photo"].tolist()[0].startswith("image/")
    assert rows.time_us.tolist() == [int((START + timedelta(seconds=i)).timestamp() * 1e6) for i in range(4)]
    at_rest = b"".join(path.read_bytes() for path in desk.home.archive.rglob("*.parquet"))
    assert b"Bonne nuit" not in at_rest


def test_sound_from_files_is_described(desk, tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes((np.sin(np.arange(4000) / 5) * 9000).astype("<i2").tobytes())
    file = write_csv(tmp_path / "t.csv", [{"ts": "2026-01-05 10:00:00", "file": "a.wav"}])
    mapping = tmp_path / "map.yaml"
    mapping.write_text(
        "kind: Mapping\nmodel: {name: m}\ntime: {column: ts, zone: Europe/Berlin}\n"
        "inputs: [{name: clip, modality: audio, path: {column: file}}]\n"
    )
    assert counts(desk.ingest(file, mapping=mapping, descriptors=registry.available("descriptors"))) == (1, 0, 0)
    rows = desk.rows("m")
    assert rows.numeric["inputs.clip.descriptors.duration_s"].tolist() == [0.5]
    assert rows.time_us.tolist() == [int(datetime(2026, 1, 5, 9, tzinfo=UTC).timestamp() * 1e6)]


def test_sensitive_columns_refuse_the_row_and_are_not_written_beside_it(desk, tmp_path):
    file = write_csv(
        tmp_path / "t.csv",
        [{"ts": "2026-01-05", "text": "a", "sex": "f"}, {"ts": "2026-01-05", "text": "b", "sex": ""}],
    )
    mapping = tmp_path / "map.yaml"
    mapping.write_text(
        "kind: Mapping\nmodel: {name: m}\ntime: {column: ts}\nsensitive: {sex: {column: sex}}\n"
        "inputs: [{name: note, modality: text, descriptors: {words: 1}}]\n"
    )
    assert counts(desk.ingest(file, mapping=mapping)) == (1, 0, 1)
    (line,) = refused(file)
    assert line["code"] == "no_vault"
    assert line["data"] == {"ts": "2026-01-05", "text": "a"}


@pytest.mark.parametrize(
    ("change", "code", "place"),
    [
        ("kind: Map", "bad_mapping", "kind"),
        ("colour: 1", "bad_mapping", "mapping"),
        ("time: {column: ts, format: noon}", "bad_mapping", "time"),
        ("time: {column: ts, zone: Mars/Olympus}", "bad_mapping", "time"),
        ("inputs: 3", "bad_mapping", "inputs"),
        ("inputs: [{name: x, modality: smell}]", "bad_mapping", "inputs[0]"),
        ("inputs: [{name: x, modality: text, value: 1, columns: [a]}]", "bad_mapping", "inputs[0]"),
        ("model: {version: 1}", "bad_mapping", "model"),
        ("model: [", "bad_mapping", "map.yaml"),
        ("groups: {site: {column: nowhere}}", "unknown_column", "map.yaml"),
    ],
)
def test_mappings_that_cannot_be_used_say_where(desk, tmp_path, change, code, place):
    base = {
        "kind": "Mapping",
        "model": "{name: m}",
        "time": "{column: ts}",
        "inputs": "[{name: note, modality: text, value: {column: text}}]",
    }
    key, _, value = change.partition(": ")
    document = "\n".join(f"{name}: {text}" for name, text in {**base, key: value}.items())
    file = write_csv(tmp_path / "t.csv", [{"ts": "2026-01-05", "text": "a"}])
    mapping = tmp_path / "map.yaml"
    mapping.write_text(document)
    with pytest.raises(ConfigurationError) as caught:
        desk.ingest(file, mapping=mapping)
    assert caught.value.code == code
    assert place in caught.value.where


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("x.xlsx", b"", "unknown_format"),
        ("x.parquet", b"PAR1 nothing", "bad_file"),
        ("x.csv", b"id,time\n\xff\xfe,2", "bad_encoding"),
        ("x.csv", "id,time\nä,2".encode("latin-1"), "bad_encoding"),
        ("x.csv", "id,time\na,2".encode("utf-16"), "bad_encoding"),
        ("x.jsonl", b"\x00\x01", "bad_encoding"),
        ("x.jsonl", b"", "empty_file"),
        ("x.csv", b"", "empty_file"),
        ("x.csv", b"id,time,id\na,2,b", "duplicate_column"),
        ("x.csv", b'id,time\n"' + b"a" * (17 << 20), "bad_file"),
    ],
)
def test_files_that_cannot_be_used(desk, tmp_path, name, content, code):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        desk.ingest(file)
    assert caught.value.code == code
    with pytest.raises(ConfigurationError) as caught:
        desk.ingest(tmp_path / "nowhere.csv")
    assert caught.value.code == "no_file"


def test_labels_from_every_format(desk, tmp_path):
    desk.ingest(write_lines(tmp_path / "r.jsonl", [make_record(id=name).as_json() for name in "abcd"]))
    file = write_csv(
        tmp_path / "l.csv",
        [{"id": "a", "label": "7", "time": "2026-01-06T00:00:00Z"}, {"id": "x", "label": "", "time": ""}],
    )
    report = desk.label(file)
    assert (report.labels, report.refused) == (1, 1)
    assert refused(file)[0]["code"] == "bad_label"
    assert desk.label(write_lines(tmp_path / "l.jsonl", [{"id": "b", "label": 3}])).labels == 1
    frame = pa.table({"id": ["c", "d"], "value": [2.5, float("nan")], "label": [None, "x"]})
    pq.write_table(frame, tmp_path / "l.parquet")
    assert desk.label(tmp_path / "l.parquet").labels == 2
    rows = desk.rows()
    assert rows.truth.tolist() == ["7", "3", None, "x"]
    assert rows.truth_value.tolist()[2] == 2.5
    assert rows.labelled_us.tolist()[1] == int(NOW.timestamp()) * 10**6


def test_ragged_rows_are_refused_one_by_one(desk, tmp_path):
    file = tmp_path / "r.csv"
    header = ",".join(CSV_ROW)
    row = ",".join(f'"{value}"' for value in CSV_ROW.values())
    file.write_text(f"{header}\n{row}\n{row},more,cells\n")
    assert counts(desk.ingest(file)) == (1, 0, 1)
    assert refused(file)[0]["code"] == "ragged_row"


def test_a_mapping_names_the_kinds_of_columns_and_the_spelling_of_cells(desk, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("all is well")
    (tmp_path.parent / "above.txt").write_text("above")
    (tmp_path / "link.txt").symlink_to(tmp_path.parent / "above.txt")
    header = "ts,age,zip,row,gain,flag,note"
    rows = [
        '2026-01-05T09:00:00Z,040,01234,1,"3,5",TRUE,notes/a.txt',
        "2026-01-05T09:00:01Z,-,-,2,-,False,notes/a.txt",
        "2026-01-05T09:00:02Z,old,99,3,NA,true,notes/a.txt",
        "2026-01-05T09:00:03Z,1,1,4,1,true,../above.txt",
        "2026-01-05T09:00:04Z,1,1,5,1,true,link.txt",
        "2026-01-05T09:00:05Z,1,1,6,1,true,/etc/hostname",
        "2026-01-05T09:00:06Z,1,1,7,1,true,notes",
    ]
    table = tmp_path / "rows.csv"
    table.write_text("\n".join([header, *rows]))
    mapping = tmp_path / "map.yaml"
    mapping.write_text("""
kind: Mapping
model: {name: m}
time: {column: ts}
inputs:
  - {name: form, modality: tabular, categorical: [zip], numeric: [age], exclude: [row]}
  - {name: note, modality: text, path: {column: note}}
missing: ["", "-"]
decimal: ","
""")
    report = desk.ingest(table, mapping=mapping, descriptors=registry.available("descriptors"))
    assert (report.accepted, report.refused) == (3, 4)
    refused = [json.loads(line)["code"] for line in report.refused_file.read_text().splitlines()]
    assert refused == ["bad_path"] * 4
    rows = desk.rows("m")
    order = np.argsort(rows.time_us)
    columns = {**rows.numeric, **{f"{name}:text": values for name, values in rows.categorical.items()}}
    found = {
        name.removeprefix("inputs.form.descriptors."): values[order].tolist()
        for name, values in columns.items()
        if name.startswith("inputs.form.descriptors.") and "n_" not in name
    }
    nan = [None if value != value else value for value in found["age"]]
    assert nan == [40.0, None, None]
    assert found["age:text"] == [None, None, "old"]
    assert found["zip:text"] == ["01234", None, "99"]
    assert found["gain"][0] == 3.5
    assert found["gain:text"] == [None, None, "NA"]
    assert found["flag:text"] == ["true", "false", "true"]
    assert "row" not in found
    assert "ts" not in found
    assert "note:text" not in found
