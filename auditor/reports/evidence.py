"""All that is stored about one model over one period, read once; reports and dashboard pages are views of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from auditor.audit.alerting import has_fired, worst
from auditor.core.artifact import Artifact
from auditor.core.delivery import Backlog
from auditor.core.errors import ConfigurationError
from auditor.core.loss import Loss
from auditor.core.measurement import Measurement, Status
from auditor.core.run import AuditRun
from auditor.core.verdict import Alert, State, Verdict, Word
from auditor.core.window import DAY, Baseline, Span
from auditor.ports import ModelSummary, Queries
from auditor.reports.rules import Rules
from auditor.wording import periods
from auditor.wording.vocabulary import WORDS

_ORDER = {word: place for place, word in enumerate(WORDS)}
_SEVERITY = {"critical": 0, "high": 1, "medium": 2, "low": 3}


def is_of_slice(measurement: Measurement) -> bool:
    """Whether a figure that the whole window has as well is about one declared slice of it."""
    return "feature" in measurement.attributes and not measurement.metric.startswith("fairness.")


@dataclass(frozen=True)
class Evidence:
    """What the store holds about `model` in `span`.

    Attributes
    ----------
    measurements : tuple of Measurement
        All versions together and each version apart, by window.
    verdicts : tuple of Verdict
        Of every window in the span.
    current : tuple of Verdict
        The newest verdict of each control x slice x input at the end of the span, gravest first.
    alerts : tuple of Alert
        Those that were open at some time in the span, as they stood at its end: open ones first, then newest first.
    first_seen : mapping of str to datetime
        By model version with records in the span, oldest first: the hour in which it was first seen.
    before : tuple of Measurement
        Energy per inference of the windows before the last one and as long as it, at most `EARLIER`, whatever the span.
    """

    model: str
    span: Span
    summary: ModelSummary | None
    runs: tuple[AuditRun, ...]
    measurements: tuple[Measurement, ...]
    verdicts: tuple[Verdict, ...]
    current: tuple[Verdict, ...]
    alerts: tuple[Alert, ...]
    artifacts: tuple[Artifact, ...]
    baselines: tuple[Baseline, ...]
    rules: Rules = field(default_factory=Rules)
    first_seen: Mapping[str, datetime] = field(default_factory=dict)
    before: tuple[Measurement, ...] = ()
    losses: tuple[Loss, ...] = ()
    """What the archive lost of the span, accepted or not."""
    waiting: tuple[Backlog, ...] = ()
    dead: tuple[Backlog, ...] = ()
    """What sinks have not got yet, and what they refused for good; of all models."""

    @cached_property
    def by_id(self) -> dict[str, Measurement]:
        return {m.id: m for m in self.measurements}

    @cached_property
    def windows(self) -> tuple[Span, ...]:
        """Audited windows, in order."""
        return tuple(run.span for run in self.runs)

    @cached_property
    def _edges(self) -> set[tuple[datetime, datetime]]:
        return {(span.start, span.end) for span in self.windows}

    @property
    def last(self) -> Span | None:
        """The last audited window."""
        return self.windows[-1] if self.windows else None

    @property
    def step(self) -> timedelta:
        """How long a window is."""
        return self.last.duration if self.last is not None else DAY

    @property
    def empty(self) -> int:
        """How many audited windows have no record."""
        return sum(run.records == 0 for run in self.runs)

    def freshness(self, at: datetime) -> list[str]:
        """What a reader at that time must see first about the age of the data; empty, when they are fresh."""
        newest = self.summary.last if self.summary is not None else None
        filled = next((place for place, run in enumerate(reversed(self.runs)) if run.records), len(self.runs))
        return periods.freshness(newest, self.last, period=self.span, at=at, empty=filled, step=self.step)

    @property
    def baseline(self) -> Baseline | None:
        """The newest baseline that the period's runs were measured against, else the newest pinned before its end."""
        used = {run.baseline for run in self.runs}
        pinned = [item for item in self.baselines if item.id in used] or list(self.baselines)
        return pinned[0] if pinned else None

    @property
    def open_alerts(self) -> tuple[Alert, ...]:
        """Alerts that were open when the period ended."""
        return tuple(alert for alert in self.alerts if is_open(alert, self.span.end))

    def of(self, metric: str, *, by_version: bool = False, **attributes: str) -> list[Measurement]:
        """Measurements of a metric (or of a family: a name that ends in `.`), by audited window.

        All versions together, or each apart; `attributes` narrow to series that carry them. Figures of slices are left out
        unless `feature` is among these (rates of groups always have one). Figures over longer stretches,
        which some controls ask for, are left out: they would count the same records twice.
        """
        pool = self._families.get(metric.split(".", 1)[0], ())
        family = metric.endswith(".")
        return [
            m
            for m in pool
            if (m.metric.startswith(metric) if family else m.metric == metric)
            and (m.version is not None) == by_version
            and (m.start, m.end) in self._edges
            and (not is_of_slice(m) or "feature" in attributes)
            and all(m.attributes.get(key) == value for key, value in attributes.items())
        ]

    def latest(self, metric: str, **attributes: str) -> list[Measurement]:
        """The metric's measurements of the last audited window."""
        return [m for m in self.of(metric, by_version=False, **attributes) if self.last and m.end == self.last.end]

    @cached_property
    def _families(self) -> dict[str, list[Measurement]]:
        found: dict[str, list[Measurement]] = {}
        for m in self.measurements:
            found.setdefault(m.metric.split(".", 1)[0], []).append(m)
        return found

    @cached_property
    def _verdicts_by_id(self) -> dict[str, Verdict]:
        return {verdict.id: verdict for verdict in self.verdicts}

    @cached_property
    def _verdicts_by_key(self) -> dict[tuple[str, str, str, str, str | None], list[Verdict]]:
        found: dict[tuple[str, str, str, str, str | None], list[Verdict]] = {}
        for verdict in self.verdicts:
            found.setdefault(verdict.key, []).append(verdict)
        return found

    def fired(self, alert: Alert) -> list[Verdict]:
        """The verdicts of the period on whose evidence an alert was open, in the order of their windows."""
        return [
            item
            for item in self._verdicts_by_key.get(alert.key, ())
            if has_fired(item) and item.end >= alert.opened and not (alert.resolved and item.end >= alert.resolved)
        ]

    def verdict_of(self, alert: Alert) -> Verdict | None:
        """The verdict behind an alert: the worst of those on whose evidence it was open.

        (The verdict that an alert names is the last one that touched it: a pass, once it is resolved.)
        """
        judged = self._verdicts_by_key.get(alert.key, ())
        calm = next((item.observed for item in reversed(judged) if item.verdict is Word.PASS), None)
        found = worst(self.fired(alert), calm)
        if found is None:
            named = self._verdicts_by_id.get(alert.verdict)
            return named if named is not None and named.state is State.FIRING else None
        return found

    def beside(self, verdict: Verdict) -> list[Verdict]:
        """The verdicts of the same window."""
        return [item for item in self.verdicts if item.end == verdict.end]

    def deciding(self, verdict: Verdict | None) -> Measurement | None:
        """The measurement that decided a verdict, when it lies in the period."""
        return self.by_id.get(verdict.evidence[0]) if verdict is not None and verdict.evidence else None

    def evidence_of(self, verdict: Verdict) -> list[Measurement]:
        """The measurements behind a verdict, the deciding one first."""
        return [self.by_id[item] for item in verdict.evidence if item in self.by_id]

    def counts(self) -> dict[Word, int]:
        """Current verdicts by word; every word is a key, so that a zero is a zero."""
        return {word: sum(verdict.verdict is word for verdict in self.current) for word in WORDS}


