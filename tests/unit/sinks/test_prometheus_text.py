"""Prometheus text: the contract's names, one line a series, nothing for what is absent."""

from datetime import timedelta

from auditor.core.measurement import Status
from auditor.sinks.prometheus import metric_name, render
from auditor.testing import make_measurement

DAY = timedelta(days=1)


def test_names_follow_the_unit():
    assert metric_name("energy.per_inference.ratio", "1") == "auditor_energy_per_inference_ratio"
    assert metric_name("carbon.emitted", "kg{CO2e}") == "auditor_carbon_emitted_kg"
    assert metric_name("latency.p95", "s") == "auditor_latency_p95_seconds"
    assert metric_name("carbon.sci", "g{CO2e}/{R}") == "auditor_carbon_sci"


def test_a_series_is_one_line_with_its_attributes():
    text = render([make_measurement(value=0.25, version="1.4", model='a"b\\c\nd')])
    assert text.splitlines()[:2] == [
        "# TYPE auditor_drift_ks_ratio gauge",
        'auditor_drift_ks_ratio{column="brightness",input="photo",modality="image",model="a\\"b\\\\c\\nd",version="1.4"} 0.25',
    ]
    assert text.endswith("\n")


def test_the_newest_window_and_revision_win_and_absent_figures_leave_no_old_value():
    old = make_measurement(value=0.1)
    again = make_measurement(value=0.2, revision=1)
    assert " 0.2\n" in render([again, old])
    gone = make_measurement(start=old.start + DAY, status=Status.INSUFFICIENT_DATA, reason="no_data")
    assert "auditor_drift_ks_ratio" not in render([old, again, gone])


def test_the_end_of_the_newest_window_is_shown():
    found = make_measurement()
    later = make_measurement(start=found.start + DAY)
    end = later.end.timestamp()
    assert f'auditor_window_end_seconds{{model="{found.model}"}} {end!r}' in render([found, later])


def test_families_are_grouped_and_sorted():
    figures = [
        make_measurement(metric="latency.p95", unit="s", attributes={}, value=0.5),
        make_measurement(value=0.1),
        make_measurement(value=0.3, attributes={"column": "contrast", "input": "photo"}),
    ]
    lines = [line.split("{")[0] for line in render(figures).splitlines()]
    assert lines == [
        "# TYPE auditor_drift_ks_ratio gauge",
        "auditor_drift_ks_ratio",
        "auditor_drift_ks_ratio",
        "# TYPE auditor_latency_p95_seconds gauge",
        "auditor_latency_p95_seconds",
        "# TYPE auditor_window_end_seconds gauge",
        "auditor_window_end_seconds",
    ]


def test_nothing_gives_nothing():
    assert render([]) == ""
