"""One valid object of each core type; every field can be overridden by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from auditor.core.identity import digest
from auditor.core.measurement import How, Interval, Measurement, Method, Status
from auditor.core.record import Input, Label, ModelRef, Output, Record
from auditor.core.run import Audit, AuditRun
from auditor.core.verdict import Alert, AlertChange, Force, Ref, State, Verdict, Word
from auditor.core.window import DAY, Baseline, Span, format_time

if TYPE_CHECKING:
    from auditor.store.sql import SqlStore

START = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday: where the factories' windows begin."""
MODEL = "digit-reader"


def make_record(**overrides: Any) -> Record:
    """A record with a photo and a clip, both described and scored; `model` may be a plain name.

    >>> make_record(id="r1", groups={"site": "north"}).as_json()["groups"]
    {'site': 'north'}
    """
    fields: dict[str, Any] = {
        "id": "01941f29-7c00-7000-8000-000000000001",
        "time": START + timedelta(hours=9),
        "model": ModelRef(name=MODEL, version="1.0.0"),
        "inputs": (
            Input(
                name="photo",
                modality="image",
                descriptors={"brightness": 0.131, "contrast": 0.308, "sharpness": 0.051, "exif_orientation": None},
                scores=(0.05, 0.9, 0.05),
                describer="image/1",
            ),
            Input(
                name="clip",
                modality="audio",
                descriptors={"level_dbfs": -21.5, "snr_db": 24.0, "duration_s": 0.42},
                scores=(0.1, 0.8, 0.1),
                describer="audio/1",
            ),
        ),
        "output": Output(label="1", scores=(0.02, 0.96, 0.02)),
        "groups": {"site": "north", "speaker": "theo"},
        "latency_s": 0.004,
    }
    fields.update(overrides)
    if isinstance(fields["model"], str):
        fields["model"] = ModelRef(name=fields["model"], version="1.0.0")
    return Record(**fields)


def make_label(**overrides: Any) -> Label:
    """Ground truth for the record that `make_record()` gives, two hours later."""
    fields: dict[str, Any] = {"id": make_record().id, "model": MODEL, "time": START + timedelta(hours=11)}
    if "value" not in overrides:
        fields["label"] = "1"
    return Label(**{**fields, **overrides})


def make_measurement(**overrides: Any) -> Measurement:
    """A drift.ks figure of the photo's brightness over one day; its id follows from series, window and revision.

    Give `status` and `reason` and the value is left out.
    """
    fields: dict[str, Any] = {
        "metric": "drift.ks",
        "value": 0.08,
        "unit": "1",
        "status": Status.OK,
        "reason": "",
        "model": MODEL,
        "version": None,
        "start": START + 7 * DAY,
        "revision": 0,
        "n": 400,
        "n_baseline": 2800,
        "baseline": "b1",
        "attributes": {"column": "brightness", "input": "photo", "modality": "image"},
        "interval": None,
        "p_value": 0.2,
        "method": Method("univariate", "1"),
        "how": How.MEASURED,
        "exact": True,
        "bound": None,
        "run": "run-1",
    }
    fields.update(overrides)
    if fields["status"] != Status.OK and "value" not in overrides:
        fields.update(value=None, p_value=overrides.get("p_value"))
    fields.setdefault("end", fields["start"] + DAY)
    fields.setdefault("recorded", fields["end"] + timedelta(hours=2))
    fields.setdefault("id", _key(fields, "metric", "attributes", "model", "version", "start", "end", "revision"))
    return Measurement(**fields)


def make_verdict(**overrides: Any) -> Verdict:
    """A passing verdict of one control over one day; `underlying` follows `verdict` unless given."""
    fields: dict[str, Any] = {
        "policy": "starter",
        "policy_digest": "0" * 64,
        "control": "image-drift",
        "refs": (Ref("AI-ACT", "Art. 72(2)", "informs"),),
        "model": MODEL,
        "slice": "overall",
        "start": START + 7 * DAY,
        "verdict": Word.PASS,
        "reason": "",
        "force": Force.INTERNAL,
        "state": State.OK,
        "observed": 0.08,
        "limit": 0.15,
        "unit": "1",
        "n": 400,
        "evidence": (make_measurement().id,),
        "kind": "image",
        "severity": "medium",
        "input": "photo",
        "modality": "image",
        "budget_share": 0.001,
        "run": "run-1",
        "revision": 0,
    }
    fields.update(overrides)
    fields.setdefault("end", fields["start"] + DAY)
    fields.setdefault("since", fields["end"])
    fields.setdefault("judged", fields["end"] + timedelta(hours=2))
    fields.setdefault("underlying", fields["verdict"])
    fields.setdefault("held_since", fields["end"])
    fields.setdefault("id", _key(fields, "policy", "control", "model", "slice", "input", "start", "end", "revision"))
    return Verdict(**fields)


