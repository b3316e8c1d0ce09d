"""Quality of class answers from the counts of (truth, prediction): accuracy, recall by class, balanced accuracy, macro F1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from auditor.core.catalogue import MetricSpec
from auditor.core.frame import Frame
from auditor.core.measurement import Reading, absent
from auditor.core.state import Cells, WindowState
from auditor.statistics.intervals import wilson
from auditor.statistics.nulls import fisher_exact
from auditor.statistics.slices import other_name

MAX_CLASSES = 50
"""Classes whose recall is reported apart, the most frequent first; all others together are one class more, `other`."""

_METRICS = (
    MetricSpec(
        "quality.accuracy",
        "1",
        "Share of answers that equal the ground truth.",
        "lower",
        (),
        0.0,
        1.0,
        label="accuracy",
        format="percent",
        alert="quality",
    ),
    MetricSpec(
        "quality.recall",
        "1",
        "Share of one class's cases that were answered so.",
        "lower",
        ("label",),
        0.0,
        1.0,
        label="recall",
        format="percent",
        alert="quality",
    ),
    MetricSpec(
        "quality.balanced_accuracy",
        "1",
        "Mean recall over the classes.",
        "lower",
        (),
        0.0,
        1.0,
        label="balanced accuracy",
        format="percent",
        alert="quality",
    ),
    MetricSpec(
        "quality.macro_f1",
        "1",
        "Mean F1 score over the classes.",
        "lower",
        (),
        0.0,
        1.0,
        label="macro-averaged F1",
        alert="quality",
    ),
)


@dataclass(frozen=True)
class ClassificationMeasurer:
    """Measurer of kind `quality`.

    Records count whose truth and answer are both known. P-values are one-sided, of "not worse than the baseline": Fisher's
    exact test of fewer right answers than there. Balanced accuracy leaves out classes without a case; macro F1 is the mean
    over every class that is a truth or an answer, as scikit-learn has it. Neither has an interval in closed form, so none is
    given; accuracy and recall carry Wilson's.

    Attributes
    ----------
    min_class : int
        Classes with fewer cases get `below_min_samples` instead of a recall.
    """

    min_class: int = 10
    version: str = "2"
    needs_baseline: bool = False

    @property
    def metrics(self) -> tuple[MetricSpec, ...]:
        return _METRICS

    def measure(self, current: WindowState, baseline: WindowState | None, frame: Frame) -> Iterator[Reading]:
        """Accuracy, recall by class, balanced accuracy, macro F1; nothing for a model that answers no classes."""
        now = _Confusion.of(current.cells)
        before = _Confusion.of(baseline.cells) if baseline else None
        if not now.classes and not (before and before.classes):
            return
        if not now.n:
            reason = "unlabelled" if current.n else "no_data"
            for metric in ("quality.accuracy", "quality.balanced_accuracy", "quality.macro_f1"):
                yield absent(metric, reason)
            return
        yield _share("quality.accuracy", now.right, now.n, (before.right, before.n) if before else None)
        for label in now.frequent(MAX_CLASSES):
            yield self._recall(label, now, before)
        if len(now.cases) > MAX_CLASSES:
            yield from self._other_recall(now, before)
        recalls = [now.hits[label] / cases for label, cases in sorted(now.cases.items())]
        yield Reading(
            metric="quality.balanced_accuracy",
            value=sum(recalls) / len(recalls),
            n=now.n,
            n_baseline=before.n if before else None,
            facts={"classes": len(recalls)},
        )
        f1 = [now.f1(label) for label in now.classes_seen]
        yield Reading(
            metric="quality.macro_f1",
            value=sum(f1) / len(f1),
            n=now.n,
            n_baseline=before.n if before else None,
            facts={"classes": len(f1)},
        )

    def _recall(self, label: str, now: _Confusion, before: _Confusion | None) -> Reading:
        cases = now.cases[label]
        if cases < self.min_class:
            return absent("quality.recall", "below_min_samples", n=cases, label=label)
        reference = (before.hits[label], before.cases[label]) if before else None
        return _share("quality.recall", now.hits[label], cases, reference, label=label)

    def _other_recall(self, now: _Confusion, before: _Confusion | None) -> Iterator[Reading]:
        """Recall of the classes without a figure of their own together; the class that lost most is named."""
        rest = sorted(set(now.cases) - set(now.frequent(MAX_CLASSES)))
        hits, cases = sum(now.hits[label] for label in rest), sum(now.cases[label] for label in rest)
        name = other_name(sorted({*now.cases, *(before.cases if before else ())}))
        if cases < self.min_class:
            yield absent("quality.recall", "below_min_samples", n=cases, label=name)
            return
        reference = (
            (sum(before.hits[label] for label in rest), sum(before.cases[label] for label in rest)) if before else None
        )
        reading = _share("quality.recall", hits, cases, reference, label=name)
        lowest = min(rest, key=lambda label: (now.hits[label] / now.cases[label], -now.cases[label], label))
        yield replace(reading, facts={**reading.facts, "classes_merged": len(rest), "lowest_class": lowest})


@dataclass(frozen=True, slots=True)
class _Confusion:
    """Counts of records with truth and answer: by truth (`cases`), by answer (`answers`), of both alike (`hits`)."""

    cases: Counter[str]
    answers: Counter[str]
    hits: Counter[str]
    classes: frozenset[str]
    """Every class seen, in labelled records or not."""

    @staticmethod
    def of(cells: Cells) -> _Confusion:
        cases: Counter[str] = Counter()
        answers: Counter[str] = Counter()
        hits: Counter[str] = Counter()
        seen = set()
        for (_, truth, answer), count in cells.counts.items():
            seen |= {label for label in (truth, answer) if label is not None}
            if truth is None or answer is None:
                continue
            cases[truth] += count
            answers[answer] += count
            if truth == answer:
                hits[truth] += count
        return _Confusion(cases, answers, hits, frozenset(seen))

    @property
    def n(self) -> int:
        return self.cases.total()

    @property
    def right(self) -> int:
        return self.hits.total()

    @property
    def classes_seen(self) -> list[str]:
        """Classes that are a truth or an answer of a labelled record, sorted."""
        return sorted({*self.cases, *self.answers})

    def frequent(self, most: int) -> list[str]:
        """The classes with most cases, in alphabetical order."""
        return sorted(sorted(self.cases, key=lambda label: (-self.cases[label], label))[:most])

    def f1(self, label: str) -> float:
        """2 tp / (cases + answers) of one class."""
        return 2 * self.hits[label] / (self.cases[label] + self.answers[label])


def _share(metric: str, hits: int, n: int, reference: tuple[int, int] | None, **attributes: str) -> Reading:
    p_value, facts, n_baseline = None, {"count": hits, "of": n}, None
    if reference is not None and reference[1]:
        k0, n_baseline = reference
        p_value = fisher_exact(hits, n, k0, n_baseline, "less")
        facts |= {"baseline_count": k0, "baseline_of": n_baseline}
    return Reading(
        metric=metric,
        value=hits / n,
        n=n,
        n_baseline=n_baseline,
        attributes=attributes,
        interval=wilson(hits, n),
        p_value=p_value,
        facts=facts,
    )


PLUGIN = ClassificationMeasurer()
