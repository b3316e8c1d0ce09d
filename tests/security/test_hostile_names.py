"""Names of models, inputs, columns, groups and classes come from outside: none becomes markup, a formula or a path."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from auditor.cli import main
from auditor.core.window import DAY, format_time
from auditor.testing import make_records
from auditor.testing.factories import START

MODEL = "../../<script>alert('model')</script>{{7*7}}"
NAMES = {
    "input": "<img src=x onerror=alert('input')>",
    "column": "</script><script>alert('column')</script>",
    "group": "<svg onload=alert('group')>",
    "value": "=HYPERLINK(\"http://x\")'<b onclick=alert('value')>",
    "label": "<!--<script>alert('label')",
}
HANDLERS = re.compile(r"\bon(error|load|click)$")


class Page(HTMLParser):
    """Elements with a handler, scripts by their text, and addresses of other hosts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.handlers: list[str] = []
        self.scripts: list[str] = []
        self.in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.in_script = tag == "script"
        self.handlers += [f"{tag} {name}" for name, value in attrs if HANDLERS.match(name) and "alert" in (value or "")]

    def handle_endtag(self, tag: str) -> None:
        self.in_script = self.in_script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self.in_script:
            self.scripts.append(data)


def hostile(record: dict[str, Any]) -> dict[str, Any]:
    record["model"]["name"] = MODEL
    for place, one in enumerate(record["inputs"]):
        one["name"] = f"{NAMES['input']}{place}"
        if one["modality"] == "tabular":
            described = one["descriptors"]
            one["descriptors"] = {**described, NAMES["column"]: NAMES["value"], NAMES["value"]: 1.0}
    record["groups"] = {NAMES["group"]: NAMES["value"], **record.get("groups", {})}
    if record.get("output", {}).get("label") is not None:
        record["output"]["label"] = NAMES["label"] + str(record["output"]["label"])
        record["output"].pop("scores", None)
    return record


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a pinned week and an audited day of hostile records, MLflow and Evidently included."""
    home = tmp_path_factory.mktemp("hostile") / "home"
    assert main(["init", str(home)]) == 0
    week, _ = make_records(350, 1, span=7 * DAY)
    dark, _ = make_records(80, 2, start=START + 7 * DAY, darken=0.6)
    file = home.parent / "records.jsonl"
    file.write_text("".join(json.dumps(hostile(record.as_json())) + "\n" for record in [*week, *dark]))
    at = ["--home", str(home)]
    assert main(["ingest", str(file), *at]) == 0
    since, until = (format_time(START + day * DAY) for day in (0, 7))
    assert main(["baseline", "pin", "--model", MODEL, "--since", since, "--until", until, *at]) == 0
    assert main(["audit", "--since", until, "--until", format_time(START + 8 * DAY), *at]) in (0, 1)
    for kind in ("drift", "fairness", "compliance"):
        for form in ("html", "csv", "json"):
            out = home.parent / "reports" / f"{kind}.{form}"
            assert main(["report", kind, "--model", MODEL, "-o", str(out), *at]) == 0
    return home


def test_no_name_steers_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name = "\x1b]0;title\x07\x1b[2J\u202egnp.exe"
    assert main(["init", str(tmp_path / "home")]) == 0
    records, _ = make_records(5, 1)
    rows = [record.as_json() for record in records]
    for row in rows:
        row["model"]["name"] = name
    file = tmp_path / "records.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    at = ["--home", str(tmp_path / "home")]
    assert main(["ingest", str(file), *at]) == 0
    assert main(["audit", *at]) in (0, 1)
    assert main(["baseline", "list", "--model", f"{name}?", *at]) in (0, 2)
    out, err = capfd.readouterr()
    assert "\\x1b[2J" in out + err
    assert not {"\x1b", "\x07", "\u202e"} & set(out + err)


def test_no_name_becomes_a_path(audited: Path) -> None:
    paths = [str(path.relative_to(audited.parent)) for path in audited.parent.rglob("*")]
    assert len(paths) > 20
    assert [path for path in paths if re.search(r"[<>'\"{}]|alert\(", path)] == []
    assert {path.name for path in audited.parent.iterdir()} == {"home", "records.jsonl", "reports"}


def test_no_name_becomes_markup_in_any_kept_page(audited: Path) -> None:
    pages = [path for path in audited.parent.rglob("*") if path.suffix in (".html", ".htm")]
    assert any("Evidently" in page.read_text() or "evidently" in page.read_text() for page in pages)
    assert any("mlflow" in str(page) for page in pages), "MLflow keeps a copy"
    for path in pages:
        text = path.read_text(encoding="utf-8")
        page = Page(text)
        assert page.handlers == [], path
        assert not [script for script in page.scripts if script.lstrip().startswith("alert(")], path
        if path.parent.name != "reports" or page.scripts:
            assert "Content-Security-Policy" in text[:2000], path
    for kind in ("drift", "fairness", "compliance"):
        page = Page((audited.parent / "reports" / f"{kind}.html").read_text(encoding="utf-8"))
        assert page.scripts == []


def test_no_name_becomes_a_formula(audited: Path) -> None:
    for path in (audited.parent / "reports").glob("*.csv"):
        for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8"))):
            assert not [cell for cell in row if cell[:1] in ("=", "@", "\t", "\r") or re.match(r"[+-][^\d.]", cell)]


def test_mlflow_has_the_model_under_its_name_and_its_files_under_safe_ones(audited: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{audited}/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name(MODEL)
    [run] = client.search_runs([experiment.experiment_id])
    assert run.data.tags["auditor.model"] == MODEL
    assert not [key for key in (*run.data.metrics, *run.data.tags) if re.search(r"[<>='\"{}]", key)]
    root = (audited / "mlflow" / "artifacts").resolve()
    assert Path(run.info.artifact_uri.removeprefix("file://")).resolve().is_relative_to(root)
