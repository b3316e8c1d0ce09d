"""The declared slices of a window, each beside the same slice of its baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from auditor.audit.windows import Pinned
from auditor.core.frame import Frame
from auditor.core.measurement import Measurement, Method, absent, place
from auditor.core.rows import Rows
from auditor.core.state import WindowState, empty_state
from auditor.ports import Measurer
from auditor.statistics.slices import largest_groups

METHOD = Method("slices", "1")


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice of a window with its baseline; without a name, the whole window.

    Attributes
    ----------
    name : str
        `feature=group`, or empty.
    """

    name: str
    window: WindowState
    baseline: Pinned

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes of a figure about this slice."""
        feature, _, group = self.name.partition("=")
        return {"feature": feature, "group": group} if self.name else {}

    def of(self, state: Callable[[int], WindowState], number: int) -> WindowState:
        """The same slice of another state, which is made from a number."""
        whole = state(number)
        if not self.name:
            return whole
        return whole.slices.get(self.name) or empty_state(whole.model, whole.span, whole.frame)

    def holds(self, attributes: Mapping[str, str]) -> bool:
        """Whether a figure with these attributes is about this slice."""
        own = self.attributes
        return all(attributes.get(key) == own.get(key) for key in ("feature", "group"))


def with_slices(frame: Frame, rows: Rows, features: Sequence[str]) -> Frame:
    """The frame that also counts these features' largest groups in the baseline's rows each by itself."""
    return replace(frame, slices=largest_groups(rows, features)) if features else frame


def slices_of(window: WindowState, pinned: Pinned) -> Iterator[Slice]:
    """Slices that the window or the baseline has records of, by name; empty states stand for the others."""
    baseline, frame, reference = pinned
    for name in sorted({*window.slices, *reference.slices}):
        own = window.slices.get(name) or empty_state(window.model, window.span, frame.digest)
        then = reference.slices.get(name) or empty_state(window.model, reference.span, frame.digest)
        yield Slice(name, own, (baseline, frame, then))


def judged_by_slice(measurers: Mapping[str, Measurer]) -> dict[str, Measurer]:
    """The measurers that also look at each slice."""
    return {name: plugin for name, plugin in measurers.items() if getattr(plugin, "by_slice", False)}


def outdated(frame: Frame, features: Sequence[str], n: int, **context: Any) -> list[Measurement]:
    """`baseline_outdated` for each feature that was declared after the frame was fitted; `context` is that of `place`."""
    return [
        place(absent("drift.ks", "baseline_outdated", n=n, feature=name), unit="1", method=METHOD, **context)
        for name in features
        if name not in frame.slices
    ]
