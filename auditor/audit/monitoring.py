"""The verb `follow`: a window and the state of a monitor -> its next state, and its measurements.

A window is bet on once, in the order of time. Records that arrive later are a batch of their own, bet on once as well. A
window that is audited again without new records shows the figures of its last batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    sequence: int = 0,
    late: Callable[[int], WindowState] | None = None,
) -> tuple[MonitorState, list[Measurement]]:
    """Bet on a window that is new, or on its late records, and read off where the bets stand.

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
    sequence : int
        Number of the newest drain that took in records of the window.
    late : callable, optional
        Number of a drain -> the state of the window's records that later drains took in, on the same frame.

    Returns
    -------
    MonitorState
        Equal to `known` when there was nothing to bet on.
    list of Measurement
        Where bets stand after the window's newest batch; `not_bet` where it has none.
    """
    assert isinstance(plugin, Monitor)
    pinned, frame, reference = baseline
    state = known or plugin.begin(reference, frame, pinned=pinned.id, at=span.start)
    fresh = span.start >= state.until
    batch: WindowState | None = current
    if not fresh:
        upto = state.sequence(span)
        batch = late(upto) if late and upto is not None and upto < sequence else current if upto is None else None
        fresh = batch is not None and batch.n > 0 and state.accepts(span, sequence)
    if fresh and batch is not None:
        state = plugin.bet(state, batch, reference, frame, span, sequence=sequence)
    # Also when the run that bet was cut short before it was committed.
    if fresh or (state.batches and state.batches[-1].span == span):
        readings = list(plugin.read(state, current, reference, frame))
    else:
        readings, missed = _said(before, pinned.id, current.n, plugin.metrics[0].name)
        if missed and state.sequence(span) is None:
            state = replace(state, late=state.late + missed)
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
