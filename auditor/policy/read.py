"""From a YAML tree to the objects of `schema`: msgspec decodes, and each refusal gets its line, a code and what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar, get_args

import msgspec
from msgspec.structs import asdict

from auditor.core.catalogue import Vocabulary
from auditor.core.errors import ConfigurationError, PolicyError
from auditor.core.identity import digest
from auditor.core.window import parse_duration, parse_time
from auditor.policy import schema
from auditor.policy.nodes import Node
from auditor.policy.schema import FormatError
from auditor.ports import Operator

T = TypeVar("T")
Decode = Callable[[Any, type[T]], T]
API = "auditor/v1"
_AT = re.compile(r" - at (?:`key` in )?`\$([^`]*)`$")
_FIXES = {
    "bool": "write true or false",
    "int": "write a whole number without quotes",
    "float": "write a number without quotes",
    "str": "write a text, quoted if need be",
    "array": "write [a, b] or lines with dashes",
    "object": "write key: value",
}
_NESTED = {
    "anyOf": "any_of",
    "any": "any_of",
    "noneOf": "none_of",
    "not": "none_of",
    "allOf": "all_of",
    "all": "all_of",
}
_WORDS = re.compile(r"`([^`]*)`")


def read_document(node: Node, vocabulary: Vocabulary) -> schema.Document:
    """The object of a document; PolicyError at the first value that breaks the format."""
    if not isinstance(node.value, dict):
        raise node.error("wrong_type", "a document holds keys and values", "write key: value")
    kind, version = (node.value.get(key) for key in ("kind", "apiVersion"))
    known = tuple(schema.DOCUMENTS)
    if kind is None:
        raise node.error("missing_key", "'kind' is missing", f"write kind: one of {', '.join(known)}")
    if not isinstance(kind.value, str) or kind.value not in known:
        raise kind.error("unknown_kind", f"{kind.plain()!r} is not a kind of document", hint(str(kind.plain()), known))
    if version is not None and version.value != API:
        raise version.error("bad_api_version", f"{version.plain()!r} is not known", f"write apiVersion: {API}")
    decode = partial(_decode, vocabulary=vocabulary)
    plain = node.plain()
    try:
        document = decode(plain, schema.DOCUMENTS[kind.value])
        return _BUILDERS[kind.value](document, node, plain, decode)
    except FormatError as error:
        place = node.find(error.path)
        where = place.where
        if error.code == "unknown_key" and isinstance(place.value, dict):
            where = place.at_key(_quoted(error.message))
        raise PolicyError(error.code, error.message, where=where, fix=error.fix) from error


def hint(word: str, known: Sequence[str]) -> str:
    """What to write instead: the nearest known word, else all of them."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    if near:
        return f"did you mean {near[0]!r}?"
    names = sorted(known)
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"one of {', '.join(names[:20])}{more}"


def parse_facts(decode: Decode[Any], plain: Any) -> schema.Facts:
    """A condition on facts; `all`, `any` and `not` (also `allOf`, `anyOf`, `noneOf`) nest."""
    if not isinstance(plain, dict):
        raise FormatError("wrong_type", "expected facts and their values", "write fact: value")
    if not plain:
        raise FormatError("bad_value", "an empty condition holds for every system", "name a fact, or drop the key")
    nested: dict[str, tuple[schema.Facts, ...]] = {}
    for word, name in _NESTED.items():
        if word in plain:
            parts = plain[word] if isinstance(plain[word], list) else [plain[word]]
            if not parts:
                raise FormatError("bad_value", f"{word} is empty", "name a fact, or drop the key", f".{word}")
            nested[name] = nested.get(name, ()) + tuple(parse_facts(decode, part) for part in parts)
    equals = {
        name: schema.values(_at(f".{name}", decode, value, schema.OneOrMore))
        for name, value in plain.items()
        if name not in _NESTED
    }
    return schema.Facts(equals, **nested)


