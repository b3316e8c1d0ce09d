"""Rows to states: every hour's records counted on a frame, each (hour, version) in one state.

All hours of a day are summarised in one pass over one matrix of columns. Rows are taken in the order (hour, version, id),
and every figure of an hour is computed from that hour's rows alone, so that an hour gives the same bytes whether it is
summarised by itself or with its day.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.core.blocks import CodedColumns, MatrixColumns, NumericBlock, pack_keys, segment_moments
from auditor.core.frame import Frame
from auditor.core.payloads import Payloads, payload_hashes
from auditor.core.presence import Presence
from auditor.core.record import CaptureTally, EnergyReading
from auditor.core.reliability import Reliability
from auditor.core.rows import ABSENT, FAILED, MISSING, PRESENT, Floats, Ints, Rows, Strings, given
from auditor.core.sample import Sample, empty_sample, sample_order
from auditor.core.state import (
    CategoricalState,
    Cells,
    Energy,
    Tally,
    VectorState,
    WindowState,
)
from auditor.core.values import spelled_like
from auditor.core.window import HOUR, Span, to_us
from auditor.statistics.columns import comparable_pairs, derive, is_error, word_columns
from auditor.statistics.framing import fit_frame, subject_keys
from auditor.statistics.sequence_gaps import LOST_AFTER_DELIVERY, NOTHING, Reconciled, reconcile
from auditor.statistics.slices import group_rows
from auditor.statistics.views import gap_vectors, id_hashes, is_odd, view_columns

__all__ = ["fit_frame", "summarise", "summarise_hours"]

_HOUR_US = 3_600_000_000
_MANY_ROWS = 4096
"""Rows of a segment from which a counter for every bin costs less than sorting the values' bins."""


def summarise(
    rows: Rows,
    frame: Frame,
    span: Span,
    readings: Sequence[EnergyReading] = (),
    tallies: Sequence[CaptureTally] = (),
) -> list[WindowState]:
    """The states of one span, by version.

    Rows outside the span are left out. An energy reading or tally belongs to the span that holds the last microsecond
    before its end, and to the version it names.
    """
    return _summarise(rows, frame, [span], readings, tallies)


def summarise_hours(
    rows: Rows,
    frame: Frame,
    hours: Sequence[datetime],
    readings: Sequence[EnergyReading] = (),
    tallies: Sequence[CaptureTally] = (),
) -> list[WindowState]:
    """The states of these hours (by their starts), by hour, then version; hours without anything have none."""
    spans = [Span(hour, hour + HOUR) for hour in sorted(set(hours))]
    return _summarise(rows, frame, spans, readings, tallies)


def _summarise(
    rows: Rows,
    frame: Frame,
    spans: Sequence[Span],
    readings: Sequence[EnergyReading],
    tallies: Sequence[CaptureTally],
) -> list[WindowState]:
    meters = _by_span(readings, spans)
    counted = _by_span(tallies, spans)
    metered = {(reading.model.version, hour) for reading in readings for hour in _hours_of(reading)}
    batch = _Batch.of(rows, frame, spans, metered)
    states = {} if batch is None else batch.states()
    if batch is not None:
        for name, part in group_rows(batch.rows, frame.slices):
            own = _Batch.of(part, frame, spans, set())
            for key, state in ({} if own is None else own.states()).items():
                lean = replace(state, cells=Cells((), {}), energy={}, errors={})
                states[key] = replace(states[key], slices={**states[key].slices, name: lean})
    found = reconcile(rows, spans, counted)
    for key in meters.keys() | counted.keys() | found.keys():
        if key not in states:
            states[key] = _bare_state(rows.model, frame, spans[key[0]], key[1])
        state = states[key]
        states[key] = replace(
            state,
            energy=_energy_of(state.energy, meters.get(key, ())),
            tally=_tally_of(counted.get(key, ()), found.get(key, NOTHING)),
        )
    return [states[key] for key in sorted(states)]


