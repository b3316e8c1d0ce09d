"""A meter that reads CodeCarbon's offline tracker beside a model.

CodeCarbon decides where joules come from: hardware counters where it finds them (then `measured`, for the whole machine),
else a power model of the CPU's load (then `modelled`, for this process and its children). This module only pins the tracker
down, so that figures depend on what is configured here and on nothing else: no network, no file, no lock, no signal handler,
no `.codecarbon.config` of the host, and no background measurement that could count a stretch twice.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from auditor.core.errors import ConfigurationError
from auditor.ports import MeterReading, Option

JOULES_PER_KWH = 1 / 2.77778e-7
"""The factor CodeCarbon itself uses (2.77778e-7 kWh a joule), so that its watts times seconds come back as joules."""
COUNTERS = ("intel_rapl", "windows_emi", "intel_power_gadget")
"""CodeCarbon's CPU modes that read hardware; the others model power from load."""
SHORTEST_S = 0.05
"""CodeCarbon takes no new measurement sooner than this after the last one."""
_NEVER_S = 86_400.0
_log = logging.getLogger("auditor")


@dataclass(frozen=True, slots=True)
class _Marks:
    """Running totals at one moment; a reading is the difference of two."""

    at: float
    joules: Mapping[str, float]
    kg_co2e: float
    cpu: Mapping[int, float]


class CodeCarbonMeter:
    """Meter of this process (or machine) by CodeCarbon; see `ports.Meter`.

    The first `start` in a process takes about two seconds (CPU detection). CodeCarbon reads CPU time in ticks of 10 ms, so a
    reading over a busy stretch of t seconds is off by at most about 0.02 / t; ask at the ends of stretches, not within calls.
    Two meters in one process each count all of it. After a fork the child's copy reads nothing; start another one there.

    Parameters
    ----------
    country : str
        ISO 3166-1 alpha-3 code of the grid; empty: joules without emissions.
    pue : float
        Power usage effectiveness of the site, at least 1; CodeCarbon multiplies all energy by it.
    """

    def __init__(self, *, country: str = "", pue: float = 1.0) -> None:
        self.country = country.upper()
        self.pue = pue
        self._tracker: Any = None
        self._sink: Any = None
        self._pid = 0
        self._marks: _Marks | None = None

    def start(self) -> None:
        """Begin to count; a failure is logged, and `read` then returns None."""
        if self._tracker is not None:
            return
        try:
            with _quiet():
                self._sink = _sink()
                self._tracker = _tracker(self.country, self.pue, self._sink)
                self._tracker.start()
            _stop_threads(self._tracker)
            self._pid = os.getpid()
            time.sleep(SHORTEST_S)
            self._marks = self._take()
        except Exception as error:  # a meter must never stop a model
            _log.warning("energy is not measured: CodeCarbon did not start: %s", error)
            self._marks = None

    def read(self) -> MeterReading | None:
        """What was used since the last reading; None after a stretch too short to measure, a failure or a fork."""
        before = self._marks
        if before is None or os.getpid() != self._pid or time.perf_counter() - before.at < SHORTEST_S:
            return None
        try:
            after = self._take()
            return self._difference(before, after) if after is not None else None
        except Exception as error:  # a meter must never stop a model
            _log.warning("energy is not measured: CodeCarbon failed: %s", error)
            return None

    def stop(self) -> None:
        """End counting; what was used since the last reading is dropped."""
        tracker, self._tracker, self._marks = self._tracker, None, None
        if tracker is not None and os.getpid() == self._pid:
            tracker.stop()

    def _take(self) -> _Marks | None:
        """Let CodeCarbon measure up to now, and note its totals; None when it handed nothing over."""
        self._sink.total = None
        cpu = _cpu_times()
        self._tracker.flush()
        total = self._sink.total
        if total is None:
            return None
        joules = {"cpu": total.cpu_energy * JOULES_PER_KWH, "ram": total.ram_energy * JOULES_PER_KWH}
        if total.gpu_count:
            joules["gpu"] = total.gpu_energy * JOULES_PER_KWH
        return _Marks(time.perf_counter(), joules, total.emissions, cpu)

    def _difference(self, before: _Marks, after: _Marks) -> MeterReading:
        self._marks = after
        mode, gpu = _hardware(self._tracker)
        counted = mode in COUNTERS
        return MeterReading(
            duration_s=after.at - before.at,
            joules={name: max(value - before.joules.get(name, 0.0), 0.0) for name, value in after.joules.items()},
            cpu_s=_machine_seconds(before.cpu, after.cpu) if counted else _process_seconds(before.cpu, after.cpu),
            method="measured" if counted else "modelled",
            meter=f"codecarbon {_version()} {mode}{'+gpu' if gpu else ''}",
            scope="machine" if counted else "process",
            country=self.country or None,
            kg_co2e=max(after.kg_co2e - before.kg_co2e, 0.0) if self.country else None,
        )