def parse_condition(decode: Decode[Any], plain: Any, operators: Mapping[str, Operator]) -> schema.Condition:
    """A condition in the words of the installed operators."""
    given = decode(plain, schema.ConditionSpec)
    if given.op not in operators:
        raise FormatError("bad_value", f"no operator is called {given.op!r}", hint(given.op, tuple(operators)), ".op")
    operator = operators[given.op]
    try:
        low, high = operator.validate(given.value)
    except ValueError as error:
        raise FormatError("bad_value", f"{given.op} does not go with this value", f"{given.op} {error}") from error
    ci, decide = given.ci, given.decide
    if ci is None and (decide.report == "compliance" or decide.alert == "violation"):
        raise FormatError("bad_value", "deciding on an interval needs one", "add ci: {level: 0.95}")
    if ci is not None and low is None and high is None:
        raise FormatError("bad_value", f"{given.op} is judged by a p-value, not by an interval", "drop ci")
    return schema.Condition(
        given.op,
        low,
        high,
        ci and ci.level,
        ci and ci.method,
        decide.report or ("compliance" if ci else "point"),
        decide.alert or ("violation" if ci else "point"),
        operator.phrase,
        operator.strict,
    )


def _decode(plain: Any, into: Any, *, vocabulary: Vocabulary) -> Any:
    """`plain` as `into`; FormatError with the path of the first value that does not fit."""
    decode = partial(_decode, vocabulary=vocabulary)

    def by_hand(kind: type, value: Any) -> Any:
        if kind is schema.WrittenCondition:
            return parse_condition(decode, value, vocabulary.operators)
        if kind is schema.WrittenFacts:
            return parse_facts(decode, value)
        if kind is schema.Days:
            if not isinstance(value, dict):
                return schema.Days(all=decode(value, schema.Moment))
            return schema.Days(decode(value, dict[schema.Route, schema.Moment]))
        return _scalar(kind, value, vocabulary)

    try:
        return msgspec.convert(plain, into, dec_hook=by_hand)
    except msgspec.ValidationError as error:
        raise _refusal(error, into) from error


def _scalar(kind: type, value: Any, vocabulary: Vocabulary) -> Any:
    if not isinstance(value, str):
        raise FormatError("wrong_type", f"expected a text, found {value!r}", _FIXES["str"])
    try:
        if kind is schema.Moment:
            moment = parse_time(value)
            return schema.Moment.combine(moment.date(), moment.timetz())
        if kind in (schema.Duration, schema.Offset):
            length = parse_duration(value)
            if kind is schema.Duration and length <= timedelta(0):
                raise FormatError(
                    "bad_duration", f"{value!r} is no length of time", "give one above zero, or drop the key"
                )
            return kind(seconds=length.total_seconds())
    except ConfigurationError as error:
        word = "time" if kind is schema.Moment else "duration"
        raise FormatError(f"bad_{word}", f"{value!r} is not a {word}", error.fix) from error
    if kind is schema.MetricName:
        if vocabulary.metric(value) is None or value.endswith("*"):
            raise FormatError(
                "unknown_metric", f"no metric is called {value!r}", hint(value, tuple(vocabulary.metrics))
            )
    elif value not in vocabulary.alert_kinds():
        raise FormatError("bad_value", f"{value!r} is no kind of alert", hint(value, vocabulary.alert_kinds()))
    return kind(value)


def _at(path: str, call: Callable[..., T], *args: Any) -> T:
    try:
        return call(*args)
    except FormatError as error:
        error.path = path + error.path
        raise


