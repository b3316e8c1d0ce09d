"""The verb: a window's state, and its baseline's, become measurements.

Plugins bring drift, fairness and quality; what every window has whatever is installed (capture, latency, energy, labels) is
read off the state here. A plugin that raises costs its own figures only: one `error` row says so.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

import numpy as np

from auditor.core.catalogue import CORE_METRICS
from auditor.core.errors import PluginError
from auditor.core.frame import EDITION, Frame
from auditor.core.grid import AnyGrid, Grid
from auditor.core.measurement import How, Interval, Measurement, Method, Reading, Status, absent, place
from auditor.core.state import Energy, NumericState, WindowState
from auditor.core.window import Baseline, Span
from auditor.ports import Measurer
from auditor.statistics.intervals import quantile_ranks

SERVICE = Method("service", "2")
_LEVEL = 0.95
_log = logging.getLogger("auditor")


def measure(
    current: WindowState,
    baseline: tuple[Baseline, Frame, WindowState] | None,
    frame: Frame,
    measurers: Mapping[str, Measurer],
    *,
    span: Span,
    run: str,
    revision: int,
    recorded: datetime,
    version: str | None = None,
    embodied_g: float = 0.0,
    attributes: Mapping[str, str] | None = None,
    without: str = "no_baseline",
) -> list[Measurement]:
    """Every figure of one window, in a stable order: the service's own, then each plugin's.

    Parameters
    ----------
    current : WindowState
        The window, counted on `frame`.
    baseline : (Baseline, Frame, WindowState) or None
        What it is compared with; None: figures that need one say `no_baseline`.
    measurers : mapping of str to Measurer
        By name; the name becomes the method of their figures.
    version : str or None
        The model version `current` is of; None for all together.
    embodied_g : float
        Embodied emissions of one call, g CO2e, for `carbon.sci`.
    attributes : mapping of str to str, optional
        The slice that `current` is of (feature and group): all figures carry them, and the service's own are left out.
    without : str
        Why there is no baseline, where there is none: `no_baseline` or `inside_baseline`.
    """
    reference = baseline[2] if baseline else None
    batches = []
    if attributes is None:
        batches.append((SERVICE, _UNITS, service_readings(current, reference, frame, embodied_g=embodied_g)))
    for name, plugin in measurers.items():
        units = {spec.name: spec.unit for spec in plugin.metrics}
        batches.append((Method(name, plugin.version), units, _plugin_readings(name, plugin, current, reference, frame)))
    return [
        place(
            _in_place(reading, attributes, without),
            unit=_unit(reading.metric, units),
            method=method,
            model=current.model,
            version=version,
            span=span,
            revision=revision,
            run=run,
            baseline=baseline[0].id if baseline else None,
            recorded=recorded,
        )
        for method, units, readings in batches
        for reading in readings
    ]


def _in_place(reading: Reading, attributes: Mapping[str, str] | None, without: str) -> Reading:
    """The reading with the attributes of its slice, and with the reason why there is no baseline."""
    if attributes is not None:
        reading = replace(reading, attributes={**reading.attributes, **attributes})
    return replace(reading, reason=without) if reading.reason == "no_baseline" else reading


def _plugin_readings(
    name: str, plugin: Measurer, current: WindowState, baseline: WindowState | None, frame: Frame
) -> list[Reading]:
    if plugin.needs_baseline and baseline is None:
        return _none(plugin, "no_baseline", current)
    if plugin.needs_baseline and frame.edition < EDITION:
        return _none(plugin, "baseline_outdated", current)
    try:
        readings = list(plugin.measure(current, baseline, frame))
        units = {spec.name: spec.unit for spec in plugin.metrics}
        seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
        for reading in readings:
            _unit(reading.metric, units)
            series = reading.metric, tuple(sorted(reading.attributes.items()))
            if series in seen:
                raise PluginError("repeated_series", f"{name} measured {series} twice", fix="one reading a series")
            seen.add(series)
    except Exception:  # any plugin, any library: the other figures of the window still count
        _log.exception("plugin %s failed on %s %s", name, current.model, current.span)
        return [absent(plugin.metrics[0].name, "plugin_failed", status=Status.ERROR, n=current.n)]
    return readings


def _none(plugin: Measurer, reason: str, current: WindowState) -> list[Reading]:
    return [absent(spec.name, reason, n=current.n) for spec in plugin.metrics if not spec.name.endswith("*")]


def _unit(metric: str, units: Mapping[str, str]) -> str:
    if metric in units:
        return units[metric]
    for name, unit in units.items():
        if name.endswith("*") and metric.startswith(name[:-1]):
            return unit
    raise PluginError("undeclared_metric", f"{metric!r} is not among its plugin's metrics", fix="add a MetricSpec")


_UNITS = {spec.name: spec.unit for spec in CORE_METRICS}


# -- the service's own figures ------------------------------------------------------------------------------------------


def service_readings(
    current: WindowState, baseline: WindowState | None, frame: Frame, *, embodied_g: float = 0.0
) -> list[Reading]:
    """Capture, latency, labels, energy and carbon of one window."""
    return [
        Reading(metric="traffic.calls", value=float(max(current.n, current.tally.seen)), n=current.n),
        *_capture(current),
        _quantile("latency.p50", "latency_s", 0.5, current, baseline, frame),
        _quantile("latency.p95", "latency_s", 0.95, current, baseline, frame),
        *_labels(current, baseline, frame),
        *_energy(current, baseline),
        *_carbon(current, embodied_g),
    ]


def _capture(state: WindowState) -> Iterator[Reading]:
    """Counts of the agents against the records at rest.

    Loss is the share of the calls seen and not sampled that left no record, whatever the reason; coverage is the share of
    the calls seen that did. Calls of which no agent declared a count are `capture.undeclared`, and part of neither.
    """
    tally = state.tally
    counted = {"refused": tally.dropped.get("refused", 0), "undeclared": tally.undeclared}
    for name, count in counted.items():
        if tally.seen or count:
            yield Reading(metric=f"capture.{name}", value=float(count), n=max(tally.seen, count))
        else:
            yield absent(f"capture.{name}", "not_measured" if state.n else "no_data")
    if not tally.seen:
        # Ingested files have no agent: nobody counted what did not come.
        for metric in ("capture.seen", "capture.described", "capture.dropped", "capture.loss", "capture.coverage"):
            yield absent(metric, "not_measured" if state.n else "no_data")
        return
    n, wanted = tally.seen, tally.seen - tally.dropped.get("sampled", 0)
    lost = max(wanted - tally.at_rest, 0)
    yield Reading(metric="capture.seen", value=float(n), n=n)
    yield Reading(metric="capture.described", value=float(tally.described), n=n)
    yield Reading(metric="capture.dropped", value=float(lost), n=n)
    for reason, count in sorted(tally.dropped.items()):
        yield Reading(metric="capture.dropped", value=float(count), n=n, attributes={"reason": reason})
    if wanted > 0:
        yield Reading(metric="capture.loss", value=lost / wanted, n=wanted, facts={"count": lost, "of": wanted})
    else:
        yield absent("capture.loss", "no_data")
    yield Reading(
        metric="capture.coverage", value=min(tally.at_rest / n, 1.0), n=n, facts={"count": tally.at_rest, "of": n}
    )


def _labels(state: WindowState, baseline: WindowState | None, frame: Frame) -> Iterator[Reading]:
    if not state.n:
        yield absent("labels.coverage", "no_data")
    else:
        yield Reading(metric="labels.coverage", value=state.labelled / state.n, n=state.n)
    if state.n and not state.labelled:
        yield absent("labels.delay_p50", "unlabelled", n=0)
    else:
        yield _quantile("labels.delay_p50", "labels.delay_s", 0.5, state, baseline, frame)


def _quantile(
    metric: str, column: str, q: float, state: WindowState, baseline: WindowState | None, frame: Frame
) -> Reading:
    """The q-quantile of a numeric column with its order-statistic interval, with the baseline's as a fact."""
    if column not in state.numeric:
        return absent(metric, "not_measured" if state.n else "no_data")
    lower_rank, upper_rank = quantile_ranks(state.numeric[column].n, q, _LEVEL)
    column_of = _Column(column, state, frame)
    value, bound = column_of.at(_rank(column_of.n, q))
    before = None
    if baseline is not None and column in baseline.numeric:
        before = _Column(column, baseline, frame)
    return Reading(
        metric=metric,
        value=value,
        n=column_of.n,
        n_baseline=before.n if before else None,
        interval=_ordered(column_of.at(lower_rank)[0], value, column_of.at(upper_rank)[0]),
        exact=column_of.exact,
        bound=None if column_of.exact else bound,
        facts={"baseline": float(before.at(_rank(before.n, q))[0])} if before else {},
    )


