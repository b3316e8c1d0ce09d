"""Which part of a meter's joules the watched calls used: by CPU time, with nothing lost and nothing made up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from auditor.core.errors import DescribeError
from auditor.core.record import EnergyReading, ModelRef
from auditor.ports import MeterReading

ATTRIBUTED = ("cpu",)
"""Components that CPU seconds can divide; memory and accelerators count as idle until something measures their use."""


def share(
    reading: MeterReading,
    cpu_s: float,
    requests: int,
    *,
    model: ModelRef,
    start: datetime,
    end: datetime,
    session: str | None = None,
) -> EnergyReading:
    r"""The calls' part of a meter reading.

    .. math:: active = J_{cpu} \cdot \min(1, t_{calls} / t_{meter}), \quad idle = \sum_c J_c - active

    Parameters
    ----------
    reading : MeterReading
        Joules by component and CPU seconds of everything in the meter's scope, over one stretch.
    cpu_s : float
        CPU seconds of the watched calls in the same stretch. Calls inside calls, and rounding of the clocks, can make
        it exceed the meter's: the share is at most 1.
    requests : int
        Calls in the stretch.

    Returns
    -------
    EnergyReading
        `active + idle` is the sum of `joules`.

    Raises
    ------
    DescribeError
        `bad_reading`: joules or CPU seconds that are negative or not finite.
    """
    figures = (*reading.joules.values(), reading.cpu_s, cpu_s)
    if not all(math.isfinite(figure) and figure >= 0.0 for figure in figures):
        raise DescribeError("bad_reading", f"{reading.meter} gave joules or seconds that are no amounts")
    part = min(1.0, cpu_s / reading.cpu_s) if reading.cpu_s > 0.0 else float(cpu_s > 0.0)
    total = math.fsum(reading.joules.values())
    active = min(total, part * math.fsum(reading.joules.get(component, 0.0) for component in ATTRIBUTED))
    return EnergyReading(
        model=model,
        start=start,
        end=end,
        joules=dict(reading.joules),
        active=active,
        idle=total - active,
        requests=requests,
        cpu_s=cpu_s,
        cpu_total_s=reading.cpu_s,
        method=reading.method,
        meter=reading.meter,
        scope=reading.scope,
        country=reading.country,
        kg_co2e=reading.kg_co2e,
        session=session,
    )


def split(whole: EnergyReading, parts: Mapping[ModelRef, tuple[float, int]]) -> Sequence[EnergyReading]:
    """One reading for each model version that was called: (CPU seconds, calls) by version.

    Everything is divided as CPU time was (as calls were, when no CPU time was taken), so that the parts add up to the
    whole. Without any call the whole is returned as it is.
    """
    if len(parts) <= 1:
        return [replace(whole, model=model) for model in parts] or [whole]
    cpu = math.fsum(seconds for seconds, _ in parts.values())
    calls = sum(count for _, count in parts.values())
    found = []
    for model, (seconds, count) in parts.items():
        weight = seconds / cpu if cpu > 0.0 else count / calls
        found.append(
            replace(
                whole,
                model=model,
                joules={component: weight * joules for component, joules in whole.joules.items()},
                active=weight * whole.active,
                idle=weight * whole.idle,
                requests=count,
                cpu_s=seconds,
                cpu_total_s=weight * whole.cpu_total_s,
                kg_co2e=None if whole.kg_co2e is None else weight * whole.kg_co2e,
            )
        )
    return found