def _refusal(error: msgspec.ValidationError, into: Any) -> FormatError:
    text = str(error)
    at = _AT.search(text)
    path, message = (at[1], text[: at.start()]) if at else ("", text)
    inner = error.__cause__
    if isinstance(inner, FormatError):
        return FormatError(inner.code, inner.message, inner.fix, path + inner.path)
    if message.startswith("Object contains unknown field"):
        key = _quoted(message)
        return FormatError("unknown_key", f"{key!r} is not a key here", hint(key, _known(into, path)), path)
    if message.startswith("Object missing required field"):
        key = _quoted(message)
        return FormatError("missing_key", f"{key!r} is missing", f"add {key}: ... here", path)
    if message.startswith("Invalid"):
        word = message.partition("'")[2].rpartition("'")[0]
        code = "unknown_key" if at and "`key`" in at[0] else "bad_value"
        return FormatError(code, f"{word!r} is not known here", hint(word, _known(into, path)), path)
    wanted = _WORDS.findall(message) or ["str"]
    if ", got" in message:
        kinds = wanted[0].split(" | ")
        fix = "; or ".join(_FIXES[kind] for kind in kinds if kind in _FIXES)
        return FormatError("wrong_type", f"expected {' or '.join(kinds)}, found {wanted[-1]}", fix, path)
    return FormatError(
        "bad_value", message[0].lower() + message[1:].replace("`", ""), "see docs/reference/policy-files.md", path
    )


def _quoted(message: str) -> str:
    found = re.search(r"[`']([^`']*)[`']", message)
    return found[1] if found else ""


def _known(into: Any, path: str) -> list[str]:
    """The keys or words that may stand at a path of a type."""
    kinds = [msgspec.inspect.type_info(into)]
    steps = re.findall(r"\.([^.\[]+)|(\[)", path)
    for key, _ in steps:
        tags = [str(kind.tag) for kind in _flat(kinds) if getattr(kind, "tag_field", None) == key]
        if tags:
            return tags
        kinds = [part for kind in _flat(kinds) for part in _inside(kind, key)]
    found: list[str] = []
    for kind in _flat(kinds):
        if isinstance(kind, msgspec.inspect.StructType):
            found += [field.encode_name for field in kind.fields]
        elif isinstance(kind, msgspec.inspect.LiteralType):
            found += [str(value) for value in kind.values]
        elif isinstance(kind, msgspec.inspect.DictType) and isinstance(kind.key_type, msgspec.inspect.LiteralType):
            found += [str(value) for value in kind.key_type.values]
    return list(dict.fromkeys(found))


def _flat(kinds: Sequence[Any]) -> Iterator[Any]:
    for kind in kinds:
        yield from _flat(kind.types if isinstance(kind, msgspec.inspect.UnionType) else [])
        kind = getattr(kind, "type", kind) if isinstance(kind, msgspec.inspect.Metadata) else kind
        if not isinstance(kind, msgspec.inspect.UnionType):
            yield kind


def _inside(kind: Any, key: str) -> list[Any]:
    if key:
        return [field.type for field in getattr(kind, "fields", ()) if field.encode_name == key]
    return [part for name in ("item_type", "value_type") if (part := getattr(kind, name, None)) is not None]


# -- documents ----------------------------------------------------------------------------------------------------------


def _policy(document: schema.PolicyDocument, node: Node, plain: Any, decode: Decode[Any]) -> schema.Policy:
    meta, spec = document.metadata, document.spec
    defaults = plain["spec"].get("defaults", {})
    controls: dict[str, schema.Control] = {}
    for i, given in enumerate(spec.controls):
        path = f".spec.controls[{i}]"
        found = _at(path, decode, _merged(defaults, given), schema.ControlSpec)
        control = schema.Control(**asdict(found), where=node.find(path).where)
        if control.id in controls:
            first = controls[control.id].where
            raise FormatError(
                "duplicate_id", f"two controls are called {control.id!r}", f"rename one; see {first}", path
            )
        controls[control.id] = control
    named = [(f".spec.waiverRules.nonWaivable[{i}]", name) for i, name in enumerate(_non_waivable(spec))]
    named += [(f".spec.plannedChanges[{i}]", part.control) for i, part in enumerate(spec.planned_changes)]
    for path, name in named:
        if name not in controls:
            raise FormatError("unknown_control", f"no control is called {name!r}", hint(name, tuple(controls)), path)
    judged = next((control for control in controls.values() if control.budgeted), None)
    if spec.budget is None and judged is not None:
        raise FormatError("no_budget", f"{judged.id!r} is judged under a budget", "add spec.budget")
    return schema.Policy(
        name=meta.name,
        version=meta.version,
        title=meta.title or meta.name,
        controls=tuple(controls.values()),
        digest=digest(plain),
        calendar=meta.calendar,
        owner=meta.owner,
        effective_from=meta.effective_from,
        models=spec.scope.models,
        environments=spec.scope.environments,
        applies_when=spec.scope.applies_when,
        facts=spec.facts
        if isinstance(spec.facts, Mapping)
        else {name: schema.FactSpec(type="list", question=f"What is {name}?") for name in spec.facts},
        budget=spec.budget,
        waiver_rules=spec.waiver_rules,
        planned_changes=spec.planned_changes,
        where=node.where,
    )


