"""What the service counts about itself, for `/metrics`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class Counters:
    """Totals since the start; threads may share it."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self.accepted = 0
        self.duplicates = 0
        self.refused = 0
        self.requests: dict[int, int] = {}
        self.fsyncs = 0
        self.fsync_s = 0.0
        self.journal_bytes = 0
        self.drains = 0
        self.drained_at = 0.0
        self.failures = 0
        self.store_up = False

    def count(self, answer: Mapping[str, Any]) -> None:
        """An answered batch."""
        with self._mutex:
            self.accepted += answer["accepted"]
            self.duplicates += answer["duplicates"]
            self.refused += answer["refused_count"]

    def request(self, status: int) -> None:
        """An answered request; for the event loop's thread only."""
        self.requests[status] = self.requests.get(status, 0) + 1

    @contextmanager
    def fsync(self) -> Iterator[None]:
        """Time one write with its fsync."""
        began = time.perf_counter()
        yield
        self.fsyncs += 1
        self.fsync_s += time.perf_counter() - began

    def render(self) -> str:
        """Prometheus text."""
        lines: list[str] = []
        for name, kind, value in (
            ("rows_accepted_total", "counter", self.accepted),
            ("rows_duplicate_total", "counter", self.duplicates),
            ("rows_refused_total", "counter", self.refused),
            ("fsync_total", "counter", self.fsyncs),
            ("fsync_seconds_total", "counter", self.fsync_s),
            ("journal_bytes", "gauge", self.journal_bytes),
            ("drains_total", "counter", self.drains),
            ("last_drain_timestamp_seconds", "gauge", self.drained_at),
            ("scheduler_failures_total", "counter", self.failures),
            ("store_up", "gauge", int(self.store_up)),
        ):
            lines += [f"# TYPE auditor_service_{name} {kind}", f"auditor_service_{name} {value!r}"]
        lines.append("# TYPE auditor_service_requests_total counter")
        lines += [
            f'auditor_service_requests_total{{status="{status}"}} {count}'
            for status, count in sorted(self.requests.items())
        ]
        return "\n".join(lines) + "\n"
