"""MLflow on its own SQLite database: layout, idempotency, speed, and the same figures as the store, value by value."""

import json
import os
import socket
from dataclasses import replace

import pytest
from mlflow import MlflowClient
from mlflow_figures import differences

from auditor.core.artifact import Artifact
from auditor.core.errors import SinkError
from auditor.core.measurement import Method, Status
from auditor.core.verdict import AlertChange
from auditor.core.window import DAY, Span
from auditor.sinks.mlflow import PLUGIN, metrics_of, window_tag
from auditor.store.sql import SqlStore
from auditor.testing import check_sink, make_audit, make_baseline, make_measurement, make_run, make_store


@pytest.fixture(scope="module")
def sink(tmp_path_factory):
    """One database for all tests here: its first use takes seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    return PLUGIN.configure(uri=f"sqlite:///{folder}/deep/mlflow.db", artifact_root=folder / "artifacts")


def audited(model="digit-reader", day=0, revision=1, figures=40, **overrides):
    span = make_run().span
    span = Span(span.start + day * DAY, span.end + day * DAY)
    run = make_run(id=f"{model}-{day}-{revision}", model=model, span=span, revision=revision)
    common = {"model": model, "start": span.start, "revision": revision, "run": run.id}
    rows = [
        make_measurement(
            **common, value=(i + day) / 7 + revision * 1e-9, attributes={"column": f"c{i}", "group": f"<{i}"}
        )
        for i in range(figures)
    ]
    rows.append(make_measurement(**common, metric="drift.psi", status=Status.INSUFFICIENT_DATA, reason="no_data"))
    rows.append(make_measurement(**common, metric="energy.active", unit="J", value=1e300, attributes={}))
    rows.append(make_measurement(**common, metric="latency.p50", unit="s", value=5e-324, attributes={}))
    return make_audit(run=run, measurements=tuple(rows), **overrides)


def run_of(sink, audit):
    client = MlflowClient(tracking_uri=sink.uri)
    experiment = client.get_experiment_by_name(audit.run.model)
    wanted = f"tags.`auditor.window` = '{window_tag(audit.run.span)}'"
    [run] = client.search_runs([experiment.experiment_id], wanted)
    return client, run


def test_a_window_is_a_run_of_the_models_experiment(sink, tmp_path):
    audit = audited("layout")
    sink.deliver(audit, tmp_path)
    client, run = run_of(sink, audit)
    assert client.get_experiment(run.info.experiment_id).name == "layout"
    assert run.data.tags["auditor.window"] == window_tag(audit.run.span)
    assert run.data.tags["auditor.verdict.starter.image-drift"] == "fail"
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "drift.ks/c3/3-" + run_key_tail(run, "drift.ks/c3/3-"))
    assert [(metric.step, metric.value) for metric in history] == [(1, 3 / 7 + 1e-9)]


def run_key_tail(run, start):
    return next(key for key in run.data.metrics if key.startswith(start))[len(start) :]


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
def test_mlflow_and_the_store_hold_the_same_figures(sink, tmp_path, backend):
    store = make_store() if backend == "memory" else SqlStore(f"sqlite:///{tmp_path}/auditor.db")
    try:
        for day in range(3):
            audit = audited(f"same-{backend}", day, verdicts=(), alerts=AlertChange())
            store.commit(audit)
            sink.deliver(audit, tmp_path)
            _, run = run_of(sink, audit)
            stored = store.measurements(audit.run.model, span=audit.run.span, all_versions=True)
            assert list(differences(audit, run.data.metrics, stored)) == []
            assert len(run.data.metrics) == 42
    finally:
        store.close()


def test_the_full_list_is_an_artifact(sink, tmp_path):
    audit = audited("artifacts")
    sink.deliver(audit, tmp_path)
    client, run = run_of(sink, audit)
    path = client.download_artifacts(run.info.run_id, "measurements.json", str(tmp_path))
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        listed = json.load(file)
    assert listed["schema"] == "auditor.measurements/1"
    assert listed["measurements"] == [found.as_json() for found in audit.measurements]


def test_reports_are_copied_and_a_missing_one_is_loud(sink, tmp_path):
    page = Artifact(
        sha256="ab" * 32,
        extension="html",
        title="Drift",
        made_by=Method("evidently", "1"),
        model="reports",
        start=make_run().span.start,
        end=make_run().span.end,
        run="reports-0-1",
        size=6,
    )
    audit = audited("reports", artifacts=(page,))
    with pytest.raises(SinkError):
        sink.deliver(audit, tmp_path)
    (tmp_path / page.filename).write_text("<html>")
    sink.deliver(audit, tmp_path)
    client, run = run_of(sink, audit)
    assert [item.path for item in client.list_artifacts(run.info.run_id, "reports")] == [f"reports/{page.filename}"]


def test_delivering_again_changes_nothing_and_a_revision_is_a_step(sink, tmp_path):
    first, second = audited("again"), audited("again", revision=2)
    for audit in (first, first, second):
        sink.deliver(audit, tmp_path)
    client, run = run_of(sink, second)
    found = client.search_runs([run.info.experiment_id])
    assert len(found) == 1
    assert run.data.tags["auditor.revision"] == "2"
    key = next(iter(metrics_of(first)))
    history = [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, key)]
    assert history == [(1, metrics_of(first)[key]), (2, metrics_of(second)[key])]
    assert run.data.metrics == metrics_of(second)
    fresh = PLUGIN.configure(uri=sink.uri, artifact_root=sink.artifact_root)
    fresh.deliver(second, tmp_path)
    assert len(client.search_runs([run.info.experiment_id])) == 1


def test_it_keeps_the_sinks_contract(sink, tmp_path):
    check_sink(sink, tmp_path, audited("contract"))


def test_a_deleted_experiment_is_said_to_be_deleted(sink, tmp_path):
    audit = audited("gone")
    sink.deliver(audit, tmp_path)
    client, run = run_of(sink, audit)
    client.delete_experiment(run.info.experiment_id)
    with pytest.raises(SinkError) as caught:
        PLUGIN.configure(uri=sink.uri, artifact_root=sink.artifact_root).deliver(audit, tmp_path)
    assert caught.value.code == "mlflow_experiment_deleted"


def test_telemetry_is_off(sink, tmp_path):
    sink.deliver(audited("quiet"), tmp_path)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert is_telemetry_disabled()


@pytest.mark.timeout(120)  # MLflow's own retries go on for minutes
def test_a_server_that_is_down_is_a_sink_error_soon(tmp_path):
    with socket.socket() as taken:  # a port that nobody listens on
        taken.bind(("127.0.0.1", 0))
        uri = f"http://user:s3cret@127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(SinkError) as caught:
        PLUGIN.configure(uri=uri).deliver(audited("down"), tmp_path)
    assert caught.value.code == "mlflow_failed"
    assert caught.value.where.endswith(uri.rsplit("@", 1)[1])
    assert "s3cret" not in caught.value.where


def test_figures_of_versions_and_baselines_do_not_meet(sink, tmp_path):
    audit = audited("versions", figures=1)
    both = (*audit.measurements, replace(audit.measurements[0], id="v", version="1.4", value=0.5))
    sink.deliver(replace(audit, measurements=both), tmp_path)
    _, run = run_of(sink, audit)
    assert sorted(value for key, value in run.data.metrics.items() if key.startswith("drift.ks/c0")) == [1e-9, 0.5]
    assert make_baseline().id == audit.run.baseline == run.data.tags["auditor.baseline"]
