"""What goes into MLflow under which name, without MLflow."""

from datetime import timedelta

from mlflow_figures import differences

from auditor.core.measurement import Status
from auditor.core.verdict import Word
from auditor.sinks.mlflow import LONGEST_KEY, metric_key, metrics_of, tags_of, window_tag
from auditor.testing import make_audit, make_measurement, make_verdict


def test_keys_are_metric_and_slugged_values_in_the_order_of_their_keys():
    assert metric_key(make_measurement()) == "drift.ks/brightness/photo/image"
    assert metric_key(make_measurement(attributes={})) == "drift.ks"
    assert metric_key(make_measurement(attributes={"feature": "age"}, version="1.4")) == "drift.ks/age/1.4"


def test_values_that_mlflow_refuses_are_slugged_and_stay_apart():
    keys = {metric_key(make_measurement(attributes={"group": group})) for group in ("<25", ">25", "50+", "a/b", "a:b")}
    assert len(keys) == 5
    assert all(set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-/") for key in keys)


def test_long_keys_are_cut_and_stay_apart():
    keys = {metric_key(make_measurement(attributes={"group": "g" * 300 + end})) for end in "ab"}
    assert len(keys) == 2
    assert all(len(key) == LONGEST_KEY for key in keys)


def test_only_figures_of_the_runs_own_window_are_metrics():
    audit = make_audit()
    assert metrics_of(audit) == {"drift.ks/brightness/photo/image": 0.41, "quality.accuracy": 0.97}
    span = audit.run.span
    week = make_measurement(start=span.end - timedelta(days=7), end=span.end, value=0.9)
    gone = make_measurement(metric="drift.psi", status=Status.INSUFFICIENT_DATA, reason="no_data")
    assert metrics_of(make_audit(measurements=(week, gone))) == {}


def test_tags_say_what_was_judged_by_what():
    verdicts = (
        make_verdict(verdict=Word.PASS),
        make_verdict(verdict=Word.FAIL, slice="site=north"),
        make_verdict(verdict=Word.INSUFFICIENT_EVIDENCE, control="bias"),
    )
    audit = make_audit(verdicts=verdicts)
    tags = tags_of(audit)
    assert tags["auditor.window"] == window_tag(audit.run.span) == "2026-01-12T00:00:00Z/2026-01-13T00:00:00Z"
    assert tags["auditor.verdict.starter.image-drift"] == "fail"
    assert tags["auditor.verdict.starter.bias"] == "insufficient_evidence"
    assert tags["auditor.verdicts"] == "fail 1, insufficient_evidence 1, pass 1"
    assert tags["auditor.policy.starter"] == "0" * 64
    assert tags["auditor.version.numpy"] == "2.0.0"
    assert (tags["auditor.records"], tags["auditor.labelled"], tags["auditor.baseline"]) == ("400", "390", "b1")


def test_differences_are_found_value_by_value():
    audit = make_audit()
    logged = metrics_of(audit)
    assert list(differences(audit, logged, audit.measurements)) == []
    assert len(list(differences(audit, {**logged, "quality.accuracy": 0.970001}, audit.measurements))) == 1
    assert list(differences(audit, logged, audit.measurements[1:])) == [
        "store drift.ks{column=brightness,input=photo,modality=image}: missing"
    ]
