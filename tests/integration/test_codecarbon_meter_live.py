"""CodeCarbon beside real busy work: stable joules, a pinned tracker, nothing left behind."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from auditor.energy.codecarbon import PLUGIN
from auditor.ports import Meter


@pytest.fixture(scope="module")
def meter(tmp_path_factory):
    """One started meter in a folder whose configuration file is hostile."""
    folder, before = tmp_path_factory.mktemp("cwd"), Path.cwd()
    (folder / ".codecarbon.config").write_text(
        "[codecarbon]\noutput_methods=csv,api\nemissions_endpoint=http://127.0.0.1:9/\npue=7\nforce_cpu_power=500\n"
        "country_iso_code=CAN\ntracking_mode=machine\nallow_multiple_runs=False\nforce_carbon_intensity_g_co2e_kwh=9\n"
    )
    os.chdir(folder)
    try:
        meter = PLUGIN.configure(country="DEU")
        meter.start()
        yield meter
        meter.stop()
    finally:
        os.chdir(before)


def busy(seconds):
    """Work that takes that much CPU time of this thread, wall time whatever it may be."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(500))
    return seconds


def joules_per_cpu_second(meter, seconds):
    meter.read()
    busy(seconds)
    reading = meter.read()
    return reading.joules["cpu"] * min(1.0, seconds / reading.cpu_s) / seconds


def test_a_reading_says_what_was_used_and_how(meter):
    assert isinstance(meter, Meter)
    meter.read()
    busy(0.3)
    reading = meter.read()
    assert set(reading.joules) >= {"cpu", "ram"}
    assert reading.joules["cpu"] > 0.0
    assert reading.joules["ram"] > 0.0
    assert reading.cpu_s >= 0.25
    assert reading.duration_s >= 0.3
    assert reading.method in ("measured", "modelled")
    assert reading.scope == ("machine" if reading.method == "measured" else "process")
    assert reading.meter.startswith("codecarbon 3.")
    assert reading.country == "DEU"
    # Germany's grid as CodeCarbon ships it: some hundreds of grams a kilowatt-hour, never Canada's or the file's 9.
    kilowatt_hours = sum(reading.joules.values()) / 3.6e6
    assert 250 < reading.kg_co2e * 1000 / kilowatt_hours < 600


def test_the_hosts_configuration_file_decides_nothing(meter):
    tracker = meter._tracker
    assert tracker._pue == 1.0
    assert tracker._force_cpu_power is None
    assert tracker._tracking_mode == "process"
    assert tracker._emissions_endpoint is None
    assert not list(Path.cwd().glob("*.csv"))


def test_joules_per_cpu_second_are_stable_over_short_stretches(meter):
    figures = [joules_per_cpu_second(meter, 0.4) for _ in range(6)]
    mean = sum(figures) / len(figures)
    assert max(abs(figure - mean) for figure in figures) < 0.1 * mean


def test_three_times_the_work_is_told_from_once_also_beside_a_busy_process(meter):
    """Energy of a call that works three times as long is above 1.5 x; the same call beside a busy process is below."""
    alone = joules_per_cpu_second(meter, 0.3) * 0.3
    # Started through a shell that ends at once, so that it is not a child of this process, as another program is not.
    shell = f"{sys.executable} -c 'while True: pass' > /dev/null 2>&1 & echo $!"
    other = int(subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout)
    try:
        time.sleep(0.1)
        beside = joules_per_cpu_second(meter, 0.3) * 0.3
        tripled = joules_per_cpu_second(meter, 0.9) * 0.9
    finally:
        os.kill(other, signal.SIGKILL)
    assert beside / alone < 1.2
    assert tripled / alone > 2.5


def test_a_stretch_too_short_to_measure_is_no_reading_and_is_not_lost(meter):
    meter.read()
    busy(0.2)
    reading = meter.read()
    assert reading is not None
    assert meter.read() is None
    time.sleep(0.06)
    later = meter.read()
    assert later.duration_s >= 0.06


def test_a_broken_tracker_is_no_reading_and_no_exception(meter, monkeypatch, caplog):
    meter.read()
    time.sleep(0.06)
    monkeypatch.setattr(meter._tracker, "flush", lambda: 1 / 0)
    assert meter.read() is None
    assert "energy is not measured" in caplog.text


def test_a_forked_child_reads_nothing(meter, monkeypatch):
    time.sleep(0.06)
    monkeypatch.setattr(os, "getpid", lambda: -5)
    assert meter.read() is None


IN_PROCESS = """
import os, signal, socket, sys, threading, time
def refuse(*args, **kwargs): raise AssertionError("network")
socket.socket.connect = refuse
handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
from auditor.energy.codecarbon import PLUGIN
assert "codecarbon" not in sys.modules
meter = PLUGIN.configure(pue=1.5)
meter.start()
end = time.thread_time() + 0.2
while time.thread_time() < end: pass
reading = meter.read()
assert reading.joules["cpu"] > 0 and reading.kg_co2e is None and reading.country is None, reading
assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
assert "CODECARBON_LOG_LEVEL" not in os.environ
for thread in threading.enumerate():
    thread is threading.main_thread() or thread.join(2)
assert threading.active_count() == 1 or "+gpu" in reading.meter, threading.enumerate()
meter.stop(); meter.stop()
assert meter.read() is None
for thread in threading.enumerate():
    thread is threading.main_thread() or thread.join(2)
assert threading.active_count() == 1, threading.enumerate()
print(reading.joules["cpu"] / reading.cpu_s)
"""


def test_a_fresh_process_stays_as_it_was(tmp_path):
    """No network, no file, no lock, no signal handler, no output, no thread that outlives `stop`; energy without a country."""
    lock = Path(tempfile.gettempdir()) / ".codecarbon.lock"
    had_lock = lock.exists()
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", IN_PROCESS],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("CODECARBON")},
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "HOME": str(tmp_path),
        },
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert float(done.stdout) > 0.0
    assert list(tmp_path.iterdir()) == []
    assert lock.exists() == had_lock
