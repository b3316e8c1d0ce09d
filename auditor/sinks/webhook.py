"""Alerts by HTTP: one signed POST for each alert that opened or resolved, to an address that is checked when it connects."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import json
import socket
import ssl
import threading
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from auditor.core.delivery import event_key
from auditor.core.errors import ConfigurationError, SinkError
from auditor.core.run import Audit
from auditor.ports import Option

PERMANENT = frozenset(range(400, 500)) - {408, 425, 429}
"""Answers that another attempt would not change."""
SIGNATURE = "Auditor-Signature"
_WHOLE = 3
"""A request may take this many times `timeout_s` altogether: a receiver that sends byte by byte is cut off."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class WebhookSink:
    """POSTs the contract's Alert with its `event` as JSON; any answer but 2xx is a failure, and redirects are not followed.

    Header `Idempotency-Key` is the same for the same event, so that a receiver can drop repetitions. With a secret, header
    `Auditor-Signature` is `t=<unix seconds>,v1=<hex>`: HMAC-SHA256 of `<unix seconds>.<body>`.

    Parameters
    ----------
    url : str
        http or https.
    timeout_s : float
        Longest wait for each step of a request, seconds.
    secret : str
        Key of the signature; empty: requests are not signed.
    allow_private : bool
        Whether the address may be private, link-local or otherwise not public. A loopback address that the URL itself names
        is allowed without it; a host name that resolves to one is not.
    """

    events = ("opened", "resolved")

    def __init__(self, url: str, timeout_s: float = 5.0, *, secret: str = "", allow_private: bool = False) -> None:
        self.timeout_s = timeout_s
        self._place = urlsplit(url)
        self._secret = secret.encode()
        self._allow_private = allow_private

    def deliver(self, audit: Audit, artifacts: Path) -> None:
        """Send every event of the audit; SinkError at the first that is not taken."""
        for event, alert in audit.alerts.events(*self.events):
            body = {"schema": "auditor.alert/1", "event": event, **alert.as_json()}
            self._post(json.dumps(body, allow_nan=False).encode(), event_key(event, alert))

    def _post(self, body: bytes, key: str) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key, "User-Agent": "auditor"}
        if self._secret:
            headers[SIGNATURE] = signature(self._secret, body, int(time.time()))
        path = self._place.path or "/"
        target = f"{path}?{self._place.query}" if self._place.query else path
        try:
            with closing(self._connection()) as connection:
                connection.connect()
                expiry = threading.Timer(_WHOLE * self.timeout_s, _abort, [connection.sock])
                expiry.daemon = True
                expiry.start()
                try:
                    connection.request("POST", target, body, headers)
                    answer = connection.getresponse()
                    answer.read(65_536)
                finally:
                    expiry.cancel()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._failure(
                f"was not reached: {getattr(error, 'strerror', None) or type(error).__name__}"
            ) from None
        if not 200 <= answer.status < 300:
            raise self._failure(f"answered {answer.status}", permanent=answer.status in PERMANENT)

    def _connection(self) -> http.client.HTTPConnection:
        """A connection to a vetted address: the name is resolved once, and what was checked is what is connected to."""
        host, secure = self._place.hostname or "", self._place.scheme == "https"
        port = self._place.port or (443 if secure else 80)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        allowed = [address for address in addresses if self._allowed(host, address)]
        if not allowed:
            raise SinkError(
                "webhook_address_refused",
                f"the webhook's host has no public address ({', '.join(addresses)})",
                where=self._shown(),
                fix="set allow_private of the webhook to true if this is meant",
            )
        kind = _SecureConnection if secure else _PlainConnection
        return kind(host, port, timeout=self.timeout_s, addresses=allowed)

    def _allowed(self, host: str, address: str) -> bool:
        return self._allow_private or is_public(address) or (_names_loopback(host) and _plain(address).is_loopback)

    def _failure(self, what: str, *, permanent: bool = False) -> SinkError:
        return SinkError(
            "webhook_failed",
            f"the webhook {what}",
            where=self._shown(),
            fix="the alert is in the store; check the receiver",
            permanent=permanent,
        )

    def _shown(self) -> str:
        # The path and query of a webhook are often its secret: they stay out of logs.
        return f"{self._place.scheme}://{self._place.hostname}"


def signature(secret: bytes, body: bytes, at: int) -> str:
    """The value of the signature header.

    >>> signature(b"key", b"{}", 1767571200)[:36]
    't=1767571200,v1=33e5d1584da9c1aaaa79'
    """
    return f"t={at},v1={hmac.new(secret, b'%d.' % at + body, hashlib.sha256).hexdigest()}"


def is_public(address: str) -> bool:
    """Whether an IP address can be reached from anywhere: not loopback, private, link-local (cloud metadata) or reserved.

    >>> [is_public(a) for a in ("93.184.215.14", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::a00:1")]
    [True, False, False, False, False]
    """
    plain = _plain(address)
    return plain.is_global and not plain.is_multicast and not plain.is_reserved


def _plain(address: str) -> Address:
    """The address that packets go to: of an IPv6 form that carries an IPv4 address, the latter."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv4Address):
        return found
    inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
    if inner is None and found in ipaddress.ip_network("64:ff9b::/96"):
        inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return inner or found


def _names_loopback(host: str) -> bool:
    try:
        return _plain(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _abort(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is closed already


class _PlainConnection(http.client.HTTPConnection):
    """Connects to given addresses, whatever the host's name resolves to meanwhile."""

    def __init__(self, host: str, port: int, *, timeout: float, addresses: list[str]) -> None:
        super().__init__(host, port, timeout=timeout)
        self.addresses = addresses

    def connect(self) -> None:
        for left, address in enumerate(self.addresses, 1 - len(self.addresses)):
            try:
                self.sock = socket.create_connection((address, self.port), self.timeout)
                return
            except OSError:
                if left == 0:
                    raise


class _SecureConnection(_PlainConnection):
    """The same over TLS; the certificate is checked against the host's name."""

    def connect(self) -> None:
        super().connect()
        self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


class WebhookPlugin:
    """Factory: `PLUGIN.configure(url=..., timeout_s=..., secret=..., allow_private=...)`."""

    options = (
        Option("url", "Address that alerts are posted to: http or https.", required=True),
        Option("timeout_s", "How long each step of a request may take, in seconds.", 5.0),
        Option("secret", "Signs requests (HMAC-SHA256); best set as a variable."),
        Option(
            "allow_private", "Whether the host may have a private address; loopback in the URL needs no leave.", False
        ),
    )

    def configure(
        self, *, url: str, timeout_s: float = 5.0, secret: str = "", allow_private: bool = False
    ) -> WebhookSink:
        """A sink that posts to `url`; ConfigurationError unless it is http or https with a host."""
        place = urlsplit(url)
        if place.scheme not in ("http", "https") or not place.hostname or not _port_fits(place):
            raise ConfigurationError(
                "bad_webhook_url",
                "the webhook's address is not http or https",
                where="[sinks.webhook] url",
                fix="give https://host/path",
            )
        if timeout_s <= 0:
            raise ConfigurationError(
                "bad_webhook_timeout", f"{timeout_s} is no time to wait", where="[sinks.webhook] timeout_s"
            )
        return WebhookSink(url, timeout_s, secret=secret, allow_private=allow_private)


def _port_fits(place: SplitResult) -> bool:
    try:
        return place.port is None or place.port > 0
    except ValueError:
        return False


PLUGIN = WebhookPlugin()
