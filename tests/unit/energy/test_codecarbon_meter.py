"""The meter's arithmetic and refusals; the tests with real busy work are among the integration tests."""

import os
from types import SimpleNamespace

import pytest

from auditor.core.errors import ConfigurationError
from auditor.energy.codecarbon import (
    MACHINE,
    PLUGIN,
    _cpu_times,
    _machine_seconds,
    _Marks,
    _process_seconds,
    _stop_threads,
    countries,
)


def test_countries_are_codecarbons_own():
    known = countries()
    assert {"LUX", "DEU", "FRA", "USA", "IND"} <= known
    assert "XXX" not in known
    assert len(known) > 200


@pytest.mark.parametrize("country", ["XXX", "Germany", "DE"])
def test_an_unknown_country_is_refused_not_averaged(country):
    with pytest.raises(ConfigurationError) as caught:
        PLUGIN.configure(country=country)
    assert caught.value.code == "unknown_country"


def test_a_site_cannot_use_less_than_its_servers():
    with pytest.raises(ConfigurationError) as caught:
        PLUGIN.configure(pue=0.9)
    assert caught.value.code == "bad_pue"


def test_a_meter_that_was_not_started_reads_nothing():
    meter = PLUGIN.configure(country="lux")
    assert meter.country == "LUX"
    assert meter.read() is None
    meter.stop()


def test_cpu_seconds_are_those_of_the_process_and_known_children():
    before, after = {1: 2.0, 7: 1.0, MACHINE: 50.0}, {1: 3.5, 7: 1.25, 8: 9.0, MACHINE: 55.0}
    assert _process_seconds(before, after) == 1.75  # 8 was first seen now, MACHINE is not a process
    assert _machine_seconds(before, after) == 5.0


def test_cpu_times_name_this_process_and_the_machine():
    times = _cpu_times()
    assert times[os.getpid()] > 0.0
    assert times[MACHINE] >= times[os.getpid()]


# -- hardware this machine may not have ---------------------------------------------------------------------------------


class CPU:
    def __init__(self, mode):
        self._mode = mode


class RAM:
    pass


class GPU:
    pass


class AppleSiliconChip:
    pass


def reading_of(*hardware, country="LUX"):
    meter = PLUGIN.configure(country=country)
    meter._tracker = SimpleNamespace(_hardware=list(hardware))
    own = os.getpid()
    before = _Marks(10.0, {"cpu": 5.0, "ram": 1.0, "gpu": 0.0}, 1e-6, {own: 1.0, MACHINE: 100.0})
    after = _Marks(12.0, {"cpu": 25.0, "ram": 2.0, "gpu": 40.0}, 4e-6, {own: 1.5, MACHINE: 103.0})
    return meter._difference(before, after)


def test_counters_measure_the_whole_machine():
    reading = reading_of(RAM(), CPU("intel_rapl"))
    assert (reading.method, reading.scope, reading.cpu_s) == ("measured", "machine", 3.0)
    assert reading.joules == {"cpu": 20.0, "ram": 1.0, "gpu": 40.0}
    assert reading.duration_s == 2.0
    assert reading.kg_co2e == pytest.approx(3e-6)
    assert reading.meter.endswith("intel_rapl")


def test_load_models_this_process_also_beside_a_graphics_card():
    reading = reading_of(RAM(), CPU("cpu_load"), GPU(), country="")
    assert (reading.method, reading.scope, reading.cpu_s) == ("modelled", "process", 0.5)
    assert reading.meter.endswith("cpu_load+gpu")
    assert (reading.country, reading.kg_co2e) == (None, None)


def test_other_chips_are_named_and_not_called_measured():
    assert reading_of(RAM(), AppleSiliconChip()).method == "modelled"
    assert reading_of(RAM(), AppleSiliconChip()).meter.endswith("applesiliconchip")


@pytest.mark.parametrize(("hardware", "stopped"), [([CPU("cpu_load")], {"a", "b"}), ([CPU("cpu_load"), GPU()], {"a"})])
def test_the_sampler_stays_beside_a_graphics_card_only(hardware, stopped):
    found = set()
    tracker = SimpleNamespace(
        _hardware=hardware,
        _scheduler=SimpleNamespace(stop=lambda: found.add("a")),
        _scheduler_monitor_power=SimpleNamespace(stop=lambda: found.add("b")),
    )
    _stop_threads(tracker)
    assert found == stopped
