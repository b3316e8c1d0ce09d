"""Delivery: every sink is tried, failures are named."""

from pathlib import Path

from auditor.audit.deliver import deliver
from auditor.core.errors import SinkError
from auditor.testing import make_audit


class Keeps:
    def __init__(self, error=None):
        self.error = error
        self.taken = []

    def deliver(self, audit, artifacts):
        self.taken.append((audit, artifacts))
        if self.error:
            raise self.error


def test_one_failing_sink_never_stops_another(caplog):
    audit = make_audit()
    sinks = {
        "a": Keeps(SinkError("down", "the receiver is down", where="http://x", fix="wait")),
        "b": Keeps(),
        "c": Keeps(RuntimeError("surprise")),
        "d": Keeps(),
    }
    failed = deliver(audit, sinks, Path("artifacts"))
    assert failed == {"a": "the receiver is down; http://x; wait", "c": "RuntimeError: surprise"}
    assert all(sink.taken == [(audit, Path("artifacts"))] for sink in sinks.values())
    assert "surprise" in caplog.text


def test_no_sink_no_failure():
    assert deliver(make_audit(), {}, Path()) == {}
