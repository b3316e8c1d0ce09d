"""Alerts told so that a stranger can act: what changed, since when, how sure, what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from auditor.core.measurement import Measurement
from auditor.core.verdict import Alert, Verdict
from auditor.reports import vocabulary, words
from auditor.reports.evidence import Evidence, is_open
from auditor.reports.model import Story


def stories(evidence: Evidence, alerts: Sequence[Alert] | None = None) -> tuple[Story, ...]:
    """Alerts (those of the period, if none are given), open ones first; rules that say the same thing share a story.

    Two alerts are one story when they are open together, or closed together, and the same figure decided both.
    """
    told: dict[tuple[object, ...], Story] = {}
    for alert in evidence.alerts if alerts is None else alerts:
        story = tell(evidence, alert)
        figure = story.measurements[0].id if story.measurements else alert.id
        key = (alert.kind, figure, story.is_open, alert.since, alert.resolved)
        told[key] = replace(told[key], also=(*told[key].also, alert)) if key in told else story
    return tuple(told.values())


def tell(evidence: Evidence, alert: Alert) -> Story:
    """One alert, with the verdict and the measurements it came from."""
    verdict = evidence.verdict_of(alert)
    behind = evidence.evidence_of(verdict) if verdict is not None else []
    deciding = behind[0] if behind else None
    return Story(
        alert=alert,
        title=headline(evidence, alert),
        what=_what(evidence, alert, verdict, deciding),
        since=_since(evidence, alert),
        sure=_sure(alert, verdict, deciding),
        next=evidence.rules.next(alert) or vocabulary.NEXT.get(alert.kind, vocabulary.NEXT["policy"]),
        is_open=is_open(alert, evidence.span.end),
        verdict=verdict,
        measurements=tuple(behind),
    )


def headline(evidence: Evidence, alert: Alert) -> str:
    """`Images changed: photo`, `Outcomes differ between groups: speaker`, `Quality of the answers changed: accuracy`."""
    base = vocabulary.KINDS.get(alert.kind) or evidence.rules.title(alert)
    deciding = evidence.deciding(evidence.verdict_of(alert))
    place = [alert.input] if alert.input else []
    if alert.slice != "overall":
        place.append(alert.slice.replace("&", " and ").replace("=", " = "))
    if not place and deciding is not None:
        at = deciding.attributes
        if "pair" in at:
            place.append(" and ".join(at["pair"].split("~")))
        elif "feature" in at:
            place.append(at["feature"].replace("_", " "))
        elif alert.kind == "quality":
            place.append(words.column(at["column"]) if "column" in at else words.metric_name(deciding.metric))
    return f"{base}: {', '.join(place)}" if place else base


def _what(evidence: Evidence, alert: Alert, verdict: Verdict | None, m: Measurement | None) -> str:
    if m is None:
        return alert.explanation
    sentence = words.finding(m)
    sentence = sentence[0].upper() + sentence[1:]
    if verdict is not None and verdict.limit is not None:
        bound = "at least" if m.value is not None and m.value < verdict.limit else "at most"
        sentence += f"; the rule “{evidence.rules.title(alert)}” allows {bound} {words.quantity(verdict.limit, m.unit, m.metric)}"
    if m.note:
        sentence += f". In figures: {m.note.rstrip('.')}"
    return sentence + "."


def _since(evidence: Evidence, alert: Alert) -> str:
    begun = words.window_ending(alert.since, evidence.windows)
    told = words.window_ending(alert.opened, evidence.windows)
    text = f"First seen in the window of {begun} (UTC)" if begun[0].isdigit() else f"First seen in {begun}"
    if alert.opened != alert.since:
        text += f", alerted after {told}"
    times = words.plural(alert.count, "window")
    if is_open(alert, evidence.span.end):
        return f"{text}; seen in {times} since then, and still open."
    assert alert.resolved is not None
    well = words.window_ending(alert.resolved, evidence.windows)
    return f"{text}; seen in {times}, resolved with the window of {well}."


def _sure(alert: Alert, verdict: Verdict | None, m: Measurement | None) -> str:
    text = words.how_sure(m)
    others = len(verdict.evidence) - 1 if verdict is not None else 0
    if others > 0:
        text += f" It is the clearest of {others + 1} figures that the rule looked at."
    if alert.budget_share:
        text += (
            f" The rule may raise {words.number(alert.budget_share, 2)} false alarms per budget period, "
            "and was held to that."
        )
    return text
