"""From the cells of a state to what a rate needs: for one feature, each group's hits and trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from auditor.core.state import Cells
from auditor.fairness.gaps import Share

UNKNOWN = "unknown"
"""The slice of calls whose group nobody stated."""
POSITIVE = ("1", "true", "yes", "positive", "pos", "accept", "accepted", "approve", "approved")
"""Words that name the positive class of two, whatever the other is called; else it is the later one in the alphabet."""

Pair = tuple[str | None, str | None]
"""Truth and prediction; None while unknown."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of calls, defined by which calls it looks at and which of them count.

    Attributes
    ----------
    name : str
        As in the catalogue: `fairness.<name>`.
    labelled, binary : bool
        Whether it needs ground truth; whether it is defined for two classes only.
    trial : callable of (truth, prediction, positive class) to bool
        Whether the call belongs to the denominator.
    hit : callable of the same
        Whether it belongs to the numerator as well.
    """

    name: str
    meaning: str
    worse: str
    labelled: bool
    binary: bool
    trial: Callable[[str | None, str | None, str], bool]
    hit: Callable[[str | None, str | None, str], bool]


def _is(label: str | None, positive: str) -> bool:
    return label == positive


RATES: tuple[Rate, ...] = (
    Rate(
        "accuracy",
        "Share of answers that equal the ground truth, in one group.",
        "lower",
        True,
        False,
        lambda truth, answer, positive: truth is not None and answer is not None,
        lambda truth, answer, positive: truth == answer,
    ),
    Rate(
        "selection_rate",
        "Share of answers that are the positive class, in one group.",
        "",
        False,
        True,
        lambda truth, answer, positive: answer is not None,
        lambda truth, answer, positive: _is(answer, positive),
    ),
    Rate(
        "true_positive_rate",
        "Share of truly positive cases answered positive, in one group.",
        "lower",
        True,
        True,
        lambda truth, answer, positive: answer is not None and _is(truth, positive),
        lambda truth, answer, positive: _is(answer, positive),
    ),
    Rate(
        "false_positive_rate",
        "Share of truly negative cases answered positive, in one group.",
        "higher",
        True,
        True,
        lambda truth, answer, positive: truth is not None and answer is not None and not _is(truth, positive),
        lambda truth, answer, positive: _is(answer, positive),
    ),
)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What one feature's groups got: for each group (None is `unknown`), (truth, prediction) with counts."""

    feature: str
    groups: Mapping[str | None, Mapping[Pair, int]]

    def share(self, group: str | None, rate: Rate, positive: str) -> Share:
        """Hits and trials of one group."""
        hits = trials = 0
        for (truth, answer), count in self.groups[group].items():
            if rate.trial(truth, answer, positive):
                trials += count
                hits += count if rate.hit(truth, answer, positive) else 0
        return Share(UNKNOWN if group is None else group, hits, trials)


def outcomes_by_feature(cells: Cells) -> list[Outcomes]:
    """The cells summed up for each feature alone, features and groups in sorted order, the unknown group last."""
    found = []
    for place, feature in enumerate(cells.features):
        groups: dict[str | None, Counter[Pair]] = {}
        for (values, truth, answer), count in cells.counts.items():
            group = None if values[place] == UNKNOWN else values[place]
            groups.setdefault(group, Counter())[truth, answer] += count
        ordered = sorted(groups, key=lambda group: (group is None, group or ""))
        found.append(Outcomes(feature, {group: dict(sorted(groups[group].items(), key=_order)) for group in ordered}))
    return found


def merged(outcomes: Outcomes, kept: Collection[str | None], name: str) -> Outcomes:
    """The outcomes with all groups that are not kept as one, under `name`."""
    groups: dict[str | None, Mapping[Pair, int]] = {g: pairs for g, pairs in outcomes.groups.items() if g in kept}
    other: Counter[Pair] = Counter()
    for group, pairs in outcomes.groups.items():
        if group not in kept:
            other.update(pairs)
    return Outcomes(outcomes.feature, {**groups, name: dict(sorted(other.items(), key=_order))})


def classes(*cells: Cells) -> list[str]:
    """Every class that is a truth or an answer in any of these cells, sorted."""
    pairs = {label for part in cells for (_, truth, answer) in part.counts for label in (truth, answer)}
    return sorted(label for label in pairs if label is not None)


def positive_class(known: list[str]) -> str | None:
    """The positive one of two classes; None when there are not exactly two.

    >>> positive_class(["benign", "malignant"]), positive_class(["accept", "reject"]), positive_class(["0", "1", "2"])
    ('malignant', 'accept', None)
    """
    if len(known) != 2:
        return None
    named = [label for label in known if label.lower() in POSITIVE]
    return named[0] if len(named) == 1 else known[1]


def _order(item: tuple[Pair, int]) -> tuple[str, str]:
    (truth, answer), _ = item
    return truth or "", answer or ""
