"""Sequential monitoring: bets against "nothing changed", whose return may be looked at after every window.

Where rows are independent, each value of a column is ranked among the baseline and all windows since that looked like it;
while nothing changes its conformal p-values are uniform and independent, and no bet on them has a positive expected return.
Half of the capital is with Simple Jumper (Vovk et al. 2021), which finds shifts, half on the shares of groups of values,
which finds anything else; on categories, all of it. Where windows vary more than their rows explain, one bet a window is
laid on Student's t of the window's means. Agreement between two inputs is held against a lower limit of the baseline's
mean. Every window a new unit of capital begins, so that a change after a quiet year is found as soon as one after a quiet
day: the sum of all units is the e-detector of Shiryaev and Roberts (Shin, Ramdas and Rinaldo 2024), and it reaches c by
chance at most once in c windows on average.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import numpy as np

from auditor.core.catalogue import OWN_MODALITY, MetricSpec
from auditor.core.frame import ColumnSpec, Frame
from auditor.core.identity import hash64
from auditor.core.measurement import Reading, Status
from auditor.core.monitor import Bets, MonitorState
from auditor.core.rows import Floats
from auditor.core.state import WindowState
from auditor.core.window import Span
from auditor.drift.bets import RankedRows, bet_mean, bet_rows, bet_window, first_bets
from auditor.drift.compared import MIN_SAMPLES, Column, change_facts, compared, pairs
from auditor.statistics.groups import FINE, Groups, column_groups
from auditor.statistics.spread import MIN_ROWS

_BETTABLE = ("", "below_min_samples")


class Sequential:
    """`drift.e_value`: capital won so far by betting, one unit a window, that a column or a pair changed.

    Notes
    -----
    The rows are the window's sample (at most 2000; where records name subjects, one row of each subject and window) in the order of their hashed ids, which no cycle inside a window can
    disturb; bets by window use all rows. A rise that is over is forgotten: capital may be thrown away at any time without
    harm to the bound.
    """

    version = "3"
    needs_baseline = True
    by_slice = True
    metrics = (
        MetricSpec(
            "drift.e_value",
            "1",
            "Capital won by betting, one unit a window, that the column or pair changed; reaches c by chance at most once in "
            "c windows.",
            "higher",
            ("column", "input", "modality", "pair"),
            0,
            label="evidence against no change (e-value)",
            short="e-value",
            alert=OWN_MODALITY,
            clause="evidence that {column} changed (e-value {value})",
            compares=(
                "An e-value is the return of a fair bet against 'no change', one unit staked per window: at or below "
                "1 there is no evidence of change, and without one it reaches c at most once in c windows, so that "
                "large values are evidence; there is no upper end."
            ),
            reads=(
                (1.999999, "the bets have won little or nothing, so nothing speaks for a change"),
                (None, "without a change, bets win as much {rarity} (no upper end)"),
            ),
        ),
    )

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterable[Reading]:
        """Nothing: one window by itself has no order; see `read`."""
        return ()

    def begin(self, baseline: WindowState, frame: Frame, *, pinned: str, at: datetime) -> MonitorState:
        """A monitor that has bet on nothing, for windows from `at` on; `pinned` is the baseline's id."""
        bets: dict[str, Bets] = {}
        for column in _monitored(baseline, baseline, frame):
            known = column.reason in (*_BETTABLE, "constant") and column.n_baseline >= MIN_SAMPLES
            first = first_bets(column.spec, baseline, frame) if known else None
            if first is not None:
                bets[column.spec.name] = first
        return MonitorState(model=frame.model, baseline=pinned, frame=frame.digest, start=at, until=at, bets=bets)

    def bet(
        self,
        monitor: MonitorState,
        current: WindowState,
        baseline: WindowState,
        frame: Frame,
        span: Span,
        *,
        sequence: int = 0,
    ) -> MonitorState:
        """The monitor after a batch of `span`: a new window, or records of an earlier one that arrived since it was bet on.

        As it was, when records of `span` up to drain `sequence` were bet on before. A late batch adds no unit of capital.
        """
        if not monitor.accepts(span, sequence):
            return monitor
        late = span.start < monitor.until
        known = sum(batch.n for batch in monitor.batches if batch.span == span)
        found = dict(monitor.bets)
        taken = [
            column.spec
            for column in _monitored(current, baseline, frame)
            if column.spec.name in monitor.bets and column.reason in _BETTABLE
        ]
        ranked: list[RankedRows] = []
        for spec in taken:
            bets = monitor.bets[spec.name]
            if bets.limit is not None:
                values = current.sample.numeric.get(spec.name)
                if values is not None:
                    values = values[current.sample.one_by_subject()] if bets.by_subject else values
                    found[spec.name] = bet_mean(spec, bets, values, span, late)
                continue
            groups = column_groups(spec.name, spec.kind, baseline, frame, FINE)
            if groups is None:
                continue
            if bets.spread is None:
                ranked += _ranked(spec, bets, groups, current, frame)
            elif known < MIN_ROWS:
                counts = groups.of(current, spec.name)
                found[spec.name] = bet_window(bets, groups, counts, span.duration / frame.step, span, late)
        found.update(bet_rows(ranked, span, late))
        return monitor.logged(span, sequence, current.n, found)

    def read(
        self, monitor: MonitorState, current: WindowState, baseline: WindowState, frame: Frame
    ) -> Iterable[Reading]:
        """The e-values after the window `current` was bet on, by column, then pair."""
        for column in _monitored(current, baseline, frame):
            bets = monitor.bets.get(column.spec.name)
            if bets is None and column.n_baseline >= MIN_SAMPLES and column.spec.name not in frame.untested:
                continue  # a pair on no known scale, or a column that the frame has no grid for
            yield _reading(column, bets, current, baseline)


