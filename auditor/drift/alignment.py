"""Whether the inputs of one record still belong together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from auditor.core.catalogue import MetricSpec
from auditor.core.frame import Frame
from auditor.core.measurement import Reading, Status
from auditor.core.state import WindowState
from auditor.drift.compared import Column, pairs
from auditor.statistics.distances import ks
from auditor.statistics.intervals import mean_interval
from auditor.statistics.nulls import ks_p

_KEYS = ("pair",)
_RATIO = (
    "Agreement relative to the baseline is the agreement now over that of the baseline: 1 means as in the baseline, 0 that none "
    "is left."
)


def _relative(subject: str) -> tuple[tuple[float | None, str], ...]:
    return (
        (
            math.nextafter(1.0, 0.0),
            f"{subject} agree {{lost}} % less than in the baseline (0 %: no less, 100 %: not at all)",
        ),
        (None, f"{subject} agree no less than in the baseline"),
    )


SMALLEST = 0.05
"""Baseline mean below which a ratio to it is not reported: it would be mostly noise."""


class Alignment:
    """Mean agreement of two inputs of the same record, and its ratio to the baseline's.

    `alignment.concordance` compares what each input's own head says, sum_k p(k) q(k); `alignment.cosine` compares
    embeddings of one shared space; `alignment.cca` compares embeddings that share none, after canonical correlation
    analysis on the baseline. All see inputs that were paired wrongly, which no test of one input alone can.

    The p-value is the Kolmogorov-Smirnov test of the pair's column against the baseline. A test of the means would find
    more, but these columns are skewed, and it does not keep its level far into the tail; this one does.
    """

    version = "2"
    needs_baseline = True
    metrics = (
        MetricSpec(
            "alignment.concordance",
            "1",
            "Mean agreement of two inputs' own heads.",
            "lower",
            _KEYS,
            0,
            1,
            label="agreement between the two inputs",
            short="agreement",
            alert="alignment",
            clause="the {metric} ({pair}) is {value}",
            compares=(
                "Agreement of two inputs is how often what the model reads from each would be the same answer, if "
                "each were drawn by its probabilities: 0 means never, 1 always."
            ),
            reads=(
                (
                    None,
                    (
                        "answering by their own probabilities, the two inputs would name the same answer in {percent} % of "
                        "the records (0 %: never, 100 %: always)"
                    ),
                ),
            ),
        ),
        MetricSpec(
            "alignment.concordance.ratio",
            "1",
            "The same, relative to the baseline.",
            "lower",
            _KEYS,
            0,
            label="agreement between the two inputs relative to the baseline",
            short="relative agreement",
            format="percent",
            alert="alignment",
            clause="{pair} agree {value} as well as in the baseline",
            compares=_RATIO,
            reads=_relative("what the model reads from one input and what it reads from the other"),
        ),
        MetricSpec(
            "alignment.cosine",
            "1",
            "Mean cosine of two inputs' embeddings.",
            "lower",
            _KEYS,
            -1,
            1,
            label="cosine between the two embeddings",
            short="cosine",
            alert="alignment",
            clause="the {metric} ({pair}) is {value}",
            compares=(
                "A cosine compares the directions of two inputs' embeddings: 1 means the same direction, 0 "
                "unrelated, -1 opposite."
            ),
            reads=((None, "{number}, where 1 is the same direction, 0 unrelated and -1 opposite"),),
        ),
        MetricSpec(
            "alignment.cosine.ratio",
            "1",
            "The same, relative to the baseline.",
            "lower",
            _KEYS,
            label="cosine between the two embeddings relative to the baseline",
            short="relative cosine",
            format="percent",
            alert="alignment",
            clause="the embeddings of {pair} agree {value} as well as in the baseline",
            compares=_RATIO,
            reads=_relative("the two inputs' embeddings"),
        ),
        MetricSpec(
            "alignment.cca",
            "1",
            "Mean cosine of two inputs' canonical variates, without shared space.",
            "lower",
            _KEYS,
            -1,
            1,
            label="canonical agreement between the two embeddings",
            short="canonical agreement",
            alert="alignment",
            clause="the {metric} ({pair}) is {value}",
            compares=(
                "Canonical agreement (CCA) is the cosine of what went together in two inputs' embeddings in the "
                "baseline: 1 means that it still does, 0 that it no longer does, -1 that it is opposite."
            ),
            reads=((None, "{number}, where 1 is the same direction, 0 unrelated and -1 opposite"),),
        ),
        MetricSpec(
            "alignment.cca.ratio",
            "1",
            "The same, relative to the baseline.",
            "lower",
            _KEYS,
            label="canonical agreement between the two embeddings relative to the baseline",
            short="relative canonical agreement",
            alert="alignment",
            clause="the {metric} ({pair}) is {value}",
            compares=_RATIO,
            reads=_relative("the two inputs' embeddings"),
        ),
    )

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterable[Reading]:
        """Readings by pair: the mean, then its ratio."""
        if baseline is None:
            return
        for column in pairs(current, baseline, frame):
            yield from _agreement(column, current, baseline, frame)


def _agreement(column: Column, current: WindowState, baseline: WindowState, frame: Frame) -> Iterator[Reading]:
    metric = f"alignment.{column.spec.short}"
    attributes = {"pair": column.spec.pair or ""}
    grid = frame.grids.get(column.spec.name)
    if column.reason or grid is None:
        for name in (metric, f"{metric}.ratio"):
            yield Reading(
                metric=name,
                status=column.status,
                reason=column.reason or "absent_in_baseline",
                n=column.n,
                n_baseline=column.n_baseline,
                attributes=attributes,
            )
        return
    now, then = current.numeric[column.spec.name], baseline.numeric[column.spec.name]
    distance, _ = ks(then.dense(len(grid.values)), now.dense(len(grid.values)))
    p_value = ks_p(distance, column.effective_baseline, column.effective)
    mean, before = now.moments.mean, then.moments.mean
    facts = {"mean": mean, "baseline_mean": before}
    yield Reading(
        metric=metric,
        value=mean,
        n=now.n,
        n_baseline=then.n,
        attributes=attributes,
        interval=mean_interval(now.n, mean, now.moments.m2),
        p_value=p_value,
        facts=facts,
    )
    if before < SMALLEST:
        yield Reading(
            metric=f"{metric}.ratio",
            status=Status.NOT_APPLICABLE,
            reason="undefined",
            n=now.n,
            n_baseline=then.n,
            attributes=attributes,
            facts=facts,
        )
    else:
        yield Reading(
            metric=f"{metric}.ratio",
            value=mean / before,
            n=now.n,
            n_baseline=then.n,
            attributes=attributes,
            p_value=p_value,
            facts=facts,
        )


PLUGIN = Alignment()
