"""Which columns of a window can be compared with the baseline's, on how many independent rows; for the others, why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.core.frame import ColumnSpec, Frame
from auditor.core.measurement import Status
from auditor.core.rows import Floats
from auditor.core.state import WindowState
from auditor.statistics.columns import column_spec

MIN_SAMPLES = 20
"""Values on either side below which a distance says nothing."""
NOT_DRIFT = ("service", "pair")
"""Views that drift plugins leave alone: time and energy have figures of their own, and so have pairs."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column, its sizes now and in the baseline, and why it cannot be compared, if it cannot.

    `effective` and `effective_baseline` are the sizes less what repeated payloads add: what p-values are taken at.
    """

    spec: ColumnSpec
    n: int
    n_baseline: int
    reason: str = ""
    effective: float = 0.0
    effective_baseline: float = 0.0

    @property
    def status(self) -> Status:
        """The status that goes with the reason."""
        if not self.reason:
            return Status.OK
        enough = self.reason in ("below_min_samples", "absent_in_window")
        return Status.INSUFFICIENT_DATA if enough else Status.NOT_APPLICABLE


def compared(
    kind: str,
    current: WindowState,
    baseline: WindowState,
    frame: Frame,
    *,
    components: bool = False,
    details: bool = False,
) -> Iterator[Column]:
    """Columns of a kind (`numeric`, `categorical`, `vector`) that describe inputs or answers, by name.

    `components` brings those of embeddings as well, `details` the classes of heads too, which only make sense together.
    """
    now, then = _sizes(kind, current), _sizes(kind, baseline)
    for name in sorted({*now, *then}):
        if kind != "vector" and main_kind(name, current, baseline) != kind:
            continue
        spec = frame.columns.get(name)
        if spec is None or spec.kind != kind:  # not in the frame, or there as the other kind
            spec = column_spec(name, kind, {**baseline.modality, **current.modality})
        if spec.view in NOT_DRIFT or (spec.detail and not details and not (components and spec.component)):
            continue
        n, n_baseline = now.get(name, 0), then.get(name, 0)
        reason = frame.untested.get(name) or _reason(spec, n, n_baseline, current, frame)
        if not reason and kind != "vector" and _constant(kind, name, current, baseline):
            reason = "constant"
        yield _column(spec, n, n_baseline, reason, current, baseline)


def main_kind(name: str, current: WindowState, baseline: WindowState | None) -> str:
    """`numeric` or `categorical`: what most values of a column are in the baseline, or in the window if it is new.

    Only values of this kind are compared; `input.type_changed` is the share of the others.
    """
    for state in (baseline, current):
        if state is not None:
            numbers = state.numeric[name].n if name in state.numeric else 0
            texts = state.categorical[name].n if name in state.categorical else 0
            if numbers or texts:
                return "numeric" if numbers >= texts else "categorical"
    return "numeric"


def pairs(current: WindowState, baseline: WindowState, frame: Frame) -> Iterator[Column]:
    """Columns that compare two inputs of one record, by name."""
    now, then = _sizes("numeric", current), _sizes("numeric", baseline)
    for name in sorted({*now, *then}):
        if name.startswith("pairs."):
            spec = frame.columns.get(name) or column_spec(name, "numeric", {})
            n, n_baseline = now.get(name, 0), then.get(name, 0)
            yield _column(spec, n, n_baseline, _reason(spec, n, n_baseline, current, frame), current, baseline)


def vector_pairs(current: WindowState, baseline: WindowState, frame: Frame) -> Iterator[Column]:
    """Vector columns that compare two inputs of one record, by name."""
    now, then = _sizes("vector", current), _sizes("vector", baseline)
    for name in sorted({*now, *then}):
        if name.startswith("pairs."):
            spec = frame.columns.get(name) or column_spec(name, "vector", {})
            n, n_baseline = now.get(name, 0), then.get(name, 0)
            yield _column(spec, n, n_baseline, _reason(spec, n, n_baseline, current, frame), current, baseline)


def _column(
    spec: ColumnSpec, n: int, n_baseline: int, reason: str, current: WindowState, baseline: WindowState
) -> Column:
    inputs: tuple[str, ...] = () if spec.input is None else (spec.input,)
    if spec.pair is not None:
        inputs = tuple(spec.pair.split("~"))
    return Column(
        spec,
        n,
        n_baseline,
        reason,
        n * effective_share(current, inputs),
        n_baseline * effective_share(baseline, inputs),
    )


def effective_share(state: WindowState, inputs: tuple[str, ...] = ()) -> float:
    """Independent rows of all, in what follows from these inputs of a record (none named: from all of them).

    A row repeats another only where every one of its inputs does; inputs without commitments are taken to be distinct.
    """
    known = [state.payloads.get(name) for name in inputs or state.presence]
    return max((1.0 if payloads is None else payloads.effective_share for payloads in known), default=1.0)


def _constant(kind: str, name: str, current: WindowState, baseline: WindowState) -> bool:
    """Whether a column has one and the same value everywhere: nothing to test, so no share of any allowance."""
    if kind == "categorical":
        now, then = current.categorical[name].counts, baseline.categorical[name].counts
        return len(then) == 1 and now.keys() == then.keys()
    a, b = baseline.numeric[name].moments, current.numeric[name].moments
    return a.low == a.high == b.low == b.high


def change_facts(spec: ColumnSpec, current: WindowState, baseline: WindowState) -> dict[str, Any]:
    """What changed: the means of a numeric column, or the category whose share changed most and its shares."""
    if spec.kind == "numeric":
        now, then = current.numeric[spec.name].moments, baseline.numeric[spec.name].moments
        return {"mean": now.mean, "baseline_mean": then.mean}
    own, known = current.categorical[spec.name], baseline.categorical[spec.name]
    share = {
        code: (own.counts.get(code, 0) / own.n, known.counts.get(code, 0) / known.n)
        for code in sorted({*own.counts, *known.counts})
    }
    most = max(share, key=lambda code: abs(share[code][0] - share[code][1]))
    return {"category": most, "share": share[most][0], "baseline_share": share[most][1]}


def distinct_rows(state: WindowState, name: str | None) -> NDArray[np.intp]:
    """Places of the sample's rows, each payload of the input once; rows without a commitment all stay."""
    payload = state.sample.numeric.get(f"inputs.{name}.payload") if name is not None else None
    if payload is None:
        return np.arange(state.sample.n)
    known = np.flatnonzero(np.isfinite(payload))
    _, first = np.unique(payload[known], return_index=True)
    return np.sort(np.concatenate([known[first], np.flatnonzero(~np.isfinite(payload))]))


