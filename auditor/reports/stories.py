"""Alerts told so that a stranger can act: what changed, since when, how sure, what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from auditor import registry, wording
from auditor.audit.alerting import inputs_alone
from auditor.core.measurement import Measurement
from auditor.core.verdict import Alert, Verdict
from auditor.core.window import Span
from auditor.core.words import HEAD
from auditor.policy.decision import is_e_value
from auditor.reports.evidence import Evidence, is_open
from auditor.reports.model import Story
from auditor.wording import distances, rarity


def stories(evidence: Evidence, alerts: Sequence[Alert] | None = None) -> tuple[Story, ...]:
    """Alerts (those of the period, if none are given), open ones first; rules that say the same thing share a story.

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
    """One alert by the worst of its windows, with the verdict and the measurements that this came from."""
    verdict = evidence.verdict_of(alert)
    behind = evidence.evidence_of(verdict) if verdict is not None else []
    return Story(
        alert=alert,
        title=headline(evidence, alert),
        what=_what(evidence, alert, verdict, behind),
        plainly=distances.says(behind[0]) if behind else "",
        since=_since(evidence, alert, verdict),
        sure=_sure(evidence, alert, behind),
        next=evidence.rules.next(alert) or registry.vocabulary().advice(alert.kind),
        is_open=is_open(alert, evidence.span.end),
        verdict=verdict,
        measurements=tuple(behind),
    )


def headline(evidence: Evidence, alert: Alert) -> str:
    """`Images changed: photo`, `Outcomes differ between groups: speaker, over 7 days`, `Outputs changed: entropy`."""
    base = registry.vocabulary().headline(alert.kind) or evidence.rules.title(alert)
    deciding = evidence.deciding(evidence.verdict_of(alert))
    place = [alert.input] if alert.input else []
    if alert.slice != "overall":
        place.append(alert.slice.replace("&", " and ").replace("=", " = "))
    if deciding is None:
        return f"{base}: {', '.join(place)}" if place else base
    at = deciding.attributes
    if not place:
        if "pair" in at:
            place.append(" and ".join(at["pair"].split("~")))
        elif "feature" in at:
            place.append(at["feature"].replace("_", " "))
        elif alert.kind == "quality":
            place.append(wording.column_of(at) or wording.metric_name(deciding.metric))
    if alert.kind == "quality" and deciding.metric.startswith("drift."):
        base = "Outputs changed"
        place = [name.removesuffix(" of the answer") for name in place]
    text = f"{base}: {', '.join(place)}" if place else base
    longer = wording.reach(deciding, evidence.step)
    return f"{text},{longer}" if longer else text


def _what(evidence: Evidence, alert: Alert, verdict: Verdict | None, behind: Sequence[Measurement]) -> str:
    if verdict is None or not behind:
        return alert.explanation
    m = behind[0]
    sentence = wording.finding(m) + wording.reach(m, evidence.step)
    sentence = sentence[0].upper() + sentence[1:]
    if allowed := evidence.rules.limit(verdict, m):
        sentence += f"; limit of “{evidence.rules.title(alert)}”: {allowed}"
    if told := wording.detail(m, past=not is_open(alert, evidence.span.end)):
        sentence += f". In figures: {told}"
    sentence += "."
    also = [wording.column_of(other.attributes) for other in behind[1:] if beyond_with(other, m, verdict)]
    if also := [name for name in dict.fromkeys(also) if name]:
        sentence += f" Also beyond the limit: {wording.listing(also, most=3)}."
    if m.attributes.get("column", "").startswith(HEAD):  # what the payload showed is the better lead, whenever it did
        leads = [evidence.deciding(fired) for fired in evidence.fired(alert)]
        shown = [lead.attributes.get("column", HEAD) for lead in leads if lead is not None]
        if outer := list(dict.fromkeys(wording.column(name) for name in shown if not name.startswith(HEAD))):
            sentence += f" In another of its windows the input itself led: {wording.listing(outer, most=3)}."
    if alert.kind == "alignment":
        names = m.attributes["pair"].split("~") if "pair" in m.attributes else ()
        sentence = f"{sentence} {wording.alone({'inputs': inputs_alone(evidence.beside(verdict), names)})}".rstrip()
    return sentence


def beyond_with(other: Measurement, m: Measurement, verdict: Verdict) -> bool:
    """Whether another figure of the same metric lies beyond the limit on the same side."""
    if other.metric != m.metric or other.value is None or m.value is None or verdict.limit is None:
        return False
    return (other.value - verdict.limit) * (m.value - verdict.limit) > 0


def _since(evidence: Evidence, alert: Alert, verdict: Verdict | None) -> str:
    begun = wording.window_ending(alert.since, evidence.windows)
    told = wording.window_ending(alert.opened, evidence.windows)
    text = f"Since {begun}"
    if alert.opened != alert.since:
        text += f", alert opened {told}"
    times = f"open for {wording.length(max(alert.count, 1) * evidence.step)}"
    standing = is_open(alert, evidence.span.end)
    if not standing:
        assert alert.resolved is not None
        well = wording.window_ending(alert.resolved, evidence.windows)
        text = f"{text}; {times}, resolved {well}"
    else:
        text = f"{text}; {times}"
    if verdict is not None and alert.count > 1:
        text += f". Worst: {wording.window(Span(verdict.start, verdict.end))} (shown here)"
        fired = evidence.fired(alert)
        newest = evidence.deciding(fired[-1]) if fired else None
        if standing and newest is not None and newest.value is not None and fired[-1] is not verdict:
            text += f"; newest window: {wording.value(newest)}"
    return f"{text}."


def _sure(evidence: Evidence, alert: Alert, behind: Sequence[Measurement]) -> str:
    m = behind[0] if behind else None
    text = wording.how_sure(m)
    looked = sum(other.metric == behind[0].metric for other in behind)
    if looked > 1:
        text += f" The control compared {looked} figures."
    bet = next((b for b in behind if is_e_value(b) and b.value is not None and b.value > 1), None)
    if bet is not None and bet is not m:
        text += f" Evidence this strong without a change: {rarity(bet.value or 1.0)}."
    if often := evidence.rules.false_alarms(alert):
        text += f" Expected false alarms of this control: {often}."
    return text
