"""How steady a baseline is: which limits its own windows break, how small a change can be found, what is not tested."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from auditor.audit.windows import Pinned, Windows
from auditor.core.frame import Frame
from auditor.core.window import Span
from auditor.policy.budget import allowance
from auditor.ports import Measurer
from auditor.statistics.groups import COARSE
from auditor.statistics.spread import smallest_change

if TYPE_CHECKING:
    from auditor.policy.loader import PolicySet

DISTANCE = "drift.jensen_shannon"
DAYS = (7, 28)


@dataclass(frozen=True, slots=True)
class Smallest:
    """The smallest change that bets are expected to find within some days of the same change.

    Attributes
    ----------
    typical, worst : float
        Of numbers in standard deviations (of a normal distribution with the same change of ranks), of categories in shares
        of all values: the median over columns, and the largest.
    column : str
        The column of the largest.
    """

    days: int
    kind: str
    typical: float
    worst: float
    column: str


@dataclass(frozen=True, slots=True)
class Unsteady:
    """A column that breaks a limit in windows of the baseline itself."""

    column: str
    broken: int
    windows: int
    limit: float


@dataclass(frozen=True, slots=True)
class Steadiness:
    """See the fields' own classes; `untested` has identifiers and counters by column."""

    unsteady: tuple[Unsteady, ...]
    smallest: tuple[Smallest, ...]
    untested: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def steadiness(pinned: Pinned, windows: Windows, measurers: Mapping[str, Measurer], policies: PolicySet) -> Steadiness:
    """Of a baseline that was pinned just now; only columns whose windows vary more than their rows explain can be unsteady."""
    _, frame, _ = pinned
    limits = [
        (control.condition.high, policy)
        for policy in policies.policies
        for control in policy.controls
        if control.metric == DISTANCE and control.condition is not None and control.condition.high is not None
    ]
    unsteady: tuple[Unsteady, ...] = ()
    if limits and any(spread.dependent for spread in frame.spreads.values()):
        unsteady = _unsteady(pinned, windows, measurers, min(limit for limit, _ in limits))
    series = max(sum(not spec.detail and spec.view != "pair" for spec in frame.columns.values()), 1)
    shares = [share.alpha for _, policy in limits if (share := allowance(policy, frame.step, series)) is not None]
    return Steadiness(unsteady, tuple(_smallest(frame, min(shares, default=1e-6))), dict(frame.untested))


def _unsteady(
    pinned: Pinned, windows: Windows, measurers: Mapping[str, Measurer], limit: float
) -> tuple[Unsteady, ...]:
    baseline, frame, reference = pinned
    broken: dict[str, int] = {}
    counted: dict[str, int] = {}
    start = baseline.span.start
    while start + frame.step <= baseline.span.end:
        window = windows.state(baseline.model, Span(start, start + frame.step), frame)
        start += frame.step
        for measurer in measurers.values():
            if not any(spec.name == DISTANCE for spec in measurer.metrics):
                continue
            for reading in measurer.measure(window, reference, frame):
                spread = frame.spreads.get(_name(reading.attributes, frame))
                if reading.metric != DISTANCE or reading.value is None or spread is None or not spread.dependent:
                    continue
                name = _name(reading.attributes, frame)
                chance = (COARSE - 1) / (8 * math.log(2) * max(reading.n or 0, 1))  # mean square by chance, in bits
                counted[name] = counted.get(name, 0) + 1
                broken[name] = broken.get(name, 0) + (reading.value**2 - chance > limit**2)
    return tuple(Unsteady(name, n, counted[name], limit) for name, n in sorted(broken.items()) if n)


def _name(attributes: Mapping[str, str], frame: Frame) -> str:
    return next((name for name, spec in frame.columns.items() if spec.attributes() == dict(attributes)), "")


def _smallest(frame: Frame, alpha: float) -> list[Smallest]:
    found = []
    for days in DAYS:
        for kind in ("numeric", "categorical"):
            by_column = {
                name: smallest_change(spread, days * 86400.0 / frame.step.total_seconds(), math.log(1 / alpha), kind)
                for name, spread in frame.spreads.items()
                if name in frame.columns
                and frame.columns[name].kind == kind
                and name not in frame.untested
                and not frame.columns[name].detail
                and frame.columns[name].view != "service"
            }
            if by_column:
                worst = max(by_column, key=lambda name: (by_column[name], name))
                found.append(Smallest(days, kind, median(by_column.values()), by_column[worst], worst))
    return found