def is_open(alert: Alert, at: datetime) -> bool:
    """Whether the alert was open at that (data) time."""
    return alert.opened <= at and (alert.resolved is None or alert.resolved > at)


def affected(alert: Alert, span: Span, step: timedelta) -> tuple[datetime, datetime]:
    """Start and end of the windows that an alert is about, cut to `span`.

    An alert's times are ends of windows: it begins with the window that ended at `since`, and the window that ended at
    `resolved` was within the limit again.
    """
    start = max(alert.since - step, span.start)
    end = span.end if is_open(alert, span.end) or alert.resolved is None else min(alert.resolved - step, span.end)
    return start, max(end, start)


def gravest_first(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """By word, then severity, then name."""
    return sorted(
        verdicts,
        key=lambda v: (_ORDER[v.verdict], _SEVERITY.get(v.severity, 4), v.policy, v.control, v.slice, v.input or ""),
    )


def series_of(measurements: Sequence[Measurement]) -> dict[str, list[Measurement]]:
    """Measurements by series, each in the order of its windows."""
    found: dict[str, list[Measurement]] = {}
    for m in sorted(measurements, key=lambda m: m.start):
        found.setdefault(m.series, []).append(m)
    return found


def absences(measurements: Iterable[Measurement]) -> list[Measurement]:
    """Those without a number."""
    return [m for m in measurements if m.status is not Status.OK]


LONGEST_RULE = timedelta(days=92)
"""How far before the period a figure may begin that a control of the period looked at."""
EARLIER = 28
"""How many windows before the last one a figure is laid beside."""


def gather(queries: Queries, model: str, span: Span, rules: Rules | None = None) -> Evidence:
    """Everything stored about `model` in the windows inside `span`; `rules` adds what the policies in force say."""
    summary = next((item for item in queries.models() if item.name == model), None)
    alerts = [a for a in queries.alerts(model) if a.opened <= span.end and (not a.resolved or a.resolved > span.start)]
    alerts.sort(key=lambda a: a.opened, reverse=True)
    alerts.sort(key=lambda a: (not is_open(a, span.end), _SEVERITY.get(a.severity, 4) if is_open(a, span.end) else 9))
    verdicts = sorted(queries.verdicts(model, span=span), key=lambda v: v.end)
    current = gravest_first(queries.last_verdicts(model, span.end))
    measurements = list(queries.measurements(model, span=span, all_versions=True))
    known = {m.id for m in measurements}
    wanted = {item for verdict in (*current, *verdicts) for item in verdict.evidence} - known
    if wanted:  # controls that look further back than the period begins
        earlier = queries.measurements(model, span=Span(span.start - LONGEST_RULE, span.end), all_versions=True)
        measurements = [m for m in earlier if m.id in wanted] + measurements
    runs = tuple(queries.runs(model, span))
    return Evidence(
        model=model,
        span=span,
        summary=summary,
        runs=runs,
        measurements=tuple(measurements),
        verdicts=tuple(verdicts),
        current=tuple(current),
        alerts=tuple(alerts),
        artifacts=tuple(queries.artifacts(model, span=span)),
        baselines=tuple(item for item in queries.baselines(model) if item.span.end <= span.end),
        rules=rules or Rules(),
        first_seen=queries.versions(model, span),
        before=_before(queries, model, runs[-1].span) if runs else (),
        losses=tuple(
            loss for loss in queries.losses(model) if loss.span.start < span.end and loss.span.end > span.start
        ),
        waiting=tuple(queries.outbox()),
        dead=tuple(queries.outbox(dead=True)),
    )


def _before(queries: Queries, model: str, last: Span) -> tuple[Measurement, ...]:
    span = Span(last.start - EARLIER * last.duration, last.start)
    found = queries.measurements(model, metric="energy.per_inference", span=span)
    return tuple(m for m in found if m.span.duration == last.duration)


def audited_span(queries: Queries, model: str, *, back: timedelta | None = None) -> Span:
    """From the first audited window to the last one, or the last `back` of it; ConfigurationError when there is none."""
    runs = queries.runs(model)
    if not runs:
        known = [item.name for item in queries.models()]
        if model not in known:
            raise ConfigurationError(
                "unknown_model",
                f"there is no model {model!r}",
                fix=f"one of {', '.join(known)}" if known else "send records first, for example with `auditor demo`",
            )
        raise ConfigurationError(
            "not_audited", f"no window of {model!r} was audited yet", fix=f"run `auditor audit --model {model}`"
        )
    end = runs[-1].span.end
    start = runs[0].span.start
    return Span(start if back is None else max(start, end - back), end)