def _monitored(current: WindowState, baseline: WindowState, frame: Frame) -> Iterator[Column]:
    yield from compared("numeric", current, baseline, frame, components=True)
    yield from compared("categorical", current, baseline, frame)
    yield from pairs(current, baseline, frame)


def _ranked(spec: ColumnSpec, bets: Bets, groups: Groups, current: WindowState, frame: Frame) -> Iterator[RankedRows]:
    sample = current.sample
    if spec.kind == "categorical":
        words = sample.categorical.get(spec.name, np.empty(0, object))
        there = np.array([word is not None for word in words], bool)
    else:
        values = sample.numeric.get(spec.name, np.empty(0))
        there = np.isfinite(values)
    if bets.by_subject and len(there):
        there &= sample.one_by_subject()
    if spec.kind == "categorical":
        own = np.array([groups.of_code(word) for word in words[there]], np.int64)
    else:
        own = groups.bins[frame.grids[spec.name].index(values[there])]
    if len(own):
        yield RankedRows.of(spec, bets, groups, own, _uniforms(current, spec.name), there)


def _uniforms(current: WindowState, column: str) -> Floats:
    """One number in (0, 1) a row, from the hash of its id and the column's name (splitmix64): breaks ties alike anywhere."""
    x = current.sample.hashes ^ np.uint64(hash64(column))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    x = x ^ (x >> np.uint64(31))
    found: Floats = ((x >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52
    return found


def _reading(column: Column, bets: Bets | None, current: WindowState, baseline: WindowState) -> Reading:
    attributes = column.spec.attributes()
    reason = column.reason
    if bets is None and not reason:
        reason = "absent_in_baseline"
    if bets is None or reason not in _BETTABLE or not bets.n:
        known = reason if reason not in _BETTABLE else "not_bet"
        status = Status.INSUFFICIENT_DATA if known in ("absent_in_window", "not_bet") else Status.NOT_APPLICABLE
        return Reading(
            metric="drift.e_value",
            status=status,
            reason=known,
            n=column.n,
            n_baseline=column.n_baseline,
            attributes=attributes,
        )
    facts: dict[str, Any] = change_facts(column.spec, current, baseline)
    if bets.since is not None:
        facts |= {"rising_since": bets.since, "values": bets.rows}
    return Reading(
        metric="drift.e_value",
        value=bets.e_value,
        n=bets.n,
        n_baseline=column.n_baseline,
        attributes=attributes,
        facts=facts,
    )


PLUGIN = Sequential()