def _rank(n: int, q: float) -> int:
    """Rank (from 0) of the q-quantile: the smallest value with at least that share at or below it."""
    return min(max(math.ceil(n * q) - 1, 0), n - 1)


def _ordered(lower: float, value: float, upper: float) -> Interval:
    return Interval(min(lower, value), max(upper, value), _LEVEL, "order_statistics")


class _Column:
    """Order statistics of one column: exact while the state's sample holds every value, else from the grid's counts."""

    def __init__(self, name: str, state: WindowState, frame: Frame) -> None:
        self.numeric: NumericState = state.numeric[name]
        self.n = self.numeric.n
        values = np.asarray(state.sample.numeric.get(name, ()), dtype=np.float64)
        self.sampled = np.sort(values[np.isfinite(values)])
        self.exact = len(self.sampled) == self.n
        self.grid: AnyGrid = frame.grid(name)
        self.cumulative = np.cumsum(self.numeric.counts)

    def at(self, rank: int) -> tuple[float, float]:
        """The value of that rank (from 0), and the largest error it can have."""
        if self.exact:
            return float(self.sampled[rank]), 0.0
        position = int(np.searchsorted(self.cumulative, rank, side="right"))
        bin_ = self.numeric.bins[position : position + 1]
        value = float(self.grid.value(bin_)[0])
        low, high = self.numeric.moments.low, self.numeric.moments.high
        if not isinstance(self.grid, Grid):
            return min(max(value, low), high), abs(value) * self.grid.accuracy
        index, edges = int(bin_[0]), self.grid.edges
        floor = max(low, float(edges[index - 1])) if index else low
        ceiling = min(high, float(edges[index])) if index < len(edges) else high
        if index in (0, len(edges)) and len(self.sampled):
            # Beyond the baseline's range the grid knows one open bin; there the sample says more.
            value = float(self.sampled[_rank(len(self.sampled), (rank + 1) / self.n)])
        value = min(max(value, floor), ceiling)
        return value, max(ceiling - value, value - floor)


