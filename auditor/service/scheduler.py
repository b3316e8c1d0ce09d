"""The home's single writer inside the service: drains every few seconds, audits when a window closes, outlives the store.

Whatever fails here is said, counted and tried again; nothing of it stops intake, which needs the journal alone.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime

from auditor.audit.pipeline import Pipeline
from auditor.bootstrap import App, load_policies, open_app
from auditor.core.errors import AuditorError, StoreError
from auditor.core.window import Span, floor_to, parse_duration
from auditor.intake.drain import HomeIntake
from auditor.service.committer import Committer
from auditor.service.counters import Counters
from auditor.service.memory import release
from auditor.settings import Settings

RETRY_S = 5.0
"""Between two tries to open a store that is away."""
QUIET_S = 10.0
"""Nothing came in for this long: a delivery of old records has ended."""
PATIENCE_S = 900.0
"""Where traffic never pauses, an audit waits no longer than this; the watermark has covered what is late."""
_log = logging.getLogger("auditor")


class _Stopping(BaseException):
    """An audit is given up between two windows; no failure of the model that was being audited."""


class Scheduler:
    """One thread that holds the writer's lock and the store.

    Parameters
    ----------
    settings : Settings
    committer : Committer
        Whose journal is sealed before each drain.
    counters : Counters
    """

    def __init__(self, settings: Settings, committer: Committer, counters: Counters) -> None:
        self._settings = settings
        self._committer = committer
        self._counters = counters
        self._stop = threading.Event()
        self._stack = ExitStack()
        self._app: App | None = None
        self._closed: datetime | None = None  # end of the newest window that has closed
        self._wanted: float | None = None  # since when an audit is wanted
        self._fed = time.monotonic()  # when a drain brought something last
        self._again: float | None = None  # when an audit that failed, in whole or for some model, is tried again
        self._pause = RETRY_S  # before that try; doubled by each failure
        self._unlooked = False  # whether something came since it was last asked what is unaudited
        self._said = ""
        self._thread = threading.Thread(target=self._run, name="auditor-scheduler", daemon=True)

    def open(self) -> None:
        """Become the home's writer.

        Raises
        ------
        ConfigurationError
            `writer_busy`, and whatever settings or policies break. A store that is away is no error: it is tried again.
        """
        try:
            self._app = self._stack.enter_context(open_app(self._settings))
            self._counters.store_up = True
        except StoreError as error:
            self._tell(error)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Ask the thread to end after what it is doing; whether it ended in time. Everything it does can be cut short."""
        self._stop.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        pause = self._settings.service.drain_s
        while True:
            last = self._stop.wait(pause)
            pause = self._settings.service.drain_s if self._tick(audit=not last) else RETRY_S
            if last:
                break
        self._stack.close()

    def _tick(self, *, audit: bool) -> bool:
        """One drain and, when a window has closed since the last one, an audit; whether all went well."""
        try:
            if self._app is None:
                self.open()
            if self._app is None:
                return False
            pipeline = self._app.pipeline
            self._drain(pipeline)
            self._counters.store_up = True
            now = datetime.now(UTC)
            if audit and self._due(pipeline, now):
                self._audit(pipeline, now)
            elif audit:
                pipeline.deliver(now)
            self._said = ""
            return True
        except AuditorError as error:
            self._counters.failures += 1
            if isinstance(error, StoreError):
                self._counters.store_up = False
            self._tell(error)
        except Exception:
            self._counters.failures += 1
            _log.exception("auditor: the scheduler failed; it tries again")
        return False

    def _due(self, pipeline: Pipeline, now: datetime) -> bool:
        """Whether a window waits to be audited, and nothing that may belong to it is still streaming in.

        Alerts follow from the first audit of a window: one in the middle of a delivery of old records would decide on a part.
        """
        closed = floor_to(now - parse_duration(self._settings.audit.watermark), self._settings.audit.step)
        clock = time.monotonic()
        if closed != self._closed:
            self._closed, self._wanted = closed, clock
        if self._again is not None and clock >= self._again:
            self._again, self._wanted = None, self._wanted or clock
        quiet = clock - self._fed >= QUIET_S
        if self._wanted is None and quiet and self._unlooked:
            self._unlooked = False
            if _unaudited(pipeline, closed):
                self._wanted = clock
        if self._wanted is None or not (quiet or clock - self._wanted >= PATIENCE_S):
            return False
        self._wanted, self._unlooked = None, False
        return True

    def _drain(self, pipeline: Pipeline) -> None:
        mark = self._committer.roll()
        report = pipeline.take_in()
        if report.accepted or report.labels:
            self._fed, self._unlooked = time.monotonic(), True
            release()
        if isinstance(pipeline.intake, HomeIntake):
            pipeline.intake.acknowledge()
        self._committer.forget(mark)
        self._counters.drains += 1
        self._counters.drained_at = time.time()
        for damage in report.damaged:
            _log.warning("auditor: damaged: %s; %s; set aside in quarantine", damage.what, damage.where)
        if report.refused:
            _log.warning("auditor: %d frames were refused at the drain; see quarantine", report.refused)

    def _audit(self, pipeline: Pipeline, now: datetime) -> None:
        # Policies are files that people edit: each audit judges by those of its moment.
        self._again = time.monotonic() + self._pause  # unless it succeeds
        self._pause = min(2 * self._pause, PATIENCE_S)
        current = replace(pipeline, policies=load_policies(self._settings))
        try:
            report = current.audit(now=now, progress=self._go_on)
        except _Stopping:
            return  # each window is committed by itself: the next start goes on with the one after
        if not report.failed:
            self._again, self._pause = None, RETRY_S
        for audit in report.audits:
            opened, resolved = len(audit.alerts.opened), len(audit.alerts.resolved)
            _log.info(
                "auditor: audited %s %s: %d records, %d alerts opened, %d resolved",
                audit.run.model,
                audit.run.span,
                audit.run.records,
                opened,
                resolved,
            )
        for item in report.failed:
            _log.error("auditor: the audit of %s failed: %s", item.model, item.message)
        for sink, why in report.failed_sinks.items():
            _log.warning("auditor: sink %s failed: %s", sink, why)
        for backlog in report.waiting:
            _log.warning("auditor: sink %s: %d deliveries wait", backlog.sink, backlog.deliveries)

    def _go_on(self, model: str, span: Span) -> None:
        """Called before each window: a long way back through history must not hold up the end of the process."""
        if self._stop.is_set():
            raise _Stopping

    def _tell(self, error: AuditorError) -> None:
        """Say it once, not every few seconds."""
        if error.code != self._said:
            self._said = error.code
            _log.error("auditor: %s", error.line())


def _unaudited(pipeline: Pipeline, closed: datetime) -> bool:
    """Whether some model has records in a closed window that changed since it was audited, or never was."""
    store = pipeline.store
    return any(hour < closed for model in store.dirty_models() for hour in store.dirty(model))
