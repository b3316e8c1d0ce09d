"""Which of a page's many figures to believe at a glance: a false discovery rate over each window, and persistence.

Drawings are no alarms: policies page, under their own budget. A drawing of forty columns still should not speckle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from auditor.core.measurement import Measurement
from auditor.statistics.multiple_testing import benjamini_hochberg

LEVEL = 0.05
"""Expected share of marks, of all marks in a window, that mark nothing."""
ONCE, LASTING = "found once", "found again and again"


def discoveries(measurements: Sequence[Measurement], level: float = LEVEL) -> dict[tuple[str, datetime], str]:
    """Marks by (series, end of window): `ONCE`, or `LASTING` where the window before or after found the same series.

    In each window all p-values together are adjusted (Benjamini and Hochberg 1995); those at most `level` are discoveries.

    Parameters
    ----------
    measurements : sequence of Measurement
        One figure a series and window: all that are drawn together.
    """
    windows: dict[datetime, list[Measurement]] = defaultdict(list)
    for m in measurements:
        if m.p_value is not None:
            windows[m.end].append(m)
    found: dict[datetime, set[str]] = {}
    for end, group in windows.items():
        adjusted = benjamini_hochberg([m.p_value or 0.0 for m in group])
        found[end] = {m.series for m, q in zip(group, adjusted, strict=True) if q <= level}
    ends = sorted(found)
    marks: dict[tuple[str, datetime], str] = {}
    for before, end, after in zip([None, *ends], ends, [*ends[1:], None]):
        beside = (found[before] if before else set()) | (found[after] if after else set())
        marks.update({(series, end): LASTING if series in beside else ONCE for series in found[end]})
    return marks
