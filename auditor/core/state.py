"""The mergeable state of a window: everything that any later question needs, at a size that traffic does not change.

`merge(a, b)` is the state of both sets of records together. A state is a function of the *set* of its records: counters,
codes and samples are identical under any partition; float moments agree within 1e-12 relative, and are byte-identical
under the canonical partition (rows sorted by id, hours merged in a balanced tree: `merge_all`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from auditor.core.blocks import Moments, NumericBlock, NumericState, merge_numeric, union
from auditor.core.errors import StoreError
from auditor.core.identity import hash64
from auditor.core.payloads import Payloads, merge_payloads
from auditor.core.presence import Presence, merge_presence
from auditor.core.projection import Projection
from auditor.core.reliability import Reliability, merge_reliability
from auditor.core.rows import Floats
from auditor.core.sample import SAMPLE_SIZE, Sample, empty_sample, merge_samples
from auditor.core.window import Span

__all__ = [
    "MAX_CODES",
    "OTHER",
    "SAMPLE_SIZE",
    "CategoricalState",
    "Cells",
    "Energy",
    "Moments",
    "NumericState",
    "Payloads",
    "Presence",
    "Sample",
    "Tally",
    "VectorState",
    "WindowState",
    "empty_sample",
    "empty_state",
    "merge",
    "merge_all",
]

OTHER = "\x00other"
"""Code that categories beyond `MAX_CODES` are counted under."""
MAX_CODES = 1000
_ROWS_AT_ONCE = 4096
"""Rows of a vector column that are projected together."""

T = TypeVar("T")
CellKey = tuple[tuple[str | None, ...], str | None, str | None]


@dataclass(frozen=True, slots=True)
class CategoricalState:
    """One categorical column: code to count.

    Of more than `MAX_CODES` codes, those with the smallest hashes are kept and the rest is counted under `OTHER`: a rule
    on the set of codes alone, so that merging in any order gives the same counts.
    """

    counts: Mapping[str, int]

    @property
    def n(self) -> int:
        return sum(self.counts.values())

    @staticmethod
    def of(counts: Mapping[str, int]) -> CategoricalState:
        """The state of these counts, folded when there are too many codes."""
        if len(counts) <= MAX_CODES:
            return CategoricalState(dict(sorted(counts.items())))
        codes = sorted((code for code in counts if code != OTHER), key=hash64)
        kept = {code: counts[code] for code in sorted(codes[: MAX_CODES - 1])}
        return CategoricalState({OTHER: sum(counts.values()) - sum(kept.values()), **kept})

    def merge(self, other: CategoricalState) -> CategoricalState:
        return CategoricalState.of(_add([self.counts, other.counts]))


@dataclass(frozen=True, slots=True)
class VectorState:
    """One vector column after the frame's projection: mean, scatter and kernel mean.

    Attributes
    ----------
    mean : ndarray, shape (k,)
    scatter : ndarray, shape (k, k)
        Sum of outer products of deviations.
    features : ndarray, shape (D,)
        Sum of random Fourier features.
    square : float
        Sum of squared norms of the features: makes the unbiased MMD possible.
    """

    n: int
    mean: Floats
    scatter: Floats
    features: Floats
    square: float

    @staticmethod
    def of(x: NDArray[np.float32], projection: Projection) -> VectorState:
        """The state of these finite rows, shape (n, d), n >= 1; in memory that does not grow with them."""
        parts = (x[start : start + _ROWS_AT_ONCE] for start in range(0, len(x), _ROWS_AT_ONCE))
        return _tree([VectorState._of_few(part, projection) for part in parts], VectorState.merge)

    @staticmethod
    def _of_few(x: NDArray[np.float32], projection: Projection) -> VectorState:
        y = projection.project(x)
        features = projection.features(y)
        mean = y.mean(axis=0)
        deviation = y - mean
        square = float((features**2).sum())
        return VectorState(len(y), mean, deviation.T @ deviation, features.sum(axis=0), square)

    def merge(self, other: VectorState) -> VectorState:
        n = self.n + other.n
        delta = other.mean - self.mean
        return VectorState(
            n,
            self.mean + delta * (other.n / n),
            self.scatter + other.scatter + np.outer(delta, delta) * (self.n * other.n / n),
            self.features + other.features,
            self.square + other.square,
        )


@dataclass(frozen=True, slots=True)
class Cells:
    """Distinct (groups, truth, prediction) with their counts: all that fairness and quality of classes need.

    `features` are the group features in sorted order; each key is (one value a feature, truth or None, prediction or None).
    """

    features: tuple[str, ...]
    counts: Mapping[CellKey, int]

    def merge(self, other: Cells) -> Cells:
        return _merge_cells([self, other])

    def on(self, features: tuple[str, ...]) -> Mapping[CellKey, int]:
        """The counts under a longer list of features; those it lacks are unknown."""
        if features == self.features:
            return self.counts
        position = {name: index for index, name in enumerate(self.features)}
        moved: dict[CellKey, int] = {}
        for (groups, truth, prediction), count in self.counts.items():
            key = tuple(groups[position[name]] if name in position else None for name in features), truth, prediction
            moved[key] = moved.get(key, 0) + count
        return moved


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of a window's calls, joules, by how it was obtained.

    `active` is what the calls used, `idle` what ran beside them, `by_component` both together by cpu, ram, gpu.
    """

    requests: int
    active: float
    idle: float
    by_component: Mapping[str, float]
    by_input: Mapping[str, float]
    kg_co2e: float | None
    cpu_s: float
    meter: str = ""
    country: str | None = None

    def merge(self, other: Energy) -> Energy:
        known = [kg for kg in (self.kg_co2e, other.kg_co2e) if kg is not None]
        return Energy(
            self.requests + other.requests,
            self.active + other.active,
            self.idle + other.idle,
            _add([self.by_component, other.by_component]),
            _add([self.by_input, other.by_input]),
            sum(known) if known else None,
            self.cpu_s + other.cpu_s,
            self.meter or other.meter,
            self.country or other.country,
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """What the agents counted: calls seen and described, and drops by reason."""

    seen: int = 0
    described: int = 0
    delivered: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    undeclared: int = 0
    """Calls known by their sequence numbers alone: of sessions that never declared a count, or after the last one."""
    at_rest: int = 0
    """Of the calls seen, those whose records are in the archive."""

    def merge(self, other: Tally) -> Tally:
        return Tally(
            self.seen + other.seen,
            self.described + other.described,
            self.delivered + other.delivered,
            _add([self.dropped, other.dropped]),
            self.undeclared + other.undeclared,
            self.at_rest + other.at_rest,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowState:
    """Everything a window leaves behind; see the module.

    Attributes
    ----------
    model : str
    version : str or None
        None once versions are merged.
    start, end : datetime
        The span it covers (the hull, after merging).
    frame : str
        Digest of the frame it was counted on.
    n, described, labelled : int
        Records; those whose payloads were described; those with ground truth.
    numeric, categorical, vectors : mapping
        By column, derived ones (confidence, concordance) included.
    presence : mapping of str to Presence
        By input.
    modality : mapping of str to str
        By input.
    describers : mapping of str to mapping of str to int
        By input: `describer|encoder` to count.
    energy : mapping of str to Energy
        By method (measured, calibrated, modelled, sourced).
    errors : mapping of str to int
        Code of model or describer failure to count.
    payloads : mapping of str to Payloads
        By input whose records carry commitments.
    reliability : Reliability
        Right and wrong answers by confidence.
    slices : mapping of str to WindowState
        By `feature=group` of the frame's slices: the state of that group's records, without what no slice is asked for
        (cells, energy, tallies).
    """

    model: str
    version: str | None
    start: datetime
    end: datetime
    frame: str
    n: int
    described: int
    labelled: int
    numeric: Mapping[str, NumericState] = field(default_factory=dict)
    categorical: Mapping[str, CategoricalState] = field(default_factory=dict)
    vectors: Mapping[str, VectorState] = field(default_factory=dict)
    presence: Mapping[str, Presence] = field(default_factory=dict)
    modality: Mapping[str, str] = field(default_factory=dict)
    describers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    cells: Cells = Cells((), {})
    sample: Sample
    energy: Mapping[str, Energy] = field(default_factory=dict)
    tally: Tally = Tally()
    errors: Mapping[str, int] = field(default_factory=dict)
    payloads: Mapping[str, Payloads] = field(default_factory=dict)
    reliability: Reliability = field(default_factory=Reliability)
    slices: Mapping[str, WindowState] = field(default_factory=dict)

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)

    @property
    def has_data(self) -> bool:
        """Whether anything reported in this window: a record, an agent's count, a meter."""
        return bool(self.n or self.tally.seen or self.tally.undeclared or self.energy)


def empty_state(model: str, span: Span, frame: str) -> WindowState:
    """The state of no record: the identity of `merge` for that frame."""
    return WindowState(
        model=model,
        version=None,
        start=span.start,
        end=span.end,
        frame=frame,
        n=0,
        described=0,
        labelled=0,
        sample=empty_sample(),
    )


def merge(a: WindowState, b: WindowState) -> WindowState:
    """The state of both windows' records together; both must be counted on the same frame."""
    return merge_all([a, b])


def merge_all(states: Sequence[WindowState]) -> WindowState:
    """One state of all, as if merged in a balanced tree over the given order: the canonical partition's last step.

    Counts and samples are gathered in one pass, which any order of merging would equal; only float moments need the tree.
    """
    if not states:
        raise StoreError("nothing_to_merge", "there is no state to merge")
    first = states[0]
    for state in states:
        if state.frame != first.frame or state.model != first.model:
            raise StoreError(
                "frame_mismatch",
                "states of different frames or models do not merge",
                where=f"{first.frame} and {state.frame}",
            )
    if len(states) == 1:
        return first
    versions = {state.version for state in states}
    modality: dict[str, str] = {}
    for state in states:
        modality.update(state.modality)
    return WindowState(
        model=first.model,
        version=first.version if len(versions) == 1 else None,
        start=min(state.start for state in states),
        end=max(state.end for state in states),
        frame=first.frame,
        n=sum(state.n for state in states),
        described=sum(state.described for state in states),
        labelled=sum(state.labelled for state in states),
        numeric=merge_numeric([NumericBlock.of(state.numeric) for state in states]),
        categorical=_merge_categorical([state.categorical for state in states]),
        vectors=_merge_trees([state.vectors for state in states], VectorState.merge),
        presence=merge_presence([(state.presence, state.described) for state in states]),
        modality=dict(sorted(modality.items())),
        describers=_each([state.describers for state in states], _add),
        cells=_merge_cells([state.cells for state in states]),
        sample=merge_samples([state.sample for state in states]),
        energy=_merge_trees([state.energy for state in states], Energy.merge),
        tally=_tree([state.tally for state in states], Tally.merge),
        errors=_add([state.errors for state in states]),
        payloads=_each([state.payloads for state in states], merge_payloads),
        reliability=merge_reliability([state.reliability for state in states]),
        slices=_each([state.slices for state in states], merge_all),
    )


def _merge_categorical(parts: Sequence[Mapping[str, CategoricalState]]) -> dict[str, CategoricalState]:
    def join(columns: Sequence[CategoricalState]) -> CategoricalState:
        return CategoricalState.of(_add([column.counts for column in columns]))

    return _each(parts, join)


def _merge_cells(parts: Sequence[Cells]) -> Cells:
    features = union([part.features for part in parts])
    return Cells(features, _add([part.on(features) for part in parts]))


def _tree(items: Sequence[T], both: Callable[[T, T], T]) -> T:
    layer = list(items)
    while len(layer) > 1:
        layer = [both(*layer[i : i + 2]) if i + 1 < len(layer) else layer[i] for i in range(0, len(layer), 2)]
    return layer[0]


def _merge_trees(parts: Sequence[Mapping[str, T]], both: Callable[[T, T], T]) -> dict[str, T]:
    """By name, a balanced tree over the given order, in which a state that lacks the name changes nothing."""

    def either(a: T | None, b: T | None) -> T | None:
        return b if a is None else a if b is None else both(a, b)

    found: dict[str, T] = {}
    for name in sorted({name for part in parts for name in part}):
        joined = _tree([part.get(name) for part in parts], either)
        if joined is not None:
            found[name] = joined
    return found


def _each(parts: Sequence[Mapping[str, T]], join: Callable[[Sequence[T]], Any]) -> dict[str, Any]:
    """By name, `join` of what the parts that know the name hold."""
    names = sorted({name for part in parts for name in part})
    return {name: join([part[name] for part in parts if name in part]) for name in names}


def _add(parts: Sequence[Mapping[Any, Any]]) -> dict[Any, Any]:
    total: dict[Any, Any] = {}
    for part in parts:
        for key, count in part.items():
            total[key] = total.get(key, 0) + count
    return total
