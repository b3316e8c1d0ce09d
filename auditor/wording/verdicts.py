"""Verdicts in words: what changed, how sure, against which limit, since when, what to do next."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta

from auditor.core.measurement import How, Measurement
from auditor.core.verdict import State, Word
from auditor.core.window import Span, format_duration, format_time, parse_time
from auditor.policy.attestations import Finding
from auditor.policy.decision import is_e_value
from auditor.policy.hysteresis import Standing
from auditor.policy.outcome import Outcome
from auditor.policy.schema import AttestationEvidence, Condition, Control, Waiver
from auditor.registry import vocabulary
from auditor.wording.details import detail
from auditor.wording.metrics import column_of, metric_name
from auditor.wording.numbers import chance, number, quantity, rarity, span_of
from auditor.wording.reasons import WHY
from auditor.wording.times import day, how_often, length, window

NEXT = " Next: "
"""Before what to do next, which stands last."""


def figure(measurement: Measurement) -> str:
    """The figure as a clause.

    Known metrics have words of their own; the rest read `the metric is value`.
    """
    at = measurement.attributes
    value = measurement.value
    if value is None:
        return f"the {metric_name(measurement.metric)} has no value"
    spec = vocabulary().metric(measurement.metric)
    template = (spec.clause if spec is not None else "") or "the {metric}{of} is {value}"
    return template.format(
        metric=metric_name(measurement.metric),
        value=value_text(measurement),
        column=_subject(at),
        of=f" of {_subject(at)}" if "column" in at else "",
        input=f"the {at.get('modality', '').replace('_', ' ')} input {at['input']}".replace("  ", " ")
        if "input" in at
        else "an input",
        pair=" and ".join(at["pair"].split("~")) if "pair" in at else "the inputs",
        feature=at.get("feature", ""),
        group=at.get("group", ""),
    )


def value_text(measurement: Measurement) -> str:
    """Its value in the one form that readers see."""
    value = measurement.value or 0.0
    return _times(value) if is_e_value(measurement) else quantity(value, measurement.unit, measurement.metric)


def limit(condition: Condition, measurement: Measurement) -> str:
    """The condition in the form of the figure that is held against it: `at most 5 %`."""

    def said(end: float) -> str:
        return quantity(end, measurement.unit, measurement.metric)

    return condition.text(said)


def _times(value: float) -> str:
    """A multiple, which may be enormous.

    >>> _times(12.3), _times(3.2e7), _times(1e200)
    ('12.3', '3.2e+07', '1.0e+200')
    """
    return f"{value:.1e}" if value >= 1e6 else number(value)


def _subject(at: Mapping[str, str]) -> str:
    if "pair" in at and "column" in at:
        return f"the agreement of {' and '.join(at['pair'].split('~'))}"
    return column_of(at) or at.get("component", "the inputs").replace("_", " ")


def first_sentence(explanation: str) -> str:
    """What an explanation says changed, without how sure that is and what to do.

    >>> first_sentence("Drift (input a): it moved (1.5 of 2). If nothing had changed, rarely.")
    'Drift (input a): it moved (1.5 of 2)'
    """
    return re.split(r"\.(?=\s+[A-Z0-9])|\.$", explanation, maxsplit=1)[0]


def before_next(explanation: str, sentence: str) -> str:
    """The explanation with one more sentence, before what to do next.

    >>> before_next("It moved. Next: Look.", "So did that.")
    'It moved. So did that. Next: Look.'
    """
    said, mark, then = explanation.partition(NEXT)
    return f"{said} {sentence}{mark}{then}" if sentence else explanation


def explain_metric(
    control: Control,
    outcome: Outcome,
    word: Word,
    reason: str,
    standing: Standing,
    place: str,
    waiver: Waiver | None,
    step: timedelta,
) -> str:
    """The sentences of a metric verdict; `place` names slice and input, `step` is how long a window is."""
    pair = outcome.deciding.attributes.get("pair") if outcome.deciding is not None else None
    if pair is not None:
        place += f" ({' and '.join(pair.split('~'))})"
    parts = [f"{control.title}{place}: {_what(outcome, word, reason)}"]
    if outcome.deciding is not None and outcome.deciding.value is not None and control.condition is not None:
        allowed = limit(control.condition, outcome.deciding)
        parts[0] += f"{_reach(outcome.deciding, step)}, where {allowed} is allowed{_note(outcome.deciding)}"
        parts.append(_certainty(outcome, outcome.deciding, word))
    if outcome.deciding is not None and reason in WHY and reason not in ("held_last",):
        parts.append(_sentence(WHY[reason]))
    if len(outcome.beyond) > 1:
        parts.append(f"Also beyond the limit: {_list([_label(m) for m in outcome.beyond[1:]])}")
    if outcome.missing and outcome.deciding is not None:
        parts.append(f"{len(outcome.missing)} of {len(outcome.series)} series had no figure")
    modality = outcome.deciding.attributes.get("modality") if outcome.deciding is not None else None
    parts += _ending(control, word, standing, waiver, step, _advice(control, modality))
    return " ".join(f"{part}." if not part.endswith((".", "?", "!")) else part for part in parts if part)


def explain_attestation(
    control: Control,
    evidence: AttestationEvidence,
    finding: Finding,
    word: Word,
    standing: Standing,
    waiver: Waiver | None,
    step: timedelta,
) -> str:
    """The sentences of an attestation's verdict."""
    signed = finding.attestation
    who = f"{signed.by.name} ({signed.by.role}) signed on {format_time(signed.on)[:10]}" if signed is not None else ""
    if word is Word.PASS:
        text = f"{who} that {evidence.statement!r} is satisfied"
    else:
        text = f"{WHY.get(finding.reason, finding.reason)} ({evidence.statement!r})" + (f"; {who}" if who else "")
    parts = [f"{control.title}: {text}", *_ending(control, word, standing, waiver, step)]
    return " ".join(f"{part}." if not part.endswith(".") else part for part in parts if part)


