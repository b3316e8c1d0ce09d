"""The verb `alerts_for`: verdicts -> alerts that open, are renewed or resolve. Pure; all times are ends of windows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from auditor import wording
from auditor.core.catalogue import ALERTS
from auditor.core.identity import digest
from auditor.core.verdict import Alert, AlertChange, State, Verdict, Word
from auditor.core.window import Span, format_time
from auditor.wording.verdicts import before_next, first_sentence

ALONE = "Each input taken alone: "
NOW = r"\bnow\b"
"""What a figure's note calls its window; told of an alert that is over, that was then."""

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
    opened, renewed, resolved = [], [], []
    for verdict in verdicts:
        alert = standing.get(verdict.key)
        if alert is None:
            if verdict.state is State.FIRING and verdict.verdict is Word.FAIL:
                opened.append(_open(verdict, before.get(verdict.key), verdicts))
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
            text = f"Resolved: no longer judged for this input or group. {alert.explanation}"
            resolved.append(replace(alert, state="resolved", resolved=beside.end, explanation=text))
    return AlertChange(opened=tuple(opened), renewed=tuple(renewed), resolved=tuple(resolved))


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


def inputs_alone(verdicts: Sequence[Verdict], names: Sequence[str] = ()) -> str:
    """Whether the inputs changed by themselves, by what their own drift rules say in the same window; empty when none does.

    What an alert about pairs must say: inputs that look as always and no longer belong together have another cause than
    one that changed.

    Parameters
    ----------
    names : sequence of str
        Inputs to speak of; all of them, when empty.
    """
    words_of: dict[str, set[Word]] = {}
    for verdict in verdicts:
        if verdict.kind not in ALERTS and verdict.input and (not names or verdict.input in names):
            words_of.setdefault(verdict.input, set()).add(verdict.underlying)
    moved = sorted(name for name, said in words_of.items() if Word.FAIL in said)
    still = sorted(name for name, said in words_of.items() if said <= {Word.PASS, Word.NOT_APPLICABLE})
    unknown = sorted(words_of.keys() - {*moved, *still})
    if not words_of:
        return ""
    clauses = []
    if moved:
        clauses.append(f"{wording.listing(moved)} changed as well (see its own alert)")
    if still:
        clauses.append(f"no drift rule about {wording.listing(still)} is broken")
    if unknown:
        clauses.append(f"of {wording.listing(unknown)} that is not known")
    text = f"{ALONE}{'; '.join(clauses)}"
    return f"{text}." if moved or unknown else f"{text}, so it may be the pairing that changed."


def _fired(verdicts: Sequence[Verdict], alert: Alert) -> list[Verdict]:
    return [
        verdict
        for verdict in verdicts
        if verdict.key == alert.key and verdict.end >= alert.opened and has_fired(verdict)
    ]


def _renewed(alert: Alert, verdict: Verdict, fired: Sequence[Verdict], beside: Sequence[Verdict]) -> Alert:
    text = _with_inputs(verdict, beside)
    top = worst([*fired, verdict])
    if top is not None and top is not verdict and verdict.limit is not None:
        text = before_next(
            text, f"Worst so far in the window of {_window(verdict, top.end)}: {_said(top.explanation)[1]}."
        )
    if alert.since < verdict.since:
        text = before_next(text, f"First seen in the window of {_window(verdict, alert.since)}.")
    return replace(
        alert,
        renewed=verdict.end,
        count=alert.count + 1,
        verdict=verdict.id,
        explanation=text,
        severity=verdict.severity,
    )


def _resolved(alert: Alert, verdict: Verdict, past: Sequence[Verdict]) -> Alert:
    """The alert at its end: that it is over, since when, how long it lasted, and the worst of it."""
    top = worst(_fired(past, alert), verdict.observed)
    at, explanation = (top.end, top.explanation) if top is not None else (alert.renewed, alert.explanation)
    name, what = _said(explanation)
    first, last = _window(verdict, alert.since), _window(verdict, alert.renewed)
    seen = (
        f"in the window of {first}"
        if first == last
        else f"in {wording.plural(alert.count, 'window')}, {first} to {last}"
    )
    text = (
        f"Resolved: {name}. Within its rule again in the window of {_window(verdict, verdict.end)}; seen {seen}. "
        f"Worst in the window of {_window(verdict, at)}: {what}."
    )
    if alert.kind == "alignment" and (alone := inputs_alone([item for item in past if item.end == at])):
        text += f" {alone}"
    text += " Next: write down what caused it, and what was done about the calls of that time."
    return replace(alert, state="resolved", resolved=verdict.end, verdict=verdict.id, explanation=text)


def _said(explanation: str) -> tuple[str, str]:
    """The rule with its place, and what its first sentence said of it in its own time."""
    name, _, what = re.sub(NOW, "then", first_sentence(explanation)).partition(": ")
    return name, what or name


def _window(like: Verdict, end: datetime) -> str:
    """The window that ends then, as long as that of `like`."""
    return wording.window(Span(end - (like.end - like.start), end))


def _with_inputs(verdict: Verdict, beside: Sequence[Verdict]) -> str:
    if verdict.kind != "alignment":
        return verdict.explanation
    return before_next(verdict.explanation, inputs_alone(beside))


def _open(verdict: Verdict, before: Verdict | None, beside: Sequence[Verdict]) -> Alert:
    text, since = _with_inputs(verdict, beside), verdict.since
    if before is not None and before.state is State.PENDING:
        since = before.since
        text = before_next(text, f"First seen in the window of {_window(verdict, since)}.")
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
        explanation=text,
    )
