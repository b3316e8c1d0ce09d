"""Whether a text answer is what its caller needs: the `answers=` of an agent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from auditor.core.errors import ConfigurationError

Check = Callable[[str], Any]


def check_of(answers: str | Check | None) -> Check | None:
    """What tells a valid answer; ConfigurationError `bad_answers` for what is no check."""
    if answers is None or callable(answers):
        return answers
    if answers == "json":
        return is_json
    raise ConfigurationError(
        "bad_answers", f"{answers!r} is not a kind of answer", where="answers", fix="json, or a callable(text) -> bool"
    )


def is_json(text: str) -> bool:
    """Whether a text is one JSON document and nothing else (RFC 8259: no NaN, no fences around it).

    >>> is_json('{"a": 1}'), is_json("Sure! {}"), is_json("[NaN]")
    (True, False, False)
    """
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(word: str) -> Any:
    raise ValueError(word)