# -- energy and carbon --------------------------------------------------------------------------------------------------

_CERTAINTY = ("measured", "calibrated", "sourced", "modelled")


def _all_energy(state: WindowState) -> tuple[Energy, How] | None:
    """Energy by every method together, called by the least certain of them; None when nothing was reported."""
    if not state.energy:
        return None
    methods = sorted(state.energy, key=_certainty)
    total = state.energy[methods[0]]
    for method in methods[1:]:
        total = total.merge(state.energy[method])
    return total, How(methods[-1])


def _certainty(method: str) -> int:
    return _CERTAINTY.index(method) if method in _CERTAINTY else len(_CERTAINTY)


def _energy(state: WindowState, baseline: WindowState | None) -> Iterator[Reading]:
    found = _all_energy(state)
    if found is None:
        for metric in ("energy.active", "energy.idle", "energy.per_inference", "energy.per_inference.ratio"):
            yield absent(metric, "not_measured" if state.n else "no_data")
        return
    energy, how = found
    n, parts = energy.requests, {"components": dict(sorted(energy.by_component.items())), "meter": energy.meter}
    yield Reading(metric="energy.active", value=energy.active, n=n, how=how, facts=parts)
    for name, joules in sorted(energy.by_input.items()):
        yield Reading(metric="energy.active", value=joules, n=n, attributes={"input": name}, how=how)
    if energy.by_component:
        yield Reading(metric="energy.idle", value=energy.idle, n=n, how=how, facts=parts)
    else:
        yield absent("energy.idle", "not_measured", n=n)  # records that carry their own energy know no idle part
    if not n:
        yield absent("energy.per_inference", "no_data")
        yield absent("energy.per_inference.ratio", "no_data")
        return
    yield Reading(metric="energy.per_inference", value=energy.active / n, n=n, how=how, facts={"meter": energy.meter})
    for name, joules in sorted(energy.by_input.items()):
        yield Reading(metric="energy.per_inference", value=joules / n, n=n, attributes={"input": name}, how=how)
    yield _energy_ratio(energy, how, _all_energy(baseline) if baseline else None, baseline is not None)


def _energy_ratio(energy: Energy, how: How, before: tuple[Energy, How] | None, pinned: bool) -> Reading:
    metric, n = "energy.per_inference.ratio", energy.requests
    if not pinned:
        return absent(metric, "no_baseline", n=n)
    if before is None or not before[0].requests:
        return absent(metric, "absent_in_baseline", n=n)
    reference, how_before = before
    if (how, energy.meter) != (how_before, reference.meter):
        # Another meter counts other joules: their quotient would tell of the meters, not of the model.
        return absent(metric, "meter_changed", status=Status.NOT_APPLICABLE, n=n)
    each, each_before = energy.active / n, reference.active / reference.requests
    if each_before <= 0.0:
        return absent(metric, "undefined", n=n)
    return Reading(
        metric=metric,
        value=each / each_before,
        n=n,
        n_baseline=reference.requests,
        how=how,
        facts={"joules": each, "baseline_joules": each_before, "meter": energy.meter},
    )


def _carbon(state: WindowState, embodied_g: float) -> Iterator[Reading]:
    found = _all_energy(state)
    if found is None or found[0].kg_co2e is None:
        reason = "no_data" if not state.n else "no_country" if found and found[0].by_component else "not_measured"
        for metric in ("carbon.emitted", "carbon.sci"):
            yield absent(metric, reason)
        return
    energy, how = found
    kilograms = energy.kg_co2e or 0.0
    grid = {"country": energy.country, "meter": energy.meter}
    yield Reading(metric="carbon.emitted", value=kilograms, n=energy.requests, how=how, facts=grid)
    if not energy.requests:
        yield absent("carbon.sci", "no_data")
        return
    sci = kilograms * 1000.0 / energy.requests + embodied_g
    yield Reading(
        metric="carbon.sci",
        value=sci,
        n=energy.requests,
        how=how,
        facts={**grid, "embodied_g": embodied_g},
    )
