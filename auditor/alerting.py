"""The verb `alerts_for`: verdicts -> alerts that open, are renewed or resolve. Pure; all times are ends of windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from auditor.core.identity import digest
from auditor.core.verdict import Alert, AlertChange, State, Verdict, Word
from auditor.core.window import format_time


def alerts_for(open_alerts: Sequence[Alert], verdicts: Sequence[Verdict]) -> AlertChange:
    """What the verdicts of one window do to the alerts.

    An alert opens when a control x slice x input fires and nobody waived it, is renewed in each further window in which it
    fires on evidence, and resolves when its state is ok again. `insufficient_evidence` and `error` open none: they are
    gaps, and shown as such. While evidence is missing an open alert stays as it is.

    Parameters
    ----------
    open_alerts : sequence of Alert
        Alerts that are open before this window.
    verdicts : sequence of Verdict
        Of one window of one model, judged for the first time: auditing a window again changes no alert.

    Returns
    -------
    AlertChange
        In the order of the verdicts; ids follow from model, policy, control, slice, input and time of opening.
    """
    standing = {alert.key: alert for alert in open_alerts if alert.state == "open"}
    opened, renewed, resolved = [], [], []
    for verdict in verdicts:
        alert = standing.get(verdict.key)
        if alert is None:
            if verdict.state is State.FIRING and verdict.verdict is Word.FAIL:
                opened.append(_open(verdict))
        elif verdict.end <= alert.renewed:
            continue
        elif verdict.state is State.OK:
            resolved.append(replace(alert, state="resolved", resolved=verdict.end, verdict=verdict.id))
        elif verdict.state is State.FIRING and verdict.verdict is Word.FAIL and not verdict.reason.startswith("held_"):
            renewed.append(
                replace(
                    alert,
                    renewed=verdict.end,
                    count=alert.count + 1,
                    verdict=verdict.id,
                    explanation=verdict.explanation,
                    severity=verdict.severity,
                )
            )
    return AlertChange(opened=tuple(opened), renewed=tuple(renewed), resolved=tuple(resolved))


def _open(verdict: Verdict) -> Alert:
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
        since=verdict.since,
        renewed=verdict.end,
        resolved=None,
        count=1,
        verdict=verdict.id,
        budget_share=verdict.budget_share,
        explanation=verdict.explanation,
    )
