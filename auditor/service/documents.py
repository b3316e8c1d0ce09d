"""JSON Schemas of what the routes take and give, for OpenAPI: drawn from the decoders themselves where there is one."""

from __future__ import annotations

from typing import Any

import msgspec

from auditor.intake import schema
from auditor.policy.statements import KINDS

ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "where", "fix"],
            "properties": {name: {"type": "string"} for name in ("code", "message", "where", "fix")},
        }
    },
}
REFUSED_ROW: dict[str, Any] = {
    "type": "object",
    "required": ["index", "id", "code", "message"],
    "properties": {
        "index": {"type": "integer", "minimum": 0},
        "id": {"type": ["string", "null"]},
        "code": {"type": "string"},
        "message": {"type": "string"},
    },
}
_SIDE = {
    "type": "object",
    "required": ["accepted", "refused"],
    "properties": {
        "accepted": {"type": "integer"},
        "refused": {"type": "array", "items": REFUSED_ROW},
        "refused_count": {"type": "integer", "minimum": 0},
    },
}
BATCH: dict[str, Any] = {
    "type": "object",
    "required": ["schema", "accepted", "duplicates", "refused"],
    "properties": {
        "schema": {"const": "auditor.batch/1"},
        "accepted": {"type": "integer", "minimum": 0},
        "duplicates": {"type": "integer", "minimum": 0},
        "refused": {"type": "array", "items": REFUSED_ROW, "maxItems": 100},
        "refused_count": {"type": "integer", "minimum": 0},
        "energy": _SIDE,
        "tallies": _SIDE,
    },
}
LABEL: dict[str, Any] = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 64},
        "label": {"type": ["string", "number", "boolean", "null"], "maxLength": 2000},
        "value": {"type": ["number", "null"]},
        "time": {"type": ["string", "null"], "format": "date-time"},
        "model": {"type": ["string", "null"], "minLength": 1, "maxLength": 200},
    },
}
_COMMAND: dict[str, Any] = {
    "type": "object",
    "required": ["kind", "payload"],
    "additionalProperties": False,
    "properties": {
        "schema": {"type": "string"},
        "kind": {"enum": ["baseline.pin", *KINDS, "key.create", "key.revoke"]},
        "by": {
            "type": "string",
            "minLength": 1,
            "maxLength": 200,
            "description": "Who says so; the key is recorded too.",
        },
        "payload": {"type": "object"},
    },
}
COMMAND: dict[str, Any] = {
    "anyOf": [
        _COMMAND,
        {
            "type": "object",
            "required": ["commands"],
            "additionalProperties": False,
            "properties": {
                "schema": {"type": "string"},
                "commands": {"type": "array", "minItems": 1, "maxItems": 100, "items": _COMMAND},
            },
        },
    ]
}
_COMMAND_ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["schema", "id", "kind", "by", "at"],
    "properties": {
        "schema": {"const": "auditor.command/1"},
        **{name: {"type": "string"} for name in ("id", "kind", "by", "at")},
        "key": {"type": "object", "description": "Of `key.create`: shown once, kept nowhere."},
    },
}
COMMAND_ANSWER: dict[str, Any] = {
    "anyOf": [
        _COMMAND_ANSWER,
        {
            "type": "object",
            "required": ["schema", "commands"],
            "properties": {
                "schema": {"const": "auditor.commands/1"},
                "commands": {"type": "array", "items": _COMMAND_ANSWER},
            },
        },
    ]
}
HEALTH: dict[str, Any] = {
    "type": "object",
    "required": ["schema", "status", "store"],
    "properties": {
        "schema": {"const": "auditor.health/1"},
        "status": {"enum": ["ok"]},
        "store": {"enum": ["up", "away"]},
    },
}
VERSION: dict[str, Any] = {
    "type": "object",
    "required": ["schema", "version"],
    "properties": {"schema": {"const": "auditor.version/1"}, "version": {"type": "string"}},
}


def page(name: str) -> dict[str, Any]:
    """A page of items."""
    return {
        "type": "object",
        "required": ["schema", "items", "next"],
        "properties": {
            "schema": {"const": f"auditor.{name}/1"},
            "items": {"type": "array", "items": {"type": "object"}},
            "next": {
                "type": ["string", "null"],
                "description": "Give it as `after` for the next page; null: this was the last.",
            },
        },
    }


def batch_of(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """A body of rows."""
    return {
        "type": "object",
        "required": [name],
        "additionalProperties": False,
        "properties": {name: {"type": "array", "items": row}, "schema": {"type": "string"}},
    }


def components() -> tuple[dict[str, Any], dict[str, Any]]:
    """The record's schema, and the schemas that it refers to."""
    (record,), parts = msgspec.json.schema_components([schema.Record], ref_template="#/components/schemas/{name}")
    parts["Record"]["required"] = [name for name in parts["Record"]["required"] if name != "id"]
    parts["Record"]["properties"]["sensitive"] = {
        "type": "object",
        "maxProperties": 0,
        "description": "Refused (`no_vault`) when it holds anything: there is no vault yet.",
    }
    return record, parts


def content(schema: dict[str, Any], *media: str) -> dict[str, Any]:
    """The same schema in each media type."""
    return {kind: {"schema": schema} for kind in media or ("application/json",)}


def answers(
    schema: dict[str, Any] | None, *statuses: int, media: str = "application/json"
) -> dict[int | str, dict[str, Any]]:
    """200 with that schema, and the error object for each other status."""
    said = {
        400: "The request is not understood.",
        401: "No good key.",
        403: "The key may not do this, or is not for this model.",
        413: "The body is too large, or holds too many rows.",
        415: "This media type or encoding is not taken.",
        429: "Too much at once; come back after Retry-After.",
        503: "It could not be made durable, or the store cannot be asked; nothing was taken.",
        507: "The disk, or the journal, is full; nothing was taken.",
    }
    first = {"description": "Done.", "content": {media: {"schema": schema or {"type": "string"}}}}
    return {200: first, **{status: {"description": said[status], "content": content(ERROR)} for status in statuses}}


WRITE = (400, 401, 403, 413, 415, 429, 503, 507)
READ = (400, 401, 403, 503)