def _non_waivable(spec: schema.PolicySpec) -> tuple[str, ...]:
    return spec.waiver_rules.non_waivable if spec.waiver_rules is not None else ()


def _merged(defaults: Any, given: Any) -> Any:
    """A control with what it leaves out taken from the defaults; a window and its least n are joined key by key."""
    if not isinstance(given, dict):
        return given
    both = {**defaults, **given}
    for key in ("window", "minSamples"):
        first, second = (part.get(key) if isinstance(part, dict) else None for part in (defaults, given))
        if isinstance(first, dict) and isinstance(second, dict):
            joined = {**first, **second}
            if key == "window":
                both["window"] = (
                    joined if "minSamples" not in joined else {**joined, "minSamples": _least(first, second)}
                )
    return both


def _least(first: dict[str, Any], second: dict[str, Any]) -> Any:
    parts = [part.get("minSamples", {}) for part in (first, second)]
    return {**parts[0], **parts[1]} if all(isinstance(part, dict) for part in parts) else parts[1]


def _profile(spec: schema.CaseProfile, name: str, plain: Any, where: str) -> schema.SystemProfile:
    own = {*schema.OF_PROFILE, *(item.encode_name for item in msgspec.structs.fields(schema.ProfileSpec))}
    for key in spec.extra:
        if key in own:
            raise FormatError(
                "fact_shadows_profile",
                f"the fact {key!r} is declared by the profile itself",
                f"drop it, or change {key}",
            )
    return schema.SystemProfile(**{"models": (), **asdict(spec)}, name=name, digest=digest(plain), where=where)


def _system(document: schema.ProfileDocument, node: Node, plain: Any, _: Any) -> schema.SystemProfile:
    return _at(".spec.facts", _profile, document.spec, document.metadata.name, plain, node.where)


def _calendar(document: schema.CalendarDocument, node: Node, plain: Any, _: Any) -> schema.LegalCalendar:
    meta = document.metadata
    return schema.LegalCalendar(
        **asdict(document.spec), name=meta.name, version=meta.version, digest=digest(plain), where=node.where
    )


def _waiver(document: schema.WaiverDocument, node: Node, plain: Any, _: Any) -> schema.Waiver:
    return schema.Waiver(**asdict(document.spec), name=document.metadata.name, digest=digest(plain), where=node.where)


def _attestation(document: schema.AttestationDocument, node: Node, plain: Any, _: Any) -> schema.Attestation:
    return schema.Attestation(
        **asdict(document.spec), name=document.metadata.name, digest=digest(plain), where=node.where
    )


