"""The verb `deliver`: waiting deliveries go to their sinks, in order; one that fails never stops another."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from auditor.core.delivery import AUDITED, Delivery, Pending, deliveries
from auditor.core.errors import AuditorError, SinkError, StoreError
from auditor.core.run import Audit
from auditor.ports import OutboxStore, Sink

FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(hours=1)
MOST_FAILURES = 3
"""Failures after which a sink is left alone until the next call: it is away, and each attempt may cost a timeout."""
_log = logging.getLogger("auditor")


class Outbox:
    """One round of deliveries. A sink that failed for a model is not tried again for that model in the same round.

    Parameters
    ----------
    store : OutboxStore
    sinks : mapping of str to Sink
        By name.
    artifacts : Path
        The folder that holds the audits' artifact files.
    """

    def __init__(self, store: OutboxStore, sinks: Mapping[str, Sink], artifacts: Path) -> None:
        self._store = store
        self._sinks = sinks
        self._artifacts = artifacts
        self._blocked: set[tuple[str, str]] = set()
        self._failures: Counter[str] = Counter()
        self.models: set[str] = set()
        """Models of which something was sent in this round."""
        self.failed: dict[str, str] = {}
        """The last error of this round by name of the sink, dead letters included."""

    def deliveries(self, audit: Audit) -> Sequence[Delivery]:
        """What an audit leaves for the sinks: rows to be committed with it."""
        return list(
            deliveries(audit, {name: getattr(sink, "events", (AUDITED,)) for name, sink in self._sinks.items()})
        )

    def flush(self, now: datetime, *, model: str | None = None, only_due: bool = False) -> None:
        """Try every delivery that waits, or those of one model.

        Parameters
        ----------
        only_due : bool
            Leave out those whose next attempt is not due: exponential backoff, for the scheduler.
        """
        for name, sink in self._sinks.items():
            for pending in self._store.waiting(name):
                if self._failures[name] >= MOST_FAILURES:
                    break
                if (name, pending.model) in self._blocked or model not in (None, pending.model):
                    continue
                if (only_due and pending.due > now) or not self._sent(name, sink, pending, now):
                    self._blocked.add((name, pending.model))

    def _sent(self, name: str, sink: Sink, pending: Pending, now: datetime) -> bool:
        """Whether the next delivery of the model may follow: this one was sent, or never will be."""
        try:
            audit = self._store.delivered_audit(name, pending.key)
            sink.deliver(audit, self._artifacts)
        except StoreError:
            raise
        except Exception as error:  # a sink of anyone's; the others still get their copy
            text = str(error) if isinstance(error, AuditorError) else f"{type(error).__name__}: {error}"
            self.failed[name] = text
            if isinstance(error, SinkError) and error.permanent:
                self._store.bury_delivery(name, pending.key, error=text)
                return True
            if not isinstance(error, AuditorError):
                _log.exception("sink %s failed on %s", name, pending.key)
            wait = min(FIRST_WAIT * 2 ** min(pending.attempts, 20), LONGEST_WAIT)
            self._store.postpone_delivery(name, pending.key, error=text, due=now + wait)
            self._failures[name] += 1
            return False
        self._store.settle_delivery(name, pending.key)
        self.models.add(pending.model)
        self._failures[name] = 0
        return True
