"""Alerts by HTTP: one POST for each alert that opened or resolved."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from auditor.core.errors import ConfigurationError, SinkError
from auditor.core.run import Audit

EVENTS = ("opened", "resolved")


class WebhookSink:
    """POSTs the contract's Alert with its `event` as JSON; any answer but 2xx is a failure, and redirects are not followed.

    Header `Idempotency-Key` is the same for the same event, so that a receiver can drop repetitions.

    Parameters
    ----------
    url : str
        http or https.
    timeout_s : float
        Longest wait for each answer, seconds.
    """

    def __init__(self, url: str, timeout_s: float = 5.0) -> None:
        self.url = url
        self.timeout_s = timeout_s
        self._opener = urllib.request.build_opener(_NoRedirect())

    def deliver(self, audit: Audit, artifacts: Path) -> None:
        """Send every event; the first failure is raised after the others were tried."""
        failure: SinkError | None = None
        for event in EVENTS:
            for alert in getattr(audit.alerts, event):
                body = {"schema": "auditor.alert/1", "event": event, **alert.as_json()}
                try:
                    self._post(body, f"{alert.id}-{event}")
                except SinkError as error:
                    failure = failure or error
        if failure is not None:
            raise failure

    def _post(self, body: dict[str, Any], key: str) -> None:
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked when the sink was configured
            self.url,
            data=json.dumps(body, allow_nan=False).encode(),
            headers={"Content-Type": "application/json", "Idempotency-Key": key, "User-Agent": "auditor"},
            method="POST",
        )
        try:
            with self._opener.open(request, timeout=self.timeout_s) as answer:
                answer.read(65_536)
        except urllib.error.HTTPError as error:
            with error:
                raise self._failure(f"answered {error.code}") from error
        except (OSError, ValueError) as error:  # URLError, timeouts and broken connections are OSErrors
            raise self._failure(f"not reached: {getattr(error, 'reason', error)}") from error

    def _failure(self, what: str) -> SinkError:
        place = urlsplit(self.url)
        # The path and query of a webhook are often its secret: they stay out of logs.
        return SinkError(
            "webhook_failed",
            f"the webhook {what}",
            where=f"{place.scheme}://{place.hostname}",
            fix="the alert is in the store; check the receiver, then audit the window again",
        )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is answered like any other code that is not 2xx: urllib then raises HTTPError."""

    def redirect_request(self, *args: Any, **options: Any) -> None:
        return None


class WebhookPlugin:
    """Factory: `PLUGIN.configure(url=..., timeout_s=...)`."""

    def configure(self, *, url: str, timeout_s: float = 5.0) -> WebhookSink:
        """A sink that posts to `url`; ConfigurationError unless it is http or https with a host."""
        place = urlsplit(url)
        if place.scheme not in ("http", "https") or not place.hostname:
            raise ConfigurationError(
                "bad_webhook_url",
                "the webhook's address is not http or https",
                where="[sinks] webhook_url",
                fix="give https://host/path",
            )
        if timeout_s <= 0:
            raise ConfigurationError(
                "bad_webhook_timeout", f"{timeout_s} is no time to wait", where="[sinks] webhook_timeout_s"
            )
        return WebhookSink(url, timeout_s)


PLUGIN = WebhookPlugin()
