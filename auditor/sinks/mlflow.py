"""Audits in MLflow: experiment = model, one run a window, metrics by revision, everything else beside them as artifacts."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from auditor.core.errors import SinkError
from auditor.core.identity import digest, slug
from auditor.core.measurement import Measurement, Status
from auditor.core.private import make_folder
from auditor.core.run import Audit
from auditor.core.verdict import Verdict, Word
from auditor.core.window import Span, format_time
from auditor.ports import Option

WINDOW_TAG = "auditor.window"
MEASUREMENTS = "measurements.json"
LONGEST_KEY = 250
"""MLflow's limit on metric and tag names."""
_GRAVEST_FIRST = (
    Word.FAIL,
    Word.ERROR,
    Word.INSUFFICIENT_EVIDENCE,
    Word.WARN,
    Word.WAIVED,
    Word.PASS,
    Word.NOT_APPLICABLE,
)
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # A server that is down must not hold up an audit: by default the client tries for about four minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
}


class MlflowSink:
    """Logs each audit to one tracking store; delivering a window again finds its run by tag and adds a step or nothing.

    The first delivery to a new database takes some seconds: MLflow migrates it from its first schema to its newest.

    Parameters
    ----------
    uri : str
        Tracking URI: `sqlite:///...`, another database, or the address of a server.
    artifact_root : Path or None
        Where artifacts of new experiments go; None leaves it to the server.
    """

    def __init__(self, uri: str, artifact_root: Path | None = None) -> None:
        self.uri = uri
        self.artifact_root = artifact_root
        self._client: Any = None
        self._experiments: dict[str, str] = {}

    def deliver(self, audit: Audit, artifacts: Path) -> None:
        """Log metrics, tags and artifacts of one window; SinkError when MLflow cannot be reached or refuses."""
        try:
            client = self._open()
            run_id = self._run(client, audit)
            self._log(client, run_id, audit)
            client.log_text(run_id, _measurements_json(audit), MEASUREMENTS)
            for artifact in audit.artifacts:
                client.log_artifact(run_id, str(artifacts / artifact.filename), "reports")
            client.set_terminated(run_id, "FINISHED", end_time=_ms(audit.run.span.end))
        except SinkError:
            raise
        except Exception as error:  # MLflow, SQLAlchemy and requests all raise their own kinds
            self._client, self._experiments = None, {}  # what was known of a server that failed may be outdated
            raise SinkError(
                "mlflow_failed",
                f"MLflow did not take the window {audit.run.span}: {type(error).__name__}: {_first_line(error)}",
                where=_without_secret(self.uri),
                fix="the store holds the audit; see that MLflow can be reached",
                permanent=getattr(error, "error_code", "") == "INVALID_PARAMETER_VALUE",
            ) from error

    def _open(self) -> Any:
        if self._client is None:
            for name, value in _SETTINGS.items():
                os.environ.setdefault(name, value)
            if self.uri.startswith("sqlite:///"):
                make_folder(Path(self.uri.removeprefix("sqlite:///")).parent)
            from mlflow import MlflowClient

            logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # two lines about making tables
            self._client = MlflowClient(tracking_uri=self.uri)
        return self._client

    def _experiment(self, client: Any, model: str) -> str:
        if model not in self._experiments:
            found = client.get_experiment_by_name(model)
            if found is not None and found.lifecycle_stage != "active":
                raise SinkError(
                    "mlflow_experiment_deleted",
                    f"the experiment {model!r} was deleted in MLflow",
                    where=_without_secret(self.uri),
                    fix="restore it, or delete it for good with `mlflow gc`",
                )
            self._experiments[model] = found.experiment_id if found else self._create(client, model)
        return self._experiments[model]

    def _create(self, client: Any, model: str) -> str:
        if self.artifact_root is None or self.uri.startswith(("http:", "https:")):
            return str(client.create_experiment(model))
        folder = (self.artifact_root / slug(model)).absolute()
        make_folder(folder)
        return str(client.create_experiment(model, artifact_location=folder.as_uri()))

    def _run(self, client: Any, audit: Audit) -> str:
        experiment = self._experiment(client, audit.run.model)
        found = self._find(client, experiment, audit.run.span)
        if found is not None:
            return found
        span = audit.run.span
        made = client.create_run(
            experiment,
            start_time=_ms(span.start),
            run_name=format_time(span.start),
            tags={WINDOW_TAG: window_tag(span)},
        )
        return str(made.info.run_id)

    def _find(self, client: Any, experiment: str, span: Span) -> str | None:
        runs = client.search_runs([experiment], f"tags.`{WINDOW_TAG}` = '{window_tag(span)}'", max_results=1)
        return str(runs[0].info.run_id) if runs else None

    def _log(self, client: Any, run_id: str, audit: Audit) -> None:
        from mlflow.entities import Metric, RunTag

        moment, step = _ms(audit.run.span.end), audit.run.revision
        metrics = [Metric(key, value, moment, step) for key, value in metrics_of(audit).items()]
        tags = [RunTag(key[:LONGEST_KEY], value) for key, value in tags_of(audit).items()]
        client.log_batch(run_id, metrics=metrics, tags=tags)


