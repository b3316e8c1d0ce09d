"""The life of alerts: verdicts in the order of their windows -> alerts as they stand, beside what people were told before.

`fold` is a function of verdicts alone. `settle` compares its outcome with the alerts of the store: new events are sent
once, whatever the order in which evidence arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from auditor.audit.alerting import alerts_for, keeps_open
from auditor.core.identity import digest
from auditor.core.verdict import Alert, AlertChange, Verdict
from auditor.wording.alerts import told

Key = tuple[str, str, str, str, str | None]
Past = Callable[[Alert, datetime], Sequence[Verdict]]
"""(alert, moment) -> verdicts of its control since it opened, in windows before the moment."""
_EVER = datetime.max.replace(tzinfo=UTC)


def succeed(previous: Mapping[Key, Verdict], verdicts: Iterable[Verdict]) -> dict[Key, Verdict]:
    """The newest verdicts after one more window: a control that was judged has no series but those it was judged for."""
    verdicts = list(verdicts)
    judged = {(verdict.policy, verdict.control) for verdict in verdicts}
    kept = {key: old for key, old in previous.items() if (old.policy, old.control) not in judged}
    return {**kept, **{verdict.key: verdict for verdict in verdicts}}


def standing_at(alerts: Sequence[Alert], moment: datetime, past: Past) -> list[Alert]:
    """The alerts that were open at a moment, as they stood then."""
    found = []
    for alert in alerts:
        if alert.opened <= moment and (alert.resolved is None or alert.resolved > moment):
            fired = [
                verdict
                for verdict in past(alert, moment)
                if verdict.key == alert.key and verdict.end >= alert.opened and keeps_open(verdict)
            ]
            found.append(
                replace(
                    alert,
                    state="open",
                    resolved=None,
                    renewed=max((verdict.end for verdict in fired), default=alert.opened),
                    count=max(len(fired), 1),
                )
            )
    return found


def fold(
    standing: Sequence[Alert], windows: Iterable[Sequence[Verdict]], previous: Mapping[Key, Verdict], past: Past
) -> list[Alert]:
    """Every alert that was open at the beginning or opened since, as it stands after the last window.

    Parameters
    ----------
    standing : sequence of Alert
        Open before the first window.
    windows : iterable of sequence of Verdict
        The verdicts of each window, in order.
    previous : mapping
        The newest verdicts before the first window.
    past : Past
        What the text of an alert that is renewed or resolves may look back on.
    """
    found = {alert.id: alert for alert in standing}
    for verdicts in windows:
        if not verdicts:
            continue
        at = verdicts[0].start
        open_now = [alert for alert in found.values() if alert.state == "open"]
        change = alerts_for(open_now, verdicts, list(previous.values()), lambda alert, at=at: past(alert, at))  # type: ignore[misc]
        found |= {alert.id: alert for alert in (*change.opened, *change.renewed, *change.resolved)}
        previous = succeed(previous, verdicts)
    return list(found.values())


def settle(kept: Sequence[Alert], episodes: Sequence[Alert], since: datetime, found: datetime) -> AlertChange:
    """What is to be written and told so that the store's alerts follow the newest verdicts.

    An episode that overlaps an alert people know of is that alert, even when it turns out to have begun earlier. An alert
    without a newest verdict is withdrawn: it resolves at its own opening. One that was told as resolved
    is not opened again: should its rule prove broken to this day, a new alert is opened.

    Parameters
    ----------
    kept : sequence of Alert
        All of the model's alerts in the store.
    episodes : sequence of Alert
        Of `fold`, over the windows from `since` on.
    found : datetime
        When an alert that is new was found.
    """
    by_id = {alert.id: alert for alert in kept}
    known: dict[str, list[Alert]] = {}
    for alert in kept:
        if not _withdrawn(alert) and _ends(alert) > since:
            known.setdefault(repr(alert.key), []).append(alert)
    taken: set[str] = set()
    opened, renewed, resolved, amended = [], [], [], []
    for episode in sorted(episodes, key=lambda alert: (alert.opened, alert.id)):
        mine = [alert for alert in known.get(repr(episode.key), ()) if alert.id not in taken and _meet(alert, episode)]
        before = _same(mine, episode)
        taken.update(alert.id for alert in mine if alert is before or alert.state == "resolved")
        if before is None:
            alert = replace(episode, id=_unused(episode, by_id), found=found)
            by_id[alert.id] = alert
            opened.append(alert)
            if alert.state == "resolved":
                resolved.append(alert)
            continue
        alert = replace(episode, id=before.id, found=before.found, examples=before.examples)
        alert = replace(alert, finding=before.finding or alert.finding)
        if alert.state == "resolved" and before.state == "open":
            resolved.append(alert)
        elif alert.renewed > before.renewed and alert.state == "open":
            renewed.append(alert)
        elif alert != before:
            amended.append(alert)
    for alert in (alert for together in known.values() for alert in together):
        if alert.id not in taken and alert.opened > since:
            facts = {**alert.facts, "resolution": "withdrawn"}
            gone = told(replace(alert, state="resolved", resolved=alert.opened, facts=facts))
            (resolved if alert.state == "open" else amended).append(gone)
    return AlertChange(opened=tuple(opened), renewed=tuple(renewed), resolved=tuple(resolved), amended=tuple(amended))


def _same(mine: Sequence[Alert], episode: Alert) -> Alert | None:
    """The alert that an episode continues: an open one; for an episode that is over also one of those that are.

    Of these the one with the episode's own times, which an earlier settling may have given it, else the last.
    """
    still = [alert for alert in mine if alert.state == "open" or episode.state == "resolved"]

    def rank(alert: Alert) -> tuple[bool, bool, datetime]:
        return alert.state == "open", (alert.opened, alert.resolved) == (episode.opened, episode.resolved), alert.opened

    return max(still, key=rank, default=None)


def _unused(episode: Alert, by_id: Mapping[str, Alert]) -> str:
    name, again = episode.id, 1
    while name in by_id:
        again += 1
        name = digest([episode.id, again])[:32]
    return name


def _ends(alert: Alert) -> datetime:
    return alert.resolved or _EVER


def _meet(alert: Alert, episode: Alert) -> bool:
    return alert.opened <= _ends(episode) and episode.opened <= _ends(alert)


def _withdrawn(alert: Alert) -> bool:
    return alert.resolved is not None and alert.resolved <= alert.opened
