"""Deliveries: what the outbox holds for a sink, one row each, committed together with the audit that caused them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from auditor.core.run import Audit
from auditor.core.verdict import Alert, AlertChange
from auditor.core.window import format_time

AUDITED = "audited"
"""The event of a sink that takes whole windows."""
ALERT_EVENTS = ("opened", "renewed", "resolved")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one sink.

    Attributes
    ----------
    key : str
        Idempotency key: the same event has the same key for ever, and a key is sent once.
    event : str
        `audited`, `opened`, `renewed` or `resolved`.
    run : str
        Id of the audit run that caused it.
    alerts : mapping of str to list of JSON objects
        The contract's alerts by event: of an alert event this one alone, of a window all of them.
    created : datetime
        When it was committed.
    """

    sink: str
    key: str
    model: str
    event: str
    run: str
    alerts: Mapping[str, list[dict[str, Any]]]
    created: datetime

    def change(self) -> AlertChange:
        """The alerts as they were at the event."""
        return AlertChange(**{event: tuple(map(Alert.from_json, found)) for event, found in self.alerts.items()})


class Pending(NamedTuple):
    """A delivery that waits: the scheduler tries it again at `due`, after `attempts` that failed."""

    key: str
    model: str
    due: datetime
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Deliveries of one sink that wait, or that the sink refused for good (dead letters), and since when."""

    sink: str
    deliveries: int
    since: datetime
    reason: str
    """The last error; empty before the first attempt."""

    def as_json(self) -> dict[str, Any]:
        """The contract's JSON, with the reason."""
        since = format_time(self.since)
        return {"sink": self.sink, "deliveries": self.deliveries, "since": since, "reason": self.reason}


def deliveries(audit: Audit, sinks: Mapping[str, Iterable[str]]) -> Iterator[Delivery]:
    """What an audit leaves in the outbox: for each sink the events that it takes, in the order of their windows.

    Parameters
    ----------
    sinks : mapping of str to iterable of str
        Names of sinks with the events they take.
    """
    run = audit.run
    change = {event: list(getattr(audit.alerts, event)) for event in ALERT_EVENTS}
    for sink, events in sinks.items():
        wanted = set(events)
        found = [(AUDITED, run.id, {event: [_plain(alert) for alert in change[event]] for event in ALERT_EVENTS})]
        found += [(event, event_key(event, alert), {event: [_plain(alert)]}) for event, alert in audit.alerts.events()]
        for event, key, alerts in found:
            if event in wanted:
                yield Delivery(
                    sink=sink,
                    key=key,
                    model=run.model,
                    event=event,
                    run=run.id,
                    alerts=alerts,
                    created=run.ended,
                )


def _plain(alert: Alert) -> dict[str, Any]:
    """Facts alone: sentences are made when it is sent."""
    return replace(alert, explanation="").as_json()


def event_key(event: str, alert: Alert) -> str:
    """Idempotency key of an alert event: an alert opens once and resolves once, and is renewed once a window."""
    return f"{alert.id}-{event}" if event != "renewed" else f"{alert.id}-{event}-{format_time(alert.renewed)}"
