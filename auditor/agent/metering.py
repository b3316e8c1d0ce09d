"""The meter beside the model, and the CPU seconds of the calls between two of its readings. Worker thread only."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from auditor.agent.shield import Faults, shield
from auditor.core.record import EnergyReading, ModelRef
from auditor.core.window import from_us
from auditor.energy.attribution import share, split
from auditor.settings import Settings, plugin_options

EVERY_S = 60.0
"""A reading is taken at each flush, and at least this often."""


class Metering:
    """Owns a meter.

    Parameters
    ----------
    make : callable
        Returns a `ports.Meter`; called in the worker, once.
    session : str
    """

    def __init__(self, make: Callable[[], Any], session: str, faults: Faults) -> None:
        self._make = make
        self._session = session
        self._faults = faults
        self._meter: Any = None
        self._parts: dict[ModelRef, tuple[float, int]] = {}
        self._began_us = 0
        self._since_us = 0
        self._read_at = 0.0

    def start(self, now_us: Callable[[], int]) -> None:
        """Start the meter (CodeCarbon takes two seconds the first time); calls that begin from here on count."""
        with shield(self._faults, "meter_failed"):
            meter = self._make()
            meter.start()
            self._meter = meter
        self._began_us = self._since_us = now_us()
        self._read_at = time.monotonic()

    def count(self, ref: ModelRef, us: int, cpu_s: float, calls: int = 1) -> None:
        """Count a call that ended; one that began before the meter ran used joules that no reading has."""
        if self._meter is not None and us >= self._began_us:
            seconds, number = self._parts.get(ref, (0.0, 0))
            self._parts[ref] = (seconds + cpu_s, number + calls)

    @property
    def due(self) -> bool:
        return self._meter is not None and time.monotonic() - self._read_at >= EVERY_S

    @property
    def news(self) -> bool:
        return bool(self._parts)

    def read(self, now_us: int, fallback: ModelRef) -> list[EnergyReading]:
        """The readings since the last ones, one for each version called; none when the meter has nothing to say yet."""
        if self._meter is None:
            return []
        with shield(self._faults, "meter_failed"):
            self._read_at = time.monotonic()
            reading = self._meter.read()
            if reading is None:  # too short a stretch: the calls stay counted for the next reading
                return []
            parts, self._parts = self._parts, {}
            start, self._since_us = min(self._since_us, now_us), now_us
            whole = share(
                reading,
                sum(seconds for seconds, _ in parts.values()),
                sum(number for _, number in parts.values()),
                model=fallback,
                start=from_us(start),
                end=from_us(max(now_us, start + 1)),
                session=self._session,
            )
            return list(split(whole, parts))
        return []

    def stop(self) -> None:
        meter, self._meter = self._meter, None
        if meter is not None:
            with shield(self._faults, "meter_failed"):
                meter.stop()


def meter_factory(energy: Any, settings: Settings) -> Callable[[], Any]:
    """`energy=` of an agent: a plugin's name, or a meter that the host made (which counts in the host's process only)."""
    if isinstance(energy, str):

        def configured() -> Any:
            from auditor import registry

            plugin = registry.load("energy", energy)
            return plugin.configure(**plugin_options(settings, "energy", energy, plugin.options))

        return configured
    home = os.getpid()

    def given() -> Any:
        if os.getpid() != home:
            raise RuntimeError("a meter object does not survive a fork")
        return energy

    return given
