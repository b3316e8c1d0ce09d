"""Alerts of a period with their sentences, verdicts and figures; those about one change together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from auditor import wording
from auditor.audit.alerting import inputs_alone
from auditor.core.measurement import Measurement
from auditor.core.verdict import Alert, Verdict
from auditor.reports.evidence import Evidence, is_open
from auditor.reports.model import Story
from auditor.wording import distances


def stories(evidence: Evidence, alerts: Sequence[Alert] | None = None) -> tuple[Story, ...]:
    """Alerts (those of the period, if none are given), open ones first; controls that fail by one figure share a story.

    Two alerts are one story when they are open together, or closed together, and the same figure decided both.
    """
    told: dict[tuple[object, ...], Story] = {}
    for alert in evidence.alerts if alerts is None else alerts:
        story = tell(evidence, alert)
        figure = story.measurements[0].id if story.measurements else alert.id
        key: tuple[object, ...] = (alert.finding, story.is_open)
        if not alert.finding:  # of a store from before alerts had one
            key = (alert.kind, figure, story.is_open, alert.since, alert.resolved)
        told[key] = replace(told[key], also=(*told[key].also, alert)) if key in told else story
    return tuple(told.values())


def tell(evidence: Evidence, alert: Alert) -> Story:
    """One alert by the worst of its windows, with the verdict and the measurements that it rests on."""
    verdict, fired = evidence.verdict_of(alert), evidence.fired(alert)
    behind = evidence.evidence_of(verdict) if verdict is not None else []
    facts = verdict.facts if verdict is not None else alert.facts
    standing, newest = is_open(alert, evidence.span.end), fired[-1] if fired else None
    pair = facts.get("attributes", {}).get("pair", "").split("~")
    return Story(
        alert=alert,
        title=wording.headline(alert, facts, evidence.step),
        what=wording.changed(
            alert,
            facts,
            past=not standing,
            inputs=inputs_alone(evidence.beside(verdict), pair) if verdict and alert.kind == "alignment" else None,
            leads=[item.facts.get("attributes", {}) for item in fired],
        ),
        plainly=distances.says(behind[0]) if behind else "",
        since=wording.lasted(
            alert,
            evidence.step,
            is_open=standing,
            worst=verdict.span if verdict is not None else None,
            newest=evidence.deciding(newest) if standing else None,
        ),
        sure=wording.doubt(facts),
        next=wording.advice(alert),
        is_open=standing,
        verdict=verdict,
        measurements=tuple(behind),
    )


def beyond_with(other: Measurement, m: Measurement, verdict: Verdict) -> bool:
    """Whether another figure of the same metric lies beyond the limit on the same side."""
    if other.metric != m.metric or other.value is None or m.value is None or verdict.limit is None:
        return False
    return (other.value - verdict.limit) * (m.value - verdict.limit) > 0
