"""The main job end to end: seed 1 on the built-in data with everything, and on real recordings where they are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(os.environ.get("AUDITOR_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
PLANTED = {"image", "audio", "bias", "alignment", "missing", "energy"}


def auditor(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, "-m", "auditor", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def found_kinds(document: dict) -> set[str]:
    return {planted["kind"] for planted in document["planted"] if planted["found_by"]}


@pytest.fixture(scope="session")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("demo") / "home"
    auditor("demo", "--home", home)
    return home


def test_the_built_in_demo_finds_its_incidents(demo_home: Path) -> None:
    document = json.loads((demo_home / "demo" / "result.json").read_text())
    assert found_kinds(document) >= PLANTED - {"alignment"}
    assert document["false_alarms"] == []
    assert document["figures"]["records"] == 21 * 400
    assert document["figures"]["capture.coverage.last_day"] == 1.0


@pytest.mark.skipif(not (DATA / "handwritten-digits").is_dir(), reason=f"no real recordings at {DATA}")
def test_the_demo_on_real_recordings_finds_its_incidents(tmp_path: Path) -> None:
    auditor("demo", "--home", tmp_path / "home", "--data", DATA, "--figures-only")
    document = json.loads((tmp_path / "home" / "demo" / "result.json").read_text())
    assert document["data"] == DATA.name
    assert found_kinds(document) >= PLANTED - {"alignment"}
    assert document["false_alarms"] == []


def test_mlflow_and_the_database_hold_the_same_figures(demo_home: Path) -> None:
    from mlflow import MlflowClient

    from auditor.sinks.mlflow import metric_key
    from auditor.store.queries import open_queries

    queries = open_queries(f"sqlite:///{demo_home}/store/auditor.db")
    client = MlflowClient(f"sqlite:///{demo_home}/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("digit-reader")
    runs = {
        run.data.tags["auditor.window"]: run for run in client.search_runs([experiment.experiment_id], max_results=100)
    }
    audited = queries.runs("digit-reader")
    assert len(runs) == len(audited) == 21
    compared = 0
    for run in audited:
        logged = next(
            entry for window, entry in runs.items() if window.startswith(f"{run.span.start:%Y-%m-%d}")
        ).data.metrics
        stored = {
            metric_key(m): m.value
            for m in queries.measurements("digit-reader", span=run.span, all_versions=True)
            if m.value is not None and m.span == run.span
        }
        assert logged == stored
        compared += len(stored)
    assert compared > 2000


def test_every_report_was_written_and_begins_with_its_gaps(demo_home: Path) -> None:
    for kind in ("compliance", "drift", "energy"):
        page = (demo_home / "reports" / f"{kind}.html").read_text(encoding="utf-8")
        assert "digit-reader" in page
        assert "<script" not in page
        assert "http://" not in page.replace("http://www.w3.org", "")


def test_an_audit_of_the_same_window_again_opens_and_resolves_nothing(demo_home: Path) -> None:
    done = auditor("audit", "--home", demo_home, "--since", "2026-03-24", "--until", "2026-03-25", "--json", code=1)
    document = json.loads(done.stdout)
    assert document["audits"][0]["windows"][0]["revision"] == 2
    assert document["alerts"] == {"opened": [], "renewed": [], "resolved": []}


def test_a_damaged_archive_file_is_set_aside_and_the_rest_is_audited(demo_home: Path) -> None:
    part = next((demo_home / "archive" / "records").glob("model=*/day=2026-03-28/part-*.parquet"))
    part.write_bytes(part.read_bytes()[:-200])
    done = auditor("audit", "--home", demo_home, "--since", "2026-03-27", "--until", "2026-03-29", "--json", code=1)
    document = json.loads(done.stdout)
    windows = [window["start"][:10] for window in document["audits"][0]["windows"]]
    assert windows[:2] == ["2026-03-27", "2026-03-28"]
    assert all(start > "2026-03-28" for start in windows[2:]), "what follows changed data is judged again"


def test_an_unreadable_clip_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    if not (DATA / "handwritten-digits").is_dir():
        pytest.skip(f"no real recordings at {DATA}")
    import zipfile

    folder = tmp_path / "data"
    for name in ("handwritten-digits", "spoken-digits"):
        (folder / name).mkdir(parents=True)
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        data = (DATA / "handwritten-digits" / name).read_bytes()
        # The image file breaks off in the middle: its first half is still read.
        (folder / "handwritten-digits" / name).write_bytes(data[: len(data) // 2] if "images" in name else data)
    with (
        zipfile.ZipFile(DATA / "spoken-digits" / "recordings.zip") as old,
        zipfile.ZipFile(folder / "spoken-digits" / "recordings.zip", "w") as new,
    ):
        names = [name for name in old.namelist() if name.endswith(".wav") and "__MACOSX" not in name]
        for index, name in enumerate(names):
            new.writestr(name, old.read(name) if index else b"not a clip")
    from auditor.demo.sources import recordings

    source = recordings(folder)
    assert {item.where.split(":")[0] for item in source.damage} == {"t10k-images-idx3-ubyte.gz", "recordings.zip"}
    assert sum(len(part.clips) for part in (source.train, source.pool)) == len(names) - 1
    assert 4000 < sum(len(part.images) for part in (source.train, source.pool)) < 6000
