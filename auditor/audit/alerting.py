"""The verb `alerts_for`: verdicts -> alerts that open, are renewed or resolve. Pure; all times are ends of windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from auditor.core.catalogue import ALERTS
from auditor.core.identity import digest
from auditor.core.verdict import Alert, AlertChange, State, Verdict, Word
from auditor.core.window import format_time
from auditor.wording.alerts import told_all

History = Callable[[Alert], Sequence[Verdict]]


def alerts_for(
    open_alerts: Sequence[Alert],
    verdicts: Sequence[Verdict],
    previous: Sequence[Verdict] = (),
    history: History = lambda _: (),
) -> AlertChange:
    """What the verdicts of one window do to the alerts.

    An alert opens when a control x slice x input fires and nobody waived it, is renewed in each further window in which it
    fires on evidence, and resolves when its state is ok again. `insufficient_evidence` and `error` open none: they are
    gaps, and shown as such. While evidence is missing an open alert stays as it is.

    Parameters
    ----------
    open_alerts : sequence of Alert
        Alerts that are open before this window.
    verdicts : sequence of Verdict
        Of one window of one model.
    previous : sequence of Verdict
        The last verdict of each key before this window: an alert that waited for its `for` has been seen since then.
    history : callable
        Alert -> verdicts of its control since it opened, in the order of their windows; asked about alerts that are renewed
        or resolve, whose text names the worst of them. About pairs of inputs: those of all controls.

    Returns
    -------
    AlertChange
        In the order of the verdicts; ids follow from model, policy, control, slice, input and time of opening.
    """
    standing = {alert.key: alert for alert in open_alerts if alert.state == "open"}
    before = {verdict.key: verdict for verdict in previous}
    opened: list[Alert] = []
    renewed, resolved = [], []
    for verdict in verdicts:
        alert = standing.get(verdict.key)
        if alert is None:
            if verdict.state is State.FIRING and verdict.verdict is Word.FAIL:
                opened.append(_open(verdict, before.get(verdict.key), verdicts, [*standing.values(), *opened]))
        elif verdict.end <= alert.renewed:
            continue
        elif verdict.state is State.OK:
            resolved.append(_resolved(alert, verdict, history(alert)))
        elif keeps_open(verdict):
            renewed.append(_renewed(alert, verdict, _fired(history(alert), alert), verdicts))
    keys, judged = {v.key for v in verdicts}, {(v.policy, v.control): v for v in verdicts}
    for key, alert in standing.items():
        beside = judged.get((alert.policy, alert.control))
        if key not in keys and beside is not None and beside.end > alert.renewed:
            facts = {**alert.facts, "resolution": "not_judged"}
            resolved.append(replace(alert, state="resolved", resolved=beside.end, facts=facts))
    change = AlertChange(opened=tuple(opened), renewed=tuple(renewed), resolved=tuple(resolved))
    return told_all(change)


def keeps_open(verdict: Verdict) -> bool:
    """Whether a window's evidence renews an alert that is open: it fires, by a figure of its own, and nobody waived it."""
    return verdict.state is State.FIRING and verdict.verdict is Word.FAIL and not verdict.reason.startswith("held_")


def worst(fired: Sequence[Verdict], calm: float | None = None) -> Verdict | None:
    """The verdict whose figure lies furthest beyond its limit, relative to it; the earliest among equals, None of none.

    Parameters
    ----------
    fired : sequence of Verdict
        Of one control x slice x input while its alert was open, in the order of their windows.
    calm : float, optional
        The figure while all was well; where a rule has no limit (`unchanged`), the worst is the furthest from it.
    """

    def badness(verdict: Verdict) -> tuple[bool, float]:
        normal = verdict.limit if verdict.limit is not None else calm
        if verdict.observed is None or normal is None:
            return False, 0.0
        return verdict.reason == "breach", abs(verdict.observed - normal) / (abs(normal) or 1.0)

    return max(fired, key=badness, default=None)


def has_fired(verdict: Verdict) -> bool:
    """Whether a window's evidence kept an alert going: not silence, nor a window in which it was already well."""
    silent = verdict.reason.startswith("held_") or verdict.reason == "recovering"
    return verdict.state is State.FIRING and verdict.underlying is Word.FAIL and not silent


