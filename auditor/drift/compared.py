"""Which columns of a window can be compared with the baseline's, and for the others, why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from auditor.core.frame import ColumnSpec, Frame
from auditor.core.measurement import Status
from auditor.core.state import WindowState
from auditor.statistics.columns import column_spec

MIN_SAMPLES = 20
"""Values on either side below which a distance says nothing."""
NOT_DRIFT = ("service", "pair")
"""Views that drift plugins leave alone: time and energy have figures of their own, and so have pairs."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column, its sizes now and in the baseline, and why it cannot be compared, if it cannot."""

    spec: ColumnSpec
    n: int
    n_baseline: int
    reason: str = ""

    @property
    def status(self) -> Status:
        """The status that goes with the reason."""
        if not self.reason:
            return Status.OK
        enough = self.reason in ("below_min_samples", "absent_in_window")
        return Status.INSUFFICIENT_DATA if enough else Status.NOT_APPLICABLE


def compared(kind: str, current: WindowState, baseline: WindowState, frame: Frame) -> Iterator[Column]:
    """Columns of a kind (`numeric`, `categorical`, `vector`) that describe inputs or answers, by name."""
    now, then = _sizes(kind, current), _sizes(kind, baseline)
    for name in sorted({*now, *then}):
        spec = frame.columns.get(name)
        if spec is None or spec.kind != kind:  # new, or of numbers and words at once
            spec = column_spec(name, kind, {**baseline.modality, **current.modality})
        if spec.view in NOT_DRIFT:
            continue
        n, n_baseline = now.get(name, 0), then.get(name, 0)
        yield Column(spec, n, n_baseline, _reason(spec, n, n_baseline, current, frame))


def pairs(current: WindowState, baseline: WindowState, frame: Frame) -> Iterator[Column]:
    """Columns that compare two inputs of one record, by name."""
    now, then = _sizes("numeric", current), _sizes("numeric", baseline)
    for name in sorted({*now, *then}):
        if name.startswith("pairs."):
            spec = frame.columns.get(name) or column_spec(name, "numeric", {})
            n, n_baseline = now.get(name, 0), then.get(name, 0)
            yield Column(spec, n, n_baseline, _reason(spec, n, n_baseline, current, frame))


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
    if _describer_changed(spec, current, frame):
        return "describer_changed"
    return "below_min_samples" if min(n, n_baseline) < MIN_SAMPLES else ""


def _describer_changed(spec: ColumnSpec, current: WindowState, frame: Frame) -> bool:
    """Whether some of the window's figures come from another describer or encoder than the baseline's.

    Descriptors depend on the describer, embeddings on the encoder, scores on neither: they are the model's own.
    """
    inputs: tuple[str, ...] = (spec.input or "",)
    if spec.view == "signal":
        part = 0
    elif spec.view == "embedding":
        part = 1
    elif spec.name.endswith(".cosine"):
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
