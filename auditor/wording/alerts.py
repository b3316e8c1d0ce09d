"""Alerts in words: headline, what changed, since when, how sure, what to do next; for terminal, sink, page and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from auditor.core.catalogue import HEAD
from auditor.core.measurement import Measurement
from auditor.core.verdict import Alert, AlertChange, Word
from auditor.core.window import Span
from auditor.registry import vocabulary
from auditor.wording.clauses import clause, value_text
from auditor.wording.metrics import column_of, metric_name
from auditor.wording.numbers import capital, listing, plural
from auditor.wording.reasons import reason
from auditor.wording.times import length, window
from auditor.wording.verdicts import (
    also_beyond,
    certainty,
    held,
    measured,
    over,
    pair_name,
    place,
    sentences,
    slice_name,
    title,
    when,
)


def told(alert: Alert) -> Alert:
    """The alert with its sentences."""
    return replace(alert, explanation=tell(alert))


def told_all(change: AlertChange) -> AlertChange:
    """The alerts of an audit with their sentences."""
    return replace(
        change,
        opened=tuple(map(told, change.opened)),
        renewed=tuple(map(told, change.renewed)),
        resolved=tuple(map(told, change.resolved)),
    )


def brief(alert: Alert) -> str:
    """An alert in one line: title, what changed, since when."""
    facts = alert.facts
    if "text" in facts:
        return str(facts["text"])
    shown = facts.get("worst") if alert.state == "resolved" else facts
    top = measured(shown) if shown else None
    what = reason(facts.get("cause") or "breach") if top is None or top.value is None else clause(top)
    step = timedelta(seconds=facts.get("step_s", 0.0))
    return f"{title(alert)}{place(alert)}: {what}, since {when(alert.since, step)}{version(facts)}"


_RESOLVED = {
    "not_judged": "No longer judged for this input or group",
    "withdrawn": "With the data that arrived later the control did not fail. ",
}
AFTERWARDS = "Write down what caused it, and what was done about the inferences of that time."


def tell(alert: Alert) -> str:
    """The sentences of an alert, from its facts: what changed, since when, the worst of it, what to do next."""
    facts = alert.facts
    if "text" in facts:
        return f"{_RESOLVED.get(facts.get('resolution', ''), '')}{facts['text']}"
    step = timedelta(seconds=facts.get("step_s", 0.0))
    head = f"{title(alert)}{place(alert)}"
    worst = facts.get("worst")
    if alert.state == "resolved":
        first, last = when(alert.since, step), when(alert.renewed, step)
        seen = first if first == last else f"{plural(alert.count, 'window')}, {first} to {last}"
        over = _RESOLVED.get(facts.get("resolution", ""), "Within the limit again")
        parts = [f"Resolved: {head}", f"{over} on {when(alert.resolved or alert.renewed, step)}; seen {seen}"]
        if facts.get("resolution") == "withdrawn":
            parts = [f"Withdrawn: {head}", _RESOLVED["withdrawn"]]
        shown = worst or facts
        top = measured(shown)
        if top is not None and top.value is not None:
            parts.append(f"Worst, on {window(top.span)}: {held(Word.FAIL, shown, top, past=True)}")
        return sentences([*parts, alone(facts.get("inputs") or {}), f"Next: {AFTERWARDS}"])
    top = measured(facts)
    what = (
        held(Word.FAIL, facts, top)
        if top is not None and top.value is not None
        else reason(facts.get("cause") or "breach")
    )
    parts = [f"{head}: {what}"]
    if top is not None and top.value is not None:
        parts.append(certainty(facts, top, Word.FAIL))
    parts.append(f"Open since {when(alert.since, step)}{version(facts)}")
    peak = measured(worst) if worst else None
    if worst and peak is not None and peak.value is not None and top is not None and peak.span != top.span:
        parts.append(f"Worst so far, on {window(peak.span)}: {held(Word.FAIL, worst, peak, past=True)}")
    return sentences([*parts, alone(facts.get("inputs") or {}), f"Next: {advice(alert)}"])


def version(facts: Mapping[str, Any]) -> str:
    """` (v2.0.0)`, when one model version served the window."""
    return f" (v{facts['version']})" if facts.get("version") else ""


def alone(inputs: Mapping[str, Sequence[str]]) -> str:
    """Whether the inputs of a pair changed by themselves (`moved`, `still`, `unknown`); empty when nothing is known.

    Inputs that look as always and no longer belong together have another cause than one that changed.
    """
    moved, still, unknown = (inputs.get(name, ()) for name in ("moved", "still", "unknown"))
    clauses = []
    if moved:
        clauses.append(f"{listing(moved)} changed as well (see its own alert)")
    if still:
        clauses.append(f"no drift control of {listing(still)} failed")
    if unknown:
        clauses.append(f"of {listing(unknown)} that is not known")
    if not clauses:
        return ""
    cause = "" if moved or unknown else ", so it may be the pairing that changed"
    return f"Each input taken alone: {'; '.join(clauses)}{cause}."


# -- the parts of a story ----------------------------------------------------------------------------------------------------


def advice(alert: Alert) -> str:
    """What to do next: what its control asks for, else what is usual for its kind."""
    return str(alert.facts.get("next") or vocabulary().advice(alert.kind))


def headline(alert: Alert, facts: Mapping[str, Any], step: timedelta) -> str:
    """`Images changed: photo`, `Outcomes differ between groups: speaker, over 7 days`, `Outputs changed: entropy`.

    Parameters
    ----------
    facts : mapping
        Of the verdict that is shown: the worst of the period.
    step : timedelta
        Length of an audited window.
    """
    base = vocabulary().headline(alert.kind) or title(alert)
    found = measured(facts)
    about = [alert.input] if alert.input else []
    if alert.slice != "overall":
        about.append(slice_name(alert.slice))
    if found is not None:
        at = found.attributes
        if alert.kind == "quality" and found.metric.startswith("drift."):
            base = "Outputs changed"
            at = {**at, "column": at.get("column", "").removeprefix("output.")}
        if not about and "pair" in at:
            about = [pair_name(at["pair"])]
        elif not about and "feature" in at:
            about = [at["feature"].replace("_", " ")]
        elif not about and alert.kind == "quality":
            about = [column_of(at) or metric_name(found.metric)]
    text = f"{base}: {', '.join(about)}" if about else base
    longer = over(found, step) if found is not None else ""
    return f"{text},{longer}" if longer else text


def changed(
    alert: Alert,
    facts: Mapping[str, Any],
    *,
    past: bool,
    inputs: Mapping[str, Sequence[str]] | None = None,
    leads: Sequence[Mapping[str, str]] = (),
) -> str:
    """What changed, in sentences: the figure, its limit, further figures beyond it.

    Parameters
    ----------
    facts : mapping
        Of the verdict that is shown; else those of the alert.
    past : bool
        Whether the change is over.
    inputs : mapping, optional
        Of a pair: which inputs changed by themselves.
    leads : sequence of mapping
        Attributes of the deciding figures of all windows of the alert.
    """
    found = measured(facts)
    if found is None or found.value is None:
        return alert.explanation
    parts = [capital(held(Word.FAIL, facts, found, past=past)), also_beyond(facts)]
    if found.attributes.get("column", "").startswith(HEAD):  # a change of the payload itself is the better lead
        outer = [at for at in leads if not at.get("column", HEAD).startswith(HEAD)]
        names = list(dict.fromkeys(map(column_of, outer)))
        parts.append(f"In another of its windows the input itself led: {listing(names, most=3)}" if names else "")
    return sentences([*parts, alone(inputs or {})])


def lasted(
    alert: Alert, step: timedelta, *, is_open: bool, worst: Span | None = None, newest: Measurement | None = None
) -> str:
    """Since when, how long, whether resolved; of more than one window, which was the worst, and the newest figure."""
    text = f"Since {when(alert.since, step)}{version(alert.facts)}"
    if alert.opened != alert.since:
        text += f", alert opened {when(alert.opened, step)}"
    text += f"; open for {length(max(alert.count, 1) * step)}"
    if not is_open and alert.resolved is not None:
        text += f", resolved {when(alert.resolved, step)}"
    parts = [text]
    if worst is not None and alert.count > 1:
        parts.append(f"Worst: {window(worst)} (shown here)")
        if newest is not None and newest.value is not None and newest.span != worst:
            parts[-1] += f"; newest window: {value_text(newest)}"
    return sentences(parts)


def doubt(facts: Mapping[str, Any]) -> str:
    """How sure the figure behind an alert is, in one sentence."""
    found = measured(facts)
    if found is None:
        return "The figure behind this alert is not in the chosen period."
    return sentences([certainty(facts, found, Word.FAIL), *_compared(facts)])


def _compared(facts: Mapping[str, Any]) -> list[str]:
    count = facts.get("series", 1)
    return [f"The control compared {count:,} figures"] if count > 1 else []
