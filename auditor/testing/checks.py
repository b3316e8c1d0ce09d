"""What every plugin of a kind must do, checked on live examples; an AssertionError names the rule that was broken."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from auditor.core.catalogue import ALERTS, FORMATS, OWN_MODALITY, REASONS, MetricSpec
from auditor.core.errors import DescribeError, SinkError
from auditor.core.frame import Frame
from auditor.core.measurement import Reading, Status
from auditor.core.record import ENERGY_METHODS
from auditor.core.run import Audit
from auditor.core.state import WindowState
from auditor.ports import Descriptor, Encoder, Measurer, Meter, Operator, Sink
from auditor.testing.factories import make_audit

ATTRIBUTES = ("input", "modality", "column", "pair", "version", "feature", "group", "label", "component", "reason")
"""Keys that tell series of measurements apart."""
KINDS = ("numeric", "categorical")


def require(holds: bool, rule: str) -> None:
    """AssertionError with `rule` unless it `holds`; unlike `assert`, kept under `python -O`."""
    if not holds:
        raise AssertionError(rule)


# -- descriptors --------------------------------------------------------------------------------------------------------


def check_descriptor(plugin: Descriptor, examples: Iterable[Any], *, rate: float | None = None) -> None:
    """Check a descriptor on values it can describe, and on things that nobody can.

    Rules: declared columns have a kind, a unit and a meaning; figures are finite numbers, strings or None; a column that
    is declared keeps its kind; the same value gives the same figures and is left as it was; anything else gives
    DescribeError with a code, never another exception.

    Parameters
    ----------
    examples : iterable
        Values to describe; a pair `(value, rate)` carries its own rate in Hz.
    rate : float, optional
        Rate of the examples that carry none.
    """
    require(
        bool(re.fullmatch("[a-z][a-z0-9_]{0,63}", plugin.modality)), f"{plugin.modality!r} is no name of a modality"
    )
    for word in ("title", "headline", "advice"):
        text = getattr(plugin, word, None)
        require(isinstance(text, str) and bool(text), f"{word} is a text for readers")
    require(isinstance(plugin.version, str) and bool(plugin.version), "version is a non-empty string")
    names = [column.name for column in plugin.columns]
    require(len(names) == len(set(names)), "column names are unique")
    for column in plugin.columns:
        require(column.kind in KINDS, f"{column.name}: kind is one of {KINDS}")
        require(bool(column.unit and column.meaning), f"{column.name} has a unit and a meaning")
        require(column.name.isidentifier(), f"{column.name!r} is a plain name")
    for example in examples:
        value, own = example if _is_pair(example) else (example, rate)
        before = _frozen(value)
        figures = dict(plugin.describe(value, rate=own))
        require(_frozen(value) == before, "the value is left as it was")
        check_figures(plugin, figures)
        require(dict(plugin.describe(value, rate=own)) == figures, "the same value gives the same figures")
    for hopeless in (object(), 3j, {1, 2}, b"", b"\x00" * 64):
        try:
            check_figures(plugin, dict(plugin.describe(hopeless, rate=rate)))
        except DescribeError as error:
            require(bool(error.code), "a DescribeError has a code")


def check_figures(plugin: Descriptor, figures: dict[str, Any]) -> None:
    """Check one result of `describe`: finite numbers, strings or None, each of the kind its column declares."""
    kinds = {column.name: column.kind for column in plugin.columns}
    for name, figure in figures.items():
        require(isinstance(name, str), f"{name!r} is a string")
        require(not isinstance(figure, bool), f"{name} is a number, a string or None, not {figure!r}")
        if isinstance(figure, (int, float)):
            require(math.isfinite(figure), f"{name} is finite, not {figure}")
            require(type(figure) in (int, float), f"{name} is a plain number, not {type(figure).__name__}")
            require(kinds.get(name, "numeric") == "numeric", f"{name} is declared {kinds.get(name)}")
        elif figure is not None:
            require(isinstance(figure, str), f"{name} is a number, a string or None, not {figure!r}")
            require(kinds.get(name, "categorical") == "categorical", f"{name} is declared numeric, found {figure!r}")
    if plugin.modality != "tabular":
        require(set(figures) <= set(kinds), f"undeclared columns: {sorted(set(figures) - set(kinds))}")


def _is_pair(example: Any) -> bool:
    return (
        isinstance(example, tuple)
        and len(example) == 2
        and (example[1] is None or isinstance(example[1], (int, float)))
    )


def _frozen(value: Any) -> Any:
    """Something that changes when the value does."""
    try:
        return pickle.dumps(value)
    except Exception:  # an example that cannot be pickled (an open file) cannot be compared either
        return None


# -- encoders -----------------------------------------------------------------------------------------------------------


def check_encoder(encoder: Encoder, examples: Iterable[Any]) -> None:
    """Check an opened encoder on values it can encode, and on things that nobody can.

    Rules: it has a version; every vector is finite and as long as the others; the same value gives the same vector and is left as it
    was; anything else gives DescribeError with a code, never another exception.
    """
    require(isinstance(encoder.version, str) and bool(encoder.version), "version is a non-empty string")
    sizes = set()
    for example in examples:
        before = _frozen(example)
        vector = [float(number) for number in encoder.encode(example)]
        require(_frozen(example) == before, "the value is left as it was")
        require(bool(vector) and all(map(math.isfinite, vector)), "a vector holds finite numbers")
        require([float(number) for number in encoder.encode(example)] == vector, "the same value gives the same vector")
        sizes.add(len(vector))
    require(len(sizes) == 1, f"vectors have one length, not {sorted(sizes)}")
    for hopeless in (object(), 3j, {1, 2}, b"", b"\x00" * 64):
        try:
            encoder.encode(hopeless)
        except DescribeError as error:
            require(bool(error.code), "a DescribeError has a code")


# -- measurers ----------------------------------------------------------------------------------------------------------


def check_measurer(plugin: Measurer, current: WindowState, baseline: WindowState | None, frame: Frame) -> None:
    """Check a measurer on a window, on the baseline against itself, and on a window without records.

    Rules: it declares its metrics; readings name declared metrics and known attributes; they come in a stable order, once
    a series; measuring twice gives the same and changes nothing; absent figures carry a reason; without a baseline one
    that needs it yields nothing; a state against itself has no drift.
    """
    require(isinstance(plugin.version, str) and bool(plugin.version), "version is a non-empty string")
    require(bool(plugin.metrics), "metrics are declared")
    for spec in plugin.metrics:
        require(bool(spec.unit and spec.meaning and spec.label), f"{spec.name} has a unit, a meaning and a label")
        require(spec.format in FORMATS, f"{spec.name}: format is one of {FORMATS}")
        require(spec.alert in (*ALERTS, OWN_MODALITY), f"{spec.name}: alert is one of {(*ALERTS, OWN_MODALITY)}")
        require(spec.worse in ("", "higher", "lower"), f"{spec.name}: worse is higher, lower or nothing")
    before = copy.deepcopy(_figures_of(current)), copy.deepcopy(baseline and _figures_of(baseline))
    readings = list(plugin.measure(current, baseline, frame))
    check_readings(plugin.metrics, readings)
    require(list(plugin.measure(current, baseline, frame)) == readings, "measuring twice gives the same readings")
    after = _figures_of(current), baseline and _figures_of(baseline)
    require(repr(before) == repr(after), "states are left as they were")
    if plugin.needs_baseline:
        require(list(plugin.measure(current, None, frame)) == [], "yields nothing without the baseline it needs")
    if baseline is not None:
        _check_itself(plugin, baseline, frame)
        _check_nothing(plugin, baseline, frame)


def check_readings(metrics: Sequence[MetricSpec], readings: Sequence[Reading]) -> None:
    """Check readings against the metrics that their plugin declares."""
    seen = set()
    for reading in readings:
        spec = _spec(metrics, reading.metric)
        require(spec is not None, f"{reading.metric} is not among the declared metrics")
        assert spec is not None
        unknown = set(reading.attributes) - set(ATTRIBUTES) - set(spec.attributes)
        require(not unknown, f"{reading.metric} has unknown attributes {sorted(unknown)}")
        key = reading.metric, tuple(sorted(reading.attributes.items()))
        require(key not in seen, f"{reading.metric} comes twice for {dict(reading.attributes)}")
        seen.add(key)
        require(reading.n >= 0, f"{reading.metric} has a negative n")
        if reading.status is Status.OK:
            value = reading.value
            require(value is not None and math.isfinite(value), f"{reading.metric} is {value}")
            assert value is not None
            require(spec.lower is None or value >= spec.lower - 1e-9, f"{reading.metric} {value} below {spec.lower}")
            require(spec.upper is None or value <= spec.upper + 1e-9, f"{reading.metric} {value} above {spec.upper}")
            require(reading.n > 0, f"{reading.metric} has a value without observations")
        else:
            plain = reading.reason.replace("_", "").isalnum() and reading.reason == reading.reason.lower()
            require(reading.reason in REASONS or plain, f"{reading.reason!r} is not a reason code")


def _check_itself(plugin: Measurer, state: WindowState, frame: Frame) -> None:
    for reading in plugin.measure(state, state, frame):
        if reading.p_value is not None and reading.metric.startswith(("drift.", "input.", "alignment.")):
            require(reading.p_value > 0.01, f"{reading.metric} sees a change between a state and itself")


def _check_nothing(plugin: Measurer, baseline: WindowState, frame: Frame) -> None:
    from auditor.core.state import empty_state

    nothing = empty_state(baseline.model, baseline.span, baseline.frame)
    readings = list(plugin.measure(nothing, baseline, frame))
    check_readings(plugin.metrics, readings)
    for reading in readings:
        require(reading.status is not Status.OK, f"{reading.metric} has a value for a window without records")


def _spec(metrics: Sequence[MetricSpec], name: str) -> MetricSpec | None:
    for spec in metrics:
        if spec.name == name or (spec.name.endswith("*") and name.startswith(spec.name[:-1])):
            return spec
    return None


def _figures_of(state: WindowState) -> Any:
    moments = {name: (column.n, column.moments, column.counts.sum()) for name, column in state.numeric.items()}
    codes = {name: dict(column.counts) for name, column in state.categorical.items()}
    return state.n, moments, codes, dict(state.presence), dict(state.cells.counts), state.sample.ids.tolist()


# -- meters, options, operators -----------------------------------------------------------------------------------------


def check_options(plugin: Any) -> None:
    """Check what the plugin of a sink or a meter declares: options with a name and help, each a parameter of `configure`."""
    accepted = inspect.signature(plugin.configure).parameters
    names = [option.name for option in plugin.options]
    require(len(names) == len(set(names)), "option names are unique")
    for option in plugin.options:
        require(option.name.isidentifier() and option.name == option.name.lower(), f"{option.name!r} is a plain name")
        require(bool(option.help), f"{option.name} has a help text")
        require(option.name in accepted, f"configure takes {option.name}")
    for parameter in accepted.values():
        optional = parameter.default is not parameter.empty or parameter.kind is parameter.VAR_KEYWORD
        require(optional or parameter.name in names, f"{parameter.name} is declared as an option")


def check_meter(meter: Meter) -> None:
    """Check a configured meter: before its start and after its stop it reads nothing, and a reading holds amounts."""
    require(meter.read() is None, "reads nothing before its start")
    meter.start()
    for _ in range(2):
        reading = meter.read()
        if reading is not None:
            amounts = [reading.duration_s, reading.cpu_s, *reading.joules.values()]
            require(
                all(math.isfinite(amount) and amount >= 0 for amount in amounts), "amounts are finite and not negative"
            )
            require(reading.method in ENERGY_METHODS, f"method is one of {ENERGY_METHODS}")
            require(reading.scope in ("process", "machine"), "scope is process or machine")
            require(bool(reading.meter), "a reading names its meter")
    meter.stop()
    require(meter.read() is None, "reads nothing after its stop")


def check_operator(operator: Operator, numbers: Sequence[float]) -> None:
    """Check an operator on the numbers of one condition: the range is open or in order, and its words name its ends."""
    require(len(numbers) == operator.numbers, f"takes {operator.numbers} numbers")
    low, high = operator.limits(*numbers)
    for end, name in ((low, "{low}"), (high, "{high}")):
        require(end is None or math.isfinite(end), "an end is a finite number or None")
        require((end is not None) == (name in operator.phrase), f"the phrase names {name} where there is such an end")
    require(low is None or high is None or low <= high, "low is at most high")


# -- sinks --------------------------------------------------------------------------------------------------------------


def check_sink(sink: Sink, folder: Path, audit: Audit | None = None) -> None:
    """Check a configured sink: it takes an audit, takes it again without harm, and takes one of nothing.

    `folder` stands for the artifacts' folder and must exist. SinkError is the only exception a sink may raise; one that
    raises it here has been configured for a place that cannot be reached, and the check fails.
    """
    audit = make_audit() if audit is None else audit
    bare = Audit(run=audit.run, measurements=(), verdicts=())
    before = pickle.dumps(audit)
    for name, delivery in (("an audit", audit), ("the same audit again", audit), ("an audit of nothing", bare)):
        try:
            sink.deliver(delivery, folder)
        except SinkError as error:
            raise AssertionError(f"the sink refused {name}: {error.line()}") from error
    require(pickle.dumps(audit) == before, "the audit is left as it was")
