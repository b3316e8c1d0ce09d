"""The verb `measure`: placing, failing plugins, absent baselines, and the service's own figures by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from auditor.audit.measure import measure, service_readings
from auditor.core.catalogue import CORE_METRICS, MetricSpec
from auditor.core.frame import Frame
from auditor.core.grid import Grid
from auditor.core.measurement import How, Reading, Status
from auditor.core.state import Energy, NumericState, Sample, Tally, empty_state
from auditor.core.window import DAY
from auditor.fairness.metric_frame import PLUGIN as FAIRNESS
from auditor.quality.classification import PLUGIN as QUALITY
from auditor.statistics.intervals import quantile_ranks
from auditor.testing import make_baseline, make_rows, make_state, make_window

FRAME = Frame("digit-reader")
SPAN = make_baseline().span
EMPTY = empty_state("digit-reader", SPAN, FRAME.digest)
RECORDED = datetime(2026, 2, 1, tzinfo=UTC)


class Plugin:
    version = "3"
    metrics = (MetricSpec("drift.x", "1", "x"), MetricSpec("drift.y", "J", "y"), MetricSpec("own.*", "s", "own"))

    def __init__(self, readings=(), needs_baseline=False, error=None):
        self.readings, self.needs_baseline, self.error = readings, needs_baseline, error

    def measure(self, current, baseline, frame):
        yield from self.readings
        if self.error:
            raise self.error


def run(current=EMPTY, baseline=None, measurers=None, **options):
    return measure(
        current,
        baseline,
        FRAME,
        measurers or {},
        span=SPAN,
        run="run-1",
        revision=2,
        recorded=RECORDED,
        **options,
    )


def of(readings, metric, **attributes):
    found = [r for r in readings if r.metric == metric and dict(r.attributes) == attributes]
    assert len(found) == 1, (metric, attributes, [(r.metric, dict(r.attributes)) for r in readings])
    return found[0]


# -- placing ------------------------------------------------------------------------------------------------------------


def test_readings_get_their_context_and_the_unit_of_their_metric():
    plugin = Plugin([Reading(metric="drift.y", value=2.0, n=5), Reading(metric="own.thing", value=1.0, n=5)])
    found = of(run(measurers={"mine": plugin}, version="1.4"), "drift.y")
    assert (found.unit, found.method.name, found.method.version) == ("J", "mine", "3")
    assert (found.run, found.revision, found.version, found.recorded) == ("run-1", 2, "1.4", RECORDED)
    assert found.span == SPAN
    assert found.baseline is None
    assert of(run(measurers={"mine": plugin}), "own.thing").unit == "s"


def test_a_failing_plugin_costs_its_own_figures_only(caplog):
    broken = Plugin([Reading(metric="drift.x", value=1.0, n=3)], error=ZeroDivisionError("inside"))
    found = run(measurers={"broken": broken, "fine": Plugin([Reading(metric="drift.y", value=1.0, n=3)])})
    failed = of(found, "drift.x")
    assert (failed.status, failed.reason, failed.method.name) == (Status.ERROR, "plugin_failed", "broken")
    assert of(found, "drift.y").value == 1.0
    assert "inside" in caplog.text


def test_a_metric_nobody_declared_is_the_plugins_failure(caplog):
    found = run(measurers={"broken": Plugin([Reading(metric="drift.z", value=1.0, n=3)])})
    assert of(found, "drift.x").reason == "plugin_failed"
    assert "undeclared_metric" in caplog.text


def test_without_a_baseline_those_that_need_one_say_so():
    found = run(measurers={"drift": Plugin([Reading(metric="drift.x", value=1.0, n=1)], needs_baseline=True)})
    assert {m.metric: m.reason for m in found if m.method.name == "drift"} == {
        "drift.x": "no_baseline",
        "drift.y": "no_baseline",
    }


def test_a_whole_window_in_one_stable_order_with_unique_ids():
    current, before, frame = make_window(150, 2)
    pinned = make_baseline(frame=frame.digest), frame, before
    measurers = {"metric_frame": FAIRNESS, "classification": QUALITY}
    options = {"span": SPAN, "run": "r", "revision": 1, "recorded": RECORDED}
    found = measure(current, pinned, frame, measurers, **options)
    assert [m.id for m in found] == [m.id for m in measure(current, pinned, frame, measurers, **options)]
    assert len({m.id for m in found}) == len(found)
    assert {m.baseline for m in found} == {"b1"}
    declared = {spec.name for plugin in measurers.values() for spec in plugin.metrics} | {s.name for s in CORE_METRICS}
    assert {m.metric for m in found} <= declared


def test_a_window_without_records_has_no_figure_at_all():
    found = run(measurers={"metric_frame": FAIRNESS, "classification": QUALITY})
    assert {m.metric for m in found} == {spec.name for spec in CORE_METRICS}
    absent = [m for m in found if m.metric != "traffic.calls"]
    assert {m.status for m in absent} == {Status.INSUFFICIENT_DATA}
    assert {m.reason for m in absent} == {"no_data"}
    assert of(found, "traffic.calls").value == 0.0


# -- capture and labels -------------------------------------------------------------------------------------------------


def test_loss_and_coverage_are_of_what_was_seen_whatever_the_reason():
    dropped = {"queue_full": 20, "sampled": 30, "refused": 5, "lost_after_delivery": 15}
    tally = Tally(seen=1000, described=700, delivered=950, dropped=dropped, undeclared=10, at_rest=930)
    found = service_readings(replace(EMPTY, n=950, tally=tally), None, FRAME)
    assert of(found, "capture.seen").value == 1000
    assert of(found, "capture.described").value == 700
    assert of(found, "capture.dropped").value == 40  # sampling is no loss
    assert {reason: of(found, "capture.dropped", reason=reason).value for reason in dropped} == dropped
    assert of(found, "capture.refused").value == 5
    assert of(found, "capture.undeclared").value == 10  # never added to what was seen
    assert of(found, "capture.coverage").value == pytest.approx(930 / 1000)
    assert of(found, "capture.coverage").n == 1000
    assert of(found, "capture.loss").value == pytest.approx(40 / 970)
    assert of(found, "capture.loss").n == 970


def test_calls_that_nobody_declared_are_all_that_is_known_of_them():
    found = service_readings(replace(EMPTY, n=4, tally=Tally(undeclared=7)), None, FRAME)
    assert of(found, "capture.undeclared").value == 7
    assert {of(found, f"capture.{name}").reason for name in ("seen", "loss", "coverage")} == {"not_measured"}
    sampled = Tally(seen=9, dropped={"sampled": 9})
    assert of(service_readings(replace(EMPTY, tally=sampled), None, FRAME), "capture.loss").value is None


def test_files_without_an_agent_have_no_coverage():
    found = service_readings(replace(EMPTY, n=40), None, FRAME)
    assert {of(found, f"capture.{name}").reason for name in ("seen", "dropped", "loss", "coverage")} == {"not_measured"}


def test_labels_say_how_many_and_how_late():
    current = make_state(make_rows(100, 1, labelled=0.6))
    found = service_readings(current, None, FRAME)
    assert of(found, "labels.coverage").value == current.labelled / 100
    assert of(found, "labels.delay_p50").value == pytest.approx(7200.0)
    unlabelled = service_readings(make_state(make_rows(50, 1, labelled=0.0)), None, FRAME)
    assert of(unlabelled, "labels.coverage").value == 0.0
    assert of(unlabelled, "labels.delay_p50").reason == "unlabelled"


# -- latency ------------------------------------------------------------------------------------------------------------


def with_latency(values, *, sampled=None, grid=None):
    """A state whose latencies are `values`, of which the sample holds the first `sampled`."""
    values = np.asarray(values, float)
    kept = values if sampled is None else values[:sampled]
    frame = FRAME if grid is None else Frame("digit-reader", grids={"latency_s": grid})
    bins, counts = np.unique(frame.grid("latency_s").index(values), return_counts=True)
    from auditor.core.state import Moments

    ids = np.array([f"r{i}" for i in range(len(kept))], object)
    state = replace(
        EMPTY,
        n=len(values),
        numeric={"latency_s": NumericState(bins, counts, Moments.of(values))},
        sample=Sample(np.arange(len(kept), dtype=np.uint64), ids, {"latency_s": kept}, {}),
    )
    return state, frame


def test_quantiles_are_exact_while_the_sample_holds_every_record():
    values = np.random.default_rng(0).lognormal(-5, 0.4, 401)
    state, frame = with_latency(values)
    found = of(service_readings(state, None, frame), "latency.p95")
    ordered = np.sort(values)
    assert found.value == ordered[380]  # the smallest value with at least 95 % at or below it
    assert (found.exact, found.bound, found.n) == (True, None, 401)
    lower, upper = quantile_ranks(401, 0.95)
    assert (found.interval.lower, found.interval.upper) == (ordered[lower], ordered[upper])
    assert of(service_readings(state, None, frame), "latency.p50").value == np.median(values)


def test_beyond_the_sample_the_log_grid_is_right_within_its_bound():
    values = np.random.default_rng(1).lognormal(-5, 0.4, 20_000)
    state, frame = with_latency(values, sampled=2000)
    for q, metric in ((0.5, "latency.p50"), (0.95, "latency.p95")):
        found = of(service_readings(state, None, frame), metric)
        truth = np.quantile(values, q, method="inverted_cdf")
        assert not found.exact
        assert abs(found.value - truth) <= found.bound <= 0.006 * truth
        assert found.interval.lower <= found.value <= found.interval.upper


def test_a_latency_beyond_the_baselines_range_is_not_read_as_the_baselines_slowest():
    before = np.random.default_rng(2).lognormal(-5, 0.3, 4000)
    edges = np.quantile(before, np.linspace(0.01, 0.99, 99))
    values = np.array([part.mean() for part in np.split(np.sort(before), 100)])
    state, frame = with_latency(before[:3000] * 40, sampled=2000, grid=Grid(edges, values))
    found = of(service_readings(state, None, frame), "latency.p95")
    truth = np.quantile(before[:3000] * 40, 0.95, method="inverted_cdf")
    assert found.value == pytest.approx(truth, rel=0.1)
    assert abs(found.value - truth) <= found.bound


def test_a_fitted_grid_inside_its_range_is_right_within_its_bound():
    before = np.random.default_rng(3).lognormal(-5, 0.3, 4000)
    edges = np.quantile(before, np.linspace(0.01, 0.99, 99))
    values = np.array([part.mean() for part in np.split(np.sort(before), 100)])
    state, frame = with_latency(before, sampled=2000, grid=Grid(edges, values))
    found = of(service_readings(state, None, frame), "latency.p50")
    assert abs(found.value - np.quantile(before, 0.5, method="inverted_cdf")) <= found.bound


def test_the_baselines_latency_stands_in_the_note():
    state, frame = with_latency([0.010] * 30)
    before, _ = with_latency([0.004] * 90)
    found = of(service_readings(state, before, frame), "latency.p50")
    assert (found.facts, found.n_baseline) == ({"baseline": pytest.approx(0.004)}, 90)


# -- energy and carbon --------------------------------------------------------------------------------------------------


def with_energy(**by_method):
    return replace(EMPTY, n=400, energy=by_method)


def energy(requests=400, active=8.0, idle=2.0, kg=None, meter="codecarbon 3.3.2 cpu_load", by_input=None, parts=True):
    components = {"cpu": 6.0, "ram": active + idle - 6.0} if parts else {}
    return Energy(requests, active, idle, components, by_input or {}, kg, 2.0, meter, "LUX" if kg is not None else None)


def test_energy_of_one_call_and_its_ratio_to_the_baseline():
    now, before = with_energy(modelled=energy(active=12.0)), with_energy(modelled=energy(requests=2800, active=28.0))
    found = service_readings(now, before, FRAME)
    assert of(found, "energy.active").value == 12.0
    assert of(found, "energy.idle").value == 2.0
    each = of(found, "energy.per_inference")
    assert (each.value, each.n, each.how) == (0.03, 400, How.MODELLED)
    ratio = of(found, "energy.per_inference.ratio")
    assert ratio.value == pytest.approx(3.0)
    assert (ratio.n, ratio.n_baseline) == (400, 2800)
    assert (ratio.facts["joules"], ratio.facts["baseline_joules"]) == pytest.approx((0.03, 0.01))


def test_energy_by_input():
    found = service_readings(with_energy(measured=energy(by_input={"photo": 5.0, "clip": 3.0})), None, FRAME)
    assert of(found, "energy.active", input="clip").value == 3.0
    assert of(found, "energy.per_inference", input="photo").value == pytest.approx(5 / 400)
    assert of(found, "energy.active").how is How.MEASURED


def test_mixed_methods_are_called_by_the_least_certain():
    state = with_energy(measured=energy(active=4.0), modelled=energy(active=8.0))
    found = of(service_readings(state, None, FRAME), "energy.active")
    assert (found.value, found.n, found.how) == (12.0, 800, How.MODELLED)


def test_joules_of_different_meters_are_not_divided():
    before = with_energy(measured=energy(meter="codecarbon 3.3.2 intel_rapl"))
    found = of(service_readings(with_energy(modelled=energy()), before, FRAME), "energy.per_inference.ratio")
    assert (found.status, found.reason) == (Status.NOT_APPLICABLE, "meter_changed")


@pytest.mark.parametrize(
    ("before", "reason"), [(None, "no_baseline"), (EMPTY, "absent_in_baseline"), ("still", "undefined")]
)
def test_no_ratio_says_why(before, reason):
    before = with_energy(modelled=energy(active=0.0)) if before == "still" else before
    assert (
        of(service_readings(with_energy(modelled=energy()), before, FRAME), "energy.per_inference.ratio").reason
        == reason
    )


def test_unmetered_energy_is_not_zero():
    found = service_readings(replace(EMPTY, n=10), None, FRAME)
    for name in ("active", "idle", "per_inference", "per_inference.ratio"):
        assert of(found, f"energy.{name}").reason == "not_measured"
    own = service_readings(with_energy(sourced=energy(idle=0.0, parts=False)), None, FRAME)
    assert of(own, "energy.active").how is How.SOURCED
    assert of(own, "energy.idle").reason == "not_measured"


def test_a_metered_window_without_calls_has_no_energy_of_one_call():
    found = service_readings(with_energy(modelled=energy(requests=0, active=0.0)), None, FRAME)
    assert of(found, "energy.idle").value == 2.0
    assert of(found, "energy.per_inference").reason == "no_data"


def test_carbon_needs_a_country():
    found = service_readings(with_energy(modelled=energy()), None, FRAME)
    assert of(found, "carbon.emitted").reason == "no_country"
    assert of(found, "carbon.sci").reason == "no_country"


def test_sci_is_all_emissions_and_the_embodied_part_over_the_calls():
    state = with_energy(modelled=energy(kg=2e-6))
    found = service_readings(state, None, FRAME, embodied_g=0.02)
    assert of(found, "carbon.emitted").value == 2e-6
    assert of(found, "carbon.sci").value == pytest.approx(2e-6 * 1000 / 400 + 0.02)
    assert (facts := of(found, "carbon.sci").facts)["country"] == "LUX"
    assert facts["embodied_g"] == 0.02
    placed = of(run(state, embodied_g=0.02), "carbon.sci")
    assert placed.unit == "g{CO2e}/{R}"


def test_synthetic_traffic_end_to_end():
    start = SPAN.end
    base, day = make_rows(700, 1, span=7 * DAY), make_rows(100, 2, start=start, joules=0.06)
    assert day.time_us.min() >= (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    found = service_readings(make_state(day), make_state(base), FRAME)
    assert of(found, "energy.per_inference.ratio").value == pytest.approx(3.0, rel=0.1)
