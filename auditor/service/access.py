"""Who may do what: one table of routes, one of roles. What is not in the table does not exist."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Permission(StrEnum):
    """What a route needs."""

    OPEN = "open"
    INGEST = "ingest"
    READ = "read"
    COMMAND = "command"
    KNOWN = "known"
    """Any valid key."""


_P = Permission

ROUTES: dict[str, dict[str, Permission]] = {
    "/v1/records": {"POST": _P.INGEST},
    "/v1/labels": {"POST": _P.INGEST},
    "/v1/traces": {"POST": _P.INGEST},
    "/v1/commands": {"POST": _P.COMMAND},
    "/v1/measurements": {"GET": _P.READ},
    "/v1/verdicts": {"GET": _P.READ},
    "/v1/alerts": {"GET": _P.READ},
    "/v1/models": {"GET": _P.READ},
    "/metrics": {"GET": _P.READ},
    "/openapi.json": {"GET": _P.KNOWN},
    "/healthz": {"GET": _P.OPEN},
    "/version": {"GET": _P.OPEN},
}

ROLES: dict[str, frozenset[Permission]] = {
    "ingest": frozenset({_P.KNOWN, _P.INGEST}),
    "viewer": frozenset({_P.KNOWN, _P.READ}),
    "editor": frozenset({_P.KNOWN, _P.READ, _P.COMMAND}),
    "admin": frozenset({_P.KNOWN, _P.READ, _P.COMMAND, _P.INGEST}),
}
"""An agent's key (ingest) lies on many machines: it can add, and see nothing. Keys themselves are an admin's affair."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever sends a request: the key's id, its role, and the models it is for (None: all)."""

    id: str
    role: str
    models: frozenset[str] | None

    def may(self, permission: Permission) -> bool:
        return permission in ROLES.get(self.role, frozenset())

    def sees(self, model: str) -> bool:
        return self.models is None or model in self.models