def _test(document: schema.TestDocument, node: Node, plain: Any, _: Any) -> schema.PolicyTest:
    def case(i: int, spec: schema.CaseSpec) -> schema.Case:
        path = f".cases[{i}]"
        here: dict[str, Any] = {"where": node.find(path).where}
        given = plain["cases"][i]
        series = spec.series
        return schema.Case(
            name=spec.name,
            control=spec.control,
            series={"": series} if isinstance(series, str) else series,
            slice=spec.slice,
            input=spec.input,
            modality=spec.modality,
            steps=spec.steps,
            profile=_at(f"{path}.profile.facts", _profile, spec.profile, "case-system", given["profile"], here["where"])
            if spec.profile
            else None,
            waivers=tuple(
                schema.Waiver(
                    **asdict(item),
                    control=spec.control,
                    name=f"case-waiver-{j}",
                    digest=digest(given["waivers"][j]),
                    **here,
                )
                for j, item in enumerate(spec.waivers)
            ),
            attestations=tuple(
                schema.Attestation(
                    **asdict(item), name=f"case-attestation-{j}", digest=digest(given["attestations"][j]), **here
                )
                for j, item in enumerate(spec.attestations)
            ),
            expect=tuple(
                schema.Expectation(**asdict(item), where=node.find(f"{path}.expect[{j}]").where)
                for j, item in enumerate(spec.expect)
            ),
            **here,
        )

    system = document.profile
    return schema.PolicyTest(
        name=document.metadata.name,
        policy=document.policy,
        start=document.start,
        step=document.step,
        cases=tuple(case(i, spec) for i, spec in enumerate(document.cases)),
        digest=digest(plain),
        profile=_at(".profile.facts", _profile, system, "case-system", plain["profile"], node.where)
        if system
        else None,
        where=node.where,
    )


_BUILDERS: dict[str, Callable[[Any, Node, Any, Decode[Any]], schema.Document]] = {
    "Policy": _policy,
    "SystemProfile": _system,
    "LegalCalendar": _calendar,
    "Waiver": _waiver,
    "Attestation": _attestation,
    "PolicyTest": _test,
}


def json_schema(vocabulary: Vocabulary) -> dict[str, Any]:
    """JSON Schema 2020-12 of every kind of document, in the words of the installed plugins."""
    moment = {
        "type": "string",
        "pattern": r"^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$",
    }
    length = {
        "type": "string",
        "pattern": r"^(?:\d+\s*[smhdw]|P(?=.)(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?)$",
    }
    fact = {"type": ["string", "boolean"]}
    parts = {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/facts"}}, {"$ref": "#/$defs/facts"}]}
    families = ["^" + name[:-1].replace(".", r"\.") for name in sorted(vocabulary.metrics) if name.endswith("*")]
    exact = sorted(name for name in vocabulary.metrics if not name.endswith("*"))
    by_hand: dict[type, dict[str, Any]] = {
        schema.Moment: moment,
        schema.Duration: length,
        schema.Offset: length,
        schema.MetricName: {"$ref": "#/$defs/metric"},
        schema.AlertKind: {"enum": list(vocabulary.alert_kinds())},
        schema.Days: {
            "anyOf": [
                moment,
                {"type": "object", "propertyNames": {"$ref": "#/$defs/route"}, "additionalProperties": moment},
            ]
        },
        schema.WrittenCondition: {"$ref": "#/$defs/ConditionSpec"},
        schema.WrittenFacts: {"$ref": "#/$defs/facts"},
    }
    roots = [*schema.DOCUMENTS.values(), schema.ConditionSpec, schema.ControlSpec]
    _, definitions = msgspec.json.schema_components(
        roots, schema_hook=by_hand.__getitem__, ref_template="#/$defs/{name}"
    )
    definitions["ConditionSpec"]["properties"]["op"] = {"enum": sorted(vocabulary.operators)}
    definitions["PolicySpec"]["properties"]["controls"]["items"] = {"$ref": "#/$defs/ControlSpec"}
    definitions["route"] = {"enum": list(get_args(schema.Route))}
    definitions["metric"] = {
        "anyOf": [{"enum": exact}, *({"type": "string", "pattern": pattern} for pattern in families)]
    }
    definitions["facts"] = {
        "type": "object",
        "minProperties": 1,
        "properties": dict.fromkeys(_NESTED, parts),
        "additionalProperties": {"anyOf": [fact, {"type": "array", "minItems": 1, "items": fact}]},
    }
    for kind, document in schema.DOCUMENTS.items():
        definitions[kind] = definitions.pop(document.__name__)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "auditor policy documents",
        "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in schema.DOCUMENTS],
        "$defs": msgspec.json.decode(msgspec.json.encode(definitions)),
    }
