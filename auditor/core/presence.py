"""Whether the inputs of a window's records were there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Presence:
    """Of one input: how many records had it, declared it missing, could not describe it, or did not mention it.

    `reasons` counts the failures by error code; states of earlier versions have none.
    """

    present: int = 0
    missing: int = 0
    failed: int = 0
    absent: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All described records."""
        return self.present + self.missing + self.failed + self.absent


def merge_presence(parts: Sequence[tuple[Mapping[str, Presence], int]]) -> dict[str, Presence]:
    """Of all parts, each given with the number of its described records, by input.

    An input that only one part knows was absent from every described record of the others.
    """
    found = {}
    for name in sorted({name for known, _ in parts for name in known}):
        own = [known.get(name) or Presence(absent=described) for known, described in parts]
        reasons: Counter[str] = Counter()
        for part in own:
            reasons.update(part.reasons)
        found[name] = Presence(
            sum(part.present for part in own),
            sum(part.missing for part in own),
            sum(part.failed for part in own),
            sum(part.absent for part in own),
            dict(sorted(reasons.items())),
        )
    return found
