"""The verb `follow`: a window and what a monitor knew before -> what it knows now, and its measurements.

A window is bet on once, in the order of time. Audited again, it shows what was said then: late data changes a window's
figures, never a bet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from auditor.core.frame import Frame
from auditor.core.measurement import Measurement, Method, Reading, absent, place
from auditor.core.monitor import MonitorState
from auditor.core.state import WindowState
from auditor.core.window import Baseline, Span
from auditor.ports import Measurer, Monitor


@dataclass(frozen=True, slots=True)
class Before:
    """What the last audit of the same window said: its monitor's figures, and how many records there were."""

    measurements: Sequence[Measurement]
    records: int


def follow(
    name: str,
    plugin: Measurer,
    known: MonitorState | None,
    current: WindowState,
    baseline: tuple[Baseline, Frame, WindowState],
    *,
    span: Span,
    before: Before | None,
    run: str,
    revision: int,
    recorded: datetime,
    attributes: Mapping[str, str] | None = None,
) -> tuple[MonitorState, list[Measurement]]:
    """Bet on a window that is new, and say where the bets stand.

    Parameters
    ----------
    name, plugin : str, Measurer
        A measurer that is a Monitor as well; its name becomes the method of the figures.
    known : MonitorState or None
        What it knew before; None: nothing yet about this baseline.
    current : WindowState
        The window, counted on the baseline's frame.
    before : Before or None
        Of the last audit of the same window; None: this is the first.
    attributes : mapping of str to str, optional
        The slice that the window and its baseline are of (feature and group).

    Returns
    -------
    MonitorState
        Equal to `known` when there was nothing to bet on.
    list of Measurement
        Of a new window, where its bets stand. Of one that was audited before, what was said then; `not_bet` where nothing
        was.
    """
    assert isinstance(plugin, Monitor)
    pinned, frame, reference = baseline
    state = known or plugin.begin(reference, frame, pinned=pinned.id, at=span.start)
    if span.start >= state.until:
        state = plugin.bet(state, current, reference, frame, span)
    if state.until == span.end and before is None:  # also when the run that bet was cut short before it was committed
        readings = list(plugin.read(state, current, reference, frame))
    else:
        readings, late = _said(before, pinned.id, current.n, plugin.metrics[0].name)
        state = replace(state, late=state.late + late) if late else state
    unit = {spec.name: spec.unit for spec in plugin.metrics}
    return state, [
        place(
            replace(reading, attributes={**reading.attributes, **(attributes or {})}),
            unit=unit[reading.metric],
            method=Method(name, plugin.version),
            model=current.model,
            version=None,
            span=span,
            revision=revision,
            run=run,
            baseline=pinned.id,
            recorded=recorded,
        )
        for reading in readings
    ]


def _said(before: Before | None, baseline: str, n: int, metric: str) -> tuple[list[Reading], int]:
    """What was said of the window when it was bet on, and how many records have come since it was last audited."""
    said = [m for m in before.measurements if m.baseline == baseline] if before is not None else []
    if before is None or not said:
        return [absent(metric, "not_bet", n=n)], 0
    return [
        Reading(
            metric=m.metric,
            value=m.value,
            status=m.status,
            reason=m.reason,
            n=m.n,
            n_baseline=m.n_baseline,
            attributes=m.attributes,
            facts=m.facts,
        )
        for m in said
    ], max(n - before.records, 0)
