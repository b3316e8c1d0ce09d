"""The verb `compare`: figures that were read off states, beside the same figures from the archive's rows.

Figures that states hold exactly are compared with those of states made anew; distances and quantiles that are read off a
grid, with those of the values themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from auditor.audit.measure import measure
from auditor.audit.windows import Pinned, Windows
from auditor.core.frame import Frame
from auditor.core.measurement import Measurement
from auditor.core.rows import Floats, Rows
from auditor.core.run import Audit
from auditor.core.window import format_time
from auditor.ports import Measurer
from auditor.statistics.columns import derive
from auditor.statistics.exact import ks_of, quantile_of, wasserstein_of

_QUANTILES = {
    "latency.p50": ("latency_s", 0.5),
    "latency.p95": ("latency_s", 0.95),
    "labels.delay_p50": ("labels.delay_s", 0.5),
}
_DISTANCES: Mapping[str, Callable[[Floats, Floats], float]] = {
    "drift.ks": lambda then, now: ks_of(then, now),
    "drift.wasserstein": lambda then, now: wasserstein_of(then, now) / float(np.std(then, ddof=1)),
}
_ROUNDING = 1e-9
"""Sums of floats in another order may differ this much, relatively, without anything being wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """One figure twice: `state` as it was measured, `exact` from the archive's rows; `bound` as the measurement states it."""

    metric: str
    attributes: Mapping[str, str]
    model: str
    start: datetime
    end: datetime
    state: float | None
    exact: float | None
    bound: float | None

    @property
    def difference(self) -> float | None:
        """Absolute; None when one of them has no value."""
        return None if self.state is None or self.exact is None else abs(self.state - self.exact)

    @property
    def holds(self) -> bool:
        """Whether the figure is within its bound of the exact one."""
        if self.difference is None or self.exact is None:
            return self.state is None and self.exact is None
        return self.difference <= (self.bound or 0.0) + _ROUNDING * max(abs(self.exact), 1.0)

    def as_json(self) -> dict[str, Any]:
        """The contract's JSON, with the window."""
        return {
            "metric": self.metric,
            "attributes": dict(sorted(self.attributes.items())),
            "state": self.state,
            "exact": self.exact,
            "bound": self.bound,
            "model": self.model,
            "start": format_time(self.start),
            "end": format_time(self.end),
        }


def recompute(
    audit: Audit, pinned: Pinned | None, windows: Windows, measurers: Mapping[str, Measurer], embodied_g: float
) -> list[Exact]:
    """The figures of an audited window again, from the archive's rows alone, beside those that were measured."""
    model, span = audit.run.model, audit.run.span
    frame = pinned[1] if pinned else Frame(model)
    rows = windows.archive.read(model, span)
    window = windows.anew(model, rows, span, frame)
    baseline: Pinned | None = None
    reference = None
    if pinned is not None and audit.run.baseline is not None:
        if pinned[0].kind == "seasonal":
            baseline = windows.reference(pinned, span)
        else:
            past = windows.past(pinned[0], span)
            reference = windows.archive.read(model, past)
            baseline = (pinned[0], frame, windows.anew(model, reference, past, frame))
    again = measure(
        window,
        baseline,
        frame,
        measurers,
        span=span,
        run=audit.run.id,
        revision=audit.run.revision,
        recorded=audit.run.ended,
        embodied_g=embodied_g,
    )
    measured = [m for m in audit.measurements if m.version is None and m.span == span]
    return compare(measured, again, rows, reference, frame)


def compare(
    measured: Sequence[Measurement],
    again: Sequence[Measurement],
    rows: Rows,
    reference: Rows | None,
    frame: Frame,
) -> list[Exact]:
    """Every figure of a window beside its exact value, in the order of `measured`.

    Parameters
    ----------
    measured : sequence of Measurement
        Of one window, all versions together.
    again : sequence of Measurement
        The same figures of states made anew from the archive.
    rows, reference : Rows
        The window's and its baseline's rows; None: there is no baseline of which rows could be read.
    """
    now = derive(rows, frame.pairs)
    then = derive(reference, frame.pairs) if reference is not None else {}
    anew = {(m.series, m.method.name): m.value for m in again}
    names = {_key(spec.attributes()): spec.name for spec in frame.columns.values() if spec.kind == "numeric"}

    def exact(m: Measurement) -> float | None:
        if m.metric in _QUANTILES and m.value is not None:
            column, q = _QUANTILES[m.metric]
            values = _finite(now.get(column))
            return quantile_of(values, q) if len(values) else None
        name = names.get(_key(m.attributes))
        if m.metric in _DISTANCES and m.method.name == "univariate" and m.value is not None and name is not None:
            before, values = _finite(then.get(name)), _finite(now.get(name))
            if len(before) and len(values):
                return _DISTANCES[m.metric](before, values)
        return anew.get((m.series, m.method.name))

    return [
        Exact(
            metric=m.metric,
            attributes=m.attributes,
            model=m.model,
            start=m.start,
            end=m.end,
            state=m.value,
            exact=exact(m),
            bound=m.bound,
        )
        for m in measured
        if (m.series, m.method.name) in anew
    ]


def _key(attributes: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(attributes.items()))


def _finite(values: Floats | None) -> Floats:
    return np.empty(0) if values is None else values[np.isfinite(values)]