def inputs_alone(verdicts: Sequence[Verdict], names: Sequence[str] = ()) -> dict[str, list[str]]:
    """Inputs that changed by themselves (`moved`), that did not (`still`), or of which it is `unknown`.

    By what their own drift controls judged in the same window; empty when there are none.

    Parameters
    ----------
    names : sequence of str
        Inputs to look at; all of them, when empty.
    """
    words_of: dict[str, set[Word]] = {}
    for verdict in verdicts:
        if verdict.kind not in ALERTS and verdict.input and (not names or verdict.input in names):
            words_of.setdefault(verdict.input, set()).add(verdict.underlying)
    found: dict[str, list[str]] = {}
    for name, judged in sorted(words_of.items()):
        calm = judged <= {Word.PASS, Word.NOT_APPLICABLE}
        found.setdefault("moved" if Word.FAIL in judged else "still" if calm else "unknown", []).append(name)
    return found


def _fired(verdicts: Sequence[Verdict], alert: Alert) -> list[Verdict]:
    return [
        verdict
        for verdict in verdicts
        if verdict.key == alert.key and verdict.end >= alert.opened and has_fired(verdict)
    ]


def _renewed(alert: Alert, verdict: Verdict, fired: Sequence[Verdict], beside: Sequence[Verdict]) -> Alert:
    return replace(
        alert,
        renewed=verdict.end,
        count=alert.count + 1,
        verdict=verdict.id,
        facts=_facts(verdict, worst([*fired, verdict]), beside),
        severity=verdict.severity,
    )


def _resolved(alert: Alert, verdict: Verdict, past: Sequence[Verdict]) -> Alert:
    """The alert at its end, with the worst of it."""
    top = worst(_fired(past, alert), verdict.observed)
    facts = dict(alert.facts)
    if top is not None:
        beside = [item for item in past if item.end == top.end]
        facts |= {key: value for key, value in _facts(top, top, beside).items() if key not in facts or key in _ENDING}
        facts.pop("text", None)
    return replace(alert, state="resolved", resolved=verdict.end, verdict=verdict.id, facts=facts)


_ENDING = ("worst", "inputs")
"""Facts that the end of an alert settles."""
_OF_A_FIGURE = (
    *("metric", "attributes", "observed", "limit", "unit", "n", "n_baseline", "interval", "p_value", "e_value", "how"),
    *("start", "end", "details", "condition", "step_s", "version"),
)


def _facts(verdict: Verdict, top: Verdict | None, beside: Sequence[Verdict]) -> dict[str, Any]:
    facts = dict(verdict.facts)
    if top is not None:
        facts["worst"] = {key: top.facts[key] for key in _OF_A_FIGURE if key in top.facts}
    if verdict.kind == "alignment" and (alone := inputs_alone(beside)):
        facts["inputs"] = alone
    return facts


def _finding(verdict: Verdict, known: Sequence[Alert]) -> str:
    """The finding of an alert that is open about the same change; else a new one."""
    subject = _subject(verdict)
    same = next((alert.finding for alert in known if alert.finding and _subject(alert) == subject), None)
    return same or digest([*(part or "" for part in subject), format_time(verdict.end)])[:32]


def _subject(item: Verdict | Alert) -> tuple[str | None, ...]:
    """What an alert is about, whichever control opened it."""
    at = item.facts.get("attributes", {})
    family = None if item.input else str(item.facts.get("metric", item.control)).partition(".")[0]
    return item.model, item.kind, item.input, item.slice, at.get("pair"), at.get("feature"), family


def _open(verdict: Verdict, before: Verdict | None, beside: Sequence[Verdict], known: Sequence[Alert]) -> Alert:
    since = before.since if before is not None and before.state is State.PENDING else verdict.since
    key = [*(part or "" for part in verdict.key), format_time(verdict.end)]
    return Alert(
        id=digest(key)[:32],
        kind=verdict.kind,
        model=verdict.model,
        policy=verdict.policy,
        control=verdict.control,
        slice=verdict.slice,
        input=verdict.input,
        modality=verdict.modality,
        severity=verdict.severity,
        state="open",
        opened=verdict.end,
        since=since,
        renewed=verdict.end,
        resolved=None,
        count=1,
        verdict=verdict.id,
        budget_share=verdict.budget_share,
        finding=_finding(verdict, known),
        facts=_facts(verdict, verdict, beside),
    )
