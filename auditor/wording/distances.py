"""What figures of change compare and what a value of them says, in plain words: one home for these sentences, by metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from auditor.core.measurement import Measurement
from auditor.wording.details import detail
from auditor.wording.numbers import chance, number, percent, rarity, span_of


@dataclass(frozen=True, slots=True)
class Meaning:
    """How a metric is called in tables, what it compares and where it begins and ends, and what one value of it says."""

    name: str
    general: str
    says: Callable[[float, Measurement], str]


def name(metric: str) -> str:
    """What tables call the metric.

    >>> name("drift.ks"), name("drift.new_one")
    ('KS', 'new one')
    """
    known = MEANINGS.get(metric)
    return known.name if known else metric.partition(".")[2].replace("_", " ")


def says(m: Measurement) -> str:
    """One sentence about the figure's value, with what its ends would mean; empty for what is no figure of change."""
    known = MEANINGS.get(m.metric)
    text = known.says(m.value, m) if known and m.value is not None else ""
    return f"{text[0].upper()}{text[1:]}." if text else ""


def explained(measurements: Iterable[Measurement]) -> list[str]:
    """What each metric of these figures compares, one sentence each."""
    there = {m.metric for m in measurements if m.value is not None}
    return list(dict.fromkeys(meaning.general for metric, meaning in MEANINGS.items() if metric in there))


def share_moved_psi(psi: float) -> float:
    """The most that two distributions can differ (total variation) at a population stability index: sqrt(psi) / 2.

    Pinsker's inequality, both ways; psi is the sum of both Kullback-Leibler divergences, in nats.
    """
    return min(1.0, math.sqrt(max(psi, 0.0)) / 2)


def share_moved_jensen_shannon(distance: float) -> tuple[float, float]:
    """The least and the most that two distributions can differ (total variation) at a Jensen-Shannon distance, base 2.

    d^2 <= TV (Lin 1991, theorem 3) and TV <= d sqrt(2 ln 2) (Pinsker's inequality to the mixture).
    """
    return distance**2, min(1.0, distance * math.sqrt(2 * math.log(2)))


# -- what a value says -----------------------------------------------------------------------------------------------------

_ELSEWHERE = "of the records would have to lie in another bin or category to give the baseline's shares"


def _points(value: float) -> str:
    return f"{percent(value)} percentage points"


def _ks(value: float, _: Measurement) -> str:
    return (
        f"at the value where window and baseline differ most, the shares of records below it are {_points(value)} apart "
        "(0: the same distribution, 100: no overlap)"
    )


def _union(value: float, _: Measurement) -> str:
    return f"the column that speaks most clearly differs by up to {_points(value)} (0: not at all, 100: no overlap)"


def _psi(value: float, _: Measurement) -> str:
    return f"at most about {percent(share_moved_psi(value))} % {_ELSEWHERE} (0 %: no change)"


def _jensen_shannon(value: float, _: Measurement) -> str:
    low, high = (f"{percent(share)} %" for share in share_moved_jensen_shannon(value))
    return f"{low if low == high else span_of(low, high)} {_ELSEWHERE} (0 %: no change, 100 %: nothing in common)"


def _wasserstein(value: float, _: Measurement) -> str:
    return (
        f"values lie {number(value)} standard deviations of the baseline away on average (0: no change; no upper end)"
    )


def _evidently(value: float, m: Measurement) -> str:
    known = {"wasserstein": _wasserstein, "psi": _psi}.get(m.attributes.get("component", ""))
    return known(value, m) if known else ""


def _no_scale(value: float, m: Measurement) -> str:
    if value <= 0:
        return "not above 0, so no more than chance alone gives"
    often = (
        "" if m.p_value is None else f": what counts is how often chance alone makes as much, here {chance(m.p_value)}"
    )
    return f"above 0, which has no scale of its own{often}"


def _frechet(value: float, m: Measurement) -> str:
    if value <= 0:
        return "not above 0, so no more than chance alone gives"
    beside = f"; of the raw distance, {detail(m)}" if m.facts else ""
    return f"above what chance alone gives, by {number(value)} squared units of the embedding{beside}"


def _domain_auc(value: float, _: Measurement) -> str:
    if value <= 0.5:
        return "the classifier does no better than guessing"
    return (
        f"of 100 pairs of a record of the window and one of the baseline, a classifier tells {100 * value:.0f} apart rightly "
        "(50: guessing, 100: always)"
    )


def _e_value(value: float, _: Measurement) -> str:
    if value < 2:
        return "the bets have won little or nothing, so nothing speaks for a change"
    return f"without a change, bets win as much {rarity(value)} (no upper end)"


def _concordance(value: float, _: Measurement) -> str:
    return (
        f"answering by their own probabilities, the two inputs would name the same answer in {percent(value)} % of the "
        "records (0 %: never, 100 %: always)"
    )


def _agreement(what: str) -> Callable[[float, Measurement], str]:
    def said(value: float, _: Measurement) -> str:
        if value >= 1:
            return f"{what} agree no less than in the baseline"
        lost = percent(1 - max(value, 0.0))
        return f"{what} agree {lost} % less than in the baseline (0 %: no less, 100 %: not at all)"

    return said


def _cosine(value: float, _: Measurement) -> str:
    return f"{number(value)}, where 1 is the same direction, 0 unrelated and -1 opposite"