def window_tag(span: Span) -> str:
    """A window as MLflow's tag has it: ISO 8601 start and end."""
    return f"{format_time(span.start)}/{format_time(span.end)}"


def metrics_of(audit: Audit) -> dict[str, float]:
    """MLflow metrics by key: every figure of the run's own window that has a value.

    Figures of longer windows (rules that reach back) share their series' keys with these, so they stay in the artifact.
    """
    span = audit.run.span
    return {
        metric_key(found): found.value
        for found in audit.measurements
        if found.status is Status.OK and found.value is not None and (found.start, found.end) == (span.start, span.end)
    }


def metric_key(found: Measurement) -> str:
    """Metric, then `/` and the slugged attribute values in the order of their keys; a version counts as an attribute.

    A key longer than MLflow allows ends in a digest of the whole.
    """
    attributes = {**found.attributes, **({"version": found.version} if found.version is not None else {})}
    key = "/".join([found.metric, *(slug(value) for _, value in sorted(attributes.items()))])
    return key if len(key) <= LONGEST_KEY else f"{key[: LONGEST_KEY - 13]}-{digest(key.encode())[:12]}"


def tags_of(audit: Audit) -> dict[str, str]:
    """MLflow tags: what was audited under which policies, and each control's gravest word."""
    run, alerts = audit.run, audit.alerts
    words = Counter(str(verdict.verdict) for verdict in audit.verdicts)
    tags = {
        "auditor.model": run.model,
        WINDOW_TAG: window_tag(run.span),
        "auditor.run": run.id,
        "auditor.revision": str(run.revision),
        "auditor.baseline": run.baseline or "",
        "auditor.records": str(run.records),
        "auditor.labelled": str(run.labelled),
        "auditor.measurements": str(len(audit.measurements)),
        "auditor.settings": run.settings,
        "auditor.verdicts": ", ".join(f"{word} {count}" for word, count in sorted(words.items())),
        "auditor.alerts": f"opened {len(alerts.opened)}, renewed {len(alerts.renewed)}, resolved {len(alerts.resolved)}",
    }
    tags.update({f"auditor.policy.{slug(name)}": value for name, value in sorted(run.policies.items())})
    tags.update({f"auditor.version.{slug(name)}": value for name, value in sorted(run.versions.items())})
    tags.update(_words(audit.verdicts))
    return tags


def _words(verdicts: Iterable[Verdict]) -> dict[str, str]:
    by_control: dict[str, set[Word]] = {}
    for verdict in verdicts:
        by_control.setdefault(f"auditor.verdict.{slug(verdict.policy)}.{slug(verdict.control)}", set()).add(
            verdict.verdict
        )
    return {
        control: str(next(word for word in _GRAVEST_FIRST if word in words))
        for control, words in sorted(by_control.items())
    }


def _measurements_json(audit: Audit) -> str:
    return json.dumps(
        {
            "schema": "auditor.measurements/1",
            "model": audit.run.model,
            "run": audit.run.id,
            "revision": audit.run.revision,
            "measurements": [found.as_json() for found in audit.measurements],
        },
        indent=1,
        ensure_ascii=False,
        allow_nan=False,
    )


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:300]


def _without_secret(uri: str) -> str:
    scheme, mark, rest = uri.partition("://")
    return f"{scheme}{mark}{rest.rsplit('@', 1)[-1]}"


class MlflowPlugin:
    """Factory: `PLUGIN.configure(uri=..., artifact_root=...)`."""

    requires = ("mlflow",)
    options = (
        Option("uri", "Tracking URI; `[mlflow] uri` is the same.", "sqlite:///{home}/mlflow/mlflow.db"),
        Option("artifact_root", "Folder for artifacts, unless a server decides.", "{home}/mlflow/artifacts"),
    )

    def configure(self, *, uri: str, artifact_root: str | Path | None = None) -> MlflowSink:
        """A sink that logs to `uri`; nothing is imported or opened before the first delivery."""
        return MlflowSink(uri, Path(artifact_root) if artifact_root else None)


PLUGIN = MlflowPlugin()
