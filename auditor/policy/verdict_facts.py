"""The facts of a verdict: the figure, its limit, how sure it is, who waived or signed it. No sentence is made here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from auditor.core.facts import plain
from auditor.core.measurement import Measurement
from auditor.core.verdict import Word
from auditor.policy.attestations import Finding
from auditor.policy.decision import is_e_value
from auditor.policy.hysteresis import Standing
from auditor.policy.outcome import Outcome
from auditor.policy.schema import AttestationEvidence, Condition, Control, Planned, Waiver

MOST_BESIDE = 5
"""Further figures beyond the limit that are named; the rest is counted."""


def verdict_facts(
    control: Control,
    standing: Standing,
    word: Word,
    *,
    step: timedelta,
    versions: Sequence[str],
    outcome: Outcome | None,
    attested: Finding | None,
    waiver: Waiver | None,
    planned: Planned | None = None,
) -> dict[str, Any]:
    """All that a reader is shown of a verdict, as JSON data.

    Parameters
    ----------
    step : timedelta
        Length of the window.
    versions : sequence of str
        Model versions with records in the window.
    """
    facts: dict[str, Any] = {
        "title": control.title,
        "since": standing.since,
        "step_s": step.total_seconds(),
        "for_s": control.for_.total_seconds(),
        "clear_s": control.clear.for_.total_seconds(),
        "version": versions[0] if len(versions) == 1 else None,
        "versions": list(versions),
    }
    if control.next and word in (Word.FAIL, Word.WARN, Word.INSUFFICIENT_EVIDENCE, Word.WAIVED):
        facts["next"] = control.next
    if control.window.duration is not None:
        facts["reach_s"] = control.window.duration.total_seconds()
    if control.window.max_staleness is not None:
        facts["stale_s"] = control.window.max_staleness.total_seconds()
    if control.metric:
        facts["metric"] = control.metric
    if control.threshold_source:
        facts["limit_source"] = control.threshold_source
        facts["limit_is_example"] = control.borrowed
    if planned is not None:
        facts["planned"] = {"by": planned.owner, "until": planned.until, "reason": planned.reason}
    if control.condition is not None:
        facts["condition"] = condition_facts(control.condition)
    if outcome is not None:
        facts |= _outcome(outcome)
    if attested is not None and isinstance(control.evidence, AttestationEvidence):
        facts["statement"] = control.evidence.statement
        if (signed := attested.attestation) is not None:
            reviewer = signed.reviewed_by
            facts["signed"] = {
                "by": signed.by.name,
                "role": signed.by.role,
                "on": signed.on,
                "reviewer": reviewer and {"by": reviewer.name, "role": reviewer.role},
                "until": min(filter(None, (signed.valid_until, signed.on + control.evidence.valid_for))),
                "evidence": [item.sha256 for item in signed.evidence],
            }
    if waiver is not None:
        approved = waiver.approved_by
        facts["waiver"] = {
            "by": approved.name,
            "role": approved.role,
            "until": waiver.expires,
            "reason": waiver.reason,
        }
    return plain(facts)


def condition_facts(condition: Condition) -> dict[str, Any]:
    """Operator, ends and the phrase that the operator gives them."""
    return {"op": condition.op, "low": condition.low, "high": condition.high, "phrase": condition.phrase}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    facts: dict[str, Any] = {"series": len(outcome.series), "without_figure": len(outcome.missing)}
    if outcome.reason:
        facts["cause"] = outcome.reason
    if outcome.deciding is not None:
        facts |= figure_facts(outcome.deciding)
    further = outcome.beyond[1:]
    if further:
        facts["beyond"] = [
            {"metric": m.metric, "attributes": m.attributes, "unit": m.unit, "observed": m.value}
            for m in further[:MOST_BESIDE]
        ]
        facts["beyond_total"] = len(further)
    bet = outcome.e_value
    if bet is None and outcome.deciding is not None and is_e_value(outcome.deciding):
        bet = outcome.deciding
    if bet is not None:
        facts |= {"e_value": bet.value, "rising_since": bet.facts.get("rising_since")}
    if outcome.allowance is not None:
        allowed = outcome.allowance
        facts |= {
            "alpha": allowed.alpha,
            "false_pages": allowed.false_pages,
            "per_s": allowed.per.total_seconds(),
        }
    return facts


def figure_facts(m: Measurement) -> dict[str, Any]:
    """A measurement as facts: what it says, of what, from how many records, how sure."""
    interval = m.interval
    return {
        "metric": m.metric,
        "attributes": m.attributes,
        "observed": m.value,
        "unit": m.unit,
        "absent": m.reason,
        "n": m.n,
        "n_baseline": m.n_baseline,
        "interval": interval
        and {"lower": interval.lower, "upper": interval.upper, "level": interval.level, "method": interval.method},
        "p_value": m.p_value,
        "how": str(m.how),
        "start": m.start,
        "end": m.end,
        "details": dict(m.facts),
    }