def _gap_norm(value: float, _: Measurement) -> str:
    return f"the two inputs' embeddings lie {number(value)} apart (0: in one place, 2: opposite); only a change of that counts"


def _gap_angle(value: float, _: Measurement) -> str:
    return f"the difference between the two inputs' embeddings turned by {number(value)} degrees (0: not at all, 180: round)"


# -- by metric -------------------------------------------------------------------------------------------------------------

_RATIO = (
    "Agreement relative to the baseline is the agreement now over that of the baseline: 1 means as in the baseline, 0 that none "
    "is left."
)

MEANINGS: dict[str, Meaning] = {
    "drift.ks": Meaning(
        "KS",
        "A KS distance is the largest difference between the shares of records that lie under one value, in the window and in "
        "the baseline: 0 means the same distribution, 1 that they do not overlap.",
        _ks,
    ),
    "drift.union": Meaning(
        "union",
        "A union distance is that of the column which speaks most clearly for a change of its input (KS or, for categories, the "
        "share of records that would have to change category): 0 means no difference, 1 no overlap.",
        _union,
    ),
    "drift.psi": Meaning(
        "PSI",
        "PSI (population stability index) adds up how far the shares of ten bins, or of the categories, moved: 0 means not at "
        "all, and there is no upper end; 0.1 is often called small and 0.25 large, but with few records chance alone reaches that.",
        _psi,
    ),
    "drift.jensen_shannon": Meaning(
        "Jensen-Shannon",
        "A Jensen-Shannon distance compares the shares of the same bins or categories: 0 means equal shares, 1 that window and "
        "baseline have none in common.",
        _jensen_shannon,
    ),
    "drift.wasserstein": Meaning(
        "Wasserstein",
        "A Wasserstein distance is how far values would have to move on average to lie as in the baseline, counted in its "
        "standard deviations: 0 means not at all, 1 is far, and there is no upper end.",
        _wasserstein,
    ),
    "drift.evidently": Meaning(
        "Evidently",
        "Evidently's scores are its own computation of the distance that stands beside them, on samples of window and baseline: "
        "0 means no difference, and larger values a larger one.",
        _evidently,
    ),
    "drift.frechet": Meaning(
        "Fréchet",
        "A Fréchet distance compares centre and spread of vectors (embeddings or scores), less what chance adds: about 0, and as "
        "often below, when nothing changed; its scale is that of the embedding, without upper end, so it is held against the "
        "range of chance beside it.",
        _frechet,
    ),
    "drift.mmd2": Meaning(
        "MMD²",
        "MMD² compares whole vectors (embeddings or scores) by how alike they are: about 0, and as often below, when nothing "
        "changed, and larger the more they differ; it has no scale of its own, so only how rarely chance makes as much counts.",
        _no_scale,
    ),
    "drift.kid": Meaning(
        "KID",
        "KID (kernel inception distance) compares centre, spread and skewness of vectors: about 0, and as often below, when "
        "nothing changed, and larger the more they differ; it has no scale of its own, so only how rarely chance makes as much "
        "counts.",
        _no_scale,
    ),
    "drift.domain_auc": Meaning(
        "domain AUC",
        "A domain AUC is how often a classifier that is shown one record of the window and one of the baseline tells which is "
        "which: 0.5 is guessing, 1 is always.",
        _domain_auc,
    ),
    "drift.e_value": Meaning(
        "e-value",
        "An e-value is what bets on a change have won, one unit laid a window: up to 1 nothing speaks for a change, and without "
        "one it reaches c at most once in c windows, so that large values are evidence; there is no upper end.",
        _e_value,
    ),
    "alignment.concordance": Meaning(
        "agreement",
        "Agreement of two inputs is how often what the model reads from each would be the same answer, if each were drawn by its "
        "probabilities: 0 means never, 1 always.",
        _concordance,
    ),
    "alignment.concordance.ratio": Meaning(
        "relative agreement", _RATIO, _agreement("what the model reads from one input and what it reads from the other")
    ),
    "alignment.cosine": Meaning(
        "cosine",
        "A cosine compares the directions of two inputs' embeddings: 1 means the same direction, 0 unrelated, -1 opposite.",
        _cosine,
    ),
    "alignment.cosine.ratio": Meaning("relative cosine", _RATIO, _agreement("the two inputs' embeddings")),
    "alignment.cca": Meaning(
        "canonical agreement",
        "Canonical agreement (CCA) is the cosine of what went together in two inputs' embeddings in the baseline: 1 means that "
        "it still does, 0 that it no longer does, -1 that it is opposite.",
        _cosine,
    ),
    "alignment.cca.ratio": Meaning("relative canonical agreement", _RATIO, _agreement("the two inputs' embeddings")),
    "alignment.gap_norm": Meaning(
        "modality gap",
        "The modality gap is how far two inputs' embeddings lie apart on average: 0 means in one place, 2 opposite; no length "
        "is right or wrong, only a change from the baseline's counts.",
        _gap_norm,
    ),
    "alignment.gap_angle": Meaning(
        "gap angle",
        "The gap angle is how far the difference of two inputs' embeddings turned since the baseline: 0 degrees means not at "
        "all, 180 that it points the other way.",
        _gap_angle,
    ),
}
"""By metric; every figure of drift and alignment has one."""
