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

from auditor.core.errors import StoreError
from auditor.core.rows import Floats, Ints, Strings
from auditor.core.window import Span

SAMPLE_SIZE = 2000
"""Rows that a state's sample keeps: those with the smallest hash of their id."""
OTHER = "\x00other"
"""Code that categories beyond `MAX_CODES` are counted under."""
MAX_CODES = 1000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean, sum of squared deviations, smallest and largest (Chan, Golub, LeVeque 1983)."""

    n: int
    mean: float
    m2: float
    low: float
    high: float

    @staticmethod
    def of(x: Floats) -> Moments:
        """Moments of the values, shape (n,), n >= 1."""
        mean = float(x.mean())
        return Moments(len(x), mean, float(((x - mean) ** 2).sum()), float(x.min()), float(x.max()))

    def merge(self, other: Moments) -> Moments:
        n = self.n + other.n
        delta = other.mean - self.mean
        return Moments(
            n,
            self.mean + delta * other.n / n,
            self.m2 + other.m2 + delta * delta * self.n * other.n / n,
            min(self.low, other.low),
            max(self.high, other.high),
        )

    @property
    def total(self) -> float:
        return self.mean * self.n

    @property
    def variance(self) -> float:
        """Unbiased; 0 for a single value."""
        return self.m2 / (self.n - 1) if self.n > 1 else 0.0


@dataclass(frozen=True, slots=True)
class NumericState:
    """One numeric column counted on its grid, sparse: rising `bins` with their `counts`, and its moments."""

    bins: Ints
    counts: Ints
    moments: Moments

    @property
    def n(self) -> int:
        return self.moments.n

    def merge(self, other: NumericState) -> NumericState:
        bins, place = np.unique(np.concatenate([self.bins, other.bins]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([self.counts, other.counts]), len(bins)).astype(np.int64)
        return NumericState(bins, counts, self.moments.merge(other.moments))

    def dense(self, size: int) -> Ints:
        """Counts by bin, shape (size,); for a fitted grid of that many bins."""
        full = np.zeros(size, np.int64)
        full[self.bins] = self.counts
        return full


@dataclass(frozen=True, slots=True)
class CategoricalState:
    """One categorical column: code to count."""

    counts: Mapping[str, int]

    @property
    def n(self) -> int:
        return sum(self.counts.values())

    def merge(self, other: CategoricalState) -> CategoricalState:
        return CategoricalState(_add(self.counts, other.counts))


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
    counts: Mapping[tuple[tuple[str | None, ...], str | None, str | None], int]

    def merge(self, other: Cells) -> Cells:
        features = tuple(sorted({*self.features, *other.features}))
        return Cells(features, _add(self._on(features), other._on(features)))

    def _on(self, features: tuple[str, ...]) -> Mapping[tuple[tuple[str | None, ...], str | None, str | None], int]:
        if features == self.features:
            return self.counts
        position = {name: index for index, name in enumerate(self.features)}
        moved: dict[tuple[tuple[str | None, ...], str | None, str | None], int] = {}
        for (groups, truth, prediction), count in self.counts.items():
            key = tuple(groups[position[name]] if name in position else None for name in features), truth, prediction
            moved[key] = moved.get(key, 0) + count
        return moved


@dataclass(frozen=True, slots=True)
class Sample:
    """The rows with the smallest hashes of their ids, at most SAMPLE_SIZE, in the order of the hash.

    Attributes
    ----------
    hashes : ndarray of uint64, shape (k,)
    ids : ndarray of str, shape (k,)
    numeric : mapping of str to ndarray of float64, shape (k,)
        NaN where absent.
    categorical : mapping of str to ndarray of object, shape (k,)
        None where absent. Holds `truth`, `output.label` and `groups.<feature>` beside the descriptors.
    """

    hashes: NDArray[np.uint64]
    ids: Strings
    numeric: Mapping[str, Floats]
    categorical: Mapping[str, Strings]

    @property
    def n(self) -> int:
        return len(self.ids)

    def merge(self, other: Sample) -> Sample:
        hashes = np.concatenate([self.hashes, other.hashes])
        ids = np.concatenate([self.ids, other.ids])
        order = np.lexsort((ids.astype(str), hashes))[:SAMPLE_SIZE] if len(ids) else np.empty(0, np.int64)

        def join(a: Mapping[str, NDArray], b: Mapping[str, NDArray], empty: Any, kind: Any) -> dict[str, NDArray]:
            found = {}
            for name in sorted({*a, *b}):
                left = a[name] if name in a else np.full(self.n, empty, kind)
                right = b[name] if name in b else np.full(other.n, empty, kind)
                found[name] = np.concatenate([left, right])[order]
            return found

        return Sample(
            hashes[order],
            ids[order],
            join(self.numeric, other.numeric, np.nan, np.float64),
            join(self.categorical, other.categorical, None, object),
        )


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
            _add(self.by_component, other.by_component),
            _add(self.by_input, other.by_input),
            sum(known) if known else None,
            self.cpu_s + other.cpu_s,
            self.meter or other.meter,
            self.country or other.country,
        )


@dataclass(frozen=True, slots=True)
class Presence:
    """Of one input: how many records had it, declared it missing, could not describe it, or did not mention it."""

    present: int = 0
    missing: int = 0
    failed: int = 0
    absent: int = 0

    def merge(self, other: Presence) -> Presence:
        return Presence(
            self.present + other.present,
            self.missing + other.missing,
            self.failed + other.failed,
            self.absent + other.absent,
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """What the agents counted: calls seen and described, and drops by reason."""

    seen: int = 0
    described: int = 0
    delivered: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    undeclared: int = 0
    """Sequence numbers missing without any tally that owns up to them."""

    def merge(self, other: Tally) -> Tally:
        return Tally(
            self.seen + other.seen,
            self.described + other.described,
            self.delivered + other.delivered,
            _add(self.dropped, other.dropped),
            self.undeclared + other.undeclared,
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

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)


def empty_sample() -> Sample:
    """A sample of nothing."""
    return Sample(np.empty(0, np.uint64), np.empty(0, object), {}, {})


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
    if a.frame != b.frame or a.model != b.model:
        raise StoreError(
            "frame_mismatch", "states of different frames or models do not merge", where=f"{a.frame} and {b.frame}"
        )
    return WindowState(
        model=a.model,
        version=a.version if a.version == b.version else None,
        start=min(a.start, b.start),
        end=max(a.end, b.end),
        frame=a.frame,
        n=a.n + b.n,
        described=a.described + b.described,
        labelled=a.labelled + b.labelled,
        numeric=_join(a.numeric, b.numeric, NumericState.merge),
        categorical=_join(a.categorical, b.categorical, CategoricalState.merge),
        vectors=_join(a.vectors, b.vectors, VectorState.merge),
        presence=_join_presence(a, b),
        modality={**a.modality, **b.modality},
        describers=_join(a.describers, b.describers, _add),
        cells=a.cells.merge(b.cells),
        sample=a.sample.merge(b.sample),
        energy=_join(a.energy, b.energy, Energy.merge),
        tally=a.tally.merge(b.tally),
        errors=_add(a.errors, b.errors),
    )


def merge_all(states: Sequence[WindowState]) -> WindowState:
    """One state of all, by a balanced tree over the given order: the canonical partition's last step."""
    if not states:
        raise StoreError("nothing_to_merge", "there is no state to merge")
    layer = list(states)
    while len(layer) > 1:
        layer = [merge(*layer[i : i + 2]) if i + 1 < len(layer) else layer[i] for i in range(0, len(layer), 2)]
    return layer[0]


def _join_presence(a: WindowState, b: WindowState) -> dict[str, Presence]:
    # An input that only one side knows was absent from every record of the other.
    found = {}
    for name in sorted({*a.presence, *b.presence}):
        found[name] = a.presence.get(name, Presence(absent=a.n)).merge(b.presence.get(name, Presence(absent=b.n)))
    return found


def _join(a: Mapping[str, T], b: Mapping[str, T], both: Callable[[T, T], T]) -> dict[str, T]:
    found = {}
    for name in sorted({*a, *b}):
        found[name] = both(a[name], b[name]) if name in a and name in b else a[name] if name in a else b[name]
    return found


def _add(a: Mapping[Any, Any], b: Mapping[Any, Any]) -> dict[Any, Any]:
    total = dict(a)
    for key, count in b.items():
        total[key] = total.get(key, 0) + count
    return total
