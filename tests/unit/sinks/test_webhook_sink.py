"""The webhook against a real server on loopback: what it sends, and that failures are loud."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from auditor.core.errors import ConfigurationError, SinkError
from auditor.core.verdict import AlertChange
from auditor.sinks.webhook import PLUGIN
from auditor.testing import check_sink, make_alert, make_audit


class Receiver(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken = []
        self.answers = []
        self.hold = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/hook/secret-path?token=s3cret"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.taken.append((self.path, dict(self.headers), body))
        answer = self.server.answers.pop(0) if self.server.answers else 204
        if answer == "hang":
            self.server.hold.wait(10)
            answer = 204
        self.send_response(answer)
        if answer in (301, 302, 307, 308):
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def receiver():
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.hold.set()
    server.shutdown()
    thread.join()
    server.server_close()


def audit_with(**changes):
    return make_audit(alerts=AlertChange(**changes))


def test_opened_and_resolved_are_posted_renewed_is_not(receiver, tmp_path):
    opened, resolved = make_alert(), make_alert(control="bias", state="resolved")
    audit = audit_with(opened=(opened,), renewed=(make_alert(control="x"),), resolved=(resolved,))
    PLUGIN.configure(url=receiver.url).deliver(audit, tmp_path)
    (path, headers, first), (_, again, second) = receiver.taken
    assert path == "/hook/secret-path?token=s3cret"
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == f"{opened.id}-opened"
    assert again["Idempotency-Key"] == f"{resolved.id}-resolved"
    assert first == {"schema": "auditor.alert/1", "event": "opened", **opened.as_json()}
    assert (second["event"], second["state"]) == ("resolved", "resolved")


def test_it_keeps_the_sinks_contract(receiver, tmp_path):
    check_sink(PLUGIN.configure(url=receiver.url), tmp_path)


@pytest.mark.parametrize("answer", [500, 404, 302, 308])
def test_any_other_answer_is_loud_and_the_rest_is_still_sent(receiver, tmp_path, answer):
    receiver.answers = [answer]
    audit = audit_with(opened=(make_alert(), make_alert(control="bias")))
    with pytest.raises(SinkError) as caught:
        PLUGIN.configure(url=receiver.url).deliver(audit, tmp_path)
    assert str(answer) in caught.value.message
    assert len(receiver.taken) == 2
    assert "s3cret" not in caught.value.line()
    assert "secret-path" not in caught.value.line()


def test_a_receiver_that_hangs_costs_the_timeout_only(receiver, tmp_path):
    receiver.answers = ["hang"]
    with pytest.raises(SinkError, match="not reached"):
        PLUGIN.configure(url=receiver.url, timeout_s=0.2).deliver(audit_with(opened=(make_alert(),)), tmp_path)


def test_nobody_listening_is_a_sink_error(tmp_path):
    server = Receiver()
    server.server_close()
    with pytest.raises(SinkError) as caught:
        PLUGIN.configure(url=server.url, timeout_s=1).deliver(audit_with(opened=(make_alert(),)), tmp_path)
    assert caught.value.code == "webhook_failed"


def test_quiet_windows_send_nothing(receiver, tmp_path):
    PLUGIN.configure(url=receiver.url).deliver(audit_with(), tmp_path)
    assert receiver.taken == []


@pytest.mark.parametrize("url", ["", "ftp://host/x", "file:///etc/passwd", "https://", "host/path"])
def test_other_addresses_are_refused(url):
    with pytest.raises(ConfigurationError) as caught:
        PLUGIN.configure(url=url)
    assert caught.value.code == "bad_webhook_url"


def test_no_time_to_wait_is_refused():
    with pytest.raises(ConfigurationError):
        PLUGIN.configure(url="https://host", timeout_s=0)
