"""Slices of a model's records: which groups get states of their own, and whose records are whose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from auditor.core.rows import Rows

MAX_GROUPS = 50
"""Groups of one feature with a state of their own: the largest of the baseline."""
UNKNOWN = "unknown"
"""Group of the records without a value of the feature."""


def largest_groups(rows: Rows, features: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """By feature: the baseline's groups that get states of their own, the largest first."""
    found = {}
    for feature in features:
        counts = Counter(_groups(rows, feature))
        found[feature] = tuple(sorted(counts, key=lambda group: (-counts[group], group))[:MAX_GROUPS])
    return found


def group_rows(rows: Rows, slices: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, Rows]]:
    """`feature=group` and the rows of that group; those of no group in `slices` are together in `feature=other`."""
    for feature, kept in slices.items():
        other = other_name(kept)
        known = {group: place for place, group in enumerate(kept)}
        place = np.array([known.get(group, len(kept)) for group in _groups(rows, feature)])
        for index, group in enumerate([*kept, other]):
            chosen = np.flatnonzero(place == index)
            if len(chosen):
                yield f"{feature}={group}", rows.take(chosen)


def other_name(groups: Sequence[str]) -> str:
    """What the groups without a state of their own are called together; never the name of a group."""
    return "other" if "other" not in groups else "other (merged)"


def _groups(rows: Rows, feature: str) -> list[str]:
    if feature not in rows.groups:
        return [UNKNOWN] * rows.n
    return [UNKNOWN if group is None else group for group in rows.groups[feature].tolist()]
