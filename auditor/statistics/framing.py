"""Fitting the frame of a baseline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np

from auditor.core.frame import Frame
from auditor.core.grid import GRID_BINS, Grid
from auditor.core.identity import hash64, hash64_all
from auditor.core.payloads import payload_hashes
from auditor.core.rows import PRESENT, Floats, Ints, Rows, Strings, given
from auditor.core.sample import first_of_each
from auditor.core.spread import Spread, SubjectRows
from auditor.core.state import CategoricalState
from auditor.core.window import DAY, HOUR, Span, from_us
from auditor.statistics.columns import column_spec, comparable_pairs, derive, word_columns
from auditor.statistics.grids import fit_grid
from auditor.statistics.groups import FINE, Groups, category_groups, numeric_groups
from auditor.statistics.projections import fit_projection
from auditor.statistics.spread import Tiling, fit_spread, share_variances, untested
from auditor.statistics.views import class_columns, fit_views, gap_vectors, id_hashes, is_odd, view_columns

DETAIL_BINS = 512
"""Most bins of a class's or a component's grid: there are many of them, and a KS distance is off by 1 / 416 at most."""


def fit_frame(rows: Rows, *, span: Span | None = None, step: timedelta = DAY, seasonal: bool = False) -> Frame:
    """The frame of a baseline: a grid for every numeric column, derived ones included, a projection for every vector.

    Over the windows of length `step` in `span` (by default the hours that hold `rows`) each column's spread is measured,
    by hour of the week where the baseline is seasonal.

    Inputs whose heads score the same number of classes are paired (concordance), and so are those whose embeddings have
    the same dimension (cosine); embeddings that share no space get canonical directions instead.
    """
    pairs = comparable_pairs(rows)
    odd = is_odd(id_hashes(rows))
    numeric = derive(rows, pairs)
    cosines = {f"{a}~{b}": _mean(numeric.get(f"pairs.{a}~{b}.cosine")) for a, b in pairs}
    folds, heads = fit_views(rows, odd, cosines)
    numeric |= class_columns(rows)
    specs = {name: column_spec(name, "categorical", rows.modality) for name in word_columns(rows)}
    specs |= {name: column_spec(name, "numeric", rows.modality) for name in numeric}
    bare = Frame(rows.model, columns=specs, folds=folds, heads=heads)
    numeric |= view_columns(rows, bare, odd)
    grids = {}
    for name, values in numeric.items():
        finite = values[np.isfinite(values)]
        spec = column_spec(name, "numeric", rows.modality)
        if len(finite):
            atoms = _distinct(values, rows, spec.input)
            grids[name] = fit_grid(finite, DETAIL_BINS if spec.detail else GRID_BINS, atoms)
            specs[name] = spec
        elif specs.get(name) == spec:
            del specs[name]
    projections = {}
    shared = [pair for pair in pairs if pair not in heads]
    for name, vectors in {**rows.vectors, **gap_vectors(rows, shared)}.items():
        known = vectors[np.isfinite(vectors).all(axis=1)]
        if len(known):
            projections[name] = fit_projection(known, seed=hash64(name) % 2**32)
            specs[name] = column_spec(name, "vector", rows.modality)
    if span is None:
        span = Span(from_us(int(rows.time_us.min())), from_us(int(rows.time_us.max()) + 1)).widen(HOUR)
    tiling = Tiling.of(rows.time_us, span, step, seasonal)
    grouped = _grouped(numeric, word_columns(rows), grids)
    spreads = _spreads(grouped, tiling)
    typical = [name for name in spreads if not specs[name].detail and specs[name].view != "service"]
    return Frame(
        rows.model,
        spreads=dict(sorted(share_variances(spreads, typical).items())),
        null_spreads=_null_spreads(rows, tiling),
        by_subject=_by_subject(rows, grouped, numeric, tiling, typical),
        untested=untested({n: numeric[n] for n in grids if not specs[n].detail}, word_columns(rows), rows.time_us),
        step=step,
        seasonal=seasonal,
        columns=dict(sorted(specs.items())),
        grids=dict(sorted(grids.items())),
        projections=dict(sorted(projections.items())),
        pairs=pairs,
        describers=_describers(rows),
        folds=folds,
        heads=heads,
    )


def _grouped(
    numeric: Mapping[str, Floats], categorical: Mapping[str, Strings], grids: Mapping[str, Grid]
) -> dict[str, tuple[Groups, Ints]]:
    """By column, its fine groups, and the group of each row: -1 where it has no value."""
    found = {}
    for name, grid in grids.items():
        known = np.isfinite(numeric[name])
        of_row = np.full(len(known), -1, np.int64)
        bins = grid.index(numeric[name][known])
        groups = numeric_groups(np.bincount(bins, minlength=len(grid.values)), grid.atoms, FINE)
        of_row[known] = groups.bins[bins]
        found[name] = groups, of_row
    for name, words in categorical.items():
        values = words.tolist()
        counts = Counter(word for word in values if word is not None)
        if counts:
            kinds = category_groups(CategoricalState.of(counts).counts)
            places = [-1 if word is None else kinds.of_code(word) for word in values]
            found[name] = kinds, np.array(places, np.int64)
    return found


def _spreads(grouped: Mapping[str, tuple[Groups, Ints]], tiling: Tiling) -> dict[str, Spread]:
    """By column, how it varies between the baseline's windows."""
    found = {name: fit_spread(groups, of_row, tiling) for name, (groups, of_row) in grouped.items()}
    return {name: spread for name, spread in found.items() if spread is not None}


