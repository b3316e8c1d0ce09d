"""The meter's arithmetic and refusals; the tests with real busy work are among the integration tests."""

import os

import pytest

from auditor.core.errors import ConfigurationError
from auditor.energy.codecarbon import MACHINE, PLUGIN, _cpu_times, _machine_seconds, _process_seconds, countries


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
