"""The questions behind a system profile: which facts rules depend on, what was answered, and the profile as a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from auditor.core.errors import ConfigurationError
from auditor.core.identity import slug
from auditor.core.window import format_time, parse_time
from auditor.policy.facts import asked, of_profile
from auditor.policy.schema import FactSpec, Policy, SystemProfile

_KEYS = {"roles": "roles", "route": "route", "placed_on_market": "placedOnMarket", "model_version": "modelVersion"}
_WORDS = {"yes": True, "true": True, "no": False, "false": False}


def questions(policies: Sequence[Policy]) -> dict[str, FactSpec]:
    """What a profile must answer for these policies, in the order of asking."""
    return {**of_profile(tuple(_KEYS)), **asked(policies)}


def known_answers(profile: SystemProfile | None, given: Sequence[str], policies: Sequence[Policy]) -> dict[str, Any]:
    """Answers of the profile so far, then those of `FACT=VALUE`; ConfigurationError for one that does not fit."""
    found: dict[str, Any] = {}
    if profile is not None:
        found = {
            "roles": list(profile.roles),
            "route": profile.route,
            **{k: list(v) if isinstance(v, tuple) else v for k, v in profile.extra.items()},
        }
        if profile.route == "undeclared":
            del found["route"]
        if profile.model_version is not None:
            found["model_version"] = profile.model_version
        if profile.placed_on_market is not None:
            found["placed_on_market"] = format_time(profile.placed_on_market)[:10]
    asked_for = questions(policies)
    for item in given:
        name, _, text = item.partition("=")
        if name not in asked_for:
            raise ConfigurationError(
                "unknown_fact", f"no rule asks for {name!r}", where="--answer", fix=f"one of {', '.join(asked_for)}"
            )
        found[name] = answer(name, asked_for[name], text)
    return found


def answer(name: str, spec: FactSpec, text: str) -> Any:
    """A text as the value of a fact; ConfigurationError says what fits."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise ConfigurationError("bad_answer", f"no answer for {name}", where=name, fix=spec.question)
    if name == "placed_on_market":
        return format_time(parse_time(text.strip()))[:10]
    if spec.type == "flag":
        if words[0].lower() not in _WORDS or len(words) > 1:
            raise ConfigurationError(
                "bad_answer", f"{text!r} is neither yes nor no", where=name, fix="answer yes or no"
            )
        return _WORDS[words[0].lower()]
    unknown = [word for word in words if spec.values and word not in spec.values]
    if unknown:
        raise ConfigurationError(
            "bad_answer", f"{unknown[0]!r} is no answer", where=name, fix=f"one of {', '.join(spec.values)}"
        )
    return words if spec.type == "list" and name != "route" else text.strip()


def interview(
    policies: Sequence[Policy], given: Mapping[str, Any], ask: Callable[[str], str] | None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Answers so far with those that `ask` brought, and the questions that stay open.

    Parameters
    ----------
    ask : callable or None
        Prompt -> text; an empty text leaves the question open. None: nobody can be asked.
    """
    answers, open_ = dict(given), []
    for name, spec in questions(policies).items():
        note = ""
        while name not in answers and ask is not None:
            choices = {"flag": " [yes/no]", "list": f" [{', '.join(spec.values)}]" if spec.values else ""}.get(
                spec.type, ""
            )
            try:
                text = ask(f"{note}{spec.question} ({name}; {', '.join(spec.articles)}){choices}: ")
                if not text.strip():
                    break
                answers[name] = answer(name, spec, text)
            except EOFError:
                ask = None
            except ConfigurationError as error:
                note = f"{error.message}; {error.fix}\n"
        if name not in answers:
            open_.append({"name": name, "question": spec.question, "articles": list(spec.articles)})
    return answers, open_


def written(model: str, profile: SystemProfile | None, answers: Mapping[str, Any]) -> str:
    """The profile as YAML; ConfigurationError `bad_answer` without a role, which no profile can lack."""
    if "roles" not in answers:
        raise ConfigurationError(
            "bad_answer", "a profile names at least one role", where="roles", fix="add --answer roles=provider"
        )
    spec: dict[str, Any] = {"models": list(profile.models) if profile is not None else [model]}
    spec |= {key: answers[name] for name, key in _KEYS.items() if name in answers}
    spec.setdefault("route", "undeclared")
    if profile is not None:
        spec |= {"modalities": list(profile.modalities)} if profile.modalities else {}
        spec |= {"environment": profile.environment} if profile.environment else {}
        if profile.significant_change is not None:
            spec["significantChange"] = format_time(profile.significant_change)[:10]
    facts = {name: value for name, value in answers.items() if name not in _KEYS}
    name = profile.name if profile is not None else slug(model)
    lines = ["apiVersion: auditor/v1", "kind: SystemProfile", f"metadata: {{name: {json.dumps(name)}}}", "spec:"]
    lines += [f"  {key}: {json.dumps(value)}" for key, value in spec.items()]
    if facts:
        lines += ["  facts:", *(f"    {key}: {json.dumps(value)}" for key, value in facts.items())]
    return "\n".join(lines) + "\n"