def explain_other(control: Control, reason: str) -> str:
    """The sentence of a verdict that needed no evidence."""
    return f"{control.title}: {WHY.get(reason, reason)}."


def _what(outcome: Outcome, word: Word, reason: str) -> str:
    if outcome.deciding is None or outcome.deciding.value is None:
        return WHY.get(reason, WHY.get(outcome.reason, reason or outcome.reason))
    if word in (Word.FAIL, Word.WARN, Word.WAIVED):
        return figure(outcome.deciding)
    if word in (Word.PASS, Word.NOT_APPLICABLE):
        several = f"; nearest to it of {len(outcome.series)} figures" if len(outcome.series) > 1 else ""
        return f"within its limit{several}: {_plain(outcome.deciding)}"
    return f"cannot be shown: {figure(outcome.deciding)}"


def _plain(measurement: Measurement) -> str:
    about = column_of(measurement.attributes)
    return f"{metric_name(measurement.metric)}{f' of {about}' if about else ''} {value_text(measurement)}"


def _reach(measurement: Measurement, step: timedelta) -> str:
    """Over how long the figure is, when that is not the window."""
    return "" if measurement.span.duration == step else f" over {length(measurement.span.duration)}"


def _certainty(outcome: Outcome, deciding: Measurement, word: Word) -> str:
    size = f"{deciding.n:,} records" + (
        f" against {deciding.n_baseline:,} in the baseline" if deciding.n_baseline else ""
    )
    allowed = outcome.allowance
    bet = outcome.e_value or (deciding if is_e_value(deciding) else None)
    if allowed is not None and bet is not None and word is not Word.PASS:
        won = bet.value or 0.0
        return (
            f"If nothing had changed, evidence this strong would turn up {rarity(won)} (e-value {_times(won)}"
            f"{_rising(bet)}); the rule alarms above {_times(1 / allowed.alpha)}, so that its whole policy raises a false "
            f"alarm {how_often(allowed.false_pages, allowed.per)}; {size}"
        )
    if allowed is not None and deciding.p_value is not None and word is not Word.PASS:
        unless = "the groups did not differ" if deciding.metric.startswith("fairness.") else "nothing had changed"
        return (
            f"If {unless}, so much would show {chance(deciding.p_value)} (p = {_p(deciding.p_value)}); the rule "
            f"alarms below p = {allowed.alpha:.1e}, so that its whole policy raises a false alarm "
            f"{how_often(allowed.false_pages, allowed.per)}; {size}"
        )
    interval = deciding.interval
    if interval is not None:
        ends = (quantity(edge, deciding.unit, deciding.metric) for edge in (interval.lower, interval.upper))
        return f"{100 * interval.level:g} % interval {span_of(*ends)}; {size}"
    if deciding.p_value is not None:
        return f"p = {_p(deciding.p_value)}; {size}"
    return (
        f"Known from {size}"
        if deciding.how is How.MEASURED
        else f"{str(deciding.how).capitalize()}, not metered; {size}"
    )


def _rising(bet: Measurement) -> str:
    """The part of a bet's note that says since when."""
    since = bet.facts.get("rising_since")
    return f", adding up since {day(parse_time(since))}" if since else ""


def _advice(control: Control, modality: str | None) -> str:
    """What to do next, by the advice of the input's kind; empty for a control about something else."""
    kind = control.kind or vocabulary().alert_kind(control.metric or "", modality)
    return vocabulary().advice(kind) if kind in vocabulary().modalities else ""


def _ending(
    control: Control, word: Word, standing: Standing, waiver: Waiver | None, step: timedelta, advice: str = ""
) -> list[str]:
    found = []
    since = f"the window of {window(Span(standing.since - step, standing.since))}"
    if standing.state is State.PENDING:
        found.append(f"Broken since {since}; an alert opens when this lasts {format_duration(control.for_)}")
    elif standing.state is State.FIRING:
        found.append(f"In alarm since {since}")
    elif standing.state is State.RECOVERING:
        found.append(f"Well again since {since}; that is believed after {format_duration(control.clear.for_)}")
    if waiver is not None:
        found.append(
            f"Waived by {waiver.approved_by.name} ({waiver.approved_by.role}) until {format_time(waiver.expires)[:10]}: "
            f"{waiver.reason}"
        )
    advice = control.next or advice
    if advice and word in (Word.FAIL, Word.WARN, Word.INSUFFICIENT_EVIDENCE, Word.WAIVED):
        found.append(f"{NEXT.strip()} {advice}")
    return found


def _note(measurement: Measurement) -> str:
    told = detail(measurement)
    return f" ({told})" if told else ""


def _label(measurement: Measurement) -> str:
    at = measurement.attributes
    place = at.get("pair", "").replace("~", " and ") or at.get("feature", "")
    name = column_of(at) or place or metric_name(measurement.metric)
    return f"{name} {value_text(measurement)}"


def _list(names: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _p(value: float) -> str:
    return "under 1e-300" if value < 1e-300 else f"{value:.2g}"


def limit_text(condition: Condition | None) -> str:
    """The condition in words, for listings."""
    return condition.text() if condition is not None else "a signed statement"
