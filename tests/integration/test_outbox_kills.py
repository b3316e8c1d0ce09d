"""Processes that are killed while they deliver: each key once, in order, whatever the moment."""

import json
import subprocess
import sys
from pathlib import Path

from auditor.audit.deliver import Outbox
from auditor.core.verdict import AlertChange
from auditor.core.window import DAY, Span
from auditor.sinks.jsonl import PLUGIN
from auditor.store.sql import SqlStore
from auditor.testing import make_alert, make_audit, make_run
from auditor.testing.factories import MODEL, START

WINDOWS, KILLS = 30, 20
NOW = START + 60 * DAY

FLUSH = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from auditor.audit.deliver import Outbox
from auditor.sinks.jsonl import PLUGIN
from auditor.store.sql import SqlStore

url, file, left = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
sink = PLUGIN.configure(path=file)
real = sink.deliver
def deliver(audit, artifacts):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(audit, artifacts)
    if left == 1:
        os.kill(os.getpid(), signal.SIGKILL)  # the sink has it, the store does not know
    left -= 2
sink.deliver = deliver
Outbox(SqlStore(url), {"jsonl": sink}, Path()).flush(datetime.fromisoformat(sys.argv[4]))
"""


def test_twenty_kills_after_thirty_windows_without_the_sink_send_each_key_once(tmp_path: Path) -> None:
    url, file = f"sqlite:///{tmp_path}/store.db", tmp_path / "alerts.jsonl"
    store = SqlStore(url)
    sinks = {"jsonl": PLUGIN.configure(path=file)}
    for day in range(WINDOWS):
        span = Span(START + day * DAY, START + (day + 1) * DAY)
        run = make_run(id=f"r{day}", model=MODEL, span=span, ended=span.end)
        change = AlertChange(opened=(make_alert(id=f"a{day}"),))
        audit = make_audit(run=run, measurements=(), verdicts=(), artifacts=(), alerts=change)
        store.commit(audit, Outbox(store, sinks, tmp_path).deliveries(audit))
    store.close()
    for kill in range(KILLS):
        done = subprocess.run(
            [sys.executable, "-c", FLUSH, url, str(file), str(kill % 4), NOW.isoformat()], check=False
        )
        assert done.returncode == -9
    store = SqlStore(url)
    assert len(store.waiting("jsonl")) >= WINDOWS - 2 * KILLS
    Outbox(store, sinks, tmp_path).flush(NOW)
    assert store.backlog(sinks) == []
    store.close()
    assert [json.loads(line)["id"] for line in file.read_text().splitlines()] == [f"a{day}" for day in range(WINDOWS)]