def _sizes(kind: str, state: WindowState) -> dict[str, int]:
    """Values by column of a kind."""
    columns: Mapping[str, Any] = {
        "numeric": state.numeric,
        "categorical": state.categorical,
        "vector": state.vectors,
    }[kind]
    return {name: column.n for name, column in columns.items()}


def _reason(spec: ColumnSpec, n: int, n_baseline: int, current: WindowState, frame: Frame) -> str:
    if n_baseline == 0:
        return "absent_in_baseline"
    if n == 0:
        return "absent_in_window"
    if describer_changed(spec, current, frame):
        return "describer_changed"
    return "below_min_samples" if min(n, n_baseline) < MIN_SAMPLES else ""


def describer_changed(spec: ColumnSpec, current: WindowState, frame: Frame) -> bool:
    """Whether some of the window's figures come from another describer or encoder than the baseline's.

    Descriptors depend on the describer, embeddings on the encoder, scores on neither: they are the model's own.
    """
    inputs: tuple[str, ...] = (spec.input or "",)
    if spec.view == "signal":
        part = 0
    elif spec.view == "embedding" or spec.name.endswith(".embedding.residual"):
        part = 1
    elif spec.name.endswith((".cosine", ".cca", ".gap")):
        part, inputs = 1, tuple((spec.pair or "").split("~"))
    else:
        return False
    for name in inputs:
        known = frame.describers.get(name)
        seen = current.describers.get(name, {})
        if known is not None and any(_part(version, part) != _part(known, part) for version in seen):
            return True
    return False


def _part(describer: str, index: int) -> str:
    """`describer|encoder` cut in two."""
    return describer.partition("|")[0 if index == 0 else 2]


def sampled_vectors(state: WindowState, name: str, frame: Frame, most: int) -> Floats:
    """Rows of a vector column in the sample, each payload once, shape (n, k): its classes, or its first components.

    At most `most` of them, those with the smallest hashes; none where the frame keeps no parts of this column.
    """
    spec = frame.columns.get(name)
    prefix = f"{name}."
    # A sample holds only the columns that some row has: absent parts are absent rows.
    parts = [column for column in frame.grids if column.startswith(prefix) and not column.endswith(".residual")]
    parts = [column for column in parts if (known := frame.columns.get(column)) is not None and known.detail]
    if not parts or not all(column in state.sample.numeric for column in parts):
        return np.empty((0, len(parts)))
    rows = distinct_rows(state, spec.input if spec is not None else None)
    matrix = np.stack([state.sample.numeric[column][rows] for column in parts], axis=1)
    found: Floats = matrix[np.isfinite(matrix).all(axis=1)][:most]
    return found
