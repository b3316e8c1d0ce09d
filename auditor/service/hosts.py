"""Which `Host` a request may name: a page of another site whose name resolves to this machine must not reach the service."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from auditor.service.refusals import RequestError

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:/?#@\[\]]+)(:\d{1,5})?")


class Hosts:
    """Names of this machine on its loopback interface, the address listened on, and those of `[service] hosts`.

    Parameters
    ----------
    names : iterable of str
        Host names or addresses, without a port.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = {name.lower().strip("[]").rstrip(".") for name in names}

    def check(self, scope: Mapping[str, Any]) -> None:
        """RequestError 400 `foreign_host` for a request to another host; HTTP/1.0 may name none."""
        given = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
        if not given and scope.get("http_version") == "1.0":
            return
        found = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        if found is None or not self._is_ours(found[1].strip("[]").rstrip("."), scope):
            raise RequestError(
                400,
                "foreign_host",
                f"this service is not {given[0][:80]!r}" if given else "the request names no host",
                where="Host",
                fix="add the name to [service] hosts of the home's auditor.toml if it is meant",
            )

    def _is_ours(self, host: str, scope: Mapping[str, Any]) -> bool:
        if host in self._names or is_loopback(host):
            return True
        try:  # an address is no name that a stranger chose; it is ours when the connection came in on it
            return ipaddress.ip_address(host) == ipaddress.ip_address((scope.get("server") or ("",))[0])
        except ValueError:
            return False


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
