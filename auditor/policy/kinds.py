"""What each of the six kinds may say, key by key: the source of the reader's rules and of `policies/schema.json`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from auditor.core.catalogue import Vocabulary
from auditor.core.errors import PolicyError
from auditor.core.verdict import Force
from auditor.policy.nodes import Node
from auditor.policy.schema import RELATIONS, SEVERITIES, SIGNIFICANCES
from auditor.policy.shapes import (
    AnyPlain,
    Duration,
    Either,
    Fields,
    Flag,
    ListOf,
    MapOf,
    Moment,
    Null,
    Number,
    Shape,
    Text,
    hint,
    mapping,
)

API = "auditor/v1"
NAME = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"
BASES = ("binding", "voluntary", "internal")


@dataclass(frozen=True)
class Kept:
    """A shape whose value keeps its node, for builders that need to say where something stands."""

    shape: Shape

    def read(self, node: Node) -> tuple[Any, Node]:
        return self.shape.read(node), node

    def schema(self) -> dict[str, Any]:
        return self.shape.schema()


@dataclass(frozen=True)
class FactsShape:
    """Facts of a system profile to the value or values that match; `anyOf` and `noneOf` nest."""

    def read(self, node: Node) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, child in mapping(node).items():
            if key in ("anyOf", "noneOf"):
                found[key] = ListOf(self, least=1).read(child)
            else:
                found[key] = ListOf(_FACT, least=1).read(child) if isinstance(child.value, list) else _FACT.read(child)
        if not found:
            raise node.error("bad_value", "an empty condition says nothing", "name a fact, or drop the key")
        return found

    def schema(self) -> dict[str, Any]:
        return {"$ref": "#/$defs/facts"}


@dataclass(frozen=True)
class _Fact:
    def read(self, node: Node) -> str | bool:
        return Flag().read(node) if isinstance(node.value, bool) else Text().read(node)

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "boolean"]}


_FACT = _Fact()
_NAMES = ListOf(Text(), least=1)
FACTS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "minProperties": 1,
    "properties": {key: {"type": "array", "items": {"$ref": "#/$defs/facts"}} for key in ("anyOf", "noneOf")},
    "additionalProperties": {"anyOf": [_FACT.schema(), {"type": "array", "items": _FACT.schema()}]},
}


def _condition(operators: Iterable[str]) -> Fields:
    return Fields(
        {
            "op": Text(tuple(operators)),
            "value": Either("list", ListOf(Number()), Number()),
            "ci": Fields({"level": Number(0.5, 0.9999), "method": Text()}, ("level",)),
            "decide": Fields({"report": Text(("compliance", "point")), "alert": Text(("violation", "point"))}),
        },
        ("op",),
    )


_WINDOW = Fields(
    {
        "duration": Duration(),
        "minSamples": Fields({"total": Number(0, whole=True), "perSlice": Number(0, whole=True)}),
        "maxStaleness": Duration(),
        "labelDelay": Duration(),
    }
)
_METRIC_KEYS: dict[str, Shape] = {
    "where": MapOf(Either("null", Null(), Either("list", _NAMES, Text()))),
    "sliceBy": _NAMES,
    "quorum": Number(0.01, 1.0),
    "ifNeverMeasured": Text(("insufficient_evidence", "not_applicable")),
}


@dataclass(frozen=True)
class EvidenceShape:
    """`metric` and `log` name a metric; `attestation` names a statement."""

    def _of(self, kind: str) -> Fields:
        if kind == "attestation":
            keys: dict[str, Shape] = {
                "kind": Text((kind,)),
                "statement": Text(pattern=NAME),
                "validFor": Duration(),
                "invalidatedBy": _NAMES,
            }
            return Fields(keys, ("kind", "statement", "validFor"))
        return Fields({"kind": Text((kind,)), "metric": Text(), **_METRIC_KEYS}, ("kind", "metric"))

    def read(self, node: Node) -> dict[str, Any]:
        kind = mapping(node).get("kind")
        if kind is None:
            raise node.error("missing_key", "'kind' is missing", "write kind: metric, log or attestation")
        return self._of(Text(("metric", "log", "attestation")).read(kind)).read(node)

    def schema(self) -> dict[str, Any]:
        shapes = [self._of(kind).schema() for kind in ("metric", "log", "attestation")]
        for shape in shapes[:2]:
            shape["properties"]["metric"] = {"$ref": "#/$defs/metric"}
        return {"oneOf": shapes}


_DEFAULTS: dict[str, Shape] = {
    "severity": Text(SEVERITIES),
    "window": _WINDOW,
    "for": Duration(),
    "clear": Fields({"value": Number(), "for": Duration()}),
    "onMissing": Text(("insufficient_evidence", "fail", "hold_last")),
}
_PERSON = Fields({"name": Text(), "role": Text()}, ("name", "role"))


def control_shape(vocabulary: Vocabulary) -> Fields:
    """A control in the words of the installed plugins."""
    condition = _condition(vocabulary.operators)
    return Fields(
        {
            "id": Text(pattern=NAME),
            "title": Text(),
            "owner": Text(),
            "refs": ListOf(
                Fields({"src": Text(), "at": Text(), "relation": Text(RELATIONS)}, ("src", "at", "relation"))
            ),
            "basis": Text(BASES),
            "kind": Text(vocabulary.alert_kinds()),
            "next": Text(),
            "appliesWhen": FactsShape(),
            "evidence": EvidenceShape(),
            "significance": Text(SIGNIFICANCES),
            "condition": condition,
            "warn": condition,
            "thresholdSource": Either("str", Text(), MapOf(Text(), ("kind", "document", "section", "url"))),
            "advisory": Flag(),
            "onFail": Fields({"notify": _NAMES, "incident": Fields({"draft": Text(), "question": Text()}, ("draft",))}),
            **_DEFAULTS,
        },
        ("id", "title", "basis", "evidence"),
    )


def _policy(vocabulary: Vocabulary) -> dict[str, Shape]:
    return {
        "metadata": Fields(
            {
                "name": Text(pattern=NAME),
                "version": Text(),
                "title": Text(),
                "owner": MapOf(Text(), ("team", "name", "email")),
                "effectiveFrom": Moment(),
                "calendar": Text(pattern=NAME),
            },
            ("name", "version"),
        ),
        "spec": Fields(
            {
                "scope": Fields({"models": _NAMES, "appliesWhen": FactsShape()}),
                "budget": Fields({"false_pages": Number(1e-9, 1000.0), "per": Duration()}, ("false_pages", "per")),
                "defaults": Fields(_DEFAULTS),
                "waiverRules": Fields(
                    {"maxDuration": Duration(), "requireApproverRole": _NAMES, "nonWaivable": _NAMES}, ("maxDuration",)
                ),
                "facts": _NAMES,
                "controls": ListOf(Kept(control_shape(vocabulary)), least=1),
            },
            ("controls",),
        ),
    }


PROFILE_KEYS: dict[str, Shape] = {
    "models": _NAMES,
    "roles": _NAMES,
    "route": Text(("annex_iii", "annex_i", "not_high_risk", "gpai", "undeclared")),
    "modalities": _NAMES,
    "placedOnMarket": Moment(),
    "significantChange": Moment(),
    "modelVersion": Text(),
    "facts": MapOf(Either("list", ListOf(_FACT), _FACT)),
}
PROFILE_SPEC = Fields(PROFILE_KEYS, ("models", "roles", "route"))
CASE_PROFILE = Fields({key: shape for key, shape in PROFILE_KEYS.items() if key != "models"}, ("roles", "route"))
_NAMED = Fields({"name": Text(pattern=NAME)}, ("name",))

_WAIVER_KEYS: dict[str, Shape] = {
    "control": Text(pattern=NAME),
    "policy": Text(pattern=NAME),
    "system": Text(),
    "slice": Either("str", Text(), MapOf(Text())),
    "reason": Text(),
    "category": Text(("accepted", "mitigated")),
    "compensating": _NAMES,
    "ticket": Text(),
    "requestedBy": _PERSON,
    "approvedBy": _PERSON,
    "approvedOn": Moment(),
    "expires": Moment(),
}
WAIVER_SPEC = Fields(_WAIVER_KEYS, ("control", "reason", "requestedBy", "approvedBy", "approvedOn", "expires"))
_ATTESTATION_KEYS: dict[str, Shape] = {
    "statement": Text(pattern=NAME),
    "system": Text(),
    "subject": MapOf(Either("list", ListOf(_FACT), _FACT)),
    "result": Text(("satisfied", "not_satisfied")),
    "by": _PERSON,
    "reviewedBy": _PERSON,
    "on": Moment(),
    "validUntil": Moment(),
    "evidence": ListOf(Fields({"uri": Text(), "sha256": Text(pattern="[0-9a-f]{64}")}, ("uri", "sha256"))),
}
ATTESTATION_SPEC = Fields(_ATTESTATION_KEYS, ("statement", "system", "result", "by", "on"))
_CASE_ATTESTATION = Fields(_ATTESTATION_KEYS, ("statement", "result", "by", "on"))

_ROUTES = ("annex_iii", "annex_i", "not_high_risk", "gpai")
_APPLIES = Either("dict", MapOf(Moment(), _ROUTES), Moment())
_CONFIDENCE = Text(("primary", "consolidated", "secondary"))
_CALENDAR: dict[str, Shape] = {
    "metadata": Fields({"name": Text(pattern=NAME), "version": Text()}, ("name", "version")),
    "spec": Fields(
        {
            "src": Text(pattern=NAME),
            "title": Text(),
            "verifiedOn": Moment(),
            "provisions": ListOf(
                Fields(
                    {
                        "at": Text(),
                        "title": Text(),
                        "who": _NAMES,
                        "appliesFrom": _APPLIES,
                        "source": Text(),
                        "confidence": _CONFIDENCE,
                        "reading": Text(("formal", "dependent")),
                        "alternative": _APPLIES,
                        "deferredForLegacy": Flag(),
                    },
                    ("at", "title", "appliesFrom", "source", "confidence"),
                ),
                least=1,
            ),
            "frameworks": ListOf(Fields({"src": Text(), "title": Text(), "clauses": _NAMES}, ("src", "title"))),
            "milestones": ListOf(
                Fields(
                    {"on": Moment(), "what": Text(), "provision": Text(), "confidence": _CONFIDENCE},
                    ("on", "what", "provision", "confidence"),
                )
            ),
        },
        ("src", "title", "verifiedOn", "provisions"),
    ),
}

_EXPECT = Fields(
    {
        "at": Duration(),
        "verdict": Text(("pass", "warn", "fail", "insufficient_evidence", "error", "waived", "not_applicable")),
        "state": Text(("ok", "pending", "firing", "recovering")),
        "reason": Text(),
        "underlying": Text(("fail", "insufficient_evidence")),
        "force": Text(tuple(str(force) for force in Force)),
    },
    ("at", "verdict"),
)
_TEST: dict[str, Shape] = {
    "metadata": _NAMED,
    "policy": Text(),
    "start": Moment(),
    "step": Duration(),
    "profile": CASE_PROFILE,
    "cases": ListOf(
        Kept(
            Fields(
                {
                    "name": Text(),
                    "control": Text(pattern=NAME),
                    "slice": Text(),
                    "input": Text(),
                    "modality": Text(),
                    "series": Either("dict", MapOf(Text()), Text()),
                    "steps": Number(1, 10_000, whole=True),
                    "profile": CASE_PROFILE,
                    "waivers": ListOf(
                        Kept(
                            Fields(
                                {key: shape for key, shape in _WAIVER_KEYS.items() if key not in ("control", "policy")},
                                ("approvedOn", "expires"),
                            )
                        )
                    ),
                    "attestations": ListOf(Kept(_CASE_ATTESTATION)),
                    "expect": ListOf(Kept(_EXPECT), least=1),
                },
                ("name", "control", "expect"),
            )
        ),
        least=1,
    ),
}


def document_shapes(vocabulary: Vocabulary) -> dict[str, Fields]:
    """Kind to the shape of its documents."""
    header: dict[str, Shape] = {"apiVersion": Text((API,)), "kind": AnyPlain()}
    bodies: dict[str, tuple[dict[str, Shape], tuple[str, ...]]] = {
        "Policy": (_policy(vocabulary), ("metadata", "spec")),
        "SystemProfile": ({"metadata": _NAMED, "spec": PROFILE_SPEC}, ("metadata", "spec")),
        "LegalCalendar": (_CALENDAR, ("metadata", "spec")),
        "Waiver": ({"metadata": _NAMED, "spec": WAIVER_SPEC}, ("metadata", "spec")),
        "Attestation": ({"metadata": _NAMED, "spec": ATTESTATION_SPEC}, ("metadata", "spec")),
        "PolicyTest": (_TEST, ("metadata", "policy", "start", "step", "cases")),
    }
    return {
        kind: Fields({**header, **shapes}, ("apiVersion", "kind", *required))
        for kind, (shapes, required) in bodies.items()
    }


KINDS = tuple(document_shapes(Vocabulary()))


def read_document(node: Node, vocabulary: Vocabulary) -> tuple[str, dict[str, Any]]:
    """The kind of a document and its values; PolicyError when it breaks the format."""
    values = mapping(node)
    kind = values.get("kind")
    if kind is None:
        raise node.error("missing_key", "'kind' is missing", f"write kind: one of {', '.join(KINDS)}")
    if kind.value not in KINDS:
        raise kind.error("unknown_kind", f"{kind.value!r} is not a kind of document", hint(str(kind.value), KINDS))
    version = values.get("apiVersion")
    if version is not None and version.value != API:
        raise version.error("bad_api_version", f"{version.value!r} is not known", f"write apiVersion: {API}")
    return str(kind.value), document_shapes(vocabulary)[str(kind.value)].read(node)


def json_schema(vocabulary: Vocabulary) -> dict[str, Any]:
    """JSON Schema 2020-12 of every kind of document, in the words of the installed plugins."""
    names = sorted(vocabulary.metrics)
    exact = [name for name in names if not name.endswith("*")]
    patterns = ["^" + name[:-1].replace(".", r"\.") for name in names if name.endswith("*")]
    shapes = document_shapes(vocabulary)
    definitions: dict[str, Any] = {
        "facts": FACTS_SCHEMA,
        "metric": {"anyOf": [{"enum": exact}, *({"type": "string", "pattern": pattern} for pattern in patterns)]},
    }
    for kind, shape in shapes.items():
        schema = shape.schema()
        schema["properties"]["kind"] = {"const": kind}
        definitions[kind] = schema
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "auditor policy documents",
        "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in shapes],
        "$defs": definitions,
    }


def check_metric(name: str, known: Iterable[str], where: str) -> None:
    """PolicyError `unknown_metric` unless the catalogue has it, or a family it belongs to."""
    names = list(known)
    if name in names or any(family.endswith("*") and name.startswith(family[:-1]) for family in names):
        return
    raise PolicyError("unknown_metric", f"no metric is called {name!r}", where=where, fix=hint(name, names))