def _null_spreads(rows: Rows, tiling: Tiling) -> dict[str, Spread]:
    """By column, how its share of missing values varies between windows, where that is more than rows explain."""
    grouped = {}
    for name in sorted({*rows.categorical, *rows.numeric}):
        has = np.isfinite(rows.numeric[name]) if name in rows.numeric else np.zeros(rows.n, bool)
        if name in rows.categorical:
            has |= given(rows.categorical[name])
        presence = rows.presence.get(column_spec(name, "numeric", rows.modality).input or "")
        could = np.ones(rows.n, bool) if presence is None else presence == PRESENT
        state = np.where(could, (~has).astype(np.int64), -1)
        counts = np.bincount(state[could], minlength=2)
        if counts.all():
            grouped[name] = Groups(counts, np.empty(0, np.int64), {}), state
    shared = share_variances(_spreads(grouped, tiling), ())
    return {name: spread for name, spread in sorted(shared.items()) if spread.dependent}


def subject_keys(subjects: Strings) -> Floats:
    """52 bits of each subject's hash; NaN where there is none."""
    known = np.flatnonzero(given(subjects))
    found = np.full(len(subjects), np.nan)
    found[known] = (hash64_all(subjects[known].tolist()) >> np.uint64(12)).astype(np.float64)
    return found


def _by_subject(
    rows: Rows,
    grouped: Mapping[str, tuple[Groups, Ints]],
    numeric: Mapping[str, Floats],
    tiling: Tiling,
    typical: Sequence[str],
) -> dict[str, SubjectRows]:
    """Columns of one row of each subject and window, those left out whose windows still vary more than rows explain."""
    if rows.subject is None:
        return {}
    keys, order = subject_keys(rows.subject), np.argsort(id_hashes(rows), kind="stable")
    chosen = np.zeros(rows.n, bool)
    for window in np.unique(tiling.window):
        inside = order[tiling.window[order] == window]
        chosen[inside[first_of_each(keys[inside])]] = True
    if chosen.all():
        return {}
    part = {name: (groups, np.where(chosen, of_row, -1)) for name, (groups, of_row) in grouped.items()}
    spreads = share_variances(_spreads(part, tiling), typical)
    found = {}
    for name, (groups, of_row) in sorted(part.items()):
        if name in spreads and spreads[name].dependent:
            continue
        own = of_row[of_row >= 0]
        counts = np.bincount(own, minlength=len(groups.counts))
        if not len(groups.bins):  # rare and new categories: as many as `category_groups` expects of them
            counts[-1] = max(
                counts[-1], round(float(groups.counts[-1]) * len(own) / max(int((grouped[name][1] >= 0).sum()), 1))
            )
        values = numeric[name][of_row >= 0] if name in numeric else np.zeros(1)
        found[name] = SubjectRows(
            values=int((grouped[name][1] >= 0).sum()),
            counts=counts,
            mean=float(values.mean()),
            variance=float(values.var()),
        )
    return found


def _distinct(values: Floats, rows: Rows, input_: str | None) -> Floats:
    """The column's finite values, each payload's once: a repeated payload makes no value frequent."""
    known = np.isfinite(values)
    if input_ is None or input_ not in rows.commitment:
        return values[known]
    hashes, committed = payload_hashes(rows.commitment[input_])
    _, first = np.unique(hashes[known & committed], return_index=True)
    return np.concatenate([values[known & committed][first], values[known & ~committed]])


def _mean(values: Floats | None) -> float:
    """Mean of what is there; 0 of nothing."""
    known = values[np.isfinite(values)] if values is not None else np.empty(0)
    return float(known.mean()) if len(known) else 0.0


def _describers(rows: Rows) -> dict[str, str]:
    """By input, what described most of its rows."""
    found = {}
    for name, versions in sorted(rows.describer.items()):
        counts = Counter(version for version in versions.tolist() if version is not None)
        if counts:
            found[name] = min(counts, key=lambda version: (-counts[version], version))
    return found