class CodeCarbonPlugin:
    """Factory of meters: `PLUGIN.configure(country="LUX", pue=1.2)`."""

    requires = ("codecarbon",)
    options = (
        Option("country", "ISO 3166-1 alpha-3 code of the grid; empty: joules without emissions."),
        Option("pue", "Power usage effectiveness of the site, at least 1.", 1.0),
    )

    def configure(self, *, country: str = "", pue: float = 1.0) -> CodeCarbonMeter:
        """A meter that has not started; ConfigurationError for a country CodeCarbon has no figure for.

        CodeCarbon itself would silently take the world's average for an unknown code, and Canada's grid for none.
        """
        if pue < 1.0:
            raise ConfigurationError(
                "bad_pue",
                f"a power usage effectiveness of {pue} is below 1",
                where="[energy] pue",
                fix="give 1 or more",
            )
        if country and country.upper() not in countries():
            raise ConfigurationError(
                "unknown_country",
                f"CodeCarbon has no grid intensity for {country!r}",
                where="[energy] country",
                fix="give an ISO 3166-1 alpha-3 code such as LUX, DEU or USA, or leave it empty",
            )
        return CodeCarbonMeter(country=country, pue=pue)


def countries() -> set[str]:
    """ISO 3166-1 alpha-3 codes whose grid intensity CodeCarbon ships."""
    with _quiet():
        from codecarbon import input as shipped

        source: Any = shipped.DataSource  # untyped
        return {code for code in source().get_global_energy_mix_data() if len(code) == 3}


def _tracker(country: str, pue: float, sink: Any) -> Any:
    from codecarbon import OfflineEmissionsTracker

    class Pinned(OfflineEmissionsTracker):
        """A tracker that takes its settings from its arguments alone, not from files or variables of the host."""

        def _set_from_conf(self, *args: Any, **options: Any) -> Any:
            self._external_conf: dict[str, str] = {}
            return OfflineEmissionsTracker._set_from_conf(self, *args, **options)  # type: ignore[no-untyped-call]

    place = {"country_iso_code": country} if country else {"force_carbon_intensity_g_co2e_kwh": 0.0}
    return Pinned(
        **place,
        pue=pue,
        tracking_mode="process",
        measure_power_secs=_NEVER_S,  # should its timer run after all: beside ours it would count a stretch twice
        output_methods=[],
        output_handlers=[sink],
        allow_multiple_runs=True,  # else it takes a lock file and the host's signal handlers
        log_level="error",
    )


def _sink() -> Any:
    from codecarbon.output_methods.base_output import BaseOutput

    class Keep(BaseOutput):
        """Keeps the last totals; an exception in here would end CodeCarbon's threads, so nothing here can fail."""

        total: Any = None

        def out(self, total: Any, delta: Any) -> None:
            self.total = total

        def live_out(self, total: Any, delta: Any) -> None:
            return

        def task_out(self, data: Any, experiment_name: str) -> None:
            return

        def exit(self) -> None:
            return

    return Keep()


@contextmanager
def _quiet() -> Iterator[None]:
    """CodeCarbon reads its log level from the environment when it is imported; the host's own choice is kept."""
    given = os.environ.get("CODECARBON_LOG_LEVEL")
    os.environ.setdefault("CODECARBON_LOG_LEVEL", "error")
    try:
        yield
    finally:
        if given is None:
            os.environ.pop("CODECARBON_LOG_LEVEL", None)


def _hardware(tracker: Any) -> tuple[str, bool]:
    """How the CPU is metered, and whether a GPU is."""
    parts = {type(part).__name__: part for part in tracker._hardware}
    cpu = parts.get("CPU")
    mode = str(getattr(cpu, "_mode", "")) or next(
        (name.lower() for name in parts if name not in ("RAM", "GPU")), "none"
    )
    return mode, "GPU" in parts


def _stop_threads(tracker: Any) -> None:
    """End CodeCarbon's timers, each of which starts a thread a second in the host's process.

    Load and counters are read as differences, so a reading needs no samples in between. Only graphics cards that report
    watts but no joules do: beside a card the sampler stays.
    """
    names = ("_scheduler",) if _hardware(tracker)[1] else ("_scheduler", "_scheduler_monitor_power")
    for name in names:
        timer = getattr(tracker, name, None)
        if timer is not None:
            timer.stop()


def _version() -> str:
    return metadata.version("codecarbon")


MACHINE = -1
"""Key of the whole machine's busy seconds among CPU times by process id."""


def _cpu_times() -> dict[int, float]:
    """CPU seconds of this process, of its children (which CodeCarbon counts too), and of the machine, in the same ticks
    that CodeCarbon reads: joules and seconds then carry the same rounding, and their quotient hardly any.
    """
    import psutil

    own = psutil.Process()
    busy = psutil.cpu_times()
    found = {MACHINE: sum(busy) - busy.idle - getattr(busy, "iowait", 0.0)}
    for process in (own, *own.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.Error:  # it ended in between
            continue
        found[process.pid] = times.user + times.system
    return found


def _process_seconds(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    # As CodeCarbon does it: a child is counted from the reading after the one in which it was first seen.
    return sum(max(seconds - before.get(pid, seconds), 0.0) for pid, seconds in after.items() if pid != MACHINE)


def _machine_seconds(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    return max(after[MACHINE] - before[MACHINE], 0.0)


PLUGIN = CodeCarbonPlugin()