def _hours_of(reading: EnergyReading) -> range:
    """Hours since 1970 that a reading touches."""
    return range(to_us(reading.start) // _HOUR_US, (to_us(reading.end) - 1) // _HOUR_US + 1)


def _by_span(items: Sequence[Any], spans: Sequence[Span]) -> dict[tuple[int, str], list[Any]]:
    """Readings or tallies by place of their span and version, those of no span left out."""
    starts = np.array([to_us(span.start) for span in spans], np.int64)
    ends = np.array([to_us(span.end) for span in spans], np.int64)
    found: dict[tuple[int, str], list[Any]] = defaultdict(list)
    for item in sorted(items, key=lambda item: (item.end, item.start, item.session or "")):
        last = to_us(item.end) - 1
        place = int(np.searchsorted(starts, last, side="right")) - 1
        if place >= 0 and last < ends[place]:
            found[place, item.model.version].append(item)
    return found


def _energy_of(own: Mapping[str, Energy], readings: Sequence[EnergyReading]) -> dict[str, Energy]:
    found = dict(own)
    for reading in readings:
        energy = Energy(
            reading.requests,
            reading.active,
            reading.idle,
            dict(sorted(reading.joules.items())),
            {},
            reading.kg_co2e,
            reading.cpu_s,
            reading.meter,
            reading.country,
        )
        found[reading.method] = found[reading.method].merge(energy) if reading.method in found else energy
    return dict(sorted(found.items()))


def _tally_of(tallies: Sequence[CaptureTally], found: Reconciled) -> Tally:
    gone = {LOST_AFTER_DELIVERY: found.gone} if found.gone else {}
    total = Tally(dropped=gone, undeclared=found.undeclared, at_rest=found.at_rest)
    for tally in tallies:
        total = total.merge(Tally(tally.seen, tally.described, tally.delivered, dict(tally.dropped)))
    return total


def _bare_state(model: str, frame: Frame, span: Span, version: str) -> WindowState:
    return WindowState(
        model=model,
        version=version,
        start=span.start,
        end=span.end,
        frame=frame.digest,
        n=0,
        described=0,
        labelled=0,
        sample=empty_sample(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Rows in the order (span, version, id), cut into segments of one state each.

    `first` and `size` are the places and lengths of the segments, `keys` their (span, version); `numeric` holds the numeric
    columns by name, rising, NaN where absent.
    """

    rows: Rows
    frame: Frame
    spans: Sequence[Span]
    keys: list[tuple[int, str]]
    first: Ints
    size: Ints
    hashes: NDArray[np.uint64]
    numeric: Mapping[str, Floats]
    metered: NDArray[np.bool_]

    @staticmethod
    def of(rows: Rows, frame: Frame, spans: Sequence[Span], metered: set[tuple[str, int]]) -> _Batch | None:
        starts = np.array([to_us(span.start) for span in spans], np.int64)
        ends = np.array([to_us(span.end) for span in spans], np.int64)
        place = np.searchsorted(starts, rows.time_us, side="right") - 1
        inside = np.flatnonzero((place >= 0) & (rows.time_us < ends[place]))
        if not len(inside):
            return None
        if len(inside) < rows.n:
            rows, place = rows.take(inside), place[inside]
        if "output.label" in rows.categorical and given(rows.truth).any():
            truth = spelled_like(rows.truth.tolist(), set(rows.categorical["output.label"].tolist()))
            rows = replace(rows, truth=np.array(truth, object))
        versions = rows.version.tolist()
        words = sorted(set(versions))
        group = place * len(words)
        if len(words) > 1:
            code = {word: index for index, word in enumerate(words)}
            group += np.fromiter(map(code.__getitem__, versions), np.int64, len(versions))
        order = _order(group, rows.ids)
        if order is not None:
            rows, group = rows.take(order), group[order]
        first = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
        keys = [(int(value) // len(words), words[int(value) % len(words)]) for value in group[first]]
        hashes = id_hashes(rows)
        numeric = derive(rows, frame.pairs if frame.fitted else comparable_pairs(rows))
        if frame.fitted:
            numeric = dict(sorted({**numeric, **view_columns(rows, frame, is_odd(hashes))}.items()))
        hours = (rows.time_us // _HOUR_US).tolist() if metered else []
        return _Batch(
            rows=rows,
            frame=frame,
            spans=spans,
            keys=keys,
            first=first,
            size=np.diff(first, append=len(group)),
            hashes=hashes,
            numeric=numeric,
            metered=np.array([pair in metered for pair in zip(rows.version.tolist(), hours, strict=True)], bool)
            if metered
            else np.zeros(rows.n, bool),
        )

    def states(self) -> dict[tuple[int, str], WindowState]:
        """One state a segment, by (span, version)."""
        rows = self.rows
        known = given(rows.truth) | np.isfinite(rows.truth_value)
        described, labelled = self._sums(rows.described), self._sums(known)
        payloads = {name: payload_hashes(values) for name, values in sorted(rows.commitment.items())}
        parts = zip(
            self._numeric(),
            self._categorical(),
            self._vectors(),
            self._presence(),
            self._describers(),
            self._cells(),
            self._samples(payloads),
            self._energy(),
            self._errors(),
            self._payloads(payloads),
            self._reliability(),
            strict=True,
        )
        found = {}
        for i, (
            numeric,
            categorical,
            vectors,
            presence,
            describers,
            cells,
            sample,
            energy,
            errors,
            repeats,
            reliability,
        ) in enumerate(parts):
            span = self.spans[self.keys[i][0]]
            found[self.keys[i]] = WindowState(
                model=rows.model,
                version=self.keys[i][1],
                start=span.start,
                end=span.end,
                frame=self.frame.digest,
                n=int(self.size[i]),
                described=int(described[i]),
                labelled=int(labelled[i]),
                numeric=numeric,
                categorical=categorical,
                vectors=vectors,
                presence=presence,
                modality={name: rows.modality[name] for name in presence if name in rows.modality},
                describers=describers,
                cells=cells,
                sample=sample,
                energy=energy,
                errors=errors,
                payloads=repeats,
                reliability=reliability,
            )
        return found

    def _sums(self, x: NDArray[np.bool_]) -> Ints:
        return np.add.reduceat(x.astype(np.int64), self.first)

    def _slices(self) -> list[slice]:
        return [slice(a, a + n) for a, n in zip(self.first.tolist(), self.size.tolist(), strict=True)]

    # -- numbers --

    def _numeric(self) -> list[NumericBlock]:
        if not self.numeric:
            return [NumericBlock.of({})] * len(self.keys)
        fitted = all(name in self.frame.grids for name in self.numeric)
        large = (self.size >= _MANY_ROWS) & fitted
        blocks: list[NumericBlock] = []
        for alone, run in groupby(range(len(self.keys)), large.__getitem__):
            if alone:
                blocks += map(self._numeric_alone, run)
            else:
                blocks += self._numeric_together(list(run))
        return blocks

    def _numeric_alone(self, segment: int) -> NumericBlock:
        """Of one large segment: every bin has a counter, so that nothing has to be sorted."""
        part = self._slices()[segment]
        places, counts, n, moments = [], [], [], []
        for i, (name, values) in enumerate(self.numeric.items()):
            x = values[part]
            valid = np.isfinite(x)
            known = x if valid.all() else x[valid]
            table = self.frame.grids[name].count(known)
            bins = np.flatnonzero(table)
            places.append(pack_keys(np.full(len(bins), i), bins))
            counts.append(table[bins])
            n.append(len(known))
            moments.append(segment_moments(x[None], valid[None], np.zeros(1, np.int64), np.array([len(x)]))[:, 0, 0])
        block = NumericBlock(
            tuple(self.numeric), np.concatenate(places), np.concatenate(counts), np.array(n), np.stack(moments, axis=1)
        )
        return block.without_empty()

    def _numeric_together(self, segments: Sequence[int]) -> list[NumericBlock]:
        """Of adjacent segments: all bins of all columns sorted at once."""
        first, size = self.first[segments] - self.first[segments[0]], self.size[segments]
        part = slice(int(self.first[segments[0]]), int(self.first[segments[-1]] + size[-1]))
        x = np.array([values[part] for values in self.numeric.values()], np.float64)
        valid = np.isfinite(x)
        n = np.add.reduceat(valid.astype(np.int64), first, axis=1)
        moments = segment_moments(x, valid, first, size)
        column, row = np.nonzero(valid)
        segment = np.repeat(np.arange(len(segments)), size)[row]
        bins = np.concatenate(
            [self.frame.grid(name).index(own[known]) for name, own, known in zip(self.numeric, x, valid, strict=True)]
        )
        order = np.argsort(segment, kind="stable")
        cuts = np.searchsorted(segment[order], np.arange(len(segments) + 1))
        keys = pack_keys(column, bins)[order]
        blocks = []
        for i in range(len(segments)):
            places, counts = np.unique(keys[cuts[i] : cuts[i + 1]], return_counts=True)
            block = NumericBlock(
                tuple(self.numeric), places, counts.astype(np.int64), n[:, i].copy(), moments[:, :, i].copy()
            )
            blocks.append(block.without_empty())
        return blocks

    def _vectors(self) -> list[dict[str, VectorState]]:
        found: list[dict[str, VectorState]] = [{} for _ in self.keys]
        columns = {**self.rows.vectors, **gap_vectors(self.rows, self.frame.pairs if self.frame.fitted else ())}
        for name, projection in sorted(self.frame.projections.items()):
            x = columns.get(name)
            if x is None or x.shape[1] != len(projection.center):
                continue
            whole = np.asarray(np.isfinite(x).all(axis=1))
            for i, part in enumerate(self._slices()):
                # By segment: a product of matrices may round differently in a larger batch.
                own = x[part] if whole[part].all() else x[part][whole[part]]
                if len(own):
                    found[i][name] = VectorState.of(own, projection)
        return found

    # -- words --

    def _count(self, values: Strings) -> list[Counter[Any]]:
        """Of each segment, how often each value was seen; None is not a value."""
        words = values.tolist()
        counts = [Counter(words[part]) for part in self._slices()]
        for count in counts:
            count.pop(None, None)
        return counts

    def _categorical(self) -> list[dict[str, CategoricalState]]:
        found: list[dict[str, CategoricalState]] = [{} for _ in self.keys]
        for name, values in word_columns(self.rows).items():
            for own, counts in zip(found, self._count(values), strict=True):
                if counts:
                    own[name] = CategoricalState.of(counts)
        return found

    def _errors(self) -> list[dict[str, int]]:
        total: list[Counter[Any]] = [Counter() for _ in self.keys]
        for name in filter(is_error, sorted(self.rows.categorical)):
            for own, counts in zip(total, self._count(self.rows.categorical[name]), strict=True):
                own.update(counts)
        return [dict(sorted(own.items())) for own in total]

    def _describers(self) -> list[dict[str, dict[str, int]]]:
        found: list[dict[str, dict[str, int]]] = [{} for _ in self.keys]
        for name, values in sorted(self.rows.describer.items()):
            for own, counts in zip(found, self._count(values), strict=True):
                if counts:
                    own[name] = dict(sorted(counts.items()))
        return found

    def _presence(self) -> list[dict[str, Presence]]:
        found: list[dict[str, Presence]] = [{} for _ in self.keys]
        segment = np.repeat(np.arange(len(self.keys)), self.size)[self.rows.described]
        for name, codes in sorted(self.rows.presence.items()):
            table = np.bincount(segment * 4 + codes[self.rows.described], minlength=4 * len(self.keys)).reshape(-1, 4)
            codes_of = self.rows.categorical.get(f"inputs.{name}.error")
            reasons: list[Counter[Any]] = [Counter()] * len(self.keys) if codes_of is None else self._count(codes_of)
            for own, counts, why in zip(found, table.tolist(), reasons, strict=True):
                # An input that no record of the hour mentions is left to the merge, which counts it absent.
                if counts[PRESENT] or counts[MISSING] or counts[FAILED]:
                    own[name] = Presence(
                        counts[PRESENT], counts[MISSING], counts[FAILED], counts[ABSENT], dict(sorted(why.items()))
                    )
        return found

    def _cells(self) -> list[Cells]:
        rows = self.rows
        features = tuple(sorted(rows.groups))
        nothing = [None] * rows.n
        groups = (
            list(zip(*(rows.groups[name].tolist() for name in features), strict=True)) if features else [()] * rows.n
        )
        answers = rows.categorical["output.label"].tolist() if "output.label" in rows.categorical else nothing
        if not features and answers is nothing and not given(rows.truth).any():
            return [Cells((), {((), None, None): size}) for size in self.size.tolist()]
        keys = list(zip(groups, rows.truth.tolist(), answers, strict=True))
        return [Cells(features, dict(Counter(keys[part]))) for part in self._slices()]

    def _reliability(self) -> list[Reliability]:
        confidence, answer = self.numeric.get("output.confidence"), self.rows.categorical.get("output.label")
        if confidence is None or answer is None:
            return [Reliability()] * len(self.keys)
        truth, grid = self.rows.truth, self.frame.grid("output.confidence")
        known = np.isfinite(confidence) & given(truth) & given(answer)
        found = []
        for part in self._slices():
            own = known[part]
            right = np.asarray(truth[part][own] == answer[part][own], bool)
            found.append(Reliability.of(grid.index(confidence[part][own]), right))
        return found

    # -- the sample and energy --

    def _payloads(
        self, hashes: Mapping[str, tuple[NDArray[np.uint64], NDArray[np.bool_]]]
    ) -> list[dict[str, Payloads]]:
        found: list[dict[str, Payloads]] = [{} for _ in self.keys]
        for name, (values, known) in hashes.items():
            for own, part in zip(found, self._slices(), strict=True):
                if known[part].any():
                    own[name] = Payloads.of(values[part][known[part]])
        return found

    def _samples(self, payloads: Mapping[str, tuple[NDArray[np.uint64], NDArray[np.bool_]]]) -> list[Sample]:
        rows, hashes = self.rows, self.hashes
        more = {
            f"inputs.{name}.payload": np.where(known, (values >> np.uint64(12)).astype(np.float64), np.nan)
            for name, (values, known) in payloads.items()
        }
        if rows.subject is not None:
            more["subject"] = subject_keys(rows.subject)
        every = dict(sorted({**self.numeric, **more}.items()))
        words = {**word_columns(rows), "truth": rows.truth, **{f"groups.{name}": v for name, v in rows.groups.items()}}
        samples = []
        for part in self._slices():
            order = sample_order(hashes[part], rows.ids[part]) + part.start
            held = {name: values[order] for name, values in every.items() if np.isfinite(values[part]).any()}
            # A column is there if any row of the segment has it, sampled or not: so shards agree with the whole.
            present = {name: values[order] for name, values in words.items() if given(values[part]).any()}
            samples.append(
                Sample(
                    hashes[order],
                    rows.ids[order],
                    MatrixColumns.of(held, len(order)),
                    CodedColumns.of(present, len(order)),
                )
            )
        return samples

    def _energy(self) -> list[dict[str, Energy]]:
        """What records say of their own energy; where a meter covered the hour of their version, only the meter counts."""
        found: list[dict[str, Energy]] = [{} for _ in self.keys]
        joules, methods = self.rows.numeric.get("energy.joules"), self.rows.energy_method
        if joules is None or methods is None:
            return found
        by = {name[len("energy.by.") :]: x for name, x in self.rows.numeric.items() if name.startswith("energy.by.")}
        known = np.isfinite(joules) & ~self.metered
        for i, part in enumerate(self._slices()):
            own = known[part]
            for method in sorted(
                {m for m, keep in zip(methods[part].tolist(), own.tolist(), strict=True) if keep and m}
            ):
                chosen = own & (methods[part] == method)
                shares = {name: float(np.nansum(x[part][chosen])) for name, x in sorted(by.items())}
                active = float(joules[part][chosen].sum())
                found[i][method] = Energy(int(chosen.sum()), active, 0.0, {}, shares, None, 0.0)
        return found


def _order(group: Ints, ids: Strings) -> Ints | None:
    """Places of rows by group, then id; None when they are in that order already."""
    rising = None
    if bool((ids[1:] < ids[:-1]).any()):
        rising = np.array(sorted(range(len(ids)), key=ids.tolist().__getitem__))
        group = group[rising]
    if not bool((group[1:] < group[:-1]).any()):
        return rising
    order = np.argsort(group, kind="stable")
    return order if rising is None else rising[order]
