"""Verdicts and alerts in words: what changed, how sure, against which limit, since when, what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from auditor.core.measurement import How, Interval, Measurement, Method, Status
from auditor.core.verdict import Alert, AlertChange, State, Verdict, Word
from auditor.core.window import Span, format_duration, parse_time
from auditor.policy.schema import Condition
from auditor.registry import vocabulary
from auditor.wording.clauses import bare, figure, limit, limit_of, multiple
from auditor.wording.details import detail
from auditor.wording.metrics import subject_name
from auditor.wording.numbers import capital, chance, listing, plural, quantity, rarity, span_of
from auditor.wording.reasons import WHY, reason
from auditor.wording.times import day, how_often, length, window

_EPOCH = parse_time("1970-01-01T00:00:00Z")
_BROKEN = (Word.FAIL, Word.WARN, Word.WAIVED)


def explained(verdict: Verdict) -> Verdict:
    """The verdict with its sentences."""
    return replace(verdict, explanation=explain(verdict))


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


def explain(verdict: Verdict) -> str:
    """The sentences of a verdict, from its facts.

    One of a store from before facts were kept is shown by the text of that time.
    """
    facts = verdict.facts
    if "text" in facts:
        return str(facts["text"])
    head = f"{facts.get('title', verdict.control)}{place(verdict)}: {statement(verdict)}"
    parts = [head, *_doubts(verdict), *_standing(verdict), *_waiver(facts), *_next(facts)]
    return sentences(parts)


def body(verdict: Verdict) -> str:
    """The sentences of a verdict for where a heading has its title and place."""
    facts = verdict.facts
    if "text" in facts:
        return str(facts["text"])
    return sentences([statement(verdict), *_doubts(verdict), *_standing(verdict), *_waiver(facts), *_next(facts)])


def brief(alert: Alert) -> str:
    """An alert in one line: title, what changed, since when."""
    facts = alert.facts
    if "text" in facts:
        return str(facts["text"])
    shown = facts.get("worst") if alert.state == "resolved" else facts
    top = measured(shown) if shown else None
    what = reason(facts.get("cause") or "breach") if top is None or top.value is None else figure(top)
    step = timedelta(seconds=facts.get("step_s", 0.0))
    return f"{facts.get('title', alert.control)}{place(alert)}: {what}, since {when(alert.since, step)}{version(facts)}"


def statement(verdict: Verdict, *, past: bool = False) -> str:
    """What a verdict says, without title, doubt and next step: `KS distance of brightness 0.4; limit: at most 0.15`."""
    facts = verdict.facts
    if "statement" in facts:
        return _attested(verdict)
    found = measured(facts, verdict)
    if found is None or found.value is None:
        return why(verdict, facts.get("cause", ""))
    return held(verdict.verdict, facts, found, past=past)


def held(word: Word, facts: Mapping[str, Any], found: Measurement, *, past: bool = False) -> str:
    """The figure beside its limit."""
    if word in _BROKEN:
        text = figure(found)
    elif word in (Word.PASS, Word.NOT_APPLICABLE):
        series = facts.get("series", 1)
        text = f"within the limit{f' (nearest of {series:,} figures)' if series > 1 else ''}: {bare(found)}"
    else:
        text = f"no verdict: {figure(found)}"
    step = timedelta(seconds=facts.get("step_s", 0.0))
    if step and found.span.duration != step:
        text += f" over {length(found.span.duration)}"
    allowed = limit_facts(facts, found)
    more = detail(found, past=past)
    return f"{text}{f'; limit: {allowed}' if allowed else ''}{f' ({more})' if more else ''}"


def limit_facts(facts: Mapping[str, Any], found: Measurement) -> str:
    """The limit of a verdict in the form of its figure; empty, when the facts hold none."""
    condition = facts.get("condition")
    if condition:
        return limit(Condition(condition["op"], condition["low"], condition["high"], phrase=condition["phrase"]), found)
    return limit_of(facts["limit"], found) if facts.get("limit") is not None else ""


def why(verdict: Verdict, cause: str = "") -> str:
    """The reason of a verdict that no figure decided."""
    for code in (verdict.reason, cause):
        if code == "stale":
            after = verdict.facts.get("stale_s")
            return f"evidence is too old{f' (limit: {length(timedelta(seconds=after))})' if after else ''}"
        if code:
            return reason(code)
    return reason("no_data")


def measured(facts: Mapping[str, Any], verdict: Verdict | None = None) -> Measurement | None:
    """The deciding figure of a verdict or alert as a measurement; None when there was none."""
    if "observed" not in facts or "start" not in facts:
        return None
    value, interval = facts["observed"], facts.get("interval")
    return Measurement(
        id="",
        metric=facts["metric"],
        value=value,
        unit=facts.get("unit", "1"),
        status=Status.OK if value is not None else Status.INSUFFICIENT_DATA,
        reason="" if value is not None else facts.get("absent") or "no_data",
        model=verdict.model if verdict is not None else "",
        version=None,
        start=parse_time(facts["start"]),
        end=parse_time(facts["end"]),
        revision=0,
        n=facts.get("n") or 0,
        n_baseline=facts.get("n_baseline"),
        baseline=None,
        attributes=facts.get("attributes", {}),
        interval=Interval(**interval) if interval else None,
        p_value=facts.get("p_value"),
        method=Method("", ""),
        how=How(facts.get("how", "measured")),
        exact=True,
        bound=None,
        run="",
        recorded=_EPOCH,
        facts=facts.get("details", {}),
    )


def place(item: Verdict | Alert) -> str:
    """` (input photo) (site=north)`: what part of the traffic it is about; empty for all of it."""
    pair = item.facts.get("attributes", {}).get("pair")
    parts = [
        f"input {item.input}" if item.input else "",
        item.slice if item.slice != "overall" else "",
        pair_name(pair) if pair else "",
    ]
    return "".join(f" ({part})" for part in parts if part)


def pair_name(pair: str) -> str:
    """`photo and clip` for the attribute `photo~clip`."""
    return " and ".join(pair.split("~"))


def sentences(parts: Iterable[str]) -> str:
    """Parts as sentences, each with its full stop."""
    return " ".join(part if part.endswith((".", "?", "!")) else f"{part}." for part in parts if part)


def _attested(verdict: Verdict) -> str:
    facts, signed = verdict.facts, verdict.facts.get("signed")
    who = f"{signed['by']} ({signed['role']}) signed on {day(parse_time(signed['on']))}" if signed else ""
    if verdict.verdict is Word.PASS:
        return f"{who} that {facts['statement']!r} is satisfied"
    cause = facts.get("cause") or verdict.reason
    return f"{reason(cause)} ({facts['statement']!r}){f'; {who}' if who else ''}"


def _doubts(verdict: Verdict) -> list[str]:
    facts = verdict.facts
    found = measured(facts, verdict)
    if found is None or "statement" in facts:
        return []
    parts = []
    if found.value is not None:
        parts.append(certainty(facts, found, verdict.verdict))
        if verdict.reason in WHY and verdict.reason != "held_last":
            parts.append(capital(why(verdict)))
    if facts.get("beyond"):
        names = [subject_name(one["attributes"], one["metric"]) for one in facts["beyond"]]
        values = [quantity(one["observed"], one["unit"], one["metric"]) for one in facts["beyond"]]
        shown = [f"{name} {value}" for name, value in zip(names, values)]
        more = facts.get("beyond_total", len(shown)) - len(shown)
        parts.append(f"Also beyond the limit: {listing([*shown, *([f'{more} more'] if more > 0 else [])], most=9)}")
    if facts.get("without_figure"):
        parts.append(f"{facts['without_figure']} of {facts['series']} series had no figure")
    return parts


def certainty(facts: Mapping[str, Any], found: Measurement, word: Word) -> str:
    """How sure a figure is: e-value or p-value with its level and the expected false alarms, else interval, else n."""
    size = f"{found.n:,} records" + (f", {found.n_baseline:,} in the baseline" if found.n_baseline else "")
    won = facts.get("e_value")
    if facts.get("alpha") and word is not Word.PASS and (won is not None or found.p_value is not None):
        alpha, since = facts["alpha"], facts.get("rising_since")
        if won is not None:
            rising = f", adding up since {day(parse_time(since))}" if since else ""
            level = f"By chance {rarity(won)} (e-value {multiple(won)}{rising}; alarm above {multiple(1 / alpha)})"
        else:
            level = f"By chance: {chance(found.p_value or 0.0)}; alarm below p = {alpha:.1e}"
        often = how_often(facts["false_pages"], timedelta(seconds=facts["per_s"]))
        return f"{level}; expected false alarms of the policy: {often}; {size}"
    if found.interval is not None:
        ends = (quantity(edge, found.unit, found.metric) for edge in (found.interval.lower, found.interval.upper))
        return f"{100 * found.interval.level:g} % interval {span_of(*ends)}; {size}"
    if found.p_value is not None:
        return f"By chance: {chance(found.p_value)}; {size}"
    return capital(size) if found.how is How.MEASURED else f"{capital(str(found.how))}, not metered; {size}"


def _standing(verdict: Verdict) -> list[str]:
    facts = verdict.facts
    step = timedelta(seconds=facts.get("step_s", 0.0))
    since = when(verdict.since, step)
    if verdict.state is State.PENDING:
        wait = format_duration(timedelta(seconds=facts.get("for_s", 0.0)))
        return [f"Beyond the limit since {since}; an alert opens after {wait}"]
    if verdict.state is State.FIRING:
        return [f"Open since {since}"]
    if verdict.state is State.RECOVERING:
        wait = format_duration(timedelta(seconds=facts.get("clear_s", 0.0)))
        return [f"Within the limit since {since}; it is closed after {wait}"]
    return []


def _waiver(facts: Mapping[str, Any]) -> list[str]:
    given = facts.get("waiver")
    if not given:
        return []
    return [f"Waived by {given['by']} ({given['role']}) until {day(parse_time(given['until']))}: {given['reason']}"]


def _next(facts: Mapping[str, Any]) -> list[str]:
    return [f"Next: {facts['next']}"] if facts.get("next") else []


def when(end: datetime, step: timedelta) -> str:
    """The window that ends then, as a reader names it."""
    return window(Span(end - step, end)) if step else day(end)


# -- alerts ----------------------------------------------------------------------------------------------------------------

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
    head = f"{facts.get('title', alert.control)}{place(alert)}"
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
        return sentences([*parts, alone(facts), f"Next: {AFTERWARDS}"])
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
    return sentences([*parts, alone(facts), *(_next(facts) or [f"Next: {vocabulary().advice(alert.kind)}"])])


def version(facts: Mapping[str, Any]) -> str:
    """` (v2.0.0)`, when one model version served the window."""
    return f" (v{facts['version']})" if facts.get("version") else ""


def alone(facts: Mapping[str, Any]) -> str:
    """Whether the inputs of a pair changed by themselves, from the fact `inputs`; empty when that is not known.

    Inputs that look as always and no longer belong together have another cause than one that changed.
    """
    inputs = facts.get("inputs") or {}
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
