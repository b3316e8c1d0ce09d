"""The webhook against a real server on loopback: what it sends, and that failures are loud."""

import hashlib
import hmac
import json
import socket
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
        self.bodies = []
        self.answers = []
        self.hold = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/hook/secret-path?token=s3cret"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(raw)
        body = json.loads(raw)
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


@pytest.mark.parametrize(
    ("answer", "permanent"),
    [(500, False), (404, True), (410, True), (408, False), (429, False), (302, False), (308, False)],
)
def test_any_other_answer_is_loud_and_redirects_are_not_followed(receiver, tmp_path, answer, permanent):
    receiver.answers = [answer]
    with pytest.raises(SinkError) as caught:
        PLUGIN.configure(url=receiver.url).deliver(audit_with(opened=(make_alert(),)), tmp_path)
    assert str(answer) in caught.value.message
    assert caught.value.permanent is permanent
    assert len(receiver.taken) == 1
    assert "s3cret" not in caught.value.line()
    assert "secret-path" not in caught.value.line()


def test_requests_are_signed_with_the_secret(receiver, tmp_path):
    sink = PLUGIN.configure(url=receiver.url, secret="not to be shown")
    sink.deliver(audit_with(opened=(make_alert(),)), tmp_path)
    ((_, headers, _),) = receiver.taken
    at, _, mac = headers["Auditor-Signature"].removeprefix("t=").partition(",v1=")
    body = receiver.bodies[0]
    assert mac == hmac.new(b"not to be shown", at.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert "not to be shown" not in repr(sink)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "[fe80::1]", "[fd00:ec2::254]"]
)
def test_addresses_that_are_not_public_are_refused(tmp_path, host):
    with pytest.raises(SinkError) as caught:
        PLUGIN.configure(url=f"http://{host}/x").deliver(audit_with(opened=(make_alert(),)), tmp_path)
    assert (caught.value.code, caught.value.permanent) == ("webhook_address_refused", False)


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254", "10.1.2.3"])
def test_a_name_that_resolves_to_an_inner_address_is_refused(receiver, tmp_path, monkeypatch, address):
    """DNS rebinding: the name is a stranger's, the address is ours."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, receiver.server_port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    url = f"http://hooks.example.com:{receiver.server_port}/x"
    with pytest.raises(SinkError) as caught:
        PLUGIN.configure(url=url).deliver(audit_with(opened=(make_alert(),)), tmp_path)
    assert caught.value.code == "webhook_address_refused"
    assert receiver.taken == []


def test_a_private_address_is_a_matter_of_settings(receiver, tmp_path, monkeypatch):
    real = socket.getaddrinfo

    def resolve(host, *rest, **options):
        return real("127.0.0.1" if host == "hooks.internal" else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    url = f"http://hooks.internal:{receiver.server_port}/x"
    PLUGIN.configure(url=url, allow_private=True).deliver(audit_with(opened=(make_alert(),)), tmp_path)
    assert receiver.taken[0][1]["Host"] == f"hooks.internal:{receiver.server_port}"


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


@pytest.mark.parametrize(
    "host",
    [
        "[::ffff:10.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a00:1::]",
        "[::]",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "10.1",
        "2130706433",
    ],
)
def test_other_spellings_of_inner_addresses_are_refused(tmp_path, host):
    with pytest.raises(SinkError) as caught:
        PLUGIN.configure(url=f"http://{host}:9/x").deliver(audit_with(opened=(make_alert(),)), tmp_path)
    assert caught.value.code == "webhook_address_refused"


def test_a_redirect_to_an_inner_address_is_not_followed(receiver, tmp_path):
    receiver.answers = [307]
    with pytest.raises(SinkError) as caught:
        PLUGIN.configure(url=receiver.url).deliver(audit_with(opened=(make_alert(),)), tmp_path)
    assert "307" in caught.value.message
    assert len(receiver.taken) == 1