def make_alert(**overrides: Any) -> Alert:
    """An open alert about the photo; give `state="resolved"` and it gets a time of resolution."""
    fields: dict[str, Any] = {
        "kind": "image",
        "model": MODEL,
        "policy": "starter",
        "control": "image-drift",
        "slice": "overall",
        "input": "photo",
        "modality": "image",
        "severity": "medium",
        "state": "open",
        "opened": START + 8 * DAY,
        "count": 1,
        "verdict": make_verdict().id,
        "budget_share": 0.001,
        "examples": (make_record().id,),
    }
    fields.update(overrides)
    fields.setdefault("since", fields["opened"])
    fields.setdefault("renewed", fields["opened"])
    fields.setdefault("found", fields["opened"])
    fields.setdefault("resolved", fields["renewed"] + DAY if fields["state"] == "resolved" else None)
    fields.setdefault("id", _key(fields, "policy", "control", "model", "slice", "input", "opened"))
    return Alert(**fields)


def make_baseline(**overrides: Any) -> Baseline:
    """A baseline pinned on the week that begins at START."""
    fields: dict[str, Any] = {
        "id": "b1",
        "model": MODEL,
        "span": Span(START, START + 7 * DAY),
        "frame": "0" * 64,
        "n": 2800,
        "versions": ("1.0.0",),
        "by": "ada",
        "at": START + 7 * DAY + timedelta(hours=3),
        "describers": (("clip", "audio/1|"), ("photo", "image/1|")),
    }
    return Baseline(**{**fields, **overrides})


def make_run(**overrides: Any) -> AuditRun:
    """The run of the day after the baseline week."""
    fields: dict[str, Any] = {
        "id": "run-1",
        "model": MODEL,
        "span": Span(START + 7 * DAY, START + 8 * DAY),
        "revision": 0,
        "baseline": "b1",
        "records": 400,
        "labelled": 390,
        "versions": {"auditor": "0.1.0", "numpy": "2.0.0"},
        "policies": {"starter": "0" * 64},
        "settings": "1" * 64,
        "states": "2" * 64,
    }
    fields.update(overrides)
    fields.setdefault("started", fields["span"].end + timedelta(hours=2))
    fields.setdefault("ended", fields["started"] + timedelta(seconds=1))
    return AuditRun(**fields)


def make_audit(**overrides: Any) -> Audit:
    """One audited day: two figures (one of them absent), one interval, a failing verdict and the alert it opened."""
    verdict = make_verdict(
        verdict=Word.FAIL,
        state=State.FIRING,
        observed=0.41,
    )
    fields: dict[str, Any] = {
        "run": make_run(),
        "measurements": (
            make_measurement(value=0.41, p_value=1e-12),
            make_measurement(
                metric="quality.accuracy",
                value=0.97,
                attributes={},
                p_value=None,
                interval=Interval(0.95, 0.98, 0.95, "wilson"),
                method=Method("classification", "1"),
            ),
            make_measurement(
                metric="energy.per_inference",
                unit="J",
                status=Status.INSUFFICIENT_DATA,
                reason="not_measured",
                attributes={},
                method=Method("energy", "1"),
            ),
        ),
        "verdicts": (verdict,),
        "alerts": AlertChange(opened=(make_alert(verdict=verdict.id),)),
        "artifacts": (),
    }
    return Audit(**{**fields, **overrides})


def _key(fields: dict[str, Any], *names: str) -> str:
    """An id that follows from these fields, so that equal objects get equal ids and others do not."""
    plain = [format_time(value) if isinstance(value := fields[name], datetime) else value for name in names]
    return digest(plain)[:32]


def make_store() -> SqlStore:
    """An empty store on SQLite in memory: the product's own, kept nowhere; for one thread at a time.

    >>> make_store().models()
    []
    """
    from sqlalchemy.engine import URL

    from auditor.store.sql import SqlStore

    return SqlStore(URL.create("sqlite"))
