"""The public contract checks catch what they promise to catch: each rule is broken once."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from auditor.core.catalogue import MetricSpec
from auditor.core.errors import DescribeError, SinkError
from auditor.core.measurement import Reading, absent
from auditor.ports import DescriptorColumn
from auditor.testing import check_descriptor, check_measurer, check_sink, make_audit, make_state, make_window

LENGTH = DescriptorColumn("length", "numeric", "1", "Length.")


@dataclass
class Describer:
    """A describer of lists whose figures can be bent."""

    figures: Any = None
    columns: tuple = (LENGTH,)
    modality: str = "text"
    version: str = "1"
    calls: int = 0
    title: str = "Lists"
    headline: str = "Lists changed"
    advice: str = "Count them."

    def describe(self, value, *, rate=None):
        if not isinstance(value, list):
            raise DescribeError("wrong_type", "not a list")
        self.calls += 1
        return self.figures(value, self) if self.figures else {"length": float(len(value))}


def test_a_good_describer_passes():
    check_descriptor(Describer(), [[1, 2], []])


@pytest.mark.parametrize(
    ("describer", "rule"),
    [
        (Describer(modality="a smell"), "no name of a modality"),
        (Describer(title=""), "title is a text"),
        (Describer(version=""), "version is a non-empty"),
        (Describer(columns=(LENGTH, LENGTH)), "unique"),
        (Describer(columns=(DescriptorColumn("length", "number", "1", "L."),)), "kind is one of"),
        (Describer(columns=(DescriptorColumn("length", "numeric", "", "L."),)), "unit and a meaning"),
        (Describer(lambda value, self: {"length": float("nan")}), "is finite"),
        (Describer(lambda value, self: {"length": np.float64(1)}), "plain number"),
        (Describer(lambda value, self: {"length": True}), "number, a string or None"),
        (Describer(lambda value, self: {"length": "three"}), "declared numeric"),
        (Describer(lambda value, self: {"width": 1.0}), "undeclared"),
        (Describer(lambda value, self: {"length": float(self.calls)}), "same value gives the same"),
        (Describer(lambda value, self: value.append(1) or {"length": 1.0}), "left as it was"),
    ],
)
def test_a_bad_describer_is_caught(describer, rule):
    with pytest.raises(AssertionError, match=rule):
        check_descriptor(describer, [[1, 2]])


def test_a_describer_that_raises_anything_else_is_caught():
    class Careless(Describer):
        def describe(self, value, *, rate=None):
            return {"length": float(len(value))}

    with pytest.raises(TypeError):
        check_descriptor(Careless(), [[1, 2]])


@dataclass
class Records:
    """A measurer of how many records there are, whose readings can be bent."""

    bend: Any = None
    version: str = "1"
    needs_baseline: bool = True
    metrics: tuple = (MetricSpec("drift.records", "{inference}", "Records.", "higher", (), 0.0, label="records"),)
    seen: list = field(default_factory=list)

    def measure(self, current, baseline, frame):
        if baseline is None:
            return []
        if self.bend:
            return self.bend(current, self)
        if current.n == 0:
            return [absent("drift.records", "no_data")]
        return [Reading(metric="drift.records", value=float(current.n), n=current.n, p_value=1.0)]


@pytest.fixture(scope="module")
def window():
    return make_window(60)


def test_a_good_measurer_passes(window):
    check_measurer(Records(), *window)


def reading(**changes):
    return [Reading(**{"metric": "drift.records", "value": 1.0, "n": 1, **changes})]


def count(current, self):
    self.seen.append(1)
    return reading(value=float(len(self.seen)))


@pytest.mark.parametrize(
    ("bend", "rule"),
    [
        (lambda current, self: reading(metric="drift.other"), "not among the declared"),
        (lambda current, self: reading() * 2, "comes twice"),
        (lambda current, self: reading(attributes={"colour": "red"}), "unknown attributes"),
        (lambda current, self: reading(value=-1.0), "below"),
        (lambda current, self: reading(n=0), "without observations"),
        (lambda current, self: reading(n=-1), "negative n"),
        (count, "measuring twice"),
        (lambda current, self: reading(p_value=1e-9), "between a state and itself"),
        (lambda current, self: reading(), "window without records"),
        (lambda current, self: [absent("drift.records", "Bad reason!")], "not a reason code"),
    ],
)
def test_a_bad_measurer_is_caught(window, bend, rule):
    with pytest.raises(AssertionError, match=rule):
        check_measurer(Records(bend), *window)


def test_a_measurer_that_forgets_its_baseline_is_caught(window):
    class Careless(Records):
        def measure(self, current, baseline, frame):
            return reading()

    with pytest.raises(AssertionError, match="without the baseline"):
        check_measurer(Careless(), *window)


def test_a_measurer_that_changes_a_state_is_caught(window):
    def spoil(current, self):
        next(iter(current.numeric.values())).counts[:] += 1
        return []

    with pytest.raises(AssertionError, match="left as they were"):
        check_measurer(Records(spoil), make_state(n=30, seed=5), *window[1:])


@dataclass
class Folder:
    """A sink that keeps what it was given."""

    failure: Exception | None = None

    def deliver(self, audit, artifacts):
        if self.failure:
            raise self.failure
        (artifacts / f"{audit.run.id}.txt").write_text(str(len(audit.measurements)))


def test_sinks(tmp_path):
    check_sink(Folder(), tmp_path)
    with pytest.raises(AssertionError, match="refused an audit"):
        check_sink(Folder(SinkError("unreachable", "nobody answers")), tmp_path)
    with pytest.raises(OSError, match="disk"):
        check_sink(Folder(OSError("disk")), tmp_path, make_audit())


def test_synthetic_states_are_the_same_every_time():
    assert make_state(n=40, seed=3).sample.ids.tolist() == make_state(n=40, seed=3).sample.ids.tolist()
