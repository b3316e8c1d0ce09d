"""Ids are unique within a model, and each label finds its record, however late, or is counted."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from intake_desk import Desk, frame, spool

from auditor.cli import main
from auditor.core.window import DAY, HOUR, Span, floor_to, format_time
from auditor.intake.inventory import reindex
from auditor.settings import Home
from auditor.testing import make_store
from auditor.testing.factories import START, make_label, make_record

SPAN = Span(START, START + DAY)
M, N = "reader", "listener"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(Home(tmp_path))


def records(*ids: str, model: str = M, **fields: object) -> list[tuple[str, bytes]]:
    return [frame("record", make_record(id=name, model=model, **fields)) for name in ids]


def labels(*ids: str, model: str | None = None, label: str = "7", **fields: object) -> list[tuple[str, bytes]]:
    return [frame("label", make_label(id=name, model=model, label=label, **fields)) for name in ids]


def truth(desk: Desk, model: str) -> dict[str, str | None]:
    rows = desk.rows(SPAN, model)
    return dict(zip(rows.ids.tolist(), rows.truth.tolist(), strict=True))


def test_the_same_id_in_two_models_is_two_records(desk: Desk) -> None:
    spool(desk.home, "a", records("r", "s"), records("r", "s", model=N, latency_s=9.0))
    report = desk.intake.drain()
    assert (report.accepted, report.duplicates, report.refused) == (4, 0, 0)
    spool(desk.home, "b", records("r", latency_s=3.0), records("r", model=N, latency_s=9.0))
    report = desk.intake.drain()
    assert (report.accepted, report.duplicates, report.refused) == (0, 1, 1)
    assert [row["code"] for row in desk.refused()] == ["id_conflict"]
    assert [desk.rows(SPAN, model).ids.tolist() for model in (M, N)] == [["r", "s"]] * 2


def test_a_label_is_for_its_model_alone(desk: Desk) -> None:
    spool(desk.home, "a", records("r"), records("r", model=N), labels("r", model=N))
    report = desk.intake.drain()
    assert (report.labels, report.unmatched, report.ambiguous) == (1, 0, 0)
    assert (truth(desk, M), truth(desk, N)) == ({"r": None}, {"r": "7"})


def test_without_a_model_the_one_record_is_meant_or_none(desk: Desk) -> None:
    spool(desk.home, "a", records("r", "s"), records("r", model=N))
    spool(desk.home, "b", labels("r", "s", "t"))
    report = desk.intake.drain()
    assert (report.labels, report.unmatched, report.ambiguous, report.refused) == (2, 1, 1, 1)
    assert (truth(desk, M), truth(desk, N)) == ({"r": None, "s": "7"}, {"r": None})
    (row,) = desk.refused()
    assert (row["code"], row["id"]) == ("ambiguous_label", "r")
    assert desk.store.unsettled_labels()[:2] == (1, 1)
    spool(desk.home, "c", labels("r", model=M, label="4"))
    desk.intake.drain()
    assert (truth(desk, M)["r"], truth(desk, N)["r"]) == ("4", None)
    assert desk.store.unsettled_labels()[:2] == (1, 0), "given again with its model, it is settled"


def test_a_label_that_waits_is_settled_with_its_record(desk: Desk) -> None:
    spool(desk.home, "a", labels("r", "s", "t"), labels("u", model=M))
    assert desk.intake.drain().unmatched == 4
    assert desk.store.unsettled_labels().unmatched == 4
    spool(desk.home, "b", records("r", time=START + 5 * HOUR), records("s"), records("s", "u", model=N))
    report = desk.intake.drain()
    assert (report.unmatched, report.ambiguous, report.refused) == (0, 1, 1)
    assert (truth(desk, M), truth(desk, N)) == ({"r": "7", "s": None}, {"s": None, "u": None})
    assert START + 5 * HOUR in desk.store.dirty(M)
    assert desk.store.unsettled_labels()[:2] == (2, 1), "t, and u of the other model"
    spool(desk.home, "c", records("r", model=N))
    desk.intake.drain()
    assert truth(desk, N)["r"] is None, "the label was settled when only one model had such a record"
    spool(desk.home, "d", records("u"))
    desk.intake.drain()
    assert truth(desk, M)["u"] == "7"
    assert desk.store.unsettled_labels()[:2] == (1, 1)


@pytest.mark.parametrize("step", ["_archive.write_labels", "_store.keep_unsettled", "_store.settle_labels"])
def test_cut_short_while_settling_it_comes_out_the_same(desk: Desk, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    owner, method = step.split(".")
    spool(desk.home, "a", labels("r", "s", "t"))
    spool(desk.home, "b", records("s"), records("s", model=N))
    desk.intake.drain()
    spool(desk.home, "c", records("r", time=START + 5 * HOUR))
    for moment in (0, 1):
        calls = iter(range(9))
        target = getattr(desk.intake, owner)
        real = getattr(target, method)

        def stop(*given: object, real=real, calls=calls, moment=moment) -> object:
            if next(calls) == moment:
                raise KeyboardInterrupt
            return real(*given)

        with monkeypatch.context() as patch:
            patch.setattr(target, method, stop)
            try:
                desk.intake.drain()
            except KeyboardInterrupt:
                desk.reopen()
    desk.intake.drain()
    assert (truth(desk, M), truth(desk, N)) == ({"r": "7", "s": None}, {"s": None})
    assert desk.store.unsettled_labels()[:2] == (1, 1)
    assert floor_to(START + 5 * HOUR, HOUR) in desk.store.dirty(M)


def test_a_store_made_again_has_the_same_labels_waiting(desk: Desk) -> None:
    spool(desk.home, "a", labels("r", "t", "u"), labels("v", model=N))
    desk.intake.drain()
    spool(desk.home, "b", records("r", "v"), records("v", model=M))
    desk.intake.drain()
    before = desk.store.unsettled_labels()
    assert before.unmatched == 3
    desk.store = make_store()
    reindex(desk.archive, desk.store)
    assert desk.store.unsettled_labels() == before
    desk.reopen()
    spool(desk.home, "c", records("u"))
    desk.intake.drain()
    assert truth(desk, M) == {"r": "7", "u": "7", "v": None}


def test_files_of_older_versions_label_as_they_did(desk: Desk) -> None:
    spool(desk.home, "a", records("r"), labels("r", model=M), labels("s"))
    desk.intake.drain()
    for path in (desk.home.archive / "labels").rglob("*.parquet"):
        pq.write_table(pq.read_table(path).drop_columns(["model"]), path)
    desk.archive = type(desk.archive)(desk.home.archive, desk.home.quarantine)
    assert truth(desk, M) == {"r": "7"}
    np.testing.assert_array_equal(desk.rows(SPAN, M).labelled_us > 0, [True])


# -- by command line -------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    assert main(["init", str(tmp_path / "home")]) == 0
    return tmp_path / "home"


def write(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict, str]:
    capsys.readouterr()
    code = main([*words, "--json"])
    out = capsys.readouterr()
    return code, json.loads(out.out), out.err


def test_label_counts_what_it_could_not_settle(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [make_record(id=name, model=model).as_json() for name, model in [("x", M), ("x", N), ("y", M)]]
    code, done, _ = call(capsys, "ingest", write(tmp_path / "r.jsonl", rows), "--home", str(home))
    assert (code, done["accepted"]) == (0, 3)
    given = write(tmp_path / "l.csv", [])
    Path(given).write_text("id,label\nx,1\ny,2\nz,3\n", encoding="utf-8")
    code, done, err = call(capsys, "label", given, "--home", str(home))
    assert (code, done["labels"], done["unmatched"], done["ambiguous"], done["refused"]) == (1, 2, 1, 1, 1)
    assert "1 labels match no record yet" in err
    assert "--model" in err
    code, done, err = call(capsys, "audit", "--home", str(home), "--until", format_time(START - DAY))
    assert (done["labels"]["unmatched"], done["labels"]["ambiguous"]) == (1, 1)
    assert done["labels"]["since"].endswith("Z")
    assert "labels that count for no record: 1 match no record yet" in err
    code, done, _ = call(capsys, "label", given, "--model", N, "--home", str(home))
    assert (code, done["unmatched"], done["ambiguous"]) == (0, 2, 0)
    code, done, _ = call(capsys, "audit", "--home", str(home), "--until", format_time(START - DAY))
    assert (done["labels"]["unmatched"], done["labels"]["ambiguous"]) == (2, 0)
    Path(given).write_text(f"id,label,model\nx,1,{M}\nx,1,{N}\n", encoding="utf-8")
    code, done, _ = call(capsys, "label", given, "--model", N, "--home", str(home))
    assert (code, done["labels"], done["refused"]) == (1, 1, 1)
    beside = json.loads(Path(done["refused_file"]).read_text(encoding="utf-8"))
    assert (beside["code"], beside["row"]) == ("wrong_model", 1)


def test_a_file_may_be_ingested_for_two_models(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows without ids get them from the file; the model that a mapping names keeps them apart."""
    file = tmp_path / "rows.csv"
    file.write_text("age,truth,time\n41,yes,2026-01-05T10:00:00Z\n52,no,2026-01-05T11:00:00Z\n", encoding="utf-8")
    for model in (M, N):
        mapping = tmp_path / f"{model}.yaml"
        mapping.write_text(
            f"kind: Mapping\nmodel: {{name: {model}}}\ntime: {{column: time}}\n"
            "inputs:\n  - {name: form, modality: tabular, columns: [age]}\nlabel: {column: truth}\n",
            encoding="utf-8",
        )
        for expected in ((2, 0), (0, 2)):
            code, done, _ = call(capsys, "ingest", str(file), "--mapping", str(mapping), "--home", str(home))
            assert (code, done["accepted"], done["duplicates"]) == (0, *expected)
    from auditor.intake.archive import ParquetArchive

    archive = ParquetArchive(home / "archive", home / "quarantine")
    for model in (M, N):
        assert sorted(archive.read(model, SPAN).truth.tolist()) == ["no", "yes"]
