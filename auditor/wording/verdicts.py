"""Verdicts in words: the figure, how sure it is, against which limit, since when, what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from auditor.core.measurement import How, Interval, Measurement, Method, Status
from auditor.core.verdict import Alert, State, Verdict, Word
from auditor.core.window import Span, format_duration, parse_time
from auditor.policy.schema import Condition
from auditor.wording.clauses import bare, clause, limit, limit_of, multiple, value_text
from auditor.wording.details import detail
from auditor.wording.figures import how_sure
from auditor.wording.metrics import column_of, subject_name
from auditor.wording.numbers import capital, chance, listing, quantity, rarity
from auditor.wording.reasons import WHY, reason
from auditor.wording.times import day, how_often, length, window

_EPOCH = parse_time("1970-01-01T00:00:00Z")
_BROKEN = (Word.FAIL, Word.WARN, Word.WAIVED)


def explained(verdict: Verdict) -> Verdict:
    """The verdict with its sentences."""
    return replace(verdict, explanation=explain(verdict))


def explain(verdict: Verdict) -> str:
    """The sentences of a verdict, from its facts.

    One of a store from before facts were kept is shown by the text of that time.
    """
    facts = verdict.facts
    if "text" in facts:
        return str(facts["text"])
    head = f"{title(verdict)}{place(verdict)}: {statement(verdict)}"
    parts = [head, *_doubts(verdict), *_standing(verdict), *_waiver(facts), *_next(facts)]
    return sentences(parts)


def body(verdict: Verdict) -> str:
    """The sentences of a verdict for where a heading has its title and place."""
    facts = verdict.facts
    if "text" in facts:
        return str(facts["text"])
    return sentences([statement(verdict), *_doubts(verdict), *_standing(verdict), *_waiver(facts), *_next(facts)])


def statement(verdict: Verdict, *, past: bool = False) -> str:
    """The statement of a verdict, without title, doubt and next step: `KS distance of brightness 0.4; limit: at most 0.15`."""
    facts = verdict.facts
    if "statement" in facts:
        return _attested(verdict)
    found = measured(facts, verdict)
    if found is None or found.value is None:
        return why(verdict, facts.get("cause", ""))
    return held(verdict.verdict, facts, found, past=past)


def held_briefly(verdict: Verdict) -> str:
    """The figure and its limit for a cell of a table; else the reason why there is none."""
    facts, found = verdict.facts, measured(verdict.facts, verdict)
    if "text" in facts:
        return str(facts["text"])
    if found is None or found.value is None:
        return statement(verdict)
    about, allowed = column_of(found.attributes) or found.attributes.get("feature", ""), limit_facts(facts, found)
    longer = over(found, verdict.end - verdict.start)
    return f"{f'{about}: ' if about else ''}{value_text(found)}{longer}{f' ({allowed})' if allowed else ''}"


def held(word: Word, facts: Mapping[str, Any], found: Measurement, *, past: bool = False) -> str:
    """The figure beside its limit."""
    if word in _BROKEN:
        text = clause(found)
    elif word in (Word.PASS, Word.NOT_APPLICABLE):
        series = facts.get("series", 1)
        text = f"within the limit{f' (nearest of {series:,} figures)' if series > 1 else ''}: {bare(found)}"
    else:
        text = f"no verdict: {clause(found)}"
    text += over(found, timedelta(seconds=facts.get("step_s", 0.0)))
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


def title(item: Verdict | Alert) -> str:
    """The title of the control, as it was when it judged; else its id as a heading."""
    return str(item.facts.get("title") or capital(item.control.replace("-", " ").replace("_", " ").strip()))


def where(item: Verdict) -> str:
    """What part of the traffic a verdict is about, for a column of a table."""
    parts = [f"input {item.input}"] if item.input else []
    if item.slice != "overall":
        parts.append(slice_name(item.slice))
    return ", ".join(parts) or "all traffic"


def slice_name(name: str) -> str:
    """`sex = f and site = north` for the slice `sex=f&site=north`."""
    return name.replace("&", " and ").replace("=", " = ")


def over(found: Measurement, step: timedelta) -> str:
    """` over 7 days`, when a figure is about another stretch of time than a window; else nothing."""
    duration = found.span.duration
    return f" over {length(duration)}" if step and duration != step else ""


def reach(verdict: Verdict) -> timedelta:
    """How long the stretch of time is that a control looks at: a window, or more."""
    asked, found = verdict.facts.get("reach_s"), measured(verdict.facts)
    if asked:
        return timedelta(seconds=asked)
    return found.span.duration if found is not None else verdict.end - verdict.start


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
    parts.append(also_beyond(facts))
    if facts.get("without_figure"):
        parts.append(f"{facts['without_figure']} of {facts['series']} series had no figure")
    return parts


def also_beyond(facts: Mapping[str, Any]) -> str:
    """Further figures beyond the limit; empty, when there is none."""
    beyond = facts.get("beyond", ())
    shown = [
        f"{subject_name(one['attributes'], one['metric'])} {quantity(one['observed'], one['unit'], one['metric'])}"
        for one in beyond
    ]
    more = facts.get("beyond_total", len(shown)) - len(shown)
    return (
        f"Also beyond the limit: {listing([*shown, *([f'{more} more'] if more > 0 else [])], most=9)}" if shown else ""
    )


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
    return how_sure(found)


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
